"""Add, Mul, Relu, Sigmoid, Tanh and Quantize on whole tensors."""

from __future__ import annotations

import math

import numpy as np

from azsim.compiler.context import LoweringContext, node_where
from azsim.compiler.formats import Format
from azsim.compiler.lower.moves import broadcast_to
from azsim.errors import CompileError
from azsim.graph import Node
from azsim.graph.integer import (
    Elementwise,
    EmbedRows,
    IntegerKind,
    IntegerTensor,
    LookUp,
    View,
)

GATE_STEPS = 4096.0  # table input: Q3.12
UNIT_STEPS = 2.0**-15  # table output: Q0.15
ADDEND_BITS = 16  # fraction bits of a step that a constant addend keeps
MULTIPLIER_BITS = 30  # of the larger operand of Add, so that the sum of both stays in int64


def lower_elementwise(node: Node, context: LoweringContext) -> None:
    """Add or Mul, numpy broadcasting; a constant operand becomes int16, or int32 to be exact."""
    result = context.fusion.limited.get(node.name, node.outputs[0])
    y_shape = context.graph.values[result].shape
    take = _addend if node.operator == "Add" else _factor
    a, b = (take(context, name, context.formats[result]) for name in node.inputs)
    if _needs_swap(a, b, y_shape):
        a, b = b, a
    a = broadcast_to(context, a, y_shape, f"{node.name}/a")
    if not is_suffix(b.shape, y_shape):
        b = broadcast_to(context, b, y_shape, f"{node.name}/b")
    y = context.declare(result)
    if node.operator == "Add":
        m_a, m_b, shift = add_multipliers(node_where(node), a.scale / y.scale, b.scale / y.scale)
    else:
        m_a, shift = context.multiplier(node.name, a.scale * b.scale / y.scale)
        m_b = 0
    relu = result != node.outputs[0]
    context.add(
        Elementwise(node.name, node.operator, a.name, b.name, y.name, m_a, m_b, shift, relu)
    )


def _factor(context: LoweringContext, name: str, y_format: Format) -> IntegerTensor:
    return context.at_most_int16(name)


def _addend(context: LoweringContext, name: str, y_format: Format) -> IntegerTensor:
    """An operand of Add. A constant without integers of its own that is added into a format stated
    by the model gets a power-of-two part of its step, so that the sum is rounded once."""
    value = context.graph.values[name]
    if value.data is None or not y_format.stated or y_format.element != "int8":
        return context.tensor(name)
    own = value.stored
    if own is not None and own.scale.size == 1 and own.integers.dtype != np.int32:
        return context.tensor(name)
    peak = float(np.abs(value.data).max()) / y_format.scale
    bits = max(0, min(ADDEND_BITS, 30 - math.frexp(peak)[1]))
    form = Format("int32", y_format.scale * 2.0**-bits)
    return context.tensor(context.convert(name, form))


def _needs_swap(a: IntegerTensor, b: IntegerTensor, y_shape: tuple[int, ...]) -> bool:
    """The whole-shaped operand comes first; of two whole ones the computed one."""
    if a.size != b.size:
        return a.size < b.size
    return a.kind is IntegerKind.CONSTANT


def is_suffix(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """True if `shape` without its leading ones is the end of `whole`: its data repeats as it is."""
    short = shape
    while short and short[0] == 1:
        short = short[1:]
    return len(short) <= len(whole) and (not short or whole[-len(short) :] == short)


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


def lower_look_up(node: Node, context: LoweringContext) -> None:
    """Sigmoid or Tanh: by the machine's table, or between stated int8 formats by one of its own."""
    x = context.tensor(node.inputs[0])
    form = context.formats[node.outputs[0]]
    y = context.declare(node.outputs[0])
    source = context.formats.get(node.inputs[0])
    if source is not None and source.stated and form.stated and x.element == y.element == "int8":
        _add_own_table(node, context, x, y)
        return
    in_multiplier, in_shift = context.multiplier(node.name, x.scale * GATE_STEPS)
    out_multiplier, out_shift = context.multiplier(node.name, UNIT_STEPS / y.scale)
    context.add(
        LookUp(
            node.name,
            node.operator.lower(),
            x.name,
            y.name,
            in_multiplier,
            in_shift,
            out_multiplier,
            out_shift,
        )
    )


def _add_own_table(
    node: Node, context: LoweringContext, x: IntegerTensor, y: IntegerTensor
) -> None:
    """All 256 results, each rounded once from the exact function; x chooses the row.

    The machine's tables have Q3.12 at their input, which is too coarse for the model's own steps.
    """
    real = (np.arange(-128, 128) - x.zero_point) * x.scale
    results = np.tanh(real) if node.operator == "Tanh" else 0.5 + 0.5 * np.tanh(0.5 * real)
    steps = np.clip(np.rint(results / y.scale) + y.zero_point, -128, 127)
    form = Format("int32", x.scale, x.zero_point + 128)
    index = context.new_tensor(f"{node.name}/row", x.shape, form)
    context.requant(f"{node.name}/index", x.name, index.name)
    table = steps.astype(np.int8).reshape(256, 1)
    context.add(EmbedRows(node.name, table, index.name, y.name))
