"""Integer arithmetic of the vector unit in plain numpy; docs/arithmetic.md is the specification.

Arguments are integers or integer arrays and broadcast; results are int64 arrays. Also here, because
only the compiler needs it: how a real factor becomes a multiplier and a shift.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from azsim_kernels import isa
from azsim_kernels.reference import tables

Integers = npt.NDArray[np.int64]
IntegersLike = npt.NDArray[np.integer] | int

SIGMOID = tables.sigmoid_table().astype(np.int64)
TANH = tables.tanh_table().astype(np.int64)
EXP2 = tables.exp2_table().astype(np.int64)
RECIPROCAL = tables.reciprocal_table().astype(np.int64)

MAX_SHIFT = 62


def _wide(v: IntegersLike) -> Integers:
    return np.asarray(v, dtype=np.int64)


def rounded_shift(v: IntegersLike, s: IntegersLike) -> Integers:
    """Return v / 2**s rounded to nearest, halves away from zero; |v| < 2**63, 0 <= s <= 62."""
    v = _wide(v)
    shift = _wide(s).astype(np.uint64)
    half = np.left_shift(np.uint64(1), shift) >> np.uint64(1)
    magnitude = np.abs(v).astype(np.uint64)  # unsigned: magnitude + half stays below 2**64
    return np.sign(v) * ((magnitude + half) >> shift).astype(np.int64)


def rescale(x: IntegersLike, m: IntegersLike, s: IntegersLike) -> Integers:
    """Return x * m / 2**s, halves away from zero; |x| <= 2**32, 0 <= m < 2**31, 0 <= s <= 62."""
    return rounded_shift(_wide(x) * _wide(m), s)


def sat8(v: IntegersLike) -> Integers:
    """Limit v to -128..127."""
    return np.clip(_wide(v), -(2**7), 2**7 - 1)


def sat16(v: IntegersLike) -> Integers:
    """Limit v to -32768..32767."""
    return np.clip(_wide(v), -(2**15), 2**15 - 1)


def sat32(v: IntegersLike) -> Integers:
    """Limit v to -2**31..2**31 - 1."""
    return np.clip(_wide(v), -(2**31), 2**31 - 1)


def _interpolate(table: Integers, x: IntegersLike) -> Integers:
    """Value of a 513-entry table at x in Q3.12, nearest, halves upwards."""
    i, f = np.divmod(_wide(x) + 2**15, 128)
    return _wide((table[i] * 128 + (table[i + 1] - table[i]) * f + 64) // 128)


def sigmoid(x: IntegersLike) -> Integers:
    """Sigmoid of x in Q3.12 (int16 range), in Q0.15, by table and linear interpolation."""
    return _interpolate(SIGMOID, x)


def tanh(x: IntegersLike) -> Integers:
    """Tanh of x in Q3.12 (int16 range), in Q0.15, by table and linear interpolation."""
    return _interpolate(TANH, x)


def exp(t: IntegersLike) -> Integers:
    """Exponential of t in Q5.10, -32768 <= t <= 0, in Q0.15 (1.0 is 32767)."""
    k, rest = np.divmod(-_wide(t) * 47274, 2**25)  # 47274 = rint(log2(e) * 2**15)
    i, rest = np.divmod(rest, 2**18)
    g = rest // 2**8
    w = (EXP2[i] * 1024 + (EXP2[i + 1] - EXP2[i]) * g + 512) // 1024
    return _wide((2 * w + 2**k) // 2 ** (k + 1))


def reciprocal(total: IntegersLike) -> tuple[Integers, Integers]:
    """Return (r, n): n the bit length of total, r about 2**n / total, Q2.30; 0 < total < 2**31."""
    total = _wide(total)
    n = np.frexp(total.astype(np.float64))[1].astype(np.int64)  # exact: total has at most 31 bits
    a = total * 2 ** (31 - n)
    r = RECIPROCAL[a // 2**22 - 256]
    return r * ((2**46 - a * r) // 2**15) // 2**14, n


def look_up(
    x: Integers,
    table: Callable[[Integers], Integers],
    scale_in: tuple[int, int],
    scale_out: tuple[int, int],
) -> Integers:
    """Rescale x to Q3.12, take the table's value, rescale it: before zero point and saturation."""
    return rescale(table(sat16(rescale(x, *scale_in))), *scale_out)


