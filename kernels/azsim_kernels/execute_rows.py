"""ARGREDUCE, NORM and LOG_SOFTMAX: operations over rows."""

from __future__ import annotations

import numpy as np

from azsim_kernels._jit import kernel
from azsim_kernels.arith import exp, ln, rescale, rounded_shift, rsqrt, sat16
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
from azsim_kernels.isa import (
    ARG_LARGEST,
    ARG_SMALLEST,
    BAD_OPERAND,
    DONE,
    INT8,
    INT32,
    MAX_ROW_COLUMNS,
    MAX_WORK,
    NORM_LAYER,
    NORM_RMS,
)

MAX_EPSILON = 1 << 60


@kernel
def _arg_reduce_ok(arg: Operands, size: int) -> bool:
    """Check the operands of ARGREDUCE."""
    rows, columns, k = arg[1], arg[2], arg[5]
    if rows < 1 or rows > size or columns < 1 or columns > size or k < 1 or k > columns:
        return False
    if rows * columns > MAX_WORK // k or not span_ok(arg[0], rows * columns, INT8, size):
        return False
    if arg[6] != -1 and not span_ok(arg[6], rows * k, INT8, size):
        return False
    if arg[4] != ARG_LARGEST and arg[4] != ARG_SMALLEST:
        return False
    return span_ok(arg[3], rows * k, INT32, size)


@kernel
def _best_after(row: Operands, last: int, kind: int) -> int:
    """Return the place of the best value that comes after place `last` in the order best first,
    lower places first among equals; `last` -1: of all.
    """
    found = -1
    for i in range(row.size):
        v = row[i] if kind == ARG_LARGEST else -row[i]
        if last >= 0:
            bar = row[last] if kind == ARG_LARGEST else -row[last]
            if v > bar or (v == bar and i <= last):
                continue
        if found < 0 or v > (row[found] if kind == ARG_LARGEST else -row[found]):
            found = i
    return found


@kernel
def execute_arg_reduce(arg: Operands, abuf: Bytes) -> int:
    """ARGREDUCE: indices, and on demand values, of the k best of each row, one pass for each."""
    if not _arg_reduce_ok(arg, abuf.size):
        return BAD_OPERAND
    rows, columns, k = arg[1], arg[2], arg[5]
    x = load_elements(abuf, arg[0], rows * columns, INT8)
    places = np.empty(rows * k, np.int64)
    values = np.empty(rows * k, np.int64)
    for r in range(rows):
        row = x[r * columns : (r + 1) * columns]
        last = -1
        for j in range(k):
            last = _best_after(row, last, arg[4])
            places[r * k + j] = last
            values[r * k + j] = row[last]
    store_elements(abuf, arg[3], INT32, places, NO_FLOOR)
    if arg[6] != -1:
        store_elements(abuf, arg[6], INT8, values, NO_FLOOR)
    return DONE


@kernel
def _norm_ok(arg: Operands, size: int) -> bool:
    """Check the operands of NORM."""
    rows, columns, params = arg[2], arg[3], arg[6]
    if rows < 1 or rows > size or columns < 1 or columns > MAX_ROW_COLUMNS:
        return False
    if arg[1] == INT32 or arg[5] == INT32:
        return False
    if not span_ok(arg[0], rows * columns, arg[1], size):
        return False
    if not span_ok(arg[4], rows * columns, arg[5], size):
        return False
    if not span_ok(params, 2 * columns, INT32, size):
        return False
    if arg[7] != NORM_LAYER and arg[7] != NORM_RMS:
        return False
    if arg[8] < 0 or arg[8] > MAX_EPSILON or arg[9] < 0 or arg[9] > 62:
        return False
    return point_ok(arg[10], arg[1]) and point_ok(arg[11], arg[5])


@kernel
def execute_norm(arg: Operands, abuf: Bytes) -> int:
    """NORM: layer norm or RMS norm of rows, then gamma and beta."""
    if not _norm_ok(arg, abuf.size):
        return BAD_OPERAND
    rows, n, shift = arg[2], arg[3], arg[9]
    gamma = load_elements(abuf, arg[6], n, INT32)
    beta = load_elements(abuf, arg[6] + 4 * n, n, INT32)
    v = load_elements(abuf, arg[0], rows * n, arg[1])
    for r in range(rows):
        row = v[r * n : (r + 1) * n]
        total, squares = np.int64(0), np.int64(0)
        for i in range(n):
            row[i] -= arg[10]
            total += row[i]
            squares += row[i] * row[i]
        if arg[7] == NORM_RMS:
            total = np.int64(0)
        power = n * squares - total * total + arg[8]
        root, half = (0, 0) if power == 0 else rsqrt(int(power))
        for i in range(n):
            t = rounded_shift((n * row[i] - total) * root, half + 8)
            row[i] = rounded_shift(t * gamma[i] + (beta[i] << 16), shift) + arg[11]
    store_elements(abuf, arg[4], arg[5], v, NO_FLOOR)
    return DONE


@kernel
def execute_log_softmax(arg: Operands, abuf: Bytes) -> int:
    """LOG_SOFTMAX over rows of int8, to int8."""
    src, rows, columns, dst = arg[0], arg[1], arg[2], arg[3]
    if rows < 1 or rows > abuf.size or columns < 1 or columns > MAX_ROW_COLUMNS:
        return BAD_OPERAND
    if not span_ok(src, rows * columns, INT8, abuf.size):
        return BAD_OPERAND
    if not span_ok(dst, rows * columns, INT8, abuf.size) or not point_ok(arg[8], INT8):
        return BAD_OPERAND
    if not (scale_ok(arg[4], arg[5]) and scale_ok(arg[6], arg[7])):
        return BAD_OPERAND
    v = load_elements(abuf, src, rows * columns, INT8)
    for r in range(rows):
        row = v[r * columns : (r + 1) * columns]
        top = np.int64(-128)
        for i in range(columns):
            top = max(top, row[i])
        total = np.int64(0)
        for i in range(columns):
            row[i] = sat16(rescale(row[i] - top, arg[4], arg[5]))
            total += exp(row[i])
        whole = ln(int(total))
        for i in range(columns):
            row[i] = rescale(row[i] - whole, arg[6], arg[7]) + arg[8]
    store_elements(abuf, dst, INT8, v, NO_FLOOR)
    return DONE
