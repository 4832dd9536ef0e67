"""What the VECTOR commands that most programs use do to ABUF: RESCALE to SOFTMAX.

They are compiled together, before a first run needs them; other commands when a program has them
(`azsim_kernels.execute`, which also says what `arg` and the memories are).
"""

from __future__ import annotations

import numpy as np

from azsim_kernels._jit import kernel
from azsim_kernels.arith import (
    exp,
    reciprocal,
    rescale,
    rounded_shift,
    sat8,
    sat16,
    sigmoid,
    tanh,
)
from azsim_kernels.execute_operands import (
    NO_FLOOR,
    Accumulators,
    Bytes,
    Operands,
    accumulators_ok,
    element_ok,
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
    ADD,
    BAD_OPERAND,
    COPY,
    COUPLE_FORGET,
    COUPLE_INPUT,
    COUPLE_NONE,
    DONE,
    FLAG_ADDEND,
    FLAG_BIAS_AFTER,
    FLAG_RELU,
    INT8,
    INT16,
    INT32,
    LSTM_CELL,
    LUT,
    LUT_SIGMOID,
    LUT_TANH,
    MAX_ROW_COLUMNS,
    MUL,
    REQUANT,
    RESCALE,
    SOFTMAX,
)


@kernel
def _rescale_ok(arg: Operands, size: int, shape: tuple[int, int]) -> bool:
    """Check the operands of RESCALE, except the multipliers and shifts that lie in ABUF."""
    rows, columns, flags = arg[0], arg[2], arg[9]
    if not accumulators_ok(arg[1], arg[3], columns, rows, 0, shape):
        return False
    if rows > size or arg[4] % 4 != 0 or not span_ok(arg[4], 9 * rows, INT8, size):
        return False
    if not element_ok(arg[7]) or not point_ok(arg[8], arg[7]):
        return False
    if not rows_ok(arg[5], rows, arg[6], columns, arg[7], size, rows << arg[7]):
        return False
    if flags & FLAG_ADDEND and not rows_ok(arg[10], rows, arg[11], columns, INT32, size, 0):
        return False
    return 0 <= int(flags) <= (FLAG_BIAS_AFTER | FLAG_RELU | FLAG_ADDEND)


@kernel
def _execute_rescale(arg: Operands, abuf: Bytes, accumulators: Accumulators) -> int:
    """RESCALE: accumulators to the integers of a tensor."""
    if not _rescale_ok(arg, abuf.size, accumulators.shape):
        return BAD_OPERAND
    rows, base, columns, acc_stride, params = arg[0], arg[1], arg[2], arg[3], arg[4]
    zero_point, flags = arg[8], arg[9]
    lanes = accumulators.shape[0]
    multiplier = load_elements(abuf, params, rows, INT32)
    bias = load_elements(abuf, params + 4 * rows, rows, INT32)
    shift = load_elements(abuf, params + 8 * rows, rows, INT8)
    for r in range(rows):
        if not scale_ok(multiplier[r], shift[r]):
            return BAD_OPERAND
    out = np.empty(columns * rows, np.int64)
    after = flags & FLAG_BIAS_AFTER
    for m in range(columns):
        y = out[m * rows : (m + 1) * rows]
        for r in range(rows):
            y[r] = zero_point
        if flags & FLAG_ADDEND:
            addend = load_elements(abuf, arg[10] + m * arg[11], rows, INT32)
            for r in range(rows):
                y[r] += addend[r]
        lane, at = 0, base + m * acc_stride  # of row r: lane r % lanes, accumulator r // lanes
        for r in range(rows):
            acc = np.int64(accumulators[lane, at])
            if after:
                y[r] += rescale(int(acc), multiplier[r], shift[r]) + bias[r]
            else:
                y[r] += rescale(int(acc + bias[r]), multiplier[r], shift[r])
            lane += 1
            if lane == lanes:
                lane, at = 0, at + 1
    floor = result_floor(flags, zero_point)
    for m in range(columns):
        store_elements(abuf, arg[5] + m * arg[6], arg[7], out[m * rows : (m + 1) * rows], floor)
    return DONE


@kernel
def _box_ok(address: int, arg: Operands, first_stride: int, size: int) -> bool:
    """Is a box of a COPY aligned, inside `size` bytes, and of at most `size` bytes?"""
    width = np.int64(arg[2])
    if address < 0 or address >= size or address % width != 0:
        return False
    low, high, total = address, address + width, width
    for d in range(4):
        n, stride = arg[3 + d], arg[first_stride + d]
        if n < 1 or n > size:
            return False
        total *= n
        if total > size:
            return False
        if n > 1:
            if stride > size or stride < -size or stride % width != 0:
                return False
            low += min((n - 1) * stride, 0)
            high += max((n - 1) * stride, 0)
    return bool(low >= 0 and high <= size)


@kernel
def _copy_bytes(source: Bytes, target: Bytes) -> None:
    """Copy `source` to `target`, of equal length (a loop on slices alone is vectorized)."""
    for i in range(source.size):
        target[i] = source[i]


