"""The weight decoder's function: tile words in, weights or a status code out.

Order of judgement, the same in every implementation (docs/decoder.md): the header beat
(BAD_HEADER, UNSUPPORTED, LENGTH, NO_TABLE), each later beat, then LENGTH, BAD_CRC, BAD_STATE,
TRAILING.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.ans import BEATS, MASK_BITS, POSITION, decode_coded
from azsim_kernels.crc import CRC_START, crc32c_tile
from azsim_kernels.fixed import decode_dense_fixed, decode_raw_fixed
from azsim_kernels.header import header_field, judge_header, tile_length, uses_table
from azsim_kernels.table_slots import TableSlots
from azsim_kernels.tile_errors import BAD_CRC, BAD_STATE, LENGTH, OK, OVERRUN, TRAILING
from azsim_kernels.tile_format import (
    CRC_SHIFT,
    HEADER_BITS,
    MASK_DENSE,
    MASK_SPECIAL,
    SLOT_SHIFT,
    WIDTH_SHIFT,
    WORD_BITS,
)


@kernel
def trailing(words: NDArray[np.uint64], position: int) -> bool:
    """Return whether after bit `position` more than 63 bits, or a 1 bit, remain in `words`."""
    if words.size * WORD_BITS - position >= WORD_BITS:
        return True
    used = position % WORD_BITS
    return used > 0 and (words[words.size - 1] >> np.uint64(used)) != 0


@kernel
def _decode_body(
    words: NDArray[np.uint64],
    slots: TableSlots,
    out: NDArray[np.int8],
    cursor: NDArray[np.int64],
    beats: NDArray[np.uint16],
) -> tuple[int, bool]:
    """Decode all beats after the header; return what `decode_coded` returns."""
    if uses_table(words[0]):
        return decode_coded(words, slots, out, cursor, beats)
    mask = header_field(words[0], 0, 2)
    width = header_field(words[0], WIDTH_SHIFT, 3) + 1
    available = words.size * WORD_BITS
    if mask == MASK_SPECIAL:
        return OK, True
    if mask == MASK_DENSE:
        complete, position, n_beats = decode_dense_fixed(words, available, width, out, beats)
    else:
        complete, position, n_beats = decode_raw_fixed(words, available, width, out, beats)
        cursor[MASK_BITS] = out.size
    cursor[POSITION] = position
    cursor[BEATS] = n_beats
    return OK if complete else OVERRUN, True


@kernel
def _tile_crc_start(header: np.uint64, tile_index: int, slots: TableSlots) -> int:
    """Return the initial value of a tile's CRC."""
    start = CRC_START ^ tile_index
    if uses_table(header):
        start ^= slots.crc[header_field(header, SLOT_SHIFT, 2)]
    return start


@kernel
def decode_tile_parts(
    words: NDArray[np.uint64],
    tile_index: int,
    expected_groups: int,
    profile: int,
    slots: TableSlots,
    out: NDArray[np.int8],
    beats: NDArray[np.uint16],
) -> tuple[int, int, int]:
    """Decode one tile and note its beats; return (status code, beats fired, bits of mask beats).

    words            (n,) all words that arrived for this tile; n must equal LEN
    tile_index       number of the tile in its container
    expected_groups  groups of 256 weights the container's shape asks for
    profile          PROFILE_BITMAP or PROFILE_ANS
    slots            the tables loaded so far
    out              (256 * expected_groups,) receives the weights; all 0 if the status is not OK
    beats            (MAX_BEATS,) receives the bits consumed by each beat, or (0,) to note nothing

    The beat that fails does not count as fired; the mask bits mean nothing if the status is not OK.
    """
    out[:] = 0
    if words.size == 0:
        return LENGTH, 0, 0
    status = judge_header(words[0], expected_groups, profile, slots)
    if status != OK:
        return status, 0, 0
    if beats.size > 0:
        beats[0] = HEADER_BITS
    length = tile_length(words[0])
    body = words[: min(length, words.size)]
    cursor = np.array([HEADER_BITS, 1, 0])
    status, lanes_good = _decode_body(body, slots, out, cursor, beats)
    if words.size < length and status == OVERRUN:
        status = LENGTH
    if status == OK:
        start = _tile_crc_start(words[0], tile_index, slots)
        if words.size != length:
            status = LENGTH
        elif crc32c_tile(body, start) != header_field(words[0], CRC_SHIFT, 32):
            status = BAD_CRC
        elif not lanes_good:
            status = BAD_STATE
        elif trailing(body, cursor[POSITION]):
            status = TRAILING
    if status != OK:
        out[:] = 0
    return status, cursor[BEATS], cursor[MASK_BITS]


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
    """Decode one tile as `decode_tile_parts` does; return (status code, beats fired)."""
    status, n_beats, _ = decode_tile_parts(
        words, tile_index, expected_groups, profile, slots, out, beats
    )
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
    """Decode one tile as `decode_tile_parts` does, without noting beats; return its status code."""
    status, _, _ = decode_tile_parts(
        words, tile_index, expected_groups, profile, slots, out, np.zeros(0, np.uint16)
    )
    return status
