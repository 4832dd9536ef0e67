"""The decoder's cycle law for one tile: a 512-bit window between the port and the beats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.decode import decode_tile_beats
from azsim_kernels.table_slots import TableSlots
from azsim_kernels.tile_format import FIRE_BITS, GROUP_WEIGHTS, WINDOW_BITS, WORD_BITS


@kernel
def tile_beats(
    words: NDArray[np.uint64],
    tile_index: int,
    expected_groups: int,
    profile: int,
    slots: TableSlots,
    beats: NDArray[np.uint16],
) -> tuple[int, int]:
    """Note the bits of each beat of a tile in `beats` (MAX_BEATS,); return (status, beats)."""
    out = np.empty(GROUP_WEIGHTS * expected_groups, np.int8)
    return decode_tile_beats(words, tile_index, expected_groups, profile, slots, out, beats)


@kernel
def decode_tile_cycles(
    beats: NDArray[np.uint16], len_words: int, port_bits: int, table_load_cycles: int = 0
) -> int:
    """Return the cycles from the first word on the port to the last beat, word and output never
    waiting.

    beats              (B,) bits consumed by each beat of a good tile of `len_words` words
    port_bits          64 or 128, bits accepted per cycle
    table_load_cycles  cycles after the header beat in which no beat fires (0 if the table is
                       loaded)
    """
    fill = 0
    remaining = WORD_BITS * len_words
    hold = 0
    beat = 0
    cycles = 0
    while beat < beats.size:
        fire = (fill >= FIRE_BITS or remaining == 0) and hold == 0
        accept = remaining > 0 and fill + port_bits <= WINDOW_BITS
        hold = max(0, hold - 1)
        if fire:
            fill -= int(beats[beat])
            hold = table_load_cycles if beat == 0 else 0
            beat += 1
        if accept:
            taken = min(port_bits, remaining)
            fill += taken
            remaining -= taken
        cycles += 1
    return cycles
