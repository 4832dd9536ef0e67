"""Valid operands for every VECTOR opcode, at random places of a region of ABUF."""

from __future__ import annotations

import more_operands as more
from choosing import Choose, chance, pick
from places import Region, place, relu, scale, tensor, zero_point

from azsim_kernels import isa

# PACK comes with the PRODUCT that uses it, DEPTHWISE with parameters (random_programs.py).
ARITHMETIC = (
    isa.COPY, isa.REQUANT, isa.ADD, isa.MUL, isa.LUT, isa.LSTM_CELL, isa.SOFTMAX, isa.LUT8,
    isa.EXTREME, isa.SELECT, isa.REDUCE, isa.ARGREDUCE, isa.NORM, isa.LOG_SOFTMAX, isa.GRU_CELL,
)  # fmt: skip


def vector_operands(choose: Choose, opcode: int, region: Region) -> list[int]:
    """Return the operands of a VECTOR command of `ARITHMETIC` that stays inside `region`."""
    return _OPERANDS[opcode](choose, region)


def _copy(choose: Choose, region: Region) -> list[int]:
    width = pick(choose, isa.ELEMENT_BYTES)
    shape = [choose.integer(1, 4) for _ in range(3)] + [choose.integer(1, 12)]
    sides = []
    for repeats in (True, False):
        strides, extent = [], width
        for n in reversed(shape):
            stride = pick(choose, [width * choose.integer(1, 3), extent])
            if repeats and chance(choose, 15):
                stride = 0
            if extent + (n - 1) * stride > (region.end - region.begin) // 2:
                stride = width
            strides.insert(0, stride)
            extent += (n - 1) * stride
        sides.append((place(choose, region, extent, width), strides))
    (src, src_strides), (dst, dst_strides) = sides
    return [src, dst, width, *shape, *src_strides, *dst_strides]


def _requant(choose: Choose, region: Region) -> list[int]:
    n = choose.integer(1, 40)
    (src, src_type), (dst, dst_type) = tensor(choose, region, n), tensor(choose, region, n)
    points = [zero_point(choose, src_type), zero_point(choose, dst_type)]
    return [src, n, src_type, dst, dst_type, *scale(choose), *points, relu(choose)]


def _pair(choose: Choose, region: Region, types: int, factors: list[int]) -> list[int]:
    n = choose.integer(1, 40)
    period = pick(choose, [n, n, choose.integer(1, n)])
    a, a_type = tensor(choose, region, n, types)
    b, b_type = tensor(choose, region, period, types)
    dst, dst_type = tensor(choose, region, n)
    points = [zero_point(choose, element_type) for element_type in (a_type, b_type, dst_type)]
    tensors = [a, a_type, b, b_type, dst, dst_type, n]
    return [*tensors, *factors, choose.integer(0, 62), *points, relu(choose), period]


def _add(choose: Choose, region: Region) -> list[int]:
    limit = 1 << 30
    factors = [pick(choose, [1, -limit, limit - 1, choose.integer(-99, 99)]) for _ in range(2)]
    return _pair(choose, region, 3, factors)


def _mul(choose: Choose, region: Region) -> list[int]:
    return _pair(choose, region, 2, [scale(choose)[0], 0])


def _lut(choose: Choose, region: Region) -> list[int]:
    n = choose.integer(1, 40)
    (src, src_type), (dst, dst_type) = tensor(choose, region, n), tensor(choose, region, n)
    table = pick(choose, [isa.LUT_SIGMOID, isa.LUT_TANH])
    points = [zero_point(choose, src_type), zero_point(choose, dst_type)]
    return [src, src_type, n, dst, dst_type, table, *scale(choose), *scale(choose), *points]


def _lstm_cell(choose: Choose, region: Region) -> list[int]:
    hidden, couple = choose.integer(1, 24), pick(choose, [0, 0, 1, 2])
    gates = place(choose, region, (6 if couple else 8) * hidden, 2)
    c_in, c_out = place(choose, region, 2 * hidden, 2), place(choose, region, 2 * hidden, 2)
    h_out = place(choose, region, hidden, 1)
    last = [choose.integer(0, 15), *scale(choose), zero_point(choose, isa.INT8), couple]
    return [gates, c_in, c_out, h_out, hidden, *last]


def _softmax(choose: Choose, region: Region) -> list[int]:
    rows, columns = choose.integer(1, 4), choose.integer(1, 12)
    src = place(choose, region, rows * columns, 1)
    dst = place(choose, region, rows * columns, 1)
    last = [*scale(choose), *scale(choose), zero_point(choose, isa.INT8)]
    return [src, rows, columns, dst, *last]


_OPERANDS = {
    isa.COPY: _copy,
    isa.REQUANT: _requant,
    isa.ADD: _add,
    isa.MUL: _mul,
    isa.LUT: _lut,
    isa.LSTM_CELL: _lstm_cell,
    isa.SOFTMAX: _softmax,
    isa.LUT8: more.lut8,
    isa.EXTREME: more.extreme,
    isa.SELECT: more.select,
    isa.REDUCE: more.reduce,
    isa.ARGREDUCE: more.arg_reduce,
    isa.NORM: more.norm,
    isa.LOG_SOFTMAX: _softmax,
    isa.GRU_CELL: more.gru_cell,
}
