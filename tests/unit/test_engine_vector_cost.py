"""Beats, conflicts and elements of VECTOR commands, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from azsim_kernels import isa
from azsim_kernels import vector_cost as module
from azsim_kernels.vector_cost import VectorCost, vector_cost
from device.bench import CHIP, copy_operands
from device.more_vectors import MORE_BEATS

pytestmark = pytest.mark.small

ABUF_BYTES = 4096
NOTHING = VectorCost(0, 0, 0)


def cost(opcode: int, operands: list[int], **chip: int) -> VectorCost:
    """Cost on the bench's chip: 4 elements per beat, 4 banks of 8 bytes with 1 port."""
    arg = np.zeros(isa.N_ARGS, np.int64)
    arg[: len(operands)] = operands
    return vector_cost(opcode, arg, CHIP._replace(**chip), ABUF_BYTES)


def test_a_copy_without_conflict() -> None:
    # 10 bytes: beats at 0, 4, 8; src in banks 0 0 1, dst (8 on) in banks 1 1 2
    assert cost(isa.COPY, copy_operands(10)) == VectorCost(10, 3, 0)


def test_a_copy_onto_the_same_bank() -> None:
    # dst 32 bytes behind src: the same bank in each of the 3 beats
    assert cost(isa.COPY, copy_operands(10, dst=32)) == VectorCost(10, 3, 3)
    assert cost(isa.COPY, copy_operands(10, dst=32), abuf_ports_per_bank=2) == VectorCost(10, 3, 0)


def test_a_strided_copy_begins_a_beat_in_each_row() -> None:
    # shape 2 x 3 x 1 x 5: 6 rows of 2 beats
    operands = [0, 512, 1, 2, 3, 1, 5, 15, 5, 0, 1, 15, 5, 0, 1]
    # src row r begins at 5 r, dst at 512 + 5 r: always the same bank
    assert cost(isa.COPY, operands) == VectorCost(30, 12, 12)


def test_rescale_reads_three_parameter_streams() -> None:
    # rows 4, one column, parameters at 64: multipliers in bank (64/8)%4 = 0, biases at 80 in
    # bank 2, shifts at 96 in bank 0; dst 128 in bank 0: 3 accesses of bank 0 -> 2 more cycles
    operands = [4, 0, 1, 2, 64, 128, 4, isa.INT8, 0, 0, 0, 0]
    assert cost(isa.RESCALE, operands) == VectorCost(4, 1, 2)
    operands[9], operands[10] = isa.FLAG_ADDEND, 256  # bank 0 as well
    assert cost(isa.RESCALE, operands) == VectorCost(4, 1, 3)


def test_a_repeated_second_operand() -> None:
    # a at 0, dst at 16, b at 8 with period 4: its beats all begin at 8 (bank 1)
    operands = [0, 0, 8, 0, 16, 0, 12, 1, 1, 0, 0, 0, 0, 0, 4]
    # beat 0: banks 0 1 2; beat 1: a 4 -> 0, b -> 1, dst 20 -> 2; beat 2: a 8 -> 1, b -> 1: conflict
    assert cost(isa.ADD, operands) == VectorCost(12, 3, 1)


def test_an_lstm_cell_has_seven_streams() -> None:
    # hidden 4: gates at 0, 8, 16, 24 (banks 0 1 2 3), c at 32 and 40 (0 1), h at 48 (2)
    operands = [0, 32, 40, 48, 4, 12, 1, 0, 0]
    assert cost(isa.LSTM_CELL, operands) == VectorCost(4, 1, 1)


@pytest.mark.parametrize(("opcode", "operands", "beats", "elements", "conflicts"), MORE_BEATS)
@pytest.mark.parametrize("chunk", [3, 1 << 18])
def test_commands_of_several_phases(
    monkeypatch: pytest.MonkeyPatch,
    opcode: int,
    operands: list[int],
    beats: int,
    elements: int,
    conflicts: int,
    chunk: int,
) -> None:
    monkeypatch.setattr(module, "CHUNK_BEATS", chunk)
    assert cost(opcode, operands) == VectorCost(elements, beats, conflicts)


WINDOWS = [0, 96, 1, 1, 3, 1, 9, 0, 9, 0, 1]
MANY = [0, 96, 1 << 9, 1 << 9, 1 << 9, 1, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("opcode", "operands"),
    [
        (isa.REDUCE, [0, 96, 0, *WINDOWS[3:], 0, 1, 0, 0, 0]),
        (isa.REDUCE, [*MANY, 0, 1, 0, 0, 0]),  # 2^27 outputs
        (isa.DEPTHWISE, [*WINDOWS[:5], 0, *WINDOWS[6:], 0, 0, 0, 0, 1]),
        (isa.ARGREDUCE, [0, 1 << 13, 1 << 13, 0, 0, 2, -1]),
        (isa.SELECT, [0, 0, 0, 64, 8, 1, 0, 8, 8]),
        (isa.SELECT, [0, 0, 0, 64, 8, 1, 8, -1, 8]),
        (isa.NORM, [0, 3, 1, 8, 64, 0, 128, 0, 0, 0, 0, 0]),
        (isa.PACK, [4, 0, 1, 8, 8, 1]),  # four slots
        (isa.PACK, [0, 0, 27, 19, 19, 1]),  # 513 weights
        (isa.COPY, copy_operands(0)),
        (isa.COPY, copy_operands(ABUF_BYTES + 1)),
        (isa.REQUANT, [0, 1 << 62, 0, 0, 0, 1, 0, 0, 0, 0]),
        (isa.REQUANT, [0, 4, 3, 0, 0, 1, 0, 0, 0, 0]),
        (isa.SOFTMAX, [0, 1 << 40, 1 << 40, 0, 1, 0, 1, 0, 0]),
        (isa.MUL, [0, 0, 8, 0, 16, 0, 12, 1, 0, 0, 0, 0, 0, 0, 0]),
        (isa.RESCALE, [4, 0, -1, 2, 64, 128, 4, isa.INT8, 0, 0, 0, 0]),
    ],
)
def test_impossible_counts_cost_nothing(opcode: int, operands: list[int]) -> None:
    assert cost(opcode, operands) == NOTHING
