"""Add, Sub, Mul, Div, Min, Max, Sum, Mean, the activations of the machine's own tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import Array, OnnxNode, Operand
from azsim.frontend.operators.functions import emit_function, scalar_of
from azsim.frontend.rules import Support, float_inputs
from azsim.graph.formulas import number_word

MASKED = 1e30  # what an infinite entry of a mask counts as


def _lower_plain(node: OnnxNode, builder: GraphBuilder) -> None:
    inputs = tuple(builder.use(node.require(k)) for k in range(len(node.inputs)))
    builder.emit(node.name, node.operator, inputs, node.outputs)


def use_masked(node: OnnxNode, builder: GraphBuilder, operand: Operand) -> str:
    """Return the value name; infinite entries of a constant become +-`MASKED`."""
    data = operand.data
    if data is None or not np.issubdtype(data.dtype, np.floating) or not np.isinf(data).any():
        return builder.use(operand)
    return builder.derived(node, "mask", _limited(data))


def _limited(data: Array) -> Array:
    return np.clip(data.astype(np.float32), -MASKED, MASKED)  # beyond what float16 holds


def _lower_add(node: OnnxNode, builder: GraphBuilder) -> None:
    inputs = tuple(use_masked(node, builder, node.require(k)) for k in range(2))
    builder.emit(node.name, "Add", inputs, node.outputs)


def _lower_pair(node: OnnxNode, builder: GraphBuilder) -> None:
    """Two operands; with a single number as one of them a function of the other."""
    a, b = node.require(0), node.require(1)
    first, second = scalar_of(a), scalar_of(b)
    if first is not None and len(a.shape) <= len(b.shape) and b.data is None:
        emit_function(node, builder, b, (number_word(first), "x", node.operator))
    elif second is not None and len(b.shape) <= len(a.shape) and a.data is None:
        emit_function(node, builder, a, ("x", number_word(second), node.operator))
    else:
        _lower_plain(node, builder)


def _chained(operator: str) -> Callable[[OnnxNode, GraphBuilder], None]:
    """Several operands: one after the other."""

    def lower(node: OnnxNode, builder: GraphBuilder) -> None:
        first = node.require(0)
        if len(node.inputs) == 1:
            builder.drop(node, first)
            return
        if len(node.inputs) == 2 and operator != "Add":
            _lower_pair(node, builder)
            return
        total = builder.use(first)
        last = len(node.inputs) - 1
        for position in range(1, last + 1):
            name, output = node.name, node.outputs[0]
            if position < last:
                name = builder.fresh_node(f"{node.name}.{position}")
                output = builder.fresh_value(f"{node.name}.part{position}")
            builder.emit(name, operator, (total, builder.use(node.require(position))), (output,))
            total = output

    return lower


def _lower_mean(node: OnnxNode, builder: GraphBuilder) -> None:
    count = len(node.inputs)
    if count == 1:
        builder.drop(node, node.require(0))
        return
    total = builder.fresh_value(f"{node.name}.sum")
    inner = OnnxNode(
        builder.fresh_node(f"{node.name}.sum"), "Sum", node.opset, node.inputs, (total,)
    )
    _chained("Add")(inner, builder)
    share = np.full((1,) * len(builder.values[total].shape), 1.0 / count, np.float32)
    factor = builder.derived(node, "share", share)
    builder.emit(node.name, "Mul", (total, factor), node.outputs)


SUPPORT = (
    Support("Add", "Add", (float_inputs,), _lower_add),
    *(
        Support(operator, operator, (float_inputs,), _lower_plain)
        for operator in ("Mul", "Relu", "Sigmoid", "Tanh")
    ),
    *(
        Support(operator, f"{operator} (with one number: Function)", (float_inputs,), _lower_pair)
        for operator in ("Sub", "Div")
    ),
    *(
        Support(operator, f"{operator} (with one number: Function)", (float_inputs,), lower)
        for operator, lower in (("Min", _chained("Min")), ("Max", _chained("Max")))
    ),
    Support("Sum", "Add", (float_inputs,), _chained("Add")),
    Support("Mean", "Add, Mul", (float_inputs,), _lower_mean),
)
