"""Whether two models have the same graph: what an update from one to the other asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from azsim.errors import ModelError
from azsim.graph import Graph, Node
from azsim.graph.text import one_line, quoted, shape_text


@dataclass(frozen=True)
class _Form:
    """A node as far as two models must agree: everything but numbers and names of values."""

    node: Node
    operator: str
    attributes: tuple[tuple[str, str], ...]
    inputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    def same(self, other: _Form) -> bool:
        mine = (self.operator, self.attributes, self.inputs, self.shapes)
        return mine == (other.operator, other.attributes, other.inputs, other.shapes)

    @property
    def text(self) -> str:
        shape = shape_text(self.shapes[0]) if self.shapes else "nothing"
        return f"{quoted(self.node.name)} ({self.operator} to {shape})"


def check_same_graph(old: Graph, new: Graph, old_path: Path, new_path: Path) -> None:
    """Refuse two graphs that differ in more than numbers, names of values and quantizers.

    Raises:
        ModelError: where they differ first.
    """
    first, second = _forms(old), _forms(new)
    where = f"{new_path}: must have the graph of {old_path}"
    for number, (a, b) in enumerate(zip(first, second, strict=False)):
        if a.same(b):
            continue
        same_text = "with the same inputs and attributes" if a.text == b.text else f"not {b.text}"
        raise ModelError(one_line(f"{where}: operator {number + 1} must be {a.text}, {same_text}"))
    if len(first) != len(second):
        raise ModelError(one_line(f"{where}, of {len(first)} operators, not {len(second)}"))
    ends = [(len(g.inputs), len(g.outputs), len(g.states)) for g in (old, new)]
    if ends[0] != ends[1]:
        raise ModelError(one_line(f"{where}: inputs, outputs and states must be as many"))


def _forms(graph: Graph) -> list[_Form]:
    refs = {name: f"input {k}" for k, name in enumerate(graph.inputs)}
    refs.update({pair.source: f"state {k}" for k, pair in enumerate(graph.states)})
    found: list[_Form] = []
    for node in graph.nodes:
        if _is_same_value(graph, node):
            refs[node.outputs[0]] = _reference(graph, refs, node.inputs[0])
            continue
        for place, name in enumerate(node.outputs):
            refs[name] = f"result {place} of {len(found)}"
        found.append(
            _Form(
                node,
                node.operator,
                tuple(sorted((key, str(value)) for key, value in node.attributes.items())),
                tuple(_reference(graph, refs, name) for name in node.inputs),
                tuple(graph.values[name].shape for name in node.outputs if name),
            )
        )
    return found


def _is_same_value(graph: Graph, node: Node) -> bool:
    """True for a quantizer, and for what only gives a value another name."""
    if node.operator == "Quantize":
        return True
    shapes = [graph.values[name].shape for name in (node.inputs[0], node.outputs[0])]
    return node.operator == "Reshape" and shapes[0] == shapes[1]


def _reference(graph: Graph, refs: Mapping[str, str], name: str) -> str:
    """What an input is: a result, a graph input, or a constant of some shape."""
    if name in refs or not name:
        return refs.get(name, "")
    return f"constant {shape_text(graph.values[name].shape)}"
