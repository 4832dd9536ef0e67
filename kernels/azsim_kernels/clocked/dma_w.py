"""DMA-W: one channel per decoder unit, all of them behind one request port (section 5 of the
timing model).
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from azsim_kernels import isa
from azsim_kernels.clocked.command import BAD_OPERAND, Command, Fault, inside
from azsim_kernels.clocked.dram import Dram, Flight
from azsim_kernels.clocked.engine import Engine
from azsim_kernels.clocked.fifo import StreamFifo, StreamTile
from azsim_kernels.clocked.memory import (
    Counters,
    Request,
    SimpleMemory,
    Storage,
    bus_bytes,
    cut_requests,
)
from azsim_kernels.lpddr_params import PORT_W


class Burst(NamedTuple):
    """A request in flight: when it is visible and the port words it completes."""

    flight: Flight
    tile: StreamTile
    words: int


class DmaWChannel(Engine):
    """One FETCH at a time: the bytes of a tile to the FIFO of the channel's unit."""

    def __init__(self, params: isa.MachineParams, storage: Storage, fifo: StreamFifo) -> None:
        super().__init__()
        self.params = params
        self.storage = storage
        self.fifo = fifo
        self.port_bytes = params.port_bits // 8
        self.requests: deque[Request] = deque()
        self.in_flight: deque[Burst] = deque()
        self.tile: StreamTile | None = None
        self.from_store = False
        self.done_bytes = 0  # of the tile, requested so far
        self.lacked_credits = False  # in phase 4 of this cycle

    def begin(self, command: Command, cycle: int) -> Fault | None:
        """Check the operands, take the tile's bytes and cut them into requests."""
        self.running = command
        address, size, source = command.arg[:3]
        if size <= 0 or size % 8 or source not in (0, 1):
            return BAD_OPERAND
        self.from_store = source == 1
        memory = self.storage.store if self.from_store else self.storage.dram
        if not inside(address, size, memory):
            return BAD_OPERAND
        self.tile = StreamTile(memory[address : address + size].copy())
        self.done_bytes = 0
        self.requests.extend(cut_requests(address, size, self.params.dma_w_burst_bytes))
        return None

    def arrive(self, cycle: int) -> bool:
        """Put the words of the bursts visible in `cycle` into the FIFO, in the order of issue."""
        arrived = False
        while self.in_flight and self.in_flight[0].flight.is_visible(cycle):
            burst = self.in_flight.popleft()
            self.fifo.push(burst.tile, burst.words)
            arrived = True
        return arrived

    def is_free(self, cycle: int) -> bool:
        """Free in the cycle after the last request was issued; its data may still be under way."""
        return not self.requests

    def finish(self) -> Fault | None:
        """A FETCH has no effect of its own: its words arrive at the FIFO one burst after the
        other.
        """
        return None

    def next_words(self) -> int:
        """Return the port words that the next request completes; the last one completes a part
        of a word too.
        """
        request = self.requests[0]
        done_after = self.done_bytes + request.end - request.begin
        words_after = done_after // self.port_bytes
        if len(self.requests) == 1:
            words_after = -(-done_after // self.port_bytes)
        return words_after - self.done_bytes // self.port_bytes

    def may_issue(self) -> bool:
        """Say whether there is a request whose words have credits."""
        if not self.requests:
            return False
        self.lacked_credits = self.next_words() > self.fifo.credits
        return not self.lacked_credits

    def issue(self, flight: Flight) -> None:
        """Note that the next request is on its way."""
        assert self.tile is not None
        words = self.next_words()
        request = self.requests.popleft()
        self.done_bytes += request.end - request.begin
        self.fifo.credits -= words
        self.in_flight.append(Burst(flight, self.tile, words))

    def under_way(self) -> bool:
        """Bursts in flight arrive by themselves."""
        return bool(self.in_flight)


class DmaW:
    """The request port of all channels: at most one request per cycle, the channels asked in
    turn.
    """

    def __init__(
        self,
        params: isa.MachineParams,
        channels: list[DmaWChannel],
        memory: Dram,
        store: SimpleMemory,
        counters: Counters,
    ) -> None:
        self.params = params
        self.channels = channels
        self.memory = memory
        self.store = store
        self.counters = counters
        self.asked_first = 0

    def tick(self, cycle: int) -> bool:
        """Issue a request of the first channel in turn that has one and the credits for it."""
        ready = [channel.may_issue() for channel in self.channels]
        in_flight = sum(len(channel.in_flight) for channel in self.channels)
        if in_flight >= self.params.dma_w_outstanding:
            return False
        for offset in range(len(self.channels)):
            unit = (self.asked_first + offset) % len(self.channels)
            if ready[unit]:
                self._issue(self.channels[unit], cycle)
                self.asked_first = unit + 1
                return True
        return False

    def _issue(self, channel: DmaWChannel, cycle: int) -> None:
        request = channel.requests[0]
        if channel.from_store:
            moved = request.end - request.begin
            channel.issue(Flight(self.store.request(cycle, moved)))
            self.counters.add("store_requests", 1)
            self.counters.add("store_bytes", moved)
        else:
            moved = bus_bytes(request, self.params.access_bytes)
            channel.issue(self.memory.request(cycle, PORT_W, request, moved, False))
            self.counters.add("dma_w_requests", 1)
            self.counters.add("dma_w_bytes", moved)
