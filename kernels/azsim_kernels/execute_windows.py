"""REDUCE and DEPTHWISE: one output from a window of a channels-last tensor, channel by channel."""

from __future__ import annotations

import numpy as np

from azsim_kernels._jit import kernel
from azsim_kernels.arith import rescale
from azsim_kernels.execute_operands import (
    NO_FLOOR,
    Bytes,
    Operands,
    load_elements,
    point_ok,
    relu_flag_ok,
    result_floor,
    rows_ok,
    scale_ok,
    span_ok,
    store_elements,
)
from azsim_kernels.isa import (
    BAD_OPERAND,
    DONE,
    INT8,
    INT32,
    MAX_TAPS,
    MAX_WORK,
    REDUCE_MAX,
    REDUCE_MIN,
    REDUCE_SUM,
)


@kernel
def _windows_ok(arg: Operands, size: int) -> bool:
    """Do all windows (operands 2 to 10, as REDUCE has them) lie inside `size` bytes?

    An extent of 1 has no use for its stride.
    """
    work = np.int64(1)
    for k in range(2, 7):
        if arg[k] < 1 or arg[k] > MAX_WORK:
            return False
        work *= arg[k]
        if work > MAX_WORK:
            return False
    if arg[5] * arg[6] > MAX_TAPS or not span_ok(arg[0], arg[2], INT8, size):
        return False
    last = arg[0] + arg[2]
    for k in range(3, 7):
        if arg[k] > 1:
            stride = arg[k + 4]
            if stride < 0 or stride > size:
                return False
            last += (arg[k] - 1) * stride
    return bool(last <= size)


@kernel
def _reduce_ok(arg: Operands, size: int) -> bool:
    """Check the operands of REDUCE."""
    if not _windows_ok(arg, size):
        return False
    if not span_ok(arg[1], arg[2] * arg[3] * arg[4], INT8, size):
        return False
    if arg[11] != REDUCE_SUM and arg[11] != REDUCE_MAX and arg[11] != REDUCE_MIN:
        return False
    return scale_ok(arg[12], arg[13]) and point_ok(arg[14], INT8) and point_ok(arg[15], INT8)


@kernel
def _join(total: Operands, x: Bytes, first: bool, kind: int) -> None:
    """Add the int8 values `x` to `total`, of equal length, or keep the larger or smaller ones."""
    for c in range(total.size):
        v = (np.int64(x[c]) ^ 0x80) - 0x80
        if first:
            total[c] = v
        elif kind == REDUCE_SUM:
            total[c] += v
        elif kind == REDUCE_MAX:
            total[c] = max(total[c], v)
        else:
            total[c] = min(total[c], v)


@kernel
def execute_reduce(arg: Operands, abuf: Bytes) -> int:
    """REDUCE: sum, largest or smallest value of each window, rescaled."""
    if not _reduce_ok(arg, abuf.size):
        return BAD_OPERAND
    channels, kind = arg[2], arg[11]
    # A sum has one zero point in each tap, an extreme value one in all.
    zero = arg[14] * (arg[5] * arg[6] if kind == REDUCE_SUM else 1)
    out = np.empty(channels * arg[3] * arg[4], np.int64)
    at = 0
    for h in range(arg[3]):
        for w in range(arg[4]):
            total = out[at : at + channels]
            begin = arg[0] + h * arg[7] + w * arg[8]
            for kh in range(arg[5]):
                for kw in range(arg[6]):
                    tap = begin + kh * arg[9] + kw * arg[10]
                    _join(total, abuf[tap : tap + channels], kh + kw == 0, kind)
            at += channels
    for i in range(out.size):
        out[i] = rescale(out[i] - zero, arg[12], arg[13]) + arg[15]
    store_elements(abuf, arg[1], INT8, out, NO_FLOOR)
    return DONE


@kernel
def _depthwise_ok(arg: Operands, size: int) -> bool:
    """Check the operands of DEPTHWISE, except the multipliers and shifts that lie in ABUF."""
    if not _windows_ok(arg, size):
        return False
    channels, params = arg[2], arg[12]
    if not span_ok(arg[11], channels * arg[5] * arg[6], INT8, size):
        return False
    if params % 4 != 0 or not span_ok(params, 9 * channels, INT8, size):
        return False
    if not rows_ok(arg[1], channels, arg[15], arg[3] * arg[4], INT8, size, channels):
        return False
    return point_ok(arg[13], INT8) and relu_flag_ok(arg[14])


@kernel
def _multiply_add(total: Operands, x: Bytes, weights: Bytes) -> None:
    """Add the products of int8 values and weights to `total`, all of equal length."""
    for c in range(total.size):
        v = (np.int64(x[c]) ^ 0x80) - 0x80
        total[c] += v * ((np.int64(weights[c]) ^ 0x80) - 0x80)


@kernel
def execute_depthwise(arg: Operands, abuf: Bytes) -> int:
    """DEPTHWISE: sum of products of each window and channel, plus bias, rescaled."""
    if not _depthwise_ok(arg, abuf.size):
        return BAD_OPERAND
    channels, params = arg[2], arg[12]
    multiplier = load_elements(abuf, params, channels, INT32)
    bias = load_elements(abuf, params + 4 * channels, channels, INT32)
    shift = load_elements(abuf, params + 8 * channels, channels, INT8)
    for c in range(channels):
        if not scale_ok(multiplier[c], shift[c]):
            return BAD_OPERAND
    out = np.empty(channels * arg[3] * arg[4], np.int64)
    at = 0
    for h in range(arg[3]):
        for w in range(arg[4]):
            total = out[at : at + channels]
            for c in range(channels):
                total[c] = bias[c]
            begin, weights = arg[0] + h * arg[7] + w * arg[8], arg[11]
            for kh in range(arg[5]):
                for kw in range(arg[6]):
                    tap = begin + kh * arg[9] + kw * arg[10]
                    _multiply_add(
                        total, abuf[tap : tap + channels], abuf[weights : weights + channels]
                    )
                    weights += channels
            for c in range(channels):
                total[c] = rescale(total[c], multiplier[c], shift[c]) + arg[13]
            at += channels
    floor = result_floor(arg[14], arg[13])
    for p in range(arg[3] * arg[4]):
        pixel = out[p * channels : (p + 1) * channels]
        store_elements(abuf, arg[1] + p * arg[15], INT8, pixel, floor)
    return DONE
