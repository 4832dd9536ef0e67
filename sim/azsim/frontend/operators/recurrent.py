"""LSTM and GRU: default activations, state in and out; other directions and layouts are rewritten
as forward ones with the steps in front."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode
from azsim.frontend.rules import Support, float_inputs, integers_beyond_8_bits, scales_off_axis
from azsim.graph import StoredIntegers
from azsim.graph.text import quoted, shape_text
from azsim.graph.types import Attribute

X, W, R, B, SEQUENCE_LENS, INITIAL_H, INITIAL_C, P = range(8)
GATES = {"LSTM": 4, "GRU": 3}
ACTIVATIONS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh")}
DIRECTIONS = {"forward": 1, "reverse": 1, "bidirectional": 2}


# -- rules --------------------------------------------------------------------------------------


def known_direction(node: OnnxNode) -> str | None:
    """direction must be 'forward', 'reverse' or 'bidirectional'"""
    direction = node.word("direction", "forward")
    return None if direction in DIRECTIONS else quoted(direction)


def known_layout(node: OnnxNode) -> str | None:
    """layout must be 0 (steps, batch, features) or 1 (batch, steps, features)"""
    layout = node.whole("layout", 0)
    return None if layout in (0, 1) else str(layout)


def default_activations(node: OnnxNode) -> str | None:
    """activations must be Sigmoid, Tanh, Tanh (GRU: Sigmoid, Tanh) without alpha and beta"""
    given = node.words("activations")
    wanted = ACTIVATIONS[node.operator] * _directions(node)
    if given is not None and tuple(name.title() for name in given) != wanted:
        return quoted(", ".join(given))
    for name in ("activation_alpha", "activation_beta"):
        if node.attributes.get(name):
            return f"with {name}"
    return None


def no_clip(node: OnnxNode) -> str | None:
    """clip must be absent"""
    return f"{node.real('clip', 0.0):g}" if "clip" in node.attributes else None


def whole_sequences(node: OnnxNode) -> str | None:
    """sequence_lens must be absent or the number of steps: every step of the input is run"""
    operand = node.operand(SEQUENCE_LENS)
    if operand is None:
        return None
    shape = node.require(X).shape
    steps = shape[node.whole("layout", 0)] if len(shape) == 3 else -1
    same = operand.data is not None and bool(np.all(operand.data.astype(np.int64) == steps))
    return None if same else quoted(operand.name)


def float_operands(node: OnnxNode) -> str | None:
    """inputs must be float tensors."""
    lengths = range(SEQUENCE_LENS, SEQUENCE_LENS + 1)
    rest = tuple(None if k in lengths else operand for k, operand in enumerate(node.inputs))
    return float_inputs(replace(node, inputs=rest))


def no_peepholes(node: OnnxNode) -> str | None:
    """peephole weights P must be absent"""
    operand = node.operand(P)
    return None if operand is None else quoted(operand.name)


def input_is_computed(node: OnnxNode) -> str | None:
    """X must be computed"""
    operand = node.require(X)
    return f"the constant {quoted(operand.name)}" if operand.data is not None else None


def weights_are_constants(node: OnnxNode) -> str | None:
    """W, R and B must be constants"""
    for position in (W, R, B):
        operand = node.operand(position)
        if operand is not None and operand.data is None:
            return f"the computed {quoted(operand.name)}"
    return None


def recurrent_shape(node: OnnxNode) -> str | None:
    """R must have shape (directions, gates * hidden_size, hidden_size); LSTM has 4 gates, GRU 3"""
    shape = node.require(R).shape
    hidden = node.whole("hidden_size", shape[-1] if shape else 0)
    wanted = (_directions(node), GATES[node.operator] * hidden, hidden)
    return None if shape == wanted else f"{shape_text(shape)} with hidden_size {hidden}"


def gate_scales_are_per_row(node: OnnxNode) -> str | None:
    """scales of quantized W and R must be one, or one per row of the gates (dimension 1)"""
    return scales_off_axis(node.require(W), 1) or scales_off_axis(node.require(R), 1)


def gate_integers_fit(node: OnnxNode) -> str | None:
    """quantized W and R less their zero point must be -128 to 127"""
    return integers_beyond_8_bits(node.require(W)) or integers_beyond_8_bits(node.require(R))


# -- lowering -----------------------------------------------------------------------------------


def _directions(node: OnnxNode) -> int:
    return DIRECTIONS.get(node.word("direction", "forward"), 1)


@dataclass(frozen=True)
class _Run:
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
        source = self.builder.use(operand)
        if self.node.whole("layout", 0):
            source = self.emit(f".state{position}", "Transpose", source, {"perm": (1, 0, 2)})
        shape = self.builder.values[source].shape
        if shape[0] == 1:
            return source
        starts, ends = (self.index, 0, 0), (self.index + 1, *shape[1:])
        slicing: dict[str, Attribute] = {"starts": starts, "ends": ends, "steps": (1, 1, 1)}
        return self.emit(f".initial{position}", "Slice", source, slicing)

    def reversed(self, part: str, source: str) -> str:
        """`source` with its steps in the other order, where the direction wants that."""
        if not self.backwards:
            return source
        steps = self.builder.values[source].shape[0]
        order: dict[str, Attribute] = {"axis": 0, "indices": tuple(reversed(range(steps)))}
        return self.emit(part, "Take", source, order)


def _runs(node: OnnxNode, builder: GraphBuilder) -> list[_Run]:
    direction = node.word("direction", "forward")
    if direction == "bidirectional":
        return [_Run(node, builder, index, bool(index), only=False) for index in range(2)]
    return [_Run(node, builder, 0, direction == "reverse", only=True)]


Emit = Callable[[_Run, str, tuple[str, ...]], None]  # run, x, names of its outputs


def _lower_runs(node: OnnxNode, builder: GraphBuilder, states: int, emit: Emit) -> None:
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


def _lower_lstm(node: OnnxNode, builder: GraphBuilder) -> None:
    def emit(run: _Run, x: str, outputs: tuple[str, ...]) -> None:
        recurrent = node.require(R).data
        fed_back = recurrent is None or bool(np.any(recurrent))  # R of zeros multiplies nothing
        weights = run.constant(W), run.constant(R) if fed_back else "", run.constant(B)
        states = (run.initial(INITIAL_H) if fed_back else "", run.initial(INITIAL_C))
        attributes: dict[str, Attribute] = {"hidden_size": node.require(R).shape[2]}
        if node.whole("input_forget", 0):
            attributes["input_forget"] = 1
        name = node.name if run.only else builder.fresh_node(run.label(""))
        builder.emit(name, "LSTM", (x, *weights, *states), outputs, attributes)

    _lower_runs(node, builder, 2, emit)


def _lower_gru(node: OnnxNode, builder: GraphBuilder) -> None:
    def emit(run: _Run, x: str, outputs: tuple[str, ...]) -> None:
        constants = tuple(run.constant(position) for position in (W, R, B))
        attributes: dict[str, Attribute] = {
            "hidden_size": node.require(R).shape[2],
            "linear_before_reset": int(node.whole("linear_before_reset", 0) != 0),
        }
        name = node.name if run.only else builder.fresh_node(run.label(""))
        inputs = (x, *constants, run.initial(INITIAL_H))
        builder.emit(name, "GRU", inputs, outputs, attributes)

    _lower_runs(node, builder, 1, emit)


_RULES = (
    known_direction,
    known_layout,
    default_activations,
    no_clip,
    whole_sequences,
)
_WEIGHT_RULES = (
    float_operands,
    input_is_computed,
    weights_are_constants,
    recurrent_shape,
    gate_scales_are_per_row,
    gate_integers_fit,
)

SUPPORT = (
    Support(
        "LSTM",
        "LSTM (other directions and layouts: between Take, Concat, Transpose)",
        (*_RULES, no_peepholes, *_WEIGHT_RULES),
        _lower_lstm,
    ),
    Support(
        "GRU",
        "GRU (other directions and layouts: between Take, Concat, Transpose)",
        (*_RULES, *_WEIGHT_RULES),
        _lower_gru,
    ),
)
