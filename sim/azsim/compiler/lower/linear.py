"""MatMul with constant weights, fused with its bias and Relu; what Conv shares with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from azsim.compiler.context import LoweringContext, exact_data, node_where
from azsim.compiler.formats import Format
from azsim.compiler.lower.weights import (
    BIAS_LIMIT,
    Matrix,
    QuantizedWeights,
    check_accumulator,
    own_or_rounded,
    row_multipliers,
)
from azsim.graph import Node
from azsim.graph.integer import IntegerTensor, Linear
from azsim.graph.integer_window import Window

Floats = npt.NDArray[np.float64]

FINE_BITS = 16  # fraction bits of the output's step in which a bias is added after rescaling
BIAS_ERROR = 2.0**-12  # steps of the output that rounding a bias to accumulator steps may cost
SAME_SCALE = 2.0**-22  # a bias scale this near to (scale of x) x (scale of the row) means it


Add = Callable[["Product", LoweringContext, IntegerTensor, npt.NDArray[np.int64], bool], None]


@dataclass(frozen=True)
class Product:
    """A product with its operands: x, weights, and the bias of each row as a number."""

    node: Node
    x: IntegerTensor
    weights: QuantizedWeights
    bias: Floats
    window: Window | None = None
    add: Add | None = None  # appends the node in place of a Linear

    @property
    def where(self) -> str:
        return node_where(self.node)

    @property
    def sum_steps(self) -> Floats:
        """What one step of each row's accumulator stands for."""
        return self.weights.scales * self.x.scale

    @property
    def zero_part(self) -> npt.NDArray[np.int64]:
        """What the zero point of x adds to each accumulator, to be taken off again."""
        sums: npt.NDArray[np.int64] = self.weights.integers.sum(axis=1, dtype=np.int64)
        return self.x.zero_point * sums


def lower_matmul(node: Node, context: LoweringContext) -> None:
    """x (..., K) times constant (K, N): one Linear node with int8 output."""
    lower_product(node, context, context.int8(node.inputs[0]), lambda data: data.T)


def lower_product(
    node: Node,
    context: LoweringContext,
    x: IntegerTensor,
    rows: Callable[[Matrix], Matrix],
    window: Window | None = None,
    add: Add | None = None,
) -> None:
    """Product of int8 `x` with the constant weights of `node`, its second input, fused with what
    follows; `rows` turns the weights into (N, K). `add` may append another node than a Linear where
    the bias joins the accumulator and the result is int8."""
    fused = context.fusion.products[node.name]
    weights = own_or_rounded(node, context, node.inputs[1], rows)
    bias = _bias_numbers(fused.bias, context, weights, x)
    form = context.formats[fused.result]
    product = Product(node, x, weights, bias, window, add)
    y = context.declare(fused.result)
    is_own = context.graph.values[node.inputs[1]].stored is not None
    if form.element == "int32" or ((form.stated or is_own) and _loses_bias(product, form)):
        _add_fine(product, context, y, fused.relu)
        return
    if not is_own:
        product = Product(node, x, _widened(weights, bias, x.scale), bias, window, add)
    _add_plain(product, context, y, fused.relu)


def _bias_numbers(
    name: str, context: LoweringContext, weights: QuantizedWeights, x: IntegerTensor
) -> Floats:
    """The bias of each row. Integers that the model holds in steps of the accumulator stay exact:
    float32 scales are only near to the product of the scales they were made from."""
    if not name:
        return np.zeros(weights.integers.shape[0])
    value = context.graph.values[name]
    numbers = exact_data(value).reshape(-1)
    if value.stored is None:
        return numbers
    steps = weights.scales * x.scale
    scales = np.broadcast_to(value.stored.scale, value.shape).reshape(-1)
    integers = value.stored.integers.reshape(-1).astype(np.float64)
    same = np.abs(scales - steps) <= SAME_SCALE * steps
    return np.where(same, integers * steps, numbers)


def _loses_bias(product: Product, form: Format) -> bool:
    """True if a bias would not fit the accumulator, or if rounding it to accumulator steps would be
    off by a visible part of an output step that the model states."""
    steps = product.sum_steps
    if (np.abs(product.bias) > BIAS_LIMIT * steps).any():
        return True
    exact = product.bias / np.where(steps > 0, steps, 1.0)
    error = np.abs(np.rint(exact) - exact) * steps / form.scale
    return form.stated and bool((error > BIAS_ERROR).any())


def _add_plain(product: Product, context: LoweringContext, y: IntegerTensor, relu: bool) -> None:
    """The bias joins the accumulator; one rounding."""
    steps = product.sum_steps
    # a row of zeros has scale 0: its bias was given a scale by _widened
    bias = np.rint(product.bias / np.where(steps > 0, steps, 1.0)).astype(np.int64)
    bias -= product.zero_part
    check_accumulator(product.where, product.weights, bias)
    add = product.add or _add_linear
    add(product, context, y, bias, relu)


def _add_fine(product: Product, context: LoweringContext, y: IntegerTensor, relu: bool) -> None:
    """The bias is added after rescaling to a fine int32, which is then rounded to y."""
    check_accumulator(product.where, product.weights)
    fine = y
    if y.element != "int32":
        form = Format("int32", y.scale * 2.0**-FINE_BITS)
        fine = context.new_tensor(f"{product.node.name}/sum", y.shape, form)
    real = product.bias - product.zero_part * product.sum_steps
    bias = np.clip(np.rint(real / fine.scale), -(2**31), 2**31 - 1).astype(np.int64)
    relu_here = relu and fine is y
    _add_linear(product, context, fine, bias, relu_here, bias_after=True)
    if fine is not y:
        context.requant(f"{product.node.name}/round", fine.name, y.name, relu)


def _add_linear(
    product: Product,
    context: LoweringContext,
    y: IntegerTensor,
    bias: npt.NDArray[np.int64],
    relu: bool,
    bias_after: bool = False,
) -> None:
    weights = product.weights
    multiplier, shift = row_multipliers(product.where, weights, product.x.scale / y.scale)
    context.add(
        Linear(
            product.node.name,
            product.x.name,
            y.name,
            weights.integers,
            weights.bits,
            multiplier,
            shift,
            bias.astype(np.int32),
            bias_after=bias_after,
            relu=relu,
            window=product.window,
        )
    )


def _widened(weights: QuantizedWeights, bias: Floats, x_scale: float) -> QuantizedWeights:
    """Give rows whose bias would need more than 2**30 steps a larger scale.

    Such rows have weights that are zero or tiny beside their bias; their weights are rounded again
    to the new steps.
    """
    lowest = np.maximum(np.abs(bias), 1e-30) / (x_scale * BIAS_LIMIT)
    short = weights.scales < lowest
    if not short.any():
        return weights
    integers = weights.integers.copy()
    ratio = weights.scales[short] / lowest[short]
    integers[short] = np.rint(integers[short] * ratio[:, None])
    return QuantizedWeights(integers, np.where(short, lowest, weights.scales), weights.bits)
