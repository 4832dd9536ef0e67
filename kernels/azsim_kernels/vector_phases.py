"""Where the beats of a VECTOR command access ABUF: the table of section 8 of docs/timing_model.md.

A command is a few phases of equal beats; in what order the beats of different phases come costs
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from azsim_kernels import isa
from azsim_kernels.machine_types import Ints

Operands = dict[str, int]
Streams = Callable[[Sequence[Ints]], list[Ints]]


class Phase(NamedTuple):
    """Beats numbered in `extents`; `streams` gives the byte addresses of the accesses of beats
    from their numbers, an array per extent.
    """

    extents: tuple[int, ...]
    streams: Streams


def vector_phases(opcode: int, operands: Operands, lanes: int) -> list[Phase]:
    """Return the phases of a VECTOR command whose counts are legal."""
    return _PHASES[opcode](operands, lanes)


def _groups(count: int, lanes: int) -> int:
    """Beats for `count` elements side by side."""
    return -(-count // lanes)


def _copy(o: Operands, lanes: int) -> list[Phase]:
    def streams(at: Sequence[Ints]) -> list[Ints]:
        steps = (*at[:3], at[3] * lanes)
        return [
            np.asarray(o[side] + sum(n * o[f"{side}_stride{d}"] for d, n in enumerate(steps)))
            for side in ("src", "dst")
        ]

    shape = (o["shape0"], o["shape1"], o["shape2"], _groups(o["shape3"], lanes))
    return [Phase(shape, streams)]


def _rescale(o: Operands, lanes: int) -> list[Phase]:
    def streams(at: Sequence[Ints]) -> list[Ints]:
        m, i = at[0], at[1] * lanes
        found = _parameters(o["param_address"], o["rows"], i)
        found.append(o["dst"] + m * o["dst_stride_bytes"] + (i << o["dst_type"]))
        if o["flags"] & isa.FLAG_ADDEND:
            found.append(o["addend"] + m * o["addend_stride_bytes"] + 4 * i)
        return found

    return [Phase((o["columns"], _groups(o["rows"], lanes)), streams)]


def _parameters(address: int, rows: int, i: Ints) -> list[Ints]:
    """Multipliers, biases and shifts of rows i and on."""
    return [address + 4 * i, address + 4 * (rows + i), address + i + 8 * rows]


def _one_to_one(o: Operands, lanes: int) -> list[Phase]:
    def streams(at: Sequence[Ints]) -> list[Ints]:
        i = at[0] * lanes
        return [o["src"] + (i << o["src_type"]), o["dst"] + (i << o["dst_type"])]

    return [Phase((_groups(o["elements"], lanes),), streams)]


def _two_to_one(o: Operands, lanes: int) -> list[Phase]:
    def streams(at: Sequence[Ints]) -> list[Ints]:
        i = at[0] * lanes
        operand_b = o["b"] + (i % o["b_period"] << o["b_type"])
        return [o["a"] + (i << o["a_type"]), operand_b, o["dst"] + (i << o["dst_type"])]

    return [Phase((_groups(o["elements"], lanes),), streams)]


def _lstm_cell(o: Operands, lanes: int) -> list[Phase]:
    blocks = 4 if o["couple"] == isa.COUPLE_NONE else 3

    def streams(at: Sequence[Ints]) -> list[Ints]:
        i = at[0] * lanes
        gates = [o["gates"] + 2 * (k * o["hidden"] + i) for k in range(blocks)]
        return [*gates, o["c_in"] + 2 * i, o["c_out"] + 2 * i, o["h_out"] + i]

    return [Phase((_groups(o["hidden"], lanes),), streams)]


def _softmax(o: Operands, lanes: int) -> list[Phase]:
    def streams(at: Sequence[Ints]) -> list[Ints]:
        offset = at[0] * o["columns"] + at[1] * lanes
        return [o["src"] + offset, o["dst"] + offset]

    return [Phase((o["rows"], _groups(o["columns"], lanes)), streams)]


def _lut8(o: Operands, lanes: int) -> list[Phase]:
    table = Phase((_groups(256, lanes),), lambda at: [o["table"] + at[0] * lanes])
    whole = Phase(
        (_groups(o["elements"], lanes),),
        lambda at: [o["src"] + at[0] * lanes, o["dst"] + at[0] * lanes],
    )
    return [table, whole]


def _select(o: Operands, lanes: int) -> list[Phase]:
    def streams(at: Sequence[Ints]) -> list[Ints]:
        i, width = at[0] * lanes, o["element_bytes"]
        sources = [o[name] + i % o[f"{name}_period"] * width for name in ("a", "b")]
        return [o["cond"] + i % o["cond_period"], *sources, o["dst"] + i * width]

    return [Phase((_groups(o["elements"], lanes),), streams)]


def _taps(o: Operands, at: Sequence[Ints], lanes: int) -> Ints:
    """Address of the beats (h, w, channel group, kh, kw) of a window operation."""
    h, w, group, kh, kw = at
    place = o["src"] + h * o["src_stride_h"] + w * o["src_stride_w"] + group * lanes
    return np.asarray(place + kh * o["tap_stride_h"] + kw * o["tap_stride_w"])


def _outputs(o: Operands, lanes: int) -> tuple[int, int]:
    return o["out_h"] * o["out_w"], _groups(o["channels"], lanes)


def _reduce(o: Operands, lanes: int) -> list[Phase]:
    pixels, groups = _outputs(o, lanes)
    wide = lanes if o["channels"] == 1 and o["tap_stride_w"] == 1 else 1  # taps of a beat
    extents = (o["out_h"], o["out_w"], groups, o["kernel_h"], _groups(o["kernel_w"], wide))
    taps = Phase(extents, lambda at: [_taps(o, (*at[:4], at[4] * wide), lanes)])
    close = Phase((pixels, groups), lambda at: [o["dst"] + at[0] * o["channels"] + at[1] * lanes])
    return [taps, close]


def _depthwise(o: Operands, lanes: int) -> list[Phase]:
    pixels, groups = _outputs(o, lanes)

    def streams(at: Sequence[Ints]) -> list[Ints]:
        weight = (at[3] * o["kernel_w"] + at[4]) * o["channels"] + at[2] * lanes
        return [_taps(o, at, lanes), o["weight_address"] + weight]

    def close(at: Sequence[Ints]) -> list[Ints]:
        c = at[1] * lanes
        result = o["dst"] + at[0] * o["dst_pixel_stride_bytes"] + c
        return [*_parameters(o["param_address"], o["channels"], c), result]

    extents = (o["out_h"], o["out_w"], groups, o["kernel_h"], o["kernel_w"])
    return [Phase(extents, streams), Phase((pixels, groups), close)]


def _arg_reduce(o: Operands, lanes: int) -> list[Phase]:
    def close(at: Sequence[Ints]) -> list[Ints]:
        result = at[0] * o["k"] + at[1]
        values = [] if o["values"] == -1 else [o["values"] + result]
        return [o["dst"] + 4 * result, *values]

    extents = (o["rows"], o["k"], _groups(o["columns"], lanes))
    passes = Phase(extents, lambda at: [o["src"] + at[0] * o["columns"] + at[2] * lanes])
    return [passes, Phase((o["rows"], o["k"]), close)]


def _norm(o: Operands, lanes: int) -> list[Phase]:
    n, gamma = o["columns"], o["param_address"]

    def source(at: Sequence[Ints]) -> Ints:
        return np.asarray(o["src"] + ((at[0] * n + at[1] * lanes) << o["src_type"]))

    def streams(at: Sequence[Ints]) -> list[Ints]:
        i = at[1] * lanes
        result = o["dst"] + ((at[0] * n + i) << o["dst_type"])
        return [source(at), gamma + 4 * i, gamma + 4 * (n + i), result]

    extents = (o["rows"], _groups(n, lanes))
    return [Phase(extents, lambda at: [source(at)]), Phase(extents, streams)]


def _pack(o: Operands, lanes: int) -> list[Phase]:
    def streams(at: Sequence[Ints]) -> list[Ints]:
        step = at[0] * o["row_stride_bytes"] + at[1] * lanes * o["column_stride_bytes"]
        return [o["src"] + step]

    return [Phase((o["rows"], _groups(o["columns"], lanes)), streams)]


def _gru_cell(o: Operands, lanes: int) -> list[Phase]:
    names = ("z", "n_x", "h_in", "h_out", "r", "n_h")[: 6 if o["reset"] else 4]

    def streams(at: Sequence[Ints]) -> list[Ints]:
        i = at[0] * lanes
        return [*(o[name] + 2 * i for name in names), o["y_out"] + i]

    return [Phase((_groups(o["hidden"], lanes),), streams)]


_PHASES: dict[int, Callable[[Operands, int], list[Phase]]] = {
    isa.RESCALE: _rescale,
    isa.COPY: _copy,
    isa.REQUANT: _one_to_one,
    isa.ADD: _two_to_one,
    isa.MUL: _two_to_one,
    isa.LUT: _one_to_one,
    isa.LSTM_CELL: _lstm_cell,
    isa.SOFTMAX: _softmax,
    isa.LUT8: _lut8,
    isa.EXTREME: _two_to_one,
    isa.SELECT: _select,
    isa.REDUCE: _reduce,
    isa.ARGREDUCE: _arg_reduce,
    isa.NORM: _norm,
    isa.LOG_SOFTMAX: _softmax,
    isa.DEPTHWISE: _depthwise,
    isa.PACK: _pack,
    isa.GRU_CELL: _gru_cell,
}
