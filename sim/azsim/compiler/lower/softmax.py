"""Softmax and LogSoftmax: over the last axis by one command; over another axis between two
transpositions."""

from __future__ import annotations

from azsim.compiler.context import LoweringContext
from azsim.compiler.formats import Format
from azsim.compiler.lower.moves import add_transposed
from azsim.graph import Node
from azsim.graph.integer import IntegerTensor, LogSoftmaxRows, SoftmaxRows

EXP_STEPS = 1024.0  # exp input: Q5.10
UNIT_STEPS = 2.0**-15  # probabilities before the last rescale: Q0.15


def lower_softmax(node: Node, context: LoweringContext) -> None:
    """Softmax or its logarithm, of int8 x over attribute `axis`; int8 result."""
    x = context.int8(node.inputs[0])
    y = context.declare(node.outputs[0])
    axis = int(str(node.attributes["axis"]))
    rank = len(x.shape)
    if axis == rank - 1:
        _add_rows(node, context, x, y)
        return
    perm = [*(k for k in range(rank) if k != axis), axis]
    turned = add_transposed(context, f"{node.name}/turn", x, perm)
    form = Format("int8", y.scale, y.zero_point)
    rows = context.new_tensor(f"{node.name}/rows", turned.shape, form)
    _add_rows(node, context, turned, rows)
    back = [perm.index(k) for k in range(rank)]
    add_transposed(context, f"{node.name}/back", rows, back, y)


def _add_rows(node: Node, context: LoweringContext, x: IntegerTensor, y: IntegerTensor) -> None:
    in_multiplier, in_shift = context.multiplier(node.name, x.scale * EXP_STEPS)
    is_log = node.operator == "LogSoftmax"
    steps = 1 / EXP_STEPS if is_log else UNIT_STEPS
    kind = LogSoftmaxRows if is_log else SoftmaxRows
    scale_in, scale_out = (in_multiplier, in_shift), context.multiplier(node.name, steps / y.scale)
    context.add(kind(node.name, x.name, y.name, *scale_in, *scale_out))
