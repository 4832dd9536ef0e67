"""Do the clocked LPDDR model and the fast kernels agree: every command, completion and counter?

And does a stream that advances by row do what it does burst by burst?
"""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lpddr_bench import PARTS, Ask, lpddr, run_clocked, run_fast, with_row

from azsim_kernels.lpddr_params import (
    ACT,
    BANK,
    CHANNEL,
    COMMAND_NAMES,
    GROUP,
    PRE,
    READ,
    WRITE,
    Constraint,
    LpddrCommand,
    LpddrParams,
)
from azsim_kernels.lpddr_types import BY_ROW, new_lpddr

MAPPINGS = (
    ["row", "bank", "column", "group", "channel"],
    ["row", "column", "bank", "group", "channel"],
    ["row", "group", "bank", "column", "channel"],
    ["channel", "row", "bank", "column", "group"],
    ["row", "bank", "channel", "column", "group"],
    ["bank", "row", "group", "column", "channel"],
)


def random_params(rng: random.Random) -> LpddrParams:
    """Return a memory: a part with any controller, often with small pages or much refresh."""
    params = lpddr(
        rng.choice(PARTS),
        (rng.choice([1, 4, 16]), 2, 3),
        channels=rng.choice([1, 1, 1, 2, 4]),
        mapping=rng.choice(MAPPINGS),
        bank_xor_row=rng.random() < 0.3,
        window_bursts=rng.choice([1, 2, 7, 16, 32]),
        bypass_limit=rng.choice([0, 1, 4, 16]),
        refresh=rng.choice(["none", "all_bank", "per_bank"]),
        refresh_batch=rng.choice([1, 2, 4]),
    )
    if rng.random() < 0.4:
        params = params._replace(refresh_interval_clocks=rng.choice([700, 900, 1300]))
    if rng.random() < 0.5:
        params = params._replace(columns=rng.choice([2, 4, 16]), rows=16)
    if rng.random() < 0.2:  # other tables than those of the parts
        rows = [row._replace(clocks=rng.randrange(1, 60)) for row in params.constraints]
        rows.append(Constraint(CHANNEL, (READ,), (ACT, PRE), 1, rng.randrange(1, 9)))
        params = params._replace(constraints=tuple(rows))
    return params


