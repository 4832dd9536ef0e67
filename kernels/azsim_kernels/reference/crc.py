"""CRC-32C by its definition: polynomial division bit by bit, bytes of all words laid out first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels.tile_format import CRC_SHIFT

_POLYNOMIAL = 0x82F63B78


def crc32c(data: NDArray[np.uint8], initial: int) -> int:
    """Return the CRC-32C of bytes `data` (n,), started from `initial` (0..2**32-1)."""
    crc = int(initial)
    for byte in data.tobytes():
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (_POLYNOMIAL * (crc & 1))
    return crc ^ 0xFFFFFFFF


def crc32c_words(words: NDArray[np.uint64], initial: int) -> int:
    """Return the CRC-32C of the little-endian bytes of `words` (n,), started from `initial`."""
    return crc32c(words.astype("<u8").view(np.uint8), initial)


def crc32c_tile(words: NDArray[np.uint64], initial: int) -> int:
    """Return the CRC-32C of a tile (n >= 1 words), its CRC field (upper half of word 0) taken as
    zero.
    """
    cleared = words.copy()
    cleared[0] &= np.uint64((1 << CRC_SHIFT) - 1)
    return crc32c_words(cleared, initial)
