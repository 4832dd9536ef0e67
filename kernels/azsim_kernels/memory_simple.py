"""The simple memory as a source of completions: latency and a rate, in exact integers.

A request gets a ticket of the caller; its completion is popped in time order, bus by bus. A
memory with another law (and another order) only has to offer the same three functions.
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.machine_types import FAR, Ints, Records


@kernel
def put_request(bus: Records, completions: Ints, now: int, moved_bytes: int, ticket: int) -> None:
    """Put a request of `moved_bytes` on `bus` in cycle `now`.

    bus            one BUS record; it is free at cycle + part / bytes
    completions    (ring, 2), ring a power of two above the requests that can be in flight
    """
    if moved_bytes != bus["usual"]:
        time = moved_bytes * bus["per_cycles"]
        bus["usual"] = moved_bytes
        bus["usual_cycles"] = time // bus["bytes"]
        bus["usual_part"] = time % bus["bytes"]
    cycle = bus["cycle"]
    part = bus["part"]
    if cycle < now:
        cycle = now
        part = 0
    cycle += bus["usual_cycles"]
    part += bus["usual_part"]
    if part >= bus["bytes"]:
        part -= bus["bytes"]
        cycle += 1
    bus["cycle"] = cycle
    bus["part"] = part
    place = bus["tail"] & (completions.shape[0] - 1)
    completions[place, 0] = cycle + (1 if part > 0 else 0) + bus["latency"]
    completions[place, 1] = ticket
    bus["tail"] += 1


@kernel
def next_completion(buses: Records, completions: Ints) -> int:
    """Return the cycle of the earliest completion, FAR if nothing is under way."""
    earliest = FAR
    for b in range(buses.size):
        bus = buses[b]
        if bus["head"] < bus["tail"]:
            place = bus["head"] & (completions.shape[1] - 1)
            earliest = min(earliest, completions[b, place, 0])
    return earliest


@kernel
def pop_completion(buses: Records, completions: Ints, now: int) -> int:
    """Remove a completion of cycle `now` or before and return its ticket, -1 if there is none."""
    for b in range(buses.size):
        bus = buses[b]
        if bus["head"] < bus["tail"]:
            place = bus["head"] & (completions.shape[1] - 1)
            if completions[b, place, 0] <= now:
                bus["head"] += 1
                return completions[b, place, 1]  # type: ignore[no-any-return]
    return -1
