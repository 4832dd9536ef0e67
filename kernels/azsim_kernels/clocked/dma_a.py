"""DMA-A: LOAD, STORE and GATHER between DRAM and ABUF (section 4 of the timing model)."""

from __future__ import annotations

from collections import deque

import numpy as np

from azsim_kernels import isa
from azsim_kernels.clocked.command import BAD_OPERAND, Command, Fault, inside
from azsim_kernels.clocked.dram import Dram, Flight
from azsim_kernels.clocked.engine import Engine
from azsim_kernels.clocked.memory import (
    Counters,
    Request,
    Storage,
    bus_bytes,
    cut_requests,
)
from azsim_kernels.lpddr_params import PORT_A


class DmaA(Engine):
    """One command at a time; at most one request per cycle and `dma_a_outstanding` requests in
    flight.
    """

    def __init__(
        self, params: isa.MachineParams, storage: Storage, memory: Dram, counters: Counters
    ) -> None:
        super().__init__()
        self.params = params
        self.storage = storage
        self.memory = memory
        self.counters = counters
        self.requests: deque[Request] = deque()
        self.in_flight: list[Flight] = []
        self.moves: list[tuple[int, int, int]] = []  # DRAM address, ABUF address, bytes

    def begin(self, command: Command, cycle: int) -> Fault | None:
        """Check the operands and cut the command's byte ranges into requests."""
        self.running = command
        fault = (
            self._plan_gather(command) if command.opcode == isa.GATHER else self._plan_copy(command)
        )
        for dram_address, _, size in self.moves if fault is None else []:
            self.requests.extend(cut_requests(dram_address, size, self.params.dma_a_burst_bytes))
        return fault

    def _plan_copy(self, command: Command) -> Fault | None:
        dram_address, abuf_address, size = command.arg[:3]
        self.moves = [(dram_address, abuf_address, size)]
        in_dram = inside(dram_address, size, self.storage.dram)
        return None if in_dram and inside(abuf_address, size, self.storage.abuf) else BAD_OPERAND

    def _plan_gather(self, command: Command) -> Fault | None:
        table, abuf_address, row_bytes, index_address, n, table_rows = command.arg[:6]
        abuf = self.storage.abuf
        if min(row_bytes, n, table_rows) < 0 or index_address % 4:
            return BAD_OPERAND
        if not inside(table, table_rows * row_bytes, self.storage.dram):
            return BAD_OPERAND
        if not inside(abuf_address, n * row_bytes, abuf) or not inside(index_address, 4 * n, abuf):
            return BAD_OPERAND
        indices = abuf[index_address : index_address + 4 * n].view(np.int32).tolist()
        self.moves = []
        for position, row in enumerate(indices):
            if not 0 <= row < table_rows:
                return Fault(isa.BAD_INDEX, position)
            self.moves.append(
                (table + row * row_bytes, abuf_address + position * row_bytes, row_bytes)
            )
        return None

    def arrive(self, cycle: int) -> bool:
        """Forget the bursts that are visible in `cycle`."""
        still = [flight for flight in self.in_flight if not flight.is_visible(cycle)]
        arrived = len(still) < len(self.in_flight)
        self.in_flight = still
        return arrived

    def is_free(self, cycle: int) -> bool:
        """Free when every request was issued and is visible."""
        return not self.requests and not self.in_flight

    def finish(self) -> Fault | None:
        """Move the bytes."""
        dram, abuf = self.storage.dram, self.storage.abuf
        for dram_address, abuf_address, size in self.moves:
            in_dram, in_abuf = (
                dram[dram_address : dram_address + size],
                abuf[abuf_address : abuf_address + size],
            )
            if self._stores():
                in_dram[:] = in_abuf
            else:
                in_abuf[:] = in_dram
        return None

    def _stores(self) -> bool:
        return self.running is not None and self.running.opcode == isa.STORE

    def tick(self, cycle: int) -> bool:
        """Issue the next request if one may be in flight more."""
        if not self.requests or len(self.in_flight) >= self.params.dma_a_outstanding:
            return False
        request = self.requests.popleft()
        moved = bus_bytes(request, self.params.access_bytes)
        flight = self.memory.request(cycle, PORT_A, request, moved, self._stores())
        self.in_flight.append(flight)
        self.counters.add("dma_a_requests", 1)
        self.counters.add("dma_a_write_bytes" if self._stores() else "dma_a_read_bytes", moved)
        return True

    def under_way(self) -> bool:
        """Bursts in flight arrive by themselves."""
        return bool(self.in_flight)
