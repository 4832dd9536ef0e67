"""QuantizeLinear and DequantizeLinear: models that another tool quantized, at their own scales.

A computed tensor becomes 8-bit integers by QuantizeLinear and numbers again by DequantizeLinear;
the graph holds the pair as one Quantize. A constant that goes through DequantizeLinear keeps its
integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import Array, OnnxNode, Operand
from azsim.frontend.rules import Support
from azsim.frontend.tensors import kind_name
from azsim.graph import Quantization, StoredIntegers
from azsim.graph.text import quoted, shape_text

# integer types of the format: smallest value, largest value, bits
LIMITS: dict[str, tuple[int, int, int]] = {
    "int4": (-8, 7, 4),
    "uint4": (0, 15, 4),
    "int8": (-128, 127, 8),
    "uint8": (0, 255, 8),
    "int16": (-(2**15), 2**15 - 1, 16),
    "uint16": (0, 2**16 - 1, 16),
    "int32": (-(2**31), 2**31 - 1, 32),
}
ACTIVATIONS = ("int8", "uint8")
NO_TYPE = onnx.TensorProto.UNDEFINED


def element_of(operand: Operand) -> str:
    """Return the ONNX name of an operand's element type."""
    if operand.element:
        return operand.element
    return operand.data.dtype.name if operand.data is not None else "float32"


def _scales(node: OnnxNode) -> npt.NDArray[np.float64]:
    data = node.require(1).data
    return np.asarray(0.0 if data is None else data, dtype=np.float64)


def _zero_points(node: OnnxNode) -> npt.NDArray[np.int64]:
    operand = node.operand(2)
    if operand is None or operand.data is None:
        return np.zeros(_scales(node).shape, dtype=np.int64)
    return np.asarray(operand.data, dtype=np.int64)


def _result_type(node: OnnxNode) -> str:
    """The type a QuantizeLinear makes: the zero point's, else output_dtype, else uint8."""
    operand = node.operand(2)
    if operand is not None:
        return element_of(operand)
    stated = node.whole("output_dtype", 0)
    return kind_name(stated) if stated else "uint8"


# -- rules --------------------------------------------------------------------------------------


def parameters_are_constant(node: OnnxNode) -> str | None:
    """scale and zero point must be constants."""
    for operand in node.inputs[1:]:
        if operand is not None and operand.data is None:
            return f"the computed {quoted(operand.name)}"
    return None


def scales_are_positive(node: OnnxNode) -> str | None:
    """scales must be float32, positive and finite."""
    operand = node.require(1)
    if operand.data is not None and operand.data.dtype != np.float32:
        return f"the {element_of(operand)} {quoted(operand.name)}"
    scales = _scales(node).reshape(-1)
    wrong = scales[~((scales > 0) & np.isfinite(scales))]
    return f"{wrong[0]:g}" if wrong.size else None


def not_blocked(node: OnnxNode) -> str | None:
    """block_size must be 0 (one scale for the tensor, or one per entry of an axis)."""
    size = node.whole("block_size", 0)
    if size:
        return str(size)
    shape = node.require(1).shape
    blocked = len(shape) > 1 and _scales(node).size != 1
    return f"scales of shape {shape_text(shape)}" if blocked else None


def single_precision(node: OnnxNode) -> str | None:
    """precision and the type of the result must be float32."""
    name = "precision" if node.operator == "QuantizeLinear" else "output_dtype"
    kind = node.whole(name, NO_TYPE)
    return None if kind in (NO_TYPE, onnx.TensorProto.FLOAT) else kind_name(kind)


def data_is_float(node: OnnxNode) -> str | None:
    """the first input must be a float tensor."""
    first = node.require(0)
    if first.is_index:
        return f"the integer input {quoted(first.name)}"
    is_float = first.data is None or np.issubdtype(first.data.dtype, np.floating)
    return (
        None if is_float and not first.element else f"the {element_of(first)} {quoted(first.name)}"
    )


def result_is_8_bit(node: OnnxNode) -> str | None:
    """the result must be int8 or uint8 (a constant's also int4, uint4, int16 or uint16)."""
    kind = _result_type(node)
    stated = node.whole("output_dtype", NO_TYPE)
    if stated != NO_TYPE and kind_name(stated) != kind:
        return f"{kind_name(stated)} with a zero point of {kind}"
    known = ACTIVATIONS if node.require(0).data is None else tuple(LIMITS)[:-1]
    return None if kind in known else kind


def data_is_integer(node: OnnxNode) -> str | None:
    """the first input must be int8 or uint8 (a constant also int4, uint4, int16, uint16 or
    int32)."""
    first = node.require(0)
    kind = element_of(first)
    if first.is_index:
        return f"the integer input {quoted(first.name)}"
    known = ACTIVATIONS if first.data is None else LIMITS
    return None if kind in known else f"the {kind} {quoted(first.name)}"


def zero_point_has_data_type(node: OnnxNode) -> str | None:
    """the zero point must have the type of the integers."""
    operand = node.operand(2)
    if operand is None:
        return None
    kind, wanted = element_of(operand), element_of(node.require(0))
    return None if kind == wanted else f"{kind} beside {wanted}"


