"""DMA-A and DMA-W of the fast engine: bursts out, bursts in, credits (sections 3 to 5 of
docs/timing_model.md).
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.machine_decode import advance_decoder
from azsim_kernels.machine_types import (
    COUNT_A_READ,
    COUNT_A_REQUESTS,
    COUNT_A_WRITE,
    COUNT_STORE_REQUESTS,
    COUNT_W_REQUESTS,
    FAR,
    Blocks,
    Ints,
    Plan,
    Records,
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
    if dma["row_bytes"] == 0:
        dma["row"] = dma["rows"]
    if dma["row"] == dma["rows"]:
        return
    dma["at"] = dma["table"] + rows[dma["row"]] * dma["row_bytes"]
    dma["end"] = dma["at"] + dma["row_bytes"]
    dma["border"] = (dma["at"] // burst_bytes + 1) * burst_bytes
    dma["row"] += 1


@kernel
def issue_dma_a(params: Records, blocks: Blocks, counters: Ints, now: int) -> int:
    """Phase 4 of DMA-A; return the next cycle in which it may issue, FAR if it waits for bursts."""
    dma = blocks.dma_a[0]
    if dma["at"] == dma["end"]:
        return FAR
    if dma["in_flight"] < params["dma_a_outstanding"]:
        to = min(dma["end"], dma["border"])
        moved = _moved_bytes(dma["at"], to, params["access_bytes"])
        put_request(blocks.buses[0], blocks.completions[0], now, moved, TICKET_A)
        counters[COUNT_A_REQUESTS] += 1
        counters[COUNT_A_WRITE if dma["writes"] == 1 else COUNT_A_READ] += moved
        blocks.clock[0]["last_event"] = now
        dma["in_flight"] += 1
        dma["at"] = to
        dma["border"] += params["dma_a_burst_bytes"]
        if to == dma["end"]:
            next_row(dma, blocks.rows, params["dma_a_burst_bytes"])
    if dma["at"] == dma["end"] or dma["in_flight"] >= params["dma_a_outstanding"]:
        return FAR
    return now + 1


@kernel
def credit_cycle(params: Records, channel: Records, unit: Records, accepts: Ints) -> int:
    """Return the cycle from which the channel's next burst has the credits it needs, FAR if the
    words that must be accepted before have no time yet.

    `channel` has requests left.
    """
    shift = params["port_shift"]
    done = channel["at"] - channel["begin"]
    to = min(channel["end"], channel["border"])
    after = to - channel["begin"]
    if to == channel["end"]:
        after += (1 << shift) - 1  # the last burst completes a part of a word too
    words = (after >> shift) - (done >> shift)
    must_return = channel["taken"] + words - params["fifo_words"]
    if must_return <= 0:
        return 0
    if must_return > unit["accepted"]:
        return FAR
    return accepts[(must_return - 1) & (accepts.size - 1)] + 1  # type: ignore[no-any-return]


@kernel
def _issue_burst(params: Records, blocks: Blocks, number: int, counters: Ints, now: int) -> None:
    """Issue the next request of channel `number`."""
    channel = blocks.channels[number]
    shift = params["port_shift"]
    begin = channel["at"]
    to = min(channel["end"], channel["border"])
    after = to - channel["begin"]
    if to == channel["end"]:
        after += (1 << shift) - 1
    words = (after >> shift) - ((begin - channel["begin"]) >> shift)
    ring = blocks.bursts.shape[1]
    place = channel["tail"] & (ring - 1)
    ticket = number * ring + place
    if channel["source"] == 1:
        moved = to - begin
        count = COUNT_STORE_REQUESTS
    else:
        moved = _moved_bytes(begin, to, params["access_bytes"])
        count = COUNT_W_REQUESTS
    bus = channel["source"]
    put_request(blocks.buses[bus], blocks.completions[bus], now, moved, ticket)
    counters[count] += 1
    counters[count + 1] += moved
    blocks.bursts[number, place, 0] = words
    blocks.bursts[number, place, 1] = 0
    channel["taken"] += words
    channel["tail"] += 1
    channel["at"] = to
    channel["border"] += params["dma_w_burst_bytes"]
    clock = blocks.clock[0]
    clock["w_in_flight"] += 1
    clock["last_event"] = now
    if to == channel["end"]:
        blocks.engines[number]["free_at"] = now + 1
        clock["next_free"] = min(clock["next_free"], now + 1)


@kernel
def _choose_channel(params: Records, blocks: Blocks, now: int) -> int:
    """Note in each channel when it has its credits; return the first one in turn that has them
    now, -1 if none has or no further burst may be in flight.
    """
    clock = blocks.clock[0]
    units = params["units"]
    chosen = -1
    asked = clock["asked_first"]
    for _ in range(units):
        channel = blocks.channels[asked]
        channel["ready"] = FAR
        if channel["at"] < channel["end"]:
            ready = credit_cycle(params, channel, blocks.units[asked], blocks.accepts[asked])
            channel["ready"] = ready
            if chosen < 0 and ready <= now:
                chosen = asked
        asked = asked + 1 if asked + 1 < units else 0
    return chosen if clock["w_in_flight"] < params["dma_w_outstanding"] else -1


@kernel
def issue_dma_w(params: Records, blocks: Blocks, counters: Ints, now: int) -> int:
    """Phase 4 of DMA-W; return the next cycle in which one of its channels may issue or gets
    its credits, FAR if all wait for bursts or words.
    """
    clock = blocks.clock[0]
    units = params["units"]
    chosen = _choose_channel(params, blocks, now)
    if chosen >= 0:
        _issue_burst(params, blocks, chosen, counters, now)
        clock["asked_first"] = chosen + 1 if chosen + 1 < units else 0
        channel = blocks.channels[chosen]
        channel["ready"] = FAR
        if channel["at"] < channel["end"]:
            channel["ready"] = credit_cycle(
                params, channel, blocks.units[chosen], blocks.accepts[chosen]
            )
    room = clock["w_in_flight"] < params["dma_w_outstanding"]
    later = FAR
    for number in range(units):
        channel = blocks.channels[number]
        if room:
            later = min(later, max(channel["ready"], now + 1))
        elif channel["head"] == channel["tail"] and channel["ready"] > now:
            later = min(later, channel["ready"])  # its class changes
    return later


@kernel
def deliver_words(
    params: Records, plan: Plan, blocks: Blocks, storage: Storage, number: int, now: int
) -> None:
    """Advance the decoder of unit `number` as far as its words and commands allow; the end of its
    command becomes known with its last beat.
    """
    unit = blocks.units[number]
    room = WINDOW_BITS // params["port_bits"]
    while advance_decoder(
        unit,
        blocks.accepts[number],
        blocks.fires[number],
        blocks.runs[number],
        storage.run,
        storage.need,
        now,
        room,
    ):
        free = unit["last_fire"] + 1 + params["decoder_pipeline_cycles"]
        blocks.engines[params["units"] + 1 + number]["free_at"] = free
        clock = blocks.clock[0]
        clock["next_free"] = min(clock["next_free"], free)
        if unit["tile"] < unit["known"]:
            fetch = plan.order[blocks.engines[number]["first"] + unit["tile"]]
            unit["words"] = plan.commands[fetch]["words"]


@kernel
def take_arrivals(params: Records, plan: Plan, blocks: Blocks, storage: Storage, now: int) -> None:
    """Phase 1: hand over the bursts that are visible at `now`."""
    ring = blocks.bursts.shape[1]
    clock = blocks.clock[0]
    ticket = pop_completion(blocks.buses, blocks.completions, now)
    while ticket >= 0:
        if ticket == TICKET_A:
            _arrive_dma_a(params, blocks, now)
        else:
            number = ticket // ring
            channel = blocks.channels[number]
            bursts = blocks.bursts[number]
            bursts[ticket - number * ring, 1] = 1
            arrived = False
            while (
                channel["head"] < channel["tail"] and bursts[channel["head"] & (ring - 1), 1] == 1
            ):
                blocks.units[number]["visible"] += bursts[channel["head"] & (ring - 1), 0]
                channel["head"] += 1
                clock["w_in_flight"] -= 1
                arrived = True
            if arrived:
                clock["last_event"] = now
                deliver_words(params, plan, blocks, storage, number, now)
        ticket = pop_completion(blocks.buses, blocks.completions, now)


@kernel
def _arrive_dma_a(params: Records, blocks: Blocks, now: int) -> None:
    dma = blocks.dma_a[0]
    clock = blocks.clock[0]
    dma["in_flight"] -= 1
    clock["last_event"] = now
    if dma["in_flight"] == 0 and dma["at"] == dma["end"]:
        blocks.engines[params["units"]]["free_at"] = now
        clock["next_free"] = now
