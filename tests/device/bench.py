"""A small chip with round numbers, and a bench that runs hand-written programs on it.

Chip: memory and weight store move 8 bytes per cycle, with 10 and 2 cycles of latency; bursts of 16
bytes; a 64-bit port; VECTOR takes 4 elements per beat, one beat per cycle, and 5 cycles of latency.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import numpy as np

from azsim_kernels import isa
from azsim_kernels.clocked import ClockedMachine
from azsim_kernels.reference.bitmap import encode_bitmap_tile

CHIP = isa.MachineParams(
    units=1,
    queue_depth=8,
    semaphore_max=15,
    memory_bytes=8,
    memory_per_cycles=1,
    memory_latency_cycles=10,
    access_bytes=8,
    dma_w_burst_bytes=16,
    dma_w_outstanding=4,
    dma_a_burst_bytes=16,
    dma_a_outstanding=4,
    store_bytes_per_cycle=8,
    store_latency_cycles=2,
    port_bits=64,
    fifo_words=8,
    decoder_pipeline_cycles=3,
    tile_slots=4,
    slot_weights=512,
    lanes=2,
    macs_per_lane=1,
    item_columns=4,
    item_rows_per_lane=1,
    lane_queue=2,
    queue_turnaround_cycles=1,
    broadcast_interval_cycles=1,
    min_item_cycles=1,
    fill_cycles=2,
    skip=isa.SKIP_WEIGHT,
    accumulators_per_lane=16,
    products_per_mac=(1, 1, 1, 1, 1, 1, 1, 1),
    vector_lanes=4,
    vector_latency_cycles=(5,) * len(isa.VECTOR_CLASSES),
    vector_interval_cycles=(1,) * len(isa.VECTOR_CLASSES),
    abuf_banks=4,
    abuf_bank_bytes=8,
    abuf_ports_per_bank=1,
    decoder_profile=isa.DECODER_BITMAP,
)

FROM_DRAM, FROM_STORE = 0, 1
Counts = Iterable[tuple[int, int]]


def copy_operands(n: int = 4, src: int = 0, dst: int = 8) -> list[int]:
    """COPY of n bytes in a row; with the defaults one beat without a conflict: 6 cycles."""
    return [src, dst, 1, 1, 1, 1, n, 0, 0, 0, 1, 0, 0, 0, 1]


class Bench:
    """A program under construction and the machine that runs it.

    Memories: 4096 bytes of DRAM and of ABUF, 1024 of weight store, all zero.
    """

    def __init__(self, **fields: object) -> None:
        self.params = CHIP._replace(**fields)  # type: ignore[arg-type]
        self.records: list[np.ndarray] = []
        self.kinds: list[int] = []
        self.initial: list[int] = []
        self.dram = np.zeros(4096, np.uint8)
        self.store = np.zeros(1024, np.uint8)
        self.abuf = np.zeros(4096, np.uint8)

    def semaphore(self, kind: int = isa.DATA, initial: int = 0) -> int:
        """Add a semaphore; return its number."""
        self.kinds.append(kind)
        self.initial.append(initial)
        return len(self.kinds) - 1

    def add(
        self, opcode: int, arg: list[int], waits: Counts = (), signals: Counts = (), unit: int = 0
    ) -> int:
        """Add a command; return its number."""
        record = np.zeros((), isa.COMMAND)
        record["engine"], record["opcode"] = isa.OPCODE_ENGINE[opcode], opcode
        record["unit"] = unit
        for name, counts in (("wait", list(waits)), ("signal", list(signals))):
            record[f"n_{name}"] = len(counts)
            for k, (semaphore, count) in enumerate(counts):
                record[name][k], record[f"{name}_count"][k] = semaphore, count
        record["arg"][: len(arg)] = arg
        self.records.append(record)
        return len(self.records) - 1

    def copy(self, waits: Counts = (), signals: Counts = ()) -> int:
        """Add a VECTOR command of 6 cycles."""
        return self.add(isa.COPY, copy_operands(), waits, signals)

    def machine(self) -> ClockedMachine:
        """Return the machine with the program as it is now."""
        commands = np.array(self.records, isa.COMMAND)
        memories = {"dram": self.dram, "store": self.store, "abuf": self.abuf}
        return ClockedMachine(self.params, commands, self.kinds, self.initial, **memories)

    def run(self) -> isa.StepResult:
        """Run one step."""
        return self.machine().run_step(max_cycles=20_000)

    def trace(self) -> tuple[isa.StepResult, dict[str, list[int]]]:
        """Run one step; also return, per counter, the cycles in which it rose (once per count)."""
        step = self.machine().new_step()
        cycles: dict[str, list[int]] = defaultdict(list)
        for cycle in range(20_000):
            before = dict(step.counters.by_name)
            result = step.tick(cycle)
            for name, value in step.counters.by_name.items():
                cycles[name] += [cycle] * (value - before[name])
            if result is not None:
                return result, cycles
        raise AssertionError("the run must end")


def counter(result: isa.StepResult, name: str, units: int = 1) -> int:
    """Return a counter by its name."""
    return int(result.counters[isa.counter_names(units).index(name)])


def stalls(result: isa.StepResult, engine: str, units: int = 1) -> dict[str, int]:
    """Return the classes of an engine that are not 0."""
    row = result.stalls[isa.engine_names(units).index(engine)]
    return {name: int(n) for name, n in zip(isa.STALL_CLASS_NAMES, row, strict=True) if n}


def tile_bytes(weights: np.ndarray, tile_index: int = 0) -> np.ndarray:
    """Return the stream of a tile (profile bitmap) as bytes."""
    words = np.zeros(1 + weights.size // 8, np.uint64)
    n_words = encode_bitmap_tile(weights.astype(np.int8), tile_index, words)
    return words[:n_words].view(np.uint8)
