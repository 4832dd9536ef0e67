"""Cutting a matrix into tiles with plain numpy slices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels.tile_format import GROUP_WEIGHTS


def tile_box(
    tile: int, rows: int, columns: int, tile_rows: int, tile_columns: int
) -> tuple[int, int, int, int]:
    """Return (first row, first column, height, width) of the box of tile number `tile`."""
    corners = [(r, c) for r in range(0, rows, tile_rows) for c in range(0, columns, tile_columns)]
    row, column = corners[tile]
    return (
        row,
        column,
        min(rows, row + tile_rows) - row,
        min(columns, column + tile_columns) - column,
    )


def padded_weights(weights: int) -> int:
    """Return `weights` rounded up to a multiple of 256."""
    return weights + (-weights) % GROUP_WEIGHTS


def gather_tile(
    matrix: NDArray[np.int8],
    tile: int,
    tile_rows: int,
    tile_columns: int,
    column_major: bool,
    out: NDArray[np.int8],
) -> int:
    """Copy tile `tile` of `matrix` (rows, columns) to `out`, padded; return its padded size."""
    rows, columns = matrix.shape
    row, column, height, width = tile_box(tile, rows, columns, tile_rows, tile_columns)
    box = matrix[row : row + height, column : column + width]
    flat = box.ravel(order="F" if column_major else "C")
    size = padded_weights(flat.size)
    out[:size] = np.pad(flat, (0, size - flat.size))
    return size


def scatter_tile(
    weights: NDArray[np.int8],
    tile: int,
    tile_rows: int,
    tile_columns: int,
    column_major: bool,
    matrix: NDArray[np.int8],
) -> None:
    """Copy the padded `weights` of tile number `tile` to its box in `matrix` (rows, columns)."""
    rows, columns = matrix.shape
    row, column, height, width = tile_box(tile, rows, columns, tile_rows, tile_columns)
    box = weights[: height * width].reshape((height, width), order="F" if column_major else "C")
    matrix[row : row + height, column : column + width] = box
