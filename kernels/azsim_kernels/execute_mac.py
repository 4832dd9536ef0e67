"""What PRODUCT does to the accumulators; docs/arithmetic.md is the specification."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from azsim_kernels._jit import kernel
from azsim_kernels.execute_operands import (
    Accumulators,
    Bytes,
    Operands,
    Weights,
    accumulators_ok,
    rows_ok,
)
from azsim_kernels.isa import BAD_OPERAND, DONE, INT8


@kernel
def _wrap32(v: int) -> np.int32:
    """Return v modulo 2**32 as int32, like a register of that width."""
    return np.int32(((v + (1 << 31)) & 0xFFFFFFFF) - (1 << 31))


@kernel
def _widen(source: Bytes, x: npt.NDArray[np.int16]) -> None:
    """Copy int8 activations to int16, of equal length (a loop on slices alone is vectorized)."""
    for i in range(x.size):
        x[i] = np.int8(source[i])


@kernel
def _dot(weights: Weights, x: npt.NDArray[np.int16]) -> np.int32:
    """Sum of products of an int8 row with int16 activations, modulo 2**32.

    One row at a time, int8 times int16, int32 result: LLVM turns exactly this into
    multiply-add-pairs instructions and reads weights at memory speed (benchmarks/mac_speed.py);
    measured, blocks of two or four rows or an int64 result lose that pattern.
    """
    total = np.int64(0)
    for i in range(x.size):
        total += np.int64(weights[i]) * np.int64(x[i])
    return _wrap32(int(total))


@kernel
def mac_accumulate(arg: Operands, weights: Weights, abuf: Bytes, accumulators: Accumulators) -> int:
    """Execute one PRODUCT command on the int8 weights of its slot; return DONE or BAD_OPERAND.

    Sums wrap modulo 2**32 like the accumulators of the chip; the compiler proves they never do.
    """
    rows, columns, address, count = arg[1], arg[2], arg[3], arg[4]
    base, acc_stride, clear = arg[6], arg[7], arg[8]
    lanes = accumulators.shape[0]
    if not accumulators_ok(base, acc_stride, count, rows, 1, accumulators.shape):
        return BAD_OPERAND
    if columns < 1 or columns > weights.size or rows > weights.size // columns:
        return BAD_OPERAND
    if not rows_ok(address, columns, arg[5], count, INT8, abuf.size, 0):
        return BAD_OPERAND
    x = np.empty(columns, np.int16)
    for m in range(count):
        at = address + m * arg[5]
        _widen(abuf[at : at + columns], x)
        for r in range(rows):
            lane, a = r % lanes, base + m * acc_stride + r // lanes
            total = np.int64(_dot(weights[r * columns : (r + 1) * columns], x))
            if clear == 0:
                total += np.int64(accumulators[lane, a])
            accumulators[lane, a] = _wrap32(int(total))
    return DONE
