"""Directions and layouts of recurrent nodes: each direction becomes a forward run with the steps in
front."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import Array, OnnxNode
from azsim.graph import StoredIntegers
from azsim.graph.types import Attribute

X, W, R, B, SEQUENCE_LENS, INITIAL_H, INITIAL_C, P = range(8)
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


def directions(node: OnnxNode) -> int:
    """How many directions the node runs; 1 where the word is not known."""
    return DIRECTIONS.get(node.word("direction", "forward"), 1)


@dataclass(frozen=True)
class Run:
    """One direction of a recurrent node: its index, whether it goes backwards, if it is the only
    one."""

    node: OnnxNode
    builder: GraphBuilder
    index: int
    backwards: bool
    only: bool

    def label(self, part: str) -> str:
        suffix = "" if self.only else f".{'backward' if self.backwards else 'forward'}"
        return f"{self.node.name}{suffix}{part}"

    def emit(
        self,
        part: str,
        operator: str,
        source: str,
        attributes: dict[str, Attribute] | None = None,
        target: tuple[int, ...] | None = None,
    ) -> str:
        """Append a moving node and return its output."""
        output = self.builder.fresh_value(self.label(part))
        name = self.builder.fresh_node(self.label(part))
        self.builder.emit(name, operator, (source,), (output,), attributes, target)
        return output

    def constant(self, position: int) -> str:
        """The direction's share of a constant input, as shape (1, ...)."""
        operand = self.node.operand(position)
        if operand is None:
            return ""
        if operand.shape[0] == 1 or operand.data is None:
            return self.builder.use(operand)
        part = slice(self.index, self.index + 1)
        stored = operand.stored
        if stored is not None:
            scale = stored.scale[part] if stored.scale.shape[0] > 1 else stored.scale
            stored = StoredIntegers(stored.integers[part], scale, stored.bits)
        label = ("W", "R", "B")[position - 1]
        return self.builder.derived(self.node, f"{label}{self.index}", operand.data[part], stored)

    def initial(self, position: int) -> str:
        """The direction's initial state (1, batch, hidden); "" where it is zero."""
        operand = self.node.operand(position)
        if operand is None or (operand.data is not None and not np.any(operand.data)):
            return ""
        if operand.data is not None and (operand.shape[0] != 1 or self.node.whole("layout", 0)):
            return self._given_state(position, operand.data)
        source = self.builder.use(operand)
        if self.node.whole("layout", 0):
            source = self.emit(f".state{position}", "Transpose", source, {"perm": (1, 0, 2)})
        shape = self.builder.values[source].shape
        if shape[0] == 1:
            return source
        starts, ends = (self.index, 0, 0), (self.index + 1, *shape[1:])
        slicing: dict[str, Attribute] = {"starts": starts, "ends": ends, "steps": (1, 1, 1)}
        return self.emit(f".initial{position}", "Slice", source, slicing)

    def _given_state(self, position: int, data: Array) -> str:
        """The direction's share of a constant initial state."""
        if self.node.whole("layout", 0):
            data = data.transpose(1, 0, 2)
        share = data if data.shape[0] == 1 else data[self.index : self.index + 1]
        return self.builder.derived(self.node, f"initial{position}.{self.index}", share)

    def reversed(self, part: str, source: str) -> str:
        """`source` with its steps in the other order, where the direction wants that."""
        if not self.backwards:
            return source
        steps = self.builder.values[source].shape[0]
        order: dict[str, Attribute] = {"axis": 0, "indices": tuple(reversed(range(steps)))}
        return self.emit(part, "Take", source, order)


def _runs(node: OnnxNode, builder: GraphBuilder) -> list[Run]:
    direction = node.word("direction", "forward")
    if direction == "bidirectional":
        return [Run(node, builder, index, bool(index), only=False) for index in range(2)]
    return [Run(node, builder, 0, direction == "reverse", only=True)]


Emit = Callable[[Run, str, tuple[str, ...]], None]  # run, x, names of its outputs


def lower_runs(node: OnnxNode, builder: GraphBuilder, states: int, emit: Emit) -> None:
    """Run every direction and put the results together in the file's form."""
    runs, layout = _runs(node, builder), node.whole("layout", 0)
    wanted = (*node.outputs, "", "", "")[: 1 + states]
    plain = len(runs) == 1 and not runs[0].backwards and not layout
    x = builder.use(node.require(X))
    if plain:
        emit(runs[0], x, wanted)
        return
    if layout:
        x = runs[0].emit(".steps", "Transpose", x, {"perm": (1, 0, 2)})
    results = []
    for run in runs:
        names = tuple(
            builder.fresh_value(run.label(f".y{place}")) if name else ""
            for place, name in enumerate(wanted)
        )
        emit(run, run.reversed(".reversed", x), names)
        results.append((run.reversed(".forth", names[0]) if names[0] else "", *names[1:]))
    for place, name in enumerate(wanted):
        if name:
            _join(node, builder, name, [made[place] for made in results], place == 0)


def _join(
    node: OnnxNode, builder: GraphBuilder, name: str, parts: Sequence[str], is_sequence: bool
) -> None:
    """Directions side by side: in dimension 1 of Y, dimension 0 of a state; then the layout."""
    layout, source = node.whole("layout", 0), parts[0]
    if len(parts) > 1:
        source = builder.fresh_value(f"{name}.both") if layout else name
        label = builder.fresh_node(f"{node.name}.{name}.both")
        builder.emit(label, "Concat", tuple(parts), (source,), {"axis": int(is_sequence)})
    label = builder.fresh_node(f"{node.name}.{name}")
    if layout:
        perm = (2, 0, 1, 3) if is_sequence else (1, 0, 2)
        builder.emit(label, "Transpose", (source,), (name,), {"perm": perm})
    elif source != name:
        target = builder.values[source].shape
        builder.emit(label, "Reshape", (source,), (name,), target=target)
