"""Requests of the fast LPDDR model: from the ports to the windows of the channels, and out again
when their last burst has moved (sections 2, 4 and 7 of docs/memory.md).
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.lpddr_params import BAD_REQUEST, PORT_FULL, READ, TAKEN, WRITE
from azsim_kernels.lpddr_types import (
    FAR,
    L_AT,
    L_END,
    L_NEXT,
    S_ARRIVAL,
    S_COMMAND,
    S_DONE,
    S_LEFT,
    S_NUMBER,
    S_PORT,
    S_TICKET,
    W_BANK,
    W_COMMAND,
    W_LOCAL,
    W_ROW,
    W_SLOT,
    Lpddr,
    Records,
)


@kernel
def bank_of(settings: Records, local: int) -> int:
    """Return the bank of burst number `local` of a channel, counted through all groups."""
    per_group = settings["banks_per_group"]
    bank = (local >> settings["bank_shift"]) & (per_group - 1)
    bank ^= (local >> settings["row_shift"]) & settings["xor_mask"]
    groups = settings["groups"]
    return ((local >> settings["group_shift"]) & (groups - 1)) * per_group + bank  # type: ignore[no-any-return]


@kernel
def row_of(settings: Records, local: int) -> int:
    """Return the row of burst number `local` of a channel."""
    return (local >> settings["row_shift"]) & (settings["rows"] - 1)  # type: ignore[no-any-return]


@kernel
def local_number(settings: Records, ch: int, burst: int) -> int:
    """Return how many bursts below number `burst` of the memory lie on channel `ch`: the number on
    that channel of the first one from `burst` on.
    """
    shift = settings["channel_shift"]
    rounds = burst >> (shift + settings["channel_bits"])
    rest = burst - (rounds << (shift + settings["channel_bits"])) - (ch << shift)
    size = 1 << shift
    return (rounds << shift) + min(max(rest, 0), size)  # type: ignore[no-any-return]


@kernel
def put_request(
    lp: Lpddr, port: int, ticket: int, address: int, size: int, is_write: bool, time_ps: int
) -> int:
    """Take the request of `port` for `size` bytes from `address`, issued at `time_ps`.

    Requests of one port are given in the order of their times, and none before the time up to
    which `advance` has gone. Returns TAKEN, PORT_FULL if the port has as many requests in flight as
    it may, or BAD_REQUEST for bytes outside the memory. `ticket` must not be negative.
    """
    settings = lp.settings[0]
    if size <= 0 or address < 0 or size > settings["capacity_bytes"] - address:
        return BAD_REQUEST
    if lp.in_flight[port] >= lp.outstanding[port]:
        return PORT_FULL
    core = lp.core[0]
    core["free_slots"] -= 1
    slot = lp.free[core["free_slots"]]
    first = address // settings["burst_bytes"]
    end = (address + size - 1) // settings["burst_bytes"] + 1
    arrival = (time_ps + settings["clock_ps"] - 1) // settings["clock_ps"]
    lp.in_flight[port] += 1
    request = lp.slots[slot]
    request[S_TICKET] = ticket
    request[S_PORT] = port
    request[S_NUMBER] = core["requests"]
    request[S_COMMAND] = WRITE if is_write else READ
    request[S_ARRIVAL] = arrival
    request[S_LEFT] = end - first
    request[S_DONE] = 0
    core["requests"] += 1
    for ch in range(settings["channels"]):
        at = local_number(settings, ch, first)
        to = local_number(settings, ch, end)
        if at < to:
            _queue_part(lp, ch, port, slot, at, to, arrival)
    return TAKEN


@kernel
def _queue_part(lp: Lpddr, ch: int, port: int, slot: int, at: int, end: int, arrival: int) -> None:
    """Append the bursts [at, end) of channel `ch` to the queue of `port`."""
    link = lp.links[ch, slot]
    link[L_AT] = at
    link[L_END] = end
    link[L_NEXT] = -1
    queue = lp.queue[ch, port]
    if queue[0] < 0:
        queue[0] = slot
    else:
        lp.links[ch, queue[1], L_NEXT] = slot
    queue[1] = slot
    channel = lp.channels[ch]
    channel["pending"] += end - at
    channel["clock"] = min(channel["clock"], max(arrival, channel["seen"]))


@kernel
def write_entry(lp: Lpddr, ch: int, place: int, slot: int, local: int) -> None:
    """Write burst `local` of the request in `slot` into the window."""
    settings = lp.settings[0]
    entry = lp.window[ch, place]
    entry[W_SLOT] = slot
    entry[W_LOCAL] = local
    entry[W_BANK] = bank_of(settings, local)
    entry[W_ROW] = row_of(settings, local)
    entry[W_COMMAND] = lp.slots[slot, S_COMMAND]


@kernel
def leave_queue(lp: Lpddr, ch: int, port: int, bursts: int) -> None:
    """Take the first `bursts` bursts of the request at the head out of the queue of `port`."""
    queue = lp.queue[ch, port]
    link = lp.links[ch, queue[0]]
    link[L_AT] += bursts
    if link[L_AT] == link[L_END]:
        queue[0] = link[L_NEXT]


@kernel
def admit_burst(lp: Lpddr, ch: int, now: int) -> int:
    """Let one burst into the window of channel `ch`, the ports asked in turn.

    Returns the first clock in which another one may follow, FAR if none waits or there is no room.
    """
    settings = lp.settings[0]
    channel = lp.channels[ch]
    if channel["count"] >= settings["window"]:
        return FAR
    ports = settings["ports"]
    following = FAR
    port = channel["turn"]
    for _ in range(ports):
        slot = lp.queue[ch, port, 0]
        if slot >= 0:
            if lp.slots[slot, S_ARRIVAL] <= now:
                _admit_from(lp, ch, port, slot)
                return now + 1 if channel["count"] < settings["window"] else FAR
            following = min(following, lp.slots[slot, S_ARRIVAL])
        port = port + 1 if port + 1 < ports else 0
    return following


@kernel
def _admit_from(lp: Lpddr, ch: int, port: int, slot: int) -> None:
    channel = lp.channels[ch]
    local = lp.links[ch, slot, L_AT]
    command = lp.slots[slot, S_COMMAND]
    ring = lp.window.shape[1] - 1
    write_entry(lp, ch, (channel["head"] + channel["count"]) & ring, slot, local)
    channel["count"] += 1
    leave_queue(lp, ch, port, 1)
    follows = (
        local == channel["last_local"] + 1
        and port == channel["last_port"]
        and command == channel["last_command"]
    )
    channel["in_order"] = channel["in_order"] + 1 if follows else 1
    channel["last_local"] = local
    channel["last_port"] = port
    channel["last_command"] = command
    channel["turn"] = port + 1 if port + 1 < lp.settings[0]["ports"] else 0


@kernel
def drop_entry(lp: Lpddr, ch: int, index: int) -> None:
    """Take the burst `index` places from the oldest out of the window."""
    channel = lp.channels[ch]
    ring = lp.window.shape[1] - 1
    head = channel["head"]
    for i in range(index, 0, -1):
        lp.window[ch, (head + i) & ring] = lp.window[ch, (head + i - 1) & ring]
    channel["head"] = (head + 1) & ring
    channel["count"] -= 1
    if index > 0:  # those behind the gap are still neighbours, with those before it no more
        channel["in_order"] = min(channel["in_order"], channel["count"] - index)


@kernel
def move_bursts(lp: Lpddr, slot: int, bursts: int, ends: int) -> bool:
    """Note that the last of `bursts` bursts of a request ends at clock `ends`; say whether the
    request is done.
    """
    request = lp.slots[slot]
    request[S_LEFT] -= bursts
    request[S_DONE] = max(request[S_DONE], ends)
    if request[S_LEFT] > 0:
        return False
    core = lp.core[0]
    mask = lp.done.size - 1
    at = core["done_head"] + core["done_count"]
    while at > core["done_head"] and _comes_before(lp, slot, lp.done[(at - 1) & mask]):
        lp.done[at & mask] = lp.done[(at - 1) & mask]
        at -= 1
    lp.done[at & mask] = slot
    core["done_count"] += 1
    return True


@kernel
def _comes_before(lp: Lpddr, slot: int, other: int) -> bool:
    """Order of completions: by time, port, order of the requests."""
    a = lp.slots[slot]
    b = lp.slots[other]
    if a[S_DONE] != b[S_DONE]:
        return a[S_DONE] < b[S_DONE]  # type: ignore[no-any-return]
    if a[S_PORT] != b[S_PORT]:
        return a[S_PORT] < b[S_PORT]  # type: ignore[no-any-return]
    return a[S_NUMBER] < b[S_NUMBER]  # type: ignore[no-any-return]


@kernel
def first_done(lp: Lpddr) -> int:
    """Return the clock of the earliest completion known, FAR if there is none."""
    core = lp.core[0]
    if core["done_count"] == 0:
        return FAR
    return lp.slots[lp.done[core["done_head"] & (lp.done.size - 1)], S_DONE]  # type: ignore[no-any-return]


@kernel
def next_completion(lp: Lpddr) -> int:
    """Return the time in ps of the earliest completion known, FAR if there is none."""
    clock = first_done(lp)
    return FAR if clock == FAR else clock * lp.settings[0]["clock_ps"]  # type: ignore[no-any-return]


@kernel
def pop_completion(lp: Lpddr, now_ps: int) -> int:
    """Remove the first completion of `now_ps` or before and return its ticket, -1 if none."""
    core = lp.core[0]
    clock = first_done(lp)
    if clock == FAR or clock * lp.settings[0]["clock_ps"] > now_ps:
        return -1
    slot = lp.done[core["done_head"] & (lp.done.size - 1)]
    core["done_head"] += 1
    core["done_count"] -= 1
    lp.free[core["free_slots"]] = slot
    core["free_slots"] += 1
    lp.in_flight[lp.slots[slot, S_PORT]] -= 1
    return lp.slots[slot, S_TICKET]  # type: ignore[no-any-return]
