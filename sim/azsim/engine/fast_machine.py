"""The fast engine around its kernels: memories, state between steps, and one call per step.

Same constructor and `run_step` as `azsim_kernels.clocked.ClockedMachine`, so that tests can swap
them.

Times and results are computed apart. As a rule a step's times come first and its results after
them, in the order in which the commands were free (`Mode.LATER`). Where a time depends on a
result, the kernel asks for the results so far. Where it could depend on each of them (a GATHER, a
tile that the program writes itself), it asks command by command (`Mode.AT_ONCE`).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

import numpy as np
import numpy.typing as npt

from azsim.engine.arrays import (
    check_params,
    new_scratch,
    new_storage,
    new_tables,
    reset_core,
)
from azsim.engine.memory import MemoryState
from azsim.engine.plan import TileLayout, build_plan, check_commands, lay_out_tiles
from azsim.engine.tiles import TileDecoder
from azsim.errors import SimulationError
from azsim_kernels import isa
from azsim_kernels.lpddr_params import HostPattern
from azsim_kernels.machine import run_step
from azsim_kernels.machine_effects import apply_effects
from azsim_kernels.machine_more import apply_more
from azsim_kernels.machine_tiles import own_slot
from azsim_kernels.machine_types import (
    CORE,
    COUNT_MEMORY,
    DISPATCH,
    FREE,
    ORDER,
    START,
    WANTS,
    WATCHDOG,
    pack_params,
)

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Integers = Sequence[int] | npt.NDArray[np.integer]

_TOGETHER = isa.PRODUCT_ARGS.index("activation_columns")
KEEP_BYTES = 2 << 30  # most decoded weights kept between steps (bytes); others are decoded anew
DEFAULT_MAX_CYCLES = 1 << 40


class Mode(Enum):
    """When results are computed."""

    LATER = "after the times"
    AT_ONCE = "when each command is free"
    NEVER = "not at all, except the indices of GATHER"


class FastMachine:
    """A chip with its program and its memories; each `run_step` runs the program once from reset.

    commands            (n,) of dtype `isa.COMMAND`, in program order
    semaphore_kinds     (s,) isa.DATA, isa.SPACE or isa.ORDER
    semaphore_initial   (s,) counts at the start of each step
    dram, store, abuf   uint8 (bytes,), used in place; they keep what the steps wrote. From
                        outside, DRAM is to be changed by `write_dram` only: decoded tiles are kept
    timing_only         compute no results, only what times depend on. Ignored on chips that skip
                        zero activations, whose times depend on results
    keep_bytes          most bytes of decoded weights to keep
    host_traffic        None: each step begins with an idle LPDDR memory. Else its time goes on from
                        step to step, with these patterns on the host port
    memory_trace        LPDDR: room for so many commands in the memory's trace

    Raises:
        SimulationError: a command the machine does not have, memories of a wrong type or size, or
            host traffic without an LPDDR memory.
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
        host_traffic: Sequence[HostPattern] | None = None,
        memory_trace: int = 0,
    ) -> None:
        kinds = np.ascontiguousarray(semaphore_kinds, np.int64)
        initial = np.ascontiguousarray(semaphore_initial, np.int64)
        check_commands(commands, len(kinds), params.units)
        check_params(params)
        self.params = params
        self._packed = pack_params(params, (dram.size, store.size, abuf.size))
        self._plan = build_plan(params, commands, abuf.size)
        layout = lay_out_tiles(params, self._plan, (dram, store), keep_bytes)
        self._core = np.zeros(1, CORE)
        self._memory = MemoryState(params, dram.size, host_traffic, memory_trace)
        self._tables = new_tables(params, layout, abuf.size)
        dense = params.slot_weights if (self._plan.commands["opcode"] == isa.PACK).any() else 0
        self._storage = new_storage(params, layout, (dram, store, abuf), dense)
        self._packed["dense_pool"] = self._storage.pool.size - dense
        self._scratch = new_scratch(params)
        self._tile_decoder = TileDecoder(self._storage, self._tables.tiles, params)
        self._semaphores = np.stack([initial, kinds])
        self.accumulators = np.zeros((params.lanes, params.accumulators_per_lane), np.int32)
        self._results_slots = self._tables.slots.copy()  # as the results so far see the slots
        self._gathers = bool((self._plan.commands["opcode"] == isa.GATHER).any())
        self._mode = self._choose_mode(layout, timing_only)
        self.remember = True  # take the times of a step that begins like the last one from there
        self._last: _Remembered | None = None

    def run_step(self, *, max_cycles: int = DEFAULT_MAX_CYCLES) -> isa.StepResult:
        """Run the program once; RuntimeError if it has not ended after `max_cycles`."""
        self._prepare_kept_tiles()
        self._memory.start_step()
        start_state = self._start_state()
        last = self._last if self.remember else None
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
        tiles = self._tables.tiles
        hit = (tiles["source"] == 0) & (tiles["valid"] == 1)
        hit &= (tiles["address"] < address + size) & (address < tiles["address"] + tiles["bytes"])
        if not hit.any():
            return
        records = np.flatnonzero(hit & (tiles["opcode"] == isa.TABLE))
        hit |= np.isin(tiles["tables"], records).any(axis=1)
        tiles["valid"][hit] = 0
        gone = np.unique(tiles["pool"][hit & (tiles["size"] > 0)])
        for number, slot in enumerate(self._results_slots):
            if slot["size"] > 0 and slot["pool"] in gone:
                own_slot(self._results_slots, number, self.params.slot_weights, self._storage)
        for slot in self._tables.slots:
            if slot["pool"] in gone:
                slot["size"] = 0

    @property
    def wbuf(self) -> npt.NDArray[np.int8]:
        """A copy of the weight slots, int8 (tile_slots, slot_weights)."""
        shape = (self.params.tile_slots, self.params.slot_weights)
        slots = self._storage.pool[: shape[0] * shape[1]].reshape(shape).copy()
        for number, slot in enumerate(self._results_slots):
            place, size = int(slot["pool"]), int(slot["size"])
            slots[number, :size] = self._storage.pool[place : place + size]
        return slots

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
        return int(self._core["visited"][0])

    @property
    def command_products(self) -> Ints:
        """Products done by each command in the last step, int64 (commands,); 0 for others than
        PRODUCT."""
        commands = self._plan.commands
        products = commands["opcode"] == isa.PRODUCT
        done = commands["mac_done"] * commands["arg"][:, _TOGETHER]
        return np.where(products, done, 0)

    @property
    def command_beats(self) -> Ints:
        """Beats of each VECTOR command, int64 (commands,); 0 for other commands."""
        commands = self._plan.commands
        return np.where(commands["opcode"] > isa.PRODUCT, commands["beats"], 0)

    def _choose_mode(self, layout: TileLayout, timing_only: bool) -> Mode:
        looks_at_results = self.params.skip in (isa.SKIP_ACTIVATION, isa.SKIP_BOTH)
        if timing_only and not looks_at_results:
            return Mode.NEVER
        some_not_kept = bool((layout.tiles["pool"] < 0).any())
        return Mode.AT_ONCE if self._gathers or some_not_kept else Mode.LATER

    def _is_repeatable(self) -> bool:
        """Say whether times depend on nothing but tiles that are kept, and slots."""
        if (
            self._gathers
            or self._memory.goes_on
            or self.params.skip in (isa.SKIP_ACTIVATION, isa.SKIP_BOTH)
        ):
            return False
        return self._mode is not Mode.AT_ONCE and bool((self._tables.tiles["pool"] >= 0).all())

    def _start_state(self) -> bytes:
        """Return what times of a step depend on and a step or the owner may change."""
        slots, tiles = self._tables.slots, self._tables.tiles
        parts = (slots["version"], slots["covered"], tiles["version"])
        return b"".join(part.tobytes() for part in parts)

    def _run(self, start_state: bytes, max_cycles: int) -> isa.StepResult:
        slots = self._tables.slots.copy()
        times = self._begin()
        status = self._run_until_end(times, max_cycles)
        if self._mode is Mode.LATER and not self._catch_up(times):
            status = self._run_until_failure(slots, times, max_cycles)
        if self._mode is not Mode.LATER:
            self._results_slots[:] = self._tables.slots
        result = self._result(status, times)
        self._remember(start_state, result, times)
        return result

    def _begin(self) -> Ints:
        """Reset all blocks and say to the kernel what it shall ask for."""
        reset_core(self._core, self.params, self._plan, self._semaphores)
        self._memory.rewind()
        core = self._core
        core["ask_moves"] = self._mode is Mode.AT_ONCE or (
            self._mode is Mode.NEVER and self._gathers
        )
        core["ask_results"] = self._mode is Mode.AT_ONCE
        core["fills"] = self._mode is not Mode.LATER
        self._done = 0  # commands of the order whose results are there
        return np.full((4, len(self._plan.commands)), -1, np.int64)

    def _run_until_end(self, times: Ints, max_cycles: int) -> int:
        """Run the kernel and do what it asks for, until the step has a status."""
        while True:
            status = self._call_kernel(times, max_cycles)
            if status != WANTS:
                return status
            core = self._core[0]
            if core["asked"] >= 0:
                self._answer(int(core["asked"]))
            if core["product"] >= 0:
                if not self._catch_up(times):
                    return isa.BAD_OPERAND
                if core["uncovered"]:
                    self._work_at_once()
            if core["tiles"] > 0:
                self._prepare_wanted_tiles()

    def _call_kernel(self, times: Ints, max_cycles: int) -> int:
        status = self._go_on(times, max_cycles)
        if status == WATCHDOG:
            raise RuntimeError(f"the run must end within {max_cycles} cycles, it has not")
        return status

    def _go_on(self, times: Ints, max_cycles: int) -> int:
        """Let the kernel go on; WATCHDOG once it has passed `max_cycles`."""
        return int(
            run_step(
                self._packed[0],
                self._core[0],
                self._memory.lp,
                self._plan,
                self._tables,
                self._storage,
                self._scratch,
                times,
                max_cycles,
            )
        )

    def _answer(self, command: int) -> None:
        """Compute the result of a command that is free now."""
        core = self._core[0]
        order = np.array([command], np.int64)
        if self._apply(order, self._tables.slots) == 0:
            core["failed"] = command
        core["answered"] = command
        core["asked"] = -1

    def _catch_up(self, times: Ints) -> bool:
        """Compute the results of all commands that were free; False if one failed: it is the next
        in the order then.
        """
        order = times[ORDER][self._done : int(self._core["effects"][0])]
        count = self._apply(order, self._results_slots)
        self._done += count
        self._core["abuf_writes"] = 0
        return count == len(order)

    def _apply(self, order: Ints, slots: npt.NDArray[np.void]) -> int:
        """Let commands take effect; return how many did before one that failed."""
        done = 0
        while True:
            done += int(
                apply_effects(
                    self._plan,
                    order[done:],
                    self._tables.tiles,
                    slots,
                    self.params.slot_weights,
                    self._tables.rows,
                    self._storage,
                    self.accumulators,
                )
            )
            if done == len(order) or not self._apply_one(int(order[done]), slots):
                return done
            done += 1

    def _apply_one(self, command: int, slots: npt.NDArray[np.void]) -> bool:
        """Let a command of an opcode after SOFTMAX take effect; False if it fails, or if it is
        another one, which has failed.
        """
        opcode = int(self._plan.commands["opcode"][command])
        if opcode < isa.LUT8:
            return False
        arg, weights = self._plan.args[command], self.params.slot_weights
        status = apply_more(opcode, arg, slots, weights, self._storage, self.accumulators)
        return status == isa.DONE

    def compile_results(self) -> None:
        """Call the kernels of the results with nothing to do."""
        self._apply(np.zeros(0, np.int64), self._results_slots)

    def _work_at_once(self) -> None:
        """Go on with results at once, in this step and all others."""
        self._mode = Mode.AT_ONCE
        self._tables.slots[:] = self._results_slots
        for name in ("ask_moves", "ask_results", "fills"):
            self._core[name] = 1

    def _run_until_failure(self, slots: npt.NDArray[np.void], times: Ints, max_cycles: int) -> int:
        """Run the times again up to the command whose result could not be computed."""
        failed = int(times[ORDER][self._done])
        self._tables.slots[:] = slots
        again = self._begin()
        self._core["failed"] = failed
        self._core["known"] = 1
        status = self._call_kernel(again, max_cycles)
        times[:] = again
        return status

    def _prepare_kept_tiles(self) -> None:
        tiles = self._tables.tiles
        for number in np.flatnonzero((tiles["pool"] >= 0) & (tiles["valid"] == 0)):
            self._tile_decoder.prepare(tiles[number], -1)

    def _prepare_wanted_tiles(self) -> None:
        for unit in self._core["units"][0]:
            if unit["wanting"] > 0:
                tile = self._tables.tiles[int(unit["wanting"]) - 1]
                self._tile_decoder.prepare(tile, int(unit["staging"]))

    def _repeat(self, last: _Remembered) -> isa.StepResult:
        """Take the times of the last step, which began alike; only its results are computed."""
        if self._mode is not Mode.LATER:
            return last.result
        self._done = self._apply(last.order, self._results_slots)
        if self._done == len(last.order):
            return last.result
        # Parameters of a RESCALE lie in ABUF, so that a step may fail where the one before did not.
        times = np.full((4, len(self._plan.commands)), -1, np.int64)
        times[ORDER][:] = last.order
        status = self._run_until_failure(self._tables.slots.copy(), times, DEFAULT_MAX_CYCLES)
        self._last = None
        return self._result(status, times)

    def _remember(self, start_state: bytes, result: isa.StepResult, times: Ints) -> None:
        self._last = None
        if result.status != isa.DONE or not (self.remember and self._is_repeatable()):
            return
        for array in (result.dispatch, result.start, result.free, result.stalls, result.counters):
            array.flags.writeable = False
        self._last = _Remembered(start_state, times[ORDER], result)

    def _result(self, status: int, times: Ints) -> isa.StepResult:
        core = self._core[0]
        counted = self._memory.end_step(int(core["now"]), status != isa.DONE)
        core["counters"][COUNT_MEMORY : COUNT_MEMORY + len(counted)] = counted
        failed = int(core["error_command"])
        if status == isa.DEADLOCK:
            failed = int(np.argmax(times[FREE] < 0))
        return isa.StepResult(
            status=status,
            cycles=int(core["now"]),
            error_command=failed,
            error_code=int(core["error_code"]),
            dispatch=times[DISPATCH],
            start=times[START],
            free=times[FREE],
            stalls=core["stalls"][: isa.engine_count(self.params.units)].copy(),
            counters=core["counters"][: len(isa.counter_names(self.params.units))].copy(),
        )


class _Remembered:
    """A step whose times can be taken again."""

    def __init__(self, start_state: bytes, order: Ints, result: isa.StepResult) -> None:
        self.start_state = start_state
        self.order = order
        self.result = result
        self.cycles = result.cycles
