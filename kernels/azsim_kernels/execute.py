"""What MAC and VECTOR commands do to ABUF and the accumulators.

docs/arithmetic.md is the specification; no timing here. `arg` is the int64 (16,) operand vector of
a command as named in `azsim_kernels.isa`; `abuf` is uint8 (bytes,), `accumulators` int32 (lanes,
accumulators per lane). All operands are checked before anything is written: a command that reads or
writes outside its memories, is misaligned or holds an impossible number returns BAD_OPERAND and
changes nothing. All operands are read before the result is written, so overlaps are harmless. The
numpy twins stand in `azsim_kernels.reference.execute`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

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
from azsim_kernels.isa import (
    ADD,
    BAD_OPERAND,
    COPY,
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
    MUL,
    REQUANT,
    RESCALE,
    SOFTMAX,
)

Bytes = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.int8]
Accumulators = npt.NDArray[np.int32]
Operands = npt.NDArray[np.int64]

NO_FLOOR = -(1 << 62)  # below every result: no ReLU
MAX_SOFTMAX_COLUMNS = 32768  # keeps the sum of exponentials below 2**30


@kernel
def _element_ok(element: int) -> bool:
    """Is `element` one of INT8, INT16, INT32?"""
    return INT8 <= element <= INT32


@kernel
def _span_ok(address: int, count: int, element: int, size: int) -> bool:
    """Do `count` >= 1 elements at `address` lie inside `size` bytes, aligned to their size?"""
    if not _element_ok(element):
        return False
    step = 1 << element
    if count < 1 or count > size // step:
        return False
    return address >= 0 and address % step == 0 and address <= size - count * step


@kernel
def _rows_ok(
    address: int, count: int, stride: int, columns: int, element: int, size: int, least: int
) -> bool:
    """Do `columns` spans of `count` elements, `stride` >= `least` bytes apart, lie inside?"""
    if not _span_ok(address, count, element, size):
        return False
    if columns == 1:
        return True  # the stride is not used
    step = 1 << element
    if columns < 1 or columns > (1 << 31) or stride < least or stride > size or stride % step != 0:
        return False
    return address + (columns - 1) * stride <= size - count * step


@kernel
def _accumulators_ok(
    base: int, stride: int, columns: int, rows: int, least: int, shape: tuple[int, int]
) -> bool:
    """Do `columns` groups of `rows` accumulators, `stride` (>= least per group) apart, exist?"""
    lanes, depth = shape
    if rows < 1 or rows > (1 << 31) or base < 0 or base > depth:
        return False
    per_lane = (rows + lanes - 1) // lanes
    if columns == 1:
        return base + per_lane <= depth
    if columns < 1 or columns > (1 << 31) or stride < per_lane * least or stride > depth:
        return False
    return base + (columns - 1) * stride + per_lane <= depth


@kernel
def _scale_ok(multiplier: int, shift: int) -> bool:
    """Are multiplier and shift in the range of `rescale`?"""
    return 0 <= multiplier < (1 << 31) and 0 <= shift <= 62


@kernel
def _point_ok(zero_point: int, element: int) -> bool:
    """Is the zero point a value of its tensor's type?"""
    limit = 1 << ((8 << element) - 1)
    return -limit <= zero_point < limit


@kernel
def _relu_flag_ok(flags: int) -> bool:
    """Are the flags of a command that knows only FLAG_RELU legal?"""
    return flags == 0 or flags == FLAG_RELU


@kernel
def _load(abuf: Bytes, address: int, count: int, element: int) -> Operands:
    """Return `count` elements as int64; the span has been checked.

    Bytes are joined one by one (LLVM merges them): typed views and slice assignments would bring
    numba's own error texts along and with them ten seconds of compile time.
    """
    out = np.empty(count, np.int64)
    if element == INT8:
        for i in range(count):
            out[i] = (np.int64(abuf[address + i]) ^ 0x80) - 0x80
    elif element == INT16:
        for i in range(count):
            at = address + 2 * i
            v = np.int64(abuf[at]) | (np.int64(abuf[at + 1]) << 8)
            out[i] = (v ^ 0x8000) - 0x8000
    else:
        for i in range(count):
            at = address + 4 * i
            low = np.int64(abuf[at]) | (np.int64(abuf[at + 1]) << 8)
            high = np.int64(abuf[at + 2]) | (np.int64(abuf[at + 3]) << 8)
            out[i] = ((low | (high << 16)) ^ 0x80000000) - 0x80000000
    return out


@kernel
def _store(abuf: Bytes, address: int, element: int, values: Operands, floor: int) -> None:
    """Write max(value, floor), saturated to the element type; the span has been checked."""
    limit = 1 << ((8 << element) - 1)
    for i in range(values.size):
        v = int(min(max(values[i], floor, -limit), limit - 1))
        at = address + (i << element)
        for byte in range(1 << element):
            abuf[at + byte] = (v >> (8 * byte)) & 0xFF


