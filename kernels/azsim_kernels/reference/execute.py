"""What MAC and VECTOR commands do to ABUF and the accumulators, in plain numpy.

docs/arithmetic.md is the specification. `arg` is the int64 (16,) operand vector of a command as
named in `azsim_kernels.isa`; `abuf` is uint8 (bytes,), `accumulators` int32 (lanes, accumulators
per lane). An impossible operand gives BAD_OPERAND and changes nothing; all operands are read before
the result is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from azsim_kernels import isa
from azsim_kernels.reference import arith
from azsim_kernels.reference.execute_more import OPERATIONS as MORE_OPERATIONS
from azsim_kernels.reference.execute_more import pack_matrix
from azsim_kernels.reference.operands import (
    MAX_COUNT,
    Accumulators,
    BadOperandError,
    Bytes,
    Integers,
    Operands,
    Weights,
    check_point,
    check_scale,
    element_dtype,
    named,
    require,
    rows_of,
    span,
    write_result,
)

__all__ = ["execute_vector", "mac_accumulate", "pack_matrix"]


def _accumulator_index(
    accumulators: Accumulators, rows: int, base: int, stride: int, columns: int, least: int
) -> tuple[Integers, Integers]:
    """Lane (rows,) and accumulator (columns, rows) of each row of a tile, checked."""
    lanes, depth = accumulators.shape
    require(1 <= rows <= MAX_COUNT and 1 <= columns <= MAX_COUNT and base >= 0)
    per_lane = -(-rows // lanes)
    if columns > 1:
        require(per_lane * least <= stride <= depth)
    require(base + (columns - 1) * (stride if columns > 1 else 0) + per_lane <= depth)
    r = np.arange(rows)
    start = base + np.arange(columns) * (stride if columns > 1 else 0)
    return r % lanes, start[:, None] + r // lanes


def _rescale(arg: Operands, abuf: Bytes, accumulators: Accumulators) -> None:
    """RESCALE: y[m, r] from accumulator, multiplier, shift and bias of row r."""
    a = named(isa.RESCALE, arg)
    rows, columns, flags, params = a["rows"], a["columns"], a["flags"], a["param_address"]
    require(0 <= flags <= 7)
    multiplier, bias = np.split(span(abuf, params, 2 * rows, isa.INT32).astype(np.int64), 2)
    shift = span(abuf, params + 8 * rows, rows, isa.INT8).astype(np.int64)
    require(bool(np.all((multiplier >= 0) & (shift >= 0) & (shift <= 62))))
    row_bytes = rows * element_dtype(a["dst_type"]).itemsize
    dst = rows_of(
        abuf, a["dst"], rows, a["dst_stride_bytes"], columns, a["dst_type"], least=row_bytes
    )
    lane, place = _accumulator_index(
        accumulators, rows, a["acc_base"], a["acc_stride"], columns, least=0
    )
    check_point(a["dst_zero_point"], a["dst_type"])
    y = np.full((columns, rows), a["dst_zero_point"], dtype=np.int64)
    if flags & isa.FLAG_ADDEND:
        stride = a["addend_stride_bytes"]
        y += np.stack(rows_of(abuf, a["addend"], rows, stride, columns, isa.INT32, least=0))
    acc = accumulators[lane, place].astype(np.int64)
    if flags & isa.FLAG_BIAS_AFTER:
        y += arith.rescale(acc, multiplier, shift) + bias
    else:
        y += arith.rescale(acc + bias, multiplier, shift)
    for view, values in zip(dst, y, strict=True):
        write_result(view, values, a["dst_zero_point"], flags)


def _box(abuf: Bytes, address: int, shape: Sequence[int], strides: Sequence[int]) -> Integers:
    """Byte addresses of a strided box, of the given shape (last dimension: bytes of an element)."""
    width = shape[-1]
    reach = [(n - 1) * stride for n, stride in zip(shape, strides, strict=True)]
    require(0 <= address < abuf.size and address % width == 0)
    require(address + sum(min(v, 0) for v in reach) >= 0)
    require(address + sum(max(v, 0) for v in reach) < abuf.size)
    for n, stride in zip(shape[:-1], strides[:-1], strict=True):
        require(n == 1 or (stride % width == 0 and abs(stride) <= abuf.size))
    index = np.array(address, dtype=np.int64)
    for n, v in zip(shape, reach, strict=True):
        steps = np.arange(n) * (v // (n - 1) if n > 1 else 0)
        index = index[..., None] + steps
    return index


def _copy(arg: Operands, abuf: Bytes) -> None:
    """COPY: gather a strided box, then scatter it in row-major order."""
    a = named(isa.COPY, arg)
    width = a["element_bytes"]
    require(width in (1, 2, 4))
    shape = [a[f"shape{d}"] for d in range(4)] + [width]
    require(all(1 <= n <= abuf.size for n in shape))
    require(int(np.prod(np.array(shape, dtype=object))) <= abuf.size)
    source = _box(abuf, a["src"], shape, [a[f"src_stride{d}"] for d in range(4)] + [1])
    target = _box(abuf, a["dst"], shape, [a[f"dst_stride{d}"] for d in range(4)] + [1])
    abuf[target] = abuf[source]  # numpy keeps the last value of a repeated index


def _requant(arg: Operands, abuf: Bytes) -> None:
    """REQUANT: a tensor to another scale and type."""
    a = named(isa.REQUANT, arg)
    x = span(abuf, a["src"], a["elements"], a["src_type"]).astype(np.int64)
    dst = span(abuf, a["dst"], a["elements"], a["dst_type"])
    check_point(a["src_zero_point"], a["src_type"])
    check_point(a["dst_zero_point"], a["dst_type"])
    check_scale(a["multiplier"], a["shift"])
    require(a["flags"] in (0, isa.FLAG_RELU))
    y = arith.rescale(x - a["src_zero_point"], a["multiplier"], a["shift"])
    write_result(dst, y + a["dst_zero_point"], a["dst_zero_point"], a["flags"])


def _pair(a: Mapping[str, int], abuf: Bytes) -> tuple[Integers, Integers]:
    """Operands a and b of ADD and MUL less their zero points, b repeated to a's length."""
    n, period = a["elements"], a["b_period"]
    first = span(abuf, a["a"], n, a["a_type"]).astype(np.int64)
    second = span(abuf, a["b"], period, a["b_type"]).astype(np.int64)
    for name in ("a", "b", "dst"):
        check_point(a[f"{name}_zero_point"], a[f"{name}_type"])
    require(a["flags"] in (0, isa.FLAG_RELU) and 0 <= a["shift"] <= 62)
    return first - a["a_zero_point"], np.resize(second, n) - a["b_zero_point"]


