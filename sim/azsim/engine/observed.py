"""The fast engine, stopped now and then: what its engines and decoders did up to given cycles.

The kernel can be left in any cycle and goes on as if nothing had been. So one run of a step gives,
for each of some cycles ("cuts"), the attribution and the counters of everything before it, and for
each port word the cycle in which its decoder accepted it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.engine.fast_machine import FastMachine, Mode
from azsim.engine.recorder import Recorder
from azsim.errors import SimulationError
from azsim_kernels import isa
from azsim_kernels.machine_spans import end_spans
from azsim_kernels.machine_types import ACCEPT, FIRE, NEEDS, SLOT, WANTS, WATCHDOG, WINDOW, Plan

Ints = npt.NDArray[np.int64]

# Cycles between two looks at the words: fewer words than are remembered come in that time.
CHUNK_CYCLES = WINDOW // 4


PACKED_TILE = -1  # in place of a row of the tile table: PACK filled the slot


@dataclass(frozen=True)
class UnitWords:
    """The port words of one decoder unit in their order: int64 arrays (words,).

    accept   cycle in which the decoder took it
    opened   first cycle in which the decoder had room for it
    fetched  start of the FETCH that brought it
    """

    accept: Ints
    opened: Ints
    fetched: Ints


@dataclass(frozen=True)
class Observation:
    """One step. `stalls` (cuts, engines, 5): cycles before each cut, by engine and class.

    `activations`: by PRODUCT command the bytes it multiplied, where times depend on them.
    """

    result: isa.StepResult
    stalls: Ints
    words: tuple[UnitWords, ...]
    activations: dict[int, npt.NDArray[np.uint8]]


class ObservedMachine(FastMachine):
    """A fast machine that can also run its first step again and be watched."""

    cleared: tuple[tuple[int, int], ...] = ()  # address, bytes: DRAM that is 0 at power-on
    _watching = False
    _recorder: Recorder | None = None

    def record(self, max_bytes: int, known: isa.StepResult | None) -> Recorder:
        """Record the steps from now on. None takes the times of a step other than `known`, which
        was recorded before."""
        self._recorder = Recorder(self.params, self._plan, self._tables.tiles, max_bytes)
        if self._last is not None and self._last.result is not known:
            self._last = None
        return self._recorder

    def stop_recording(self) -> None:
        """Record no further step."""
        self._recorder = None

    def power_on(self) -> None:
        """Bring memories and slots to their state before the first step; DRAM stays as it is but
        for what is `cleared`."""
        buffers = (self.params.tile_slots + self.params.units) * self.params.slot_weights
        self._storage.pool[:buffers] = 0
        self._storage.mask[: buffers // 64] = 0
        self._storage.abuf[:] = 0
        self.accumulators[:] = 0
        slots = np.zeros(len(self._tables.slots), SLOT)
        slots["covered"] = self.params.slot_weights
        self._tables.slots[:] = slots
        self._results_slots = slots.copy()
        self.remember = False
        for address, size in self.cleared:
            self.write_dram(address, np.zeros(size, np.uint8))
        self._memory.power_on()

    def watch(self, cuts: Ints) -> Observation:
        """Run a step and stop at `cuts` (ascending cycles > 0, the last one the end of the step).

        Raises:
            SimulationError: the step fails, or fetches what no decoder takes.
        """
        units = self.params.units
        self._cuts, self._at_cut = cuts, 0
        self._next_look = CHUNK_CYCLES
        self._stalls = np.zeros((len(cuts), isa.engine_count(units), 5), np.int64)
        self._seen = [0] * units
        self._parts: list[list[tuple[Ints, Ints]]] = [[] for _ in range(units)]
        self._activations: dict[int, npt.NDArray[np.uint8]] = {}
        self._watching = True
        try:
            result = self.run_again()
        finally:
            self._watching = False
        if self._at_cut != len(cuts):
            raise SimulationError(f"the step must end in cycle {cuts[-1]}, not {result.cycles}")
        words = tuple(self._unit_words(unit, result) for unit in range(units))
        return Observation(result, self._stalls, words, self._activations)

    def run_again(self) -> isa.StepResult:
        """Run a step for its times alone, computing only the results that times depend on.

        Raises:
            SimulationError: it fails.
        """
        self._mode = Mode.AT_ONCE if self._looks_at_results() else Mode.NEVER
        result = self.run_step()
        if result.status != isa.DONE:
            status = isa.STATUS_NAMES[result.status]
            raise SimulationError(f"command {result.error_command}: {status} in a repeated step")
        return result

    def _looks_at_results(self) -> bool:
        return self.params.skip in (isa.SKIP_ACTIVATION, isa.SKIP_BOTH)

    def _begin(self) -> Ints:
        times = super()._begin()
        if self._recorder is not None:
            self._recorder.begin(self._memory.lp)
            self._core["keeps_spans"] = 1
        return times

    def _record(self, recorder: Recorder, times: Ints, max_cycles: int) -> int:
        while True:
            stop = min(recorder.next_stop - 1, max_cycles)
            status = self._go_on(times, stop)
            recorder.take(self._core[0], self._memory.lp, status != WANTS)
            if status != WATCHDOG or int(self._core["now"][0]) > max_cycles:
                return status

    # -- while watching

    def _call_kernel(self, times: Ints, max_cycles: int) -> int:
        if self._recorder is not None:
            return self._record(self._recorder, times, max_cycles)
        if not self._watching:
            return super()._call_kernel(times, max_cycles)
        while True:
            status = self._go_on(times, self._next_stop() - 1)
            self._take_words()
            if status != WATCHDOG:
                return status
            self._look()

    def _next_stop(self) -> int:
        cut = self._cuts[self._at_cut] if self._at_cut < len(self._cuts) else self._next_look
        return int(min(cut, self._next_look))

    def _look(self) -> None:
        """Note the attribution if the kernel stands at a cut."""
        now = int(self._core["now"][0])
        while self._next_look <= now:
            self._next_look += CHUNK_CYCLES
        if self._at_cut < len(self._cuts) and self._cuts[self._at_cut] <= now:
            if self._cuts[self._at_cut] != now:
                raise SimulationError(f"cycle {self._cuts[self._at_cut]} must be one with an end")
            core = self._core.copy()
            end_spans(self._packed[0], core[0])
            engines = isa.engine_count(self.params.units)
            self._stalls[self._at_cut] = core["stalls"][0][:engines]
            self._at_cut += 1

    def _take_words(self) -> None:
        """Copy times of words that the ring does not hold for ever."""
        for unit, state in enumerate(self._core["units"][0][: self.params.units]):
            known = int(state["accepted"] - state["deferred"])
            place = np.arange(self._seen[unit], known) & (WINDOW - 1)
            ring = self._core["words"][0, unit]
            self._parts[unit].append((ring[ACCEPT, place], ring[FIRE, place]))
            self._seen[unit] = known

    def _answer(self, command: int) -> None:
        planned = self._plan.commands[command]
        if self._watching and planned["opcode"] == isa.PRODUCT:
            # nothing may write them before the PRODUCT is free, so they are those of its start
            columns, address = (int(planned["arg"][k]) for k in (2, 3))
            self._activations[command] = self._storage.abuf[address : address + columns].copy()
        super()._answer(command)

    # -- afterwards

    @property
    def program_plan(self) -> Plan:
        """The program as the kernels see it."""
        return self._plan

    def _unit_words(self, unit: int, result: isa.StepResult) -> UnitWords:
        """Return the words of a unit, each with the cycle from which the window had room for it:
        after the word before, after the beat that made room, after the last beat of the tile
        before (section 6 of docs/timing_model.md)."""
        accept, fire = (np.concatenate(part) for part in zip(*self._parts[unit], strict=True))
        fetches = np.flatnonzero(self._plan.commands["engine"] == unit)
        sizes = self._plan.commands["words"][fetches]
        if sizes.sum() != len(accept):
            raise SimulationError(
                f"decoder {unit}: must take all {int(sizes.sum())} words fetched, not {len(accept)}"
            )
        first = np.repeat(np.cumsum(sizes) - sizes, sizes)
        inside = np.arange(len(accept)) - first
        tiles = self._tables.tiles[self._plan.commands["tile"][fetches]]
        needs = self._storage.schedule[np.repeat(tiles["schedule"], sizes) + inside, NEEDS]
        needs = needs.astype(np.int64)
        before = np.concatenate([[-1], accept])[:-1]
        last_beat = np.concatenate([[-1], fire])[:-1]
        made_room = fire[np.arange(len(accept)) - (needs & 15)] - (needs >> 4)
        base = np.maximum(before, np.where(inside == 0, last_beat, -1))
        opened = np.maximum(base, np.where(needs > 0, made_room, -1)) + 1
        return UnitWords(accept, opened, np.repeat(result.start[fetches], sizes))

    def weights_of(self, product: int, place: dict[int, int]) -> npt.NDArray[Any]:
        """Return the weights (rows, columns) of a PRODUCT; `place` names the tile of each."""
        arg = self._plan.args[product]
        if place[product] == PACKED_TILE:  # all of them count as not zero
            return np.ones((int(arg[1]), int(arg[2])), np.int8)
        tile = self._tables.tiles[place[product]]
        at = int(tile["pool"])
        if at < 0:  # not kept: decode it once more, to where unit 0 decodes such tiles
            at = self.params.tile_slots * self.params.slot_weights
            self._tile_decoder.prepare(tile, at)
        rows, columns = int(arg[1]), int(arg[2])
        weights: npt.NDArray[np.int8] = self._storage.pool[at : at + rows * columns]
        return weights.reshape(rows, columns)

    def product_tiles(self) -> dict[int, int]:
        """Return by PRODUCT command the row of the tile that it multiplies: the one that was put
        into its slot last, in program order; `PACKED_TILE` for activations."""
        opcode, slot = self._plan.commands["opcode"], self._plan.args[:, 0]
        chosen = np.isin(opcode, (isa.TILE, isa.RAW, isa.PACK, isa.PRODUCT))
        holds: dict[int, int] = {}
        tiles: dict[int, int] = {}
        for command in np.flatnonzero(chosen).tolist():
            if opcode[command] == isa.PRODUCT:
                tiles[command] = holds[int(slot[command])]
            elif opcode[command] == isa.PACK:
                holds[int(slot[command])] = PACKED_TILE
            else:
                holds[int(slot[command])] = int(self._plan.commands["tile"][command])
        return tiles