def lstm_cell(
    gates: Integers,
    c: Integers,
    fraction_bits: int,
    h_scale: tuple[int, int],
    couple: int = isa.COUPLE_NONE,
) -> tuple[Integers, Integers]:
    """One time step: gates (..., 4H) in Q3.12, order i, o, f, c; c (..., H).

    With `couple` the gates are (..., 3H): COUPLE_INPUT without i = 1 - f, COUPLE_FORGET without
    f = 1 - i. Returns the new c, and h before its zero point is added and it is saturated.
    """
    *opened, g = np.split(gates, 4 if couple == isa.COUPLE_NONE else 3, axis=-1)
    opened = [sigmoid(gate) for gate in opened]
    if couple == isa.COUPLE_INPUT:
        opened.insert(0, 32768 - opened[1])
    elif couple == isa.COUPLE_FORGET:
        opened.append(32768 - opened[0])
    i, o, f = opened
    kept = rounded_shift(f * c, 15)
    added = rounded_shift(i * tanh(g), 30 - fraction_bits)
    c_next = sat16(kept + added)
    # From c's fraction bits to twelve: 15 bits up, then a rounded shift down (exact below twelve).
    t = sat16(rounded_shift(c_next * 2**15, fraction_bits + 3))
    return c_next, rescale(o * tanh(t), *h_scale)


def gru_cell(
    z: Integers, n_x: Integers, h: Integers, reset: tuple[Integers, Integers] | None = None
) -> Integers:
    """One time step: gates z, n_x (..., H) in Q3.12, h in Q0.15; `reset` (r, n_h) also in Q3.12.

    Without `reset` the new value is tanh(n_x), with it tanh(n_x + sigmoid(r) x n_h). Returns the
    new h in Q0.15.
    """
    total = n_x
    if reset is not None:
        total = sat16(n_x + rounded_shift(sigmoid(reset[0]) * reset[1], 15))
    keep = sigmoid(z)
    return sat16(rounded_shift(keep * h + (32768 - keep) * tanh(total), 15))


def softmax(x: Integers, scale_in: tuple[int, int], scale_out: tuple[int, int]) -> Integers:
    """Softmax over the last axis (at most 32,768 columns), before zero point and saturation."""
    d = x - x.max(axis=-1, keepdims=True)
    e = exp(sat16(rescale(d, *scale_in)))
    inverse, bits = reciprocal(e.sum(axis=-1, keepdims=True))
    p = (e * inverse + 2 ** (bits + 14)) // 2 ** (bits + 15)
    return rescale(np.minimum(p, 32767), *scale_out)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """Return (m, s) with m / 2**s nearest to `real`, for `rescale`.

    m lies in [2**30, 2**31) for factors of at least 2**-32; smaller ones keep s = 62 and a smaller
    m, zero gives (0, 0). ValueError for a negative factor, one of 2**31 or more, NaN or infinity.
    """
    if not 0 <= real < math.inf:
        raise ValueError(f"rescale factor must be at least 0 and below 2**31, not {real}")
    if real == 0:
        return 0, 0
    fraction, exponent = math.frexp(real)
    s = min(31 - exponent, MAX_SHIFT)
    m = math.floor(math.ldexp(fraction, exponent + s) + 0.5)
    if m == 2**31:
        m, s = 2**30, s - 1
    if s < 0:
        raise ValueError(f"rescale factor must be at least 0 and below 2**31, not {real}")
    return m, s


def quantize_multipliers(
    reals: npt.NDArray[np.floating],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int8]]:
    """`quantize_multiplier` of each factor of a vector: int32 multipliers and int8 shifts."""
    pairs = [quantize_multiplier(float(real)) for real in reals]
    return (
        np.array([m for m, _ in pairs], dtype=np.int32),
        np.array([s for _, s in pairs], dtype=np.int8),
    )
