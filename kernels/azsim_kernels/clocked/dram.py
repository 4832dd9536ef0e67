"""The DRAM as the DMA engines see it: the simple memory, or LPDDR behind a clock crossing
(section 3 of the timing model, sections 1 and 10 of docs/memory.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from azsim_kernels import isa
from azsim_kernels.clocked.host import Host
from azsim_kernels.clocked.lpddr import ClockedLpddr
from azsim_kernels.clocked.memory import Request, SimpleMemory
from azsim_kernels.lpddr_params import (
    CHANNEL_COUNTS,
    PORT_HOST,
    PORT_NAMES,
    TAKEN,
    HostPattern,
    LpddrMemory,
)


@dataclass
class Flight:
    """A burst under way; `visible` is the cycle in which its data can be used, once it is known."""

    visible: int | None = None

    def is_visible(self, cycle: int) -> bool:
        """Say whether its data can be used in `cycle`."""
        return self.visible is not None and self.visible <= cycle


class Dram:
    """What both memories have in common. Cycles are those of the step."""

    def tick(self, cycle: int) -> None:
        """Begin a cycle: find out which bursts are visible."""

    def request(
        self, cycle: int, port: int, request: Request, moved_bytes: int, is_write: bool
    ) -> Flight:
        """Take a request of `port` in `cycle`."""
        raise NotImplementedError

    def host_tick(self, cycle: int) -> None:
        """Let the rest of the device ask, after the chip."""

    def end_step(self, cycles: int) -> dict[str, int]:
        """End a step of so many cycles; return its `isa.MEMORY_COUNTERS`."""
        return dict.fromkeys(isa.MEMORY_COUNTERS, 0)


class SimpleDram(Dram):
    """A latency and a rate: the time of a burst is known when it is asked for."""

    def __init__(self, params: isa.MachineParams) -> None:
        self.bus = SimpleMemory(
            params.memory_bytes, params.memory_per_cycles, params.memory_latency_cycles
        )

    def request(
        self, cycle: int, port: int, request: Request, moved_bytes: int, is_write: bool
    ) -> Flight:
        """Put the bytes on the bus."""
        return Flight(self.bus.request(cycle, moved_bytes))


class LpddrDram(Dram):
    """LPDDR with its own clock; it may live through several steps, one after the other."""

    def __init__(self, memory: LpddrMemory, patterns: Sequence[HostPattern] = ()) -> None:
        self.memory = memory
        self.lpddr = ClockedLpddr(memory.params)
        self.host = Host(patterns, memory.core_mhz)
        self.flights: dict[int, Flight] = {}  # of the chip, by ticket
        self.due: dict[int, int] = {}  # of the host: the cycle in which a request was due
        self.tickets = 0
        self.begin = 0  # core cycles of the steps before
        self.before = self._totals(0)
        self.waits: list[int] = []  # of the host's requests that were visible in this step

    def _edge_ps(self, cycle: int) -> int:
        """Return the first picosecond not before the edge of a cycle since the first step began."""
        return -(-cycle * 10**6 // self.memory.core_mhz)

    def tick(self, cycle: int) -> None:
        """Tick the memory up to the edge of `cycle` and take what is visible now."""
        cycle += self.begin
        self.lpddr.advance(self._edge_ps(cycle))
        answered = cycle - self.memory.path_cycles
        if answered < 0:
            return
        # Whole picoseconds up to the edge that lies the path's cycles ago.
        completion = self.lpddr.pop(answered * 10**6 // self.memory.core_mhz)
        while completion is not None:
            if completion.ticket in self.flights:
                self.flights.pop(completion.ticket).visible = cycle - self.begin
            else:
                self.waits.append(cycle - self.due.pop(completion.ticket))
            completion = self.lpddr.pop(answered * 10**6 // self.memory.core_mhz)

    def request(
        self, cycle: int, port: int, request: Request, moved_bytes: int, is_write: bool
    ) -> Flight:
        """Send the request to its port; the DMA engines keep to its bound themselves."""
        flight = Flight()
        self.flights[self._send(cycle, port, request, is_write)] = flight
        return flight

    def _send(self, cycle: int, port: int, request: Request, is_write: bool) -> int:
        ticket = self.tickets
        self.tickets += 1
        time_ps = self._edge_ps(self.begin + cycle)
        size = request.end - request.begin
        answer = self.lpddr.request(port, ticket, request.begin, size, is_write, time_ps)
        if answer != TAKEN:
            raise ValueError(f"port {port} of the memory must take bytes {request}")
        return ticket

    def host_tick(self, cycle: int) -> None:
        """Send at most one request of the host, if its port has room."""
        in_flight = sum(transfer.port == PORT_HOST for transfer in self.lpddr.in_flight)
        if not self.host.patterns or in_flight >= self.memory.params.outstanding[PORT_HOST]:
            return
        asked = self.host.ask(self.begin + cycle)
        if asked is not None:
            request = Request(asked.address, asked.address + asked.size)
            self.due[self._send(cycle, PORT_HOST, request, asked.is_write)] = asked.due

    def end_step(self, cycles: int) -> dict[str, int]:
        """Go on to the edge of the last cycle and count what was added in this step."""
        self.begin += cycles
        self.lpddr.advance(self._edge_ps(self.begin))
        now = self._totals(self.begin)
        counts = {name: now[name] - self.before[name] for name in now}
        counts["host_wait_cycles"] = sum(self.waits)
        counts["host_longest_wait_cycles"] = max(self.waits, default=0)
        self.before = now
        self.waits = []
        return {name: counts[name] for name in isa.MEMORY_COUNTERS}

    def _totals(self, cycle: int) -> dict[str, int]:
        """Return the counters that only grow, as they stand at the edge of `cycle`."""
        params = self.memory.params
        sums = {
            name: sum(channel.counts[name] for channel in self.lpddr.channels)
            for name in CHANNEL_COUNTS
        }
        clocks = -(-self._edge_ps(cycle) // params.clock_ps) * params.channels
        totals = {
            "dram_activates": sums["ACT"],
            "dram_precharges": sums["PRE"],
            "dram_precharges_all": sums["PREA"],
            "dram_read_bursts": sums["RD"],
            "dram_write_bursts": sums["WR"],
            "dram_refreshes_all_bank": sums["REFA"],
            "dram_refreshes_per_bank": sums["REFP"],
            "dram_open_clocks": sums["open_clocks"],
            "dram_closed_clocks": clocks - sums["open_clocks"],
            "host_requests": self.host.requests,
            "host_read_bytes": self.host.read_bytes,
            "host_write_bytes": self.host.write_bytes,
        }
        for found in ("row_hits", "row_misses", "row_conflicts"):
            totals[f"dram_{found}"] = sums[found]
        for port in PORT_NAMES:
            totals[f"dram_{port}_read_bytes"] = sums[f"{port}_reads"] * params.burst_bytes
            totals[f"dram_{port}_write_bytes"] = sums[f"{port}_writes"] * params.burst_bytes
        return totals