@kernel
def _move_box(
    abuf: Bytes, held: Bytes, address: int, arg: Operands, first_stride: int, gather: bool
) -> None:
    """Copy the checked box of a COPY from `abuf` to `held`, or back from it, in row-major order."""
    stride0, stride1 = arg[first_stride], arg[first_stride + 1]
    stride2, stride3 = arg[first_stride + 2], arg[first_stride + 3]
    run_bytes, runs = arg[2], arg[6]  # bytes that lie side by side: an element, or a whole row
    if stride3 == run_bytes:
        run_bytes, runs = run_bytes * runs, 1
    n = 0
    for i in range(arg[3]):
        for j in range(arg[4]):
            for k in range(arg[5]):
                row = address + i * stride0 + j * stride1 + k * stride2
                for x in range(runs):
                    at = row + x * stride3
                    if gather:
                        _copy_bytes(abuf[at : at + run_bytes], held[n : n + run_bytes])
                    else:
                        _copy_bytes(held[n : n + run_bytes], abuf[at : at + run_bytes])
                    n += run_bytes


@kernel
def _execute_copy(arg: Operands, abuf: Bytes) -> int:
    """COPY: gather a strided box, then scatter it in row-major order (the last write stays)."""
    width = arg[2]
    if width not in (1, 2, 4):
        return BAD_OPERAND
    if not (_box_ok(arg[0], arg, 7, abuf.size) and _box_ok(arg[1], arg, 11, abuf.size)):
        return BAD_OPERAND
    held = np.empty(arg[3] * arg[4] * arg[5] * arg[6] * width, np.uint8)
    _move_box(abuf, held, arg[0], arg, 7, True)
    _move_box(abuf, held, arg[1], arg, 11, False)
    return DONE


@kernel
def _execute_requant(arg: Operands, abuf: Bytes) -> int:
    """REQUANT: a tensor to another scale and type."""
    n, multiplier, shift, zs, zd = arg[1], arg[5], arg[6], arg[7], arg[8]
    if not (span_ok(arg[0], n, arg[2], abuf.size) and span_ok(arg[3], n, arg[4], abuf.size)):
        return BAD_OPERAND
    if not (point_ok(zs, arg[2]) and point_ok(zd, arg[4]) and relu_flag_ok(arg[9])):
        return BAD_OPERAND
    if not scale_ok(multiplier, shift):
        return BAD_OPERAND
    v = load_elements(abuf, arg[0], n, arg[2])
    for i in range(n):
        v[i] = rescale(v[i] - zs, multiplier, shift) + zd
    store_elements(abuf, arg[3], arg[4], v, result_floor(arg[9], zd))
    return DONE


@kernel
def _pair_ok(arg: Operands, size: int) -> bool:
    """Check what ADD and MUL have in common: spans, types, zero points, shift, flags."""
    if not span_ok(arg[0], arg[6], arg[1], size) or not span_ok(arg[2], arg[14], arg[3], size):
        return False
    if not span_ok(arg[4], arg[6], arg[5], size) or not relu_flag_ok(arg[13]):
        return False
    if not (point_ok(arg[10], arg[1]) and point_ok(arg[11], arg[3])):
        return False
    return point_ok(arg[12], arg[5]) and 0 <= int(arg[9]) <= 62


@kernel
def _execute_pair(opcode: int, arg: Operands, abuf: Bytes) -> int:
    """ADD and MUL: two tensors to one, the second repeated with period `b_period`."""
    if not _pair_ok(arg, abuf.size):
        return BAD_OPERAND
    ma, mb, shift = arg[7], arg[8], arg[9]
    if opcode == ADD:
        # Signed 31-bit factors: the sum of two products with 33-bit differences stays inside int64.
        if max(ma, mb) >= (1 << 30) or min(ma, mb) < -(1 << 30):
            return BAD_OPERAND
    elif not scale_ok(ma, shift) or arg[1] == INT32 or arg[3] == INT32:
        return BAD_OPERAND  # a product of 32-bit integers would leave the range of rescale
    n, period = arg[6], arg[14]
    a = load_elements(abuf, arg[0], n, arg[1])
    b = load_elements(abuf, arg[2], period, arg[3])
    j = 0
    for i in range(n):
        x, y = a[i] - arg[10], b[j] - arg[11]
        j = j + 1 if j + 1 < period else 0
        if opcode == ADD:
            a[i] = rounded_shift(x * ma + y * mb, shift) + arg[12]
        else:
            a[i] = rescale(x * y, ma, shift) + arg[12]
    store_elements(abuf, arg[4], arg[5], a, result_floor(arg[13], arg[12]))
    return DONE


