"""PACK on the clocked model and the fast engine: weights that are activations, none skipped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from azsim.engine.fast_machine import FastMachine
from azsim_kernels import isa
from azsim_kernels.clocked import ClockedMachine
from device.bench import Bench, counter, tile_bytes

ROWS, COLUMNS = 6, 10
MATRIX, INPUT, SCALES, RESULT = 512, 0, 1024, 2048
DONE, SKIPPED = "mac_products_done", "mac_products_skipped"


def bench_of(matrix: np.ndarray, x: np.ndarray, rows: int = ROWS, **chip: object) -> Bench:
    """PACK of `matrix` (r, COLUMNS), PRODUCT of `rows` rows of its slot, RESCALE to RESULT."""
    bench = Bench(**chip)
    ready, sums = bench.semaphore(), bench.semaphore()
    bench.abuf[MATRIX : MATRIX + matrix.size] = matrix.astype(np.int8).ravel().view(np.uint8)
    bench.abuf[INPUT : INPUT + x.size] = x.astype(np.int8).view(np.uint8)
    bench.abuf[SCALES : SCALES + 4 * rows].view(np.int32)[:] = 1 << 30
    bench.abuf[SCALES + 8 * rows : SCALES + 9 * rows] = 30
    pack = [0, MATRIX, matrix.shape[0], COLUMNS, COLUMNS, 1]
    bench.add(isa.PACK, pack, signals=[(ready, 1)])
    arg = [0, rows, COLUMNS, INPUT, 1, COLUMNS, 0, 8, 1, 8, 0, 1]
    bench.add(isa.PRODUCT, arg, waits=[(ready, 1)], signals=[(sums, 1)])
    arg = [rows, 0, 1, 8, SCALES, RESULT, 4 * rows, isa.INT32, 0, 0, 0, 0]
    bench.add(isa.RESCALE, arg, waits=[(sums, 1)])
    return bench


def build(bench: Bench, machine: Any, **more: Any) -> Any:
    """A machine of the bench with memories of its own."""
    memories = {name: getattr(bench, name).copy() for name in ("dram", "store", "abuf")}
    commands = np.array(bench.records, isa.COMMAND)
    return machine(bench.params, commands, bench.kinds, bench.initial, **memories, **more)


def agree(bench: Bench, steps: int = 2) -> tuple[isa.StepResult, np.ndarray]:
    """Run all machines; return the last step's result and ABUF, the same on all."""
    model, engine = build(bench, ClockedMachine), build(bench, FastMachine)
    times = build(bench, FastMachine, timing_only=True)
    for _ in range(steps):
        wanted = model.run_step()
        for got in (engine.run_step(), times.run_step()):
            for name, one, other in zip(wanted._fields, wanted, got, strict=True):
                assert np.array_equal(one, other), name
    assert np.array_equal(model.storage.abuf, engine.abuf)
    assert np.array_equal(model.wbuf, engine.wbuf)
    return wanted, model.storage.abuf


def results(abuf: np.ndarray, rows: int = ROWS) -> list[int]:
    """The sums that RESCALE left in ABUF."""
    return abuf[RESULT : RESULT + 4 * rows].view(np.int32).tolist()  # type: ignore[no-any-return]


def half_zero(seed: int, rows: int = ROWS) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(-9, 10, (rows, COLUMNS)) * rng.integers(0, 2, (rows, COLUMNS))


@pytest.mark.parametrize("skip", range(4))
def test_packed_weights_are_never_skipped(skip: int) -> None:
    x = np.arange(COLUMNS) - 3  # one activation is zero
    durations = set()
    for seed in (1, 2):
        result, abuf = agree(bench_of(half_zero(seed), x, skip=skip))
        assert results(abuf) == (half_zero(seed) @ x).tolist()
        looks = skip in (isa.SKIP_ACTIVATION, isa.SKIP_BOTH)
        assert counter(result, SKIPPED) == (ROWS if looks else 0)
        durations.add(result.cycles)
    assert len(durations) == 1


def test_weights_behind_the_matrix_count_as_they_did() -> None:
    # A product of all six rows on a matrix of four: the slot was empty, so the rest is zero.
    x = np.ones(COLUMNS)
    result, abuf = agree(bench_of(half_zero(3, 4), x, skip=isa.SKIP_WEIGHT))
    assert counter(result, DONE) == 4 * COLUMNS
    assert results(abuf)[4:] == [0, 0]


def test_a_tile_takes_the_slot_back() -> None:
    bench = bench_of(half_zero(4), np.ones(COLUMNS), skip=isa.SKIP_WEIGHT)
    free, filled, over = bench.semaphore(), bench.semaphore(), bench.semaphore()
    weights = np.zeros(256, np.int8)
    weights[:7] = 5
    stream = tile_bytes(weights)
    bench.dram[: stream.size] = stream
    bench.add(isa.COPY, [0, 3000, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1], signals=[(free, 1)])
    bench.add(isa.FETCH, [0, stream.size, 0])
    bench.add(isa.TILE, [0, 1, 0], waits=[(free, 1)], signals=[(filled, 1)])
    arg = [0, ROWS, COLUMNS, INPUT, 1, COLUMNS, 0, 8, 1, 8, 0, 1]
    bench.add(isa.PRODUCT, arg, waits=[(filled, 1)], signals=[(over, 1)])
    result, _ = agree(bench)
    assert counter(result, DONE) == ROWS * COLUMNS + 7


def test_a_repeated_step_packs_the_new_activations() -> None:
    machine = build(bench_of(half_zero(5), np.ones(COLUMNS), skip=isa.SKIP_WEIGHT), FastMachine)
    machine.run_step()
    second = machine.run_step()
    new = half_zero(6)
    machine.abuf[MATRIX : MATRIX + new.size] = new.astype(np.int8).ravel().view(np.uint8)
    assert machine.run_step() is second
    assert results(machine.abuf) == new.sum(axis=1).tolist()


@pytest.mark.parametrize(
    ("operand", "value", "at_start"),
    [(0, 4, True), (0, -1, True), (2, 52, True), (3, 0, True), (1, 4096 - 59, False)],
)
def test_bad_operands_of_pack(operand: int, value: int, at_start: bool) -> None:
    bench = bench_of(half_zero(7), np.ones(COLUMNS))
    bench.records[0]["arg"][operand] = value
    model, engine = build(bench, ClockedMachine), build(bench, FastMachine)
    wanted, got = model.run_step(), engine.run_step()
    for name, one, other in zip(wanted._fields, wanted, got, strict=True):
        assert np.array_equal(one, other), name
    assert (wanted.status, wanted.error_command) == (isa.BAD_OPERAND, 0)
    assert (wanted.cycles == int(wanted.start[0])) == at_start
