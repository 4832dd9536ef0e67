"""Operators that are a constant matrix along one dimension: CumSum, LRN's sums, DFT and STFT."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode
from azsim.frontend.parts import Parts
from azsim.frontend.rules import (
    Support,
    constant_integers,
    constant_parameters,
    float_data,
    float_inputs,
    normal_axis,
)
from azsim.graph.formulas import number_word
from azsim.graph.text import quoted, shape_text
from azsim.graph.types import Attribute

Floats = npt.NDArray[np.float64]


def _number(node: OnnxNode, position: int) -> int | None:
    """The integer of a constant input of one number, None where it is absent or has more."""
    found = constant_integers(node, position)
    return found[0] if found is not None and len(found) == 1 else None


# -- CumSum -------------------------------------------------------------------------------------


def sum_axis_in_range(node: OnnxNode) -> str | None:
    """axis must be one number, a dimension of the first input (negative counts from the last)."""
    rank, axis = len(node.require(0).shape), _number(node, 1)
    if axis is None:
        return shape_text(constant_integers(node, 1) or ())
    return None if -rank <= axis < rank else f"{axis} of {rank} dimensions"


def _lower_cumsum(node: OnnxNode, builder: GraphBuilder) -> None:
    x = node.require(0)
    axis = normal_axis(_number(node, 1) or 0, len(x.shape))
    count = x.shape[axis]
    builder.spend(node, count * count)
    # column k of the matrix says which entries are in sum k
    matrix = np.triu(np.ones((count, count)), node.whole("exclusive", 0) != 0)
    if node.whole("reverse", 0):
        matrix = matrix[::-1, ::-1]
    Parts(node, builder).along("", axis, builder.use(x), matrix, node.outputs[0])


def sum_is_not_empty(node: OnnxNode) -> str | None:
    """an exclusive sum must have two or more entries."""
    count = node.require(0).shape[_number(node, 1) or 0]
    return "1" if node.whole("exclusive", 0) and count == 1 else None


# -- LRN ----------------------------------------------------------------------------------------


def lrn_numbers_are_sound(node: OnnxNode) -> str | None:
    """size must be 1 or more, alpha and beta finite and 0 or more, bias finite and positive."""
    size, alpha, beta = node.whole("size", 0), node.real("alpha", 1e-4), node.real("beta", 0.75)
    bias = node.real("bias", 1.0)
    is_sound = size >= 1 and 0 <= alpha < math.inf and 0 <= beta < math.inf and 0 < bias < math.inf
    return None if is_sound else f"size {size}, alpha {alpha:g}, beta {beta:g}, bias {bias:g}"


def channels_are_second(node: OnnxNode) -> str | None:
    """the first input must have channels in dimension 1."""
    shape = node.require(0).shape
    return None if len(shape) >= 2 else shape_text(shape)


def _lower_lrn(node: OnnxNode, builder: GraphBuilder) -> None:
    """x * (bias + alpha / size * sum of squares of channels around) ^ -beta."""
    x, parts = builder.use(node.require(0)), Parts(node, builder)
    channels, size = node.require(0).shape[1], node.whole("size", 1)
    builder.spend(node, channels * channels)
    place = np.arange(channels)
    apart = place[:, None] - place[None, :]  # entry less result
    band = (apart >= -((size - 1) // 2)) & (apart <= size // 2)
    squares = parts.function("squares", x, ("x", "x", "Mul"))
    sums = parts.along("sums", 1, squares, band * (node.real("alpha", 1e-4) / size))
    bias, beta = node.real("bias", 1.0), node.real("beta", 0.75)
    formula = ("x", number_word(bias), "Add", number_word(-beta), "Pow")
    factor = parts.function("factor", sums, formula)
    parts.put("", "Mul", x, factor, output=node.outputs[0])


# -- Fourier transforms -------------------------------------------------------------------------


def _dft_axis(node: OnnxNode) -> int:
    given = _number(node, 2) if node.opset >= 20 else node.whole("axis", 1)
    return -2 if given is None else given


def dft_axis_in_range(node: OnnxNode) -> str | None:
    """axis must be a dimension of the first input other than the last, which holds 1 (real) or 2
    numbers (complex)."""
    shape, axis = node.require(0).shape, _dft_axis(node)
    rank = len(shape)
    if rank < 2 or shape[-1] not in (1, 2):
        return f"shape {shape_text(shape)}"
    is_known = -rank <= axis < rank and normal_axis(axis, rank) != rank - 1
    return None if is_known else f"{axis} of {rank} dimensions"


def dft_length_is_sound(node: OnnxNode) -> str | None:
    """dft_length must be one number of 1 or more."""
    if node.operand(1) is None:
        return None
    length = _number(node, 1)
    return None if length is not None and length >= 1 else f"{length}"


def one_side_is_of_reals(node: OnnxNode) -> str | None:
    """onesided must be 0 for complex numbers and backwards (inverse)."""
    is_plain = node.require(0).shape[-1] == 1 and not node.whole("inverse", 0)
    return None if is_plain or not node.whole("onesided", 0) else "1"


def dft_matrix(
    entries: int, length: int, numbers: int, results: int, inverse: bool = False
) -> Floats:
    """(entries * numbers, results * 2): the transform of `entries` real (numbers 1) or complex
    (numbers 2) entries, cut or filled with zeros to `length`."""
    angle = np.outer(np.arange(entries), np.arange(results)) % length * (2 * np.pi / length)
    cosine, sine = np.cos(angle), -np.sin(angle)
    if inverse:
        cosine, sine = cosine / length, -sine / length
    of_real, of_imaginary = np.stack([cosine, sine], -1), np.stack([-sine, cosine], -1)
    whole = np.stack([of_real, of_imaginary][:numbers], 1)
    whole[length:] = 0.0
    return whole.reshape(entries * numbers, results * 2)


def _lower_dft(node: OnnxNode, builder: GraphBuilder) -> None:
    shape, parts = node.require(0).shape, Parts(node, builder)
    rank, axis = len(shape), normal_axis(_dft_axis(node), len(shape))
    entries, numbers = shape[axis], shape[-1]
    length = _number(node, 1) or entries
    results = length // 2 + 1 if node.whole("onesided", 0) else length
    builder.spend(node, entries * numbers * results * 2)
    matrix = dft_matrix(entries, length, numbers, results, bool(node.whole("inverse", 0)))
    perm = (*(k for k in range(rank) if k not in (axis, rank - 1)), axis, rank - 1)
    turned = parts.transpose("turned", builder.use(node.require(0)), perm)
    front = parts.shape(turned)[:-2]
    rows = parts.reshape("rows", turned, (*front, entries * numbers))
    made = parts.put("map", "MatMul", rows, parts.constant("matrix", matrix))
    apart = parts.reshape("apart", made, (*front, results, 2))
    back = tuple(perm.index(k) for k in range(rank))
    parts.put("", "Transpose", apart, attributes={"perm": back}, output=node.outputs[0])


def _window(node: OnnxNode) -> Floats:
    """The window of a STFT, or as many ones as a frame has entries."""
    operand = node.operand(2)
    if operand is not None and operand.data is not None:
        return operand.data.astype(np.float64).reshape(-1)
    return np.ones(_number(node, 3) or 0)


def signal_is_real(node: OnnxNode) -> str | None:
    """the signal must be real: shape (batch, length) or (batch, length, 1)."""
    shape = node.require(0).shape
    is_real = len(shape) == 2 or (len(shape) == 3 and shape[2] == 1)
    return None if is_real else shape_text(shape)


def frames_fit(node: OnnxNode) -> str | None:
    """frame_step must be one number of 1 or more, and window or frame_length (both: alike) say how
    long a frame is, no longer than the signal."""
    step, stated, length = _number(node, 1), _number(node, 3), _window(node).size
    signal = node.require(0).shape[1]
    agree = node.operand(3) is None or stated == length
    if step is not None and 1 <= step <= 1 << 20 and agree and 1 <= length <= signal:
        return None
    return f"step {step}, frame_length {stated} and a window of {length} for {signal} entries"


def _lower_stft(node: OnnxNode, builder: GraphBuilder) -> None:
    """One Conv: a window's rows of the transform are the outputs, frame_step the stride."""
    parts, window = Parts(node, builder), _window(node)
    batch, signal = node.require(0).shape[:2]
    length = window.size
    results = length // 2 + 1 if node.whole("onesided", 1) else length
    builder.spend(node, length * results * 2)
    matrix = dft_matrix(length, length, 1, results) * window[:, np.newaxis]
    weight = parts.constant("matrix", matrix.T[:, np.newaxis, :])
    row = parts.reshape("row", builder.use(node.require(0)), (batch, 1, signal))
    step = _number(node, 1) or 1
    attributes: dict[str, Attribute] = {
        "strides": (step,),
        "dilations": (1,),
        "pads": (0, 0),
        "group": 1,
    }
    made = parts.put("frames", "Conv", row, weight, attributes=attributes)
    frames = parts.shape(made)[2]
    turned = parts.transpose("turned", made, (0, 2, 1))
    target = (batch, frames, results, 2)
    parts.put("", "Reshape", turned, target=target, output=node.outputs[0])


def window_is_float(node: OnnxNode) -> str | None:
    """the window must be a float constant of one dimension."""
    operand = node.operand(2)
    if operand is None or operand.data is None:
        return None
    is_right = operand.data.dtype.kind == "f" and len(operand.shape) == 1
    return None if is_right else f"{operand.data.dtype} {quoted(operand.name)}"


SUPPORT = (
    Support(
        "CumSum",
        "MatMul with a triangle of ones",
        (float_data, constant_parameters, sum_axis_in_range, sum_is_not_empty),
        _lower_cumsum,
    ),
    Support(
        "LRN",
        "Function, MatMul with a band (sums over channels), Function, Mul",
        (float_inputs, float_data, channels_are_second, lrn_numbers_are_sound),
        _lower_lrn,
    ),
    Support(
        "DFT",
        "MatMul with cosines and sines",
        (
            float_data,
            constant_parameters,
            dft_axis_in_range,
            dft_length_is_sound,
            one_side_is_of_reals,
        ),
        _lower_dft,
    ),
    Support(
        "STFT",
        "Conv with the window's cosines and sines, stride frame_step",
        (float_data, constant_parameters, signal_is_real, window_is_float, frames_fit),
        _lower_stft,
    ),
)
