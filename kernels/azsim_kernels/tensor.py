"""Whole tensors in one call: every tile of a matrix encoded or decoded by one kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.bitmap import encode_bitmap_tile
from azsim_kernels.decode import decode_tile
from azsim_kernels.table_slots import TableSlots
from azsim_kernels.tile_errors import OK
from azsim_kernels.tile_format import GROUP_WEIGHTS
from azsim_kernels.tiles import gather_tile, padded_weights, scatter_tile, tile_box


@kernel
def encode_bitmap_matrix(
    matrix: NDArray[np.int8],
    tile_rows: int,
    tile_columns: int,
    column_major: bool,
    out: NDArray[np.uint64],
    offsets: NDArray[np.int64],
) -> int:
    """Encode all tiles of `matrix` (rows, columns) one after the other into `out`; return the
    words written.

    offsets  (tiles + 1,) receives the word at which each tile starts, and the end
    out      holds max_tile_words(padded size) words for every tile
    """
    buffer = np.empty(padded_weights(tile_rows * tile_columns), np.int8)
    offsets[0] = 0
    for tile in range(offsets.size - 1):
        size = gather_tile(matrix, tile, tile_rows, tile_columns, column_major, buffer)
        start = offsets[tile]
        offsets[tile + 1] = start + encode_bitmap_tile(buffer[:size], tile, out[start:])
    return offsets[offsets.size - 1]  # type: ignore[no-any-return]


@kernel
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
    """Decode tile after tile into `matrix` (rows, columns) up to the first bad one.

    Tile i is words[offsets[i] : offsets[i + 1]]. Returns (status code, number of the tile it
    belongs to).
    """
    buffer = np.empty(padded_weights(tile_rows * tile_columns), np.int8)
    rows, columns = matrix.shape
    for tile in range(offsets.size - 1):
        _, _, height, width = tile_box(tile, rows, columns, tile_rows, tile_columns)
        size = padded_weights(height * width)
        part = words[offsets[tile] : offsets[tile + 1]]
        status = decode_tile(part, tile, size // GROUP_WEIGHTS, profile, slots, buffer[:size])
        if status != OK:
            return status, tile
        scatter_tile(buffer, tile, tile_rows, tile_columns, column_major, matrix)
    return OK, offsets.size - 1
