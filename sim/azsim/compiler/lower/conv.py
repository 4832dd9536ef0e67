"""Conv with channels last: a product whose activations are windows of the padded input; channel by
channel, a command of the vector unit."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.compiler.context import LoweringContext, node_where
from azsim.compiler.lower.images import (
    four_dimensional,
    image_grid,
    padded,
    two_dimensional,
)
from azsim.compiler.lower.linear import Product, lower_product
from azsim.compiler.lower.weights import row_multipliers
from azsim.errors import CompileError
from azsim.graph import Node
from azsim.graph.integer import Depthwise, IntegerKind, IntegerTensor
from azsim.graph.integer_window import Window, merged_window
from azsim.graph.window_shapes import WindowForm, is_channels_last, window_form

Matrix = npt.NDArray[Any]


def lower_conv(node: Node, context: LoweringContext) -> None:
    """One Linear node with a window, or a Depthwise; padding is written out as zero points."""
    if not is_channels_last(node.attributes):
        raise CompileError(f"{node_where(node)}: channels must be last")
    weight = context.graph.values[node.inputs[1]].shape
    form = two_dimensional(window_form(weight[2:], node.attributes))
    x = padded(context, node.name, context.int8(node.inputs[0]), form)
    group = int(str(node.attributes["group"]))
    window = conv_window(four_dimensional(x.shape), form, group)
    is_depthwise = group > 1 and weight[:2] == (group, 1)
    add = partial(_add_depthwise, form=form) if is_depthwise else None
    lower_product(node, context, x, _rows, window, add)


def _rows(weights: Matrix) -> Matrix:
    """(N, C, kernel ...) as (N, kernel ... x C): the channels of a pixel lie together."""
    moved = np.moveaxis(weights, 1, -1)
    return moved.reshape(len(weights), -1)


def conv_window(x: tuple[int, int, int, int], form: WindowForm, group: int) -> Window:
    """The window over a padded x (N, H, W, C): one segment per row of the kernel, or per tap where
    the taps of a row do not lie together."""
    n, height, width, channels = x
    out_h, out_w = form.outputs_of_padded((height, width))
    (kernel_h, kernel_w), (step_h, step_w) = form.kernel, form.strides
    dilation_h, dilation_w = form.dilations
    each = channels // group
    rows = [i * dilation_h * width * channels for i in range(kernel_h)]
    if group == 1 and (dilation_w == 1 or kernel_w == 1):
        segments, length = rows, kernel_w * channels
    else:
        taps = [j * dilation_w * channels for j in range(kernel_w)]
        segments, length = [row + tap for row in rows for tap in taps], each
    window = Window(
        n, out_h, out_w, height * width * channels, step_h * width * channels,
        step_w * channels, tuple(segments), group, each if group > 1 else 0,
    )  # fmt: skip
    return merged_window(window, length)[0]


def _add_depthwise(
    product: Product,
    context: LoweringContext,
    y: IntegerTensor,
    bias: npt.NDArray[np.int64],
    relu: bool,
    form: WindowForm,
) -> None:
    """Append the node; `bias` in accumulator steps, the zero point of x taken off."""
    name, x, weights = product.node.name, product.x, product.weights
    multiplier, shift = row_multipliers(product.where, weights, x.scale / y.scale)
    parts = (multiplier.astype("<i4"), bias.astype("<i4"), shift.astype(np.int8))
    parameters = np.concatenate([part.view(np.int8) for part in parts])
    kernel = np.ascontiguousarray(weights.integers.T)
    shape = four_dimensional(x.shape)
    grids = tuple(image_grid(shape, form, image) for image in range(shape[0]))
    names = (
        _constant(context, f"{name}/weights", kernel),
        _constant(context, f"{name}/parameters", parameters),
    )
    context.add(Depthwise(name, x.name, y.name, *names, shape[3], grids, relu))


def _constant(context: LoweringContext, name: str, data: npt.NDArray[np.int8]) -> str:
    context.tensors[name] = IntegerTensor(
        name, data.shape, "int8", 1.0, 0, IntegerKind.CONSTANT, data
    )
    return name