def _add(arg: Operands, abuf: Bytes) -> None:
    """ADD: one rounding of the sum of two products."""
    a = named(isa.ADD, arg)
    first, second = _pair(a, abuf)
    dst = span(abuf, a["dst"], a["elements"], a["dst_type"])
    factors = (a["multiplier_a"], a["multiplier_b"])
    require(all(-(2**30) <= factor < 2**30 for factor in factors))
    y = arith.rounded_shift(first * factors[0] + second * factors[1], a["shift"])
    write_result(dst, y + a["dst_zero_point"], a["dst_zero_point"], a["flags"])


def _mul(arg: Operands, abuf: Bytes) -> None:
    """MUL of int8 and int16 operands."""
    a = named(isa.MUL, arg)
    first, second = _pair(a, abuf)
    dst = span(abuf, a["dst"], a["elements"], a["dst_type"])
    check_scale(a["multiplier"], a["shift"])
    require(isa.INT32 not in (a["a_type"], a["b_type"]))
    y = arith.rescale(first * second, a["multiplier"], a["shift"])
    write_result(dst, y + a["dst_zero_point"], a["dst_zero_point"], a["flags"])


def _lut(arg: Operands, abuf: Bytes) -> None:
    """LUT: sigmoid or tanh of a tensor."""
    a = named(isa.LUT, arg)
    x = span(abuf, a["src"], a["elements"], a["src_type"]).astype(np.int64)
    dst = span(abuf, a["dst"], a["elements"], a["dst_type"])
    check_point(a["src_zero_point"], a["src_type"])
    check_point(a["dst_zero_point"], a["dst_type"])
    check_scale(a["in_multiplier"], a["in_shift"])
    check_scale(a["out_multiplier"], a["out_shift"])
    require(a["table"] in (isa.LUT_SIGMOID, isa.LUT_TANH))
    y = arith.look_up(
        x - a["src_zero_point"],
        arith.sigmoid if a["table"] == isa.LUT_SIGMOID else arith.tanh,
        (a["in_multiplier"], a["in_shift"]),
        (a["out_multiplier"], a["out_shift"]),
    )
    write_result(dst, y + a["dst_zero_point"], 0, 0)


