"""Beats, durations and bank conflicts of each VECTOR operation, worked by hand.

4 elements per beat; 4 banks of 8 bytes: address a lies in bank (a / 8) mod 4.
"""

from __future__ import annotations

import numpy as np
import pytest
from bench import Bench, copy_operands, counter, stalls
from more_vectors import EIGHT, MORE_BEATS

from azsim_kernels import isa

pytestmark = pytest.mark.small

M, S = 1 << 30, 30  # multiplier and shift of 1.0
I8, I16, I32 = isa.INT8, isa.INT16, isa.INT32


def run(opcode: int, arg: list[int], **fields: object) -> tuple[int, int, int, int]:
    """Run one command; return its duration, beats, elements and conflict cycles."""
    bench = Bench(**fields)
    bench.add(opcode, arg)
    result = bench.run()
    assert result.status == isa.DONE
    name = isa.VECTOR_CLASSES[isa.OPCODE_VECTOR_CLASS[opcode]]
    return (
        int(result.free[0] - result.start[0]),
        counter(result, f"vector_{name}_beats"),
        counter(result, f"vector_{name}_elements"),
        counter(result, "vector_conflict_cycles"),
    )


@pytest.mark.parametrize(
    ("opcode", "arg", "beats", "elements", "conflicts"),
    [
        *MORE_BEATS,
        # src 0, 4 and dst 40, 44: banks 0 and 1.
        (isa.REQUANT, [0, 8, I8, 40, I8, M, S, 0, 0, 0], 2, 8, 0),
        # src 0, 4 and dst 32, 36: all in bank 0, one conflict per beat.
        (isa.REQUANT, [0, 8, I8, 32, I8, M, S, 0, 0, 0], 2, 8, 2),
        # int16 -> int32, 9 elements: src 0, 8, 16 (banks 0, 1, 2), dst 64, 80, 96 (0, 2, 0).
        (isa.REQUANT, [0, 9, I16, 64, I32, M, S, 0, 0, 0], 3, 9, 1),
        # a 0, 4; b 8, 12; dst 16, 20: banks 0, 1, 2.
        (isa.ADD, [0, I8, 8, I8, 16, I8, 8, 1, 1, 0, 0, 0, 0, 0, 8], 2, 8, 0),
        # b repeats 3 elements: beat 1 reads from b[4 mod 3 = 1] = 33, bank 0, as a does.
        (isa.ADD, [0, I8, 32, I8, 16, I8, 8, 1, 1, 0, 0, 0, 0, 0, 3], 2, 8, 2),
        # b[0], b[4 mod 3], b[8 mod 3] at 28 to 30 (bank 3); a 0, 4, 8 (0, 0, 1); dst 40, 44, 48
        # (1, 1, 2).
        (isa.ADD, [0, I8, 28, I8, 40, I8, 12, 1, 1, 0, 0, 0, 0, 0, 3], 3, 12, 0),
        # int16 b of period 5 at 28: b[0] = 28 (bank 3), b[4] = 36 (bank 0); a 32, 36 (bank 0).
        (isa.MUL, [32, I8, 28, I16, 8, I8, 8, M, 0, S, 0, 0, 0, 0, 5], 2, 8, 1),
        (isa.LUT, [0, I16, 5, 24, I8, 0, M, S, M, S, 0, 0], 2, 5, 0),  # 0, 8 and 24, 28
        # hidden 4: gates 0, 8, 16, 24 (banks 0 to 3), c_in 32 (0), c_out 40 (1), h_out 56 (3).
        (isa.LSTM_CELL, [0, 32, 40, 56, 4, 12, M, S, 0], 1, 4, 1),
        # hidden 8: gates 0, 16, 32, 48 (0, 2, 0, 2), c 64 (0), 80 (2), h 104 (1): three, +2;
        # then 8, 24, 40, 56 (1, 3, 1, 3), 72 (1), 88 (3), 108 (1): four in bank 1, +3.
        (isa.LSTM_CELL, [0, 64, 80, 104, 8, 12, M, S, 0], 2, 8, 5),
        # c_in 120 (3), c_out 80 (2), h 112 (2): four in bank 2; then 128 (0), 88 (3), 116 (2):
        # three in bank 3.
        (isa.LSTM_CELL, [0, 120, 80, 112, 8, 12, M, S, 0], 2, 8, 5),
        # Two rows of 6 columns: 0, 4, 6, 10 and 32 + the same; banks 0 0, 0 0, 0 0, 1 1.
        (isa.SOFTMAX, [0, 2, 6, 32, M, S, M, S, 0], 4, 12, 4),
        (isa.SOFTMAX, [0, 2, 6, 40, M, S, M, S, 0], 4, 12, 0),  # one bank further
        # dst 3, 7, 9, 13: banks 0 0, 0 0, 0 1, 1 1.
        (isa.SOFTMAX, [0, 2, 6, 3, M, S, M, S, 0], 4, 12, 3),
        # Boxes 2 x 1 x 2 x 5 bytes: 2 beats per row, 4 rows. src rows at 0, 5, 10, 15; dst rows at
        # 64, 96, 80, 112 (strides 16, -, 32, 1): pairs (0,64) (4,68) both bank 0; (5,96) (9,100):
        # 0 0, 1 0; (10,80) (14,84): 1 2, 1 2; (15,112) (19,116): 1 2, 2 2.
        (isa.COPY, [0, 64, 1, 2, 1, 2, 5, 10, 0, 5, 1, 16, 0, 32, 1], 8, 20, 4),
    ],
)
def test_beats_and_conflicts(
    opcode: int, arg: list[int], beats: int, elements: int, conflicts: int
) -> None:
    assert run(opcode, arg) == (5 + beats + conflicts, beats, elements, conflicts)


