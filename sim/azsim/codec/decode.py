"""Streams to weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim.codec.container import PROFILES, Stream, tile_fault
from azsim.errors import StreamError
from azsim_kernels.decode import decode_tile
from azsim_kernels.table_record import load_table
from azsim_kernels.table_slots import TableSlots, empty_slots
from azsim_kernels.tensor import decode_matrix
from azsim_kernels.tile_errors import OK
from azsim_kernels.tile_format import GROUP_WEIGHTS

MAX_DECODED_WEIGHTS = 1 << 28
"""Weights decoded without being asked twice: 32 stream bytes may stand for 64K zero weights."""


def load_tables(stream: Stream) -> TableSlots:
    """Return the decoder's slots after all TABLE records; StreamError if one of them is bad."""
    slots = empty_slots()
    for table in range(stream.table_count):
        status = load_table(stream.table_words(table), PROFILES.index(stream.profile), slots)
        if status != OK:
            raise tile_fault(stream.name, table, status, "table")
    return slots


def decode_tensor(stream: Stream, max_weights: int = MAX_DECODED_WEIGHTS) -> NDArray[np.int8]:
    """Return the weights (rows, columns) int8 of a stream.

    Raises StreamError naming the first bad tile, or if there are more than `max_weights` weights.
    """
    grid = stream.grid
    if grid.weights > max_weights:
        raise StreamError(
            f"{stream.name}: must hold at most {max_weights} weights, not {grid.weights}"
        )
    matrix = np.zeros(grid.cut[:2], np.int8)
    status, tile = decode_matrix(
        stream.words,
        stream.offsets,
        *grid.tiling,
        PROFILES.index(stream.profile),
        load_tables(stream),
        matrix,
    )
    if status != OK:
        raise tile_fault(stream.name, tile, status)
    return matrix.reshape(grid.rows, grid.columns)


def decode_tile_at(stream: Stream, tile: int) -> NDArray[np.int8]:
    """Return the weights of one tile in tile order, padding included; StreamError if it is bad."""
    groups = stream.grid.tile_groups(tile)
    out = np.zeros(groups * GROUP_WEIGHTS, np.int8)
    profile = PROFILES.index(stream.profile)
    status = decode_tile(stream.tile_words(tile), tile, groups, profile, load_tables(stream), out)
    if status != OK:
        raise tile_fault(stream.name, tile, status)
    return out
