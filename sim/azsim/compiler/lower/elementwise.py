"""Add, Mul, Relu, Sigmoid, Tanh on whole tensors."""

from __future__ import annotations

import math

from azsim.compiler.context import LoweringContext
from azsim.compiler.lower.moves import broadcast_to
from azsim.graph import Node
from azsim.graph.integer import Elementwise, IntegerKind, IntegerTensor, LookUp, Requant

GATE_STEPS = 4096.0  # table input: Q3.12
UNIT_STEPS = 2.0**-15  # table output: Q0.15
MULTIPLIER_BITS = 30  # of the larger operand of Add, so that the sum of both stays in int64


def lower_elementwise(node: Node, context: LoweringContext) -> None:
    """Add or Mul with numpy broadcasting; a constant operand becomes int16."""
    first, second = node.inputs
    y_shape = context.graph.values[node.outputs[0]].shape
    a, b = context.tensor(first), context.tensor(second)
    if _needs_swap(a, b, y_shape):
        a, b = b, a
    a = broadcast_to(context, a, y_shape, f"{node.name}/a")
    if not is_suffix(b.shape, y_shape):
        b = broadcast_to(context, b, y_shape, f"{node.name}/b")
    y = context.declare(node.outputs[0])
    if node.operator == "Add":
        m_a, m_b, shift = add_multipliers(a.scale / y.scale, b.scale / y.scale)
    else:
        m_a, shift = context.multiplier(node.name, a.scale * b.scale / y.scale)
        m_b = 0
    context.add(Elementwise(node.name, node.operator, a.name, b.name, y.name, m_a, m_b, shift))


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


def add_multipliers(real_a: float, real_b: float) -> tuple[int, int, int]:
    """Return (m_a, m_b, shift) with one shift: the larger factor fills 30 bits.

    A factor below 2**-32 of a step needs a shift beyond 62: it is kept as far as 62 allows.
    """
    exponent = math.frexp(max(real_a, real_b))[1]
    shift = max(0, min(62, MULTIPLIER_BITS - exponent))
    return round(math.ldexp(real_a, shift)), round(math.ldexp(real_b, shift)), shift


def lower_relu(node: Node, context: LoweringContext) -> None:
    """Relu on its own: a rescale with a lower bound."""
    x = context.tensor(node.inputs[0])
    y = context.declare(node.outputs[0])
    multiplier, shift = context.multiplier(node.name, x.scale / y.scale)
    context.add(Requant(node.name, x.name, y.name, multiplier, shift, relu=True))


def lower_look_up(node: Node, context: LoweringContext) -> None:
    """Sigmoid or Tanh by table."""
    x = context.tensor(node.inputs[0])
    y = context.declare(node.outputs[0])
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
