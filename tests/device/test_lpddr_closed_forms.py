"""Does the LPDDR model reach exactly what the numbers of its parts allow? The table of section 9 of
docs/memory.md, from the published clocks and not from the part files.
"""

from __future__ import annotations

import pytest
from lpddr_bench import PARTS, Ask, address_of, both, lpddr, run_fast

from azsim_kernels.lpddr import advance, new_lpddr, pop_completion, put_request
from azsim_kernels.lpddr_params import LpddrParams
from azsim_kernels.lpddr_types import FAR

CLOCK_PS = {"lpddr4_3200": 625, "lpddr4x_4266": 469, "lpddr5_6400": 1250}
TO_DATA_END = {"lpddr4_3200": 28 + 3 + 8, "lpddr4x_4266": 36 + 4 + 8, "lpddr5_6400": 17 + 2}
T_RCD = {"lpddr4_3200": 29, "lpddr4x_4266": 39, "lpddr5_6400": 15}
T_RP = T_RCD
T_RC = {"lpddr4_3200": 97, "lpddr4x_4266": 129, "lpddr5_6400": 49}
T_CCD = {"lpddr4_3200": 8, "lpddr4x_4266": 8, "lpddr5_6400": 2}
FOUR_ACTS = {"lpddr4_3200": 64, "lpddr4x_4266": 4 * 22, "lpddr5_6400": 16}  # tFAW or 4 tRRD
T_REFI = {"lpddr4_3200": 6246, "lpddr4x_4266": 8341, "lpddr5_6400": 3125}
T_RFC = {"lpddr4_3200": 448, "lpddr4x_4266": 599, "lpddr5_6400": 168}
NS = {  # hit, closed, conflict; the published ones in ps
    "lpddr4_3200": (24_375, 42_500, 60_625),
    "lpddr4x_4266": (22_512, 40_803, 59_094),
    "lpddr5_6400": (23_750, 42_500, 61_250),
}
GB_S = {  # peak, random rows, one bank, with refresh
    "lpddr4_3200": (6.400, 3.200, 0.528, 5.941),
    "lpddr4x_4266": (8.529, 3.101, 0.529, 7.916),
    "lpddr5_6400": (12.800, 6.400, 0.522, 12.112),
}


def rate(part: str, bursts: int, clocks: int) -> float:
    """Return GB/s of so many bursts of 32 bytes in so many clocks."""
    return bursts * 32 * 1000 / (clocks * CLOCK_PS[part])


@pytest.mark.small
@pytest.mark.parametrize("part", PARTS)
def test_the_forms_are_the_table(part: str) -> None:
    peak, rows, bank, refreshed = GB_S[part]
    assert rate(part, 1, T_CCD[part]) == pytest.approx(peak, abs=5e-4)
    assert rate(part, 4, FOUR_ACTS[part]) == pytest.approx(rows, abs=5e-4)
    assert rate(part, 1, T_RC[part]) == pytest.approx(bank, abs=5e-4)
    loss = T_RFC[part] / T_REFI[part]
    assert rate(part, 1, T_CCD[part]) * (1 - loss) == pytest.approx(refreshed, abs=1e-3)


@pytest.mark.small
@pytest.mark.parametrize("part", PARTS)
def test_idle_read_latency(part: str) -> None:
    p = lpddr(part)
    later = 1000 * p.clock_ps
    hit, closed, conflict = NS[part]
    clocks = TO_DATA_END[part]
    assert (clocks + T_RCD[part] + T_RP[part]) * CLOCK_PS[part] == conflict
    run = both(p, [Ask(0, 0, 32), Ask(0, 32, 32, time_ps=later)])
    if part == "lpddr5_6400":  # the second burst lies in the next group, whose bank is closed
        run = both(p, [Ask(0, 0, 32), Ask(0, 128, 32, time_ps=later)])
    assert run.done[0] == closed
    assert run.done[1] - later == hit
    run = both(p, [Ask(0, 0, 32), Ask(0, address_of(p, 0, 1), 32, time_ps=later)])
    assert run.done[1] - later == conflict


@pytest.mark.small
@pytest.mark.parametrize("part", PARTS)
def test_row_hits_run_at_the_peak(part: str) -> None:
    p = lpddr(part)
    run = both(p, [Ask(0, 32 * burst, 32) for burst in range(60)])
    # From where all rows are open: the first four bursts may wait for their ACTs.
    clocks = (run.done[59] - run.done[8]) // p.clock_ps
    assert clocks == 51 * T_CCD[part]


@pytest.mark.parametrize("part", PARTS)
def test_a_stream_through_many_rows_runs_at_the_peak(part: str) -> None:
    p = lpddr(part)
    asks = [Ask(0, 128 * number, 128) for number in range(1500)]
    run = run_fast(p, asks)
    # Every bank is opened, closed and opened again on the way, and no column waits for it.
    assert run.counts[0][1] > p.banks / 2
    clocks = (run.done[1499] - run.done[10]) // p.clock_ps
    assert clocks == 1489 * 4 * T_CCD[part]


@pytest.mark.small
@pytest.mark.parametrize("part", PARTS)
def test_random_rows_over_all_banks(part: str) -> None:
    p = lpddr(part)
    # Groups in turn, then banks; every visit to a bank needs another row.
    order = [
        group * p.banks_per_group + bank
        for bank in range(p.banks_per_group)
        for group in range(p.groups)
    ]
    asks = [
        Ask(0, address_of(p, order[k % p.banks], 7 * (k // p.banks) + 1), 32) for k in range(64)
    ]
    run = both(p, asks)
    assert (run.done[60] - run.done[20]) // p.clock_ps == 10 * FOUR_ACTS[part]


@pytest.mark.small
@pytest.mark.parametrize("part", PARTS)
def test_one_bank_with_a_conflict_every_burst(part: str) -> None:
    p = lpddr(part)
    run = both(p, [Ask(0, address_of(p, 0, row), 32) for row in range(12)])
    assert (run.done[11] - run.done[0]) // p.clock_ps == 11 * T_RC[part]


def stream_rate(params: LpddrParams, total: int) -> float:
    """Return the GB/s of one stream of `total` bytes."""
    lp = new_lpddr(params)
    assert put_request(lp, 0, 0, 0, total, False, 0) == 0
    end = int(advance(lp, FAR, False))
    assert pop_completion(lp, end) == 0
    return total * 1000 / end


@pytest.mark.parametrize("part", PARTS)
def test_row_hits_with_refresh(part: str) -> None:
    p = lpddr(part, refresh="all_bank")
    peak, _, _, refreshed = GB_S[part]
    assert stream_rate(p, 16 << 20) == pytest.approx(refreshed, rel=0.01)
    # A refresh alone costs closing and opening the rows, too: more than the share of tRFC.
    alone = stream_rate(lpddr(part, refresh="all_bank", refresh_batch=1), 16 << 20)
    assert alone < stream_rate(p, 16 << 20)
    # Bank by bank the other banks go on: nearly the peak, where banks are as few as refreshes.
    share = {"lpddr4_3200": 0.97, "lpddr4x_4266": 0.97, "lpddr5_6400": 0.87}[part]
    assert share * peak < stream_rate(lpddr(part, refresh="per_bank"), 16 << 20) < peak


def test_channels_and_devices_add_up() -> None:
    one = stream_rate(lpddr(), 4 << 20)
    two = stream_rate(lpddr(channels=2), 4 << 20)
    wide = stream_rate(lpddr(devices_per_channel=2), 4 << 20)
    assert two == pytest.approx(2 * one, rel=0.001)
    assert wide == pytest.approx(2 * one, rel=0.001)
