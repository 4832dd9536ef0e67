"""Pass 0, batch: one step of a graph that computes several frames on one load of the weights.

Every value that belongs to a frame gets a leading axis of `frames`. An LSTM sees the frames as time
steps, so that its non-recurrent half multiplies all of them with one load of W, and its recurrent
half goes on frame by frame. The integers are those of single frames, only the time differs. A
recurrent state may only be an LSTM's own h or c (also sliced from or joined into a larger state):
other recurrences need a frame's result before the next frame starts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from azsim.errors import CompileError, ConfigError
from azsim.graph import Graph, Node, StatePair, Value, ValueKind, verify_graph
from azsim.graph.attributes import integer

Attributes = dict[str, object]

# operators that broadcast their operands over the result's leading axes
BROADCASTING = ("Add", "Sub", "Mul", "Min", "Max", "Where", "MatMulRows", "Expand")


def batch_graph(graph: Graph, frames: int) -> Graph:
    """Return `graph` for `frames` frames per step; inputs and outputs get a leading axis.

    Raises:
        ConfigError: frames below 1.
        CompileError: a state that is used frame by frame outside an LSTM; names node and state.
    """
    if frames < 1:
        raise ConfigError(f"--frames-per-pass: must be 1 or more, not {frames}")
    if frames == 1:
        return graph
    return _Batcher(graph, frames).graph()


class _Batcher:
    """Rebuilds the graph on demand: `mapped` values have the frame axis, `final` ones belong to the
    last frame."""

    def __init__(self, graph: Graph, frames: int) -> None:
        self._old, self._frames = graph, frames
        self._producer = {name: node for node in graph.nodes for name in node.outputs if name}
        self._values: dict[str, Value] = {}
        self._nodes: list[Node] = []
        self._done: dict[tuple[str, str], str] = {}

    def graph(self) -> Graph:
        """Build everything that outputs and states need, in order."""
        for name in self._old.inputs:
            value = self._old.values[name]
            self._values[name] = replace(value, shape=(self._frames, *value.shape))
        for state in self._old.states:
            self._values[state.source] = self._old.values[state.source]
        states = tuple(StatePair(s.source, self._final(s.result)) for s in self._old.states)
        outputs = tuple(self._mapped(name) for name in self._old.outputs)
        batched = replace(
            self._old,
            nodes=tuple(self._nodes),
            values=self._values,
            outputs=outputs,
            states=states,
        )
        verify_graph(batched)
        return batched

    def _mapped(self, name: str) -> str:
        """Name of `name` with the frame axis."""
        key = ("mapped", name)
        if key not in self._done:
            value = self._old.values[name]
            if value.kind is ValueKind.STATE:
                raise CompileError(
                    f"state '{name}': must only be an LSTM's initial h or c for several frames"
                    " per pass"
                )
            if value.kind is ValueKind.CONSTANT:
                self._done[key] = self._repeated(value)
            elif value.kind is ValueKind.INPUT:
                self._done[key] = name
            else:
                self._map_node(self._producer[name])
        return self._done[key]

    def _final(self, name: str) -> str:
        """Name of `name` after the last frame (states and what is made of them alone)."""
        key = ("final", name)
        if key not in self._done:
            value = self._old.values[name]
            if value.kind is ValueKind.INPUT:
                raise CompileError(
                    f"input '{name}': must not become a state for several frames per pass"
                )
            if value.kind is not ValueKind.NODE:
                self._values[name] = value
                self._done[key] = name
            else:
                self._finish_node(self._producer[name])
        return self._done[key]

    def _repeated(self, value: Value) -> str:
        """A constant that is data of every frame, written out once per frame."""
        assert value.data is not None
        data = np.ascontiguousarray(np.broadcast_to(value.data, (self._frames, *value.shape)))
        name = f"{value.name}@frames"
        self._values[name] = Value(name, data.shape, ValueKind.CONSTANT, data)
        return name

    def _kept(self, name: str) -> str:
        """A constant used as it is."""
        if name:
            self._values[name] = self._old.values[name]
        return name

    def _add(self, node: Node, name: str, shape: tuple[int, ...], like: Value | None = None) -> str:
        """Append a node with its value, which is quantized as `like` is."""
        self._nodes.append(node)
        grid = None if like is None else like.quantization
        self._values[name] = Value(name, shape, ValueKind.NODE, quantization=grid)
        return name

    def _reshape(self, source: str, name: str, shape: tuple[int, ...]) -> str:
        return self._add(Node(name, "Reshape", (source,), (name,)), name, shape)

    # -- nodes with the frame axis

    def _map_node(self, node: Node) -> None:
        if node.operator == "LSTM":
            self._lstm(node)
            return
        rule = _RULES.get(node.operator)
        if rule is None:
            raise CompileError(
                f"node '{node.name}' ({node.operator}): operator must be known for several frames"
                " per pass"
            )
        inputs = tuple(self._operand(node, k) for k in range(len(node.inputs)))
        attributes = rule(self, node)
        made = Node(node.name, node.operator, inputs, node.outputs, attributes)  # type: ignore[arg-type]
        self._nodes.append(made)
        for output in node.outputs:
            if output:
                value = self._old.values[output]
                shape = (self._frames, *value.shape)
                self._values[output] = replace(value, shape=shape)
                self._done["mapped", output] = output

    def _operand(self, node: Node, position: int) -> str:
        """An operand of a mapped node: constants stay where broadcasting or the operator takes
        them."""
        name = node.inputs[position]
        if not name:
            return name
        constant = self._old.values[name].kind is ValueKind.CONSTANT
        if constant and node.operator != "Concat":
            return self._kept(name)
        mapped = self._mapped(name)
        rank = len(self._old.values[node.outputs[0]].shape)
        shape = self._old.values[name].shape
        if node.operator in BROADCASTING and len(shape) < rank:
            aligned = (self._frames, *(1,) * (rank - len(shape)), *shape)
            return self._reshape(mapped, f"{node.name}@operand{position}", aligned)
        return mapped

    # -- LSTM: frames become time steps

    def _lstm(self, node: Node) -> None:
        if ("mapped", node.outputs[0] or node.name) in self._done:
            return
        steps, batch, features = self._old.values[node.inputs[0]].shape
        hidden = integer(node.attributes, "hidden_size")
        x = self._mapped(node.inputs[0])
        total = self._frames * steps
        x = self._reshape(x, f"{node.name}@x", (total, batch, features))
        weights = [self._kept(name) if name else "" for name in node.inputs[1:4]]
        states = [self._final(name) if name else "" for name in node.inputs[4:6]]
        y, h, c = f"{node.name}@y", f"{node.name}@h", f"{node.name}@c"
        made = Node(node.name, "LSTM", (x, *weights, *states), (y, h, c), node.attributes)
        self._add(made, y, (total, 1, batch, hidden))
        for name in (h, c):
            self._values[name] = Value(name, (1, batch, hidden), ValueKind.NODE)
        self._share_lstm(node, (y, h, c), (steps, batch, hidden))

    def _share_lstm(
        self, node: Node, made: tuple[str, str, str], sizes: tuple[int, int, int]
    ) -> None:
        steps, batch, hidden = sizes
        y, y_h, y_c = node.outputs
        frames = self._frames
        framed = self._reshape(made[0], f"{node.name}@framed", (frames, steps, 1, batch, hidden))
        self._done["mapped", y or node.name] = framed
        for old, new in ((y_h, made[1]), (y_c, made[2])):
            if old:
                self._done["final", old] = new
        if y_h:
            last = framed
            if steps > 1:
                box = (frames, 1, 1, batch, hidden)
                last = f"{node.name}@last"
                starts, ends = (0, steps - 1, 0, 0, 0), (frames, steps, 1, batch, hidden)
                slicing = {"starts": starts, "ends": ends, "steps": (1,) * 5}
                self._add(Node(last, "Slice", (framed,), (last,), slicing), last, box)
            name = f"{y_h}@frames"
            self._done["mapped", y_h] = self._reshape(last, name, (frames, 1, batch, hidden))

    # -- nodes of the last frame only

    def _finish_node(self, node: Node) -> None:
        if node.operator == "LSTM":
            self._lstm(node)
            missing = [n for n in node.outputs[1:] if n and ("final", n) not in self._done]
            if missing or (
                ("final", node.outputs[0]) not in self._done and not any(node.outputs[1:])
            ):
                raise CompileError(f"node '{node.name}' (LSTM): only h and c may become states")
            return
        inputs = tuple(self._final(name) if name else "" for name in node.inputs)
        output = node.outputs[0]
        name = f"{output}@final"
        made = Node(f"{node.name}@final", node.operator, inputs, (name,), node.attributes)
        value = self._old.values[output]
        self._done["final", output] = self._add(made, name, value.shape, value)


def _same(batcher: _Batcher, node: Node) -> Attributes:
    return dict(node.attributes)


def _axis(batcher: _Batcher, node: Node) -> Attributes:
    return {**node.attributes, "axis": int(str(node.attributes["axis"])) + 1}


def _axes(batcher: _Batcher, node: Node) -> Attributes:
    axes = node.attributes["axes"]
    assert isinstance(axes, tuple)
    return {**node.attributes, "axes": tuple(int(axis) + 1 for axis in axes)}


def _perm(batcher: _Batcher, node: Node) -> Attributes:
    perm = node.attributes["perm"]
    assert isinstance(perm, tuple)
    return {"perm": (0, *(int(axis) + 1 for axis in perm))}


def _box(batcher: _Batcher, node: Node) -> Attributes:
    frames = batcher._frames
    first = {"starts": 0, "ends": frames, "steps": 1}
    return {key: (value, *node.attributes[key]) for key, value in first.items()}  # type: ignore[misc]


_RULES: dict[str, Callable[[_Batcher, Node], Attributes]] = {
    "MatMul": _same,
    "Add": _same,
    "Sub": _same,
    "Mul": _same,
    "Min": _same,
    "Max": _same,
    "Function": _same,
    "Where": _same,
    "Reduce": _axes,
    "ArgReduce": _axis,
    "TopK": _same,
    "Norm": _same,
    "MatMulRows": _same,
    "LogSoftmax": _axis,
    "Expand": _same,
    "Relu": _same,
    "Sigmoid": _same,
    "Tanh": _same,
    "Softmax": _axis,
    "Concat": _axis,
    "Slice": _box,
    "Take": _axis,
    "Embed": _same,
    "Reshape": _same,
    "Transpose": _perm,
    "Quantize": _same,
}
