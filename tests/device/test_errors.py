"""Errors end a run at the named command and cycle (section 11)."""

from __future__ import annotations

import numpy as np
import pytest
from bench import FROM_DRAM, FROM_STORE, Bench, copy_operands, counter

from azsim_kernels import isa

pytestmark = pytest.mark.small

PRODUCT = [0, 4, 8, 0, 1, 8, 0, 2, 1, 8, 0, 1]  # 4 rows in 2 lanes, 8 columns
GATHER = [0, 64, 8, 0, 2, 5]
DRAM, ABUF, STORE = 4096, 4096, 1024


def product(**changes: int) -> list[int]:
    """Return the operands of a good PRODUCT with some of them changed."""
    arg = dict(zip(isa.PRODUCT_ARGS, PRODUCT, strict=True)) | changes
    return list(arg.values())


GOOD = [
    (isa.FETCH, [DRAM - 8, 8, FROM_DRAM]),
    (isa.FETCH, [STORE - 8, 8, FROM_STORE]),
    (isa.LOAD, [DRAM - 5, ABUF - 5, 5]),
    (isa.STORE, [0, 0, ABUF]),
    (isa.GATHER, [DRAM - 40, ABUF - 16, 8, 8, 2, 5]),
    (isa.PRODUCT, product(rows=32, columns=16)),
    (isa.PRODUCT, product(activation_address=ABUF - 8)),
    (isa.PRODUCT, product(activation_columns=3, acc_base=10)),
]


@pytest.mark.parametrize(("opcode", "arg"), GOOD)
def test_operands_at_the_edge_are_good(opcode: int, arg: list[int]) -> None:
    bench = Bench()
    bench.add(opcode, arg)
    assert bench.run().status == isa.DONE


BAD = [
    (isa.FETCH, [0, 0, FROM_DRAM]),
    (isa.FETCH, [0, -8, FROM_DRAM]),
    (isa.FETCH, [0, 12, FROM_DRAM]),
    (isa.FETCH, [0, 8, 2]),
    (isa.FETCH, [-8, 8, FROM_DRAM]),
    (isa.FETCH, [DRAM, 8, FROM_DRAM]),
    (isa.FETCH, [STORE - 8, 16, FROM_STORE]),
    (isa.LOAD, [DRAM - 4, 0, 5]),
    (isa.LOAD, [0, ABUF - 4, 5]),
    (isa.LOAD, [0, 0, -1]),
    (isa.STORE, [-1, 0, 4]),
    (isa.STORE, [0, 1, ABUF]),
    (isa.GATHER, [0, 64, -1, 0, 2, 5]),
    (isa.GATHER, [0, 64, 8, 0, -1, 5]),
    (isa.GATHER, [0, 64, 8, 0, 2, -1]),
    (isa.GATHER, [0, 64, 8, 2, 2, 5]),
    (isa.GATHER, [0, 64, 8, ABUF - 4, 2, 5]),
    (isa.GATHER, [0, ABUF - 15, 8, 0, 2, 5]),
    (isa.GATHER, [DRAM - 39, 64, 8, 0, 2, 5]),
    (isa.TILE, [4, 1, 0]),
    (isa.TILE, [-1, 1, 0]),
    (isa.TILE, [0, 0, 0]),
    (isa.TILE, [0, 3, 0]),
    (isa.RAW, [0, 3, 0]),
    (isa.TABLE, [4]),
    (isa.TABLE, [-1]),
    (isa.PRODUCT, product(slot=4)),
    (isa.PRODUCT, product(slot=-1)),
    (isa.PRODUCT, product(rows=0)),
    (isa.PRODUCT, product(columns=0)),
    (isa.PRODUCT, product(activation_columns=0)),
    (isa.PRODUCT, product(rows=4, columns=129)),
    (isa.PRODUCT, product(weight_bits=0)),
    (isa.PRODUCT, product(weight_bits=9)),
    (isa.PRODUCT, product(activation_address=ABUF - 7)),
    (isa.PRODUCT, product(activation_address=-1)),
    (isa.PRODUCT, product(activation_columns=2, activation_stride_bytes=-1)),
    (isa.PRODUCT, product(activation_columns=2, activation_stride_bytes=ABUF - 7)),
    (isa.PRODUCT, product(acc_base=15)),
    (isa.PRODUCT, product(acc_base=-1)),
    (isa.PRODUCT, product(activation_columns=2, acc_stride=1)),
    (isa.PRODUCT, product(activation_columns=3, acc_base=11)),
    (isa.REQUANT, [0, 0, 0, 40, 0, 1, 0, 0, 0, 0]),
    (isa.REQUANT, [0, ABUF + 1, 0, 40, 0, 1, 0, 0, 0, 0]),
    (isa.REQUANT, [0, 8, 3, 40, 0, 1, 0, 0, 0, 0]),
    (isa.REQUANT, [0, 8, 0, 40, -1, 1, 0, 0, 0, 0]),
    (isa.COPY, copy_operands(0)),
    (isa.SOFTMAX, [0, 0, 4, 40, 1, 0, 1, 0, 0]),
    (isa.LSTM_CELL, [0, 64, 80, 104, 0, 12, 1, 0, 0]),
    (isa.ADD, [0, 0, 8, 0, 16, 0, 8, 1, 1, 0, 0, 0, 0, 0, 0]),
]


