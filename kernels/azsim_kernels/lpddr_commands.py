"""Sending commands in the fast LPDDR model: what a command makes the others wait for, what it does
to the rows, and the choice of the next one (sections 3 and 6 of docs/memory.md).

The rows of the constraint table are folded into `ready`: per bank, group and channel the earliest
clock of each command, raised whenever a command is sent.
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.lpddr_params import (
    ACT,
    BANK,
    CHANNEL,
    GROUP,
    PER_BANK,
    PRE,
    PREA,
    REFA,
    REFP,
)
from azsim_kernels.lpddr_types import (
    FAR,
    OPEN_CLOCKS,
    W_BANK,
    W_COMMAND,
    W_ROW,
    Ints,
    Lpddr,
    Records,
)


@kernel
def ready_clock(settings: Records, ready: Ints, command: int, bank: int) -> int:
    """Return the first clock in which no constraint forbids `command` to `bank`.

    ready  (B + G + 1, 7) of one channel
    """
    banks = settings["banks"]
    last = ready.shape[0] - 1
    if command in (PREA, REFA):
        clock = ready[last, command]
        for place in range(last):
            clock = max(clock, ready[place, command])
        return clock  # type: ignore[no-any-return]
    group = banks + bank // settings["banks_per_group"]
    return max(ready[bank, command], ready[group, command], ready[last, command])  # type: ignore[no-any-return]


@kernel
def _raise(lp: Lpddr, ch: int, scope: int, place: int, command: int, now: int) -> None:
    """Let what must follow `command`, sent at `now`, wait in the bank, group or channel `place`."""
    for then in range(7):
        gap = lp.gaps[scope, command, then]
        if gap > 0 and lp.ready[ch, place, then] < now + gap:
            lp.ready[ch, place, then] = now + gap
    for r in range(lp.windows.shape[0]):
        if lp.windows[r, 0] == scope and (lp.windows[r, 1] >> command) & 1:
            count = lp.windows[r, 3]
            recent = lp.recent[ch, r, place]
            at = recent[0] if recent[0] > 0 else 0
            recent[1 + at] = now
            at = at + 1 if at + 1 < count else 0
            recent[0] = at
            until = recent[1 + at] + lp.windows[r, 4]  # the oldest of the last `count`
            for then in range(7):
                if (lp.windows[r, 2] >> then) & 1 and lp.ready[ch, place, then] < until:
                    lp.ready[ch, place, then] = until


@kernel
def note_command(lp: Lpddr, ch: int, command: int, bank: int, now: int) -> None:
    """Raise everything that must wait for `command` to `bank` at `now`."""
    settings = lp.settings[0]
    banks = settings["banks"]
    last = lp.ready.shape[1] - 1
    if command in (PREA, REFA):
        for b in range(banks):
            _raise(lp, ch, BANK, b, command, now)
        for g in range(banks, last):
            _raise(lp, ch, GROUP, g, command, now)
    else:
        _raise(lp, ch, BANK, bank, command, now)
        _raise(lp, ch, GROUP, banks + bank // settings["banks_per_group"], command, now)
    _raise(lp, ch, CHANNEL, last, command, now)


@kernel
def trace_command(
    lp: Lpddr, ch: int, command: int, bank: int, row: int, port: int, now: int
) -> None:
    """Write the command into the trace if there is room for it."""
    core = lp.core[0]
    at = core["traced"]
    if at < lp.trace.shape[0]:
        lp.trace[at, 0] = now
        lp.trace[at, 1] = ch
        lp.trace[at, 2] = command
        lp.trace[at, 3] = bank
        lp.trace[at, 4] = row
        lp.trace[at, 5] = port
    core["traced"] = at + 1


@kernel
def send_row_command(lp: Lpddr, ch: int, command: int, bank: int, row: int, now: int) -> None:
    """Send ACT, PRE, PREA, REFA or REFP and change the rows as it says."""
    channel = lp.channels[ch]
    note_command(lp, ch, command, bank, now)
    lp.counts[ch, command] += 1
    if command == ACT:
        lp.open_rows[ch, bank] = row
        if channel["open_banks"] == 0:
            channel["open_since"] = now
        channel["open_banks"] += 1
    elif command in (PRE, PREA):
        if command == PRE:
            lp.open_rows[ch, bank] = -1
            channel["open_banks"] -= 1
        else:
            lp.open_rows[ch] = -1
            channel["open_banks"] = 0
        if channel["open_banks"] == 0:
            lp.counts[ch, OPEN_CLOCKS] += now - channel["open_since"]


@kernel
def _choose_row_command(
    lp: Lpddr, ch: int, now: int, hits: int, blocked: int, earliest: int
) -> tuple[int, int, int]:
    """Return (ACT or PRE, place in the window, now), or (-1, 0, clock) as `choose_command`.

    hits  banks whose open row somebody in the window still wants, one bit each
    """
    settings = lp.settings[0]
    channel = lp.channels[ch]
    ring = lp.window.shape[1] - 1
    strict = channel["bypassed"] >= settings["bypass_limit"]
    asked = blocked  # one look per bank is enough: the oldest burst that needs it
    for i in range(channel["count"]):
        entry = lp.window[ch, (channel["head"] + i) & ring]
        bank = entry[W_BANK]
        if (asked >> bank) & 1:
            continue
        open_row = lp.open_rows[ch, bank]
        if open_row == entry[W_ROW]:
            continue
        command = ACT
        if open_row >= 0:
            if (hits >> bank) & 1 and not (strict and i == 0):
                continue
            command = PRE
        asked |= 1 << bank
        clock = ready_clock(settings, lp.ready[ch], command, bank)
        if clock <= now:
            return command, i, now
        earliest = min(earliest, clock)
    return -1, 0, earliest


@kernel
def choose_command(lp: Lpddr, ch: int, now: int) -> tuple[int, int, int]:
    """Choose the command for the window of channel `ch` at clock `now` by FR-FCFS.

    Returns (command, place in the window from the oldest, now), or (-1, 0, clock) with the first
    clock in which one may be sent if nothing changes, FAR if none.
    """
    settings = lp.settings[0]
    channel = lp.channels[ch]
    ring = lp.window.shape[1] - 1
    strict = channel["bypassed"] >= settings["bypass_limit"]
    blocked = 0
    if channel["refreshing"] == 1 and settings["refresh"] == PER_BANK:
        blocked = 1 << channel["refresh_bank"]
    earliest = FAR
    hits = 0
    for i in range(channel["count"]):
        entry = lp.window[ch, (channel["head"] + i) & ring]
        bank = entry[W_BANK]
        if lp.open_rows[ch, bank] == entry[W_ROW]:
            hits |= 1 << bank
            if (i == 0 or not strict) and not (blocked >> bank) & 1:
                clock = ready_clock(settings, lp.ready[ch], entry[W_COMMAND], bank)
                if clock <= now:
                    return entry[W_COMMAND], i, now
                earliest = min(earliest, clock)
    return _choose_row_command(lp, ch, now, hits, blocked, earliest)


@kernel
def refresh_step(lp: Lpddr, ch: int, now: int) -> tuple[int, int]:
    """Send the next command of a refresh that has begun, if it may be sent at `now`.

    Returns (1 if the clock is taken, the first clock in which the next one may be sent).
    """
    settings = lp.settings[0]
    channel = lp.channels[ch]
    per_bank = settings["refresh"] == PER_BANK
    bank = channel["refresh_bank"] if per_bank else 0
    if per_bank:
        command = PRE if lp.open_rows[ch, bank] >= 0 else REFP
    else:
        command = PREA if channel["open_banks"] > 0 else REFA
    clock = ready_clock(settings, lp.ready[ch], command, bank)
    if clock > now:
        return 0, clock
    send_row_command(lp, ch, command, bank, -1, now)
    trace_command(lp, ch, command, bank if per_bank else -1, -1, -1, now)
    if command in (REFA, REFP):
        channel["owed"] -= 1
        if per_bank:
            channel["refresh_bank"] = bank + 1 if bank + 1 < settings["banks"] else 0
            channel["refreshing"] = 0
        elif channel["owed"] == 0:
            channel["refreshing"] = 0
    return 1, now
