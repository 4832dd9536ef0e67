"""Is each LPDDR timing rule tight: blocked in the clock before, sent in the clock?

First each row of each part alone, on both levels; then traffic worked by hand, with the clocks of
LPDDR4-3200: tRCD 29, tRP 29, tRAS 68, tRC 97, tRTP 12, tWRPRE 52, tCCD 8, tRDWR 27, tWRRD 39.
"""

from __future__ import annotations

from itertools import product

import pytest
from lpddr_bench import (
    PARTS,
    Ask,
    Run,
    address_of,
    both,
    lpddr,
    run_fast,
    with_row,
)

from azsim.config.memory_part import load_part
from azsim_kernels.clocked.lpddr_gates import Gates
from azsim_kernels.lpddr_commands import note_command, ready_clock
from azsim_kernels.lpddr_params import BANK, CHANNEL, GROUP, PREA, REFA, LpddrParams
from azsim_kernels.lpddr_types import CHANNELS_AT, new_lpddr

pytestmark = pytest.mark.small

ROWS = [
    pytest.param(part, number, id=f"{part}-{row.name}")
    for part in PARTS
    for number, row in enumerate(load_part(part).constraints)
]


def earliest(params: LpddrParams, sent: list[tuple[int, int, int]], command: int, bank: int) -> int:
    """Return the first clock from the last of `sent` (command, bank, clock) on in which `command`
    to `bank` may be sent, having asked both levels.
    """
    gates = Gates(params)
    lp = new_lpddr(params)
    at = int(lp[CHANNELS_AT])
    for earlier, place, clock in sent:
        gates.send(earlier, place, clock)
        note_command(lp, at, earlier, place, clock)
    clock = sent[-1][2]
    while not gates.allowed(command, bank, clock):
        clock += 1
    assert max(sent[-1][2], int(ready_clock(lp, at, command, bank))) == clock
    return clock


@pytest.mark.parametrize(("part", "number"), ROWS)
def test_a_row_alone_blocks_until_its_clocks_are_over(part: str, number: int) -> None:
    params = lpddr(part)
    row = params.constraints[number]
    params = params._replace(constraints=(row,))
    for first, then in product(row.first, row.then):
        sent = [(first, 0, 1000 + 3 * k) for k in range(row.depth)]
        assert earliest(params, sent, then, 0) == max(1000 + row.clocks, sent[-1][2])
        if row.depth > 1:  # one command fewer opens no window
            assert earliest(params, sent[1:], then, 0) == sent[-1][2]


@pytest.mark.parametrize(("part", "number"), ROWS)
def test_a_row_holds_in_its_scope_only(part: str, number: int) -> None:
    params = lpddr(part)
    row = params.constraints[number]
    params = params._replace(constraints=(row,))
    last = params.banks - 1  # another bank, and another group if there is one
    reached = {BANK: False, GROUP: params.groups == 1, CHANNEL: True}[row.scope]
    for first, then in product(row.first, row.then):
        sent = [(first, 0, 1000)] * row.depth
        everywhere = first in (PREA, REFA) or then in (PREA, REFA)
        waits = reached or everywhere
        assert earliest(params, sent, then, last) == (1000 + row.clocks if waits else 1000)


def test_the_longest_of_several_rows_rules() -> None:
    params = lpddr()
    act, read, pre = 0, 3, 1
    # tRAS 68 after ACT, tRTP 12 after RD.
    assert earliest(params, [(act, 0, 0), (read, 0, 29)], pre, 0) == 68
    assert earliest(params, [(act, 0, 0), (read, 0, 60)], pre, 0) == 72


def read(params: LpddrParams, bank: int, row: int, column: int = 0, time_ps: int = 0) -> Ask:
    return Ask(0, address_of(params, bank, row, column), 32, False, time_ps)


def write(params: LpddrParams, bank: int, row: int, column: int = 0, time_ps: int = 0) -> Ask:
    return Ask(0, address_of(params, bank, row, column), 32, True, time_ps)


