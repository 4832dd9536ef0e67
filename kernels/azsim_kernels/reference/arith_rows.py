"""Normalization, logarithm of softmax, extremes of rows: integer arithmetic in plain numpy.

docs/arithmetic.md is the specification. Arrays of integers in, int64 arrays out; rows are the last
axis.
"""

from __future__ import annotations

import numpy as np

from azsim_kernels import isa
from azsim_kernels.reference import tables
from azsim_kernels.reference.arith import (
    Integers,
    IntegersLike,
    exp,
    rescale,
    rounded_shift,
    sat16,
)

RSQRT = [int(v) for v in tables.rsqrt_table()]
LOG2 = [int(v) for v in tables.log2_table()]

NORMALIZED_BITS = 16  # fraction bits of a normalized value


def rsqrt(v: int) -> tuple[int, int]:
    """Return (r, h) with 1 / sqrt(v) about r / 2**(24 + h); 0 < v < 2**63."""
    h = -(-int(v).bit_length() // 2)
    a = int(v) * 2**32 // 2 ** (2 * h)  # in [1/4, 1) with 32 fraction bits
    first = RSQRT[a // 2**24 - 64]
    second = first * (3 * 2**28 - a * first**2 // 2**32) // 2**19
    return second * (3 * 2**28 - a * (second**2 // 2**20) // 2**32) // 2**29, h


def normalize(
    d: Integers,
    kind: int,
    epsilon: int,
    parameters: tuple[IntegersLike, IntegersLike],
    shift: int,
) -> Integers:
    """Layer norm (NORM_LAYER) or RMS norm (NORM_RMS) of rows, before zero point and saturation.

    d           (..., n) integers less their zero point, n <= 32768
    epsilon     n**2 x epsilon in squared steps of d
    parameters  gamma and beta (n,), int32: result steps with shift - 16 fraction bits
    """
    n = d.shape[-1]
    total = d.sum(axis=-1, keepdims=True) if kind == isa.NORM_LAYER else np.int64(0)
    deviation = n * d - total
    power = n * (d * d).sum(axis=-1, keepdims=True) - total * total + epsilon
    roots = [rsqrt(v) if v > 0 else (0, 0) for v in power.ravel().tolist()]
    r, h = (np.array(part, np.int64).reshape(power.shape) for part in zip(*roots, strict=True))
    normalized = rounded_shift(deviation * r, h + 8)
    gamma, beta = (np.asarray(part, np.int64) for part in parameters)
    return rounded_shift(normalized * gamma + beta * 2**NORMALIZED_BITS, shift)


def ln(total: IntegersLike) -> Integers:
    """Natural logarithm of total / 2**15 in Q5.10, 2**14 < total < 2**31."""
    total = np.asarray(total, np.int64)
    n = np.frexp(total.astype(np.float64))[1].astype(np.int64)  # exact: total has at most 31 bits
    a = total * 2 ** (31 - n) - 2**30  # the fraction of the mantissa, 30 bits
    table = np.array(LOG2, np.int64)
    i, rest = np.divmod(a, 2**23)
    w = (table[i] * 1024 + (table[i + 1] - table[i]) * (rest // 2**13) + 512) // 1024
    log2 = (n - 16) * 2**14 + w  # 14 fraction bits, of total / 2**15
    return np.asarray((log2 * 22713 + 2**18) // 2**19)  # 22713 = rint(ln(2) * 2**15)


def log_softmax(x: Integers, scale_in: tuple[int, int], scale_out: tuple[int, int]) -> Integers:
    """Logarithm of softmax over rows of at most 32,768, before zero point and saturation."""
    t = sat16(rescale(x - x.max(axis=-1, keepdims=True), *scale_in))
    return rescale(t - ln(exp(t).sum(axis=-1, keepdims=True)), *scale_out)


def arg_reduce(x: Integers, kind: int, k: int) -> Integers:
    """Indices of the k best of each row, best first; of equal ones the lower index first."""
    order = np.argsort(-x if kind == isa.ARG_LARGEST else x, axis=-1, kind="stable")
    return order[..., :k].astype(np.int64)


def extreme(
    a: Integers,
    b: Integers,
    factors: tuple[int, int],
    shift: int,
    kind: int,
) -> Integers:
    """Smaller (EXTREME_MIN) or larger (EXTREME_MAX) of a and b, each rescaled, element by element.

    a and b come less their zero points; the result is before zero point and saturation.
    """
    first, second = rescale(a, factors[0], shift), rescale(b, factors[1], shift)
    return np.maximum(first, second) if kind == isa.EXTREME_MAX else np.minimum(first, second)