@kernel
def _execute_lut(arg: Operands, abuf: Bytes) -> int:
    """LUT: sigmoid or tanh of a tensor, rescaled to the table's input and from its output."""
    n, table = arg[2], arg[5]
    if not (span_ok(arg[0], n, arg[1], abuf.size) and span_ok(arg[3], n, arg[4], abuf.size)):
        return BAD_OPERAND
    if not (point_ok(arg[10], arg[1]) and point_ok(arg[11], arg[4])):
        return BAD_OPERAND
    if not (scale_ok(arg[6], arg[7]) and scale_ok(arg[8], arg[9])):
        return BAD_OPERAND
    if table != LUT_SIGMOID and table != LUT_TANH:
        return BAD_OPERAND
    v = load_elements(abuf, arg[0], n, arg[1])
    for i in range(n):
        t = sat16(rescale(v[i] - arg[10], arg[6], arg[7]))
        q = sigmoid(t) if table == LUT_SIGMOID else tanh(t)
        v[i] = rescale(q, arg[8], arg[9]) + arg[11]
    store_elements(abuf, arg[3], arg[4], v, NO_FLOOR)
    return DONE


@kernel
def _cell_ok(arg: Operands, size: int) -> bool:
    """Check the operands of LSTM_CELL."""
    hidden, couple = arg[4], arg[9]
    if couple < COUPLE_NONE or couple > COUPLE_FORGET:
        return False
    blocks = 4 if couple == COUPLE_NONE else 3
    if hidden < 1 or hidden > size or not span_ok(arg[0], blocks * hidden, INT16, size):
        return False
    if not (span_ok(arg[1], hidden, INT16, size) and span_ok(arg[2], hidden, INT16, size)):
        return False
    if not span_ok(arg[3], hidden, INT8, size) or not 0 <= arg[5] <= 15:
        return False
    return scale_ok(arg[6], arg[7]) and point_ok(arg[8], INT8)


@kernel
def _execute_lstm_cell(arg: Operands, abuf: Bytes) -> int:
    """LSTM_CELL: one time step of the cell; writes c_out, then h_out."""
    if not _cell_ok(arg, abuf.size):
        return BAD_OPERAND
    hidden, fraction_bits, couple = arg[4], arg[5], arg[9]
    # Blocks of the gates i, o, f, c; without i or f, those behind it move up.
    at_o = 0 if couple == COUPLE_INPUT else 1
    at_c = 3 if couple == COUPLE_NONE else 2
    at_f = 1 if couple == COUPLE_INPUT else 2
    gates = load_elements(abuf, arg[0], (at_c + 1) * hidden, INT16)
    c = load_elements(abuf, arg[1], hidden, INT16)
    h = np.empty(hidden, np.int64)
    for u in range(hidden):
        o = sigmoid(int(gates[at_o * hidden + u]))
        g = tanh(int(gates[at_c * hidden + u]))
        if couple == COUPLE_INPUT:
            f = sigmoid(int(gates[at_f * hidden + u]))
            i = 32768 - f
        else:
            i = sigmoid(int(gates[u]))
            f = 32768 - i if couple == COUPLE_FORGET else sigmoid(int(gates[at_f * hidden + u]))
        c[u] = sat16(rounded_shift(f * c[u], 15) + rounded_shift(i * g, 30 - fraction_bits))
        if fraction_bits <= 12:
            t = sat16(c[u] << (12 - fraction_bits))
        else:
            t = sat16(rounded_shift(c[u], fraction_bits - 12))
        h[u] = sat8(rescale(o * tanh(t), arg[6], arg[7]) + arg[8])
    store_elements(abuf, arg[2], INT16, c, NO_FLOOR)
    store_elements(abuf, arg[3], INT8, h, NO_FLOOR)
    return DONE


@kernel
def _execute_softmax(arg: Operands, abuf: Bytes) -> int:
    """SOFTMAX over rows of int8, to int8."""
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
            row[i] = exp(sat16(rescale(row[i] - top, arg[4], arg[5])))
            total += row[i]
        inverse, bits = reciprocal(int(total))
        for i in range(columns):
            p = min((row[i] * inverse + (1 << (bits + 14))) >> (bits + 15), 32767)
            row[i] = rescale(p, arg[6], arg[7]) + arg[8]
    store_elements(abuf, dst, INT8, v, NO_FLOOR)
    return DONE


@kernel
def execute_basic(opcode: int, arg: Operands, abuf: Bytes, accumulators: Accumulators) -> int:
    """Execute one VECTOR command up to SOFTMAX; return DONE, or BAD_OPERAND, nothing changed."""
    if opcode == RESCALE:
        return _execute_rescale(arg, abuf, accumulators)
    if opcode == COPY:
        return _execute_copy(arg, abuf)
    if opcode == REQUANT:
        return _execute_requant(arg, abuf)
    if opcode in (ADD, MUL):
        return _execute_pair(opcode, arg, abuf)
    if opcode == LUT:
        return _execute_lut(arg, abuf)
    if opcode == LSTM_CELL:
        return _execute_lstm_cell(arg, abuf)
    if opcode == SOFTMAX:
        return _execute_softmax(arg, abuf)
    return BAD_OPERAND