def _lstm_cell(arg: Operands, abuf: Bytes) -> None:
    """LSTM_CELL: one time step; writes c_out, then h_out."""
    a = named(isa.LSTM_CELL, arg)
    hidden = a["hidden"]
    couple = a["couple"]
    require(couple in (isa.COUPLE_NONE, isa.COUPLE_INPUT, isa.COUPLE_FORGET))
    blocks = 4 if couple == isa.COUPLE_NONE else 3
    gates = span(abuf, a["gates"], blocks * hidden, isa.INT16).astype(np.int64)
    c = span(abuf, a["c_in"], hidden, isa.INT16).astype(np.int64)
    c_out = span(abuf, a["c_out"], hidden, isa.INT16)
    h_out = span(abuf, a["h_out"], hidden, isa.INT8)
    require(0 <= a["c_fraction_bits"] <= 15)
    check_scale(a["h_multiplier"], a["h_shift"])
    check_point(a["h_zero_point"], isa.INT8)
    h_scale = (a["h_multiplier"], a["h_shift"])
    c_next, h = arith.lstm_cell(gates, c, a["c_fraction_bits"], h_scale, couple)
    write_result(c_out, c_next, 0, 0)
    write_result(h_out, h + a["h_zero_point"], 0, 0)


def _softmax(arg: Operands, abuf: Bytes) -> None:
    """SOFTMAX over rows of int8, to int8."""
    a = named(isa.SOFTMAX, arg)
    rows, columns = a["rows"], a["columns"]
    require(rows >= 1 and 1 <= columns <= isa.MAX_ROW_COLUMNS)
    x = span(abuf, a["src"], rows * columns, isa.INT8).astype(np.int64).reshape(rows, columns)
    dst = span(abuf, a["dst"], rows * columns, isa.INT8)
    check_scale(a["in_multiplier"], a["in_shift"])
    check_scale(a["out_multiplier"], a["out_shift"])
    check_point(a["dst_zero_point"], isa.INT8)
    scale_in = (a["in_multiplier"], a["in_shift"])
    y = arith.softmax(x, scale_in, (a["out_multiplier"], a["out_shift"]))
    write_result(dst, (y + a["dst_zero_point"]).ravel(), 0, 0)


OPERATIONS: dict[int, Callable[[Operands, Bytes], None]] = {
    isa.COPY: _copy,
    isa.REQUANT: _requant,
    isa.ADD: _add,
    isa.MUL: _mul,
    isa.LUT: _lut,
    isa.LSTM_CELL: _lstm_cell,
    isa.SOFTMAX: _softmax,
    **MORE_OPERATIONS,
}


def execute_vector(opcode: int, arg: Operands, abuf: Bytes, accumulators: Accumulators) -> int:
    """Execute one VECTOR command other than PACK (`pack_matrix` does that); return DONE, or
    BAD_OPERAND with nothing changed.
    """
    try:
        if opcode == isa.RESCALE:
            _rescale(arg, abuf, accumulators)
        elif opcode in OPERATIONS:
            OPERATIONS[opcode](arg, abuf)
        else:
            return isa.BAD_OPERAND
    except BadOperandError:
        return isa.BAD_OPERAND
    return isa.DONE


def mac_accumulate(arg: Operands, weights: Weights, abuf: Bytes, accumulators: Accumulators) -> int:
    """Execute one PRODUCT command on the int8 weights of its slot; return DONE or BAD_OPERAND.

    Sums wrap modulo 2**32 like the accumulators of the chip; the compiler proves they never do.
    """
    a = named(isa.PRODUCT, arg)
    rows, columns, count = a["rows"], a["columns"], a["activation_columns"]
    stride = a["activation_stride_bytes"]
    try:
        require(rows >= 1 and columns >= 1 and rows * columns <= weights.size)
        lane, place = _accumulator_index(
            accumulators, rows, a["acc_base"], a["acc_stride"], count, least=1
        )
        address = a["activation_address"]
        x = np.stack(rows_of(abuf, address, columns, stride, count, isa.INT8, least=0))
    except BadOperandError:
        return isa.BAD_OPERAND
    tile = weights[: rows * columns].reshape(rows, columns)
    total = x.astype(np.int64) @ tile.astype(np.int64).T
    if not a["clear"]:
        total += accumulators[lane, place]
    accumulators[lane, place] = total.astype(np.uint64).astype(np.uint32).view(np.int32)
    return isa.DONE
