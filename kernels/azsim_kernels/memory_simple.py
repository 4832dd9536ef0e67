"""The simple memory as a source of completions: latency and a rate, in exact integers.

A request gets a ticket of the caller; its completion is popped in time order, bus by bus. A
memory with another law (and another order) only has to offer the same three functions.
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.machine_types import FAR, Records


@kernel
def put_request(core: Records, number: int, moved_bytes: int, ticket: int) -> None:
    """Put a request of `moved_bytes` on bus `number` (0 memory, 1 weight store) now.

    core  CORE record; a bus is free at cycle + part / bytes
    """
    bus = core["buses"][number]
    if moved_bytes != bus["usual"]:
        time = moved_bytes * bus["per_cycles"]
        bus["usual"] = moved_bytes
        bus["usual_cycles"] = time // bus["bytes"]
        bus["usual_part"] = time % bus["bytes"]
    cycle = bus["cycle"]
    part = bus["part"]
    if cycle < core["now"]:
        cycle = core["now"]
        part = 0
    cycle += bus["usual_cycles"]
    part += bus["usual_part"]
    if part >= bus["bytes"]:
        part -= bus["bytes"]
        cycle += 1
    bus["cycle"] = cycle
    bus["part"] = part
    completions = core["completions"]
    place = bus["tail"] & (completions.shape[1] - 1)
    completions[number, place, 0] = cycle + (1 if part > 0 else 0) + bus["latency"]
    completions[number, place, 1] = ticket
    bus["tail"] += 1


@kernel
def next_completion(core: Records) -> int:
    """Return the cycle of the earliest completion, FAR if nothing is under way."""
    earliest = FAR
    completions = core["completions"]
    for b in range(2):
        bus = core["buses"][b]
        if bus["head"] < bus["tail"]:
            place = bus["head"] & (completions.shape[1] - 1)
            earliest = min(earliest, completions[b, place, 0])
    return earliest


@kernel
def pop_completion(core: Records) -> int:
    """Remove a completion of this cycle or before and return its ticket, -1 if there is none."""
    completions = core["completions"]
    for b in range(2):
        bus = core["buses"][b]
        if bus["head"] < bus["tail"]:
            place = bus["head"] & (completions.shape[1] - 1)
            if completions[b, place, 0] <= core["now"]:
                bus["head"] += 1
                return completions[b, place, 1]  # type: ignore[no-any-return]
    return -1
