"""MatMul and Gemm: products with constant weights."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import Array, OnnxNode
from azsim.frontend.rules import Support, float_inputs, integers_beyond_8_bits, scales_off_axis
from azsim.graph.text import quoted, shape_text


def data_is_computed(node: OnnxNode) -> str | None:
    """the first input must be computed (weights come second)."""
    first = node.require(0)
    return f"the constant {quoted(first.name)}" if first.data is not None else None


def weights_are_constant(node: OnnxNode) -> str | None:
    """the second input must be a constant matrix."""
    second = node.require(1)
    if second.data is None:
        return f"the computed {quoted(second.name)}"
    return None if len(second.shape) == 2 else f"of shape {shape_text(second.shape)}"


def weight_scales_are_per_row(node: OnnxNode) -> str | None:
    """scales of quantized weights must be one, or one per output (dimension 1; 0 with transB)."""
    return scales_off_axis(node.require(1), 0 if node.whole("transB", 0) else 1)


def weight_integers_fit(node: OnnxNode) -> str | None:
    """quantized weights less their zero point must be -128 to 127."""
    return integers_beyond_8_bits(node.require(1))


def alpha_keeps_the_sign(node: OnnxNode) -> str | None:
    """alpha must be positive where the weights are quantized."""
    alpha = node.real("alpha", 1.0)
    is_wrong = node.require(1).stored is not None and not 0.0 < alpha < math.inf
    return f"{alpha:g}" if is_wrong else None


def data_is_not_transposed(node: OnnxNode) -> str | None:
    """transA must be 0."""
    return str(node.whole("transA", 0)) if node.whole("transA", 0) else None


def data_is_matrix(node: OnnxNode) -> str | None:
    """the first input must have 2 dimensions."""
    shape = node.require(0).shape
    return None if len(shape) == 2 else f"shape {shape_text(shape)}"


def computed_addend_unscaled(node: OnnxNode) -> str | None:
    """beta must be 1 (or 0) where the third input is computed."""
    third = node.operand(2)
    beta = node.real("beta", 1.0)
    return f"{beta:g}" if third is not None and third.data is None and beta not in (0, 1) else None


def addend_broadcasts_one_way(node: OnnxNode) -> str | None:
    """the third input must broadcast to the shape of the product."""
    third = node.operand(2)
    if third is None:
        return None
    weight = node.require(1).shape
    columns = weight[0] if node.whole("transB", 0) else weight[1]
    product = (node.require(0).shape[0], columns)
    tail = product[2 - len(third.shape) :] if len(third.shape) <= 2 else ()
    fits = len(third.shape) <= 2 and all(
        have in (1, want) for have, want in zip(third.shape, tail, strict=True)
    )
    return None if fits else shape_text(third.shape)


def _lower_matmul(node: OnnxNode, builder: GraphBuilder) -> None:
    inputs = (builder.use(node.require(0)), builder.use(node.require(1)))
    builder.emit(node.name, "MatMul", inputs, node.outputs)


def _scaled(data: Array, factor: float) -> Array:
    # in float32, as a run-time that multiplies the product would
    return data if factor == 1.0 else (data.astype(np.float32) * np.float32(factor))


def _gemm_weight(node: OnnxNode, builder: GraphBuilder) -> str:
    weight = node.require(1)
    alpha = node.real("alpha", 1.0)
    if weight.data is None or (alpha == 1.0 and not node.whole("transB", 0)):
        return builder.use(weight)
    matrix, stored = weight.data, weight.stored
    if node.whole("transB", 0):
        matrix = matrix.T
        stored = stored and replace(stored, integers=stored.integers.T, scale=stored.scale.T)
    if stored is not None and alpha != 1.0:
        stored = replace(stored, scale=stored.scale * alpha)
    return builder.derived(node, "weight", _scaled(matrix, alpha), stored)


def _lower_gemm(node: OnnxNode, builder: GraphBuilder) -> None:
    third, beta = node.operand(2), node.real("beta", 1.0)
    inputs = (builder.use(node.require(0)), _gemm_weight(node, builder))
    if third is None or beta == 0.0:
        builder.emit(node.name, "MatMul", inputs, node.outputs)
        return
    product = builder.fresh_value(f"{node.name}.product")
    builder.emit(node.name, "MatMul", inputs, (product,))
    if third.data is not None and beta != 1.0:
        stored = third.stored if beta > 0 else None
        stored = stored and replace(stored, scale=stored.scale * beta)
        addend = builder.derived(node, "bias", _scaled(third.data, beta), stored)
    else:
        addend = builder.use(third)
    name = builder.fresh_node(f"{node.name}.add")
    builder.emit(name, "Add", (product, addend), node.outputs)


SUPPORT = (
    Support(
        "MatMul",
        "MatMul",
        (
            float_inputs,
            data_is_computed,
            weights_are_constant,
            weight_scales_are_per_row,
            weight_integers_fit,
        ),
        _lower_matmul,
    ),
    Support(
        "Gemm",
        "MatMul, Add (alpha and beta go into the constants)",
        (
            float_inputs,
            data_is_computed,
            data_is_matrix,
            weights_are_constant,
            weight_scales_are_per_row,
            weight_integers_fit,
            alpha_keeps_the_sign,
            data_is_not_transposed,
            computed_addend_unscaled,
            addend_broadcasts_one_way,
        ),
        _lower_gemm,
    ),
)
