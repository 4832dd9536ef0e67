"""The fast LPDDR model, from event to event (docs/memory.md).

    lp = new_lpddr(params)
    put_request(lp, port, ticket, address, size, is_write, time_ps)
    first_ps = advance(lp, until_ps, False)  # nobody asks for more before until_ps
    ticket = pop_completion(lp, now_ps)      # -1: no more

`advance` goes through the memory clocks before `until_ps`, but not beyond what the first completion
it finds can bring about: whoever waits for that one may ask for more. So the memory is never ahead
of its users.
Shares no timing code with the clocked model.
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.lpddr_commands import (
    choose_command,
    refresh_step,
    send_command,
    start_refresh,
)
from azsim_kernels.lpddr_hits import serve_hits
from azsim_kernels.lpddr_params import ALL_BANK, READ, WRITE
from azsim_kernels.lpddr_requests import (
    admit_burst,
    drop_entry,
    fill_entry,
    fill_window,
    first_done,
    move_bursts,
    pop_completion,
    put_request,
)
from azsim_kernels.lpddr_stream import choose_in_stream, is_stream, stream_columns
from azsim_kernels.lpddr_types import (
    C_BARE,
    C_BYPASSED,
    C_CLOCK,
    C_COUNTS,
    C_DUE,
    C_HEAD,
    C_OPEN_BANKS,
    C_OPEN_SINCE,
    C_OWED,
    C_PENDING,
    C_REFRESHING,
    C_SEEN,
    CHANNEL_SIZE,
    CHANNELS,
    CHANNELS_AT,
    CLOCK_PS,
    FAR,
    INTERVAL,
    OPEN_CLOCKS,
    REACTION_CLOCKS,
    READ_CLOCKS,
    REFRESH,
    RING_MASK,
    S_LEFT,
    S_PORT,
    S_SIZE,
    SLOTS_AT,
    W_BANK,
    W_ROW,
    W_SIZE,
    W_SLOT,
    WINDOW_IN,
    WRITE_CLOCKS,
    Lpddr,
    new_lpddr,
)

__all__ = [
    "advance",
    "core_cycle",
    "core_time_ps",
    "new_lpddr",
    "pop_completion",
    "put_request",
]


@kernel
def core_time_ps(cycle: int, clock_mhz: int) -> int:
    """Return the first picosecond that is not before the edge of core cycle `cycle`."""
    return (cycle * 1_000_000 + clock_mhz - 1) // clock_mhz


@kernel
def core_cycle(time_ps: int, clock_mhz: int) -> int:
    """Return the first core cycle whose edge is not before `time_ps`."""
    return (time_ps * clock_mhz + 999_999) // 1_000_000


@kernel
def _send_chosen(lp: Lpddr, at: int, command: int, index: int, now: int) -> None:
    """Send `command` for the burst `index` places from the oldest in the window."""
    burst = at + lp[WINDOW_IN] + W_SIZE * ((lp[at + C_HEAD] + index) & lp[RING_MASK])
    if lp[at + C_BARE] == 1:
        fill_entry(lp, burst)
    slot = lp[burst + W_SLOT]
    port = lp[lp[SLOTS_AT] + S_SIZE * slot + S_PORT]
    send_command(lp, at, command, lp[burst + W_BANK], lp[burst + W_ROW], port, now)
    if command in (READ, WRITE):
        lp[at + C_BYPASSED] = lp[at + C_BYPASSED] + 1 if index > 0 else 0
        lp[at + C_PENDING] -= 1
        drop_entry(lp, at, index)
        left = lp[lp[SLOTS_AT] + S_SIZE * slot + S_LEFT] - 1
        latency = lp[READ_CLOCKS] if command == READ else lp[WRITE_CLOCKS]
        move_bursts(lp, slot, left, now + latency)


@kernel
def _act(lp: Lpddr, at: int, now: int, before: int, following: int) -> tuple[int, int]:
    """Do what a channel does in clock `now` once the window has taken in what it can, or in many
    clocks before `before`. `following` is the next clock in which it may take in another burst.

    Returns (-1, 0) with C_CLOCK at the next clock in which something can happen, or such a `now`
    and `following` to act on next.
    """
    while lp[at + C_DUE] <= now:
        lp[at + C_OWED] += 1
        lp[at + C_DUE] += lp[INTERVAL]
    following = min(following, lp[at + C_DUE])
    if lp[at + C_OWED] > 0 and lp[at + C_REFRESHING] == 0:
        fill_window(lp, at)
        start_refresh(lp, at)
    lp[at + C_SEEN] = now + 1
    sent = False
    command = -1
    index = 0
    if lp[at + C_REFRESHING] == 1:
        clock = refresh_step(lp, at, now)
        following = min(following, clock)
        sent = clock <= now
    if not sent and (lp[at + C_REFRESHING] == 0 or lp[REFRESH] != ALL_BANK):
        if is_stream(lp, at):
            command, index, clock = choose_in_stream(lp, at, now)
            if command in (READ, WRITE) and index == 0:
                sent = stream_columns(lp, at, now, before) > 0
        else:
            fill_window(lp, at)
            command, index, clock = choose_command(lp, at, now)
            if command in (READ, WRITE) and index == 0 and lp[at + C_REFRESHING] == 0:
                clock_after, entering = serve_hits(lp, at, now, before)
                if clock_after >= 0 or entering == 0:
                    return clock_after, entering
        following = min(following, clock)
    if not sent and command >= 0:
        _send_chosen(lp, at, command, index, now)
        sent = True
    lp[at + C_CLOCK] = lp[at + C_SEEN] if sent else max(following, now + 1)
    return -1, 0


@kernel
def _step_channel(lp: Lpddr, at: int, before: int) -> None:
    """Go through the next clock of a channel in which something can happen, or through a whole
    stream of them before clock `before`, and find the one after.
    """
    now = lp[at + C_CLOCK]
    following = admit_burst(lp, at, now)
    while now >= 0:
        now, following = _act(lp, at, now, before, following)


@kernel
def advance(lp: Lpddr, until_ps: int, to_the_end: bool) -> int:
    """Go through the memory clocks before `until_ps`, up to the first completion and the time that
    it takes whoever waits for it to ask for more.

    Returns the time in ps of the earliest completion known, FAR if none is. It stands if it is
    before `until_ps`; else a request put at `until_ps` or later may still be done sooner. Idle
    channels stay behind and catch up when a request comes; `to_the_end`, for the counters at the
    end of a step, takes them along and does not stop at completions.
    """
    until = (until_ps + lp[CLOCK_PS] - 1) // lp[CLOCK_PS]
    reaction = lp[REACTION_CLOCKS]
    soonest = min(lp[READ_CLOCKS], lp[WRITE_CLOCKS]) + reaction
    while True:
        before = until if to_the_end else min(until, first_done(lp) + reaction)
        clock = before
        chosen = lp[CHANNELS]  # none
        other = FAR
        for ch in range(lp[CHANNELS]):
            at = lp[CHANNELS_AT] + ch * lp[CHANNEL_SIZE]
            if lp[at + C_PENDING] > 0 or to_the_end:
                if lp[at + C_CLOCK] < clock:
                    if chosen < lp[CHANNELS]:
                        other = clock
                    chosen = ch
                    clock = lp[at + C_CLOCK]
                else:
                    other = min(other, lp[at + C_CLOCK])
        if chosen == lp[CHANNELS]:
            break
        # Another channel may find a completion first, though not sooner than a burst takes.
        at = lp[CHANNELS_AT] + chosen * lp[CHANNEL_SIZE]
        _step_channel(lp, at, min(before, other + soonest))
    if to_the_end:
        for ch in range(lp[CHANNELS]):
            at = lp[CHANNELS_AT] + ch * lp[CHANNEL_SIZE]
            if lp[at + C_OPEN_BANKS] > 0 and lp[at + C_OPEN_SINCE] < until:
                lp[at + C_COUNTS + OPEN_CLOCKS] += until - lp[at + C_OPEN_SINCE]
                lp[at + C_OPEN_SINCE] = until
    clock = first_done(lp)
    return FAR if clock == FAR else clock * lp[CLOCK_PS]
