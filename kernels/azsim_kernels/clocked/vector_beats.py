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
    """Return the elements the operation computes."""
    return math.prod(arg[name] for name in _COUNTS[opcode])


def counts_fit(opcode: int, arg: dict[str, int], abuf_bytes: int) -> bool:
    """Say whether the counts are at least 1, the elements at most `abuf_bytes` and the types
    known.
    """
    counts = [arg[name] for name in _COUNTS[opcode]]
    if min(counts) < 1 or math.prod(counts) > abuf_bytes or arg.get("b_period", 1) < 1:
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
    """ADD and MUL."""
    for i in range(0, arg["elements"], lanes):
        yield [
            arg["a"] + _bytes(arg["a_type"]) * i,
            arg["b"] + _bytes(arg["b_type"]) * (i % arg["b_period"]),
            arg["dst"] + _bytes(arg["dst_type"]) * i,
        ]


def _lstm_cell(arg: dict[str, int], lanes: int) -> Beats:
    hidden = arg["hidden"]
    for i in range(0, hidden, lanes):
        gates = [arg["gates"] + 2 * (gate * hidden + i) for gate in range(4)]
        yield [*gates, arg["c_in"] + 2 * i, arg["c_out"] + 2 * i, arg["h_out"] + i]


def _softmax(arg: dict[str, int], lanes: int) -> Beats:
    for row in range(arg["rows"]):
        for i in range(0, arg["columns"], lanes):
            offset = row * arg["columns"] + i
            yield [arg["src"] + offset, arg["dst"] + offset]


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
}

_BEATS = {
    isa.RESCALE: _rescale,
    isa.COPY: _copy,
    isa.REQUANT: _one_to_one,
    isa.ADD: _two_to_one,
    isa.MUL: _two_to_one,
    isa.LUT: _one_to_one,
    isa.LSTM_CELL: _lstm_cell,
    isa.SOFTMAX: _softmax,
}