def wide_zero_point_is_zero(node: OnnxNode) -> str | None:
    """the zero point of int32 must be 0."""
    zero = _zero_points(node).reshape(-1)
    kind = element_of(node.require(0))
    return str(zero[zero != 0][0]) if kind == "int32" and zero.any() else None


def parameters_agree(node: OnnxNode) -> str | None:
    """there must be one scale, or one per entry of the axis, and as many zero points."""
    scales, zeros = _scales(node), _zero_points(node)
    if scales.size != zeros.size or scales.size == 0:
        return f"{scales.size} scales and {zeros.size} zero points"
    if scales.size == 1:
        return None
    shape, axis = node.require(0).shape, node.whole("axis", 1)
    if not -len(shape) <= axis < len(shape):
        return f"axis {axis} of {len(shape)} dimensions"
    entries = shape[axis]
    return None if scales.size == entries else f"{scales.size} scales for {entries} entries"


def computed_has_one_scale(node: OnnxNode) -> str | None:
    """a computed tensor must have one scale."""
    return (
        str(_scales(node).size)
        if node.require(0).data is None and _scales(node).size != 1
        else None
    )


# -- lowering -----------------------------------------------------------------------------------


def _along_axis(node: OnnxNode, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return scales or zero points with as many dimensions as the data, ready to broadcast."""
    rank = len(node.require(0).shape)
    if values.size == 1:
        return values.reshape((1,) * rank)
    shape = [1] * rank
    shape[node.whole("axis", 1)] = values.size
    return values.reshape(shape)


def _smallest(integers: npt.NDArray[np.int32]) -> npt.NDArray[np.integer[Any]]:
    low, high = int(integers.min(initial=0)), int(integers.max(initial=0))
    for kind in (np.int8, np.int16):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:
            return integers.astype(kind)
    return integers


def _dequantized(node: OnnxNode, data: Array) -> Operand:
    """Return a constant's numbers, with the integers they were made of."""
    scale = _along_axis(node, _scales(node))
    zero = _along_axis(node, _zero_points(node)).astype(np.int32)
    integers = np.asarray(data).astype(np.int32) - zero
    with np.errstate(over="ignore"):  # an infinite constant is refused where it is used
        numbers = integers.astype(np.float32) * scale.astype(np.float32)
    bits = LIMITS[element_of(node.require(0))][2]
    stored = StoredIntegers(_smallest(integers), scale, bits)
    return Operand(node.outputs[0], numbers.shape, numbers, stored=stored)


def _lower_dequantize(node: OnnxNode, builder: GraphBuilder) -> None:
    first = node.require(0)
    if first.data is not None:
        builder.spend(node, first.data.size)
        builder.operands[node.outputs[0]] = _dequantized(node, first.data)
        return
    grid = Quantization(first.element, float(_scales(node).item()), int(_zero_points(node).item()))
    builder.settle(node, first.root, grid)
    builder.drop(node, Operand(first.name, first.shape))


def _quantized(node: OnnxNode, data: Array) -> Operand:
    """Return the integers of a float constant, as ONNX computes them (in float32)."""
    kind = _result_type(node)
    low, high, _ = LIMITS[kind]
    scale = _along_axis(node, _scales(node)).astype(np.float32)
    zero = _along_axis(node, _zero_points(node))
    with np.errstate(over="ignore"):
        steps = np.rint(np.asarray(data, dtype=np.float32) / scale)
    if np.isnan(steps.min(initial=0)):
        raise node.refusal(f"constant {quoted(node.require(0).name)} must be finite, not NaN")
    clipped = np.clip(steps.astype(np.float64) + zero, low, high)
    return Operand(node.outputs[0], data.shape, clipped.astype(np.int32), element=kind)


def _lower_quantize(node: OnnxNode, builder: GraphBuilder) -> None:
    first = node.require(0)
    if first.data is not None:
        builder.spend(node, first.data.size)
        builder.operands[node.outputs[0]] = _quantized(node, first.data)
        return
    kind = _result_type(node)
    grid = Quantization(kind, float(_scales(node).item()), int(_zero_points(node).item()))
    builder.quantize(node, builder.use(first), grid)


SUPPORT = (
    Support(
        "QuantizeLinear",
        "Quantize (of a constant: its integers)",
        (
            parameters_are_constant,
            scales_are_positive,
            not_blocked,
            single_precision,
            data_is_float,
            result_is_8_bit,
            parameters_agree,
            computed_has_one_scale,
        ),
        _lower_quantize,
    ),
    Support(
        "DequantizeLinear",
        "nothing (part of Quantize; of a constant: its numbers, integers kept)",
        (
            parameters_are_constant,
            scales_are_positive,
            not_blocked,
            single_precision,
            data_is_integer,
            zero_point_has_data_type,
            wide_zero_point_is_zero,
            parameters_agree,
            computed_has_one_scale,
        ),
        _lower_dequantize,
    ),
)
