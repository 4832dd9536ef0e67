"""MatMul and Gemm: products with constant weights."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import Array, OnnxNode, Operand
from azsim.frontend.rules import Support, float_inputs, integers_beyond_8_bits, scales_off_axis
from azsim.graph.shapes import element_count
from azsim.graph.text import quoted, shape_text


def data_is_computed(node: OnnxNode) -> str | None:
    """the first input must be computed (weights come second)."""
    first = node.require(0)
    return f"the constant {quoted(first.name)}" if first.data is not None else None


def inputs_are_matrices(node: OnnxNode) -> str | None:
    """both inputs must have 1 or more dimensions."""
    a, b = node.require(0).shape, node.require(1).shape
    return None if len(a) >= 1 and len(b) >= 1 else f"{shape_text(a)} and {shape_text(b)}"


def vectors_are_apart(node: OnnxNode) -> str | None:
    """a second input of 1 dimension must meet a computed first one."""
    a, b = node.require(0), node.require(1)
    is_wrong = len(b.shape) == 1 and a.data is not None
    return f"the constant {quoted(a.name)}" if is_wrong else None


def product_fits(node: OnnxNode) -> str | None:
    """the columns of the first input must be the rows of the second, and leading dimensions must
    broadcast."""
    a, b = node.require(0).shape, node.require(1).shape
    b = (*b, 1) if len(b) == 1 else b
    leading = zip(a[-3::-1], b[-3::-1], strict=False)
    if a[-1] == b[-2] and all(m == n or 1 in (m, n) for m, n in leading):
        return None
    return f"{shape_text(a)} and {shape_text(b)}"


def matrix_weights_scales_are_per_row(node: OnnxNode) -> str | None:
    """scales of quantized weights must be one, or one per output (the last dimension)."""
    second = node.require(1)
    return scales_off_axis(second, len(second.shape) - 1 if len(second.shape) > 1 else -1)


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
    product = (node.require(0).shape[1 if node.whole("transA", 0) else 0], columns)
    tail = product[2 - len(third.shape) :] if len(third.shape) <= 2 else ()
    fits = len(third.shape) <= 2 and all(
        have in (1, want) for have, want in zip(third.shape, tail, strict=True)
    )
    return None if fits else shape_text(third.shape)


def lower_matmul(node: OnnxNode, builder: GraphBuilder) -> None:
    """A product of the last two dimensions, with constant or computed second input."""
    a, b = node.require(0), node.require(1)
    if len(b.shape) == 1:
        _lower_column(node, builder)
        return
    inputs = (builder.use(a), builder.use(b)) if a.data is None else ("", "")
    if a.data is not None:
        _lower_left_constant(node, builder)
    elif b.data is None:
        _emit_rows(node, builder, inputs)
    elif len(b.shape) == 2:
        builder.emit(node.name, "MatMul", inputs, node.outputs)
    elif element_count(b.shape[:-2]) == 1 and len(b.shape) <= len(a.shape):
        _lower_one_matrix(node, builder)
    else:
        _emit_rows(node, builder, inputs)


def _lower_column(node: OnnxNode, builder: GraphBuilder) -> None:
    """A second input of one dimension is a matrix of one column, which the result goes without."""
    a, b = node.require(0), node.require(1)
    column, product = (builder.fresh_value(f"{node.name}.{part}") for part in ("column", "product"))
    if b.data is not None:
        stored = b.stored
        if stored is not None:
            scale = stored.scale.reshape(1, 1)
            stored = replace(stored, integers=stored.integers.reshape(-1, 1), scale=scale)
        column = builder.derived(node, "weight", b.data.reshape(-1, 1), stored)
    else:
        name = builder.fresh_node(f"{node.name}.column")
        builder.emit(name, "Reshape", (builder.use(b),), (column,), target=(*b.shape, 1))
    operands = (Operand(a.name, a.shape), Operand(column, (*b.shape, 1)))
    if b.data is not None:
        operands = (operands[0], replace(operands[1], data=b.data.reshape(-1, 1)))
    label = builder.fresh_node(f"{node.name}.product")
    inner = OnnxNode(label, node.operator, node.opset, operands, (product,))
    lower_matmul(inner, builder)
    builder.emit(node.name, "Reshape", (product,), node.outputs, target=a.shape[:-1])


def _emit_rows(node: OnnxNode, builder: GraphBuilder, inputs: tuple[str, str]) -> None:
    """A product of two computed tensors; a single row of the first input becomes a matrix."""
    shape = builder.values[inputs[0]].shape
    if len(shape) > 1:
        builder.emit(node.name, "MatMulRows", inputs, node.outputs)
        return
    row, product = builder.fresh_value(f"{node.name}.row"), builder.fresh_value(f"{node.name}.full")
    name = builder.fresh_node(f"{node.name}.row")
    builder.emit(name, "Reshape", inputs[:1], (row,), target=(1, *shape))
    builder.emit(
        builder.fresh_node(f"{node.name}.full"), "MatMulRows", (row, inputs[1]), (product,)
    )
    full = builder.values[product].shape
    target = (*full[:-2], full[-1])
    builder.emit(node.name, "Reshape", (product,), node.outputs, target=target)


def _lower_one_matrix(node: OnnxNode, builder: GraphBuilder) -> None:
    """Constant weights (1, .., K, N) are a matrix."""
    weight = node.require(1)
    shape = weight.shape[-2:]
    assert weight.data is not None  # the caller made sure
    stored = weight.stored
    if stored is not None:
        scale = stored.scale.reshape(stored.scale.shape[-2:])
        stored = replace(stored, integers=stored.integers.reshape(shape), scale=scale)
    matrix = builder.derived(node, "weight", weight.data.reshape(shape), stored)
    builder.emit(node.name, "MatMul", (builder.use(node.require(0)), matrix), node.outputs)


def _lower_left_constant(node: OnnxNode, builder: GraphBuilder) -> None:
    """A constant matrix times x is the transpose of x transposed times the matrix transposed."""
    a, b = node.require(0), node.require(1)
    if len(a.shape) != 2 or a.data is None:
        _emit_rows(node, builder, (builder.use(a), builder.use(b)))
        return
    rank = len(b.shape)
    perm = (*range(rank - 2), rank - 1, rank - 2)
    turned = builder.fresh_value(f"{node.name}.turned")
    product = builder.fresh_value(f"{node.name}.product")
    name = builder.fresh_node(f"{node.name}.turn")
    builder.emit(name, "Transpose", (builder.use(b),), (turned,), {"perm": perm})
    stored = a.stored
    if stored is not None:
        stored = replace(stored, integers=stored.integers.T, scale=stored.scale.T)
    matrix = builder.derived(node, "weight", a.data.T, stored)
    builder.emit(node.name, "MatMul", (turned, matrix), (product,))
    name = builder.fresh_node(f"{node.name}.back")
    builder.emit(name, "Transpose", (product,), node.outputs, {"perm": perm})


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


def _gemm_data(node: OnnxNode, builder: GraphBuilder) -> str:
    source = builder.use(node.require(0))
    if not node.whole("transA", 0):
        return source
    turned = builder.fresh_value(f"{node.name}.turned")
    name = builder.fresh_node(f"{node.name}.turn")
    builder.emit(name, "Transpose", (source,), (turned,), {"perm": (1, 0)})
    return turned


def _lower_gemm(node: OnnxNode, builder: GraphBuilder) -> None:
    third, beta = node.operand(2), node.real("beta", 1.0)
    inputs = (_gemm_data(node, builder), _gemm_weight(node, builder))
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
        "MatMul; of two computed tensors MatMulRows",
        (
            float_inputs,
            inputs_are_matrices,
            vectors_are_apart,
            product_fits,
            matrix_weights_scales_are_per_row,
            weight_integers_fit,
        ),
        lower_matmul,
    ),
    Support(
        "Gemm",
        "MatMul, Add (alpha and beta go into the constants; transA: Transpose)",
        (
            float_inputs,
            data_is_computed,
            data_is_matrix,
            weights_are_constant,
            weight_scales_are_per_row,
            weight_integers_fit,
            alpha_keeps_the_sign,
            computed_addend_unscaled,
            addend_broadcasts_one_way,
        ),
        _lower_gemm,
    ),
)