@kernel
def _floor(flags: int, zero_point: int) -> int:
    """Least result of a command: the output's zero point with ReLU."""
    return zero_point if flags & FLAG_RELU else NO_FLOOR


@kernel
def _rescale_ok(arg: Operands, size: int, shape: tuple[int, int]) -> bool:
    """Check the operands of RESCALE, except the multipliers and shifts that lie in ABUF."""
    rows, columns, flags = arg[0], arg[2], arg[9]
    if not _accumulators_ok(arg[1], arg[3], columns, rows, 0, shape):
        return False
    if rows > size or arg[4] % 4 != 0 or not _span_ok(arg[4], 9 * rows, INT8, size):
        return False
    if not _element_ok(arg[7]) or not _point_ok(arg[8], arg[7]):
        return False
    if not _rows_ok(arg[5], rows, arg[6], columns, arg[7], size, rows << arg[7]):
        return False
    if flags & FLAG_ADDEND and not _rows_ok(arg[10], rows, arg[11], columns, INT32, size, 0):
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
    multiplier = _load(abuf, params, rows, INT32)
    bias = _load(abuf, params + 4 * rows, rows, INT32)
    shift = _load(abuf, params + 8 * rows, rows, INT8)
    for r in range(rows):
        if not _scale_ok(multiplier[r], shift[r]):
            return BAD_OPERAND
    out = np.empty(columns * rows, np.int64)
    after = flags & FLAG_BIAS_AFTER
    for m in range(columns):
        y = out[m * rows : (m + 1) * rows]
        for r in range(rows):
            y[r] = zero_point
        if flags & FLAG_ADDEND:
            addend = _load(abuf, arg[10] + m * arg[11], rows, INT32)
            for r in range(rows):
                y[r] += addend[r]
        for r in range(rows):
            acc = np.int64(accumulators[r % lanes, base + m * acc_stride + r // lanes])
            if after:
                y[r] += rescale(int(acc), multiplier[r], shift[r]) + bias[r]
            else:
                y[r] += rescale(int(acc + bias[r]), multiplier[r], shift[r])
    floor = _floor(flags, zero_point)
    for m in range(columns):
        _store(abuf, arg[5] + m * arg[6], arg[7], out[m * rows : (m + 1) * rows], floor)
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
def _move_box(
    abuf: Bytes, held: Bytes, address: int, arg: Operands, first_stride: int, gather: bool
) -> None:
    """Copy the checked box of a COPY from `abuf` to `held`, or back from it, in row-major order."""
    width = arg[2]
    stride0, stride1 = arg[first_stride], arg[first_stride + 1]
    stride2, stride3 = arg[first_stride + 2], arg[first_stride + 3]
    n = 0
    for i in range(arg[3]):
        for j in range(arg[4]):
            for k in range(arg[5]):
                row = address + i * stride0 + j * stride1 + k * stride2
                for x in range(arg[6]):
                    for byte in range(width):
                        at = row + x * stride3 + byte
                        if gather:
                            held[n] = abuf[at]
                        else:
                            abuf[at] = held[n]
                        n += 1


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
    if not (_span_ok(arg[0], n, arg[2], abuf.size) and _span_ok(arg[3], n, arg[4], abuf.size)):
        return BAD_OPERAND
    if not (_point_ok(zs, arg[2]) and _point_ok(zd, arg[4]) and _relu_flag_ok(arg[9])):
        return BAD_OPERAND
    if not _scale_ok(multiplier, shift):
        return BAD_OPERAND
    v = _load(abuf, arg[0], n, arg[2])
    for i in range(n):
        v[i] = rescale(v[i] - zs, multiplier, shift) + zd
    _store(abuf, arg[3], arg[4], v, _floor(arg[9], zd))
    return DONE


@kernel
def _pair_ok(arg: Operands, size: int) -> bool:
    """Check what ADD and MUL have in common: spans, types, zero points, shift, flags."""
    if not _span_ok(arg[0], arg[6], arg[1], size) or not _span_ok(arg[2], arg[14], arg[3], size):
        return False
    if not _span_ok(arg[4], arg[6], arg[5], size) or not _relu_flag_ok(arg[13]):
        return False
    if not (_point_ok(arg[10], arg[1]) and _point_ok(arg[11], arg[3])):
        return False
    return _point_ok(arg[12], arg[5]) and 0 <= int(arg[9]) <= 62


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
    elif not _scale_ok(ma, shift) or arg[1] == INT32 or arg[3] == INT32:
        return BAD_OPERAND  # a product of 32-bit integers would leave the range of rescale
    n, period = arg[6], arg[14]
    a = _load(abuf, arg[0], n, arg[1])
    b = _load(abuf, arg[2], period, arg[3])
    j = 0
    for i in range(n):
        x, y = a[i] - arg[10], b[j] - arg[11]
        j = j + 1 if j + 1 < period else 0
        if opcode == ADD:
            a[i] = rounded_shift(x * ma + y * mb, shift) + arg[12]
        else:
            a[i] = rescale(x * y, ma, shift) + arg[12]
    _store(abuf, arg[4], arg[5], a, _floor(arg[13], arg[12]))
    return DONE


@kernel
def _execute_lut(arg: Operands, abuf: Bytes) -> int:
    """LUT: sigmoid or tanh of a tensor, rescaled to the table's input and from its output."""
    n, table = arg[2], arg[5]
    if not (_span_ok(arg[0], n, arg[1], abuf.size) and _span_ok(arg[3], n, arg[4], abuf.size)):
        return BAD_OPERAND
    if not (_point_ok(arg[10], arg[1]) and _point_ok(arg[11], arg[4])):
        return BAD_OPERAND
    if not (_scale_ok(arg[6], arg[7]) and _scale_ok(arg[8], arg[9])):
        return BAD_OPERAND
    if table != LUT_SIGMOID and table != LUT_TANH:
        return BAD_OPERAND
    v = _load(abuf, arg[0], n, arg[1])
    for i in range(n):
        t = sat16(rescale(v[i] - arg[10], arg[6], arg[7]))
        q = sigmoid(t) if table == LUT_SIGMOID else tanh(t)
        v[i] = rescale(q, arg[8], arg[9]) + arg[11]
    _store(abuf, arg[3], arg[4], v, NO_FLOOR)
    return DONE


@kernel
def _cell_ok(arg: Operands, size: int) -> bool:
    """Check the operands of LSTM_CELL."""
    hidden = arg[4]
    if hidden < 1 or hidden > size or not _span_ok(arg[0], 4 * hidden, INT16, size):
        return False
    if not (_span_ok(arg[1], hidden, INT16, size) and _span_ok(arg[2], hidden, INT16, size)):
        return False
    if not _span_ok(arg[3], hidden, INT8, size) or not 0 <= arg[5] <= 15:
        return False
    return _scale_ok(arg[6], arg[7]) and _point_ok(arg[8], INT8)


@kernel
def _execute_lstm_cell(arg: Operands, abuf: Bytes) -> int:
    """LSTM_CELL: one time step of the cell; writes c_out, then h_out."""
    if not _cell_ok(arg, abuf.size):
        return BAD_OPERAND
    hidden, fraction_bits = arg[4], arg[5]
    gates = _load(abuf, arg[0], 4 * hidden, INT16)
    c = _load(abuf, arg[1], hidden, INT16)
    h = np.empty(hidden, np.int64)
    for u in range(hidden):
        i = sigmoid(gates[u])
        o = sigmoid(gates[hidden + u])
        f = sigmoid(gates[2 * hidden + u])
        g = tanh(gates[3 * hidden + u])
        c[u] = sat16(rounded_shift(f * c[u], 15) + rounded_shift(i * g, 30 - fraction_bits))
        if fraction_bits <= 12:
            t = sat16(c[u] << (12 - fraction_bits))
        else:
            t = sat16(rounded_shift(c[u], fraction_bits - 12))
        h[u] = sat8(rescale(o * tanh(t), arg[6], arg[7]) + arg[8])
    _store(abuf, arg[2], INT16, c, NO_FLOOR)
    _store(abuf, arg[3], INT8, h, NO_FLOOR)
    return DONE


@kernel
def _execute_softmax(arg: Operands, abuf: Bytes) -> int:
    """SOFTMAX over rows of int8, to int8."""
    src, rows, columns, dst = arg[0], arg[1], arg[2], arg[3]
    if rows < 1 or rows > abuf.size or columns < 1 or columns > MAX_SOFTMAX_COLUMNS:
        return BAD_OPERAND
    if not _span_ok(src, rows * columns, INT8, abuf.size):
        return BAD_OPERAND
    if not _span_ok(dst, rows * columns, INT8, abuf.size) or not _point_ok(arg[8], INT8):
        return BAD_OPERAND
    if not (_scale_ok(arg[4], arg[5]) and _scale_ok(arg[6], arg[7])):
        return BAD_OPERAND
    v = _load(abuf, src, rows * columns, INT8)
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
    _store(abuf, dst, INT8, v, NO_FLOOR)
    return DONE


@kernel
def execute_vector(opcode: int, arg: Operands, abuf: Bytes, accumulators: Accumulators) -> int:
    """Execute one VECTOR command; return DONE, or BAD_OPERAND with nothing changed."""
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
    if not _accumulators_ok(base, acc_stride, count, rows, 1, accumulators.shape):
        return BAD_OPERAND
    if columns < 1 or columns > weights.size or rows > weights.size // columns:
        return BAD_OPERAND
    if not _rows_ok(address, columns, arg[5], count, INT8, abuf.size, 0):
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
