"""Do both machines agree on chips with an LPDDR memory, with and without traffic of the host?

`volume.py` beside this file compares thousands of seeds (`lpddr` as its last word).
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from comparing import difference
from hypothesis import given, settings
from lpddr_bench import longest_wait_clocks
from strategies import Case, lpddr_cases, random_lpddr_case

from azsim.engine.fast_machine import FastMachine
from azsim.errors import SimulationError
from azsim_kernels import isa
from azsim_kernels.clocked import ClockedMachine
from azsim_kernels.clocked.host import Host
from azsim_kernels.lpddr_params import HostPattern

COUNTERS = isa.FIXED_COUNTERS


def count(result: isa.StepResult, name: str) -> int:
    return int(result.counters[COUNTERS.index(name)])


@settings(max_examples=40)
@given(case=lpddr_cases())
def test_generated_cases(case: Case) -> None:
    assert difference(case, 3)[0] == ""


@pytest.mark.small
@pytest.mark.parametrize("seed", range(6))
def test_few_seeds(seed: int) -> None:
    assert difference(random_lpddr_case(seed), 2)[0] == ""


@settings(max_examples=25)
@given(case=lpddr_cases())
def test_remembered_times(case: Case) -> None:
    """Each step without a host begins with an idle memory, so that its times can be taken again."""
    remembering, plain = case.build(FastMachine), case.build(FastMachine)
    plain.remember = False
    for _ in range(3):
        want, got = plain.run_step(), remembering.run_step()
        for name, a, b in zip(want._fields, want, got, strict=True):
            assert np.array_equal(a, b), name


@settings(max_examples=25)
@given(case=lpddr_cases())
def test_times_only(case: Case) -> None:
    full, timing = case.build(FastMachine), case.build(FastMachine, timing_only=True)
    for _ in range(2):
        want, got = full.run_step(), timing.run_step()
        if want.status == isa.BAD_OPERAND or (want.status, got.status) == (isa.DONE, isa.BAD_INDEX):
            return  # found with a result only
        for name, a, b in zip(want._fields, want, got, strict=True):
            assert np.array_equal(a, b), name


def test_what_the_ports_asked_for_is_what_the_banks_delivered() -> None:
    """And the random cases reach what they shall."""
    reached: Counter[str] = Counter()
    for seed in range(50):
        case = random_lpddr_case(seed)
        if case.host_traffic is not None:  # the last requests may be under way at the end
            case = case._replace(host_traffic=None)
        result = case.build(FastMachine).run_step()
        if result.status != isa.DONE:
            continue
        assert count(result, "dram_a_read_bytes") == count(result, "dma_a_read_bytes")
        assert count(result, "dram_a_write_bytes") == count(result, "dma_a_write_bytes")
        assert count(result, "dram_w_read_bytes") == count(result, "dma_w_bytes")
        assert count(result, "dram_w_write_bytes") == 0
        bursts = count(result, "dram_read_bursts") + count(result, "dram_write_bursts")
        found = ("dram_row_hits", "dram_row_misses", "dram_row_conflicts")
        assert sum(count(result, name) for name in found) == bursts
        for name in isa.MEMORY_COUNTERS:
            reached[name] += count(result, name) > 0
    never = {name for name in isa.MEMORY_COUNTERS if reached[name] == 0}
    assert never == {name for name in isa.MEMORY_COUNTERS if "host" in name} | {
        "dram_w_write_bytes"
    }


def with_traffic(seed: int, patterns: tuple[HostPattern, ...]) -> Case:
    return random_lpddr_case(seed)._replace(host_traffic=patterns)


def pattern(**changes: Any) -> HostPattern:
    fields = {
        "period_ns": 500, "requests": 2, "request_bytes": 64, "address": 8192, "places": 8,
        "is_random": False, "read_share_percent": 50, "priority": 1,
    }  # fmt: skip
    return HostPattern(**{**fields, **changes})


def good_seeds(count_of: int) -> list[int]:
    """Seeds whose program ends well, not at once, and reads from DRAM."""
    found: list[int] = []
    seed = 0
    while len(found) < count_of:
        case = random_lpddr_case(seed)._replace(host_traffic=())
        result = case.build(FastMachine).run_step()
        if result.status == isa.DONE and count(result, "dram_read_bursts") > 8:
            found.append(seed)
        seed += 1
    return found


def test_the_host_gets_its_bytes_and_costs_time() -> None:
    slower = 0
    for seed in good_seeds(6):
        flood = (pattern(period_ns=20, requests=4), pattern(is_random=True, priority=3))
        alone, beside = (
            with_traffic(seed, patterns).build(FastMachine) for patterns in ((), flood)
        )
        outstanding = beside.params.lpddr
        assert outstanding is not None
        room = outstanding.params.outstanding[2] * 64
        asked = delivered = 0
        for _ in range(3):
            quiet, busy = alone.run_step(), beside.run_step()
            slower += busy.cycles > quiet.cycles
            assert count(quiet, "host_requests") == 0
            asked += count(busy, "host_read_bytes") + count(busy, "host_write_bytes")
            delivered += count(busy, "dram_host_read_bytes") + count(busy, "dram_host_write_bytes")
            for name in ("dram_w_read_bytes", "dram_a_read_bytes", "dram_a_write_bytes"):
                assert count(busy, name) == count(quiet, name)
        access = beside.params.access_bytes
        assert asked > 0
        assert asked - room <= delivered <= asked + access
    assert slower > 0


def test_an_overloaded_host_starves_nobody() -> None:
    """A flood far above what the memory carries: every step still ends, later by no more than the
    bound of section 6 of docs/memory.md for each burst of the chip.
    """
    flood = (pattern(period_ns=5, requests=16, is_random=True, places=300),)
    for seed in good_seeds(6):
        quiet = with_traffic(seed, ()).build(FastMachine).run_step()
        machine = with_traffic(seed, flood).build(FastMachine)
        memory = machine.params.lpddr
        assert memory is not None
        clocks = longest_wait_clocks(memory.params)
        bound = clocks * memory.params.clock_ps * memory.core_mhz // 10**6 + 1
        names = ("dram_w_read_bytes", "dram_a_read_bytes", "dram_a_write_bytes")
        bursts = sum(count(quiet, name) for name in names) // memory.params.burst_bytes
        for _ in range(3):
            result = machine.run_step(max_cycles=200_000)
            assert result.status == isa.DONE
            assert count(result, "host_requests") > 0
            assert result.cycles <= quiet.cycles + bursts * bound


@pytest.mark.small
def test_no_pattern_of_the_host_starves_another() -> None:
    flood, small = pattern(requests=100, priority=9), pattern(priority=0, request_bytes=32)
    host = Host([flood, small, flood], 500)
    asked = [host.ask(1000) for _ in range(200)]
    assert None not in asked
    sizes = [one.size for one in asked if one is not None]
    waits = [k for k, size in enumerate(sizes) if size == 32]
    assert waits[:2] == [8, 17]  # passed over eight times, then its turn
    assert {sizes.index(64), sizes.index(32)} == {0, 8}
    assert Host([small], 500).ask(0) is not None
    late = Host([small], 500)
    assert [late.ask(0) is None for _ in range(3)] == [False, False, True]  # two are due at 0
    assert late.ask(249) is None
    assert late.ask(250) is not None  # 500 ns at 500 MHz


@pytest.mark.small
def test_host_traffic_needs_an_lpddr_memory() -> None:
    case = random_lpddr_case(1)
    case = case._replace(params=case.params._replace(lpddr=None), host_traffic=(pattern(),))
    with pytest.raises(SimulationError, match=r"^host traffic must have an LPDDR memory to go to$"):
        case.build(FastMachine)


@pytest.mark.small
def test_the_program_must_fit_the_memory() -> None:
    case = random_lpddr_case(1)
    assert case.params.lpddr is not None
    small = case.params.lpddr.params._replace(
        rows=1, columns=2, order=("row", "bank", "column", "group", "channel")
    )
    lpddr = case.params.lpddr._replace(params=small)
    case = case._replace(params=case.params._replace(lpddr=lpddr))
    with pytest.raises(SimulationError, match=r"^the LPDDR memory has \d+ bytes: the program must"):
        case.build(FastMachine)


@pytest.mark.small
def test_a_step_after_a_failed_one_begins_anew() -> None:
    failed = 0
    for seed in range(30):
        case = with_traffic(seed, (pattern(),))
        machine, clocked = case.build(FastMachine), case.build(ClockedMachine)
        first = machine.run_step()
        if first.status in (isa.DONE, isa.DEADLOCK):
            continue
        failed += 1
        clocked.run_step()
        second, want = machine.run_step(), clocked.run_step()
        assert second.cycles == want.cycles
        if failed == 3:
            return
    raise AssertionError("three of the cases must fail")
