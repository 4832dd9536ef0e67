"""The beats of each vector operation and the addresses each beat touches (the table of section
8).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from azsim_kernels import isa

Beats = Iterator[list[int]]


def vector_beats(opcode: int, arg: dict[str, int], lanes: int) -> Beats:
    """Yield, beat by beat, the byte address of the first element of each stream."""
    return _BEATS[opcode](arg, lanes)


def vector_elements(opcode: int, arg: dict[str, int]) -> int:
    """Return the elements the operation works on."""
    return math.prod(arg[name] for name in _COUNTS[opcode])


def counts_fit(opcode: int, arg: dict[str, int], abuf_bytes: int) -> bool:
    """Say whether the counts are at least 1, the elements not too many and the types known."""
    counts = [arg[name] for name in _COUNTS[opcode]]
    most = isa.MAX_WORK if opcode in _REPEATING else abuf_bytes
    if min(counts) < 1 or math.prod(counts) > most:
        return False
    if any(arg.get(name, 1) < 1 for name in ("b_period", "a_period", "cond_period")):
        return False
    types = [arg[name] for name in ("src_type", "a_type", "b_type", "dst_type") if name in arg]
    return all(isa.INT8 <= element_type <= isa.INT32 for element_type in types)


def _rescale(arg: dict[str, int], lanes: int) -> Beats:
    rows, params = arg["rows"], arg["param_address"]
    for m in range(arg["columns"]):
        for row in range(0, rows, lanes):
            streams = [params + 4 * row, params + 4 * rows + 4 * row, params + 8 * rows + row]
            streams.append(arg["dst"] + m * arg["dst_stride_bytes"] + _bytes(arg["dst_type"]) * row)
            if arg["flags"] & isa.FLAG_ADDEND:
                streams.append(arg["addend"] + m * arg["addend_stride_bytes"] + 4 * row)
            yield streams


def _copy(arg: dict[str, int], lanes: int) -> Beats:
    for i0 in range(arg["shape0"]):
        for i1 in range(arg["shape1"]):
            for i2 in range(arg["shape2"]):
                for i3 in range(0, arg["shape3"], lanes):
                    yield [
                        arg[side] + _offset(arg, side, (i0, i1, i2, i3)) for side in ("src", "dst")
                    ]


def _offset(arg: dict[str, int], side: str, index: tuple[int, ...]) -> int:
    return sum(i * arg[f"{side}_stride{axis}"] for axis, i in enumerate(index))


def _one_to_one(arg: dict[str, int], lanes: int) -> Beats:
    """REQUANT and LUT."""
    for i in range(0, arg["elements"], lanes):
        yield [arg["src"] + _bytes(arg["src_type"]) * i, arg["dst"] + _bytes(arg["dst_type"]) * i]


def _two_to_one(arg: dict[str, int], lanes: int) -> Beats:
    """ADD, MUL and EXTREME."""
    for i in range(0, arg["elements"], lanes):
        yield [
            arg["a"] + _bytes(arg["a_type"]) * i,
            arg["b"] + _bytes(arg["b_type"]) * (i % arg["b_period"]),
            arg["dst"] + _bytes(arg["dst_type"]) * i,
        ]


def _lstm_cell(arg: dict[str, int], lanes: int) -> Beats:
    hidden = arg["hidden"]
    blocks = 3 if arg["couple"] else 4
    for i in range(0, hidden, lanes):
        gates = [arg["gates"] + 2 * (gate * hidden + i) for gate in range(blocks)]
        yield [*gates, arg["c_in"] + 2 * i, arg["c_out"] + 2 * i, arg["h_out"] + i]


def _softmax(arg: dict[str, int], lanes: int) -> Beats:
    for row in range(arg["rows"]):
        for i in range(0, arg["columns"], lanes):
            offset = row * arg["columns"] + i
            yield [arg["src"] + offset, arg["dst"] + offset]


def _lut8(arg: dict[str, int], lanes: int) -> Beats:
    """The table first, then the elements."""
    for entry in range(0, 256, lanes):
        yield [arg["table"] + entry]
    for i in range(0, arg["elements"], lanes):
        yield [arg["src"] + i, arg["dst"] + i]


def _select(arg: dict[str, int], lanes: int) -> Beats:
    width = arg["element_bytes"]
    for i in range(0, arg["elements"], lanes):
        yield [
            arg["cond"] + i % arg["cond_period"],
            arg["a"] + width * (i % arg["a_period"]),
            arg["b"] + width * (i % arg["b_period"]),
            arg["dst"] + width * i,
        ]


def _tap_rows(arg: dict[str, int]) -> Iterator[tuple[int, Iterator[tuple[int, int]]]]:
    """Yield, output by output, its number and the numbers and addresses of its taps."""
    for h in range(arg["out_h"]):
        for w in range(arg["out_w"]):
            begin = arg["src"] + h * arg["src_stride_h"] + w * arg["src_stride_w"]
            yield h * arg["out_w"] + w, _taps(arg, begin)


def _taps(arg: dict[str, int], begin: int) -> Iterator[tuple[int, int]]:
    for kh in range(arg["kernel_h"]):
        for kw in range(arg["kernel_w"]):
            place = begin + kh * arg["tap_stride_h"] + kw * arg["tap_stride_w"]
            yield kh * arg["kernel_w"] + kw, place


def _reduce(arg: dict[str, int], lanes: int) -> Beats:
    """A beat per tap, then one that writes; side by side, the taps of a row share beats."""
    channels = arg["channels"]
    side_by_side = channels == 1 and arg["tap_stride_w"] == 1
    for output, taps in _tap_rows(arg):
        places = list(taps)
        for c in range(0, channels, lanes):
            for tap, place in places:
                if not side_by_side or tap % arg["kernel_w"] % lanes == 0:
                    yield [place + c]
            yield [arg["dst"] + output * channels + c]


def _depthwise(arg: dict[str, int], lanes: int) -> Beats:
    """A beat per tap, then one that rescales."""
    channels, params = arg["channels"], arg["param_address"]
    for output, taps in _tap_rows(arg):
        places = list(taps)
        for c in range(0, channels, lanes):
            for tap, place in places:
                yield [place + c, arg["weight_address"] + tap * channels + c]
            scales = [params + 4 * c, params + 4 * channels + 4 * c, params + 8 * channels + c]
            yield [*scales, arg["dst"] + output * arg["dst_pixel_stride_bytes"] + c]


def _arg_reduce(arg: dict[str, int], lanes: int) -> Beats:
    """A pass over the row for each of its k results, then a beat that writes it."""
    for row in range(arg["rows"]):
        for j in range(row * arg["k"], (row + 1) * arg["k"]):
            for i in range(0, arg["columns"], lanes):
                yield [arg["src"] + row * arg["columns"] + i]
            written = [arg["dst"] + 4 * j]
            yield written if arg["values"] == -1 else [*written, arg["values"] + j]


def _norm(arg: dict[str, int], lanes: int) -> Beats:
    """Two passes over each row: its sums, then its results."""
    n, params = arg["columns"], arg["param_address"]
    for row in range(arg["rows"]):
        sources = [
            (i, arg["src"] + _bytes(arg["src_type"]) * (row * n + i)) for i in range(0, n, lanes)
        ]
        for _, source in sources:
            yield [source]
        for i, source in sources:
            result = arg["dst"] + _bytes(arg["dst_type"]) * (row * n + i)
            yield [source, params + 4 * i, params + 4 * n + 4 * i, result]


def _pack(arg: dict[str, int], lanes: int) -> Beats:
    for row in range(arg["rows"]):
        for i in range(0, arg["columns"], lanes):
            yield [arg["src"] + row * arg["row_stride_bytes"] + i * arg["column_stride_bytes"]]


def _gru_cell(arg: dict[str, int], lanes: int) -> Beats:
    names = ["z", "n_x", "h_in", "h_out"] + (["r", "n_h"] if arg["reset"] else [])
    for i in range(0, arg["hidden"], lanes):
        yield [*(arg[name] + 2 * i for name in names), arg["y_out"] + i]


def _bytes(element_type: int) -> int:
    return isa.ELEMENT_BYTES[element_type]


_COUNTS: dict[int, tuple[str, ...]] = {
    isa.RESCALE: ("rows", "columns"),
    isa.COPY: ("shape0", "shape1", "shape2", "shape3"),
    isa.REQUANT: ("elements",),
    isa.ADD: ("elements",),
    isa.MUL: ("elements",),
    isa.LUT: ("elements",),
    isa.LSTM_CELL: ("hidden",),
    isa.SOFTMAX: ("rows", "columns"),
    isa.LUT8: ("elements",),
    isa.EXTREME: ("elements",),
    isa.SELECT: ("elements",),
    isa.REDUCE: ("channels", "out_h", "out_w", "kernel_h", "kernel_w"),
    isa.ARGREDUCE: ("rows", "columns", "k"),
    isa.NORM: ("rows", "columns"),
    isa.LOG_SOFTMAX: ("rows", "columns"),
    isa.DEPTHWISE: ("channels", "out_h", "out_w", "kernel_h", "kernel_w"),
    isa.PACK: ("rows", "columns"),
    isa.GRU_CELL: ("hidden",),
}
# Operations that work on the same bytes several times.
_REPEATING = (isa.REDUCE, isa.ARGREDUCE, isa.DEPTHWISE)

_BEATS = {
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
