"""A stream in order moves by row: many column commands of the fast LPDDR model at once.

While one port's consecutive bursts are served in order from open rows, their column commands follow
each other at an even distance, and everything else that could happen is a matter of knowing when.
`stream_columns` finds how many can be sent before anything else does, and does to the state what
sending them one by one would have done. The tests compare both ways.
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.lpddr_commands import note_command, ready_clock, trace_command
from azsim_kernels.lpddr_params import ACT, PER_BANK, PRE, READ
from azsim_kernels.lpddr_requests import (
    bank_of,
    leave_queue,
    move_bursts,
    row_of,
    write_entry,
)
from azsim_kernels.lpddr_types import (
    L_AT,
    L_END,
    L_NEXT,
    S_ARRIVAL,
    S_COMMAND,
    S_LEFT,
    W_BANK,
    W_LOCAL,
    W_ROW,
    W_SLOT,
    Lpddr,
)


@kernel
def _columns_until(clock: int, now: int, step: int) -> int:
    """Return how many of the clocks now, now + step, ... lie before `clock`."""
    return (clock - now - 1) // step + 1


@kernel
def _others_wait(lp: Lpddr, ch: int, port: int) -> bool:
    """Say whether another port has a burst in its queue."""
    others = 0
    for other in range(lp.queue.shape[1]):
        others += other != port and lp.queue[ch, other, 0] >= 0
    return others > 0


@kernel
def _queued_in_order(lp: Lpddr, ch: int, limit: int) -> int:
    """Return how many bursts at the head of the stream's queue go on with the stream and have the
    same direction, up to `limit`.
    """
    channel = lp.channels[ch]
    found = 0
    local = channel["last_local"] + 1
    slot = lp.queue[ch, channel["last_port"], 0]
    while slot >= 0 and found < limit:
        link = lp.links[ch, slot]
        if link[L_AT] != local or lp.slots[slot, S_COMMAND] != channel["last_command"]:
            break
        found += link[L_END] - link[L_AT]
        local = link[L_END]
        slot = link[L_NEXT]
    return min(found, limit)


@kernel
def _limit_by_banks(lp: Lpddr, ch: int, first: int, columns: int, now: int, step: int) -> int:
    """Return how many of `columns` bursts from number `first` find their rows open in time."""
    settings = lp.settings[0]
    command = lp.channels[ch]["last_command"]
    banks = settings["banks"]
    for i in range(1, min(columns, settings["cycle_banks"])):
        bank = bank_of(settings, first + i)
        group = banks + bank // settings["banks_per_group"]
        at = now + i * step
        if (
            lp.open_rows[ch, bank] != row_of(settings, first + i)
            or lp.ready[ch, bank, command] > at
            or lp.ready[ch, group, command] > at
        ):
            return i
    return columns


@kernel
def _limit_by_rows(lp: Lpddr, ch: int, first: int, columns: int, now: int, step: int) -> int:
    """Return how many of `columns` column commands go before a row command for the window does."""
    settings = lp.settings[0]
    channel = lp.channels[ch]
    ring = lp.window.shape[1] - 1
    cycle = settings["cycle_banks"]
    block = settings["block"]
    end = first + channel["count"]
    hits = 0
    closed = False
    begin = first
    while begin < end:  # per block, one look at each bank
        after = min((begin // block + 1) * block, end)
        for local in range(begin, min(after, begin + cycle)):
            entry = lp.window[ch, (channel["head"] + local - first) & ring]
            if lp.open_rows[ch, entry[W_BANK]] == entry[W_ROW]:
                hits |= 1 << entry[W_BANK]
            else:
                closed = True
        begin = after
    if not closed:
        return columns
    begin = first
    while begin < end:
        after = min((begin // block + 1) * block, end)
        for local in range(begin, min(after, begin + cycle)):
            entry = lp.window[ch, (channel["head"] + local - first) & ring]
            bank = entry[W_BANK]
            open_row = lp.open_rows[ch, bank]
            if open_row == entry[W_ROW]:
                continue
            if open_row >= 0 and (hits >> bank) & 1:
                # free when the last burst of the row has gone: not before the block's last round
                last = (first // block + 1) * block - cycle
                columns = min(columns, max(1, last - first + 1))
            else:
                command = PRE if open_row >= 0 else ACT
                clock = ready_clock(settings, lp.ready[ch], command, bank)
                columns = min(columns, _columns_until(max(clock, now) + 1, now, step))
        begin = after
    return columns


@kernel
def _limit_by_admission(lp: Lpddr, ch: int, first: int, columns: int) -> int:
    """Return how many of `columns` column commands go before the window lets in a burst that
    needs a row command nobody in the window waits for yet.
    """
    settings = lp.settings[0]
    cycle = settings["cycle_banks"]
    block = settings["block"]
    begin = first + lp.channels[ch]["count"]
    end = begin + columns - 1  # the last column's place is filled after it
    local = begin
    while local < end:
        start = local // block * block
        after = min(start + block, end)
        for x in range(local, min(after, local + cycle)):
            waits = x - cycle >= max(first, start)
            if not waits and lp.open_rows[ch, bank_of(settings, x)] != row_of(settings, x):
                return x - begin + 1
        local = after
    return columns


@kernel
def _following_slot(lp: Lpddr, ch: int, slot: int, sent: int) -> int:
    """Return the request that the stream goes on with when `slot`, its last burst being number
    `sent` from the oldest in the window, is over.
    """
    channel = lp.channels[ch]
    if sent < channel["count"]:
        ring = lp.window.shape[1] - 1
        return lp.window[ch, (channel["head"] + sent) & ring, W_SLOT]  # type: ignore[no-any-return]
    if sent == channel["count"]:
        return lp.queue[ch, channel["last_port"], 0]  # type: ignore[no-any-return]
    return lp.links[ch, slot, L_NEXT]  # type: ignore[no-any-return]


@kernel
def _limit_by_completion(
    lp: Lpddr, ch: int, first: int, columns: int, now: int, step: int, latency: int
) -> int:
    """Return how many of `columns` column commands go before a request of theirs is done: whoever
    waits for it may then ask for more.
    """
    slot = lp.window[ch, lp.channels[ch]["head"], W_SLOT]
    sent = 0
    while sent < columns:
        rest = lp.links[ch, slot, L_END] - first - sent
        if rest > columns - sent:
            break
        sent += rest
        if lp.slots[slot, S_LEFT] == rest:
            ends = now + (sent - 1) * step + latency
            return min(columns, _columns_until(ends, now, step))
        slot = _following_slot(lp, ch, slot, sent)
    return columns


@kernel
def _count_columns(
    lp: Lpddr, ch: int, first: int, now: int, step: int, latency: int, before: int
) -> tuple[int, int]:
    """Return how many column commands can be sent from `now` on with nothing else in between, all
    before clock `before`, and how many bursts enter the window meanwhile; (0, 0) if the window is
    still being filled.
    """
    settings = lp.settings[0]
    channel = lp.channels[ch]
    columns = settings["block"] - first % settings["block"]
    columns = min(columns, _columns_until(before, now, step))
    if settings["refresh"] != PER_BANK:  # else nothing is owed, and `due` begins a refresh
        wait = (settings["batch"] - channel["owed"] - 1) * settings["interval"]
    else:
        wait = 0
    columns = min(columns, _columns_until(channel["due"] + wait, now, step))
    slot = lp.queue[ch, channel["last_port"], 0]
    full = channel["count"] == settings["window"]
    if slot >= 0 and full:
        if lp.slots[slot, S_ARRIVAL] > now:
            return 0, 0
        columns = min(columns, _queued_in_order(lp, ch, columns - 1) + 1)
        entering = 1
    elif slot >= 0 and lp.slots[slot, S_ARRIVAL] <= now + 1:
        return 0, 0
    else:
        columns = min(columns, channel["count"])
        entering = 0
        if slot >= 0:
            columns = min(columns, _columns_until(lp.slots[slot, S_ARRIVAL], now, step))
    alone = settings["read_alone"] if channel["last_command"] == READ else settings["write_alone"]
    if alone == 1:
        left = settings["block"] - first % settings["block"] - channel["count"]
        if left < 0:
            return 0, 0
        columns = min(columns, left + 1)
    columns = _limit_by_banks(lp, ch, first, columns, now, step)
    columns = _limit_by_rows(lp, ch, first, columns, now, step)
    if entering == 1:
        columns = _limit_by_admission(lp, ch, first, columns)
    columns = _limit_by_completion(lp, ch, first, columns, now, step, latency)
    return columns, (columns - 1) * entering


@kernel
def _refill(lp: Lpddr, ch: int, columns: int, entering: int) -> None:
    """Move the window on by `columns` bursts and let `entering` bursts of the queue into it."""
    channel = lp.channels[ch]
    ring = lp.window.shape[1] - 1
    port = channel["last_port"]
    stays = channel["last_local"] - channel["count"] + 1 + columns  # the first not sent
    place = channel["head"] + channel["count"] - channel["last_local"] - 1
    local = channel["last_local"] + 1
    end = local + entering
    while local < end:
        slot = lp.queue[ch, port, 0]
        to = min(lp.links[ch, slot, L_END], end)
        for x in range(max(local, stays), to):
            write_entry(lp, ch, (place + x) & ring, slot, x)
        leave_queue(lp, ch, port, to - local)
        local = to
    channel["head"] = (channel["head"] + columns) & ring
    channel["count"] += entering - columns
    channel["in_order"] += entering
    channel["last_local"] += entering
    if entering > 0:
        channel["turn"] = port + 1 if port + 1 < lp.settings[0]["ports"] else 0


@kernel
def stream_columns(lp: Lpddr, ch: int, now: int, before: int) -> int:
    """Send as many column commands at once as the rules let through from `now`, where the oldest
    burst of the window is about to get its own, up to clock `before`.

    Returns how many were sent; 0 if the window does not hold a stream in order.
    """
    settings = lp.settings[0]
    channel = lp.channels[ch]
    reads = channel["last_command"] == READ
    step = settings["read_cadence"] if reads else settings["write_cadence"]
    if settings["by_row"] == 0 or step == 0 or channel["in_order"] < channel["count"]:
        return 0
    if channel["refreshing"] == 1 or (settings["refresh"] == PER_BANK and channel["owed"] > 0):
        return 0
    if _others_wait(lp, ch, channel["last_port"]):
        return 0
    first = lp.window[ch, channel["head"], W_LOCAL]
    latency = settings["read_clocks"] if reads else settings["write_clocks"]
    columns, entering = _count_columns(lp, ch, first, now, step, latency, before)
    if columns < 2:
        return 0
    command = channel["last_command"]
    slot = lp.window[ch, channel["head"], W_SLOT]
    sent = 0
    while sent < columns:
        bursts = min(lp.links[ch, slot, L_END] - first - sent, columns - sent)
        sent += bursts
        move_bursts(lp, slot, bursts, now + (sent - 1) * step + latency)
        if sent < columns:
            slot = _following_slot(lp, ch, slot, sent)
    for i in range(max(0, columns - settings["cycle_banks"]), columns):
        note_command(lp, ch, command, bank_of(settings, first + i), now + i * step)
    lp.counts[ch, command] += columns
    if lp.core[0]["traced"] < lp.trace.shape[0]:
        for i in range(columns):
            bank = bank_of(settings, first + i)
            row = row_of(settings, first + i)
            trace_command(lp, ch, command, bank, row, channel["last_port"], now + i * step)
    _refill(lp, ch, columns, entering)
    channel["bypassed"] = 0
    channel["pending"] -= columns
    channel["seen"] = now + (columns - 1) * step + 1
    channel["clock"] = channel["seen"]
    return columns
