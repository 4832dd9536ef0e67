"""Whole tensors of profile `ans`: statistics, sizes of all modes, encoding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.ans_encode import encode_ans_tile, mode_bits_needed
from azsim_kernels.ans_types import (
    IMPOSSIBLE_BITS,
    MODE_BITS,
    MODE_EMPTY,
    MODES,
    EncoderTables,
    TileScratch,
)
from azsim_kernels.bitmap import seal_tile
from azsim_kernels.crc import CRC_START
from azsim_kernels.tile_format import (
    GROUP_WEIGHTS,
    HEADER_BITS,
    LANES,
    MASK_SPECIAL,
    SECTION_GROUPS,
    SYMBOLS,
)
from azsim_kernels.tiles import gather_tile, padded_weights

_SECTION_WEIGHTS = GROUP_WEIGHTS * SECTION_GROUPS


@kernel
def tile_histograms(
    matrix: NDArray[np.int8],
    tile_rows: int,
    tile_columns: int,
    column_major: bool,
    dense_percent: int,
    dense: NDArray[np.uint8],
    counts: NDArray[np.int64],
) -> None:
    """Count the values that coded tiles would hold.

    dense   (tiles,) receives 1 for a tile of which less than `dense_percent` % are zeros
    counts  (256,) receives the occurrences of each unsigned byte; zeros of other tiles, and all
            weights of tiles that are all zero, are not counted
    """
    buffer = np.empty(padded_weights(tile_rows * tile_columns), np.int8)
    own = np.zeros(256, np.int64)
    counts[:] = 0
    for tile in range(dense.size):
        size = gather_tile(matrix, tile, tile_rows, tile_columns, column_major, buffer)
        own[:] = 0
        for i in range(size):
            own[np.int64(buffer[i]) & 255] += 1
        dense[tile] = own[0] * 100 < dense_percent * size and own[0] < size
        for value in range(0 if dense[tile] else 1, 256):
            counts[value] += own[value]


@kernel
def section_counts(
    matrix: NDArray[np.int8],
    tile_rows: int,
    tile_columns: int,
    column_major: bool,
    dense: NDArray[np.uint8],
    value_class: NDArray[np.int64],
    sections: NDArray[np.int64],
) -> int:
    """Count mask symbols and classes of each section of 1024 weights; return the sections.

    Dense tiles have no mask symbols; tiles that are all zero have no sections.
    sections (S, 32) receives the counts, S being large enough for all tiles.
    """
    buffer = np.empty(padded_weights(tile_rows * tile_columns), np.int8)
    count = 0
    for tile in range(dense.size):
        size = gather_tile(matrix, tile, tile_rows, tile_columns, column_major, buffer)
        if not np.any(buffer[:size]):
            continue
        for start in range(0, size, _SECTION_WEIGHTS):
            row = sections[count]
            row[:] = 0
            count += 1
            for i in range(start, min(size, start + _SECTION_WEIGHTS), 4):
                symbol = 0
                for k in range(4):
                    weight = np.int64(buffer[i + k])
                    symbol |= int(weight != 0) << k
                    if weight != 0 or dense[tile] != 0:
                        row[SYMBOLS + value_class[weight & 255]] += 1
                if dense[tile] == 0:
                    row[symbol] += 1
    return count


@kernel
def ans_mode_sizes(
    matrix: NDArray[np.int8],
    tile_rows: int,
    tile_columns: int,
    column_major: bool,
    tables: EncoderTables,
    scratch: TileScratch,
    sizes: NDArray[np.int64],
    zeros: NDArray[np.int64],
) -> None:
    """Write the exact bits of every tile in every mode to `sizes` (tiles, MODES).

    zeros  (tiles,) receives the zero weights of each tile, in units of 1/65536 of the tile
    """
    buffer = np.empty(padded_weights(tile_rows * tile_columns), np.int8)
    states = np.empty(LANES, np.int64)
    for tile in range(sizes.shape[0]):
        size = gather_tile(matrix, tile, tile_rows, tile_columns, column_major, buffer)
        weights = buffer[:size]
        none = size - np.count_nonzero(weights)
        zeros[tile] = none * 65536 // size
        sizes[tile, MODE_EMPTY] = HEADER_BITS if none == size else IMPOSSIBLE_BITS
        for mode in range(1, MODES):
            header = MODE_BITS[mode]
            sizes[tile, mode] = IMPOSSIBLE_BITS
            if none < size:
                sizes[tile, mode] = mode_bits_needed(weights, header, tables, scratch, states)


@kernel
def encode_ans_matrix(
    matrix: NDArray[np.int8],
    tile_rows: int,
    tile_columns: int,
    column_major: bool,
    headers: NDArray[np.int64],
    tables: EncoderTables,
    slot: int,
    table_crc: int,
    scratch: TileScratch,
    out: NDArray[np.uint64],
    offsets: NDArray[np.int64],
) -> None:
    """Encode all tiles of `matrix` (rows, columns), each in the mode of `headers` bits 3:0.

    out, offsets  as of `encode_bitmap_matrix`, the first offset being given
    """
    buffer = np.empty(padded_weights(tile_rows * tile_columns), np.int8)
    for tile in range(headers.size):
        size = gather_tile(matrix, tile, tile_rows, tile_columns, column_major, buffer)
        start = offsets[tile]
        if headers[tile] == MASK_SPECIAL:
            seal_tile(out[start:], MASK_SPECIAL, size // GROUP_WEIGHTS, 1, CRC_START ^ tile)
            words = 1
        else:
            words = encode_ans_tile(
                buffer[:size], tile, headers[tile], tables, slot, table_crc, scratch, out[start:]
            )
        offsets[tile + 1] = start + words
