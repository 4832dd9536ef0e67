"""Sending commands in the fast LPDDR model: what a command makes the others wait for, what it does
to the rows, and the choice of the next one (sections 3, 5 and 6 of docs/memory.md).

The rows of the constraint table are folded into the ready table: per bank, group and channel the
earliest clock of each command, raised whenever a command is sent.
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.lpddr_params import (
    ACT,
    BANK,
    CHANNEL,
    PER_BANK,
    PRE,
    PREA,
    READ,
    REFA,
    REFP,
    WRITE,
)
from azsim_kernels.lpddr_types import (
    BANKS,
    BATCH,
    BYPASS_LIMIT,
    C_BYPASSED,
    C_COUNT,
    C_COUNTS,
    C_HEAD,
    C_NUMBER,
    C_OPEN_BANKS,
    C_OPEN_SINCE,
    C_OWED,
    C_REFRESH_BANK,
    C_REFRESHING,
    F_CONFLICT,
    F_HIT,
    F_MISS,
    FAR,
    FOUND_IN,
    GAPS_AT,
    GAPS_SIZE,
    GROUP_BITS,
    NOBODY,
    OPEN_CLOCKS,
    OPEN_ROW,
    PLACES,
    READS_OF,
    READY_IN,
    RECENT_IN,
    RECENT_SIZE,
    REFRESH,
    RING_MASK,
    ROW_HITS,
    RULES,
    RULES_AT,
    TRACE_AT,
    TRACE_ROOM,
    TRACED,
    W_BANK,
    W_COMMAND,
    W_ROW,
    W_SIZE,
    WINDOW_IN,
    WRITES_OF,
    Lpddr,
)


@kernel
def ready_clock(lp: Lpddr, at: int, command: int, bank: int) -> int:
    """Return the first clock in which no constraint forbids `command` to `bank`; PREA and REFA
    concern all banks.
    """
    ready = at + lp[READY_IN] + command
    clock = lp[ready + 8 * (lp[PLACES] - 1)]
    if command in (PREA, REFA):
        for place in range(lp[PLACES] - 1):
            clock = max(clock, lp[ready + 8 * place])
        return clock  # type: ignore[no-any-return]
    group = lp[BANKS] + (bank >> lp[GROUP_BITS])
    return max(clock, lp[ready + 8 * bank], lp[ready + 8 * group])  # type: ignore[no-any-return]


@kernel
def _raise(lp: Lpddr, at: int, scope: int, place: int, command: int, now: int) -> None:
    """Let what must follow `command`, sent at `now`, wait in the bank, group or channel `place`."""
    gaps = lp[GAPS_AT] + (scope * 7 + command) * GAPS_SIZE
    ready = at + lp[READY_IN] + 8 * place
    for k in range(lp[gaps]):
        then = ready + lp[gaps + 1 + 2 * k]
        lp[then] = max(lp[then], now + lp[gaps + 2 + 2 * k])
    for r in range(lp[RULES]):  # rows of depth above 1: the oldest of the last commands rules
        rule = lp[RULES_AT] + 5 * r
        if lp[rule] == scope and (lp[rule + 1] >> command) & 1:
            recent = at + lp[RECENT_IN] + (r * lp[PLACES] + place) * RECENT_SIZE
            turn = lp[recent]
            lp[recent + 1 + turn] = now
            turn = turn + 1 if turn + 1 < lp[rule + 3] else 0
            lp[recent] = turn
            until = lp[recent + 1 + turn] + lp[rule + 4]
            for then in range(7):
                if (lp[rule + 2] >> then) & 1:
                    lp[ready + then] = max(lp[ready + then], until)


@kernel
def note_command(lp: Lpddr, at: int, command: int, bank: int, now: int) -> None:
    """Raise everything that must wait for `command` to `bank` at `now`."""
    for scope in range(3):
        if scope == CHANNEL:
            first = lp[PLACES] - 1
            last = first + 1
        elif command in (PREA, REFA):
            first = 0 if scope == BANK else lp[BANKS]
            last = lp[BANKS] if scope == BANK else lp[PLACES] - 1
        else:
            first = bank if scope == BANK else lp[BANKS] + (bank >> lp[GROUP_BITS])
            last = first + 1
        for place in range(first, last):
            _raise(lp, at, scope, place, command, now)


@kernel
def trace_command(
    lp: Lpddr, at: int, command: int, bank: int, row: int, port: int, now: int
) -> None:
    """Write the command into the trace if there is room for it."""
    if lp[TRACED] < lp[TRACE_ROOM]:
        entry = lp[TRACE_AT] + 6 * lp[TRACED]
        lp[entry] = now
        lp[entry + 1] = lp[at + C_NUMBER]
        lp[entry + 2] = command
        lp[entry + 3] = bank
        lp[entry + 4] = row
        lp[entry + 5] = port
    lp[TRACED] += 1


@kernel
def count_bursts(lp: Lpddr, at: int, command: int, port: int, bank: int, bursts: int) -> None:
    """Count column commands of `port`: `bursts` of them, of which the first to `bank` may be the
    first since its row was opened.
    """
    found = at + lp[FOUND_IN] + bank
    lp[at + C_COUNTS + ROW_HITS + lp[found]] += 1
    lp[at + C_COUNTS + ROW_HITS] += bursts - 1
    lp[found] = F_HIT
    lp[at + C_COUNTS + (READS_OF if command == READ else WRITES_OF) + port] += bursts


@kernel
def send_command(
    lp: Lpddr, at: int, command: int, bank: int, row: int, port: int, now: int
) -> None:
    """Send `command` and change the rows as it says.

    row, port  of the burst that it is sent for, -1 for a refresh
    """
    note_command(lp, at, command, bank, now)
    all_banks = command in (PREA, REFA)
    trace_command(lp, at, command, -1 if all_banks else bank, row, port, now)
    lp[at + C_COUNTS + command] += 1
    ready = at + lp[READY_IN]
    if command in (READ, WRITE):
        count_bursts(lp, at, command, port, bank, 1)
    elif command == ACT:
        lp[ready + 8 * bank + OPEN_ROW] = row
        if lp[at + C_OPEN_BANKS] == 0:
            lp[at + C_OPEN_SINCE] = now
        lp[at + C_OPEN_BANKS] += 1
    elif command in (PRE, PREA):
        for b in range(0 if all_banks else bank, lp[BANKS] if all_banks else bank + 1):
            if lp[ready + 8 * b + OPEN_ROW] >= 0:
                lp[at + lp[FOUND_IN] + b] = F_MISS if port < 0 else F_CONFLICT
            lp[ready + 8 * b + OPEN_ROW] = -1
        lp[at + C_OPEN_BANKS] = 0 if all_banks else lp[at + C_OPEN_BANKS] - 1
        if lp[at + C_OPEN_BANKS] == 0:
            lp[at + C_COUNTS + OPEN_CLOCKS] += now - lp[at + C_OPEN_SINCE]


@kernel
def choose_command(lp: Lpddr, at: int, now: int) -> tuple[int, int, int]:
    """Choose the command for the window of the channel at clock `now` by FR-FCFS.

    Returns (command, place in the window from the oldest, now), or (-1, 0, clock) with the first
    clock in which one may be sent if nothing changes, FAR if none.
    """
    window = at + lp[WINDOW_IN]
    rows = at + lp[READY_IN] + OPEN_ROW
    head = lp[at + C_HEAD]
    strict = lp[at + C_BYPASSED] >= lp[BYPASS_LIMIT]
    asked = 0  # banks that take nothing, one bit each
    if lp[at + C_REFRESHING] == 1 and lp[REFRESH] == PER_BANK:
        asked = 1 << lp[at + C_REFRESH_BANK]
    earliest = FAR
    # No column command sooner than the channel allows: once one is found for then, the others need
    # no look at their banks.
    channel = at + lp[READY_IN] + 8 * (lp[PLACES] - 1)
    bound = min(lp[channel + READ], lp[channel + WRITE])
    hits = 0  # banks whose open row somebody wants
    misses = 0
    for i in range(lp[at + C_COUNT]):
        entry = window + W_SIZE * ((head + i) & lp[RING_MASK])
        bank = lp[entry + W_BANK]
        if lp[rows + 8 * bank] == lp[entry + W_ROW]:
            hits |= 1 << bank
            if earliest > bound and (i == 0 or not strict) and not (asked >> bank) & 1:
                clock = ready_clock(lp, at, lp[entry + W_COMMAND], bank)
                if clock <= now:
                    return lp[entry + W_COMMAND], i, now
                earliest = min(earliest, clock)
        else:
            misses += 1
    if misses == 0:
        return -1, 0, earliest
    for i in range(lp[at + C_COUNT]):
        entry = window + W_SIZE * ((head + i) & lp[RING_MASK])
        bank = lp[entry + W_BANK]
        open_row = lp[rows + 8 * bank]
        if (asked >> bank) & 1 or open_row == lp[entry + W_ROW]:
            continue
        command = ACT
        if open_row >= 0:
            if (hits >> bank) & 1 and not (strict and i == 0):
                continue
            command = PRE
        asked |= 1 << bank  # the oldest burst that needs the bank speaks for it
        clock = ready_clock(lp, at, command, bank)
        if clock <= now:
            return command, i, now
        earliest = min(earliest, clock)
    return -1, 0, earliest


@kernel
def start_refresh(lp: Lpddr, at: int) -> None:
    """Begin a refresh, one being owed, if enough are or nobody needs its banks."""
    wanted = lp[at + C_COUNT] > 0
    if lp[REFRESH] == PER_BANK:
        wanted = False
        for i in range(lp[at + C_COUNT]):
            place = (lp[at + C_HEAD] + i) & lp[RING_MASK]
            bank = lp[at + lp[WINDOW_IN] + W_SIZE * place + W_BANK]
            if bank == lp[at + C_REFRESH_BANK]:
                wanted = True
    if not wanted or lp[at + C_OWED] >= lp[BATCH]:
        lp[at + C_REFRESHING] = 1


@kernel
def refresh_step(lp: Lpddr, at: int, now: int) -> int:
    """Send the next command of the refresh that has begun, if it may be sent at `now`; return the
    first clock in which it may: `now` if it was sent.
    """
    per_bank = lp[REFRESH] == PER_BANK
    bank = lp[at + C_REFRESH_BANK] if per_bank else 0
    if per_bank:
        command = PRE if lp[at + lp[READY_IN] + 8 * bank + OPEN_ROW] >= 0 else REFP
    else:
        command = PREA if lp[at + C_OPEN_BANKS] > 0 else REFA
    clock = ready_clock(lp, at, command, bank)
    if clock > now:
        return clock
    send_command(lp, at, command, bank, lp[NOBODY], lp[NOBODY], now)
    if command in (REFA, REFP):
        lp[at + C_OWED] -= 1
        if per_bank:
            lp[at + C_REFRESH_BANK] = (bank + 1) % lp[BANKS]
        if per_bank or lp[at + C_OWED] == 0:
            lp[at + C_REFRESHING] = 0
    return now
