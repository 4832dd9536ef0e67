"""Both levels of the LPDDR memory behind one face, for tests: requests in, what happened out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from azsim.config.lpddr_control import LpddrControl, lpddr_params
from azsim_kernels.clocked.lpddr import ClockedLpddr
from azsim_kernels.lpddr import advance, new_lpddr, pop_completion, put_request
from azsim_kernels.lpddr_params import (
    COMMAND_NAMES,
    PORT_FULL,
    REFA,
    TAKEN,
    LpddrCommand,
    LpddrParams,
)
from azsim_kernels.lpddr_types import FAR, channel_counts, traced_commands

PARTS = ("lpddr4_3200", "lpddr4x_4266", "lpddr5_6400")
ROOM = 60_000  # commands


class Ask(NamedTuple):
    """A request that its port makes at `time_ps`, or as soon after as the port takes it."""

    port: int
    address: int
    size: int
    is_write: bool = False
    time_ps: int = 0


class Run(NamedTuple):
    """`done` and `issued` by the number of the request; `order` of completions; the commands."""

    done: dict[int, int]
    issued: dict[int, int]
    order: list[int]
    commands: list[LpddrCommand]
    counts: list[list[int]]

    def sent(self, *names: str) -> list[tuple[int, str, int]]:
        """Return (clock, name, bank) of the commands with these names, of all without."""
        rows = [(c.clock, COMMAND_NAMES[c.command], c.bank) for c in self.commands]
        return [row for row in rows if not names or row[1] in names]


def lpddr(
    part: str = "lpddr4_3200", outstanding: Sequence[int] = (16, 8, 8), **changes: Any
) -> LpddrParams:
    """Return the recommended memory without refresh, with `changes` to its controller."""
    control: dict[str, Any] = {
        "part": part,
        "channels": 1,
        "devices_per_channel": 1,
        "mapping": ["row", "bank", "column", "group", "channel"],
        "bank_xor_row": False,
        "window_bursts": 32,
        "bypass_limit": 16,
        "refresh": "none",
        "refresh_batch": 4,
        "host_outstanding": 8,
        "path_cycles": 0,
    }
    control.update(changes)
    return lpddr_params(LpddrControl(**control), outstanding)


def with_row(params: LpddrParams, number: int, clocks: int) -> LpddrParams:
    """Return `params` with other `clocks` in one row of the table."""
    rows = list(params.constraints)
    rows[number] = rows[number]._replace(clocks=clocks)
    return params._replace(constraints=tuple(rows))


def address_of(
    params: LpddrParams, bank: int = 0, row: int = 0, column: int = 0, channel: int = 0
) -> int:
    """Return the address of a burst; `bank` counts through all groups. Without `bank_xor_row`."""
    fields = {
        "row": row,
        "bank": bank % params.banks_per_group,
        "group": bank // params.banks_per_group,
        "column": column,
        "channel": channel,
    }
    sizes = {
        "row": params.rows,
        "bank": params.banks_per_group,
        "group": params.groups,
        "column": params.columns,
        "channel": params.channels,
    }
    burst = 0
    for name in params.order:
        burst = burst * sizes[name] + fields[name]
    return burst * params.burst_bytes


def longest_wait_clocks(params: LpddrParams) -> int:
    """Return the bound of section 6 of docs/memory.md for a burst at the head of its port."""
    refresh = max((row.clocks for row in params.constraints if REFA in row.first), default=0)
    rest = sum(row.clocks for row in params.constraints if REFA not in row.first)
    service = params.refresh_batch * refresh + rest
    columns = len(params.outstanding) + params.window_bursts * (params.bypass_limit + 1)
    return columns * service


def run_clocked(params: LpddrParams, asks: Sequence[Ask], rest_ps: int = 0) -> Run:
    """Tick the clocked model through `asks`, and `rest_ps` longer."""
    memory = ClockedLpddr(params)
    run = Run({}, {}, [], memory.log, [])
    waiting = _by_port(asks)
    now = 0
    while memory.in_flight or any(waiting.values()):
        now = memory.clock * params.clock_ps
        completion = memory.pop(now)
        while completion is not None:
            run.done[completion.ticket] = now
            run.order.append(completion.ticket)
            completion = memory.pop(now)
        for queue in waiting.values():
            while queue and asks[queue[0]].time_ps <= now:
                ask = asks[queue[0]]
                answer = memory.request(
                    ask.port, queue[0], ask.address, ask.size, ask.is_write, now
                )
                if answer == PORT_FULL:
                    break
                assert answer == TAKEN
                run.issued[queue.pop(0)] = now
        if memory.in_flight or any(waiting.values()):
            memory.tick()
    memory.advance(now + rest_ps)
    run.counts.extend([list(channel.counts.values()) for channel in memory.channels])
    return run


def run_fast(
    params: LpddrParams, asks: Sequence[Ask], rest_ps: int = 0, by_row: bool = True
) -> Run:
    """Do what `run_clocked` does with the fast kernels; commands in the order of clock, channel."""
    lp = new_lpddr(params, by_row, ROOM)
    run = Run({}, {}, [], [], [])
    waiting = _by_port(asks)
    now = 0
    while True:
        following = FAR
        for queue in waiting.values():
            while queue and asks[queue[0]].time_ps <= now:
                ask = asks[queue[0]]
                answer = put_request(
                    lp, ask.port, queue[0], ask.address, ask.size, ask.is_write, now
                )
                if answer == PORT_FULL:
                    break
                assert answer == TAKEN
                run.issued[queue.pop(0)] = now
            if queue and asks[queue[0]].time_ps > now:
                following = min(following, _edge(asks[queue[0]].time_ps, params.clock_ps))
        first = int(advance(lp, following, False))
        if first == FAR and following == FAR:
            break
        now = min(first, following)
        ticket = int(pop_completion(lp, now))
        while ticket >= 0:
            run.done[ticket] = now
            run.order.append(ticket)
            ticket = int(pop_completion(lp, now))
    advance(lp, now + rest_ps, True)
    run.commands.extend(sorted(traced_commands(lp)))
    run.counts.extend(channel_counts(lp).tolist())
    return run


def both(params: LpddrParams, asks: Sequence[Ask]) -> Run:
    """Return what both levels say, having compared them."""
    clocked = run_clocked(params, asks)
    assert run_fast(params, asks) == clocked
    return clocked


def _by_port(asks: Sequence[Ask]) -> dict[int, list[int]]:
    waiting: dict[int, list[int]] = {}
    for number, ask in enumerate(asks):
        waiting.setdefault(ask.port, []).append(number)
    return dict(sorted(waiting.items()))


def _edge(time_ps: int, clock_ps: int) -> int:
    return -(-time_ps // clock_ps) * clock_ps
