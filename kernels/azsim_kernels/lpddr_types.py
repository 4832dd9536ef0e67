"""State of the fast LPDDR kernels: one array of int64, made from `LpddrParams`.

One array and no records, because compiling a kernel takes longer with every array and record type
it is given. The first places of the array are numbers by name (`lp[CLOCK_PS]`), some of which say
where a table begins. Each channel is a block at `at`, with numbers by name first
(`lp[at + C_CLOCK]`) and its tables behind them (`lp[at + lp[READY_IN] + ...]`).

Not compiled: this is done once per step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from azsim_kernels.lpddr_params import (
    ACT,
    BANK,
    CHANNEL,
    CHANNEL_COUNTS,
    GROUP,
    NO_REFRESH,
    PRE,
    READ,
    WRITE,
    HostPattern,
    LpddrCommand,
    LpddrMemory,
    LpddrParams,
)

# The array, int64. Not typed as such: checkers take an element indexed by an element for an array.
Lpddr = Any

FAR = 1 << 60  # later than everything
NEVER = -(1 << 60)  # longer ago than everything

# Parameters.
(
    CLOCK_PS,
    CHANNELS,
    GROUPS,
    BANKS,
    GROUP_BANKS,  # banks in a group
    PORTS,
    WINDOW_BURSTS,
    BYPASS_LIMIT,
    READ_CLOCKS,
    WRITE_CLOCKS,
    REFRESH,
    INTERVAL,
    BATCH,
    BURST_BYTES,
    CAPACITY_BYTES,
    CHANNEL_SHIFT,
    CHANNEL_BITS,
    BANK_SHIFT,
    GROUP_SHIFT,
    ROW_SHIFT,
    ROWS,
    XOR_MASK,
    BY_ROW,
    CYCLE,  # consecutive bursts of a stream go round so many banks
    BLOCK_SHIFT,  # and 1 << so many bursts lie in the rows open in them
    READ_STEP,  # even distance of the column commands of a stream, 0 if there is none
    WRITE_STEP,
    READ_ALONE,  # 1: another bank could be served between two of them
    WRITE_ALONE,
    READ_HITS,  # even distance of column commands to any open rows, 0 if it depends on the rows
    WRITE_HITS,
    PLACES,  # banks, groups and the channel
    RULES,  # constraint rows with a window
    RING_MASK,  # of the window
    DONE_MASK,
    NOBODY,  # -1: compiled code for a constant would be code of its own
    GROUP_BITS,  # log2 of the banks in a group
) = range(37)
# Where the tables begin.
(
    GAPS_AT,  # (3, 7, 15) scope, first -> how many, then (then, clocks) of each
    RULES_AT,  # (RULES, 5) scope, mask of first, mask of then, depth, clocks
    PORTS_AT,  # (PORTS, 2) requests allowed in flight, requests in flight
    SLOTS_AT,  # (requests, 7) see S_
    FREE_AT,  # stack of free slots
    DONE_AT,  # ring of slots whose requests are done, by time
    CHANNELS_AT,
    CHANNEL_SIZE,
    TRACE_AT,  # (TRACE_ROOM, 6) as `LpddrCommand`
    TRACE_ROOM,
    # inside of a channel's block
    QUEUE_IN,  # (PORTS, 2) first and last slot, -1 none
    READY_IN,  # (PLACES, 8) earliest clock of each command, OPEN_ROW
    RECENT_IN,  # (RULES, PLACES, 17) place of the next entry, the last `depth` clocks
    WINDOW_IN,  # (RING_MASK + 1, 5) see W_
    LINKS_IN,  # (requests, 3) see L_
    FOUND_IN,  # (BANKS,) what the first burst after the next ACT, or since the last, finds: F_
) = range(37, 53)
# What changes.
REQUESTS, FREE_COUNT, DONE_HEAD, DONE_COUNT, TRACED = range(53, 58)
# The chip's side.
(
    CORE_MHZ,
    PATH_CYCLES,
    REACTION_CLOCKS,  # so long after a completion nobody can have asked for more because of it
    BEGIN,  # core cycles before the step
    PATTERNS,
    PATTERNS_AT,  # (PATTERNS, 13) see H_
    HOST_REQUESTS,
    HOST_READ_BYTES,
    HOST_WRITE_BYTES,
    HOST_WAIT,  # core cycles from due to visible, of all requests together
    HOST_LONGEST_WAIT,
) = range(58, 69)
HEADER = 69

# A channel.
(
    C_NUMBER,
    C_CLOCK,  # the next clock in which something can happen
    C_SEEN,  # all clocks before this one are over
    C_PENDING,  # bursts that wait for their column command
    C_HEAD,  # window: place of the oldest burst
    C_COUNT,  # window: bursts
    C_IN_ORDER,  # the last so many bursts admitted are neighbours and still in order
    C_LAST_LOCAL,
    C_LAST_PORT,
    C_LAST_COMMAND,
    C_TURN,
    C_BYPASSED,
    C_OWED,
    C_DUE,
    C_REFRESHING,
    C_REFRESH_BANK,
    C_OPEN_BANKS,
    C_OPEN_SINCE,
    C_BARE,  # 1: the window's entries may lack all but W_SLOT and W_LOCAL
    C_COUNTS,  # as `CHANNEL_COUNTS`
) = range(20)
C_HEADER = C_COUNTS + len(CHANNEL_COUNTS)
OPEN_CLOCKS = CHANNEL_COUNTS.index("open_clocks")
ROW_HITS = CHANNEL_COUNTS.index("row_hits")
READS_OF = CHANNEL_COUNTS.index("w_reads")  # by port
WRITES_OF = CHANNEL_COUNTS.index("w_writes")

# What a burst found of its row, in the order of the counts from ROW_HITS on: it was open, its bank
# was closed, another row was open there.
F_HIT, F_MISS, F_CONFLICT = range(3)

OPEN_ROW = 7  # column of the ready table: row of a bank, -1 closed
# A burst in the window.
W_SLOT, W_LOCAL, W_BANK, W_ROW, W_COMMAND = range(5)
W_SIZE = 5
# A request.
S_TICKET, S_PORT, S_ORDER, S_COMMAND, S_ARRIVAL, S_LEFT, S_DONE = range(7)
S_SIZE = 7
# The part of a request on one channel, in bursts of that channel.
L_AT, L_END, L_NEXT = range(3)
L_SIZE = 3
# A pattern of host traffic: as `HostPattern`, then what changes.
(
    H_PERIOD_NS,
    H_REQUESTS,
    H_BYTES,
    H_ADDRESS,
    H_PLACES,
    H_RANDOM,
    H_SHARE,
    H_PRIORITY,
    H_PERIOD,  # number of the next period
    H_DUE,  # the core cycle in which it begins
    H_LEFT,  # requests due and not issued
    H_SENT,  # requests issued
    H_PASSED,  # times that others went first
) = range(13)
H_SIZE = 13
RECENT_SIZE = 17
GAPS_SIZE = 15


def _log2(value: int) -> int:
    if value < 1 or value & (value - 1):
        raise ValueError(f"sizes of an LPDDR memory must be powers of two, not {value}")
    return value.bit_length() - 1


def _mask(commands: tuple[int, ...]) -> int:
    return sum(1 << command for command in commands)


def _gaps(params: LpddrParams) -> Lpddr:
    gaps = np.zeros((3, 7, 7), np.int64)
    for row in params.constraints:
        if row.depth == 1:
            for first in row.first:
                for then in row.then:
                    gaps[row.scope, first, then] = max(gaps[row.scope, first, then], row.clocks)
    return gaps


def _field_shifts(params: LpddrParams, without: tuple[str, ...]) -> dict[str, int]:
    """Return the lowest bit of each field in the number of a burst, leaving some fields out."""
    bits = {
        "row": _log2(params.rows),
        "bank": _log2(params.banks_per_group),
        "group": _log2(params.groups),
        "column": _log2(params.columns),
        "channel": _log2(params.channels),
    }
    shifts, at = {}, 0
    for name in reversed(params.order):
        shifts[name] = at
        at += 0 if name in without else bits[name]
    return shifts


def _banks_in_turn(params: LpddrParams, shifts: dict[str, int]) -> list[tuple[int, int]]:
    """Return (bank in its group, group) of consecutive bursts, up to where they repeat."""
    below = [name for name in ("bank", "group") if shifts[name] < shifts["column"]]
    banks = params.banks_per_group if "bank" in below else 1
    groups = params.groups if "group" in below else 1
    return [
        ((burst >> shifts["bank"]) % banks, (burst >> shifts["group"]) % groups)
        for burst in range(banks * groups)
    ]


def _step(gaps: Lpddr, turn: list[tuple[int, int]], command: int) -> tuple[int, int]:
    """Return the even distance of consecutive column commands of a stream in order, 0 if they are
    not even, and 1 if a bank of another group could be served in between.
    """
    bank, group, channel = (int(gaps[scope, command, command]) for scope in (BANK, GROUP, CHANNEL))
    if len(turn) == 1:
        step = max(bank, group, channel)
        return step, int(step > channel)
    twice = turn + turn
    for k, later in enumerate(twice):
        for i, earlier in enumerate(twice[:k]):
            least = max(group if later[1] == earlier[1] else 0, bank if later == earlier else 0)
            if (k - i) * channel < least:
                return 0, 0
    return channel, 0


def _hits_step(gaps: Lpddr, command: int) -> int:
    """Return the distance of two column commands to any open rows, 0 if the rows matter."""
    bank, group, channel = (int(gaps[scope, command, command]) for scope in (BANK, GROUP, CHANNEL))
    return channel if channel >= max(bank, group) else 0


def _rows_are_apart(
    params: LpddrParams, gaps: Lpddr, shifts: dict[str, int], turn: list[tuple[int, int]]
) -> bool:
    """Say whether a stream can advance by row: the window sees two rows of a bank at most, and row
    and column commands wait for each other on the same bank only.
    """
    rows, columns = [ACT, PRE], [READ, WRITE]
    wide = gaps[1:]
    counted = {c for r in params.constraints if r.depth > 1 for c in (*r.first, *r.then)}
    return (
        shifts["row"] > shifts["column"]
        and params.window_bursts <= len(turn) * params.columns
        and not wide[:, rows][:, :, columns].any()
        and not wide[:, columns][:, :, rows].any()
        and not (counted & {READ, WRITE})
    )


def _put_parameters(lp: Lpddr, params: LpddrParams, gaps: Lpddr, by_row: bool) -> None:
    shifts = _field_shifts(params, without=("channel",))
    turn = _banks_in_turn(params, shifts)
    ring = 1 << (params.window_bursts - 1).bit_length()
    requests = sum(params.outstanding)
    read, write = (_step(gaps, turn, command) for command in (READ, WRITE))
    values = {
        CLOCK_PS: params.clock_ps,
        CHANNELS: params.channels,
        GROUPS: params.groups,
        BANKS: params.banks,
        GROUP_BANKS: params.banks_per_group,
        PORTS: len(params.outstanding),
        WINDOW_BURSTS: params.window_bursts,
        BYPASS_LIMIT: params.bypass_limit,
        READ_CLOCKS: params.read_clocks,
        WRITE_CLOCKS: params.write_clocks,
        REFRESH: params.refresh,
        INTERVAL: params.refresh_interval_clocks,
        BATCH: params.refresh_batch,
        BURST_BYTES: params.burst_bytes,
        CAPACITY_BYTES: params.capacity_bytes,
        CHANNEL_SHIFT: _field_shifts(params, without=())["channel"],
        CHANNEL_BITS: _log2(params.channels),
        BANK_SHIFT: shifts["bank"],
        GROUP_SHIFT: shifts["group"],
        ROW_SHIFT: shifts["row"],
        ROWS: params.rows,
        XOR_MASK: params.banks_per_group - 1 if params.bank_xor_row else 0,
        BY_ROW: int(by_row and _rows_are_apart(params, gaps, shifts, turn)),
        CYCLE: len(turn),
        BLOCK_SHIFT: _log2(len(turn) * params.columns),
        READ_STEP: read[0],
        WRITE_STEP: write[0],
        READ_ALONE: read[1],
        WRITE_ALONE: write[1],
        READ_HITS: _hits_step(gaps, READ) if by_row else 0,
        WRITE_HITS: _hits_step(gaps, WRITE) if by_row else 0,
        PLACES: params.banks + params.groups + 1,
        RULES: sum(row.depth > 1 for row in params.constraints),
        RING_MASK: ring - 1,
        DONE_MASK: (1 << max(0, requests - 1).bit_length()) - 1,
        FREE_COUNT: requests,
        NOBODY: -1,
        GROUP_BITS: _log2(params.banks_per_group),
    }
    for place, value in values.items():
        lp[place] = value


def _lay_out(lp: Lpddr, requests: int, trace_commands: int) -> int:
    """Write where the tables begin; return the size of the whole."""
    block = C_HEADER
    for place, size in (
        (QUEUE_IN, lp[PORTS] * 2),
        (READY_IN, lp[PLACES] * 8),
        (RECENT_IN, lp[RULES] * lp[PLACES] * RECENT_SIZE),
        (WINDOW_IN, (lp[RING_MASK] + 1) * W_SIZE),
        (LINKS_IN, requests * L_SIZE),
        (FOUND_IN, lp[BANKS]),
    ):
        lp[place] = block
        block += int(size)
    lp[CHANNEL_SIZE] = block
    end = HEADER
    for place, size in (
        (GAPS_AT, 3 * 7 * GAPS_SIZE),
        (RULES_AT, lp[RULES] * 5),
        (PORTS_AT, lp[PORTS] * 2),
        (SLOTS_AT, requests * S_SIZE),
        (FREE_AT, requests),
        (DONE_AT, lp[DONE_MASK] + 1),
        (CHANNELS_AT, lp[CHANNELS] * block),
        (TRACE_AT, trace_commands * 6),
        (PATTERNS_AT, lp[PATTERNS] * H_SIZE),
    ):
        lp[place] = end
        end += int(size)
    lp[TRACE_ROOM] = trace_commands
    return end


def _put_tables(lp: Lpddr, params: LpddrParams, gaps: Lpddr, requests: int) -> None:
    for place, waits in enumerate(gaps.reshape(-1, 7)):
        pairs = [value for then in np.flatnonzero(waits) for value in (then, waits[then])]
        at = lp[GAPS_AT] + place * GAPS_SIZE
        lp[at] = len(pairs) // 2
        lp[at + 1 : at + 1 + len(pairs)] = pairs
    counted = [row for row in params.constraints if row.depth > 1]
    for number, row in enumerate(counted):
        at = lp[RULES_AT] + 5 * number
        lp[at : at + 5] = row.scope, _mask(row.first), _mask(row.then), row.depth, row.clocks
    for port, allowed in enumerate(params.outstanding):
        lp[lp[PORTS_AT] + 2 * port] = allowed
    lp[lp[FREE_AT] : lp[FREE_AT] + requests] = np.arange(requests)
    for number in range(params.channels):
        _put_channel(lp, lp[CHANNELS_AT] + number * lp[CHANNEL_SIZE], number, params)


def _put_channel(lp: Lpddr, at: int, number: int, params: LpddrParams) -> None:
    lp[at + C_NUMBER] = number
    refreshed = params.refresh != NO_REFRESH
    lp[at + C_DUE] = params.refresh_interval_clocks if refreshed else FAR
    lp[at + lp[QUEUE_IN] : at + lp[READY_IN]] = -1
    for bank in range(params.banks):
        lp[at + lp[READY_IN] + 8 * bank + OPEN_ROW] = -1
    lp[at + lp[FOUND_IN] : at + lp[FOUND_IN] + params.banks] = F_MISS
    recent = lp[at + lp[RECENT_IN] : at + lp[WINDOW_IN]]
    recent[:] = NEVER
    recent[::RECENT_SIZE] = 0


def new_chip_memory(
    memory: LpddrMemory,
    patterns: Sequence[HostPattern] = (),
    by_row: bool = True,
    trace_commands: int = 0,
) -> Lpddr:
    """Return the memory of a chip at time 0, with the traffic of its host; see `new_lpddr`."""
    lp = new_lpddr(memory.params, by_row, trace_commands, patterns)
    lp[CORE_MHZ], lp[PATH_CYCLES] = memory.core_mhz, memory.path_cycles
    path_ps = memory.path_cycles * 1_000_000 // memory.core_mhz
    lp[REACTION_CLOCKS] = path_ps // memory.params.clock_ps
    return lp


def new_lpddr(
    params: LpddrParams,
    by_row: bool = True,
    trace_commands: int = 0,
    patterns: Sequence[HostPattern] = (),
) -> Lpddr:
    """Return a memory at time 0: all rows closed, nothing in flight.

    by_row          let streams advance by row instead of by burst (same results, sooner)
    trace_commands  room for so many commands in the trace, see `traced_commands`
    """
    gaps = _gaps(params)
    requests = sum(params.outstanding)
    header = np.zeros(HEADER, np.int64)
    _put_parameters(header, params, gaps, by_row)
    header[PATTERNS] = len(patterns)
    lp = np.zeros(_lay_out(header, requests, trace_commands), np.int64)
    lp[:HEADER] = header
    _put_tables(lp, params, gaps, requests)
    for number, pattern in enumerate(patterns):
        at = lp[PATTERNS_AT] + number * H_SIZE
        lp[at : at + len(pattern)] = pattern
    return lp


def channel_counts(lp: Lpddr) -> Lpddr:
    """Return (channels, counts) in the order of `CHANNEL_COUNTS`."""
    first = lp[CHANNELS_AT] + C_COUNTS
    starts = first + lp[CHANNEL_SIZE] * np.arange(lp[CHANNELS])
    return np.stack([lp[start : start + len(CHANNEL_COUNTS)] for start in starts])


def traced_commands(lp: Lpddr) -> list[LpddrCommand]:
    """Return the commands in the trace; ValueError if there were more than it had room for."""
    if lp[TRACED] > lp[TRACE_ROOM]:
        raise ValueError(
            f"the trace must have room for {lp[TRACED]} commands, not {lp[TRACE_ROOM]}"
        )
    rows = lp[lp[TRACE_AT] : lp[TRACE_AT] + 6 * lp[TRACED]].reshape(-1, 6)
    return [LpddrCommand(*map(int, row)) for row in rows]
