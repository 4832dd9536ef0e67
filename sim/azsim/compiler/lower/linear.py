"""MatMul with constant weights, fused with its bias and Relu."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from azsim.compiler.context import LoweringContext, node_where
from azsim.compiler.lower.weights import (
    BIAS_LIMIT,
    QuantizedWeights,
    check_accumulator,
    quantize_rows,
    row_multipliers,
)
from azsim.graph import Node
from azsim.graph.integer import Linear


def lower_matmul(node: Node, context: LoweringContext) -> None:
    """x (..., K) times constant (K, N): one Linear node with int8 output."""
    fused = context.fusion.products[node.name]
    where = node_where(node)
    x = context.tensor(context.convert(node.inputs[0], "int8"))
    weights = _weights(node, context)
    row_bias = np.zeros(weights.integers.shape[0])
    if fused.bias:
        row_bias = np.asarray(context.graph.constant(fused.bias), np.float64).reshape(-1)
    weights = _widened(weights, row_bias, x.scale)
    bias = np.rint(row_bias / (weights.scales * x.scale)).astype(np.int64)
    bias -= x.zero_point * weights.integers.sum(axis=1, dtype=np.int64)
    check_accumulator(where, weights, bias)
    y = context.declare(fused.result)
    multiplier, shift = row_multipliers(where, weights, x.scale / y.scale)
    context.add(
        Linear(
            node.name,
            x.name,
            y.name,
            weights.integers,
            weights.bits,
            multiplier,
            shift,
            bias.astype(np.int32),
            relu=fused.relu,
        )
    )


def _weights(node: Node, context: LoweringContext) -> QuantizedWeights:
    name, bits = node.inputs[1], context.plan.bits_of(node.name)

    def make() -> QuantizedWeights:
        data = context.graph.constant(name)
        assert data is not None  # the verifier made sure
        return quantize_rows(data.T, bits)

    made = context.cached_weights(name, "columns", bits, make)
    assert isinstance(made, QuantizedWeights)
    return made


def _widened(
    weights: QuantizedWeights, bias: npt.NDArray[np.float64], x_scale: float
) -> QuantizedWeights:
    """Give rows whose bias would need more than 2**30 steps a larger scale.

    Such rows have weights that are zero or tiny beside their bias; their weights are rounded again to the new steps.
    """
    lowest = np.maximum(np.abs(bias), 1e-30) / (x_scale * BIAS_LIMIT)
    short = weights.scales < lowest
    if not short.any():
        return weights
    integers = weights.integers.copy()
    ratio = weights.scales[short] / lowest[short]
    integers[short] = np.rint(integers[short] * ratio[:, None])
    return QuantizedWeights(integers, np.where(short, lowest, weights.scales), weights.bits)
