"""The decoder's four table slots as a group of arrays that travel together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from azsim_kernels.tile_format import CONTEXTS, PALETTE_ENTRIES, SLOTS, SYMBOLS


class TableSlots(NamedTuple):
    """State of the table slots; index 0 of every array is the slot.

    written      (4,) uint8: 1 if the slot holds a legal table
    has_palette  (4,) uint8: 1 if that table came with a palette
    crc          (4,) int64: CRC field of the TABLE record in the slot
    steps        (4, 2, 4, 256) uint32: per slot, {0 mask, 1 value}, context and low state byte:
                 symbol in bits 7:0, its frequency in 15:8, (low byte - CUM[symbol]) in 23:16
    base, extra_bits, signed  (4, 16) uint8: BASE, NB and SG of the value classes
    palette      (4, 32) uint8
    """

    written: NDArray[np.uint8]
    has_palette: NDArray[np.uint8]
    crc: NDArray[np.int64]
    steps: NDArray[np.uint32]
    base: NDArray[np.uint8]
    extra_bits: NDArray[np.uint8]
    signed: NDArray[np.uint8]
    palette: NDArray[np.uint8]


def empty_slots() -> TableSlots:
    """Return slots of which none was written, as after reset."""
    return TableSlots(
        written=np.zeros(SLOTS, np.uint8),
        has_palette=np.zeros(SLOTS, np.uint8),
        crc=np.zeros(SLOTS, np.int64),
        steps=np.zeros((SLOTS, 2, CONTEXTS, 256), np.uint32),
        base=np.zeros((SLOTS, SYMBOLS), np.uint8),
        extra_bits=np.zeros((SLOTS, SYMBOLS), np.uint8),
        signed=np.zeros((SLOTS, SYMBOLS), np.uint8),
        palette=np.zeros((SLOTS, PALETTE_ENTRIES), np.uint8),
    )
