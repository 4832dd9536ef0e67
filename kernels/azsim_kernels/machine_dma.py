"""DMA-A and DMA-W of the fast engine: bursts out, bursts in, credits (sections 3 to 5 of
docs/timing_model.md).
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.lpddr_params import PORT_A, PORT_W
from azsim_kernels.machine_memory import OF_HOST, pop_ticket, put_memory_request
from azsim_kernels.machine_types import (
    ACCEPT,
    COUNT_A_READ,
    COUNT_A_REQUESTS,
    COUNT_A_WRITE,
    COUNT_STORE_REQUESTS,
    COUNT_W_REQUESTS,
    FAR,
    MAX_IN_FLIGHT,
    WINDOW,
    Ints,
    Records,
    typed,
)
from azsim_kernels.memory_simple import put_request

TICKET_A = typed(1 << 40)  # DMA-A's bursts need no names: the command counts them
_STORE = typed(1)  # bus number
_PORT_A, _PORT_W = typed(PORT_A), typed(PORT_W)
NOTHING = -1  # no burst is visible any more
NO_WORDS = -2  # a burst is, but it brings no words to a decoder


@kernel
def _moved_bytes(begin: int, end: int, access_bytes: int) -> int:
    """Return the bytes of accesses of `access_bytes` (a power of two) that [begin, end) touches."""
    return ((end + access_bytes - 1) & -access_bytes) - (begin & -access_bytes)


@kernel
def next_row(dma: Records, rows: Ints, burst_bytes: int) -> None:
    """Let DMA-A go on with the next range of its command, if there is one."""
    if dma["row_bytes"] > 0 and dma["row"] < dma["rows"]:
        dma["at"] = dma["table"] + rows[dma["row"]] * dma["row_bytes"]
        dma["end"] = dma["at"] + dma["row_bytes"]
        dma["border"] = (dma["at"] // burst_bytes + 1) * burst_bytes
        dma["row"] += 1


@kernel
def issue_dma_a(params: Records, core: Records, lp: Ints, rows: Ints) -> None:
    """Phase 4 of DMA-A, whose command has requests left: issue one if it may be in flight."""
    dma = core["dma_a"][0]
    if dma["in_flight"] < params["dma_a_outstanding"]:
        to = min(dma["end"], dma["border"])
        moved = _moved_bytes(dma["at"], to, params["access_bytes"])
        size = to - dma["at"]
        writes = dma["writes"] == 1
        put_memory_request(core, lp, _PORT_A, dma["at"], size, moved, writes, TICKET_A)
        core["counters"][COUNT_A_REQUESTS] += 1
        core["counters"][COUNT_A_WRITE if writes else COUNT_A_READ] += moved
        core["last_event"] = core["now"]
        dma["in_flight"] += 1
        dma["at"] = to
        dma["border"] += params["dma_a_burst_bytes"]
        if to == dma["end"]:
            next_row(dma, rows, params["dma_a_burst_bytes"])


@kernel
def next_dma_a(params: Records, core: Records) -> int:
    """Return the next cycle in which DMA-A may issue, FAR if it has nothing or waits for bursts."""
    dma = core["dma_a"][0]
    if dma["at"] == dma["end"] or dma["in_flight"] >= params["dma_a_outstanding"]:
        return FAR
    return core["now"] + 1  # type: ignore[no-any-return]


@kernel
def _next_words(params: Records, channel: Records) -> int:
    """Return the port words that the channel's next burst completes."""
    shift = params["port_shift"]
    to = min(channel["end"], channel["border"])
    after = to - channel["begin"]
    if to == channel["end"]:
        after += (1 << shift) - 1  # the last burst completes a part of a word too
    return (after >> shift) - ((channel["at"] - channel["begin"]) >> shift)  # type: ignore[no-any-return]


@kernel
def _note_credits(params: Records, core: Records, number: int) -> None:
    """Set `ready`: the cycle from which the channel's next burst has the credits it needs, FAR if
    the words that must be accepted before have no time yet or there is no burst.
    """
    channel = core["channels"][number]
    channel["ready"] = FAR
    if channel["at"] < channel["end"]:
        must_return = channel["taken"] + _next_words(params, channel) - params["fifo_words"]
        if must_return <= 0:
            channel["ready"] = 0
        elif must_return <= core["units"][number]["accepted"]:
            place = (must_return - 1) & (WINDOW - 1)
            channel["ready"] = core["words"][number, ACCEPT, place] + 1


