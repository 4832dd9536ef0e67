"""The host of the fast LPDDR model: requests of the rest of the device by declared patterns
(section 10 of docs/memory.md). Cycles here are core cycles since the first step began.
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.lpddr_params import HOST_PASSES, PORT_HOST
from azsim_kernels.lpddr_requests import put_request
from azsim_kernels.lpddr_types import (
    CORE_MHZ,
    FAR,
    H_ADDRESS,
    H_BYTES,
    H_DUE,
    H_LEFT,
    H_PASSED,
    H_PERIOD,
    H_PERIOD_NS,
    H_PLACES,
    H_PRIORITY,
    H_RANDOM,
    H_REQUESTS,
    H_SENT,
    H_SHARE,
    H_SIZE,
    HOST_LONGEST_WAIT,
    HOST_READ_BYTES,
    HOST_REQUESTS,
    HOST_WAIT,
    HOST_WRITE_BYTES,
    PATTERNS,
    PATTERNS_AT,
    PORTS_AT,
    Lpddr,
)

HOST_TICKET = 1 << 50  # and above: tickets of the host, plus the cycle in which they were due
_BITS = 0xFFFFFFFF
_PASSED = 1 << 20  # above every priority


@kernel
def _due_cycle(lp: Lpddr, at: int, period: int) -> int:
    """Return the core cycle in which period number `period` of a pattern begins."""
    return (period * lp[at + H_PERIOD_NS] * lp[CORE_MHZ] + 999) // 1000  # type: ignore[no-any-return]


@kernel
def _place(lp: Lpddr, at: int, number: int) -> int:
    """Return which place of its range request `number` of a pattern goes to."""
    if lp[at + H_RANDOM] == 0:
        return number % lp[at + H_PLACES]  # type: ignore[no-any-return]
    mixed = ((number & _BITS) * 0x9E3779B1) & _BITS
    mixed = ((mixed ^ (mixed >> 15)) * 0x2C1B3C6D) & _BITS
    mixed = ((mixed ^ (mixed >> 12)) * 0x297A2D39) & _BITS
    return (mixed ^ (mixed >> 15)) % lp[at + H_PLACES]  # type: ignore[no-any-return]


@kernel
def _choose(lp: Lpddr, cycle: int) -> int:
    """Make due what is due at `cycle`; return the pattern whose turn it is, -1 if there is none."""
    chosen = -1
    best = -1
    for number in range(lp[PATTERNS]):
        at = lp[PATTERNS_AT] + number * H_SIZE
        while lp[at + H_DUE] <= cycle:
            lp[at + H_LEFT] += lp[at + H_REQUESTS]
            lp[at + H_PERIOD] += 1
            lp[at + H_DUE] = _due_cycle(lp, at, lp[at + H_PERIOD])
        if lp[at + H_LEFT] > 0:
            passed = lp[at + H_PASSED]
            rank = _PASSED + passed if passed >= HOST_PASSES else lp[at + H_PRIORITY]
            if rank > best:
                best = rank
                chosen = number
    return chosen


@kernel
def _issue(lp: Lpddr, chosen: int, cycle: int, time_ps: int) -> None:
    """Issue the next request of pattern `chosen`."""
    for number in range(lp[PATTERNS]):
        if lp[lp[PATTERNS_AT] + number * H_SIZE + H_LEFT] > 0:
            lp[lp[PATTERNS_AT] + number * H_SIZE + H_PASSED] += 1
    at = lp[PATTERNS_AT] + chosen * H_SIZE
    lp[at + H_PASSED] = 0
    number = lp[at + H_SENT]
    share = lp[at + H_SHARE]
    size = lp[at + H_BYTES]
    writes = (number + 1) * share // 100 == number * share // 100
    due = _due_cycle(lp, at, number // lp[at + H_REQUESTS])
    address = lp[at + H_ADDRESS] + size * _place(lp, at, number)
    put_request(lp, PORT_HOST, HOST_TICKET + due, address, size, writes, time_ps)
    lp[at + H_SENT] += 1
    lp[at + H_LEFT] -= 1
    lp[HOST_REQUESTS] += 1
    lp[HOST_WRITE_BYTES if writes else HOST_READ_BYTES] += size


@kernel
def issue_host(lp: Lpddr, cycle: int, time_ps: int) -> int:
    """Issue at most one request of the host in core cycle `cycle`, whose edge is at `time_ps`.

    Returns the next cycle in which there may be one, FAR if the port is full: then when one of its
    requests is done.
    """
    full = lp[PORTS_AT] + 2 * PORT_HOST
    if lp[full + 1] >= lp[full]:
        return FAR
    chosen = _choose(lp, cycle)
    if chosen >= 0:
        _issue(lp, chosen, cycle, time_ps)
        if lp[full + 1] >= lp[full]:
            return FAR
    following = FAR
    for number in range(lp[PATTERNS]):
        at = lp[PATTERNS_AT] + number * H_SIZE
        following = min(following, cycle + 1 if lp[at + H_LEFT] > 0 else lp[at + H_DUE])
    return following


@kernel
def note_host(lp: Lpddr, ticket: int, cycle: int) -> None:
    """Note that the request with `ticket` is visible in core cycle `cycle`."""
    wait = cycle - (ticket - HOST_TICKET)
    lp[HOST_WAIT] += wait
    lp[HOST_LONGEST_WAIT] = max(lp[HOST_LONGEST_WAIT], wait)
