"""The same tables as `azsim_kernels.tables`, computed with 40-digit decimals instead of floats."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.int16]

CONTEXT = Context(prec=40)
ONE = Decimal(1)


def _table(entries: int, scale: int, f: Callable[[int], Decimal]) -> Table:
    """Return f(0), f(1), ... times `scale`, rounded half to even and limited to int16."""
    rounded = [int((f(i) * scale).quantize(ONE, ROUND_HALF_EVEN)) for i in range(entries)]
    return np.array([max(-32768, min(32767, v)) for v in rounded], dtype=np.int16)


def _exp(x: Decimal) -> Decimal:
    return CONTEXT.exp(x)


def sigmoid_table() -> Table:
    """Q0.15 sigmoid at -8, -8 + 1/32, ..., 8: int16 (513,)."""
    return _table(513, 32768, lambda i: CONTEXT.divide(ONE, 1 + _exp(Decimal(256 - i) / 32)))


def tanh_table() -> Table:
    """Q0.15 tanh at -8, -8 + 1/32, ..., 8: int16 (513,)."""

    def value(i: int) -> Decimal:
        e = _exp(Decimal(i - 256) / 16)  # exp(2x)
        return CONTEXT.divide(e - 1, e + 1)

    return _table(513, 32768, value)


def exp2_table() -> Table:
    """Q0.15 powers 2**0, 2**(-1/128), ..., 2**-1: int16 (129,); 1.0 is held as 32767."""
    log_two = CONTEXT.ln(Decimal(2))
    return _table(129, 32768, lambda i: _exp(-log_two * i / 128))


def reciprocal_table() -> Table:
    """Q2.14 reciprocals 1/a at a = 1/2 + (2i + 1)/1024: int16 (256,), all below 2.0."""
    return _table(256, 16384, lambda i: CONTEXT.divide(Decimal(1024), Decimal(513 + 2 * i)))


def rsqrt_table() -> Table:
    """Q2.14 values 1/sqrt(a) at a = (2i + 129)/512 in [1/4, 1): int16 (192,), all below 2.0."""
    return _table(
        192, 16384, lambda i: CONTEXT.sqrt(CONTEXT.divide(Decimal(512), Decimal(2 * i + 129)))
    )


def log2_table() -> Table:
    """Q2.14 values log2(1), log2(1 + 1/128), ..., log2(2): int16 (129,)."""
    log_two = CONTEXT.ln(Decimal(2))
    return _table(129, 16384, lambda i: CONTEXT.divide(CONTEXT.ln(Decimal(128 + i) / 128), log_two))
