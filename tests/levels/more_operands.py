"""Valid operands for the VECTOR opcodes after SOFTMAX, at random places of a region of ABUF."""

from __future__ import annotations

from choosing import Choose, chance, pick
from places import Region, place, relu, scale, tensor, zero_point

from azsim_kernels import isa


def lut8(choose: Choose, region: Region) -> list[int]:
    n = choose.integer(1, 40)
    places = [place(choose, region, size, 1) for size in (n, n, 256)]
    return [places[0], n, *places[1:]]


def extreme(choose: Choose, region: Region) -> list[int]:
    n = choose.integer(1, 40)
    period = pick(choose, [n, n, choose.integer(1, n)])
    a, a_type = tensor(choose, region, n)
    b, b_type = tensor(choose, region, period)
    dst, dst_type = tensor(choose, region, n)
    points = [zero_point(choose, element_type) for element_type in (a_type, b_type, dst_type)]
    factors = [scale(choose)[0], *scale(choose)]
    kind = choose.integer(0, 1)
    return [a, a_type, b, b_type, dst, dst_type, n, *factors, *points, kind, period]


def select(choose: Choose, region: Region) -> list[int]:
    n, width = choose.integer(1, 40), pick(choose, isa.ELEMENT_BYTES)
    periods = [pick(choose, [n, choose.integer(1, n)]) for _ in range(3)]
    cond = place(choose, region, periods[0], 1)
    sides = [place(choose, region, period * width, width) for period in periods[1:]]
    return [cond, *sides, place(choose, region, n * width, width), n, width, *periods]


def _windows(choose: Choose, region: Region) -> tuple[int, list[int], list[int]]:
    """Return src, (channels, extents) and strides of a window operation."""
    extents = [choose.integer(1, 3) for _ in range(4)]
    channels = pick(choose, [1, choose.integer(1, 12)])
    if chance(choose, 20):
        channels, extents[3] = 1, choose.integer(1, 20)
    strides = [pick(choose, [1, channels, choose.integer(0, 30)]) for _ in range(4)]
    reach = channels + sum((n - 1) * s for n, s in zip(extents, strides, strict=True))
    return place(choose, region, reach, 1), [channels, *extents], strides


def reduce(choose: Choose, region: Region) -> list[int]:
    src, sizes, strides = _windows(choose, region)
    dst = place(choose, region, sizes[0] * sizes[1] * sizes[2], 1)
    points = [zero_point(choose, isa.INT8) for _ in range(2)]
    kind = choose.integer(0, 2)
    return [src, dst, *sizes, *strides, kind, *scale(choose), *points]


def depthwise(choose: Choose, region: Region, parameters: int) -> list[int]:
    """`parameters`: address of the parameters of the channels."""
    src, sizes, strides = _windows(choose, region)
    channels, pixels, taps = sizes[0], sizes[1] * sizes[2], sizes[3] * sizes[4]
    stride = channels + choose.integer(0, 3)
    dst = place(choose, region, (pixels - 1) * stride + channels, 1)
    weights = place(choose, region, channels * taps, 1)
    last = [parameters, zero_point(choose, isa.INT8), relu(choose), stride]
    return [src, dst, *sizes, *strides, weights, *last]


def arg_reduce(choose: Choose, region: Region) -> list[int]:
    rows, columns = choose.integer(1, 4), choose.integer(1, 12)
    k = pick(choose, [1, choose.integer(1, columns)])
    src, dst = place(choose, region, rows * columns, 1), place(choose, region, 4 * rows * k, 4)
    values = -1 if chance(choose, 50) else place(choose, region, rows * k, 1)
    return [src, rows, columns, dst, choose.integer(0, 1), k, values]


def norm(choose: Choose, region: Region) -> list[int]:
    rows, columns = choose.integer(1, 4), choose.integer(1, 12)
    (src, src_type), (dst, dst_type) = (
        tensor(choose, region, rows * columns, types=2) for _ in range(2)
    )
    params = place(choose, region, 8 * columns, 4)
    last = [pick(choose, [0, 1, choose.integer(0, 10_000)]), choose.integer(30, 50)]
    points = [zero_point(choose, element_type) for element_type in (src_type, dst_type)]
    kind = choose.integer(0, 1)
    return [src, src_type, rows, columns, dst, dst_type, params, kind, *last, *points]


def gru_cell(choose: Choose, region: Region) -> list[int]:
    hidden = choose.integer(1, 24)
    states = [place(choose, region, 2 * hidden, 2) for _ in range(6)]
    y_out = place(choose, region, hidden, 1)
    last = [choose.integer(0, 1), *scale(choose), zero_point(choose, isa.INT8)]
    return [*states, y_out, hidden, *last]


def pack_source(choose: Choose, region: Region, rows: int, columns: int) -> list[int]:
    """Return src, rows, columns and strides of a PACK."""
    strides = pick(choose, [[columns, 1], [1, rows], [choose.integer(0, 9), choose.integer(0, 9)]])
    reach = 1 + (rows - 1) * strides[0] + (columns - 1) * strides[1]
    return [place(choose, region, reach, 1), rows, columns, *strides]
