"""The fast engine by itself: modes, kept tiles, remembered times, what it refuses."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azsim.config import OP_CLASSES, load_chip
from azsim.engine import machine_params
from azsim.engine.fast_machine import FastMachine
from azsim.errors import SimulationError
from azsim_kernels import isa, tile_errors
from azsim_kernels.clocked import ClockedMachine
from device.bench import CHIP, Bench, copy_operands, counter, tile_bytes

ROWS, COLUMNS = 6, 40
WEIGHTS = 256
ACTIVATIONS = 0  # ABUF addresses
SCALES = 128
RESULT = 1024


def fast(bench: Bench, **more: bool | int) -> FastMachine:
    """Return the bench's program on a fast machine, with copies of its memories."""
    memories = {name: getattr(bench, name).copy() for name in ("dram", "store", "abuf")}
    commands = np.array(bench.records, isa.COMMAND)
    return FastMachine(bench.params, commands, bench.kinds, bench.initial, **memories, **more)


def clocked(bench: Bench) -> ClockedMachine:
    """The same on the clocked model."""
    memories = {name: getattr(bench, name).copy() for name in ("dram", "store", "abuf")}
    commands = np.array(bench.records, isa.COMMAND)
    return ClockedMachine(bench.params, commands, bench.kinds, bench.initial, **memories)


