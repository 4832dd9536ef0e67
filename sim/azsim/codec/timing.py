"""Decoder cycles of each tile of a stream, by the law of docs/decoder.md, never waiting."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim.codec.container import PROFILES, Stream, tile_fault
from azsim.codec.decode import load_tables
from azsim_kernels.decoder_cycles import decode_tile_cycles, tile_beats
from azsim_kernels.tile_errors import OK
from azsim_kernels.tile_format import MAX_BEATS


def tile_cycles(stream: Stream, port_bits: int) -> NDArray[np.int64]:
    """Return the cycles of each tile (tiles,); StreamError names the first bad tile."""
    slots = load_tables(stream)
    beats = np.zeros(MAX_BEATS, np.uint16)
    cycles = np.zeros(stream.tile_count, np.int64)
    profile = PROFILES.index(stream.profile)
    for tile in range(stream.tile_count):
        words = stream.tile_words(tile)
        groups = stream.grid.tile_groups(tile)
        status, n_beats = tile_beats(words, tile, groups, profile, slots, beats)
        if status != OK:
            raise tile_fault(stream.name, tile, status)
        cycles[tile] = decode_tile_cycles(beats[:n_beats], words.size, port_bits)
    return cycles
