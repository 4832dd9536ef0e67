"""DMA-A and DMA-W of the fast engine: bursts out, bursts in, credits (sections 3 to 5 of
docs/timing_model.md).
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.machine_decode import advance_decoder
from azsim_kernels.machine_types import (
    ACCEPT,
    COUNT_A_READ,
    COUNT_A_REQUESTS,
    COUNT_A_WRITE,
    COUNT_STORE_REQUESTS,
    COUNT_W_REQUESTS,
    FAR,
    Ints,
    Plan,
    Records,
    Rings,
    Storage,
)
from azsim_kernels.memory_simple import pop_completion, put_request
from azsim_kernels.tile_format import WINDOW_BITS

TICKET_A = 1 << 40  # DMA-A's bursts need no names: the command counts them


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
def issue_dma_a(params: Records, core: Records, rings: Rings, counters: Ints) -> int:
    """Phase 4 of DMA-A; return the next cycle in which it may issue, FAR if it waits for bursts."""
    dma = core["dma_a"][0]
    if dma["at"] == dma["end"]:
        return FAR
    if dma["in_flight"] < params["dma_a_outstanding"]:
        to = min(dma["end"], dma["border"])
        moved = _moved_bytes(dma["at"], to, params["access_bytes"])
        put_request(core, 0, rings.completions, moved, TICKET_A)
        counters[COUNT_A_REQUESTS] += 1
        counters[COUNT_A_WRITE if dma["writes"] == 1 else COUNT_A_READ] += moved
        core["last_event"] = core["now"]
        dma["in_flight"] += 1
        dma["at"] = to
        dma["border"] += params["dma_a_burst_bytes"]
        if to == dma["end"]:
            next_row(dma, rings.rows, params["dma_a_burst_bytes"])
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
def _note_credits(params: Records, channel: Records, unit: Records, words: Ints) -> None:
    """Set `ready`: the cycle from which the channel's next burst has the credits it needs, FAR if
    the words that must be accepted before have no time yet or there is no burst.

    words  (3, window) as in Rings
    """
    channel["ready"] = FAR
    if channel["at"] < channel["end"]:
        must_return = channel["taken"] + _next_words(params, channel) - params["fifo_words"]
        if must_return <= 0:
            channel["ready"] = 0
        elif must_return <= unit["accepted"]:
            channel["ready"] = words[ACCEPT, (must_return - 1) & (words.shape[1] - 1)] + 1


@kernel
def _issue_burst(params: Records, core: Records, rings: Rings, counters: Ints, number: int) -> None:
    """Issue the next request of channel `number`."""
    channel = core["channels"][number]
    words = _next_words(params, channel)
    to = min(channel["end"], channel["border"])
    place = channel["tail"] & (rings.bursts.shape[1] - 1)
    if channel["source"] == 1:
        moved = to - channel["at"]
        count = COUNT_STORE_REQUESTS
    else:
        moved = _moved_bytes(channel["at"], to, params["access_bytes"])
        count = COUNT_W_REQUESTS
    ticket = number * rings.bursts.shape[1] + place
    put_request(core, channel["source"], rings.completions, moved, ticket)
    counters[count] += 1
    counters[count + 1] += moved
    rings.bursts[number, place, 0] = words
    rings.bursts[number, place, 1] = 0
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
def issue_dma_w(params: Records, core: Records, rings: Rings, counters: Ints) -> int:
    """Phase 4 of DMA-W; return the next cycle in which one of its channels may issue or gets
    its credits, FAR if all wait for bursts or words.
    """
    units = params["units"]
    for number in range(units):
        channel, unit = core["channels"][number], core["units"][number]
        _note_credits(params, channel, unit, rings.words[number])
    if core["w_in_flight"] < params["dma_w_outstanding"]:
        chosen = _choose_channel(core, units)
        if chosen >= 0:
            _issue_burst(params, core, rings, counters, chosen)
            core["asked_first"] = chosen + 1 if chosen + 1 < units else 0
            channel, unit = core["channels"][chosen], core["units"][chosen]
            _note_credits(params, channel, unit, rings.words[chosen])
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
def deliver_words(
    params: Records, plan: Plan, core: Records, rings: Rings, storage: Storage, number: int
) -> None:
    """Advance the decoder of unit `number` as far as its words and commands allow; the end of its
    command becomes known with its last beat.
    """
    unit = core["units"][number]
    words = rings.words[number]
    room = WINDOW_BITS // params["port_bits"]
    while advance_decoder(unit, words, storage.schedule, core["now"], room):
        free = unit["last_fire"] + 1 + params["decoder_pipeline_cycles"]
        core["engines"][params["units"] + 1 + number]["free_at"] = free
        core["next_free"] = min(core["next_free"], free)
        if unit["tile"] < unit["known"]:
            fetch = plan.order[core["engines"][number]["first"] + unit["tile"]]
            unit["words"] = plan.commands[fetch]["words"]


@kernel
def _arrive_dma_w(core: Records, bursts: Ints, number: int, place: int) -> bool:
    """Note that a burst of channel `number` is there; return whether words become visible: those
    of all bursts in front of which none is missing.
    """
    channel = core["channels"][number]
    bursts[place, 1] = 1
    arrived = False
    while channel["head"] < channel["tail"]:
        first = channel["head"] & (bursts.shape[0] - 1)
        if bursts[first, 1] == 0:
            break
        core["units"][number]["visible"] += bursts[first, 0]
        channel["head"] += 1
        core["w_in_flight"] -= 1
        arrived = True
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
def take_arrivals(
    params: Records, plan: Plan, core: Records, rings: Rings, storage: Storage
) -> None:
    """Phase 1: hand over the bursts that are visible now."""
    ring = rings.bursts.shape[1]
    while True:
        ticket = pop_completion(core, rings.completions)
        if ticket < 0:
            break
        if ticket == TICKET_A:
            _arrive_dma_a(params, core)
        else:
            number = ticket // ring
            if _arrive_dma_w(core, rings.bursts[number], number, ticket - number * ring):
                core["last_event"] = core["now"]
                deliver_words(params, plan, core, rings, storage, number)
