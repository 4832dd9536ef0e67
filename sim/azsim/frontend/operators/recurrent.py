"""LSTM, GRU and RNN. The machine has an LSTM and a GRU with the default activations; all else is
written out step by step."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode
from azsim.frontend.operators.activations import (
    activation_names,
    activations_of,
    has_default_activations,
)
from azsim.frontend.operators.directions import (
    DIRECTIONS,
    INITIAL_C,
    INITIAL_H,
    SEQUENCE_LENS,
    B,
    P,
    R,
    Run,
    W,
    X,
    directions,
    lower_runs,
)
from azsim.frontend.operators.unrolled import MAX_STEPS, emit_unrolled
from azsim.frontend.rules import Support, float_inputs, integers_beyond_8_bits, scales_off_axis
from azsim.graph.text import quoted, shape_text
from azsim.graph.types import Attribute

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


# -- rules --------------------------------------------------------------------------------------


def known_direction(node: OnnxNode) -> str | None:
    """direction must be 'forward', 'reverse' or 'bidirectional'"""
    direction = node.word("direction", "forward")
    return None if direction in DIRECTIONS else quoted(direction)


def known_layout(node: OnnxNode) -> str | None:
    """layout must be 0 (steps, batch, features) or 1 (batch, steps, features)"""
    layout = node.whole("layout", 0)
    return None if layout in (0, 1) else str(layout)


def known_activations(node: OnnxNode) -> str | None:
    """activations must be ONNX's (Sigmoid, Tanh, Relu, HardSigmoid, ...), 3 (GRU: 2, RNN: 1) for
    each direction, with finite numbers (of Affine, ScaledTanh and ThresholdedRelu: given)."""
    return None if activations_of(node) is not None else quoted(", ".join(activation_names(node)))


def clip_is_positive(node: OnnxNode) -> str | None:
    """clip must be positive and finite."""
    clip = node.real("clip", 1.0)
    return None if 0.0 < clip < math.inf else f"{clip:g}"


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


def peepholes_fit(node: OnnxNode) -> str | None:
    """peephole weights P must be a constant of shape (directions, 3 * hidden_size)"""
    operand = node.operand(P)
    if operand is None:
        return None
    if operand.data is None:
        return f"the computed {quoted(operand.name)}"
    wanted = (directions(node), 3 * node.require(R).shape[-1])
    return None if operand.shape == wanted else shape_text(operand.shape)


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
    """R must have shape (directions, gates * hidden_size, hidden_size); LSTM has 4 gates, GRU 3,
    RNN 1"""
    shape = node.require(R).shape
    hidden = node.whole("hidden_size", shape[-1] if shape else 0)
    wanted = (directions(node), GATES[node.operator] * hidden, hidden)
    return None if shape == wanted else f"{shape_text(shape)} with hidden_size {hidden}"


def gate_scales_are_per_row(node: OnnxNode) -> str | None:
    """scales of quantized W and R must be one, or one per row of the gates (dimension 1)"""
    return scales_off_axis(node.require(W), 0, 1) or scales_off_axis(node.require(R), 0, 1)


def gate_integers_fit(node: OnnxNode) -> str | None:
    """quantized W and R less their zero point must be -128 to 127"""
    return integers_beyond_8_bits(node.require(W)) or integers_beyond_8_bits(node.require(R))


def parameters_fit(node: OnnxNode) -> str | None:
    """X must have shape (steps, batch, features) (layout 1: batch first), W (directions, gates *
    hidden_size, features), B (directions, 2 * gates * hidden_size)"""
    x, weight, bias = node.require(X).shape, node.require(W).shape, node.operand(B)
    many, rows, _ = node.require(R).shape
    if len(x) != 3:
        return f"X {shape_text(x)}"
    if weight != (many, rows, x[2]):
        return f"W {shape_text(weight)}"
    fits = bias is None or bias.shape == (many, 2 * rows)
    return None if fits or bias is None else f"B {shape_text(bias.shape)}"


def states_fit(node: OnnxNode) -> str | None:
    """initial states must have shape (directions, batch, hidden_size) (layout 1: batch first)"""
    x, layout = node.require(X).shape, node.whole("layout", 0)
    wanted = (directions(node), x[1 - layout], node.require(R).shape[2])
    if layout:
        wanted = (wanted[1], wanted[0], wanted[2])
    for position in (INITIAL_H, INITIAL_C):
        operand = node.operand(position)
        if operand is not None and operand.shape != wanted:
            return f"{shape_text(operand.shape)} of {quoted(operand.name)}"
    return None


def written_out(node: OnnxNode) -> bool:
    """True if the node becomes other nodes step by step."""
    peepholes = node.operand(P) if node.operator == "LSTM" else None
    has_peepholes = peepholes is not None and bool(np.any(peepholes.data))
    plain = has_default_activations(node) and "clip" not in node.attributes
    return node.operator == "RNN" or has_peepholes or not plain


def few_steps(node: OnnxNode) -> str | None:
    """a node written out step by step (RNN, other activations, clip, peepholes) must have at most
    512 steps"""
    steps = node.require(X).shape[node.whole("layout", 0)]
    return str(steps) if written_out(node) and steps > MAX_STEPS else None


def initial_states_are_computed(node: OnnxNode) -> str | None:
    """initial states of a node written out step by step must be computed, or constants of 0"""
    for position in (INITIAL_H, INITIAL_C) if written_out(node) else ():
        operand = node.operand(position)
        if operand is not None and operand.data is not None and np.any(operand.data):
            return f"the constant {quoted(operand.name)}"
    return None


# -- lowering -----------------------------------------------------------------------------------


def _lower_lstm(node: OnnxNode, builder: GraphBuilder) -> None:
    if written_out(node):
        lower_runs(node, builder, 2, emit_unrolled)
        return

    def emit(run: Run, x: str, outputs: tuple[str, ...]) -> None:
        recurrent = node.require(R).data
        fed_back = recurrent is None or bool(np.any(recurrent))  # R of zeros multiplies nothing
        weights = run.constant(W), run.constant(R) if fed_back else "", run.constant(B)
        states = (run.initial(INITIAL_H) if fed_back else "", run.initial(INITIAL_C))
        attributes: dict[str, Attribute] = {"hidden_size": node.require(R).shape[2]}
        if node.whole("input_forget", 0):
            attributes["input_forget"] = 1
        name = node.name if run.only else builder.fresh_node(run.label(""))
        builder.emit(name, "LSTM", (x, *weights, *states), outputs, attributes)

    lower_runs(node, builder, 2, emit)


def _lower_rnn(node: OnnxNode, builder: GraphBuilder) -> None:
    lower_runs(node, builder, 1, emit_unrolled)


def _lower_gru(node: OnnxNode, builder: GraphBuilder) -> None:
    if written_out(node):
        lower_runs(node, builder, 1, emit_unrolled)
        return

    def emit(run: Run, x: str, outputs: tuple[str, ...]) -> None:
        constants = tuple(run.constant(position) for position in (W, R, B))
        attributes: dict[str, Attribute] = {
            "hidden_size": node.require(R).shape[2],
            "linear_before_reset": int(node.whole("linear_before_reset", 0) != 0),
        }
        name = node.name if run.only else builder.fresh_node(run.label(""))
        inputs = (x, *constants, run.initial(INITIAL_H))
        builder.emit(name, "GRU", inputs, outputs, attributes)

    lower_runs(node, builder, 1, emit)


_RULES = (
    known_direction,
    known_layout,
    known_activations,
    clip_is_positive,
    whole_sequences,
    float_operands,
    input_is_computed,
    weights_are_constants,
    recurrent_shape,
    parameters_fit,
    states_fit,
    gate_scales_are_per_row,
    gate_integers_fit,
    few_steps,
    initial_states_are_computed,
)
_FORMS = (
    "other directions and layouts: between Take, Concat, Transpose; other activations, clip{}: step"
    " by step"
)

SUPPORT = (
    Support(
        "LSTM",
        f"LSTM ({_FORMS.format(', peepholes')})",
        (*_RULES[:8], recurrent_shape, peepholes_fit, *_RULES[9:]),
        _lower_lstm,
    ),
    Support("GRU", f"GRU ({_FORMS.format('')})", _RULES, _lower_gru),
    Support(
        "RNN",
        "MatMul of all steps; for each step MatMul, Add, Function",
        _RULES,
        _lower_rnn,
    ),
)