def test_rows_and_columns_of_one_bank() -> None:
    p = lpddr()
    run = both(p, [read(p, 0, 0), read(p, 0, 0, 1), read(p, 0, 5)])
    # RD at 37 + tRTP 12 is 49: tRAS rules PRE; tRP and tRC rule ACT alike.
    assert run.sent() == [
        (0, "ACT", 0),
        (29, "RD", 0),
        (37, "RD", 0),
        (68, "PRE", 0),
        (97, "ACT", 0),
        (126, "RD", 0),
    ]
    assert run.done == {0: (29 + 39) * 625, 1: (37 + 39) * 625, 2: (126 + 39) * 625}


def test_read_to_precharge() -> None:
    p = lpddr()
    run = both(p, [read(p, 0, 0, column) for column in range(8)] + [read(p, 0, 5)])
    assert run.sent("PRE", "ACT") == [(0, "ACT", 0), (29 + 7 * 8 + 12, "PRE", 0), (126, "ACT", 0)]


def test_write_to_precharge() -> None:
    p = lpddr()
    run = both(p, [write(p, 0, 0), read(p, 0, 5)])
    assert run.sent("WR", "PRE", "ACT") == [
        (0, "ACT", 0),
        (29, "WR", 0),
        (29 + 52, "PRE", 0),
        (29 + 52 + 29, "ACT", 0),
    ]
    assert run.done[0] == (29 + 14 + 8) * 625


def test_the_bus_turns_round() -> None:
    p = lpddr()
    run = both(p, [read(p, 0, 0), write(p, 0, 0, 1)])
    assert run.sent("RD", "WR") == [(29, "RD", 0), (29 + 27, "WR", 0)]
    run = both(p, [write(p, 0, 0), read(p, 0, 0, 1)])
    assert run.sent("RD", "WR") == [(29, "WR", 0), (29 + 39, "RD", 0)]


def test_activates_of_several_banks() -> None:
    p = lpddr()
    asks = [read(p, bank, 0) for bank in range(6)]
    acts = [(16 * bank, "ACT", bank) for bank in range(6)]  # tRRD; four of them take tFAW
    assert both(p, asks).sent("ACT") == acts
    quick = with_row(p, 6, 10)  # tRRD 10: now the window of four is longer than three of them
    acts = [(0, "ACT", 0), (10, "ACT", 1), (20, "ACT", 2), (30, "ACT", 3), (64, "ACT", 4)]
    assert both(quick, asks[:5]).sent("ACT") == acts


def test_precharges_of_several_banks() -> None:
    p = lpddr()
    later = 500 * p.clock_ps
    asks = [read(p, bank, 0) for bank in range(3)]
    asks += [read(p, bank, 1, 0, later) for bank in range(3)]
    pres = [(500, "PRE", 0), (504, "PRE", 1), (508, "PRE", 2)]  # tPPD 4
    assert both(p, asks).sent("PRE") == pres


def test_bank_groups_of_lpddr5() -> None:
    p = lpddr("lpddr5_6400")
    same = both(p, [read(p, 0, 0, column) for column in range(3)])
    assert same.sent("RD") == [(15, "RD", 0), (19, "RD", 0), (23, "RD", 0)]  # tCCD_L 4
    # Rows of bank 0 and bank 4, another group, open; then two bursts each: tCCD_S 2.
    later = 500 * p.clock_ps
    asks = [read(p, 0, 0), read(p, 4, 0)]
    asks += [read(p, bank, 0, column, later) for column in (1, 2) for bank in (0, 4)]
    assert both(p, asks).sent("RD")[2:] == [
        (500, "RD", 0),
        (502, "RD", 4),
        (504, "RD", 0),
        (506, "RD", 4),
    ]
    # WR to RD: another group 16, the same 21.
    for bank, clocks in ((4, 16), (0, 21)):
        asks = [read(p, 0, 0), read(p, 4, 0)]
        asks += [write(p, 0, 0, 1, later), read(p, bank, 0, 2, later)]
        assert both(p, asks).sent("WR", "RD")[2:] == [(500, "WR", 0), (500 + clocks, "RD", bank)]


def test_one_burst_enters_the_window_per_clock_and_channel() -> None:
    p = lpddr(window_bursts=2)
    # Three rows of three banks: the third burst enters when the first has left at 29.
    run = both(p, [read(p, bank, 0) for bank in range(3)])
    assert run.sent("ACT") == [(0, "ACT", 0), (16, "ACT", 1), (32, "ACT", 2)]
    p = lpddr(window_bursts=1)
    run = both(p, [read(p, bank, 0) for bank in range(2)])
    assert run.sent("ACT") == [(0, "ACT", 0), (30, "ACT", 1)]


