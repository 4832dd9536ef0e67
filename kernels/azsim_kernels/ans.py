"""Coded tiles of profile `ans`: 16 rANS lanes, four contexts, classes with extra bits.

A lane's state x is 256..65535 between beats. One step takes a symbol out of x; if less than 256 is
left, the lane takes one byte of the stream. All lanes step first, then the bytes are handed out in
lane order, so that a beat's size is known before any of its bits is used.

`cursor` (3,) int64 counts what has passed: bits, beats, bits of mask beats. A beat that needs more
bits than there are does not pass.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.fixed import expand_values, read_raw_mask, sign_extend, signed_word
from azsim_kernels.header import header_field
from azsim_kernels.table_slots import TableSlots
from azsim_kernels.tile_errors import BAD_STATE, OK, OVERRUN
from azsim_kernels.tile_format import (
    GROUP_WEIGHTS,
    HEADER_BITS,
    LANES,
    MASK_BEAT_BITS,
    MASK_BEATS,
    MASK_CODED,
    MASK_DENSE,
    PAL_BIT,
    PALETTE_ENTRIES,
    SECTION_GROUPS,
    SLOT_SHIFT,
    STATE_BITS,
    STATE_LOW,
    VAL_BIT,
    WIDTH_SHIFT,
    WORD_BITS,
)

POSITION = 0
BEATS = 1
MASK_BITS = 2


@kernel
def step_lanes(
    states: NDArray[np.int64],
    active: int,
    steps: NDArray[np.uint32],
    symbols: NDArray[np.int64],
) -> int:
    """Take one symbol out of each of the first `active` states; return how many need a byte.

    A state below 256 is one that needs a byte. steps (256,) is a row of TableSlots.steps.
    """
    needs = 0
    for lane in range(active):
        state = states[lane]
        entry = np.int64(steps[state & 255])
        state = (entry >> 8 & 255) * (state >> 8) + (entry >> 16)
        symbols[lane] = entry & 255
        states[lane] = state
        needs += state < STATE_LOW
    return needs


@kernel
def peek_short(words: NDArray[np.uint64], position: int, keep: int) -> int:
    """Return the bits of mask `keep` (up to 16 ones) from bit `position` on.

    Bits beyond the last word may read as anything. No branch depends on the position.
    """
    last = words.size - 1
    index = min(position >> 6, last)
    shift = np.uint64(position & 63)
    low = words[index] >> shift
    high = words[min(index + 1, last)] << np.uint64(1) << (np.uint64(63) - shift)
    return signed_word((low | high) & np.uint64(keep))


@kernel
def refill_lanes(
    words: NDArray[np.uint64], position: int, states: NDArray[np.int64], active: int
) -> None:
    """Give a byte, from bit `position` on, to each of the first `active` states below 256."""
    for lane in range(active):
        state = states[lane]
        need = int(state < STATE_LOW)
        byte = peek_short(words, position, 255)
        states[lane] = state << (8 * need) | byte & -need
        position += 8 * need


@kernel
def class_value(base: int, signed: int, extra: int) -> int:
    """Return BASE plus the extra bits; if SG is 1, their lowest bit is a minus sign instead."""
    negate = -(extra & signed)
    return ((base + (extra >> signed)) ^ negate) - negate


@kernel
def pass_beat(
    words: NDArray[np.uint64], size: int, cursor: NDArray[np.int64], beats: NDArray[np.uint16]
) -> bool:
    """Move the cursor over a beat of `size` bits and note it; return False if bits are missing."""
    if cursor[POSITION] + size > words.size * WORD_BITS:
        return False
    if beats.size > 0:
        beats[cursor[BEATS]] = size
    cursor[POSITION] += size
    cursor[BEATS] += 1
    return True


@kernel
def read_states(
    words: NDArray[np.uint64],
    groups: int,
    states: NDArray[np.int64],
    cursor: NDArray[np.int64],
    beats: NDArray[np.uint16],
) -> int:
    """Pass the beats of lane states and contexts, filling `states` (16,); return the status."""
    start = cursor[POSITION]
    if start + STATE_BITS > words.size * WORD_BITS:
        return OVERRUN
    for lane in range(LANES):
        states[lane] = peek_short(words, start + 16 * lane, 0xFFFF)
        if states[lane] < STATE_LOW:
            return BAD_STATE
    pass_beat(words, STATE_BITS, cursor, beats)
    sections = (groups + SECTION_GROUPS - 1) // SECTION_GROUPS
    return OK if pass_beat(words, 2 * sections, cursor, beats) else OVERRUN


@kernel
def read_coded_mask(
    words: NDArray[np.uint64],
    states: NDArray[np.int64],
    steps: NDArray[np.uint32],
    mask: NDArray[np.uint8],
    cursor: NDArray[np.int64],
    beats: NDArray[np.uint16],
) -> int:
    """Decode a group's mask into `mask` (256,); return its number of ones, or -1 on an overrun."""
    symbols = np.empty(LANES, np.int64)
    ones = 0
    for quarter in range(MASK_BEATS):
        start = cursor[POSITION]
        size = 8 * step_lanes(states, LANES, steps, symbols)
        if not pass_beat(words, size, cursor, beats):
            return -1
        cursor[MASK_BITS] += size
        refill_lanes(words, start, states, LANES)
        for lane in range(LANES):
            for i in range(4):
                bit = symbols[lane] >> i & 1
                mask[quarter * MASK_BEAT_BITS + lane * 4 + i] = bit
                ones += bit
    return ones


