"""Encoding of one tile with a given table: contexts, lanes in reverse, bits forwards.

rANS gives its symbols back in reverse, so the encoder walks a tile's beats from the last to the
first and keeps the byte, if any, that each symbol pushes out; then it writes the bits in order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.ans_types import IMPOSSIBLE_BITS, EncoderTables, TileScratch
from azsim_kernels.bitmap import group_mask, put_bits, seal_tile, signed_width, weight_range
from azsim_kernels.crc import CRC_START
from azsim_kernels.tile_format import (
    CONTEXTS,
    GROUP_WEIGHTS,
    HEADER_BITS,
    LANES,
    MASK_BEAT_BITS,
    MASK_BEATS,
    MASK_CODED,
    MASK_DENSE,
    MASK_RAW,
    PAL_BIT,
    SECTION_GROUPS,
    SLOT_SHIFT,
    STATE_BITS,
    STATE_LOW,
    SYMBOLS,
    VAL_BIT,
    WIDTH_SHIFT,
)

_NIBBLES = GROUP_WEIGHTS // 4


@kernel
def split_tile(weights: NDArray[np.int8], dense: bool, scratch: TileScratch) -> int:
    """Fill `nibbles`, `counts` and `values` of the scratch; return the number of values.

    If `dense`, every weight is a value, otherwise the non-zeros are.
    """
    total = 0
    for group in range(weights.size // GROUP_WEIGHTS):
        first = group * GROUP_WEIGHTS
        for n in range(_NIBBLES):
            symbol = 0
            for i in range(4):
                symbol |= int(weights[first + 4 * n + i] != 0) << i
            scratch.nibbles[group * _NIBBLES + n] = symbol
        place = first
        for i in range(first, first + GROUP_WEIGHTS):
            scratch.values[place] = np.int64(weights[i]) & 255
            place += int(dense or weights[i] != 0)
        scratch.counts[group] = place - first
        total += scratch.counts[group]
    return total


@kernel
def section_costs(
    scratch: TileScratch,
    groups: int,
    section: int,
    mask_coded: bool,
    values_coded: bool,
    tables: EncoderTables,
    costs: NDArray[np.int64],
) -> None:
    """Write the cost of a section under each context, in bits times 2**16, to `costs` (4,)."""
    mask_counts = np.zeros(SYMBOLS, np.int64)
    value_counts = np.zeros(SYMBOLS, np.int64)
    for group in range(section * SECTION_GROUPS, min(groups, (section + 1) * SECTION_GROUPS)):
        if mask_coded:
            for n in range(group * _NIBBLES, (group + 1) * _NIBBLES):
                mask_counts[scratch.nibbles[n]] += 1
        if values_coded:
            first = group * GROUP_WEIGHTS
            for i in range(first, first + scratch.counts[group]):
                value_counts[tables.value_class[scratch.values[i]]] += 1
    for context in range(CONTEXTS):
        cost = 0
        for symbol in range(SYMBOLS):
            cost += mask_counts[symbol] * tables.cost_q16[0, context, symbol]
            cost += value_counts[symbol] * tables.cost_q16[1, context, symbol]
        costs[context] = cost


@kernel
def select_contexts(
    scratch: TileScratch,
    groups: int,
    mask_coded: bool,
    values_coded: bool,
    tables: EncoderTables,
) -> None:
    """Choose the cheapest context of each section, the lowest of equal ones."""
    costs = np.zeros(CONTEXTS, np.int64)
    for section in range((groups + SECTION_GROUPS - 1) // SECTION_GROUPS):
        section_costs(scratch, groups, section, mask_coded, values_coded, tables, costs)
        scratch.select[section] = np.argmin(costs)


@kernel
def push_symbol(
    states: NDArray[np.int64], lane: int, frequency: int, below: int, reciprocal: int
) -> int:
    """Put a symbol into a lane's state; return the byte pushed out for it, or -1."""
    state = states[lane]
    byte = -1
    if state >= frequency * STATE_LOW:
        byte = state & 255
        state >>= 8
    quotient = state * reciprocal >> 24  # state < 256 * frequency, for which this is exact
    states[lane] = state + quotient * (STATE_LOW - frequency) + below
    return byte


