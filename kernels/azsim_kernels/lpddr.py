"""The fast LPDDR model, from event to event (docs/memory.md).

    lp = new_lpddr(params)
    put_request(lp, port, ticket, address, size, is_write, time_ps)
    first_ps = advance(lp, until_ps)         # nobody asks for more before until_ps
    ticket = pop_completion(lp, now_ps)      # -1: no more

`advance` goes through the memory clocks before `until_ps`, but not beyond the first completion it
finds: whoever waits for that one may ask for more. So the memory is never ahead of its users.
Shares no timing code with the clocked model.
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.lpddr_commands import (
    choose_command,
    note_command,
    refresh_step,
    send_row_command,
    trace_command,
)
from azsim_kernels.lpddr_params import ALL_BANK, PER_BANK, READ, WRITE
from azsim_kernels.lpddr_requests import (
    admit_burst,
    drop_entry,
    first_done,
    move_bursts,
    next_completion,
    pop_completion,
    put_request,
)
from azsim_kernels.lpddr_stream import stream_columns
from azsim_kernels.lpddr_types import (
    FAR,
    OPEN_CLOCKS,
    S_PORT,
    W_BANK,
    W_ROW,
    W_SLOT,
    Lpddr,
    new_lpddr,
)

__all__ = [
    "advance",
    "core_cycle",
    "core_time_ps",
    "new_lpddr",
    "next_completion",
    "pop_completion",
    "put_request",
    "settle",
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
def _start_refresh(lp: Lpddr, ch: int) -> None:
    """Begin a refresh if enough are owed, or one is and nobody needs its banks."""
    settings = lp.settings[0]
    channel = lp.channels[ch]
    if channel["owed"] >= settings["batch"]:
        channel["refreshing"] = 1
        return
    ring = lp.window.shape[1] - 1
    wanted = channel["count"] > 0
    if settings["refresh"] == PER_BANK:
        wanted = False
        for i in range(channel["count"]):
            if lp.window[ch, (channel["head"] + i) & ring, W_BANK] == channel["refresh_bank"]:
                wanted = True
    if not wanted:
        channel["refreshing"] = 1


@kernel
def _send_column(lp: Lpddr, ch: int, index: int, command: int, now: int) -> None:
    """Send RD or WR for the burst `index` places from the oldest."""
    settings = lp.settings[0]
    channel = lp.channels[ch]
    ring = lp.window.shape[1] - 1
    entry = lp.window[ch, (channel["head"] + index) & ring]
    slot = entry[W_SLOT]
    bank = entry[W_BANK]
    note_command(lp, ch, command, bank, now)
    trace_command(lp, ch, command, bank, entry[W_ROW], lp.slots[slot, S_PORT], now)
    lp.counts[ch, command] += 1
    channel["bypassed"] = channel["bypassed"] + 1 if index > 0 else 0
    channel["pending"] -= 1
    drop_entry(lp, ch, index)
    latency = settings["read_clocks"] if command == READ else settings["write_clocks"]
    move_bursts(lp, slot, 1, now + latency)


@kernel
def _send_for_window(lp: Lpddr, ch: int, now: int, before: int) -> tuple[int, int]:
    """Send the command that FR-FCFS chooses at `now`, a whole stream of them where it can.

    Returns (1 if one was sent, the first clock in which one may be sent).
    """
    command, index, clock = choose_command(lp, ch, now)
    if command < 0:
        return 0, clock
    channel = lp.channels[ch]
    if command in (READ, WRITE):
        if index > 0 or stream_columns(lp, ch, now, before) == 0:
            _send_column(lp, ch, index, command, now)
    else:
        ring = lp.window.shape[1] - 1
        entry = lp.window[ch, (channel["head"] + index) & ring]
        send_row_command(lp, ch, command, entry[W_BANK], entry[W_ROW], now)
        port = lp.slots[entry[W_SLOT], S_PORT]
        trace_command(lp, ch, command, entry[W_BANK], entry[W_ROW], port, now)
    return 1, clock


@kernel
def _step_channel(lp: Lpddr, ch: int, before: int) -> None:
    """Go through the next clock of channel `ch` in which something can happen, or through a whole
    stream of them before clock `before`, and find the one after.
    """
    settings = lp.settings[0]
    channel = lp.channels[ch]
    now = channel["clock"]
    while channel["due"] <= now:
        channel["owed"] += 1
        channel["due"] += settings["interval"]
    following = min(admit_burst(lp, ch, now), channel["due"])
    if channel["owed"] > 0 and channel["refreshing"] == 0:
        _start_refresh(lp, ch)
    channel["seen"] = now + 1
    taken = 0
    if channel["refreshing"] == 1:
        taken, clock = refresh_step(lp, ch, now)
        following = min(following, clock)
    if taken == 0 and (channel["refreshing"] == 0 or settings["refresh"] != ALL_BANK):
        taken, clock = _send_for_window(lp, ch, now, before)
        following = min(following, clock)
    channel["clock"] = channel["seen"] if taken == 1 else max(following, now + 1)


@kernel
def advance(lp: Lpddr, until_ps: int) -> int:
    """Go through the memory clocks before `until_ps`, up to the first completion.

    Returns the time in ps of the earliest completion known, FAR if none is. It stands if it is
    before `until_ps`; else a request put at `until_ps` or later may still be done sooner. Idle
    channels stay behind.
    """
    settings = lp.settings[0]
    channels = settings["channels"]
    until = (until_ps + settings["clock_ps"] - 1) // settings["clock_ps"]
    soonest = min(settings["read_clocks"], settings["write_clocks"])
    while True:
        before = min(until, first_done(lp))
        chosen = -1
        clock = before
        other = FAR
        for ch in range(channels):
            channel = lp.channels[ch]
            if channel["pending"] > 0:
                if channel["clock"] < clock:
                    if chosen >= 0:
                        other = min(other, clock)
                    chosen = ch
                    clock = channel["clock"]
                else:
                    other = min(other, channel["clock"])
        if chosen < 0:
            return next_completion(lp)
        _step_channel(lp, chosen, min(before, other + soonest))


@kernel
def settle(lp: Lpddr, until_ps: int) -> None:
    """Let idle channels catch up with the refreshes before `until_ps`, and count the clocks with an
    open row up to there; for the counters at the end of a step. Nothing may be in flight.
    """
    settings = lp.settings[0]
    until = (until_ps + settings["clock_ps"] - 1) // settings["clock_ps"]
    for ch in range(settings["channels"]):
        channel = lp.channels[ch]
        while channel["clock"] < until:
            _step_channel(lp, ch, until)
        if channel["open_banks"] > 0 and channel["open_since"] < until:
            lp.counts[ch, OPEN_CLOCKS] += until - channel["open_since"]
            channel["open_since"] = until
