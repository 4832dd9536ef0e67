"""Speed of the fast engine on a synthetic program of the flagship's size.

    python benchmarks/engine_speed.py [TILES]

2,400 tiles of 16,384 weights (39.3 M), half of them zero, 5 bits, on chip az1: FETCH, TILE and
PRODUCT per tile, a RESCALE per eight tiles, an LSTM_CELL now and then. Measured on one core: the
times of a step (`timing_only`, remembered times off), its results (a repeated step), both together,
and the first step, which decodes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from azsim.config import load_chip
from azsim.engine import machine_params
from azsim.engine.fast_machine import FastMachine
from azsim_kernels import isa
from azsim_kernels.bitmap import encode_bitmap_tile

ROWS, COLUMNS = 8, 2048
WEIGHTS = ROWS * COLUMNS
TILES_PER_RESCALE = 8
DISTINCT_TILES = 100  # encoded once each; every FETCH has a copy of its own in DRAM


def encode_tiles(count: int) -> list[npt.NDArray[np.uint64]]:
    """Return the streams of `count` random tiles."""
    rng = np.random.default_rng(1)
    streams = []
    for index in range(min(count, DISTINCT_TILES)):
        weights = rng.integers(-16, 16, WEIGHTS).astype(np.int8)
        weights[rng.random(WEIGHTS) < 0.5] = 0
        words = np.zeros(1 + WEIGHTS // 8, np.uint64)
        streams.append(words[: encode_bitmap_tile(weights, index, words)].copy())
    return [streams[k % len(streams)] for k in range(count)]


class Builder:
    """Commands and semaphores in the form a compiler gives them."""

    def __init__(self) -> None:
        self.commands: list[npt.NDArray[np.void]] = []
        self.kinds: list[int] = []
        self.initial: list[int] = []

    def semaphore(self, kind: int, initial: int = 0) -> int:
        """Add a semaphore; return its number."""
        self.kinds.append(kind)
        self.initial.append(initial)
        return len(self.kinds) - 1

    def add(
        self, opcode: int, arg: list[int], unit: int, waits: list[int], signals: list[int]
    ) -> None:
        """Add a command that takes and gives each semaphore once."""
        record = np.zeros((), isa.COMMAND)
        record["engine"], record["opcode"] = isa.OPCODE_ENGINE[opcode], opcode
        record["unit"] = unit
        record["n_wait"], record["n_signal"] = len(waits), len(signals)
        record["wait"][: len(waits)], record["wait_count"][: len(waits)] = waits, 1
        record["signal"][: len(signals)], record["signal_count"][: len(signals)] = signals, 1
        record["arg"][: len(arg)] = arg
        self.commands.append(record)


def build_machine(tiles: int, skip: str = "weight", **more: bool) -> FastMachine:
    """Return a machine with the synthetic program on chip az1."""
    chip = load_chip("az1", [f"mac_array.skip={skip}"])
    params = machine_params(chip)
    build = Builder()
    slots = params.tile_slots
    ready = [build.semaphore(isa.DATA) for _ in range(slots)]
    space = [build.semaphore(isa.SPACE, 1) for _ in range(slots)]
    sums, sums_space = build.semaphore(isa.DATA), build.semaphore(isa.SPACE, 2)
    streams = encode_tiles(tiles)
    address = 0
    for k, stream in enumerate(streams):
        unit, slot = k % params.units, k % slots
        group = k // TILES_PER_RESCALE % 2
        first, last = k % TILES_PER_RESCALE == 0, (k + 1) % TILES_PER_RESCALE == 0
        build.add(isa.FETCH, [address, 8 * len(stream), 0], unit, [], [])
        tile = [slot, WEIGHTS // 256, k % DISTINCT_TILES]
        build.add(isa.TILE, tile, unit, [space[slot]], [ready[slot]])
        product = [slot, ROWS, COLUMNS, 0, 1, COLUMNS, group, 1, int(first), 5, 0, int(last)]
        waits = [ready[slot], *([sums_space] if first else [])]
        build.add(isa.PRODUCT, product, 0, waits, [space[slot], *([sums] if last else [])])
        if last:
            rescale = [ROWS, group, 1, 1, 4096, 4224, ROWS, isa.INT8, 0, 0]
            build.add(isa.RESCALE, rescale, 0, [sums], [sums_space])
        address += 8 * len(stream)
    abuf = np.zeros(chip.abuf.capacity_kb * 1024, np.uint8)
    abuf[:COLUMNS] = np.random.default_rng(2).integers(0, 256, COLUMNS) * (
        np.arange(COLUMNS) % 3 > 0
    )
    abuf[4096 : 4096 + 4 * ROWS].view(np.int32)[:] = 1 << 20
    abuf[4096 + 8 * ROWS : 4096 + 9 * ROWS] = 30
    return FastMachine(
        params,
        np.array(build.commands),
        build.kinds,
        build.initial,
        dram=np.concatenate(streams).view(np.uint8),
        store=np.zeros(64, np.uint8),
        abuf=abuf,
        **more,
    )


def milliseconds(call: Callable[[], object], repeat: int = 5) -> float:
    """Return the shortest of some runs of `call`."""
    best = float("inf")
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return 1000 * best


def report(name: str, machine: FastMachine) -> None:
    """Measure one machine and print a line."""
    first = milliseconds(machine.run_step, 1)
    machine.remember = False
    before = machine.visited_cycles
    both = milliseconds(machine.run_step)
    visited = (machine.visited_cycles - before) // 5
    result = machine.run_step()
    requests = int(result.counters[isa.FIXED_COUNTERS.index("dma_w_requests")])
    machine.remember = True
    machine.run_step()
    repeated = milliseconds(machine.run_step)
    print(
        f"{name}: first step {first:.0f} ms, step {both:.2f} ms,"
        f" remembered times {repeated:.2f} ms; "
        f"{result.cycles} cycles, {visited} visited, {requests} bursts, "
        f"{len(result.free)} commands"
    )


def main() -> None:
    """Measure with and without results, and on a chip whose times depend on activations."""
    tiles = int(sys.argv[1]) if len(sys.argv) > 1 else 2400
    start = time.perf_counter()
    build_machine(16).run_step()
    print(f"compiling or loading the kernels: {time.perf_counter() - start:.1f} s")
    report("times only", build_machine(tiles, timing_only=True))
    report("times and results", build_machine(tiles))
    report("skip: both", build_machine(tiles, "both"))


if __name__ == "__main__":
    main()
