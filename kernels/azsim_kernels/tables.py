"""Look-up tables of the vector unit, as int16 arrays; docs/arithmetic.md has the formulas.

Each entry is `rint(scale * f(x))` in float64, limited to the largest int16. No entry lies near a
half (a test compares with 40-digit decimals and a checksum), so every platform builds the same
integers. `azsim_kernels.reference.tables` builds the same arrays from decimals.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.int16]

SIGMOID_ENTRIES = 513  # entry i: x = -8 + i / 32
EXP_ENTRIES = 129  # entry i: 2 ** (-i / 128)
RECIPROCAL_ENTRIES = 256  # entry i: 1 / a in the middle of interval i of a in [1/2, 1)
RSQRT_FIRST, RSQRT_END = 64, 256  # entry i - 64: 1 / sqrt(a) in the middle of [i, i + 1) / 256
LOG2_ENTRIES = 129  # entry i: log2(1 + i / 128)


def _quantize(values: npt.NDArray[np.float64], scale: float) -> Table:
    """Return rint(values * scale) as int16, limited to its range."""
    return np.clip(np.rint(values * scale), -32768, 32767).astype(np.int16)


def sigmoid_table() -> Table:
    """Q0.15 sigmoid at -8, -8 + 1/32, ..., 8: int16 (513,)."""
    x = np.arange(SIGMOID_ENTRIES, dtype=np.float64) / 32 - 8
    return _quantize(1 / (1 + np.exp(-x)), 2.0**15)


def tanh_table() -> Table:
    """Q0.15 tanh at -8, -8 + 1/32, ..., 8: int16 (513,)."""
    x = np.arange(SIGMOID_ENTRIES, dtype=np.float64) / 32 - 8
    return _quantize(np.tanh(x), 2.0**15)


def exp2_table() -> Table:
    """Q0.15 powers 2**0, 2**(-1/128), ..., 2**-1: int16 (129,); 1.0 is held as 32767."""
    return _quantize(np.exp2(-np.arange(EXP_ENTRIES, dtype=np.float64) / 128), 2.0**15)


def reciprocal_table() -> Table:
    """Q2.14 reciprocals 1/a at a = 1/2 + (2i + 1)/1024: int16 (256,), all below 2.0."""
    a = 0.5 + (2 * np.arange(RECIPROCAL_ENTRIES, dtype=np.float64) + 1) / 1024
    return _quantize(1 / a, 2.0**14)


def rsqrt_table() -> Table:
    """Q2.14 values 1/sqrt(a) at a = (2i + 129)/512 in [1/4, 1): int16 (192,), all below 2.0."""
    a = (2 * np.arange(RSQRT_FIRST, RSQRT_END, dtype=np.float64) + 1) / 512
    return _quantize(1 / np.sqrt(a), 2.0**14)


def log2_table() -> Table:
    """Q2.14 values log2(1), log2(1 + 1/128), ..., log2(2): int16 (129,)."""
    return _quantize(np.log2(1 + np.arange(LOG2_ENTRIES, dtype=np.float64) / 128), 2.0**14)
