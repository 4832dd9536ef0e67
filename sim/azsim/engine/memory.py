"""The LPDDR memory of the fast engine between steps: how a step begins, what it counted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from azsim.errors import SimulationError
from azsim_kernels import isa
from azsim_kernels.lpddr import core_time_ps
from azsim_kernels.lpddr_params import CHANNEL_COUNTS, HostPattern
from azsim_kernels.lpddr_types import (
    BEGIN,
    HOST_LONGEST_WAIT,
    HOST_READ_BYTES,
    HOST_REQUESTS,
    HOST_WAIT,
    HOST_WRITE_BYTES,
    channel_counts,
    new_chip_memory,
)

Ints = npt.NDArray[np.int64]

MAX_CYCLES = 1 << 42  # of all steps with host traffic together: times in picoseconds fit 64 bits
_PLACE = {name: number for number, name in enumerate(isa.MEMORY_COUNTERS)}
_OPEN, _CLOSED = _PLACE["dram_open_clocks"], _PLACE["dram_closed_clocks"]
_FIRST_BYTES = _PLACE["dram_w_read_bytes"]
_HOST = {
    "host_requests": HOST_REQUESTS,
    "host_read_bytes": HOST_READ_BYTES,
    "host_write_bytes": HOST_WRITE_BYTES,
    "host_wait_cycles": HOST_WAIT,
    "host_longest_wait_cycles": HOST_LONGEST_WAIT,
}


class MemoryState:
    """The memory's array `lp` (empty with the simple memory) and its state before the step.

    host_traffic  None: each step begins with an idle memory. Else its time goes on from step to
                  step, with these patterns on the host port
    trace_commands  room for so many commands in the memory's trace

    Raises:
        SimulationError: the DRAM is larger than the LPDDR memory, or there is host traffic without
            one.
    """

    def __init__(
        self,
        params: isa.MachineParams,
        dram_bytes: int,
        host_traffic: Sequence[HostPattern] | None,
        trace_commands: int = 0,
    ) -> None:
        self._memory = params.lpddr
        self.goes_on = host_traffic is not None
        self.lp: Ints = np.zeros(0, np.int64)
        if self._memory is None:
            if host_traffic:
                raise SimulationError("host traffic must have an LPDDR memory to go to")
        else:
            capacity = self._memory.params.capacity_bytes
            if dram_bytes > capacity:
                raise SimulationError(
                    f"the LPDDR memory has {capacity} bytes: the program must need no more, "
                    f"not {dram_bytes}"
                )
            self.lp = new_chip_memory(
                self._memory, host_traffic or (), trace_commands=trace_commands
            )
        self._idle = self._start = self.lp.copy()
        self._counts = self._totals(self.lp)
        self._failed = False  # the last step, or its memory was forgotten

    def start_step(self) -> None:
        """Bring the memory to the state in which the next step begins."""
        if self.goes_on and self.lp.size > 0:
            if self.lp[BEGIN] > MAX_CYCLES:
                raise SimulationError(
                    f"a run with host traffic must end within {MAX_CYCLES} cycles"
                )
            if self._failed:  # what that step asked for must not answer this one
                self.lp[:] = self._idle
            self.lp[HOST_LONGEST_WAIT] = 0
            self._start = self.lp.copy()
            self._counts = self._totals(self.lp)

    def power_on(self) -> None:
        """Let the next step begin with an idle memory at time 0."""
        self._failed = True

    def rewind(self) -> None:
        """Go back to where the step began."""
        self.lp[:] = self._start

    def end_step(self, cycles: int, failed: bool) -> Ints:
        """End the step after `cycles`; return its counters as `isa.MEMORY_COUNTERS`, 0 if it has
        failed.
        """
        self._failed = failed
        counts = np.zeros(len(isa.MEMORY_COUNTERS), np.int64)
        if self._memory is None or failed:
            return counts
        before = int(self.lp[BEGIN])
        counts[:] = self._totals(self.lp) - self._counts
        clocks = self._clocks(before + cycles) - self._clocks(before)
        counts[_CLOSED] = clocks * self._memory.params.channels - counts[_OPEN]
        counts[_PLACE["host_longest_wait_cycles"]] = self.lp[HOST_LONGEST_WAIT]
        self.lp[BEGIN] += cycles
        return counts

    def _totals(self, lp: Ints) -> Ints:
        """Return the counters that only grow."""
        totals = np.zeros(len(isa.MEMORY_COUNTERS), np.int64)
        if self._memory is not None:
            sums = channel_counts(lp).sum(axis=0)
            totals[: len(CHANNEL_COUNTS)] = sums
            totals[_FIRST_BYTES : len(CHANNEL_COUNTS)] *= self._memory.params.burst_bytes
            for name, place in _HOST.items():
                totals[_PLACE[name]] = lp[place]
        return totals

    def _clocks(self, cycle: int) -> int:
        """Return how many memory clocks have their edge before that of core cycle `cycle`."""
        assert self._memory is not None
        edge_ps = core_time_ps(cycle, self._memory.core_mhz)
        return -(-edge_ps // self._memory.params.clock_ps)
