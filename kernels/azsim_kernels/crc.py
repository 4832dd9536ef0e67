"""CRC-32C (Castagnoli) over bytes and 64-bit words, eight bytes per step (slicing-by-8).

Reflected polynomial 0x82F63B78, final XOR 0xFFFFFFFF (RFC 3720, appendix B.4). The initial value
is an argument because a tile's CRC starts from its index; `CRC_START` is the usual one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel

POLYNOMIAL = 0x82F63B78
CRC_START = 0xFFFFFFFF


def _slicing_tables() -> NDArray[np.uint32]:
    """Return the (8, 256) tables: row k advances a byte past k further zero bytes."""
    tables = np.zeros((8, 256), np.uint32)
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (POLYNOMIAL if value & 1 else 0)
        tables[0, byte] = value
    for row in range(1, 8):
        previous = tables[row - 1]
        tables[row] = (previous >> 8) ^ tables[0][previous & 255]
    return tables


_TABLES = _slicing_tables()
_BYTE = np.uint64(0xFF)
_LOW32 = np.uint64(0xFFFFFFFF)


@kernel
def _step_word(crc: np.uint64, word: np.uint64) -> np.uint64:
    """Return the running CRC (before the final XOR) after the eight bytes of `word`, lowest
    first.
    """
    x = crc ^ word
    near = np.uint64(
        _TABLES[7, x & _BYTE]
        ^ _TABLES[6, (x >> np.uint64(8)) & _BYTE]
        ^ _TABLES[5, (x >> np.uint64(16)) & _BYTE]
        ^ _TABLES[4, (x >> np.uint64(24)) & _BYTE]
    )
    far = np.uint64(
        _TABLES[3, (x >> np.uint64(32)) & _BYTE]
        ^ _TABLES[2, (x >> np.uint64(40)) & _BYTE]
        ^ _TABLES[1, (x >> np.uint64(48)) & _BYTE]
        ^ _TABLES[0, x >> np.uint64(56)]
    )
    return near ^ far


@kernel
def crc32c(data: NDArray[np.uint8], initial: int) -> int:
    """Return the CRC-32C of bytes `data` (n,), started from `initial` (0..2**32-1)."""
    crc = np.uint64(initial)
    whole = data.size // 8 * 8
    for start in range(0, whole, 8):
        word = np.uint64(0)
        for k in range(8):
            word |= np.uint64(data[start + k]) << np.uint64(8 * k)
        crc = _step_word(crc, word)
    for i in range(whole, data.size):
        crc = (crc >> np.uint64(8)) ^ np.uint64(_TABLES[0, (crc ^ np.uint64(data[i])) & _BYTE])
    return np.int64(crc ^ _LOW32)  # type: ignore[return-value]


@kernel
def crc32c_words(words: NDArray[np.uint64], initial: int) -> int:
    """Return the CRC-32C of the little-endian bytes of `words` (n,), started from `initial`."""
    crc = np.uint64(initial)
    for i in range(words.size):
        crc = _step_word(crc, words[i])
    return np.int64(crc ^ _LOW32)  # type: ignore[return-value]


@kernel
def crc32c_tile(words: NDArray[np.uint64], initial: int) -> int:
    """Return the CRC-32C of a tile (n >= 1 words), its CRC field (upper half of word 0) taken as
    zero.
    """
    crc = _step_word(np.uint64(initial), words[0] & _LOW32)
    for i in range(1, words.size):
        crc = _step_word(crc, words[i])
    return np.int64(crc ^ _LOW32)  # type: ignore[return-value]
