"""State of the fast LPDDR kernels: arrays and records, made from `LpddrParams`.

Not compiled: this is done once per step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from azsim_kernels.lpddr_params import (
    BANK,
    CHANNEL,
    GROUP,
    NO_REFRESH,
    READ,
    WRITE,
    LpddrParams,
)

Ints = npt.NDArray[np.int64]
Records = npt.NDArray[np.void]

FAR = 1 << 60  # later than everything
NEVER = -(1 << 60)  # longer ago than everything

# Columns of `window`: a burst among which the scheduler chooses.
W_SLOT, W_LOCAL, W_BANK, W_ROW, W_COMMAND = range(5)
# Columns of `slots`: a request.
S_TICKET, S_PORT, S_NUMBER, S_COMMAND, S_ARRIVAL, S_LEFT, S_DONE = range(7)
# Columns of `links`: the part of a request on one channel, in bursts of that channel.
L_AT, L_END, L_NEXT = range(3)
# Columns of `counts`: commands by number, then the clocks in which a row was open.
OPEN_CLOCKS = 7

_SETTINGS = np.dtype(
    [
        (name, np.int64)
        for name in (
            "clock_ps",
            "channels",
            "groups",
            "banks",
            "banks_per_group",
            "ports",
            "window",
            "bypass_limit",
            "read_clocks",
            "write_clocks",
            "refresh",
            "interval",
            "batch",
            "burst_bytes",
            "capacity_bytes",
            "channel_shift",
            "channel_bits",
            "bank_shift",
            "group_shift",
            "row_shift",
            "rows",
            "xor_mask",
            "by_row",
            "cycle_banks",
            "block",
            "read_cadence",
            "write_cadence",
            "read_alone",
            "write_alone",
        )
    ],
    align=True,
)
_CHANNEL = np.dtype(
    [
        (name, np.int64)
        for name in (
            "clock",  # the next clock in which something can happen
            "seen",  # all clocks before this one are over
            "pending",  # bursts that wait for their column command
            "head",  # window: place of the oldest burst
            "count",  # window: bursts
            "in_order",  # the last so many bursts admitted are neighbours and still in order
            "last_local",
            "last_port",
            "last_command",
            "turn",
            "bypassed",
            "owed",
            "due",
            "refreshing",
            "refresh_bank",
            "open_banks",
            "open_since",
        )
    ],
    align=True,
)
_CORE = np.dtype(
    [(name, np.int64) for name in ("requests", "free_slots", "done_head", "done_count", "traced")],
    align=True,
)


class Lpddr(NamedTuple):
    """The memory: parameters first, then what changes.

    C channels, B banks, G groups, P ports, R constraint rows with a window, S requests.
    """

    settings: Records  # one record
    gaps: Ints  # (3, 7, 7) scope, first, then -> clocks
    windows: Ints  # (R, 5) scope, mask of first, mask of then, count, clocks
    outstanding: Ints  # (P,)
    core: Records  # one record
    channels: Records  # (C,)
    ready: Ints  # (C, B + G + 1, 7) earliest clock of each command
    recent: Ints  # (C, R, B + G + 1, 17) place of the next entry, then the last `count` clocks
    open_rows: Ints  # (C, B) row, -1 closed
    window: Ints  # (C, ring, 5)
    queue: Ints  # (C, P, 2) first and last slot, -1 none
    slots: Ints  # (S, 7)
    links: Ints  # (C, S, 3)
    free: Ints  # (S,) stack of free slots
    in_flight: Ints  # (P,)
    done: Ints  # (ring,) slots whose requests are done, by time
    counts: Ints  # (C, 8)
    trace: Ints  # (any, 6) commands as `LpddrCommand`; none are noted beyond its end


def _log2(value: int) -> int:
    if value < 1 or value & (value - 1):
        raise ValueError(f"sizes of an LPDDR memory must be powers of two, not {value}")
    return value.bit_length() - 1


def _mask(commands: tuple[int, ...]) -> int:
    return sum(1 << command for command in commands)


def _gaps(params: LpddrParams) -> Ints:
    gaps = np.zeros((3, 7, 7), np.int64)
    for row in params.constraints:
        if row.count == 1:
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
    """Return (bank, group) of consecutive bursts, up to where they repeat."""
    below = [f for f in ("bank", "group") if shifts[f] < shifts["column"]]
    sizes = {"bank": params.banks_per_group, "group": params.groups}
    cycle = int(np.prod([sizes[f] for f in below], dtype=np.int64))
    return [
        tuple(  # type: ignore[misc]
            (burst >> shifts[f]) % sizes[f] if f in below else 0 for f in ("bank", "group")
        )
        for burst in range(cycle)
    ]


def _cadence(
    params: LpddrParams, gaps: Ints, turn: list[tuple[int, int]], command: int
) -> tuple[int, int]:
    """Return the even distance of consecutive column commands of a stream in order, 0 if they are
    not even, and whether banks of other groups could go earlier in between.
    """
    if any(row.count > 1 and command in row.first for row in params.constraints):
        return 0, 0
    bank, group, channel = (int(gaps[scope, command, command]) for scope in (BANK, GROUP, CHANNEL))
    if len(turn) == 1:
        step = max(bank, group, channel)
        return step, int(step > channel)
    for k, later in enumerate(turn + turn):
        for i, earlier in enumerate((turn + turn)[:k]):
            same_group = later[1] == earlier[1]
            least = max(group if same_group else 0, bank if later == earlier else 0)
            if (k - i) * channel < least:
                return 0, 0
    return channel, 0


def _settings(params: LpddrParams, gaps: Ints, by_row: bool) -> Records:
    settings = np.zeros(1, _SETTINGS)
    s = settings[0]
    shifts = _field_shifts(params, without=("channel",))
    turn = _banks_in_turn(params, shifts)
    below_row = shifts["row"] > shifts["column"]
    s["clock_ps"], s["channels"], s["groups"] = params.clock_ps, params.channels, params.groups
    s["banks"], s["banks_per_group"] = params.banks, params.banks_per_group
    s["ports"], s["window"] = len(params.outstanding), params.window_bursts
    s["bypass_limit"] = params.bypass_limit
    s["read_clocks"], s["write_clocks"] = params.read_clocks, params.write_clocks
    s["refresh"], s["interval"] = params.refresh, params.refresh_interval_clocks
    s["batch"] = params.refresh_batch
    s["burst_bytes"], s["capacity_bytes"] = params.burst_bytes, params.capacity_bytes
    s["channel_shift"] = _field_shifts(params, without=())["channel"]
    s["channel_bits"] = _log2(params.channels)
    s["bank_shift"], s["group_shift"] = shifts["bank"], shifts["group"]
    s["row_shift"], s["rows"] = shifts["row"], params.rows
    s["xor_mask"] = params.banks_per_group - 1 if params.bank_xor_row else 0
    s["by_row"] = int(by_row and below_row)
    s["cycle_banks"], s["block"] = len(turn), len(turn) * params.columns
    s["read_cadence"], s["read_alone"] = _cadence(params, gaps, turn, READ)
    s["write_cadence"], s["write_alone"] = _cadence(params, gaps, turn, WRITE)
    return settings


def new_lpddr(params: LpddrParams, by_row: bool = True, trace_commands: int = 0) -> Lpddr:
    """Return a memory at time 0: all rows closed, nothing in flight.

    by_row          let streams advance by row instead of by burst (same results, sooner)
    trace_commands  room for so many commands in `trace`
    """
    gaps = _gaps(params)
    counted = [row for row in params.constraints if row.count > 1]
    c, b, g = params.channels, params.banks, params.groups
    p, s = len(params.outstanding), sum(params.outstanding)
    ring = 1 << (params.window_bursts - 1).bit_length()
    channels = np.zeros(c, _CHANNEL)
    refreshed = params.refresh != NO_REFRESH
    channels["due"] = params.refresh_interval_clocks if refreshed else FAR
    core = np.zeros(1, _CORE)
    core["free_slots"] = s
    return Lpddr(
        settings=_settings(params, gaps, by_row),
        gaps=gaps,
        windows=np.array(
            [(r.scope, _mask(r.first), _mask(r.then), r.count, r.clocks) for r in counted],
            np.int64,
        ).reshape(-1, 5),
        outstanding=np.array(params.outstanding, np.int64),
        core=core,
        channels=channels,
        ready=np.zeros((c, b + g + 1, 7), np.int64),
        recent=np.full((c, len(counted), b + g + 1, 17), NEVER, np.int64),
        open_rows=np.full((c, b), -1, np.int64),
        window=np.zeros((c, ring, 5), np.int64),
        queue=np.full((c, p, 2), -1, np.int64),
        slots=np.zeros((s, 7), np.int64),
        links=np.zeros((c, s, 3), np.int64),
        free=np.arange(s, dtype=np.int64),
        in_flight=np.zeros(p, np.int64),
        done=np.zeros(1 << max(0, s - 1).bit_length(), np.int64),
        counts=np.zeros((c, 8), np.int64),
        trace=np.zeros((trace_commands, 6), np.int64),
    )
