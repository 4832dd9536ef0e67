"""A stream in order moves by row: many column commands of the fast LPDDR model at once.

While one port's consecutive bursts are served in order from open rows, their column commands follow
each other at an even distance, and everything else that could happen is a matter of knowing when.
`stream_columns` finds how many can be sent before anything else is, and does to the state what
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
)
from azsim_kernels.lpddr_types import (
    BANKS,
    BATCH,
    BLOCK_SHIFT,
    BY_ROW,
    BYPASS_LIMIT,
    C_BARE,
    C_BYPASSED,
    C_COUNT,
    C_COUNTS,
    C_DUE,
    C_HEAD,
    C_IN_ORDER,
    C_LAST_COMMAND,
    C_LAST_LOCAL,
    C_LAST_PORT,
    C_OWED,
    C_PENDING,
    C_REFRESHING,
    C_SEEN,
    C_TURN,
    CYCLE,
    FAR,
    GROUP_BANKS,
    INTERVAL,
    L_AT,
    L_END,
    L_NEXT,
    L_SIZE,
    LINKS_IN,
    OPEN_ROW,
    PORTS,
    QUEUE_IN,
    READ_ALONE,
    READ_CLOCKS,
    READ_STEP,
    READY_IN,
    REFRESH,
    RING_MASK,
    S_ARRIVAL,
    S_COMMAND,
    S_LEFT,
    S_SIZE,
    SLOTS_AT,
    TRACE_ROOM,
    TRACED,
    W_LOCAL,
    W_SIZE,
    W_SLOT,
    WINDOW_BURSTS,
    WINDOW_IN,
    WRITE_ALONE,
    WRITE_CLOCKS,
    WRITE_STEP,
    Lpddr,
)


@kernel
def is_stream(lp: Lpddr, at: int) -> bool:
    """Say whether the window holds consecutive bursts in order, and nothing is being refreshed."""
    return (  # type: ignore[no-any-return]
        lp[BY_ROW] == 1 and lp[at + C_IN_ORDER] >= lp[at + C_COUNT] and lp[at + C_REFRESHING] == 0
    )


@kernel
def choose_in_stream(lp: Lpddr, at: int, now: int) -> tuple[int, int, int]:
    """Do what `choose_command` does where `is_stream`: the first `CYCLE` bursts of each block stand
    for the others, which go to the same rows.
    """
    rows = at + lp[READY_IN] + OPEN_ROW
    first = lp[at + lp[WINDOW_IN] + W_SIZE * lp[at + C_HEAD] + W_LOCAL]
    end = first + lp[at + C_COUNT]
    strict = lp[at + C_BYPASSED] >= lp[BYPASS_LIMIT]
    earliest = FAR
    hits = 0
    asked = 0
    for look in range(2):
        misses = 0
        begin = first
        while begin < end:
            after = min(((begin >> lp[BLOCK_SHIFT]) + 1) << lp[BLOCK_SHIFT], end)
            for local in range(begin, min(after, begin + lp[CYCLE])):
                bank = bank_of(lp, local)
                open_row = lp[rows + 8 * bank]
                command = lp[at + C_LAST_COMMAND]
                if open_row == row_of(lp, local):
                    if look == 1:
                        continue
                    hits |= 1 << bank
                    if strict and local > first:
                        continue
                elif look == 0:
                    misses += 1
                    continue
                elif open_row < 0:
                    command = ACT
                elif (hits >> bank) & 1 and not (strict and local == first):
                    continue
                else:
                    command = PRE
                if look == 1:
                    if (asked >> bank) & 1:
                        continue
                    asked |= 1 << bank
                clock = ready_clock(lp, at, command, bank)
                if clock <= now:
                    return command, local - first, now
                earliest = min(earliest, clock)
            begin = after
        if misses == 0:
            break
    return -1, 0, earliest


@kernel
def _nobody_else_waits(lp: Lpddr, at: int) -> bool:
    for port in range(lp[PORTS]):
        if port != lp[at + C_LAST_PORT] and lp[at + lp[QUEUE_IN] + 2 * port] >= 0:
            return False
    return True


@kernel
def _queued_in_order(lp: Lpddr, at: int, limit: int) -> int:
    """Return how many bursts at the head of the stream's queue go on with the stream and have the
    same direction, up to `limit`.
    """
    found = 0
    local = lp[at + C_LAST_LOCAL] + 1
    slot = lp[at + lp[QUEUE_IN] + 2 * lp[at + C_LAST_PORT]]
    while slot >= 0 and found < limit:
        link = at + lp[LINKS_IN] + L_SIZE * slot
        command = lp[lp[SLOTS_AT] + S_SIZE * slot + S_COMMAND]
        if lp[link + L_AT] != local or command != lp[at + C_LAST_COMMAND]:
            break
        found += lp[link + L_END] - local
        local = lp[link + L_END]
        slot = lp[link + L_NEXT]
    return min(found, limit)


@kernel
def _limit_by_banks(lp: Lpddr, at: int, first: int, columns: int, now: int, step: int) -> int:
    """Return how many of `columns` bursts from number `first` find their rows open in time."""
    ready = at + lp[READY_IN]
    command = lp[at + C_LAST_COMMAND]
    for i in range(1, min(columns, lp[CYCLE])):
        bank = bank_of(lp, first + i)
        group = lp[BANKS] + bank // lp[GROUP_BANKS]
        clock = max(lp[ready + 8 * bank + command], lp[ready + 8 * group + command])
        if lp[ready + 8 * bank + OPEN_ROW] != row_of(lp, first + i) or clock > now + i * step:
            return i
    return columns


@kernel
def _limit_by_rows(
    lp: Lpddr, at: int, first: int, columns: int, now: int, before: int
) -> tuple[int, int]:
    """Return how many of `columns` column commands go, and before which clock, until a row command
    for a burst in the window may go.
    """
    end = first + lp[at + C_COUNT]
    block_end = ((first >> lp[BLOCK_SHIFT]) + 1) << lp[BLOCK_SHIFT]
    if lp[CYCLE] == 1 and end <= block_end:
        return columns, before  # one row, which is open
    rows = at + lp[READY_IN] + OPEN_ROW
    hits = 0
    for look in range(2):
        misses = 0
        begin = first
        while begin < end:
            after = min(((begin >> lp[BLOCK_SHIFT]) + 1) << lp[BLOCK_SHIFT], end)
            for local in range(begin, min(after, begin + lp[CYCLE])):
                bank = bank_of(lp, local)
                open_row = lp[rows + 8 * bank]
                if open_row == row_of(lp, local):
                    hits |= 1 << bank
                elif look == 0:
                    misses += 1
                elif open_row >= 0 and (hits >> bank) & 1:
                    # Free when the last burst for the row has gone: in the block's last round.
                    columns = min(columns, max(1, block_end - lp[CYCLE] - first + 1))
                else:
                    clock = ready_clock(lp, at, PRE if open_row >= 0 else ACT, bank)
                    before = min(before, max(clock, now) + 1)
            begin = after
        if misses == 0:
            break
    return columns, before


@kernel
def _limit_by_entering(lp: Lpddr, at: int, first: int, columns: int) -> int:
    """Return how many of `columns` column commands go before the window lets in a burst that
    needs a row command nobody in the window waits for yet.
    """
    rows = at + lp[READY_IN] + OPEN_ROW
    begin = first + lp[at + C_COUNT]
    end = begin + columns - 1  # the last column's place is filled after it
    local = begin
    while local < end:
        start = (local >> lp[BLOCK_SHIFT]) << lp[BLOCK_SHIFT]
        after = min(start + (1 << lp[BLOCK_SHIFT]), end)
        for x in range(local, min(after, local + lp[CYCLE])):
            known = x - lp[CYCLE] >= max(first, start)
            if not known and lp[rows + 8 * bank_of(lp, x)] != row_of(lp, x):
                return x - begin + 1
        local = after
    return columns


@kernel
def _following_slot(lp: Lpddr, at: int, slot: int, sent: int) -> int:
    """Return the request that the stream goes on with when `slot`, its last burst being number
    `sent` from the oldest in the window, is over.
    """
    if sent < lp[at + C_COUNT]:
        place = (lp[at + C_HEAD] + sent) & lp[RING_MASK]
        return lp[at + lp[WINDOW_IN] + W_SIZE * place + W_SLOT]
    if sent == lp[at + C_COUNT]:
        return lp[at + lp[QUEUE_IN] + 2 * lp[at + C_LAST_PORT]]
    return lp[at + lp[LINKS_IN] + L_SIZE * slot + L_NEXT]


@kernel
def _first_completion(
    lp: Lpddr, at: int, first: int, columns: int, now: int, step: int, latency: int
) -> int:
    """Return the clock in which the first request of `columns` column commands is done, FAR if
    none is: whoever waits for it may then ask for more.
    """
    slot = lp[at + lp[WINDOW_IN] + W_SIZE * lp[at + C_HEAD] + W_SLOT]
    sent = 0
    while True:
        rest = lp[at + lp[LINKS_IN] + L_SIZE * slot + L_END] - first - sent
        if rest > columns - sent:
            return FAR
        sent += rest
        if lp[lp[SLOTS_AT] + S_SIZE * slot + S_LEFT] == rest:
            return now + (sent - 1) * step + latency
        if sent == columns:
            return FAR
        slot = _following_slot(lp, at, slot, sent)


@kernel
def _send_columns(
    lp: Lpddr, at: int, first: int, columns: int, now: int, step: int, latency: int
) -> None:
    """Send `columns` column commands for the bursts from number `first` on."""
    command = lp[at + C_LAST_COMMAND]
    slot = lp[at + lp[WINDOW_IN] + W_SIZE * lp[at + C_HEAD] + W_SLOT]
    sent = 0
    while sent < columns:
        rest = lp[at + lp[LINKS_IN] + L_SIZE * slot + L_END] - first - sent
        bursts = min(rest, columns - sent)
        sent += bursts
        left = lp[lp[SLOTS_AT] + S_SIZE * slot + S_LEFT] - bursts
        move_bursts(lp, slot, left, now + (sent - 1) * step + latency)
        if sent < columns:
            slot = _following_slot(lp, at, slot, sent)
    # What waits for them waits for the last one on each bank.
    for i in range(max(0, columns - lp[CYCLE]), columns):
        note_command(lp, at, command, bank_of(lp, first + i), now + i * step)
    lp[at + C_COUNTS + command] += columns
    if lp[TRACED] < lp[TRACE_ROOM]:
        port = lp[at + C_LAST_PORT]
        for x in range(first, first + columns):
            clock = now + (x - first) * step
            trace_command(lp, at, command, bank_of(lp, x), row_of(lp, x), port, clock)


@kernel
def _refill(lp: Lpddr, at: int, columns: int, entering: int) -> None:
    """Move the window on by `columns` bursts and let `entering` bursts of the queue into it."""
    port = lp[at + C_LAST_PORT]
    first = lp[at + C_LAST_LOCAL] - lp[at + C_COUNT] + 1
    local = lp[at + C_LAST_LOCAL] + 1
    end = local + entering
    window = at + lp[WINDOW_IN]
    while local < end:
        slot = lp[at + lp[QUEUE_IN] + 2 * port]
        to = min(lp[at + lp[LINKS_IN] + L_SIZE * slot + L_END], end)
        for x in range(max(local, first + columns), to):
            entry = window + W_SIZE * ((lp[at + C_HEAD] + x - first) & lp[RING_MASK])
            lp[entry + W_SLOT] = slot
            lp[entry + W_LOCAL] = x
        leave_queue(lp, at, port, to)
        local = to
    lp[at + C_HEAD] = (lp[at + C_HEAD] + columns) & lp[RING_MASK]
    lp[at + C_COUNT] += entering - columns
    lp[at + C_IN_ORDER] += entering
    lp[at + C_LAST_LOCAL] += entering
    if entering > 0:
        lp[at + C_BARE] = 1
        lp[at + C_TURN] = port + 1 if port + 1 < lp[PORTS] else 0


@kernel
def stream_columns(lp: Lpddr, at: int, now: int, before: int) -> int:
    """Send as many column commands at once as the rules let through from `now`, where the oldest
    burst of a stream is about to get its own, up to clock `before`.

    Returns how many were sent; 0 if one command only is possible.
    """
    reads = lp[at + C_LAST_COMMAND] == READ
    step = lp[READ_STEP] if reads else lp[WRITE_STEP]
    if step == 0 or not _nobody_else_waits(lp, at):
        return 0
    per_bank = lp[REFRESH] == PER_BANK
    if per_bank and lp[at + C_OWED] > 0:
        return 0
    # Until the next refresh begins: per bank, when one is due; else when enough are owed.
    waits = 0 if per_bank else lp[BATCH] - lp[at + C_OWED] - 1
    before = min(before, lp[at + C_DUE] + waits * lp[INTERVAL])
    first = lp[at + lp[WINDOW_IN] + W_SIZE * lp[at + C_HEAD] + W_LOCAL]
    count = lp[at + C_COUNT]
    columns = (((first >> lp[BLOCK_SHIFT]) + 1) << lp[BLOCK_SHIFT]) - first
    if (lp[READ_ALONE] if reads else lp[WRITE_ALONE]) == 1:
        columns = min(columns, columns - count + 1)
    # What enters the window meanwhile: with every column a burst of the stream, or nothing.
    slot = lp[at + lp[QUEUE_IN] + 2 * lp[at + C_LAST_PORT]]
    entering = slot >= 0 and count == lp[WINDOW_BURSTS]
    if slot >= 0:
        arrival = lp[lp[SLOTS_AT] + S_SIZE * slot + S_ARRIVAL]
        if arrival > now if entering else arrival <= now + 1:
            return 0
        if not entering:
            before = min(before, arrival)
    if not entering:
        columns = min(columns, count)
    if columns < 2 or before <= now + step:
        return 0
    columns, before = _limit_by_rows(lp, at, first, columns, now, before)
    columns = min(columns, (before - now - 1) // step + 1)
    if entering:
        columns = _queued_in_order(lp, at, columns - 1) + 1
        columns = _limit_by_entering(lp, at, first, columns)
    columns = _limit_by_banks(lp, at, first, columns, now, step)
    latency = lp[READ_CLOCKS] if reads else lp[WRITE_CLOCKS]
    done = _first_completion(lp, at, first, columns, now, step, latency)
    if done <= now + (columns - 1) * step:
        columns = (done - now - 1) // step + 1
    if columns < 2:
        return 0
    _send_columns(lp, at, first, columns, now, step, latency)
    _refill(lp, at, columns, columns - 1 if entering else 0)
    lp[at + C_BYPASSED] = 0
    lp[at + C_PENDING] -= columns
    lp[at + C_SEEN] = now + (columns - 1) * step + 1
    return columns
