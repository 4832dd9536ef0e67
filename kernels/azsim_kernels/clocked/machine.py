"""The clocked machine: the timing specification as plain Python, one tick per cycle
(docs/timing_model.md).

Slow on purpose: nothing is skipped, predicted or shared with the fast engine. Use it for small
programs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from azsim_kernels import isa
from azsim_kernels.clocked.command import read_commands
from azsim_kernels.clocked.dram import Dram, LpddrDram, SimpleDram
from azsim_kernels.clocked.memory import Storage
from azsim_kernels.clocked.semaphores import Semaphores
from azsim_kernels.clocked.step import Step
from azsim_kernels.lpddr_params import HostPattern
from azsim_kernels.table_slots import empty_slots


class ClockedMachine:
    """A chip with its program and its memories; each `run_step` runs the program once from reset.

    commands            (n,) of dtype `isa.COMMAND`, in program order
    semaphore_kinds     (s,) isa.DATA, isa.SPACE or isa.ORDER
    semaphore_initial   (s,) counts at the start of each step
    dram, store, abuf   uint8 (bytes,), used in place; they keep what the steps wrote
    host_traffic        None: each step begins with an idle LPDDR memory. Else its time goes on from
                        step to step, with these patterns on the host port
    """

    def __init__(
        self,
        params: isa.MachineParams,
        commands: NDArray[np.void],
        semaphore_kinds: Sequence[int] | NDArray[np.integer],
        semaphore_initial: Sequence[int] | NDArray[np.integer],
        *,
        dram: NDArray[np.uint8],
        store: NDArray[np.uint8],
        abuf: NDArray[np.uint8],
        host_traffic: Sequence[HostPattern] | None = None,
    ) -> None:
        self.params = params
        self.commands = read_commands(commands, params.units)
        self.semaphore_kinds = list(semaphore_kinds)
        self.semaphore_initial = list(semaphore_initial)
        wbuf = np.zeros((params.tile_slots, params.slot_weights), np.int8)
        accumulators = np.zeros((params.lanes, params.accumulators_per_lane), np.int32)
        self.storage = Storage(dram, store, abuf, wbuf, accumulators)
        self._host_traffic = host_traffic
        self._lasting: Dram | None = None  # the memory of the step before, if it goes on

    @property
    def wbuf(self) -> NDArray[np.int8]:
        """The weight slots, int8 (tile_slots, slot_weights)."""
        return self.storage.wbuf

    @property
    def accumulators(self) -> NDArray[np.int32]:
        """The accumulators, int32 (lanes, accumulators_per_lane)."""
        return self.storage.accumulators

    def new_step(self) -> Step:
        """Return a step that has not begun; for looking at the blocks cycle by cycle."""
        semaphores = Semaphores(
            self.semaphore_kinds, self.semaphore_initial, self.params.semaphore_max
        )
        tables = [empty_slots() for _ in range(self.params.units)]
        memory = self._lasting or self._idle_memory()
        if self._host_traffic is not None and self.params.lpddr is not None:
            self._lasting = memory
        return Step(self.params, self.commands, semaphores, self.storage, tables, memory)

    def _idle_memory(self) -> Dram:
        lpddr = self.params.lpddr
        if lpddr is None:
            return SimpleDram(self.params)
        return LpddrDram(lpddr, self._host_traffic or ())

    def run_step(self, *, max_cycles: int = 10_000_000) -> isa.StepResult:
        """Run the program once; RuntimeError if it has not ended after `max_cycles`."""
        result = self.new_step().run(max_cycles)
        if result.status != isa.DONE:
            self._lasting = None  # what the failed step asked for must not answer the next one
        return result
