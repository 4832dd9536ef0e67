"""Add, Sub, Mul, Min, Max, Relu and Quantize on whole tensors."""

from __future__ import annotations

import math

import numpy as np

from azsim.compiler.context import LoweringContext, constant_in, node_where
from azsim.compiler.formats import Format
from azsim.compiler.lower.moves import broadcast_to, is_suffix
from azsim.compiler.ranges import MASKED
from azsim.errors import CompileError
from azsim.graph import Node, Value
from azsim.graph.integer import (
    Elementwise,
    Extreme,
    IntegerKind,
    IntegerTensor,
    View,
)

SATURATING_STEPS = 256.0  # any int8 result plus as many lies beyond the other end
ADDEND_BITS = 16  # fraction bits of a step that a constant addend keeps
MULTIPLIER_BITS = 30  # of the larger operand of Add, so that the sum of both stays in int64


def lower_elementwise(node: Node, context: LoweringContext) -> None:
    """Add, Sub or Mul, numpy broadcasting; a constant operand becomes int16, or int32 to be
    exact."""
    result = context.fusion.limited.get(node.name, node.outputs[0])
    a, b, swapped = _operands(node, context, result)
    y = context.declare(result)
    if node.operator == "Mul":
        m_a, shift = context.multiplier(node.name, a.scale * b.scale / y.scale)
        m_b = 0
    else:
        m_a, m_b, shift = add_multipliers(node_where(node), a.scale / y.scale, b.scale / y.scale)
    if node.operator == "Sub":
        m_a, m_b = (-m_a, m_b) if swapped else (m_a, -m_b)
    operator = "Mul" if node.operator == "Mul" else "Add"
    relu = result != node.outputs[0]
    context.add(Elementwise(node.name, operator, a.name, b.name, y.name, m_a, m_b, shift, relu))


def lower_extreme(node: Node, context: LoweringContext) -> None:
    """Min or Max, numpy broadcasting; both operands are rounded to the result's steps."""
    a, b, _ = _operands(node, context, node.outputs[0])
    y = context.declare(node.outputs[0])
    m_a, m_b, shift = add_multipliers(node_where(node), a.scale / y.scale, b.scale / y.scale)
    kind = node.operator.lower()
    context.add(Extreme(node.name, kind, a.name, b.name, y.name, m_a, m_b, shift))


def _operands(
    node: Node, context: LoweringContext, result: str
) -> tuple[IntegerTensor, IntegerTensor, bool]:
    """The operands in the order in which the second repeats, and whether that is the other way
    round."""
    y_shape = context.graph.values[result].shape
    take = _factor if node.operator == "Mul" else _addend
    a, b = (take(context, name, context.formats[result]) for name in node.inputs)
    swapped = _needs_swap(a, b, y_shape)
    if swapped:
        a, b = b, a
    a = broadcast_to(context, a, y_shape, f"{node.name}/a")
    if not is_suffix(b.shape, y_shape):
        b = broadcast_to(context, b, y_shape, f"{node.name}/b")
    return a, b, swapped


def _factor(context: LoweringContext, name: str, y_format: Format) -> IntegerTensor:
    return context.at_most_int16(name)


def _addend(context: LoweringContext, name: str, y_format: Format) -> IntegerTensor:
    """An operand of Add. A constant without integers of its own that is added into a format stated
    by the model gets a power-of-two part of its step, so that the sum is rounded once."""
    value = context.graph.values[name]
    if value.data is not None and float(value.data.min()) <= MASKED:
        return _mask(context, value, y_format)
    if value.data is None or not y_format.stated or y_format.element != "int8":
        return context.tensor(name)
    own = value.stored
    if own is not None and own.scale.size == 1 and own.integers.dtype != np.int32:
        return context.tensor(name)
    peak = float(np.abs(value.data).max()) / y_format.scale
    bits = max(0, min(ADDEND_BITS, 30 - math.frexp(peak)[1]))
    form = Format("int32", y_format.scale * 2.0**-bits)
    return context.tensor(context.convert(name, form))


def _mask(context: LoweringContext, value: Value, y_format: Format) -> IntegerTensor:
    """A constant that rules some entries out: it needs no more range than saturates the result."""
    name = f"{value.name}@mask.{len(context.tensors)}"
    form = Format("int16", 2 * SATURATING_STEPS * y_format.scale / 32767)
    context.tensors[name] = constant_in(name, value, form)
    return context.tensors[name]


def _needs_swap(a: IntegerTensor, b: IntegerTensor, y_shape: tuple[int, ...]) -> bool:
    """The whole-shaped operand comes first; of two whole ones the computed one."""
    if a.size != b.size:
        return a.size < b.size
    return a.kind is IntegerKind.CONSTANT


def add_multipliers(where: str, real_a: float, real_b: float) -> tuple[int, int, int]:
    """Return (m_a, m_b, shift) with one shift: the larger factor fills 30 bits.

    A factor below 2**-32 of a step needs a shift beyond 62: it is kept as far as 62 allows.
    """
    most = 2**MULTIPLIER_BITS - 1
    if not max(real_a, real_b) <= most:
        raise CompileError(
            f"{where}: rescale factor must be at most 2**30 - 1, not {max(real_a, real_b):.6g}"
        )
    shift = max(0, min(62, MULTIPLIER_BITS - math.frexp(max(real_a, real_b))[1]))
    if round(math.ldexp(max(real_a, real_b), shift)) > most:
        shift -= 1
    return round(math.ldexp(real_a, shift)), round(math.ldexp(real_b, shift)), shift


def lower_relu(node: Node, context: LoweringContext) -> None:
    """Relu on its own: a rescale with a lower bound."""
    x = context.tensor(node.inputs[0])
    y = context.declare(node.outputs[0])
    context.requant(node.name, x.name, y.name, relu=True)


def lower_quantize(node: Node, context: LoweringContext) -> None:
    """The model's own quantization of a value: nothing where it was computed so, else a rescale."""
    x = context.tensor(node.inputs[0])
    y = context.declare(node.outputs[0])
    if (x.element, x.scale, x.zero_point) == (y.element, y.scale, y.zero_point):
        context.add(View(node.name, x.name, y.name))
    else:
        context.requant(node.name, x.name, y.name)
