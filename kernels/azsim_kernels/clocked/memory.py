"""The simple memory and the cutting of byte ranges into requests (section 3 of the timing
model).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Request(NamedTuple):
    """The bytes [begin, end) that one burst moves."""

    begin: int
    end: int


def cut_requests(address: int, size: int, burst_bytes: int) -> list[Request]:
    """Cut [address, address + size) at the multiples of `burst_bytes`."""
    end = address + size
    requests = []
    while address < end:
        border = min(end, (address // burst_bytes + 1) * burst_bytes)
        requests.append(Request(address, border))
        address = border
    return requests


def bus_bytes(request: Request, access_bytes: int) -> int:
    """Return the bytes that `request` moves over a bus of `access_bytes` accesses: both ends
    rounded outwards.
    """
    first = request.begin // access_bytes * access_bytes
    last = -(-request.end // access_bytes) * access_bytes
    return last - first


class SimpleMemory:
    """A bus that moves `bytes_` bytes per `per_cycles` cycles, and a latency behind it.

    Time on the bus is counted in parts of 1 / `bytes_` cycle, so that the rate is exact in
    integers.
    """

    def __init__(self, bytes_: int, per_cycles: int, latency_cycles: int) -> None:
        self.bytes = bytes_
        self.per_cycles = per_cycles
        self.latency_cycles = latency_cycles
        self.bus_free = 0

    def request(self, cycle: int, moved_bytes: int) -> int:
        """Put a request of `moved_bytes` on the bus in `cycle`; return the cycle in which it is
        visible.
        """
        begin = max(cycle * self.bytes, self.bus_free)
        self.bus_free = begin + moved_bytes * self.per_cycles
        return -(-self.bus_free // self.bytes) + self.latency_cycles


@dataclass
class Storage:
    """The bytes and numbers the machine works on; they stay from step to step.

    dram, store, abuf: uint8 (bytes,). wbuf: int8 (tile_slots, slot_weights); packed: its weights
    that PACK wrote, which count as not zero. accumulators: int32 (lanes, per lane).
    """

    dram: NDArray[np.uint8]
    store: NDArray[np.uint8]
    abuf: NDArray[np.uint8]
    wbuf: NDArray[np.int8]
    accumulators: NDArray[np.int32]
    packed: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.packed = np.zeros(self.wbuf.shape, bool)


@dataclass
class Counters:
    """Counts by the names of `isa.counter_names`."""

    by_name: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, amount: int) -> None:
        """Add `amount` to the counter `name`."""
        self.by_name[name] += amount
