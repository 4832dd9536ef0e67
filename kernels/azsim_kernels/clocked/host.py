"""The host: traffic of the rest of the device (section 10 of docs/memory.md). Cycles are core
cycles since the first step began.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from azsim_kernels.lpddr_params import HOST_PASSES, HostPattern


class Asked(NamedTuple):
    """A request and the cycle in which it was due."""

    address: int
    size: int
    is_write: bool
    due: int


class Stream:
    """One pattern on its way through time."""

    def __init__(self, pattern: HostPattern, core_mhz: int) -> None:
        self.pattern = pattern
        self.core_mhz = core_mhz
        self.sent = 0
        self.passed = 0

    def due_cycle(self, number: int) -> int:
        """Return the cycle in which request `number` is due: the first in its period."""
        period = number // self.pattern.requests
        return -(-period * self.pattern.period_ns * self.core_mhz // 1000)

    def is_due(self, cycle: int) -> bool:
        """Say whether the next request is due."""
        return self.due_cycle(self.sent) <= cycle

    def ask(self) -> Asked:
        """Return the next request."""
        p, number = self.pattern, self.sent
        self.sent += 1
        reads_before = number * p.read_share_percent // 100
        reads_after = (number + 1) * p.read_share_percent // 100
        place = (scatter(number) if p.is_random else number) % p.places
        return Asked(
            p.address + place * p.request_bytes,
            p.request_bytes,
            reads_after == reads_before,
            self.due_cycle(number),
        )


def scatter(number: int) -> int:
    """Return 32 bits that look random, a function of the number alone."""
    x = number * 0x9E3779B1 % 2**32
    x = (x ^ x >> 15) * 0x2C1B3C6D % 2**32
    x = (x ^ x >> 12) * 0x297A2D39 % 2**32
    return x ^ x >> 15


class Host:
    """All patterns behind one port: at most one request per core cycle."""

    def __init__(self, patterns: Sequence[HostPattern], core_mhz: int) -> None:
        self.patterns = [Stream(pattern, core_mhz) for pattern in patterns]
        self.requests = 0
        self.read_bytes = 0
        self.write_bytes = 0

    def ask(self, cycle: int) -> Asked | None:
        """Return the request of `cycle`: of a pattern that was passed over too often, else of the
        highest priority; the first one among equals.
        """
        waiting = [stream for stream in self.patterns if stream.is_due(cycle)]
        if not waiting:
            return None
        passed = [stream for stream in waiting if stream.passed >= HOST_PASSES]
        if passed:
            chosen = max(passed, key=lambda stream: stream.passed)
        else:
            chosen = max(waiting, key=lambda stream: stream.pattern.priority)
        for stream in waiting:
            stream.passed = 0 if stream is chosen else stream.passed + 1
        asked = chosen.ask()
        self.requests += 1
        if asked.is_write:
            self.write_bytes += asked.size
        else:
            self.read_bytes += asked.size
        return asked
