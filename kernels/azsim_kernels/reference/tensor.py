"""Whole tensors tile by tile in plain Python, on top of the reference tile functions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels.reference.bitmap import encode_bitmap_tile
from azsim_kernels.reference.decode import decode_tile
from azsim_kernels.reference.tiles import gather_tile, padded_weights, scatter_tile, tile_box
from azsim_kernels.table_slots import TableSlots
from azsim_kernels.tile_errors import OK
from azsim_kernels.tile_format import max_tile_words


def encode_bitmap_matrix(
    matrix: NDArray[np.int8],
    tile_rows: int,
    tile_columns: int,
    column_major: bool,
    out: NDArray[np.uint64],
    offsets: NDArray[np.int64],
) -> int:
    """Encode all tiles of `matrix` (rows, columns) in order; return the words written."""
    tiles = []
    for tile in range(offsets.size - 1):
        weights = np.zeros(padded_weights(tile_rows * tile_columns), np.int8)
        size = gather_tile(matrix, tile, tile_rows, tile_columns, column_major, weights)
        words = np.zeros(max_tile_words(size), np.uint64)
        tiles.append(words[: encode_bitmap_tile(weights[:size], tile, words)])
    offsets[:] = np.cumsum([0, *[tile.size for tile in tiles]])
    out[: offsets[-1]] = np.concatenate(tiles)
    return int(offsets[-1])


def decode_matrix(
    words: NDArray[np.uint64],
    offsets: NDArray[np.int64],
    tile_rows: int,
    tile_columns: int,
    column_major: bool,
    profile: int,
    slots: TableSlots,
    matrix: NDArray[np.int8],
) -> tuple[int, int]:
    """Decode tiles into `matrix` (rows, columns); return (status, tile) of the first bad one."""
    rows, columns = matrix.shape
    for tile, part in enumerate(np.split(words, offsets[1:-1])):
        _, _, height, width = tile_box(tile, rows, columns, tile_rows, tile_columns)
        weights = np.zeros(padded_weights(height * width), np.int8)
        status = decode_tile(part, tile, weights.size // 256, profile, slots, weights)
        if status != OK:
            return status, tile
        scatter_tile(weights, tile, tile_rows, tile_columns, column_major, matrix)
    return OK, offsets.size - 1
