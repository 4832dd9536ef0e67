"""TABLE records: four contexts of mask and value frequencies, value classes, palette."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.crc import CRC_START, crc32c_tile
from azsim_kernels.fixed import peek_bits, signed_word
from azsim_kernels.header import bad_header, header_field, is_table_record, tile_length
from azsim_kernels.table_slots import TableSlots
from azsim_kernels.tile_errors import BAD_CRC, BAD_HEADER, BAD_TABLE, LENGTH, OK, UNSUPPORTED
from azsim_kernels.tile_format import (
    CONTEXTS,
    CRC_SHIFT,
    MAX_EXTRA_BITS,
    PALETTE_ENTRIES,
    PROFILE_BITMAP,
    SLOT_SHIFT,
    SYMBOLS,
    TABLE_PALETTE_WORDS,
    WORD_BITS,
)

_SET_WORDS = SYMBOLS * 8 // WORD_BITS
_FIRST_CLASS_WORD = 1 + 2 * CONTEXTS * _SET_WORDS
_FIRST_PALETTE_WORD = _FIRST_CLASS_WORD + SYMBOLS * 16 // WORD_BITS


@kernel
def _frequency(words: NDArray[np.uint64], number: int, symbol: int) -> int:
    """Return a frequency of set `number` (MF[0..3], then VF[0..3]) of a TABLE record."""
    return signed_word(peek_bits(words, WORD_BITS + (number * SYMBOLS + symbol) * 8, 8))


@kernel
def _class_entry(words: NDArray[np.uint64], symbol: int) -> int:
    """Return the 16-bit entry of a class in a TABLE record."""
    return signed_word(peek_bits(words, (_FIRST_CLASS_WORD * 4 + symbol) * 16, 16))


@kernel
def _bad_table_word(words: NDArray[np.uint64], index: int) -> bool:
    """Return whether word `index`, with those of its set before it, breaks a rule of tables."""
    if index == 0 or index >= _FIRST_PALETTE_WORD:
        return False
    if index >= _FIRST_CLASS_WORD:
        for k in range(4):
            entry = _class_entry(words, (index - _FIRST_CLASS_WORD) * 4 + k)
            bits = entry >> 8 & 15
            if bits > MAX_EXTRA_BITS or entry >> 13 != 0 or (entry >> 12 == 1 and bits == 0):
                return True
        return False
    if index % _SET_WORDS != 0:
        return False
    total = 0
    for symbol in range(SYMBOLS):
        total += _frequency(words, index // _SET_WORDS - 1, symbol)
    return total != 256


@kernel
def _write_slot(words: NDArray[np.uint64], slot: int, slots: TableSlots) -> None:
    """Copy a legal TABLE record into its slot."""
    for number in range(2 * CONTEXTS):
        steps = slots.steps[slot, number // CONTEXTS, number % CONTEXTS]
        below = 0
        for symbol in range(SYMBOLS):
            frequency = _frequency(words, number, symbol)
            for k in range(frequency):
                steps[below + k] = symbol | frequency << 8 | k << 16
            below += frequency
    for symbol in range(SYMBOLS):
        entry = _class_entry(words, symbol)
        slots.base[slot, symbol] = entry & 255
        slots.extra_bits[slot, symbol] = entry >> 8 & 15
        slots.signed[slot, symbol] = entry >> 12 & 1
    palette = words.size == TABLE_PALETTE_WORDS
    slots.has_palette[slot] = palette
    for i in range(PALETTE_ENTRIES):
        place = _FIRST_PALETTE_WORD * WORD_BITS + 8 * i
        slots.palette[slot, i] = signed_word(peek_bits(words, place, 8)) if palette else 0
    slots.crc[slot] = header_field(words[0], CRC_SHIFT, 32)
    slots.written[slot] = 1


@kernel
def load_table(words: NDArray[np.uint64], profile: int, slots: TableSlots) -> int:
    """Load a TABLE record (n,) into its slot; return its status code.

    A record that fails after a legal header leaves its slot unwritten. Frequency sets and classes
    are judged as they pass, then the number of words, then the CRC.
    """
    if words.size == 0:
        return LENGTH
    if bad_header(words[0]):
        return BAD_HEADER
    if profile == PROFILE_BITMAP:
        return UNSUPPORTED
    if not is_table_record(words[0]):
        return BAD_HEADER
    slot = header_field(words[0], SLOT_SHIFT, 2)
    slots.written[slot] = 0
    slots.has_palette[slot] = 0
    body = words[: min(words.size, tile_length(words[0]))]
    for index in range(body.size):
        if _bad_table_word(body, index):
            return BAD_TABLE
    if words.size != tile_length(words[0]):
        return LENGTH
    if crc32c_tile(words, CRC_START) != header_field(words[0], CRC_SHIFT, 32):
        return BAD_CRC
    _write_slot(words, slot, slots)
    return OK
