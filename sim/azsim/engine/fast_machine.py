"""The fast engine around its kernels: memories, state between steps, and one call per step.

Same constructor and `run_step` as `azsim_kernels.clocked.ClockedMachine`, so that tests can swap
them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from azsim.engine.plan import TileLayout, build_plan, check_commands, lay_out_tiles
from azsim.errors import SimulationError
from azsim_kernels import isa
from azsim_kernels.machine import WATCHDOG, repeat_effects, run_step
from azsim_kernels.machine_effects import FULL, TIMING
from azsim_kernels.machine_plan import plan_vectors
from azsim_kernels.machine_tiles import own_slot
from azsim_kernels.machine_types import (
    BUS,
    CHANNEL,
    CLOCK,
    DMA_A,
    ENGINE,
    FAR,
    SLOT,
    UNIT,
    Blocks,
    Plan,
    Scratch,
    Storage,
    Trace,
    pack_params,
)
from azsim_kernels.table_slots import empty_slots
from azsim_kernels.tile_format import MAX_BEATS

Bytes = npt.NDArray[np.uint8]
Integers = Sequence[int] | npt.NDArray[np.integer]

KEEP_BYTES = 2 << 30  # most decoded weights kept between steps (bytes); others are decoded anew
DEFAULT_MAX_CYCLES = 1 << 40


class FastMachine:
    """A chip with its program and its memories; each `run_step` runs the program once from reset.

    commands            (n,) of dtype `isa.COMMAND`, in program order
    semaphore_kinds     (s,) isa.DATA, isa.SPACE or isa.ORDER
    semaphore_initial   (s,) counts at the start of each step
    dram, store, abuf   uint8 (bytes,), used in place; they keep what the steps wrote. From
                        outside, DRAM is to be changed by `write_dram` only: decoded tiles are kept
    timing_only         compute no results, only what times depend on. Ignored on chips that skip
                        zero activations, whose times depend on results
    """

    def __init__(
        self,
        params: isa.MachineParams,
        commands: npt.NDArray[np.void],
        semaphore_kinds: Integers,
        semaphore_initial: Integers,
        *,
        dram: Bytes,
        store: Bytes,
        abuf: Bytes,
        timing_only: bool = False,
        keep_bytes: int = KEEP_BYTES,
    ) -> None:
        kinds = np.ascontiguousarray(semaphore_kinds, np.int64)
        initial = np.ascontiguousarray(semaphore_initial, np.int64)
        check_commands(commands, len(kinds), params.units)
        _check_params(params)
        self.params = params
        self._packed = pack_params(params)
        self._plan = build_plan(params, commands, kinds, initial)
        layout = lay_out_tiles(params, self._plan, (dram.size, store.size), keep_bytes)
        plan_vectors(self._packed[0], self._plan, abuf.size)
        self._blocks = _new_blocks(params, self._plan, layout, abuf.size)
        self._storage = _new_storage(params, layout, dram, store, abuf)
        self._scratch = _new_scratch(params, layout)
        skips_activations = params.skip in (isa.SKIP_ACTIVATION, isa.SKIP_BOTH)
        self._wanted = TIMING if timing_only and not skips_activations else FULL
        self._repeatable = not skips_activations and self._times_are_fixed(layout)
        self._last: _Remembered | None = None

    def run_step(self, *, max_cycles: int = DEFAULT_MAX_CYCLES) -> isa.StepResult:
        """Run the program once; RuntimeError if it has not ended after `max_cycles`."""
        start_state = self._start_state()
        last = self._last
        if last is not None and last.start_state == start_state and last.cycles <= max_cycles:
            return self._repeat(last)
        return self._run(start_state, max_cycles)

    def write_dram(self, address: int, data: Bytes) -> None:
        """Write `data` (uint8) to DRAM at `address`; tiles decoded from there are forgotten.

        Raises:
            SimulationError: the range is not inside DRAM.
        """
        end = address + len(data)
        if address < 0 or end > self._storage.dram.size:
            raise SimulationError(
                f"DRAM write of bytes {address}..{end - 1}: must be inside "
                f"0..{self._storage.dram.size - 1}"
            )
        self._storage.dram[address:end] = data
        self.forget_dram(address, len(data))

    def forget_dram(self, address: int, size: int) -> None:
        """Forget tiles decoded from DRAM bytes [address, address + size), which have changed."""
        tiles = self._blocks.tiles
        hit = (tiles["source"] == 0) & (tiles["valid"] == 1)
        hit &= (tiles["address"] < address + size) & (address < tiles["address"] + tiles["bytes"])
        if not hit.any():
            return
        tiles["valid"][hit] = 0
        gone = np.unique(tiles["pool"][hit])
        for number, slot in enumerate(self._blocks.slots):
            if slot["size"] > 0 and slot["pool"] in gone:
                self._own_slot(number)
        self._last = None

    @property
    def wbuf(self) -> npt.NDArray[np.int8]:
        """A copy of the weight slots, int8 (tile_slots, slot_weights)."""
        shape = (self.params.tile_slots, self.params.slot_weights)
        slots = self._storage.pool[: shape[0] * shape[1]].reshape(shape).copy()
        for number, slot in enumerate(self._blocks.slots):
            place, size = int(slot["pool"]), int(slot["size"])
            slots[number, :size] = self._storage.pool[place : place + size]
        return slots

    @property
    def accumulators(self) -> npt.NDArray[np.int32]:
        """The accumulators, int32 (lanes, accumulators_per_lane)."""
        return self._storage.accumulators

    @property
    def dram(self) -> Bytes:
        """DRAM, read only: write with `write_dram`."""
        view = self._storage.dram.view()
        view.flags.writeable = False
        return view

    @property
    def abuf(self) -> Bytes:
        """ABUF, uint8 (bytes,)."""
        return self._storage.abuf

    @property
    def visited_cycles(self) -> int:
        """Cycles the engine has looked at, over all steps."""
        return int(self._blocks.clock["visited"][0])

    def _run(self, start_state: bytes, max_cycles: int) -> isa.StepResult:
        trace = _new_trace(self._plan, self.params.units)
        _reset_blocks(self._packed, self._plan, self._blocks)
        status = run_step(
            self._packed[0],
            self._plan,
            self._blocks,
            self._storage,
            self._scratch,
            trace,
            self._wanted,
            max_cycles,
        )
        if status == WATCHDOG:
            raise RuntimeError(f"the run must end within {max_cycles} cycles, it has not")
        result = self._result(status, trace)
        self._remember(start_state, result)
        return result

    def _repeat(self, last: _Remembered) -> isa.StepResult:
        """Take the times of the last step, which began alike; only its effects run."""
        status = repeat_effects(
            self._packed[0], self._plan, self._blocks, self._storage, last.order, self._wanted
        )
        if status != isa.DONE:
            raise SimulationError("a repeated step must end like the one before, it has not")
        return last.result

    def _times_are_fixed(self, layout: TileLayout) -> bool:
        """Say whether times depend on nothing but tiles that are kept, and slots."""
        gathers = (self._plan.commands["opcode"] == isa.GATHER).any()
        return not gathers and bool((layout.tiles["pool"] >= 0).all())

    def _start_state(self) -> bytes:
        """Return what times of a step depend on and a step may change."""
        slots, tiles = self._blocks.slots, self._blocks.tiles
        return slots["version"].tobytes() + slots["covered"].tobytes() + tiles["version"].tobytes()

    def _remember(self, start_state: bytes, result: isa.StepResult) -> None:
        self._last = None
        uncovered = self._blocks.clock["uncovered"][0]
        if result.status != isa.DONE or not self._repeatable or uncovered:
            return
        for array in (result.dispatch, result.start, result.free, result.stalls, result.counters):
            array.flags.writeable = False
        order = np.lexsort((self._plan.commands["engine"], result.free)).astype(np.int64)
        has_effect = self._plan.commands["opcode"][order] != isa.FETCH
        self._last = _Remembered(start_state, order[has_effect], result)

    def _result(self, status: int, trace: Trace) -> isa.StepResult:
        clock = self._blocks.clock[0]
        failed = int(clock["error_command"])
        if status == isa.DEADLOCK:
            failed = int(np.argmax(trace.free < 0))
        return isa.StepResult(
            status=status,
            cycles=int(clock["now"]),
            error_command=failed,
            error_code=int(clock["error_code"]),
            dispatch=trace.dispatch,
            start=trace.start,
            free=trace.free,
            stalls=trace.stalls,
            counters=trace.counters,
        )

    def _own_slot(self, number: int) -> None:
        own_slot(self._blocks.slots, number, self.params.slot_weights, self._storage)


class _Remembered:
    """A step whose times can be taken again."""

    def __init__(
        self, start_state: bytes, order: npt.NDArray[np.int64], result: isa.StepResult
    ) -> None:
        self.start_state = start_state
        self.order = order
        self.result = result
        self.cycles = result.cycles


def _check_params(params: isa.MachineParams) -> None:
    for name in ("access_bytes", "port_bits"):
        value = getattr(params, name)
        if value < 1 or value & (value - 1):
            raise SimulationError(f"chip: {name} must be a power of two, not {value}")


def _power_above(value: int) -> int:
    """Return the smallest power of two that is at least `value`."""
    return 1 << max(0, value - 1).bit_length()


def _new_blocks(
    params: isa.MachineParams, plan: Plan, layout: TileLayout, abuf_bytes: int
) -> Blocks:
    units = params.units
    in_flight = params.dma_w_outstanding + params.dma_a_outstanding
    window = _power_above(params.fifo_words + 32)
    slots = np.zeros(params.tile_slots, SLOT)
    slots["covered"] = params.slot_weights
    return Blocks(
        clock=np.zeros(1, CLOCK),
        engines=np.zeros(isa.engine_count(units), ENGINE),
        channels=np.zeros(units, CHANNEL),
        units=np.zeros(units, UNIT),
        slots=slots,
        tiles=layout.tiles,
        dma_a=np.zeros(1, DMA_A),
        buses=np.zeros(2, BUS),
        semaphores=np.zeros(len(plan.initial), np.int64),
        completions=np.zeros((2, _power_above(in_flight), 2), np.int64),
        bursts=np.zeros((units, _power_above(params.dma_w_outstanding), 2), np.int64),
        accepts=np.zeros((units, window), np.int64),
        fires=np.zeros((units, window), np.int64),
        runs=np.zeros((units, window), np.int64),
        rows=np.zeros(max(1, abuf_bytes // 4), np.int64),
    )


def _new_storage(
    params: isa.MachineParams, layout: TileLayout, dram: Bytes, store: Bytes, abuf: Bytes
) -> Storage:
    for name, memory in (("dram", dram), ("store", store), ("abuf", abuf)):
        if memory.dtype != np.uint8 or memory.ndim != 1 or not memory.flags.c_contiguous:
            raise SimulationError(f"{name} must be a contiguous vector of uint8")
    buffers = (params.tile_slots + params.units) * params.slot_weights
    weights = buffers + layout.kept_weights
    looks = params.skip in (isa.SKIP_WEIGHT, isa.SKIP_BOTH)
    try:
        pool = np.empty(weights, np.int8)
        pool[:buffers] = 0
        mask = np.empty(weights // 64 if looks else 0, np.uint64)
        mask[: buffers // 64] = 0
        captured = np.empty(layout.captured_bytes, np.uint8)
        run = np.empty(layout.schedule_words, np.int16)
        need = np.empty(layout.schedule_words, np.int32)
    except MemoryError as error:
        raise SimulationError(
            f"the program's tiles must fit the host's memory, and need {weights} bytes for weights"
        ) from error
    accumulators = np.zeros((params.lanes, params.accumulators_per_lane), np.int32)
    return Storage(dram, store, abuf, accumulators, pool, mask, captured, run, need)


def _new_scratch(params: isa.MachineParams, layout: TileLayout) -> Scratch:
    return Scratch(
        words=np.zeros(layout.longest_bytes // 8, np.uint64),
        beats=np.zeros(MAX_BEATS, np.uint16),
        activations=np.zeros(params.slot_weights // 64 + 1, np.uint64),
        lanes=np.zeros((2, params.lanes), np.int64),
        queue=np.zeros(params.lane_queue, np.int64),
        tables=empty_slots(),
    )


def _new_trace(plan: Plan, units: int) -> Trace:
    n = len(plan.commands)
    return Trace(
        dispatch=np.full(n, -1, np.int64),
        start=np.full(n, -1, np.int64),
        free=np.full(n, -1, np.int64),
        stalls=np.zeros((isa.engine_count(units), len(isa.STALL_CLASS_NAMES)), np.int64),
        counters=np.zeros(len(isa.counter_names(units)), np.int64),
    )


def _reset_blocks(packed: npt.NDArray[np.void], plan: Plan, blocks: Blocks) -> None:
    """Bring all but memories, slots, tiles and version numbers to the state before a step."""
    clock = blocks.clock
    version, visited = int(clock["version"][0]), int(clock["visited"][0])
    for records in (
        clock,
        blocks.engines,
        blocks.channels,
        blocks.units,
        blocks.dma_a,
        blocks.buses,
    ):
        records[:] = np.zeros(1, records.dtype)
    clock["version"], clock["visited"] = version, visited
    clock["next_free"] = FAR
    clock["last_event"] = clock["error_command"] = -1
    engines = blocks.engines
    engines["count"] = np.bincount(plan.commands["engine"], minlength=len(engines))
    engines["first"] = np.cumsum(engines["count"]) - engines["count"]
    engines["running"] = -1
    engines["free_at"] = FAR
    engines["stall"] = isa.IDLE
    blocks.channels["base"] = isa.IDLE
    blocks.units["running"] = blocks.units["last_accept"] = blocks.units["last_fire"] = -1
    first = len(blocks.slots) * int(packed["slot_weights"][0])
    blocks.units["staging"] = first + np.arange(len(blocks.units)) * packed["slot_weights"][0]
    memory, store = blocks.buses[0:1], blocks.buses[1:2]
    memory["bytes"], memory["per_cycles"] = packed["memory_bytes"], packed["memory_per_cycles"]
    memory["latency"] = packed["memory_latency_cycles"]
    store["bytes"], store["per_cycles"] = packed["store_bytes_per_cycle"], 1
    store["latency"] = packed["store_latency_cycles"]
    blocks.semaphores[:] = plan.initial
