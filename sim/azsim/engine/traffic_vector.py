"""Bytes that VECTOR commands move, by their operands alone; see `azsim.engine.traffic`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim_kernels import isa

Ints = npt.NDArray[np.int64]
Part = tuple[str, Ints, Ints]

ACCUMULATOR_BYTES = 4
MASK_WEIGHTS_PER_BYTE = 8
RESCALE_PARAMETER_BYTES = 9  # of one row: multiplier int32, bias int32, shift int8
ADDEND_BYTES = 4
INDEX_BYTES = 4
LUT8_BYTES = 256
NORM_PARAMETER_BYTES = 8  # of one column: gamma and beta, int32
# LSTM_CELL, of one hidden unit: four gates and the old state, all int16; new state int16, h int8.
CELL_READ_BYTES, CELL_WRITE_BYTES = 10, 3
COUPLED_READ_BYTES = 8  # three gates
# GRU_CELL: update gate, new value and old state, int16; two more with the reset gate.
GRU_READ_BYTES, GRU_RESET_READ_BYTES = 6, 10


class Chosen:
    """The commands of one opcode: `numbers`, and each operand by its name."""

    def __init__(self, commands: npt.NDArray[Any], opcode: int) -> None:
        self._names = isa.OPCODE_ARGS[opcode]
        self.numbers: Ints = np.flatnonzero(commands["opcode"] == opcode)
        self._arg = commands["arg"][self.numbers]

    def __getitem__(self, name: str) -> Ints:
        operand: Ints = self._arg[:, self._names.index(name)]
        return operand

    def element_bytes(self, name: str) -> Ints:
        """Bytes of one element of the type in operand `name`."""
        return np.left_shift(1, self[name])


def _rescales(rescale: Chosen) -> Iterator[Part]:
    elements, numbers = rescale["rows"] * rescale["columns"], rescale.numbers
    addends = np.where(rescale["flags"] & isa.FLAG_ADDEND, elements * ADDEND_BYTES, 0)
    yield "accumulator_read_bytes", numbers, elements * ACCUMULATOR_BYTES
    yield "abuf_parameter_read_bytes", numbers, elements * RESCALE_PARAMETER_BYTES
    yield "abuf_vector_read_bytes", numbers, addends
    yield "abuf_vector_write_bytes", numbers, elements * rescale.element_bytes("dst_type")


def vector_traffic(commands: npt.NDArray[Any], masked: bool) -> Iterator[Part]:
    """Yield the bytes of all VECTOR commands; `masked`: WBUF has masks beside the weights."""
    yield from _rescales(Chosen(commands, isa.RESCALE))
    yield from _elementwise(commands)
    yield from _windows(commands)
    yield from _rows(commands)
    yield from _cells(commands)
    yield from _packs(Chosen(commands, isa.PACK), masked)


def _elementwise(commands: npt.NDArray[Any]) -> Iterator[Part]:
    """COPY and what makes one element of one or more."""
    copy = Chosen(commands, isa.COPY)
    copied = copy["element_bytes"] * copy["shape0"] * copy["shape1"] * copy["shape2"]
    yield from _read_written(copy, copied * copy["shape3"], copied * copy["shape3"])
    for opcode in (isa.REQUANT, isa.LUT):
        single = Chosen(commands, opcode)
        read = single["elements"] * single.element_bytes("src_type")
        yield from _read_written(single, read, _written(single))
    for opcode in (isa.ADD, isa.MUL, isa.EXTREME):
        pair = Chosen(commands, opcode)
        widths = pair.element_bytes("a_type") + pair.element_bytes("b_type")
        yield from _read_written(pair, pair["elements"] * widths, _written(pair))
    table = Chosen(commands, isa.LUT8)
    yield "abuf_parameter_read_bytes", table.numbers, np.full_like(table.numbers, LUT8_BYTES)
    yield from _read_written(table, table["elements"], table["elements"])
    select = Chosen(commands, isa.SELECT)
    wide = select["elements"] * select["element_bytes"]
    yield from _read_written(select, select["elements"] + 2 * wide, wide)


def _windows(commands: npt.NDArray[Any]) -> Iterator[Part]:
    """REDUCE and DEPTHWISE: an input byte (and a weight) per tap and output."""
    for opcode in (isa.REDUCE, isa.DEPTHWISE):
        window = Chosen(commands, opcode)
        outputs = window["channels"] * window["out_h"] * window["out_w"]
        taps = outputs * window["kernel_h"] * window["kernel_w"]
        yield from _read_written(window, taps, outputs)
        if opcode == isa.DEPTHWISE:
            parameters = taps + outputs * RESCALE_PARAMETER_BYTES
            yield "abuf_parameter_read_bytes", window.numbers, parameters


def _rows(commands: npt.NDArray[Any]) -> Iterator[Part]:
    """SOFTMAX, LOG_SOFTMAX, NORM (two passes) and ARGREDUCE (k passes)."""
    for opcode in (isa.SOFTMAX, isa.LOG_SOFTMAX):
        softmax = Chosen(commands, opcode)
        elements = softmax["rows"] * softmax["columns"]
        yield from _read_written(softmax, elements, elements)
    norm = Chosen(commands, isa.NORM)
    elements = norm["rows"] * norm["columns"]
    yield "abuf_parameter_read_bytes", norm.numbers, elements * NORM_PARAMETER_BYTES
    read, written = norm.element_bytes("src_type"), norm.element_bytes("dst_type")
    yield from _read_written(norm, 2 * elements * read, elements * written)
    best = Chosen(commands, isa.ARGREDUCE)
    results = best["rows"] * best["k"]
    written = results * INDEX_BYTES + np.where(best["values"] == -1, 0, results)
    yield from _read_written(best, results * best["columns"], written)


def _cells(commands: npt.NDArray[Any]) -> Iterator[Part]:
    """LSTM_CELL and GRU_CELL."""
    cell = Chosen(commands, isa.LSTM_CELL)
    hidden = cell["hidden"]
    read = np.where(cell["couple"] == isa.COUPLE_NONE, CELL_READ_BYTES, COUPLED_READ_BYTES)
    yield from _read_written(cell, hidden * read, hidden * CELL_WRITE_BYTES)
    gru = Chosen(commands, isa.GRU_CELL)
    read = np.where(gru["reset"] == 0, GRU_READ_BYTES, GRU_RESET_READ_BYTES)
    yield from _read_written(gru, gru["hidden"] * read, gru["hidden"] * CELL_WRITE_BYTES)


def _packs(pack: Chosen, masked: bool) -> Iterator[Part]:
    """PACK: from ABUF to a slot, with its mask."""
    weights = pack["rows"] * pack["columns"]
    yield "abuf_vector_read_bytes", pack.numbers, weights
    yield "wbuf_weight_write_bytes", pack.numbers, weights
    if masked:
        yield "wbuf_mask_write_bytes", pack.numbers, -(-weights // MASK_WEIGHTS_PER_BYTE)


def _written(chosen: Chosen) -> Ints:
    return chosen["elements"] * chosen.element_bytes("dst_type")


def _read_written(chosen: Chosen, read: Ints, written: Ints) -> Iterator[Part]:
    yield "abuf_vector_read_bytes", chosen.numbers, read
    yield "abuf_vector_write_bytes", chosen.numbers, written