def rescale_arg(columns: int, flags: int) -> list[int]:
    """RESCALE of 6 rows: parameters at 32 (biases at 56, shifts at 80), dst 104, addend 200."""
    return [6, 0, columns, 3, 32, 104, 8, I8, 0, flags, 200, 24]


@pytest.mark.parametrize(
    ("columns", "flags", "beats", "conflicts"),
    [
        # Beat 0: 32 (bank 0), 56 (3), 80 (2), 104 (1). Beat 1: 48 (2), 72 (1), 84 (2), 108 (1):
        # two accesses at most, +1.
        (1, 0, 2, 1),
        # Column 1: dst 112 (2), 116 (2): beat 0: 0, 3, 2, 2: +1; beat 1: 2, 1, 2, 2: +2.
        (2, 0, 4, 1 + 3),
        # Addend 200 (1) and 216 (3): beat 0: 0, 3, 2, 1, 1: +1; beat 1: 2, 1, 2, 1, 3: +1.
        (1, isa.FLAG_ADDEND, 2, 2),
    ],
)
def test_rescale(columns: int, flags: int, beats: int, conflicts: int) -> None:
    arg = rescale_arg(columns, flags)
    assert run(isa.RESCALE, arg) == (5 + beats + conflicts, beats, 6 * columns, conflicts)


def test_each_stream_of_rescale_moves_on() -> None:
    # Parameters at 36. Beat 0: 36 (bank 0), 60 (3), 84 (2), dst 96 (0): +1. Beat 1: 52 (2),
    # 76 (1), 88 (3), 100 (0): none.
    arg = [6, 0, 1, 0, 36, 96, 8, I8, 0, 0, 0, 0]
    assert run(isa.RESCALE, arg) == (5 + 2 + 1, 2, 6, 1)
    # int32: beat 1 writes to 112 (2) as it reads from 52 (2).
    arg = [6, 0, 1, 0, 36, 96, 24, I32, 0, 0, 0, 0]
    assert run(isa.RESCALE, arg) == (5 + 2 + 2, 2, 6, 2)


def test_two_ports_take_two_accesses_per_bank() -> None:
    cell = [0, 64, 80, 104, 8, 12, M, S, 0]  # three and four accesses: ceil(3/2), ceil(4/2)
    assert run(isa.LSTM_CELL, cell, abuf_ports_per_bank=2) == (5 + 2 + 2, 2, 8, 2)
    assert run(isa.LSTM_CELL, cell, abuf_ports_per_bank=4) == (5 + 2, 2, 8, 0)


def test_banks_are_counted_by_bank_bytes() -> None:
    same = copy_operands(4, src=0, dst=32)
    assert run(isa.COPY, same)[0] == 5 + 1 + 1
    assert run(isa.COPY, same, abuf_bank_bytes=16)[0] == 5 + 1  # banks 0 and 2
    assert run(isa.COPY, same, abuf_banks=3)[0] == 5 + 1  # banks 0 and 1
    assert run(isa.COPY, same, abuf_banks=1)[0] == 5 + 1 + 1