def weights_of(seed: int, zeros: float = 0.5) -> np.ndarray:
    """Random weights of one tile, some of them zero."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-20, 20, WEIGHTS).astype(np.int8)
    weights[rng.random(WEIGHTS) < zeros] = 0
    return weights


def product_bench(weights: np.ndarray, activations: np.ndarray, **chip: object) -> Bench:
    """FETCH, TILE, PRODUCT, RESCALE to RESULT, each waiting for the one before."""
    bench = Bench(**chip)
    ready, sums = bench.semaphore(), bench.semaphore()
    stream = tile_bytes(weights)
    bench.dram[: stream.size] = stream
    bench.abuf[: activations.size] = activations.view(np.uint8)
    bench.abuf[SCALES : SCALES + 4 * ROWS].view(np.int32)[:] = 1 << 30
    bench.abuf[SCALES + 8 * ROWS : SCALES + 9 * ROWS] = 30
    bench.add(isa.FETCH, [0, stream.size, 0])
    bench.add(isa.TILE, [0, 1, 0], signals=[(ready, 1)])
    arg = [0, ROWS, COLUMNS, ACTIVATIONS, 1, COLUMNS, 0, 8, 1, 8, 0, 1]
    bench.add(isa.PRODUCT, arg, waits=[(ready, 1)], signals=[(sums, 1)])
    arg = [ROWS, 0, 1, 8, SCALES, RESULT, 4 * ROWS, isa.INT32, 0, 0, 0, 0]
    bench.add(isa.RESCALE, arg, waits=[(sums, 1)])
    return bench


def products_of(weights: np.ndarray, activations: np.ndarray) -> list[int]:
    """The six sums."""
    matrix = weights[: ROWS * COLUMNS].reshape(ROWS, COLUMNS).astype(np.int64)
    return (matrix @ activations.astype(np.int64)).tolist()  # type: ignore[no-any-return]


def result_of(machine: FastMachine) -> list[int]:
    """The six sums as the program left them in ABUF."""
    return machine.abuf[RESULT : RESULT + 4 * ROWS].view(np.int32).tolist()  # type: ignore[no-any-return]


@settings(max_examples=60)
@given(
    seed=st.integers(0, 1 << 16),
    zeros=st.sampled_from([0.0, 0.5, 0.95, 1.0]),
    zero_activations=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_skipping_changes_times_but_no_sum(
    seed: int, zeros: float, zero_activations: float
) -> None:
    weights = weights_of(seed, zeros)
    rng = np.random.default_rng(seed + 1)
    activations = rng.integers(-128, 128, COLUMNS).astype(np.int8)
    activations[rng.random(COLUMNS) < zero_activations] = 0
    cycles = []
    for skip in (isa.SKIP_NONE, isa.SKIP_WEIGHT, isa.SKIP_ACTIVATION, isa.SKIP_BOTH):
        machine = fast(product_bench(weights, activations, skip=skip))
        result = machine.run_step()
        assert result.status == isa.DONE
        assert result_of(machine) == products_of(weights, activations)
        done, skipped = (
            counter(result, "mac_products_done"),
            counter(result, "mac_products_skipped"),
        )
        assert done + skipped == ROWS * COLUMNS
        cycles.append(result.cycles)
    none, weight, activation, both = cycles
    assert both <= min(weight, activation)
    assert max(weight, activation) <= none


def test_a_repeated_step_takes_the_times_and_computes_the_results_anew() -> None:
    activations = np.arange(COLUMNS, dtype=np.int8)
    machine = fast(product_bench(weights_of(1), activations))
    machine.run_step()
    second, visited = machine.run_step(), machine.visited_cycles
    machine.abuf[:COLUMNS] = 7
    third = machine.run_step()
    assert third is second
    assert machine.visited_cycles == visited
    assert result_of(machine) == products_of(weights_of(1), np.full(COLUMNS, 7))


def test_a_repeated_step_that_fails_ends_where_the_first_would() -> None:
    bench = product_bench(weights_of(1), np.arange(COLUMNS, dtype=np.int8))
    machine, model = fast(bench), clocked(bench)
    for _ in range(3):
        machine.run_step()
        model.run_step()
    machine.abuf[SCALES + 8 * ROWS] = 63  # no shift
    model.storage.abuf[SCALES + 8 * ROWS] = 63
    got, want = machine.run_step(), model.run_step()
    assert got.status == isa.BAD_OPERAND
    for name, a, b in zip(want._fields, want, got, strict=True):
        assert np.array_equal(a, b), name
    machine.abuf[SCALES + 8 * ROWS] = 30
    assert machine.run_step().status == isa.DONE


@pytest.mark.parametrize("steps_before", [1, 3])
def test_weights_written_to_dram_change_the_result(steps_before: int) -> None:
    activations = np.arange(COLUMNS, dtype=np.int8)
    machine = fast(product_bench(weights_of(1), activations))
    for _ in range(steps_before):
        machine.run_step()
    assert result_of(machine) == products_of(weights_of(1), activations)
    other = weights_of(1).copy()
    other[:COLUMNS] = np.roll(other[:COLUMNS], 1)  # a tile of the same length
    machine.write_dram(0, tile_bytes(other))
    machine.run_step()
    assert result_of(machine) == products_of(other, activations)
    assert result_of(machine) != products_of(weights_of(1), activations)


@pytest.mark.parametrize("bit", [3, 40, 70, 900])
def test_a_damaged_tile_is_refused_in_the_next_step(bit: int) -> None:
    machine = fast(product_bench(weights_of(1), np.arange(COLUMNS, dtype=np.int8)))
    for _ in range(3):
        assert machine.run_step().status == isa.DONE
    held = machine.wbuf
    byte = machine.dram[bit // 8 : bit // 8 + 1].copy()
    machine.write_dram(bit // 8, byte ^ np.uint8(1 << bit % 8))
    result = machine.run_step()
    assert (result.status, result.error_command) == (isa.BAD_TILE, 1)
    assert result.error_code != tile_errors.OK
    assert np.array_equal(machine.wbuf, held), "the slot keeps what it held"
    machine.write_dram(bit // 8, byte)
    assert machine.run_step().status == isa.DONE


def test_a_write_beside_a_tile_forgets_nothing() -> None:
    machine = fast(product_bench(weights_of(1), np.arange(COLUMNS, dtype=np.int8)))
    for _ in range(2):
        last = machine.run_step()
    machine.write_dram(tile_bytes(weights_of(1)).size, np.ones(8, np.uint8))
    assert machine.run_step() is last


def test_a_tile_that_the_program_writes_is_fetched_as_it_is_at_that_time() -> None:
    """STORE writes raw weights that a FETCH then moves: new ones in each step."""
    bench = Bench()
    stored, ready = bench.semaphore(), bench.semaphore()
    bench.add(isa.STORE, [512, 2048, WEIGHTS], signals=[(stored, 1)])
    bench.add(isa.FETCH, [512, WEIGHTS, 0], waits=[(stored, 1)])
    bench.add(isa.RAW, [1, 1, 0], signals=[(ready, 1)])
    product = [1, ROWS, COLUMNS, ACTIVATIONS, 1, COLUMNS, 0, 8, 1, 8, 0, 1]
    bench.add(isa.PRODUCT, product, waits=[(ready, 1)])
    bench.abuf[:COLUMNS] = 1
    machine, model = fast(bench), clocked(bench)
    for seed in range(4):
        for abuf in (machine.abuf, model.storage.abuf):
            abuf[2048 : 2048 + WEIGHTS] = weights_of(seed).view(np.uint8)
        want, got = model.run_step(), machine.run_step()
        for name, a, b in zip(want._fields, want, got, strict=True):
            assert np.array_equal(a, b), name
        sums = products_of(weights_of(seed), np.ones(COLUMNS))
        lanes = bench.params.lanes
        assert [machine.accumulators[r % lanes, r // lanes] for r in range(ROWS)] == sums


def test_the_tail_of_a_slot_outlives_a_smaller_tile() -> None:
    """A product that reads behind a tile of 256 weights reads what a tile of 512 left there."""
    bench = Bench()
    ready, space = bench.semaphore(), bench.semaphore(isa.SPACE, 1)
    big = np.concatenate([weights_of(3), weights_of(4)])
    for address, weights, slot in ((0, big, 0), (1024, weights_of(5), 0)):
        stream = tile_bytes(weights)
        bench.dram[address : address + stream.size] = stream
        bench.add(isa.FETCH, [address, stream.size, 0])
        tile = [slot, weights.size // 256, 0]
        bench.add(isa.TILE, tile, [(space, 1)], [(ready, 1)])
        product = [slot, 8, 50, ACTIVATIONS, 1, 50, 0, 8, 1, 8, 0, 1]
        bench.add(isa.PRODUCT, product, [(ready, 1)], [(space, 1)])
    bench.abuf[:50] = 1
    machine, model = fast(bench), clocked(bench)
    for _ in range(3):
        want, got = model.run_step(), machine.run_step()
        for name, a, b in zip(want._fields, want, got, strict=True):
            assert np.array_equal(a, b), name
        assert np.array_equal(machine.wbuf, model.wbuf)
        assert np.array_equal(machine.accumulators, model.accumulators)


def test_host_memory_does_not_grow_with_steps() -> None:
    machine = fast(
        product_bench(weights_of(1), np.arange(COLUMNS, dtype=np.int8), skip=isa.SKIP_BOTH)
    )
    for _ in range(20):
        machine.run_step()
    tracemalloc.start()
    for _ in range(20):
        machine.run_step()
    first = tracemalloc.get_traced_memory()[0]
    steps = 400
    for _ in range(steps):
        machine.run_step()
    grown = tracemalloc.get_traced_memory()[0] - first
    tracemalloc.stop()
    # An array that each step left behind would be 112 bytes and more; other threads of the test
    # process (its runner's) allocate some kilobytes of their own now and then.
    assert grown < 64 * steps


def test_a_run_that_lasts_too_long_is_stopped() -> None:
    machine = fast(product_bench(weights_of(1), np.arange(COLUMNS, dtype=np.int8)))
    cycles = machine.run_step().cycles
    with pytest.raises(
        RuntimeError, match=f"^the run must end within {cycles - 1} cycles, it has not$"
    ):
        machine.run_step(max_cycles=cycles - 1)
    assert machine.run_step(max_cycles=cycles).cycles == cycles


def test_idle_cycles_are_not_visited() -> None:
    bench = Bench(memory_latency_cycles=100_000)
    bench.add(isa.LOAD, [0, 0, 64])
    machine = fast(bench)
    result = machine.run_step()
    assert result.cycles > 100_000
    assert machine.visited_cycles < 30


@pytest.mark.small
@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"opcode": 26}, "command 0: opcode must be below 26"),
        ({"engine": isa.MAC}, "command 0: engine must be the one of its opcode"),
        ({"n_wait": 5}, "command 0: must have at most 4 waits"),
        ({"n_wait": 1, "wait": 3}, "command 0: wait semaphore must be below 0"),
        ({"n_signal": 1}, "command 0: signal semaphore must be below 0"),
    ],
)
def test_commands_that_cannot_be_looked_up_are_refused(change: dict[str, int], text: str) -> None:
    bench = Bench()
    bench.add(isa.COPY, copy_operands())
    for name, value in change.items():
        bench.records[0][name] = value
    with pytest.raises(SimulationError, match=f"^{text}$"):
        fast(bench)


@pytest.mark.small
@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("access_bytes", 24, "chip: access_bytes must be a power of two, not 24"),
        ("units", 17, "chip: units must be 1..16, not 17"),
        ("fifo_words", 5000, "chip: fifo_words must be 1..4096, not 5000"),
        ("dma_w_outstanding", 0, "chip: dma_w_outstanding must be 1..1024, not 0"),
    ],
)
def test_chips_beyond_the_engine_are_refused(field: str, value: int, text: str) -> None:
    with pytest.raises(SimulationError, match=f"^{text}$"):
        fast(Bench(**{field: value}))


@pytest.mark.small
def test_dram_writes_stay_inside() -> None:
    machine = fast(Bench())
    text = r"^DRAM write of bytes 4095\.\.4096: must be inside 0\.\.4095$"
    with pytest.raises(SimulationError, match=text):
        machine.write_dram(4095, np.zeros(2, np.uint8))
    with pytest.raises(ValueError, match="read-only"):
        machine.dram[0] = 1


@pytest.mark.small
def test_an_empty_program_ends_at_once() -> None:
    result = fast(Bench()).run_step()
    assert (result.status, result.cycles, int(result.stalls.sum())) == (isa.DONE, 0, 0)


@pytest.mark.small
def test_chip_files_become_parameters() -> None:
    chip = load_chip("az1", ["mac_array.skip=both", "mac_array.products_per_mac.4=2"])
    params = machine_params(chip)
    assert OP_CLASSES == isa.VECTOR_CLASSES
    assert params.products_per_mac == (2, 2, 2, 2, 1, 1, 1, 1)
    assert params.skip == isa.SKIP_BOTH
    assert params.vector_interval_cycles == tuple(
        chip.vector.ops[name].interval_cycles for name in OP_CLASSES
    )
    assert (params.memory_bytes, params.memory_per_cycles) == (64, 5)
    assert set(CHIP._fields) == set(params._fields)