@pytest.mark.parametrize(("opcode", "arg"), BAD)
def test_bad_operands_end_the_run_at_the_start(opcode: int, arg: list[int]) -> None:
    bench = Bench()
    bench.copy()
    bench.add(opcode, arg)
    bench.copy()
    result = bench.run()
    start = 7 if isa.OPCODE_ENGINE[opcode] == isa.VECTOR else 2
    assert (result.status, result.error_command, result.error_code) == (isa.BAD_OPERAND, 1, 0)
    assert (result.cycles, result.start[1], result.free[1]) == (start, start, -1)
    assert (result.stalls.sum(axis=1) == start).all()


def test_other_bad_vector_operands_are_found_with_the_effects() -> None:
    bench = Bench()
    bench.add(isa.COPY, copy_operands(4, src=ABUF))
    result = bench.run()
    assert (result.status, result.error_command) == (isa.BAD_OPERAND, 0)
    assert (result.cycles, result.start[0], result.free[0]) == (7, 1, -1)
    assert counter(result, "vector_copy_beats") == 0


@pytest.mark.parametrize("index", [5, -1, 1 << 30])
def test_a_bad_index_names_its_position(index: int) -> None:
    bench = Bench()
    bench.abuf[:8].view("<i4")[:] = [4, index]
    bench.add(isa.GATHER, GATHER)
    result = bench.run()
    assert (result.status, result.error_command, result.error_code) == (isa.BAD_INDEX, 0, 1)
    assert (result.cycles, result.start[0], result.free[0]) == (1, 1, -1)


def test_the_last_index_of_the_table_is_good() -> None:
    bench = Bench()
    bench.abuf[:8].view("<i4")[:] = [4, 0]
    bench.add(isa.GATHER, GATHER)
    assert bench.run().status == isa.DONE


@pytest.mark.parametrize(("first", "failing"), [("vector", "dma_a"), ("dma_a", "dma_a")])
def test_of_two_that_fail_in_one_cycle_the_lower_engine_is_named(first: str, failing: str) -> None:
    bench = Bench(semaphore_max=2)
    go, full = bench.semaphore(), bench.semaphore(initial=2)
    bench.add(isa.PRODUCT, PRODUCT, signals=[(go, 2)])
    # Both start when PRODUCT is free and end after 12 cycles: a burst of 16 bytes; 7 beats and 5.
    numbers = {}
    for name in (first, "dma_a" if first == "vector" else "vector"):
        opcode, arg = (isa.COPY, copy_operands(28, dst=2000))
        if name == "dma_a":
            opcode, arg = isa.LOAD, [0, 64, 16]
        numbers[name] = bench.add(opcode, arg, waits=[(go, 1)], signals=[(full, 1)])
    bench.params = bench.params._replace(abuf_ports_per_bank=2)
    result = bench.run()
    assert result.start[1] == result.start[2]
    assert result.cycles == result.start[1] + 12
    assert (result.status, result.error_command) == (isa.SEMAPHORE_OVERFLOW, numbers[failing])


def test_an_overflow_comes_after_the_effect() -> None:
    bench = Bench(semaphore_max=1)
    bench.abuf[:4] = [1, 2, 3, 4]
    full = bench.semaphore(initial=1)
    bench.copy(signals=[(full, 1)])
    result = bench.run()
    # Effect first, then the signals: the bytes are written, the command is not free.
    assert result.status == isa.SEMAPHORE_OVERFLOW
    assert bench.abuf[8:12].tolist() == [1, 2, 3, 4]
    assert counter(result, "vector_copy_elements") == 0
    assert np.array_equal(result.free, [-1])
