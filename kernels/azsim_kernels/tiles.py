"""Cutting a matrix into tiles and putting it together again.

A matrix is cut into boxes of `tile_rows` x `tile_columns`, smaller at the right and lower edge,
numbered row-major. Each box becomes a vector, row-major or column-major inside, padded with zeros
to a multiple of 256.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.tile_format import GROUP_WEIGHTS


@kernel
def tile_box(
    tile: int, rows: int, columns: int, tile_rows: int, tile_columns: int
) -> tuple[int, int, int, int]:
    """Return (first row, first column, height, width) of the box of tile number `tile`."""
    across = (columns + tile_columns - 1) // tile_columns
    row = tile // across * tile_rows
    column = tile % across * tile_columns
    return row, column, min(tile_rows, rows - row), min(tile_columns, columns - column)


@kernel
def padded_weights(weights: int) -> int:
    """Return `weights` rounded up to a multiple of 256."""
    return (weights + GROUP_WEIGHTS - 1) // GROUP_WEIGHTS * GROUP_WEIGHTS


@kernel
def gather_tile(
    matrix: NDArray[np.int8],
    tile: int,
    tile_rows: int,
    tile_columns: int,
    column_major: bool,
    out: NDArray[np.int8],
) -> int:
    """Copy tile `tile` of `matrix` (rows, columns) to `out`, padded; return its padded size."""
    row, column, height, width = tile_box(
        tile, matrix.shape[0], matrix.shape[1], tile_rows, tile_columns
    )
    if column_major:
        for j in range(width):
            for i in range(height):
                out[j * height + i] = matrix[row + i, column + j]
    else:
        for i in range(height):
            out[i * width : (i + 1) * width] = matrix[row + i, column : column + width]
    size = padded_weights(height * width)
    out[height * width : size] = 0
    return size


@kernel
def scatter_tile(
    weights: NDArray[np.int8],
    tile: int,
    tile_rows: int,
    tile_columns: int,
    column_major: bool,
    matrix: NDArray[np.int8],
) -> None:
    """Copy the padded `weights` of tile number `tile` to its box in `matrix` (rows, columns)."""
    row, column, height, width = tile_box(
        tile, matrix.shape[0], matrix.shape[1], tile_rows, tile_columns
    )
    if column_major:
        for j in range(width):
            for i in range(height):
                matrix[row + i, column + j] = weights[j * height + i]
    else:
        for i in range(height):
            matrix[row + i, column : column + width] = weights[i * width : (i + 1) * width]