@pytest.mark.parametrize("vector_class", range(7))
def test_each_class_has_its_latency_and_interval(vector_class: int) -> None:
    opcodes = {
        0: isa.COPY,
        1: isa.REQUANT,
        2: isa.ADD,
        3: isa.MUL,
        4: isa.LUT,
        5: isa.LSTM_CELL,
        6: isa.SOFTMAX,
    }
    args = {
        isa.COPY: copy_operands(8),
        isa.REQUANT: [0, 8, I8, 40, I8, M, S, 0, 0, 0],
        isa.ADD: [0, I8, 8, I8, 16, I8, 8, 1, 1, 0, 0, 0, 0, 0, 8],
        isa.MUL: [0, I8, 8, I8, 16, I8, 8, M, 0, S, 0, 0, 0, 0, 8],
        isa.LUT: [0, I16, 5, 24, I8, 0, M, S, M, S, 0, 0],
        isa.LSTM_CELL: [0, 64, 80, 104, 8, 12, M, S, 0],
        isa.SOFTMAX: [0, 1, 6, 40, M, S, M, S, 0],
    }
    classes = len(isa.VECTOR_CLASSES)
    latency, interval = [50] * classes, [60] * classes
    latency[vector_class], interval[vector_class] = 11, 3
    opcode = opcodes[vector_class]
    cycles, beats, _, _ = run(
        opcode,
        args[opcode],
        vector_latency_cycles=tuple(latency),
        vector_interval_cycles=tuple(interval),
        abuf_ports_per_bank=8,
    )
    assert beats == 2
    assert cycles == 11 + 2 * 3


@pytest.mark.parametrize("opcode", EIGHT, ids=lambda opcode: isa.OPCODE_NAMES[opcode])
def test_each_class_after_softmax_has_its_latency_and_interval(opcode: int) -> None:
    arg, wanted = EIGHT[opcode]
    classes = len(isa.VECTOR_CLASSES)
    latency, interval = [50] * classes, [60] * classes
    vector_class = isa.VECTOR_CLASSES.index(isa.OPCODE_NAMES[opcode].lower())
    latency[vector_class], interval[vector_class] = 11, 3
    cycles, beats, _, _ = run(
        opcode,
        arg,
        vector_latency_cycles=tuple(latency),
        vector_interval_cycles=tuple(interval),
        abuf_ports_per_bank=8,
    )
    assert (cycles, beats) == (11 + 3 * wanted, wanted)


def test_rescale_is_of_the_class_rescale() -> None:
    cycles, *_ = run(
        isa.RESCALE,
        rescale_arg(1, 0),
        vector_latency_cycles=(50, 7, *(50,) * 15),
        abuf_ports_per_bank=8,
    )
    assert cycles == 7 + 2


@pytest.mark.parametrize(("conflicts", "dst"), [(0, 8), (1, 32)])
def test_a_command_takes_a_cycle_at_least(conflicts: int, dst: int) -> None:
    zero = (0,) * len(isa.VECTOR_CLASSES)
    arg = copy_operands(4, src=0, dst=dst)
    fields: dict[str, object] = {"vector_latency_cycles": zero, "vector_interval_cycles": zero}
    assert run(isa.COPY, arg, **fields) == (1, 1, 4, conflicts)


def test_results_appear_when_the_command_is_free() -> None:
    bench = Bench()
    bench.abuf[:4] = [1, 2, 3, 4]
    bench.copy()  # 0 -> 8, free at 7
    step = bench.machine().new_step()
    for cycle in range(7):
        assert step.tick(cycle) is None
        assert not bench.abuf[8:12].any()
    assert step.tick(7) is not None
    assert bench.abuf[8:12].tolist() == [1, 2, 3, 4]


def test_commands_of_one_engine_see_each_others_results() -> None:
    bench = Bench()
    bench.abuf[:4] = [9, 8, 7, 6]
    bench.copy()
    bench.add(isa.COPY, copy_operands(4, src=8, dst=16))
    result = bench.run()
    assert bench.abuf[16:20].tolist() == [9, 8, 7, 6]
    assert stalls(result, "vector") == {"waiting": 1, "busy": 12}


def test_sums_become_integers() -> None:
    bench = Bench()
    bench.abuf[32:40].view("<i4")[:] = [M, M]
    bench.abuf[40:48].view("<i4")[:] = [100, -5]
    bench.abuf[48:50].view(np.int8)[:] = [S, S + 1]
    bench.add(isa.RESCALE, [2, 4, 1, 0, 32, 64, 4, I32, 3, 0, 0, 0])
    machine = bench.machine()
    machine.accumulators[:, 4] = [7, 47]
    machine.run_step()
    # (7 + 100) x 1 + 3 and (47 - 5) x 1/2 + 3
    assert bench.abuf[64:72].view("<i4").tolist() == [110, 24]