def random_asks(rng: random.Random, params: LpddrParams, count: int) -> list[Ask]:
    """Return requests: mostly one port's stream, with jumps, pauses and other ports in between."""
    asks: list[Ask] = []
    address = rng.randrange(1 << 19)
    time_ps = 0
    others = rng.choice([0.0, 0.1, 0.5])
    for _ in range(count):
        port, is_write = 0, False
        if rng.random() < others:
            port, is_write = rng.randrange(3), rng.random() < 0.5
        size = rng.choice([1, 32, 64, 128, 128, 128, 500, 4096])
        if rng.random() < 0.15:
            address = rng.randrange(1 << 19)
        address %= params.capacity_bytes
        if address + size > params.capacity_bytes:
            address = 0
        asks.append(Ask(port, address, size, is_write, time_ps))
        address += size
        if rng.random() < 0.05:
            time_ps += rng.choice([1, 700, 3 * 625, 50_000, 400_000, 4_000_000])
    return asks


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_levels_agree(seed: int) -> None:
    rng = random.Random(seed)
    params = random_params(rng)
    asks = random_asks(rng, params, rng.choice([5, 30, 80]))
    clocked = run_clocked(params, asks, 5_000_000)
    assert run_fast(params, asks, 5_000_000, by_row=False) == clocked
    assert run_fast(params, asks, 5_000_000, by_row=True) == clocked


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_streams_by_row_are_streams_by_burst(seed: int) -> None:
    rng = random.Random(seed)
    params = random_params(rng)
    size = rng.choice([64, 128, 1024, 4096, 50_000])
    if params.capacity_bytes < 1 << 20:
        params = params._replace(rows=1 << 15)
    start = rng.randrange(1 << 19)
    asks = [
        Ask(0, start + number * size, size, seed % 4 == 0)
        for number in range(max(2, 600_000 // size if size > 1024 else 500))
    ]
    if seed % 3 == 0:
        asks.append(Ask(1, start + 77 * 64, 64, False, rng.randrange(10**8)))
    assert run_fast(params, asks, by_row=True) == run_fast(params, asks, by_row=False)


@pytest.mark.small
def test_levels_agree_on_a_few_cases() -> None:
    for seed in range(6):
        rng = random.Random(seed)
        params = random_params(rng)
        asks = random_asks(rng, params, 12)
        assert run_fast(params, asks, 10**6) == run_clocked(params, asks, 10**6)


def test_the_random_cases_reach_everything() -> None:
    commands: Counter[str] = Counter()
    by_row = Counter[bool]()
    overtaken = 0
    for seed in range(60):
        rng = random.Random(seed)
        params = random_params(rng)
        asks = random_asks(rng, params, 60)
        run = run_fast(params, asks, 5_000_000)
        commands.update(name for _, name, _ in run.sent())
        by_row[bool(new_lpddr(params)[BY_ROW])] += 1
        overtaken += run.order != sorted(run.order)
    assert set(commands) == set(COMMAND_NAMES)
    assert min(commands.values()) > 50
    assert min(by_row[True], by_row[False], overtaken) > 5


@pytest.mark.parametrize("part", PARTS)
def test_data_never_overlap_on_the_bus(part: str) -> None:
    """Read from the commands alone: no two bursts of a channel move data in the same clock."""
    rng = random.Random(5)
    params = lpddr(part, refresh="all_bank", window_bursts=16)
    burst_clocks = {"lpddr4_3200": 8, "lpddr4x_4266": 8, "lpddr5_6400": 2}[part]
    asks = [
        Ask(rng.randrange(3), rng.randrange(1 << 17), 64, rng.random() < 0.5) for _ in range(600)
    ]
    ends = sorted(
        c.clock + (params.write_clocks if c.command == WRITE else params.read_clocks)
        for c in run_fast(params, asks).commands
        if c.command in (READ, WRITE)
    )
    assert len(ends) >= 1200
    assert min(later - earlier for earlier, later in pairwise(ends)) >= burst_clocks


def broken(row: Constraint, sent: list[LpddrCommand], banks_per_group: int) -> list[LpddrCommand]:
    """Return the commands that come too soon for `row`, found by looking back from each."""
    found = []
    for k, command in enumerate(sent):
        if command.command not in row.then:
            continue
        before = [
            earlier.clock
            for earlier in sent[max(0, k - 60) : k]
            if earlier.command in row.first
            and (
                row.scope == CHANNEL
                or -1 in (earlier.bank, command.bank)
                or (row.scope == BANK and earlier.bank == command.bank)
                or (
                    row.scope == GROUP
                    and earlier.bank // banks_per_group == command.bank // banks_per_group
                )
            )
        ]
        if len(before) >= row.depth and command.clock - before[-row.depth] < row.clocks:
            found.append(command)
    return found


@pytest.mark.parametrize("part", PARTS)
def test_every_row_of_the_table_is_kept_and_counts(part: str) -> None:
    """No command breaks a row; and each row, four clocks longer, changes what is sent."""
    rng = random.Random(11)
    changed = set()
    for refresh, batch, interval in (("all_bank", 2, 700), ("per_bank", 4, 350)):
        base = lpddr(part, refresh=refresh, refresh_batch=batch)
        base = base._replace(refresh_interval_clocks=interval)
        places = [rng.randrange(1 << 18) for _ in range(150)]
        asks = [Ask(k % 3, place, 64, k % 5 == 0, 300 * k) for k, place in enumerate(places)]
        # Few rows of few banks, so that the same bank is read, written and closed in turn.
        asks += [
            Ask(1, 32 * rng.randrange(40) + (rng.randrange(3) << 14), 32, k % 2 == 0, 60_000 * k)
            for k in range(80)
        ]
        asks += [Ask(0, 2048 * 8 * k, 32, time_ps=20_000_000) for k in range(8)]
        sent = run_fast(base, asks, 3_000_000).commands
        for number, row in enumerate(base.constraints):
            assert broken(row, sent, base.banks_per_group) == []
            longer = with_row(base, number, row.clocks + 4)  # tFAW of 4266 is 2 under 4 tRRD
            if run_fast(longer, asks, 3_000_000).commands != sent:
                changed.add(number)
    assert [row for number, row in enumerate(base.constraints) if number not in changed] == []
