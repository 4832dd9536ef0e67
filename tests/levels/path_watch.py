"""The clocked model watched cycle by cycle: the class of each unit of the weight path, by what its
blocks do in that cycle. Shares nothing with `azsim.engine.weight_path` but the definitions of
docs/reports.md."""

from __future__ import annotations

from typing import Any

import numpy as np

from azsim_kernels import isa
from azsim_kernels.clocked import ClockedMachine
from azsim_kernels.clocked.mac import MacLane

UNITS = ("dram_burst", "stream_fifo", "decoder", "tile_slot", "lanes", "macs")
BUSY, STARVED, BLOCKED, WAITING, IDLE = range(5)


def watch_clocked(machine: ClockedMachine, cycles: int) -> dict[str, np.ndarray]:
    """Run a step of `cycles` cycles; return per unit counts (cycles, 5)."""
    step = machine.new_step()
    watch = _Watch(machine, step)
    seen = {unit: np.zeros((cycles, 5), np.int64) for unit in UNITS}
    for cycle in range(cycles):
        watch.before()
        assert step.tick(cycle) is None
        for unit, classes in watch.classes(cycle).items():
            for number in classes:
                seen[unit][cycle, number] += 1
    assert step.tick(cycles).status == isa.DONE  # type: ignore[union-attr]
    return seen


class _Watch:
    def __init__(self, machine: ClockedMachine, step: Any) -> None:
        self.p, self.step = machine.params, step
        commands = step.commands
        self.tiles: list[list[int]] = [
            [] for _ in range(self.p.units)
        ]  # FETCH of each word; engine 0.. is DMA-W
        for command in commands:
            if command.opcode == isa.FETCH:
                words = -(-command.arg[1] * 8 // self.p.port_bits)
                self.tiles[command.engine] += [command.number] * words
        self.uses: list[list[Any]] = [[] for _ in range(self.p.tile_slots)]
        for command in commands:
            if command.opcode in (isa.TILE, isa.RAW, isa.PACK, isa.PRODUCT):
                self.uses[command.arg[0]].append(command)
        self.taken = [0] * self.p.units
        self.lane_work: list[int] = []  # multipliers that each lane uses in this cycle, -1: none

    def before(self) -> None:
        self.stalls = self.step.stalls.copy()
        self.fill = [d.fill for d in self.step.decoders]
        self.over = [d.tile is not None and d.remaining_bits == 0 for d in self.step.decoders]
        self.accepted = [self._words(u) for u in range(self.p.units)]
        self.lane_work = []
        self.more_items = False
        mac = self.step.mac
        plain = mac.tick

        def tick(cycle: int) -> bool:
            if mac.running is not None:
                working = mac.free_cycle is None
                self.lane_work = [self._multipliers(lane, working) for lane in mac.lanes]
                self.more_items = working and bool(mac.items)
            return bool(plain(cycle))

        mac.tick, self.plain = tick, plain

    def _multipliers(self, lane: MacLane, working: bool) -> int:
        if not (working and lane.busy):
            return -1
        rate_of_one = lane.rate // self.p.macs_per_lane
        return -(-min(max(lane.products_left, 0), lane.rate) // rate_of_one)

    def _words(self, unit: int) -> int:
        return int(self.step.counters.by_name[f"decode{unit}_words_accepted"])

    def classes(self, cycle: int) -> dict[str, list[int]]:
        del self.step.mac.tick
        grown = self.step.stalls - self.stalls
        engine = [int(np.argmax(row)) for row in grown]
        n = self.p.units
        return {
            "dram_burst": engine[:n],
            "stream_fifo": [self._fifo(u, cycle) for u in range(n)],
            "decoder": engine[n + 1 : 2 * n + 1],
            "tile_slot": [self._slot(slot, cycle) for slot in range(self.p.tile_slots)],
            "lanes": [self._lane(k, engine[-2]) for k in range(self.p.lanes)],
            "macs": [
                c for k in range(self.p.lanes) for c in self._macs(k, self._lane(k, engine[-2]))
            ],
        }

    def _fifo(self, unit: int, cycle: int) -> int:
        taken = self.accepted[unit]
        if taken == len(self.tiles[unit]):
            return IDLE
        if self._words(unit) > taken:
            return BUSY
        if self.over[unit] or self.fill[unit] + self.p.port_bits > 512:
            return BLOCKED
        started = self.step.sequencer.started[self.tiles[unit][taken]]
        return STARVED if 0 <= started <= cycle else WAITING

    def _slot(self, slot: int, cycle: int) -> int:
        started, freed = self.step.sequencer.started, self.step.freed
        for command in self.uses[slot]:
            if freed[command.number] >= 0:
                continue
            if started[command.number] >= 0:
                return BUSY
            if command.opcode == isa.PRODUCT:
                return BLOCKED
            dispatched = 0 <= self.step.sequencer.dispatched[command.number] <= cycle
            return STARVED if dispatched else WAITING
        return IDLE

    def _lane(self, lane: int, engine: int) -> int:
        if engine != BUSY:
            return engine
        if self.lane_work[lane] >= 0:
            return BUSY
        return STARVED if self.more_items else WAITING

    def _macs(self, lane: int, class_: int) -> list[int]:
        many = self.p.macs_per_lane
        if class_ != BUSY:
            return [class_] * many
        used = self.lane_work[lane]
        return [BUSY] * used + [WAITING] * (many - used)