def test_all_bank_refresh() -> None:
    p = lpddr(refresh="all_bank", refresh_batch=1)._replace(refresh_interval_clocks=1000)
    # A row is open at 1000; its next burst comes at 1001.
    run = both(p, [read(p, 0, 0), read(p, 0, 0, 1, 1001 * p.clock_ps)])
    assert run.sent() == [
        (0, "ACT", 0),
        (29, "RD", 0),
        (1000, "PREA", -1),
        (1034, "REFA", -1),  # tRPab 34
        (1034 + 448, "ACT", 0),  # tRFCab 448
        (1034 + 448 + 29, "RD", 0),
    ]


def test_refreshes_owed_in_a_batch_come_together() -> None:
    p = lpddr(refresh="all_bank", refresh_batch=2)._replace(refresh_interval_clocks=1000)
    # Columns every 8 clocks from 29 on, so the last before 2000 goes at 1997; the refresh owed at
    # 1000 has waited for it. tRTP 12, tRPab 34, tRFCab 448 twice.
    run = both(p, [Ask(0, 0, 32 * 260, False, 0)])
    assert [row for row in run.sent("RD") if 1980 < row[0] < 2970] == [
        (1981, "RD", 3),
        (1989, "RD", 3),
        (1997, "RD", 3),
        (2939 + 29, "RD", 3),
    ]
    # At 3000 another one is owed; it begins when the window is empty, after the last RD at 3064.
    assert run.sent("PREA", "REFA") == [
        (2009, "PREA", -1),
        (2043, "REFA", -1),
        (2491, "REFA", -1),
        (3076, "PREA", -1),
    ]


def test_per_bank_refresh_lets_the_other_banks_go_on() -> None:
    p = lpddr(refresh="per_bank", refresh_batch=8)._replace(refresh_interval_clocks=300)
    run = both(p, [read(p, 0, 0), read(p, 1, 3, 0, 310 * p.clock_ps)])
    assert run.sent() == [
        (0, "ACT", 0),
        (29, "RD", 0),
        (300, "PRE", 0),
        (310, "ACT", 1),
        (329, "REFP", 0),  # tRPpb 29
        (339, "RD", 1),
    ]


def test_per_bank_refresh_waits_for_a_burst_that_wants_the_bank() -> None:
    p = lpddr(refresh="per_bank", refresh_batch=8)._replace(refresh_interval_clocks=300)
    run = both(p, [read(p, 0, 0), read(p, 0, 1, 0, 290 * p.clock_ps), read(p, 1, 0, 0, 250_000)])
    assert run.sent() == [
        (0, "ACT", 0),
        (29, "RD", 0),
        (290, "PRE", 0),
        (319, "ACT", 0),
        (348, "RD", 0),
        (387, "PRE", 0),  # for the refresh, tRAS 68 after ACT
        (400, "ACT", 1),
        (416, "REFP", 0),
        (429, "RD", 1),
    ]
    hurried = lpddr(refresh="per_bank", refresh_batch=1)._replace(refresh_interval_clocks=300)
    run = both(hurried, [read(p, 0, 0), read(p, 0, 1, 0, 290 * p.clock_ps)])
    # Owed is enough: the row that was just closed stays closed, and the burst waits for tRFCpb.
    assert run.sent() == [
        (0, "ACT", 0),
        (29, "RD", 0),
        (290, "PRE", 0),
        (319, "REFP", 0),
        (543, "ACT", 0),
        (572, "RD", 0),
        (600, "REFP", 1),
    ]


def crossing(run: Run) -> list[int]:
    return [clock for clock, _, _ in run.sent("RD")]


def test_a_request_arrives_at_the_first_edge_not_before_its_time() -> None:
    p = lpddr()
    for time_ps, clock in ((0, 0), (1, 1), (624, 1), (625, 1), (626, 2)):
        run = run_fast(p, [read(p, 0, 0, 0, time_ps)])
        assert crossing(run) == [clock + 29]
