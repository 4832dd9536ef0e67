"""LSTM: one direction, default activations, state in and out."""

from __future__ import annotations

import numpy as np

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode, Operand
from azsim.frontend.rules import Support, float_inputs, integers_beyond_8_bits, scales_off_axis
from azsim.graph.text import quoted, shape_text

X, W, R, B, SEQUENCE_LENS, INITIAL_H, INITIAL_C, P = range(8)
DEFAULT_ACTIVATIONS = ("Sigmoid", "Tanh", "Tanh")


def forward_only(node: OnnxNode) -> str | None:
    """direction must be 'forward'"""
    direction = node.word("direction", "forward")
    return None if direction == "forward" else quoted(direction)


def layout_is_time_major(node: OnnxNode) -> str | None:
    """layout must be 0 (steps, batch, features)"""
    layout = node.whole("layout", 0)
    return None if layout == 0 else str(layout)


def default_activations(node: OnnxNode) -> str | None:
    """activations must be Sigmoid, Tanh, Tanh without alpha and beta"""
    given = node.words("activations")
    if given is not None and tuple(name.title() for name in given) != DEFAULT_ACTIVATIONS:
        return quoted(", ".join(given))
    for name in ("activation_alpha", "activation_beta"):
        if node.attributes.get(name):
            return f"with {name}"
    return None


def no_clip(node: OnnxNode) -> str | None:
    """clip must be absent"""
    return f"{node.real('clip', 0.0):g}" if "clip" in node.attributes else None


def no_coupled_gates(node: OnnxNode) -> str | None:
    """input_forget must be 0"""
    return str(node.whole("input_forget", 0)) if node.whole("input_forget", 0) else None


def no_sequence_lens(node: OnnxNode) -> str | None:
    """sequence_lens must be absent: every step of the input is run"""
    operand = node.operand(SEQUENCE_LENS)
    return None if operand is None else quoted(operand.name)


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
    """R must have shape (1, 4 * hidden_size, hidden_size)"""
    shape = node.require(R).shape
    hidden = node.whole("hidden_size", shape[-1] if shape else 0)
    return (
        None
        if shape == (1, 4 * hidden, hidden)
        else (f"{shape_text(shape)} with hidden_size {hidden}")
    )


def gate_scales_are_per_row(node: OnnxNode) -> str | None:
    """scales of quantized W and R must be one, or one per row of the gates (dimension 1)"""
    return scales_off_axis(node.require(W), 1) or scales_off_axis(node.require(R), 1)


def gate_integers_fit(node: OnnxNode) -> str | None:
    """quantized W and R less their zero point must be -128 to 127"""
    return integers_beyond_8_bits(node.require(W)) or integers_beyond_8_bits(node.require(R))


def _initial(operand: Operand | None, builder: GraphBuilder) -> str:
    """Return the value name; a constant of zeros is what an absent input means."""
    if operand is None or (operand.data is not None and not np.any(operand.data)):
        return ""
    return builder.use(operand)


def _lower_lstm(node: OnnxNode, builder: GraphBuilder) -> None:
    bias = node.operand(B)
    inputs = (
        builder.use(node.require(X)),
        builder.use(node.require(W)),
        builder.use(node.require(R)),
        builder.use(bias) if bias is not None else "",
        _initial(node.operand(INITIAL_H), builder),
        _initial(node.operand(INITIAL_C), builder),
    )
    outputs = (*node.outputs, "", "", "")[:3]
    hidden = node.require(R).shape[2]
    builder.emit(node.name, "LSTM", inputs, outputs, {"hidden_size": hidden})


SUPPORT = (
    Support(
        "LSTM",
        "LSTM",
        (
            forward_only,
            layout_is_time_major,
            default_activations,
            no_clip,
            no_coupled_gates,
            no_sequence_lens,
            no_peepholes,
            float_inputs,
            input_is_computed,
            weights_are_constants,
            recurrent_shape,
            gate_scales_are_per_row,
            gate_integers_fit,
        ),
        _lower_lstm,
    ),
)
