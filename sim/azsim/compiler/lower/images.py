"""Channels-last images: their padding, and windows over them as blocks of outputs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from azsim.compiler.context import LoweringContext
from azsim.compiler.formats import Format
from azsim.compiler.lower.moves import pieces_of, strides_of
from azsim.graph.integer import IntegerKind, IntegerTensor, Move, Piece
from azsim.graph.integer_window import Grid
from azsim.graph.window_shapes import WindowForm


def two_dimensional(form: WindowForm) -> WindowForm:
    """A window over one dimension as one over a single row."""
    if len(form.kernel) == 2:
        return form
    return WindowForm(
        (1, *form.kernel), (1, *form.strides), (1, *form.dilations), (0, *form.before),
        (0, *form.behind),
    )  # fmt: skip


def four_dimensional(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """(N, T, C) as (N, 1, T, C)."""
    n, *spatial, c = shape
    height, width = (1, *spatial)[-2:]
    return n, height, width, c


def image_grid(x: tuple[int, int, int, int], form: WindowForm, image: int) -> Grid:
    """The window over one image of a padded x (N, H, W, C), all outputs as one block."""
    _, height, width, channels = x
    out_h, out_w = form.outputs_of_padded((height, width))
    (kernel_h, kernel_w), (step_h, step_w) = form.kernel, form.strides
    tap_h, tap_w = form.dilations
    row = width * channels
    source, target = image * height * row, image * out_h * out_w * channels
    return Grid(
        source, target, out_h, out_w, kernel_h, kernel_w, step_h * row, step_w * channels,
        tap_h * row, tap_w * channels,
    )  # fmt: skip


def padded(
    context: LoweringContext, name: str, x: IntegerTensor, form: WindowForm, fill: int | None = None
) -> IntegerTensor:
    """Return x (N, [H,] W, C) with the border that the window reads, filled with its zero point (or
    `fill`); x itself if the window reads none."""
    n, height, width, channels = four_dimensional(x.shape)
    before, behind = form.before, form.needed_behind((height, width))
    if not any(before) and not any(behind):
        return x
    shape = (n, height + before[0] + behind[0], width + before[1] + behind[1], channels)
    kept = shape if len(x.shape) == 4 else (n, shape[2], channels)
    y = context.new_tensor(f"{name}/padded", kept, Format(x.element, x.scale, x.zero_point))
    value = x.zero_point if fill is None else fill
    border = f"{name}/border"
    context.tensors[border] = IntegerTensor(
        border, (1,), x.element, x.scale, x.zero_point, IntegerKind.CONSTANT,
        np.full(1, value, x.element),
    )  # fmt: skip
    pieces = _bordered(shape, (height, width), before)
    context.add(Move(f"{name}/pad", (x.name, border), y.name, tuple(pieces)))
    return y


def _bordered(
    shape: tuple[int, int, int, int], inner: tuple[int, int], before: tuple[int, ...]
) -> list[Piece]:
    """Copies that fill `shape` (N, H, W, C): the image, then the four sides."""
    n, height, width, channels = shape
    (rows, columns), (top, left) = inner, before
    strides = strides_of(shape)
    boxes = [  # first row, rows, first column, columns
        (0, top, 0, width),
        (top + rows, height - top - rows, 0, width),
        (top, rows, 0, left),
        (top, rows, left + columns, width - left - columns),
    ]
    image = (n, rows, columns, channels)
    target = top * strides[1] + left * strides[2]
    pieces = list(pieces_of(0, (image, 0, strides_of(image), target, strides)))
    for row, tall, column, wide in boxes:
        if tall and wide:
            target = row * strides[1] + column * strides[2]
            box = ((n, tall, wide, channels), 0, (0, 0, 0, 0), target, strides)
            pieces += pieces_of(1, box)
    return pieces
