"""The same step on a chip with one thing more than it could ever use: simulated, not estimated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from azsim.counters import WHAT_IF
from azsim.engine.memory import MemoryState
from azsim.engine.observed import ObservedMachine
from azsim_kernels import isa
from azsim_kernels.machine_types import MAX_IN_FLIGHT, NEEDS, SETS, SLOT, pack_params

Ints = npt.NDArray[np.int64]

UNLIMITED_BYTES = 1 << 20  # per cycle: more than any burst
FILLING = (isa.TILE, isa.RAW, isa.PACK)  # commands that fill a slot
UNLIMITED_PRODUCTS = 1 << 40  # per multiplier and cycle: more than any item
UNLIMITED_COUNT = 1 << 40  # of a semaphore


class WhatIfMachine(ObservedMachine):
    """A machine one of whose limits can be taken away, after `keep_limits`; `reset_limits` goes
    back."""

    _instant_decoder = False
    _has_own_slots = False

    def keep_limits(self) -> None:
        """Remember the chip and the program as they are now."""
        plan, storage = self._plan, self._storage
        self._kept = (self.params, self._packed.copy(), plan.commands.copy(), plan.args.copy())
        self._kept_schedule = storage.schedule.copy()
        self._kept_holds = self._tables.tiles["hold"].copy()
        self._kept_tables = self._tables
        self._kept_memory = self._memory

    def reset_limits(self) -> None:
        """Go back to what `keep_limits` remembered."""
        self.params, packed, commands, args = self._kept
        self._packed[:] = packed
        self._plan.commands[:], self._plan.args[:] = commands, args
        self._storage.schedule[:] = self._kept_schedule
        self._tables = self._kept_tables
        self._tables.tiles["hold"] = self._kept_holds
        self._memory = self._kept_memory
        self._instant_decoder = self._has_own_slots = False

    def _change(self, **fields: object) -> None:
        """Change parameters of the chip."""
        sizes = (self._storage.dram.size, self._storage.store.size, self._storage.abuf.size)
        self.params = self.params._replace(**fields)  # type: ignore[arg-type]
        self._packed[:] = pack_params(self.params, sizes)
        self._plan.commands["mac_version"] = -1  # times of PRODUCT commands are to be found anew

    def unlimited_memory(self) -> None:
        """Each request is answered in the next cycle, whatever is under way."""
        self._change(
            memory_bytes=UNLIMITED_BYTES, memory_per_cycles=1, memory_latency_cycles=0,
            store_bytes_per_cycle=UNLIMITED_BYTES, store_latency_cycles=0,
            dma_w_outstanding=MAX_IN_FLIGHT, dma_a_outstanding=MAX_IN_FLIGHT, lpddr=None,
        )  # fmt: skip
        self._memory = MemoryState(self.params, self._storage.dram.size, None)

    def unlimited_decoder(self) -> None:
        """A tile is decoded with its last word; a unit still takes one port word per cycle."""
        self._change(decoder_pipeline_cycles=0)
        self._instant_decoder = True
        self._flatten(self._tables.tiles)

    def unlimited_mac(self) -> None:
        """A PRODUCT takes one cycle."""
        self._change(
            products_per_mac=(UNLIMITED_PRODUCTS,) * 8, min_item_cycles=0, fill_cycles=0,
            broadcast_interval_cycles=0, queue_turnaround_cycles=0,
        )  # fmt: skip

    def unlimited_slots(self) -> None:
        """Each tile of the step has a slot of its own, and neither TILE nor PACK waits for one."""
        commands, args = self._plan.commands, self._plan.args
        self._own_slots()
        waits = np.isin(commands["opcode"], FILLING)
        space = self._semaphores[1][commands["wait"]] == isa.SPACE
        commands["wait_count"] = np.where(waits[:, None] & space, 0, commands["wait_count"])
        commands["arg"] = args
        self._packed["semaphore_max"] = UNLIMITED_COUNT

    def _own_slots(self) -> None:
        opcode, slot = self._plan.commands["opcode"], self._plan.args[:, 0]
        holds: dict[int, int] = {}
        fills = 0
        for command in np.flatnonzero(np.isin(opcode, (*FILLING, isa.PRODUCT))).tolist():
            if opcode[command] != isa.PRODUCT:
                holds[int(slot[command])] = fills
                fills += 1
            slot[command] = holds[int(slot[command])]
        slots = np.zeros(max(fills, 1), SLOT)
        self._tables = self._tables._replace(slots=slots)
        self._results_slots = slots.copy()
        self._packed["tile_slots"] = len(slots)
        self._has_own_slots = True

    def can_have_own_slots(self) -> bool:
        """Say whether a slot needs no room of its own: all tiles are kept, so that it only points
        at its tile, and where times depend on results, PACK writes none."""
        writes = self._looks_at_results() and bool(
            (self._plan.commands["opcode"] == isa.PACK).any()
        )
        return not writes and bool((self._tables.tiles["pool"] >= 0).all())

    def _begin(self) -> Ints:
        times = super()._begin()
        if self._has_own_slots and not self._looks_at_results():
            self._core["fills"] = 0  # slots point at tiles: there are more of them than buffers
        return times

    def _prepare_wanted_tiles(self) -> None:
        super()._prepare_wanted_tiles()
        if self._instant_decoder:
            self._flatten(self._tables.tiles)

    def _flatten(self, tiles: npt.NDArray[np.void]) -> None:
        """Let each tile be one beat that fires with its last word, and need no table load."""
        schedule = self._storage.schedule
        schedule[:, SETS] = schedule[:, NEEDS] = 0
        words = -(-tiles["bytes"] * 8 // self.params.port_bits)
        schedule[tiles["schedule"] + words - 1, SETS] = 1
        tiles["hold"] = 0


def what_if_runs(machine: WhatIfMachine) -> dict[str, isa.StepResult]:
    """Run the first step once for each of `WHAT_IF`, with that thing without limit.

    Slots are left out if the decoded weights do not fit into the host's memory, and where zeros of
    activations are skipped in a program that multiplies activations by activations.

    Raises:
        SimulationError: a step fails.
    """
    changes: dict[str, Callable[[], None]] = {
        "memory": machine.unlimited_memory,
        "decoder": machine.unlimited_decoder,
        "mac": machine.unlimited_mac,
        "slots": machine.unlimited_slots,
    }
    machine.keep_limits()
    results = {}
    for name in WHAT_IF:
        if name == "slots" and not machine.can_have_own_slots():
            continue
        machine.power_on()
        changes[name]()
        results[name] = machine.run_again()
        machine.reset_limits()
    return results
