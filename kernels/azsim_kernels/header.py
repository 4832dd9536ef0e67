"""Word 0 of a tile: its fields and the rules they must meet."""

from __future__ import annotations

import numpy as np

from azsim_kernels._jit import kernel
from azsim_kernels.fixed import signed_word
from azsim_kernels.table_slots import TableSlots
from azsim_kernels.tile_errors import BAD_HEADER, LENGTH, NO_TABLE, OK, UNSUPPORTED
from azsim_kernels.tile_format import (
    GROUP_WEIGHTS,
    GROUPS_SHIFT,
    LENGTH_SHIFT,
    MASK_CODED,
    MASK_DENSE,
    MASK_SPECIAL,
    PAL_BIT,
    PROFILE_BITMAP,
    RESERVED_BIT,
    SLOT_SHIFT,
    TABLE_PALETTE_WORDS,
    TABLE_WORDS,
    VAL_BIT,
    WIDTH_SHIFT,
    WORD_BITS,
)


@kernel
def header_field(header: np.uint64, shift: int, width: int) -> int:
    """Return the `width` bits of `header` from bit `shift` on as a signed integer."""
    field = (header >> np.uint64(shift)) & np.uint64((1 << width) - 1)
    return signed_word(field)


@kernel
def tile_length(header: np.uint64) -> int:
    """Return LEN of word 0 of a tile, in words."""
    return header_field(header, LENGTH_SHIFT, 14)


@kernel
def tile_groups(header: np.uint64) -> int:
    """Return the number of groups (NG + 1) of word 0 of a tile."""
    return header_field(header, GROUPS_SHIFT, 8) + 1


@kernel
def uses_table(header: np.uint64) -> bool:
    """Return whether a tile (not a TABLE record) needs the table of its slot."""
    mask = header_field(header, 0, 2)
    if mask == MASK_SPECIAL:
        return False
    coded = mask == MASK_CODED or header_field(header, VAL_BIT, 1) == 1
    return coded or header_field(header, PAL_BIT, 1) == 1


@kernel
def _bad_special(header: np.uint64) -> bool:
    """Return whether a header with MASK = SPECIAL breaks a rule of EMPTY tiles or TABLE records."""
    palette = header_field(header, PAL_BIT, 1)
    length = tile_length(header)
    if header_field(header, WIDTH_SHIFT, 3) != 0:
        return True
    if header_field(header, VAL_BIT, 1) == 0:
        return palette != 0 or header_field(header, SLOT_SHIFT, 2) != 0 or length != 1
    if tile_groups(header) != 1:
        return True
    return length != (TABLE_PALETTE_WORDS if palette == 1 else TABLE_WORDS)


@kernel
def bad_header(header: np.uint64) -> bool:
    """Return whether word 0 breaks one of the rules that make a BAD_HEADER."""
    if header_field(header, RESERVED_BIT, 1) != 0 or tile_length(header) == 0:
        return True
    mask = header_field(header, 0, 2)
    if mask == MASK_SPECIAL:
        return _bad_special(header)
    width = header_field(header, WIDTH_SHIFT, 3)
    coded_values = header_field(header, VAL_BIT, 1) == 1
    if coded_values and width != 0:
        return True
    if header_field(header, SLOT_SHIFT, 2) != 0 and not uses_table(header):
        return True
    implied = 1 + tile_groups(header) * (GROUP_WEIGHTS // WORD_BITS) * (width + 1)
    return mask == MASK_DENSE and not coded_values and tile_length(header) != implied


@kernel
def judge_header(header: np.uint64, expected_groups: int, profile: int, slots: TableSlots) -> int:
    """Return the status code of a tile's header beat; a TABLE record in a tile's place is a
    BAD_HEADER.
    """
    if bad_header(header):
        return BAD_HEADER
    special = header_field(header, 0, 2) == MASK_SPECIAL
    is_table = special and header_field(header, VAL_BIT, 1) == 1
    if profile == PROFILE_BITMAP and (is_table or uses_table(header)):
        return UNSUPPORTED
    if is_table:
        return BAD_HEADER
    if tile_groups(header) != expected_groups:
        return LENGTH
    if uses_table(header):
        slot = header_field(header, SLOT_SHIFT, 2)
        lacks_palette = header_field(header, PAL_BIT, 1) == 1 and slots.has_palette[slot] == 0
        if slots.written[slot] == 0 or lacks_palette:
            return NO_TABLE
    return OK


@kernel
def is_table_record(header: np.uint64) -> bool:
    """Return whether word 0 is that of a TABLE record."""
    return header_field(header, 0, 2) == MASK_SPECIAL and header_field(header, VAL_BIT, 1) == 1