@kernel
def pass_raw_mask(
    words: NDArray[np.uint64],
    mask: NDArray[np.uint8],
    cursor: NDArray[np.int64],
    beats: NDArray[np.uint16],
) -> int:
    """Read a group's RAW mask into `mask` (256,); return its ones, or -1 on an overrun."""
    start = cursor[POSITION]
    for _ in range(MASK_BEATS):
        if not pass_beat(words, MASK_BEAT_BITS, cursor, beats):
            return -1
        cursor[MASK_BITS] += MASK_BEAT_BITS
    return read_raw_mask(words, start, mask)


@kernel
def read_coded_values(
    words: NDArray[np.uint64],
    states: NDArray[np.int64],
    steps: NDArray[np.uint32],
    slot: int,
    slots: TableSlots,
    values: NDArray[np.int64],
    cursor: NDArray[np.int64],
    beats: NDArray[np.uint16],
) -> bool:
    """Decode `values` (n,), palette not applied; return False on an overrun."""
    symbols = np.empty(LANES, np.int64)
    base = slots.base[slot]
    extra_bits = slots.extra_bits[slot]
    signed = slots.signed[slot]
    for first in range(0, values.size, LANES):
        active = min(LANES, values.size - first)
        place = cursor[POSITION]
        byte_bits = 8 * step_lanes(states, active, steps, symbols)
        size = byte_bits
        for lane in range(active):
            size += signed_word(extra_bits[symbols[lane]])
        if not pass_beat(words, size, cursor, beats):
            return False
        refill_lanes(words, place, states, active)
        place += byte_bits
        for lane in range(active):
            symbol = symbols[lane]
            width = signed_word(extra_bits[symbol])
            extra = peek_short(words, place, (1 << width) - 1)
            place += width
            sign = signed_word(signed[symbol])
            values[first + lane] = class_value(signed_word(base[symbol]), sign, extra)
    return True


@kernel
def read_fixed_values(
    words: NDArray[np.uint64],
    width: int,
    extend: bool,
    values: NDArray[np.int64],
    cursor: NDArray[np.int64],
    beats: NDArray[np.uint16],
) -> bool:
    """Read `values` (n,) of `width` bits, signed if `extend`; return False on an overrun."""
    for first in range(0, values.size, LANES):
        active = min(LANES, values.size - first)
        place = cursor[POSITION]
        if not pass_beat(words, active * width, cursor, beats):
            return False
        for lane in range(active):
            field = peek_short(words, place + lane * width, (1 << width) - 1)
            values[first + lane] = sign_extend(field, width) if extend else field
    return True


@kernel
def apply_palette(
    values: NDArray[np.int64], palette: NDArray[np.uint8], packed: NDArray[np.int8]
) -> None:
    """Write `values` (n,), palette indices unless `palette` is empty, as weights to `packed`."""
    for i in range(values.size):
        byte = int(values[i]) & 255
        if palette.size > 0:
            byte = signed_word(palette[byte & (PALETTE_ENTRIES - 1)])
        packed[i] = sign_extend(byte, 8)


@kernel
def decode_coded(
    words: NDArray[np.uint64],
    slots: TableSlots,
    out: NDArray[np.int8],
    cursor: NDArray[np.int64],
    beats: NDArray[np.uint16],
) -> tuple[int, bool]:
    """Decode the body of a tile that uses a table into `out` (N,).

    `cursor` stands behind the header beat. Returns (OK, OVERRUN or BAD_STATE; whether all lanes
    ended in 256).
    """
    header = words[0]
    mask_mode = header_field(header, 0, 2)
    coded_values = header_field(header, VAL_BIT, 1) == 1
    coded = mask_mode == MASK_CODED or coded_values
    width = header_field(header, WIDTH_SHIFT, 3) + 1
    slot = header_field(header, SLOT_SHIFT, 2)
    indexed = header_field(header, PAL_BIT, 1) == 1
    palette = slots.palette[slot][: PALETTE_ENTRIES if indexed else 0]
    states = np.full(LANES, STATE_LOW, np.int64)
    mask = np.ones(GROUP_WEIGHTS, np.uint8)
    values = np.empty(GROUP_WEIGHTS, np.int64)
    packed = np.zeros(GROUP_WEIGHTS + 1, np.int8)
    groups = out.size // GROUP_WEIGHTS
    if coded:
        status = read_states(words, groups, states, cursor, beats)
        if status != OK:
            return status, False
    context = 0
    for group in range(groups):
        if coded:
            select = HEADER_BITS + STATE_BITS + 2 * (group // SECTION_GROUPS)
            context = peek_short(words, select, 3)
        count = GROUP_WEIGHTS
        if mask_mode == MASK_CODED:
            steps = slots.steps[slot, 0, context]
            count = read_coded_mask(words, states, steps, mask, cursor, beats)
        elif mask_mode != MASK_DENSE:
            count = pass_raw_mask(words, mask, cursor, beats)
        if count < 0:
            return OVERRUN, False
        if coded_values:
            steps = slots.steps[slot, 1, context]
            good = read_coded_values(
                words, states, steps, slot, slots, values[:count], cursor, beats
            )
        else:
            good = read_fixed_values(words, width, not indexed, values[:count], cursor, beats)
        if not good:
            return OVERRUN, False
        apply_palette(values[:count], palette, packed)
        first = group * GROUP_WEIGHTS
        expand_values(mask, packed, out[first : first + GROUP_WEIGHTS])
    return OK, bool(np.all(states == STATE_LOW))
