"""Depthwise convolution and pooling, in plain numpy on strided views of the image."""

from __future__ import annotations

import numpy as np

from azsim.graph.integer_spatial import Depthwise, Pool
from azsim.graph.integer_window import Grid
from azsim.reference.integer_values import Evaluators, Integers, Values
from azsim_kernels.reference import arith


def _seen(flat: Integers, grid: Grid, channels: int) -> Integers:
    """What each output sees: (out_h, out_w, kernel_h, kernel_w, channels), a view."""
    shape = (grid.out_h, grid.out_w, grid.kernel_h, grid.kernel_w, channels)
    steps = (grid.step_h, grid.step_w, grid.tap_h, grid.tap_w, 1)
    if grid.last + channels > flat.size:
        raise IndexError("a window must lie inside its tensor")
    return np.lib.stride_tricks.as_strided(
        flat[grid.source :],
        shape,
        tuple(step * flat.itemsize for step in steps),
        writeable=False,
    )


def _depthwise(node: Depthwise, values: Values) -> None:
    weights = values.raw(node.weights).reshape(-1, node.channels)
    raw = values.arrays[node.parameters].reshape(-1).view(np.uint8)
    words, shift = raw[: 8 * node.channels].view("<i4"), raw[8 * node.channels :].view(np.int8)
    multiplier, bias = words.astype(np.int64).reshape(2, node.channels)
    flat = values.raw(node.x).reshape(-1)
    y = np.zeros(values.tensors[node.y].size, np.int64)
    for grid in node.grids:
        taps = weights.reshape(grid.kernel_h, grid.kernel_w, node.channels)
        total = np.einsum("hwijc,ijc->hwc", _seen(flat, grid, node.channels), taps)
        block = arith.rescale(total + bias, multiplier, shift.astype(np.int64))
        y[grid.target : grid.target + block.size] = block.reshape(-1)
    values.put(node.y, y, node.relu)


def _pool(node: Pool, values: Values) -> None:
    flat = values.real(node.x).reshape(-1)
    y = np.zeros(values.tensors[node.y].size, np.int64)
    for grid, (multiplier, shift) in zip(node.grids, node.factors, strict=True):
        seen = _seen(flat, grid, node.channels)
        block = seen.sum(axis=(2, 3)) if node.kind == "sum" else seen.max(axis=(2, 3))
        scaled = arith.rescale(block, multiplier, shift)
        y[grid.target : grid.target + block.size] = scaled.reshape(-1)
    values.put(node.y, y)


EVALUATORS: Evaluators = {Depthwise: _depthwise, Pool: _pool}
