"""Statistics of whole tensors with numpy's counting functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels.reference.tiles import gather_tile, padded_weights


def _tiles(
    matrix: NDArray[np.int8], tile_rows: int, tile_columns: int, column_major: bool, count: int
) -> list[NDArray[np.int8]]:
    """Return the padded weights of all tiles."""
    tiles = []
    for tile in range(count):
        weights = np.zeros(padded_weights(tile_rows * tile_columns), np.int8)
        size = gather_tile(matrix, tile, tile_rows, tile_columns, column_major, weights)
        tiles.append(weights[:size])
    return tiles


def tile_histograms(
    matrix: NDArray[np.int8],
    tile_rows: int,
    tile_columns: int,
    column_major: bool,
    dense_percent: int,
    dense: NDArray[np.uint8],
    counts: NDArray[np.int64],
) -> None:
    """Count the values that coded tiles would hold; see the kernel."""
    counts[:] = 0
    for tile, weights in enumerate(
        _tiles(matrix, tile_rows, tile_columns, column_major, dense.size)
    ):
        zeros = int((weights == 0).sum())
        dense[tile] = zeros < weights.size and 100 * zeros < dense_percent * weights.size
        counted = weights if dense[tile] else weights[weights != 0]
        counts += np.bincount(counted.view(np.uint8), minlength=256)


def section_counts(
    matrix: NDArray[np.int8],
    tile_rows: int,
    tile_columns: int,
    column_major: bool,
    dense: NDArray[np.uint8],
    value_class: NDArray[np.int64],
    sections: NDArray[np.int64],
) -> int:
    """Count mask symbols and classes of each section of 1024 weights; see the kernel."""
    rows = []
    for tile, weights in enumerate(
        _tiles(matrix, tile_rows, tile_columns, column_major, dense.size)
    ):
        if not weights.any():
            continue
        for part in np.split(weights, range(1024, weights.size, 1024)):
            nibbles = np.packbits((part != 0).reshape(-1, 4), axis=1, bitorder="little").ravel()
            values = part if dense[tile] else part[part != 0]
            owners = value_class[values.view(np.uint8)]
            symbols = nibbles[:0] if dense[tile] else nibbles
            counts = [np.bincount(found, minlength=16) for found in (symbols, owners)]
            rows.append(np.concatenate(counts))
    if rows:
        sections[: len(rows)] = rows
    return len(rows)