@kernel
def _issue_burst(params: Records, core: Records, lp: Ints, number: int) -> None:
    """Issue the next request of channel `number`."""
    channel = core["channels"][number]
    words = _next_words(params, channel)
    to = min(channel["end"], channel["border"])
    place = channel["tail"] & (MAX_IN_FLIGHT - 1)
    ticket = number * MAX_IN_FLIGHT + place
    size = to - channel["at"]
    if channel["source"] == 1:
        moved = size
        count = COUNT_STORE_REQUESTS
        put_request(core, _STORE, moved, ticket)
    else:
        moved = _moved_bytes(channel["at"], to, params["access_bytes"])
        count = COUNT_W_REQUESTS
        put_memory_request(core, lp, _PORT_W, channel["at"], size, moved, False, ticket)
    core["counters"][count] += 1
    core["counters"][count + 1] += moved
    core["bursts"][number, place, 0] = words
    core["bursts"][number, place, 1] = 0
    channel["taken"] += words
    channel["tail"] += 1
    channel["at"] = to
    channel["border"] += params["dma_w_burst_bytes"]
    core["w_in_flight"] += 1
    core["last_event"] = core["now"]
    if to == channel["end"]:
        free = core["now"] + 1
        core["engines"][number]["free_at"] = free
        core["next_free"] = min(core["next_free"], free)


@kernel
def _choose_channel(core: Records, units: int) -> int:
    """Return the first channel in turn that has its credits now, -1 if none has."""
    asked = core["asked_first"]
    for _ in range(units):
        if core["channels"][asked]["ready"] <= core["now"]:
            return asked  # type: ignore[no-any-return]
        asked = asked + 1 if asked + 1 < units else 0
    return -1


@kernel
def issue_dma_w(params: Records, core: Records, lp: Ints) -> int:
    """Phase 4 of DMA-W; return the next cycle in which one of its channels may issue or gets
    its credits, FAR if all wait for bursts or words.
    """
    units = params["units"]
    for number in range(units):
        _note_credits(params, core, number)
    if core["w_in_flight"] < params["dma_w_outstanding"]:
        chosen = _choose_channel(core, units)
        if chosen >= 0:
            _issue_burst(params, core, lp, chosen)
            core["asked_first"] = chosen + 1 if chosen + 1 < units else 0
            _note_credits(params, core, chosen)
    room = core["w_in_flight"] < params["dma_w_outstanding"]
    later = FAR
    for number in range(units):
        channel = core["channels"][number]
        if room:
            later = min(later, max(channel["ready"], core["now"] + 1))
        elif channel["head"] == channel["tail"] and channel["ready"] > core["now"]:
            later = min(later, channel["ready"])  # its class changes
    return later


@kernel
def _arrive_dma_w(core: Records, ticket: int) -> int:
    """Note that a burst is there; return its channel if words become visible (those of all bursts
    in front of which none is missing), else NO_WORDS.
    """
    number = ticket // MAX_IN_FLIGHT
    channel = core["channels"][number]
    core["bursts"][number, ticket % MAX_IN_FLIGHT, 1] = 1
    arrived = NO_WORDS
    while channel["head"] < channel["tail"]:
        first = channel["head"] & (MAX_IN_FLIGHT - 1)
        if core["bursts"][number, first, 1] == 0:
            break
        core["units"][number]["visible"] += core["bursts"][number, first, 0]
        channel["head"] += 1
        core["w_in_flight"] -= 1
        core["last_event"] = core["now"]
        arrived = number
    return arrived


@kernel
def _arrive_dma_a(params: Records, core: Records) -> None:
    dma = core["dma_a"][0]
    dma["in_flight"] -= 1
    core["last_event"] = core["now"]
    if dma["in_flight"] == 0 and dma["at"] == dma["end"]:
        core["engines"][params["units"]]["free_at"] = core["now"]
        core["next_free"] = core["now"]


@kernel
def take_arrival(params: Records, core: Records, lp: Ints) -> int:
    """Phase 1: hand over one burst that is visible now; return the unit that gets words from it,
    NO_WORDS or NOTHING.
    """
    ticket = pop_ticket(core, lp)
    if ticket < 0:
        return NOTHING
    if ticket >= OF_HOST:
        return NO_WORDS
    if ticket == TICKET_A:
        _arrive_dma_a(params, core)
        return NO_WORDS
    return _arrive_dma_w(core, ticket)
