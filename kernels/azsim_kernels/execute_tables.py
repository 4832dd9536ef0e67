"""LUT8, EXTREME and SELECT: one element of each operand gives one of the result."""

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
    scale_ok,
    span_ok,
    store_elements,
)
from azsim_kernels.isa import BAD_OPERAND, DONE, EXTREME_MAX, EXTREME_MIN, INT8, INT16, INT32

TABLE_BYTES = 256


@kernel
def execute_lut8(arg: Operands, abuf: Bytes) -> int:
    """LUT8: each byte through a table that stands in ABUF."""
    src, n, dst, table = arg[0], arg[1], arg[2], arg[3]
    if not (span_ok(src, n, INT8, abuf.size) and span_ok(dst, n, INT8, abuf.size)):
        return BAD_OPERAND
    if not span_ok(table, TABLE_BYTES, INT8, abuf.size):
        return BAD_OPERAND
    held = np.empty(TABLE_BYTES, np.uint8)
    for i in range(TABLE_BYTES):  # held[byte]: entry byte as int8, plus 128
        held[i] = abuf[table + (i ^ 0x80)]
    out = np.empty(n, np.uint8)
    for i in range(n):
        out[i] = held[abuf[src + i]]
    for i in range(n):
        abuf[dst + i] = out[i]
    return DONE


@kernel
def _extreme_ok(arg: Operands, size: int) -> bool:
    """Check the operands of EXTREME."""
    if not span_ok(arg[0], arg[6], arg[1], size) or not span_ok(arg[2], arg[14], arg[3], size):
        return False
    if not span_ok(arg[4], arg[6], arg[5], size):
        return False
    if not (point_ok(arg[10], arg[1]) and point_ok(arg[11], arg[3]) and point_ok(arg[12], arg[5])):
        return False
    if arg[13] != EXTREME_MIN and arg[13] != EXTREME_MAX:
        return False
    return scale_ok(arg[7], arg[9]) and scale_ok(arg[8], arg[9])


@kernel
def execute_extreme(arg: Operands, abuf: Bytes) -> int:
    """EXTREME: the smaller or larger of two tensors, each rescaled first."""
    if not _extreme_ok(arg, abuf.size):
        return BAD_OPERAND
    n, period, shift = arg[6], arg[14], arg[9]
    a = load_elements(abuf, arg[0], n, arg[1])
    b = load_elements(abuf, arg[2], period, arg[3])
    j = 0
    for i in range(n):
        x = rescale(a[i] - arg[10], arg[7], shift)
        y = rescale(b[j] - arg[11], arg[8], shift)
        j = j + 1 if j + 1 < period else 0
        a[i] = (max(x, y) if arg[13] == EXTREME_MAX else min(x, y)) + arg[12]
    store_elements(abuf, arg[4], arg[5], a, NO_FLOOR)
    return DONE


@kernel
def execute_select(arg: Operands, abuf: Bytes) -> int:
    """SELECT: a where the condition's byte is not 0, else b."""
    n, width, size = arg[4], arg[5], abuf.size
    if width == 1:
        element = INT8
    elif width == 2:
        element = INT16
    elif width == 4:
        element = INT32
    else:
        return BAD_OPERAND
    if not span_ok(arg[0], arg[6], INT8, size) or not span_ok(arg[3], n, element, size):
        return BAD_OPERAND
    if not (span_ok(arg[1], arg[7], element, size) and span_ok(arg[2], arg[8], element, size)):
        return BAD_OPERAND
    a = load_elements(abuf, arg[1], arg[7], element)
    b = load_elements(abuf, arg[2], arg[8], element)
    out = np.empty(n, np.int64)
    for i in range(n):
        out[i] = a[i % arg[7]] if abuf[arg[0] + i % arg[6]] != 0 else b[i % arg[8]]
    store_elements(abuf, arg[3], element, out, NO_FLOOR)
    return DONE
