"""Encoder of profile `bitmap` on bit arrays: every candidate is laid out in full, the shortest is
taken.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels.reference.crc import crc32c_tile
from azsim_kernels.tile_format import GROUP_WEIGHTS, MASK_DENSE, MASK_RAW, MASK_SPECIAL

_Bits = NDArray[np.uint8]


def field(value: int, width: int) -> _Bits:
    """Return `value` as `width` bits, least significant first; a negative value as two's
    complement.
    """
    return np.array([(value >> k) & 1 for k in range(width)], np.uint8)


def to_words(bits: _Bits) -> NDArray[np.uint64]:
    """Return `bits` as little-endian 64-bit words, the last one padded with zeros."""
    padded = np.pad(bits, (0, -bits.size % 64))
    return np.packbits(padded, bitorder="little").view("<u8").astype(np.uint64)


def signed_width(low: int, high: int) -> int:
    """Return the fewest bits (1..8) whose two's complement holds `low` <= 0 and `high` >= 0."""
    return max(1, 1 + max(int(-low - 1 if low else 0).bit_length(), int(high).bit_length()))


def fixed_fields(values: NDArray[np.int8], width: int) -> _Bits:
    """Return `values` (n,) as n fields of `width` bits."""
    bits = np.unpackbits(values.view(np.uint8)[:, None], axis=1, bitorder="little")
    return bits[:, :width].ravel()


def seal(header: int, groups: int, body: _Bits, initial: int) -> NDArray[np.uint64]:
    """Return the words of a tile: word 0 with its CRC, then `body`."""
    length = 1 + -(-body.size // 64)
    fields = [field(header, 10), field(groups - 1, 8), field(length, 14), field(0, 32)]
    words = to_words(np.concatenate([*fields, body]))
    words[0] |= np.uint64(crc32c_tile(words, initial) << 32)
    return words


def encode_bitmap_tile(weights: NDArray[np.int8], tile_index: int, out: NDArray[np.uint64]) -> int:
    """Encode one tile as the smallest of EMPTY, DENSE + FIXED and RAW + FIXED; return its length
    in words.
    """
    groups = weights.reshape(-1, GROUP_WEIGHTS)
    initial = 0xFFFFFFFF ^ tile_index
    if not weights.any():
        words = seal(MASK_SPECIAL, len(groups), field(0, 0), initial)
    else:
        width = signed_width(min(0, int(weights.min())), max(0, int(weights.max())))
        raw = [
            part
            for g in groups
            for part in ((g != 0).view(np.uint8), fixed_fields(g[g != 0], width))
        ]
        dense_words = seal(
            MASK_DENSE | (width - 1) << 4, len(groups), fixed_fields(weights, width), initial
        )
        raw_words = seal(MASK_RAW | (width - 1) << 4, len(groups), np.concatenate(raw), initial)
        words = min(dense_words, raw_words, key=len)
    out[: words.size] = words
    return int(words.size)
