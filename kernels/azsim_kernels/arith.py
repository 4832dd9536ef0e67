"""Scalar integer arithmetic of the vector unit; docs/arithmetic.md is the specification.

Every function takes and returns int64 (callers widen first). The numpy twins stand in
`azsim_kernels.reference.arith`.
"""

from __future__ import annotations

import numpy as np

from azsim_kernels import tables
from azsim_kernels._jit import kernel

# Constant tables are the one exception to "constants come as arguments": numba freezes them into
# the compiled code, and the cache key covers the file they are made in.
SIGMOID = tables.sigmoid_table().astype(np.int64)
TANH = tables.tanh_table().astype(np.int64)
EXP2 = tables.exp2_table().astype(np.int64)
RECIPROCAL = tables.reciprocal_table().astype(np.int64)
RSQRT = tables.rsqrt_table().astype(np.int64)
LOG2 = tables.log2_table().astype(np.int64)

LOG2_E_Q15 = 47274  # log2(e) in Q2.15
LN_2_Q15 = 22713  # ln(2) in Q0.15
THREE_Q28 = 3 << 28


@kernel
def rounded_shift(v: int, s: int) -> int:
    """Return v / 2**s rounded to nearest, halves away from zero; |v| < 2**63, 0 <= s <= 62."""
    if s == 0:
        return v
    magnitude = v if v >= 0 else -v
    # Bit s - 1 is the half; added after the shift it cannot overflow, 2**(s-1) before it could.
    rounded = (magnitude >> s) + ((magnitude >> (s - 1)) & 1)
    return rounded if v >= 0 else -rounded


@kernel
def rescale(x: int, m: int, s: int) -> int:
    """Return x * m / 2**s, halves away from zero; |x| <= 2**32, 0 <= m < 2**31, 0 <= s <= 62."""
    return rounded_shift(x * m, s)


@kernel
def sat8(v: int) -> int:
    """Limit v to -128..127."""
    return min(max(v, -128), 127)


@kernel
def sat16(v: int) -> int:
    """Limit v to -32768..32767."""
    return min(max(v, -32768), 32767)


@kernel
def sat32(v: int) -> int:
    """Limit v to -2**31..2**31 - 1."""
    return min(max(v, -2147483648), 2147483647)


@kernel
def sigmoid(x: int) -> int:
    """Sigmoid of x in Q3.12 (int16 range), in Q0.15, by table and linear interpolation."""
    i = (x + 32768) >> 7
    f = (x + 32768) & 127
    return int(SIGMOID[i] * (128 - f) + SIGMOID[i + 1] * f + 64) >> 7


@kernel
def tanh(x: int) -> int:
    """Tanh of x in Q3.12 (int16 range), in Q0.15, by table and linear interpolation."""
    i = (x + 32768) >> 7
    f = (x + 32768) & 127
    return int(TANH[i] * (128 - f) + TANH[i + 1] * f + 64) >> 7


@kernel
def exp(t: int) -> int:
    """Exponential of t in Q5.10, -32768 <= t <= 0, in Q0.15 (1.0 is 32767)."""
    z = -t * LOG2_E_Q15  # -t * log2(e) in Q.25
    k = z >> 25
    i = (z >> 18) & 127
    g = (z >> 8) & 1023
    w = int(EXP2[i] * (1024 - g) + EXP2[i + 1] * g + 512) >> 10
    return (w + ((1 << k) >> 1)) >> k


@kernel
def reciprocal(total: int) -> tuple[int, int]:
    """Return (r, n): n the bit length of total, r about 2**n / total, Q2.30; 0 < total < 2**31."""
    n = 0
    while (total >> n) != 0:
        n += 1
    a = total << (31 - n)  # in [1/2, 1) as Q.31
    r = int(RECIPROCAL[(a >> 22) & 255])  # Q2.14
    return (r * (((1 << 46) - a * r) >> 15)) >> 14, n


@kernel
def rsqrt(v: int) -> tuple[int, int]:
    """Return (r, h) with 1 / sqrt(v) about r / 2**(24 + h); 0 < v < 2**63."""
    bits = 0
    while (v >> bits) != 0:
        bits += 1
    h = (bits + 1) >> 1
    a = v << (32 - 2 * h) if h <= 16 else v >> (2 * h - 32)  # in [1/4, 1) as Q.32
    r = int(RSQRT[(a >> 24) - 64])  # Q2.14
    r = (r * (THREE_Q28 - ((a * (r * r)) >> 32))) >> 19  # Q2.24
    return (r * (THREE_Q28 - ((a * ((r * r) >> 20)) >> 32))) >> 29, h


@kernel
def ln(total: int) -> int:
    """Natural logarithm of total / 2**15 in Q5.10, 2**14 < total < 2**31."""
    n = 0
    while (total >> n) != 0:
        n += 1
    a = total << (31 - n)
    i = (a >> 23) & 127
    g = (a >> 13) & 1023
    w = int(LOG2[i] * (1024 - g) + LOG2[i + 1] * g + 512) >> 10
    return ((((n - 16) << 14) + w) * LN_2_Q15 + (1 << 18)) >> 19
