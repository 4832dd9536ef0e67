"""The weight decoder's function: tile words in, weights or a status code out.

Order of judgement, the same in every implementation (docs/decoder.md): the header beat
(BAD_HEADER, UNSUPPORTED, LENGTH, NO_TABLE), each later beat, then LENGTH, BAD_CRC, BAD_STATE,
TRAILING.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.crc import CRC_START, crc32c_tile
from azsim_kernels.fixed import decode_dense_fixed, decode_raw_fixed, signed_word
from azsim_kernels.table_slots import TableSlots
from azsim_kernels.tile_errors import (
    BAD_CRC,
    BAD_HEADER,
    LENGTH,
    NO_TABLE,
    OK,
    OVERRUN,
    TRAILING,
    UNSUPPORTED,
)
from azsim_kernels.tile_format import (
    CRC_SHIFT,
    GROUP_WEIGHTS,
    GROUPS_SHIFT,
    HEADER_BITS,
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
def trailing(words: NDArray[np.uint64], position: int) -> bool:
    """Return whether after bit `position` more than 63 bits, or a 1 bit, remain in `words`."""
    if words.size * WORD_BITS - position >= WORD_BITS:
        return True
    used = position % WORD_BITS
    return used > 0 and (words[words.size - 1] >> np.uint64(used)) != 0


@kernel
def _decode_body(
    words: NDArray[np.uint64], available: int, out: NDArray[np.int8], beats: NDArray[np.uint16]
) -> tuple[bool, int, int]:
    """Decode all beats after the header; return (complete, bits consumed, beats fired), header
    included.
    """
    mask = header_field(words[0], 0, 2)
    width = header_field(words[0], WIDTH_SHIFT, 3) + 1
    if mask == MASK_SPECIAL:
        out[:] = 0
        return True, HEADER_BITS, 1
    if mask == MASK_DENSE:
        return decode_dense_fixed(words, available, width, out, beats)
    return decode_raw_fixed(words, available, width, out, beats)


@kernel
def decode_tile_beats(
    words: NDArray[np.uint64],
    tile_index: int,
    expected_groups: int,
    profile: int,
    slots: TableSlots,
    out: NDArray[np.int8],
    beats: NDArray[np.uint16],
) -> tuple[int, int]:
    """Decode one tile and note its beats; return (status code, beats fired).

    words            (n,) all words that arrived for this tile; n must equal LEN
    tile_index       number of the tile in its container
    expected_groups  groups of 256 weights the container's shape asks for
    profile          PROFILE_BITMAP or PROFILE_ANS
    out              (256 * expected_groups,) receives the weights; all 0 if the status is not OK
    beats            (MAX_BEATS,) receives the bits consumed by each beat, or (0,) to note nothing
    """
    out[:] = 0
    if words.size == 0:
        return LENGTH, 0
    status = judge_header(words[0], expected_groups, profile, slots)
    if status != OK:
        return status, 0
    if beats.size > 0:
        beats[0] = HEADER_BITS
    length = tile_length(words[0])
    body = words[: min(length, words.size)]
    complete, position, n_beats = _decode_body(body, body.size * WORD_BITS, out, beats)
    if words.size < length or (complete and words.size > length):
        status = LENGTH
    elif not complete:
        status = OVERRUN
    else:
        initial = CRC_START ^ tile_index
        if crc32c_tile(body, initial) != header_field(words[0], CRC_SHIFT, 32):
            status = BAD_CRC
        elif trailing(body, position):
            status = TRAILING
    if status != OK:
        out[:] = 0
    return status, n_beats


@kernel
def decode_tile(
    words: NDArray[np.uint64],
    tile_index: int,
    expected_groups: int,
    profile: int,
    slots: TableSlots,
    out: NDArray[np.int8],
) -> int:
    """Decode one tile as `decode_tile_beats` does, without noting beats; return its status code."""
    status, _ = decode_tile_beats(
        words, tile_index, expected_groups, profile, slots, out, np.zeros(0, np.uint16)
    )
    return status
