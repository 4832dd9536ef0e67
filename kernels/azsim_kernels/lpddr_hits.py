"""Row hits one after the other: many column commands of the fast LPDDR model at once, of any
mixture of streams, where each burst in the window finds its row open.

Then the oldest burst goes first, at an even distance from the one before, and between two column
commands only bursts enter the window. The tests compare with the model in plain Python.
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.lpddr_commands import count_bursts, note_command, ready_clock, trace_command
from azsim_kernels.lpddr_params import PER_BANK, READ
from azsim_kernels.lpddr_requests import admit_burst, drop_entry, first_done, move_bursts
from azsim_kernels.lpddr_types import (
    BATCH,
    C_BYPASSED,
    C_CLOCK,
    C_COUNT,
    C_COUNTS,
    C_DUE,
    C_HEAD,
    C_OWED,
    C_PENDING,
    C_SEEN,
    FAR,
    INTERVAL,
    OPEN_ROW,
    REACTION_CLOCKS,
    READ_CLOCKS,
    READ_HITS,
    READY_IN,
    REFRESH,
    RING_MASK,
    S_LEFT,
    S_PORT,
    S_SIZE,
    SLOTS_AT,
    W_BANK,
    W_COMMAND,
    W_ROW,
    W_SIZE,
    W_SLOT,
    WINDOW_BURSTS,
    WINDOW_IN,
    WRITE_CLOCKS,
    WRITE_HITS,
    Lpddr,
)

WORTH_BURSTS = 2  # for fewer, looking through the window costs more than it saves


@kernel
def clock_limit(lp: Lpddr, at: int, before: int) -> int:
    """Return the clock up to which no refresh begins while bursts wait: `before`, or sooner."""
    # Per bank one begins as soon as it is due; else when enough are owed, the window being full.
    waits = 0 if lp[REFRESH] == PER_BANK else lp[BATCH] - lp[at + C_OWED] - 1
    return min(before, lp[at + C_DUE] + waits * lp[INTERVAL])  # type: ignore[no-any-return]


@kernel
def _is_hit(lp: Lpddr, at: int, place: int, command: int) -> bool:
    """Say whether the burst at `place` of the window is a `command` to an open row."""
    entry = at + lp[WINDOW_IN] + W_SIZE * (place & lp[RING_MASK])
    row = lp[at + lp[READY_IN] + 8 * lp[entry + W_BANK] + OPEN_ROW]
    return lp[entry + W_COMMAND] == command and lp[entry + W_ROW] == row  # type: ignore[no-any-return]


@kernel
def _all_hits(lp: Lpddr, at: int, command: int) -> bool:
    hits = 0
    while hits < lp[at + C_COUNT] and _is_hit(lp, at, lp[at + C_HEAD] + hits, command):
        hits += 1
    return hits == lp[at + C_COUNT]  # type: ignore[no-any-return]


@kernel
def _send_oldest(lp: Lpddr, at: int, command: int, latency: int, now: int) -> bool:
    """Send the column command of the oldest burst; say whether its request is done with it."""
    burst = at + lp[WINDOW_IN] + W_SIZE * lp[at + C_HEAD]
    slot, bank = lp[burst + W_SLOT], lp[burst + W_BANK]
    request = lp[SLOTS_AT] + S_SIZE * slot
    port = lp[request + S_PORT]
    note_command(lp, at, command, bank, now)
    trace_command(lp, at, command, bank, lp[burst + W_ROW], port, now)
    lp[at + C_COUNTS + command] += 1
    count_bursts(lp, at, command, port, bank, 1)
    drop_entry(lp, at, 0)
    left = lp[request + S_LEFT] - 1
    move_bursts(lp, slot, left, now + latency)
    return left == 0  # type: ignore[no-any-return]


@kernel
def serve_hits(lp: Lpddr, at: int, now: int, before: int) -> tuple[int, int]:
    """Send column commands from `now` on, where the oldest burst is about to get its own, as long
    as every burst that waits finds its row open, up to clock `before`.

    Returns (clock, following): in `clock` another choice is to be made, the window having taken in
    what it can in it, and `following` is the next clock in which it may take in another burst.
    (-1, 0) if everything is done and C_CLOCK stands; (-1, 1) if nothing could be sent at once.
    """
    command = lp[at + lp[WINDOW_IN] + W_SIZE * lp[at + C_HEAD] + W_COMMAND]
    step = lp[READ_HITS] if command == READ else lp[WRITE_HITS]
    if step < 2 or lp[at + C_COUNT] < WORTH_BURSTS:
        return -1, 1
    if lp[REFRESH] == PER_BANK and lp[at + C_OWED] > 0:
        return -1, 1
    limit = clock_limit(lp, at, before)
    if now + (WORTH_BURSTS - 1) * step >= limit or not _all_hits(lp, at, command):
        return -1, 1
    latency = lp[READ_CLOCKS] if command == READ else lp[WRITE_CLOCKS]
    lp[at + C_BYPASSED] = 0
    while True:
        lp[at + C_PENDING] -= 1
        if _send_oldest(lp, at, command, latency, now):
            # whoever waits for it may then ask for more
            limit = min(limit, first_done(lp) + lp[REACTION_CLOCKS])
        lp[at + C_SEEN] = now + 1
        following = now + step
        admission = now + 1
        if lp[at + C_COUNT] == 0:  # a refresh that is owed may begin
            break
        while admission <= following and admission < limit:
            if lp[at + C_COUNT] >= lp[WINDOW_BURSTS]:
                break
            waiting = lp[at + C_COUNT]
            clock = admission
            admission = admit_burst(lp, at, clock)
            if lp[at + C_COUNT] > waiting:
                lp[at + C_SEEN] = clock + 1
                if not _is_hit(lp, at, lp[at + C_HEAD] + waiting, command):
                    return clock, admission
        if lp[at + C_COUNT] >= lp[WINDOW_BURSTS]:
            admission = FAR
        if following >= limit:
            break
        now = following
        bank = lp[at + lp[WINDOW_IN] + W_SIZE * lp[at + C_HEAD] + W_BANK]
        if ready_clock(lp, at, command, bank) > now:
            return now, admission
    lp[at + C_CLOCK] = max(lp[at + C_SEEN], min(following, admission, lp[at + C_DUE]))
    return -1, 0
