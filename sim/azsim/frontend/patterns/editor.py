"""A graph under rewriting: who makes and who reads each value, and replacement of nodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from azsim.graph import Graph, Node, Value, ValueKind
from azsim.graph.types import Attribute

Floats = npt.NDArray[np.float64]


class GraphEditor:
    """Holds nodes by name in order. A pattern looks at `maker` and `readers`, gives a new node with
    `replace_node`, and leaves what nobody reads any more to `result`."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.values: dict[str, Value] = dict(graph.values)
        self._nodes: dict[str, Node] = {node.name: node for node in graph.nodes}
        self._kept = {*graph.outputs, *(pair.result for pair in graph.states)}
        self._index()

    def _index(self) -> None:
        self._makers = {name: n for n in self._nodes.values() for name in n.outputs if name}
        self._readers: dict[str, list[Node]] = {}
        for node in self._nodes.values():
            for name in node.inputs:
                if name:
                    self._readers.setdefault(name, []).append(node)

    def nodes(self) -> list[Node]:
        """The nodes in execution order, as they are now."""
        return list(self._nodes.values())

    def maker(self, name: str, operator: str = "") -> Node | None:
        """The node that computes `name`, if it is an `operator` (any if "")."""
        node = self._makers.get(name)
        return node if node is not None and operator in ("", node.operator) else None

    def readers(self, name: str) -> list[Node]:
        """The nodes that read `name`."""
        return self._readers.get(name, [])

    def is_kept(self, name: str) -> bool:
        """True if `name` is an output or a state's next value."""
        return name in self._kept

    def only_reader(self, name: str) -> Node | None:
        """The one node that reads `name` and nothing else does, not even the caller of the net."""
        readers = self.readers(name)
        return readers[0] if len(readers) == 1 and not self.is_kept(name) else None

    def constant(self, name: str) -> Floats | None:
        """Data of a float constant in float64, None for anything else."""
        data = self.values[name].data if name else None
        if data is None or not np.issubdtype(data.dtype, np.floating):
            return None
        return data.astype(np.float64)

    def number(self, name: str) -> float | None:
        """A constant of one element as a number."""
        data = self.constant(name)
        return float(data.reshape(-1)[0]) if data is not None and data.size == 1 else None

    def add_constant(self, wish: str, data: Floats) -> str:
        """Enter a float32 constant under a new name like `wish`."""
        name = self.fresh(wish)
        single = data.astype(np.float32)
        self.values[name] = Value(name, single.shape, ValueKind.CONSTANT, single)
        return name

    def fresh(self, wish: str) -> str:
        """Return an unused value name."""
        name, count = wish, 1
        while name in self.values:
            count += 1
            name = f"{wish}.{count}"
        return name

    def computed(self, wish: str, shape: tuple[int, ...]) -> str:
        """Enter a value that a node will compute."""
        name = self.fresh(wish)
        self.values[name] = Value(name, shape, ValueKind.NODE)
        return name

    def replace_node(
        self,
        old: Node,
        operator: str,
        inputs: tuple[str, ...],
        attributes: dict[str, Attribute] | None = None,
        before: tuple[Node, ...] = (),
    ) -> None:
        """Let another operator compute the outputs of `old`, in its place and under its name;
        `before` are new nodes that stand in front of it."""
        made = Node(old.name, operator, inputs, old.outputs, attributes or {})
        nodes: dict[str, Node] = {}
        for name, node in self._nodes.items():
            if name == old.name:
                nodes.update({extra.name: extra for extra in before})
                nodes[name] = made
            else:
                nodes[name] = node
        self._nodes = nodes
        self._index()

    def put(self, made: Node) -> None:
        """Put a node in the place of the one of the same name."""
        self._nodes[made.name] = made
        self._index()

    def absorb(self, old: Node, made: Node, last: Node) -> None:
        """Put `made`, which computes what `last` did, in the place of `old`, and drop `last`."""
        self._nodes = {
            made.name if name == old.name else name: made if name == old.name else node
            for name, node in self._nodes.items()
            if name != last.name
        }
        self._index()

    def result(self) -> Graph:
        """The graph with what is left: nodes that lead somewhere, and their values."""
        wanted = set(self._kept)
        live: list[Node] = []
        for node in reversed(self.nodes()):
            if wanted & {name for name in node.outputs if name}:
                live.append(node)
                wanted.update(name for name in node.inputs if name)
        live.reverse()
        inputs = {*self._graph.inputs, *(pair.source for pair in self._graph.states)}
        named = {name for node in live for name in (*node.inputs, *node.outputs) if name}
        values = {n: v for n, v in self.values.items() if n in named or n in inputs}
        return replace(self._graph, nodes=tuple(live), values=values)
