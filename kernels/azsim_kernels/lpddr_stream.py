"""A stream in order moves by row: many column commands of the fast LPDDR model at once.

While one port's consecutive bursts are served in order from open rows, their column commands follow
each other at an even distance, and everything else that could happen is a matter of knowing when.
`stream_columns` finds how many can be sent before anything else is, and does to the state what
sending them one by one would have done. The tests compare both ways.
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.lpddr_commands import (
    count_bursts,
    note_command,
    ready_clock,
    send_command,
    trace_command,
)
from azsim_kernels.lpddr_hits import clock_limit
from azsim_kernels.lpddr_params import ACT, PER_BANK, PRE, READ
from azsim_kernels.lpddr_requests import (
    bank_of,
    leave_queue,
    move_bursts,
    row_of,
)
from azsim_kernels.lpddr_types import (
    BANKS,
    BLOCK_SHIFT,
    BY_ROW,
    BYPASS_LIMIT,
    C_BARE,
    C_BYPASSED,
    C_COUNT,
    C_COUNTS,
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
    GROUP_BITS,
    L_AT,
    L_END,
    L_NEXT,
    L_SIZE,
    LINKS_IN,
    OPEN_ROW,
    PORTS,
    QUEUE_IN,
    REACTION_CLOCKS,
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
def _queued_in_order(lp: Lpddr, at: int, limit: int, now: int) -> int:
    """Return how many bursts at the head of the stream's queue go on with the stream, have the same
    direction and are here at `now`, up to `limit`.
    """
    found = 0
    local = lp[at + C_LAST_LOCAL] + 1
    slot = lp[at + lp[QUEUE_IN] + 2 * lp[at + C_LAST_PORT]]
    while slot >= 0 and found < limit:
        link = at + lp[LINKS_IN] + L_SIZE * slot
        request = lp[SLOTS_AT] + S_SIZE * slot
        if (
            lp[link + L_AT] != local
            or lp[request + S_COMMAND] != lp[at + C_LAST_COMMAND]
            or lp[request + S_ARRIVAL] > now
        ):
            break
        found += lp[link + L_END] - local
        local = lp[link + L_END]
        slot = lp[link + L_NEXT]
    return min(found, limit)


@kernel
def _columns_ready(
    lp: Lpddr, at: int, local: int, block_end: int, columns: int, now: int, step: int
) -> int:
    """Return how many of `columns` bursts from number `local` find their rows ready in time; 0 if a
    row of the block is still to be opened.
    """
    ready = at + lp[READY_IN]
    command = lp[at + C_LAST_COMMAND]
    for i in range(min(block_end - local, lp[CYCLE])):
        bank = bank_of(lp, local + i)
        if lp[ready + 8 * bank + OPEN_ROW] != row_of(lp, local + i):
            return 0
        group = lp[BANKS] + (bank >> lp[GROUP_BITS])
        clock = max(lp[ready + 8 * bank + command], lp[ready + 8 * group + command])
        if clock > now + i * step:
            columns = min(columns, i)
    return columns


@kernel
def _following_slot(lp: Lpddr, at: int, slot: int, sent: int) -> int:
    """Return the request that the stream goes on with when `slot`, its last burst being number
    `sent` from the oldest in the window, is over.
    """
    if sent < lp[at + C_COUNT]:
        place = (lp[at + C_HEAD] + sent) & lp[RING_MASK]
        return lp[at + lp[WINDOW_IN] + W_SIZE * place + W_SLOT]  # type: ignore[no-any-return]
    if sent == lp[at + C_COUNT]:
        return lp[at + lp[QUEUE_IN] + 2 * lp[at + C_LAST_PORT]]  # type: ignore[no-any-return]
    return lp[at + lp[LINKS_IN] + L_SIZE * slot + L_NEXT]  # type: ignore[no-any-return]


@kernel
def _first_completion(lp: Lpddr, at: int, slot: int, first: int, sent: int, columns: int) -> int:
    """Return with which of the `columns` next column commands a request is done, counted from 0, or
    `columns` if none is: whoever waits for it may then ask for more.

    slot, sent  the request of the next burst and its number from the oldest in the window, `first`
    """
    end = sent + columns
    at_end = sent
    while True:
        rest = lp[at + lp[LINKS_IN] + L_SIZE * slot + L_END] - first - at_end
        if rest > end - at_end:
            return columns
        at_end += rest
        if lp[lp[SLOTS_AT] + S_SIZE * slot + S_LEFT] == rest:
            return at_end - 1 - sent  # type: ignore[no-any-return]
        if at_end == end:
            return columns
        slot = _following_slot(lp, at, slot, at_end)


@kernel
def _rows_conflict(lp: Lpddr, block_end: int) -> bool:
    """Say whether the rows of the next block lie in banks of this one."""
    banks = 0
    for i in range(lp[CYCLE]):
        banks |= 1 << bank_of(lp, block_end - 1 - i)
    conflict = False
    for i in range(lp[CYCLE]):
        conflict |= (banks >> bank_of(lp, block_end + i)) & 1 == 1
    return conflict


@kernel
def _open_next_rows(
    lp: Lpddr, at: int, begin: int, end: int, entered: int, now: int, step: int, last_clock: int
) -> None:
    """Send the row commands for bursts [begin, end) of the next block between the column commands
    of this one, which go at `now`, now + step, ... `last_clock`.

    The bursts below number `entered` are in the window; that one enters with the first column
    command, to be seen in the next clock, the one after with the second and so on.
    """
    rows = at + lp[READY_IN] + OPEN_ROW
    clock = now
    while True:
        best = last_clock
        chosen = begin - 1  # none
        for x in range(begin, min(end, begin + lp[CYCLE])):
            bank = bank_of(lp, x)
            open_row = lp[rows + 8 * bank]
            if open_row != row_of(lp, x):
                ready = ready_clock(lp, at, PRE if open_row >= 0 else ACT, bank)
                earliest = max(ready, clock + 1)
                if x >= entered:
                    earliest = max(earliest, now + (x - entered) * step + 1)
                if earliest < best and (earliest - now) % step == 0:
                    earliest += 1  # the column command goes first
                if earliest < best:
                    best = earliest
                    chosen = x
        if chosen < begin:
            return
        bank = bank_of(lp, chosen)
        command = PRE if lp[rows + 8 * bank] >= 0 else ACT
        send_command(lp, at, command, bank, row_of(lp, chosen), lp[at + C_LAST_PORT], best)
        clock = best


@kernel
def _send_columns(
    lp: Lpddr, at: int, slot: int, first: int, sent: int, columns: int, now: int, step: int
) -> int:
    """Send `columns` column commands for the bursts from number `first` + `sent` on, the first of
    which belongs to the request `slot`; return the request of the burst after them, if it is one
    of the stream.
    """
    command = lp[at + C_LAST_COMMAND]
    latency = lp[READ_CLOCKS] if command == READ else lp[WRITE_CLOCKS]
    end = sent + columns
    local = first + sent
    at_end = sent
    while at_end < end:
        rest = lp[at + lp[LINKS_IN] + L_SIZE * slot + L_END] - first - at_end
        bursts = min(rest, end - at_end)
        at_end += bursts
        left = lp[lp[SLOTS_AT] + S_SIZE * slot + S_LEFT] - bursts
        move_bursts(lp, slot, left, now + (at_end - 1 - sent) * step + latency)
        if bursts == rest:
            slot = _following_slot(lp, at, slot, at_end)
    # What waits for them waits for the last one on each bank.
    for i in range(max(0, columns - lp[CYCLE]), columns):
        note_command(lp, at, command, bank_of(lp, local + i), now + i * step)
    lp[at + C_COUNTS + command] += columns
    port = lp[at + C_LAST_PORT]
    firsts = min(columns, lp[CYCLE])  # one on each bank, and the others find the same rows
    for i in range(firsts):
        bursts = columns - firsts + 1 if i == 0 else 1
        count_bursts(lp, at, command, port, bank_of(lp, local + i), bursts)
    if lp[TRACED] < lp[TRACE_ROOM]:
        for i in range(columns):
            row = row_of(lp, local + i)
            trace_command(lp, at, command, bank_of(lp, local + i), row, port, now + i * step)
    return slot


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
    burst of a stream is about to get its own, up to clock `before`, and the row commands that go
    in between.

    Returns how many column commands were sent; 0 if it is not worth it.
    """
    reads = lp[at + C_LAST_COMMAND] == READ
    step = lp[READ_STEP] if reads else lp[WRITE_STEP]
    if step < 2 or not _nobody_else_waits(lp, at):
        return 0
    if lp[REFRESH] == PER_BANK and lp[at + C_OWED] > 0:
        return 0
    before = clock_limit(lp, at, before)
    slot = lp[at + lp[QUEUE_IN] + 2 * lp[at + C_LAST_PORT]]
    # With every column command a burst of the stream enters the window, or none does.
    entering = slot >= 0 and lp[at + C_COUNT] == lp[WINDOW_BURSTS]
    if slot >= 0:
        arrival = lp[lp[SLOTS_AT] + S_SIZE * slot + S_ARRIVAL]
        if arrival > now if entering else arrival <= now + 1:
            return 0
        if not entering:
            before = min(before, arrival)
    alone = (lp[READ_ALONE] if reads else lp[WRITE_ALONE]) == 1
    head = at + lp[WINDOW_IN] + W_SIZE * lp[at + C_HEAD]
    first = lp[head + W_LOCAL]
    slot = lp[head + W_SLOT]
    sent = 0
    while now < before:  # a block of bursts after the other
        local = first + sent
        block_end = ((local >> lp[BLOCK_SHIFT]) + 1) << lp[BLOCK_SHIFT]
        entered = first + lp[at + C_COUNT] + (sent if entering else 0)
        columns = min(block_end - local, (before - now - 1) // step + 1)
        if entering:
            columns = min(columns, _queued_in_order(lp, at, sent + columns - 1, now) - sent + 1)
        else:
            columns = min(columns, entered - local)
        if entered + columns - 1 > block_end and (alone or _rows_conflict(lp, block_end)):
            columns = min(columns, block_end - entered + 1)
        columns = _columns_ready(lp, at, local, block_end, columns, now, step)
        if columns + sent < 2 or columns < 1:
            break
        done = _first_completion(lp, at, slot, first, sent, columns)
        if done < columns:
            latency = lp[READ_CLOCKS] if reads else lp[WRITE_CLOCKS]
            before = min(before, now + done * step + latency + lp[REACTION_CLOCKS])
            columns = min(columns, (before - now - 1) // step + 1)
        end = entered + (columns - 1 if entering else 0)
        if end > block_end:
            last_clock = now + (columns - 1) * step
            _open_next_rows(lp, at, block_end, end, entered, now, step, last_clock)
        slot = _send_columns(lp, at, slot, first, sent, columns, now, step)
        sent += columns
        now += columns * step
        if not entering or alone or local + columns < block_end:
            break
        if _queued_in_order(lp, at, sent, now) < sent:
            break  # what fills the last place is another stream's, or nothing
    if sent > 0:
        _refill(lp, at, sent, sent - 1 if entering else 0)
        lp[at + C_BYPASSED] = 0
        lp[at + C_PENDING] -= sent
        lp[at + C_SEEN] = now - step + 1
    return sent