@kernel
def run_lanes(
    scratch: TileScratch,
    groups: int,
    mask_coded: bool,
    values_coded: bool,
    tables: EncoderTables,
    states: NDArray[np.int64],
) -> int:
    """Push all coded symbols of a tile, last beat first; return the number of bytes pushed out.

    `states` (16,) ends as the states the decoder starts from.
    """
    states[:] = STATE_LOW
    total = 0
    for group in range(groups - 1, -1, -1):
        context = scratch.select[group // SECTION_GROUPS]
        if values_coded:
            frequency = tables.frequency[1, context]
            below = tables.below[1, context]
            reciprocal = tables.reciprocal[1, context]
            for i in range(scratch.counts[group] - 1, -1, -1):
                place = group * GROUP_WEIGHTS + i
                s = tables.value_class[scratch.values[place]]
                byte = push_symbol(states, i % LANES, frequency[s], below[s], reciprocal[s])
                scratch.value_bytes[place] = byte
                total += byte >= 0
        if mask_coded:
            frequency = tables.frequency[0, context]
            below = tables.below[0, context]
            reciprocal = tables.reciprocal[0, context]
            for n in range(_NIBBLES - 1, -1, -1):
                place = group * _NIBBLES + n
                s = np.int64(scratch.nibbles[place])
                byte = push_symbol(states, n % LANES, frequency[s], below[s], reciprocal[s])
                scratch.mask_bytes[place] = byte
                total += byte >= 0
    return total


@kernel
def values_fit(scratch: TileScratch, groups: int, codes: NDArray[np.int64]) -> tuple[bool, int]:
    """Return (whether all values have a code >= 0 in `codes` (256,), the highest code)."""
    highest = 0
    for group in range(groups):
        first = group * GROUP_WEIGHTS
        for i in range(first, first + scratch.counts[group]):
            code = int(codes[scratch.values[i]])
            if code < 0:
                return False, 0
            highest = max(highest, code)
    return True, highest


@kernel
def extra_bits_total(scratch: TileScratch, groups: int, tables: EncoderTables) -> int:
    """Return the extra bits of all values of a tile."""
    total = 0
    for group in range(groups):
        first = group * GROUP_WEIGHTS
        for i in range(first, first + scratch.counts[group]):
            total += int(tables.class_bits[tables.value_class[scratch.values[i]]])
    return total


@kernel
def index_width(highest: int) -> int:
    """Return the fewest bits (1..8) that hold the unsigned number `highest`."""
    width = 1
    while highest >> width:
        width += 1
    return width


@kernel
def fixed_width(
    weights: NDArray[np.int8],
    groups: int,
    palette: bool,
    tables: EncoderTables,
    scratch: TileScratch,
) -> int:
    """Return the bits of a FIXED value of a split tile, or 0 if the palette lacks one of them."""
    if palette:
        fits, highest = values_fit(scratch, groups, tables.palette_index)
        return index_width(highest) if fits else 0
    low, high, _ = weight_range(weights)
    return signed_width(low, high)


@kernel
def mode_bits_needed(
    weights: NDArray[np.int8],
    header: int,
    tables: EncoderTables,
    scratch: TileScratch,
    states: NDArray[np.int64],
) -> int:
    """Return the exact bits of a tile in the mode of `header` bits 3:0, or IMPOSSIBLE_BITS.

    The scratch is left split and run for this mode.
    """
    mask = header & 3
    values_coded = header >> VAL_BIT & 1 == 1
    groups = weights.size // GROUP_WEIGHTS
    mask_coded = mask == MASK_CODED
    values = split_tile(weights, mask == MASK_DENSE, scratch)
    bits = HEADER_BITS
    if mask == MASK_RAW:
        bits += weights.size
    if values_coded:
        fits, _ = values_fit(scratch, groups, tables.value_class)
        if not fits:
            return IMPOSSIBLE_BITS
        bits += extra_bits_total(scratch, groups, tables)
    else:
        width = fixed_width(weights, groups, header >> PAL_BIT & 1 == 1, tables, scratch)
        if width == 0:
            return IMPOSSIBLE_BITS
        bits += width * values
    if mask_coded or values_coded:
        select_contexts(scratch, groups, mask_coded, values_coded, tables)
        pushed = run_lanes(scratch, groups, mask_coded, values_coded, tables, states)
        sections = (groups + SECTION_GROUPS - 1) // SECTION_GROUPS
        bits += STATE_BITS + 2 * sections + 8 * pushed
    return bits


@kernel
def put_bytes(
    out: NDArray[np.uint64],
    index: int,
    fill: int,
    acc: np.uint64,
    pushed: NDArray[np.int16],
) -> tuple[int, int, np.uint64]:
    """Append the bytes of a beat's lanes, given as `pushed` (lanes,), that have one."""
    for lane in range(pushed.size):
        if pushed[lane] >= 0:
            index, fill, acc = put_bits(out, index, fill, acc, np.uint64(np.int64(pushed[lane])), 8)
    return index, fill, acc


@kernel
def _put_group_mask(
    out: NDArray[np.uint64],
    index: int,
    fill: int,
    acc: np.uint64,
    group: int,
    weights: NDArray[np.int8],
    coded: bool,
    scratch: TileScratch,
) -> tuple[int, int, np.uint64]:
    """Append the mask beats of a group, RAW or CODED."""
    first = group * GROUP_WEIGHTS
    for quarter in range(MASK_BEATS):
        if coded:
            start = group * _NIBBLES + quarter * LANES
            index, fill, acc = put_bytes(
                out, index, fill, acc, scratch.mask_bytes[start : start + LANES]
            )
        else:
            bits = group_mask(weights[first : first + GROUP_WEIGHTS], quarter)
            index, fill, acc = put_bits(out, index, fill, acc, bits, MASK_BEAT_BITS)
    return index, fill, acc


@kernel
def _put_group_values(
    out: NDArray[np.uint64],
    index: int,
    fill: int,
    acc: np.uint64,
    group: int,
    width: int,
    palette: bool,
    tables: EncoderTables,
    scratch: TileScratch,
) -> tuple[int, int, np.uint64]:
    """Append the value beats of a group: FIXED fields of `width` bits, or CODED if it is 0."""
    count = scratch.counts[group]
    for start in range(group * GROUP_WEIGHTS, group * GROUP_WEIGHTS + count, LANES):
        end = min(start + LANES, group * GROUP_WEIGHTS + count)
        if width == 0:
            index, fill, acc = put_bytes(out, index, fill, acc, scratch.value_bytes[start:end])
        for i in range(start, end):
            value = np.int64(scratch.values[i])
            size = width
            if width == 0:
                size = int(tables.class_bits[tables.value_class[value]])
                value = tables.value_extra[value]
            elif palette:
                value = tables.palette_index[value]
            keep = np.uint64((1 << size) - 1)
            index, fill, acc = put_bits(out, index, fill, acc, np.uint64(value) & keep, size)
    return index, fill, acc


@kernel
def encode_ans_tile(
    weights: NDArray[np.int8],
    tile_index: int,
    header: int,
    tables: EncoderTables,
    slot: int,
    table_crc: int,
    scratch: TileScratch,
    out: NDArray[np.uint64],
) -> int:
    """Encode one tile in the mode of `header` bits 3:0 (not EMPTY); return its length in words.

    weights  (N,), N a multiple of 256; every value must have a class, or a place in the palette
    slot, table_crc  of the TABLE record that `tables` describes
    out      holds the tile, as `mode_bits_needed` tells
    """
    groups = weights.size // GROUP_WEIGHTS
    states = np.full(LANES, STATE_LOW, np.int64)
    mode_bits_needed(weights, header, tables, scratch, states)
    mask = header & 3
    palette = header >> PAL_BIT & 1 == 1
    values_coded = header >> VAL_BIT & 1 == 1
    width = 0
    if not values_coded:
        width = fixed_width(weights, groups, palette, tables, scratch)
        header |= (width - 1) << WIDTH_SHIFT
    index = 1
    fill = 0
    acc = np.uint64(0)
    if mask == MASK_CODED or values_coded:
        for lane in range(LANES):
            index, fill, acc = put_bits(out, index, fill, acc, np.uint64(states[lane]), 16)
        for section in range((groups + SECTION_GROUPS - 1) // SECTION_GROUPS):
            context = np.uint64(scratch.select[section])
            index, fill, acc = put_bits(out, index, fill, acc, context, 2)
    for group in range(groups):
        if mask != MASK_DENSE:
            index, fill, acc = _put_group_mask(
                out, index, fill, acc, group, weights, mask == MASK_CODED, scratch
            )
        index, fill, acc = _put_group_values(
            out, index, fill, acc, group, width, palette, tables, scratch
        )
    if fill > 0:
        out[index] = acc
        index += 1
    start = CRC_START ^ tile_index
    if mask == MASK_CODED or values_coded or palette:
        header |= slot << SLOT_SHIFT
        start ^= table_crc
    seal_tile(out, header, groups, index, start)
    return index
