"""The LPDDR memory, ticked with the memory clock: the timing specification (docs/memory.md) in
plain Python. Shares no timing code with the fast kernels.
"""

from __future__ import annotations

from typing import NamedTuple

from azsim_kernels.clocked.lpddr_channel import Burst, LpddrChannel, Transfer
from azsim_kernels.lpddr_params import (
    BAD_REQUEST,
    PORT_FULL,
    TAKEN,
    LpddrCommand,
    LpddrCompletion,
    LpddrParams,
)


class Place(NamedTuple):
    """Where a burst lies; `bank` counts through all groups of the channel."""

    channel: int
    bank: int
    row: int
    column: int


def place_of(params: LpddrParams, burst: int) -> Place:
    """Return where burst number `burst` (address / burst bytes) lies (section 2)."""
    sizes = {
        "row": params.rows,
        "bank": params.banks_per_group,
        "group": params.groups,
        "column": params.columns,
        "channel": params.channels,
    }
    fields = {}
    for name in reversed(params.order):
        burst, fields[name] = divmod(burst, sizes[name])
    bank = fields["bank"]
    if params.bank_xor_row:
        bank ^= fields["row"] % params.banks_per_group
    return Place(
        fields["channel"],
        fields["group"] * params.banks_per_group + bank,
        fields["row"],
        fields["column"],
    )


def edge_after(time: int, step: int) -> int:
    """Return the number of the first edge at `time` or later, edges being `step` apart."""
    return -(-time // step)


class ClockedLpddr:
    """All channels behind their ports. Times at the ports are picoseconds."""

    def __init__(self, params: LpddrParams) -> None:
        self.params = params
        self.clock = 0  # the next memory clock
        self.log: list[LpddrCommand] = []
        self.channels = [LpddrChannel(params, n, self.log) for n in range(params.channels)]
        self.in_flight: list[Transfer] = []
        self.requests = 0

    def request(
        self, port: int, ticket: int, address: int, size: int, is_write: bool, time_ps: int
    ) -> int:
        """Take the request for `size` bytes from `address` issued at `time_ps`.

        Returns TAKEN, PORT_FULL if the port has as many requests in flight as it may, or
        BAD_REQUEST for bytes outside the memory.
        """
        p = self.params
        if size <= 0 or address < 0 or address + size > p.capacity_bytes:
            return BAD_REQUEST
        if sum(transfer.port == port for transfer in self.in_flight) >= p.outstanding[port]:
            return PORT_FULL
        first = address // p.burst_bytes
        end = edge_after(address + size, p.burst_bytes)
        arrival = max(edge_after(time_ps, p.clock_ps), self.clock)
        transfer = Transfer(self.requests, port, ticket, is_write, arrival, end - first)
        self.requests += 1
        self.in_flight.append(transfer)
        for burst in range(first, end):
            place = place_of(p, burst)
            queue = self.channels[place.channel].waiting[port]
            queue.append(Burst(transfer, place.bank, place.row))
        return TAKEN

    def advance(self, until_ps: int) -> None:
        """Tick every memory clock whose edge lies before `until_ps`."""
        while self.clock * self.params.clock_ps < until_ps:
            self.tick()

    def tick(self) -> None:
        """Go through one memory clock."""
        for channel in self.channels:
            channel.tick(self.clock)
        self.clock += 1

    def pop(self, now_ps: int) -> LpddrCompletion | None:
        """Remove and return the first completion whose time is `now_ps` or before, if any."""
        ended = [
            transfer
            for transfer in self.in_flight
            if transfer.left == 0 and transfer.done * self.params.clock_ps <= now_ps
        ]
        if not ended:
            return None
        first = min(ended, key=lambda transfer: (transfer.done, transfer.port, transfer.number))
        self.in_flight.remove(first)
        return LpddrCompletion(first.done, first.port, first.ticket)

    def drain(self, max_clocks: int) -> list[LpddrCompletion]:
        """Tick until nothing is in flight and return the completions in order; RuntimeError if
        that takes more than `max_clocks`.
        """
        completions = []
        last = self.clock + max_clocks
        while self.in_flight:
            if self.clock > last:
                raise RuntimeError(f"clocked memory: must end within {max_clocks} clocks")
            self.tick()
            completion = self.pop(self.clock * self.params.clock_ps)
            while completion is not None:
                completions.append(completion)
                completion = self.pop(self.clock * self.params.clock_ps)
        return completions
