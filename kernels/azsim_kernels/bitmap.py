"""Encoder of profile `bitmap`: EMPTY tiles, and DENSE or RAW masks with FIXED-width values.

A tile's bits go through a 64-bit accumulator: `acc` holds the `fill` low bits of the word `index`,
which is written when it is full. Positions are signed integers, words are uint64: numba turns a
mix of the two into floats.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.crc import CRC_START, crc32c_tile
from azsim_kernels.tile_format import (
    CRC_SHIFT,
    GROUP_WEIGHTS,
    GROUPS_SHIFT,
    LENGTH_SHIFT,
    MASK_DENSE,
    MASK_RAW,
    MASK_SPECIAL,
    WIDTH_SHIFT,
    WORD_BITS,
)


@kernel
def weight_range(weights: NDArray[np.int8]) -> tuple[int, int, int]:
    """Return (lowest, highest, non-zeros) of `weights` (N,), zero counting into the range."""
    low = 0
    high = 0
    non_zeros = 0
    for i in range(weights.size):
        value = int(weights[i])
        low = min(low, value)
        high = max(high, value)
        non_zeros += value != 0
    return low, high, non_zeros


@kernel
def signed_width(low: int, high: int) -> int:
    """Return the fewest bits (1..8) whose two's complement holds `low` <= 0 and `high` >= 0."""
    width = 1
    while low < -(1 << (width - 1)) or high > (1 << (width - 1)) - 1:
        width += 1
    return width


@kernel
def put_bits(
    out: NDArray[np.uint64], index: int, fill: int, acc: np.uint64, value: np.uint64, width: int
) -> tuple[int, int, np.uint64]:
    """Append `width` (0..64) bits of `value`, higher bits being 0; return (index, fill, acc)."""
    acc |= value << np.uint64(fill)
    fill += width
    if fill >= WORD_BITS:
        out[index] = acc
        index += 1
        fill -= WORD_BITS
        acc = np.uint64(0)
        if fill > 0:
            acc = value >> np.uint64(width - fill)
    return index, fill, acc


@kernel
def seal_tile(out: NDArray[np.uint64], header: int, groups: int, words: int, initial: int) -> None:
    """Write word 0 of a tile: `header` bits 9:0, its sizes, its CRC started from `initial`."""
    fields = header | ((groups - 1) << GROUPS_SHIFT) | (words << LENGTH_SHIFT)
    out[0] = np.uint64(fields)
    crc = crc32c_tile(out[:words], initial)
    out[0] = np.uint64(fields) | (np.uint64(crc) << np.uint64(CRC_SHIFT))


@kernel
def _pack_dense(weights: NDArray[np.int8], width: int, out: NDArray[np.uint64]) -> None:
    """Write all weights as `width`-bit fields from word 1 on."""
    keep = np.uint64((1 << width) - 1)
    index = 1
    fill = 0
    acc = np.uint64(0)
    for i in range(weights.size):
        index, fill, acc = put_bits(
            out, index, fill, acc, np.uint64(np.int64(weights[i])) & keep, width
        )


@kernel
def group_mask(group: NDArray[np.int8], quarter: int) -> np.uint64:
    """Return bit i = 1 where weight 64*quarter + i of the group is not zero."""
    mask = np.uint64(0)
    for i in range(WORD_BITS):
        bit = np.uint64(group[WORD_BITS * quarter + i] != 0)
        mask |= bit << np.uint64(i)
    return mask


@kernel
def _pack_raw(weights: NDArray[np.int8], width: int, out: NDArray[np.uint64]) -> None:
    """Write per group a 256-bit mask and the `width`-bit non-zeros, from word 1 on."""
    keep = np.uint64((1 << width) - 1)
    index = 1
    fill = 0
    acc = np.uint64(0)
    for start in range(0, weights.size, GROUP_WEIGHTS):
        group = weights[start : start + GROUP_WEIGHTS]
        for quarter in range(GROUP_WEIGHTS // WORD_BITS):
            index, fill, acc = put_bits(
                out, index, fill, acc, group_mask(group, quarter), WORD_BITS
            )
        for i in range(GROUP_WEIGHTS):
            # a zero adds no bits, so the step needs no branch on the data
            value = np.uint64(np.int64(group[i])) & keep
            index, fill, acc = put_bits(out, index, fill, acc, value, width * (group[i] != 0))
    if fill > 0:
        out[index] = acc


@kernel
def encode_bitmap_tile(weights: NDArray[np.int8], tile_index: int, out: NDArray[np.uint64]) -> int:
    """Encode one tile as EMPTY, DENSE + FIXED or RAW + FIXED; return its length in words.

    weights (N,), N a multiple of 256 in 256..65536; `out` holds at least 1 + N/8 words;
    `tile_index` is the tile's number in its container. The smallest
    wins; of equal sizes DENSE, which needs fewer beats.
    """
    count = weights.size
    groups = count // GROUP_WEIGHTS
    initial = CRC_START ^ tile_index
    low, high, non_zeros = weight_range(weights)
    if non_zeros == 0:
        seal_tile(out, MASK_SPECIAL, groups, 1, initial)
        return 1
    width = signed_width(low, high)
    dense_words = 1 + count * width // WORD_BITS
    raw_words = 1 + (count + non_zeros * width + WORD_BITS - 1) // WORD_BITS
    fixed = (width - 1) << WIDTH_SHIFT
    if raw_words < dense_words:
        _pack_raw(weights, width, out)
        seal_tile(out, MASK_RAW | fixed, groups, raw_words, initial)
        return raw_words
    _pack_dense(weights, width, out)
    seal_tile(out, MASK_DENSE | fixed, groups, dense_words, initial)
    return dense_words
