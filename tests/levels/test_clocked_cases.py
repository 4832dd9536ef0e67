"""Are the generated chips and programs worth comparing on?"""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import Case, machine_params, programs, random_case

from azsim_kernels import isa
from azsim_kernels.clocked import ClockedMachine

pytestmark = pytest.mark.small

SEEDS = range(100, 250)


def test_a_seed_gives_the_same_case_again() -> None:
    first, second = random_case(7), random_case(7)
    assert first.params == second.params
    for one, other in zip(first[1:], second[1:], strict=True):
        assert np.array_equal(one, other)


def test_seeds_reach_every_opcode_status_and_skip() -> None:
    statuses: Counter[int] = Counter()
    opcodes: Counter[int] = Counter()
    skips, units, ports, profiles = set(), set(), set(), set()
    for seed in SEEDS:
        case = random_case(seed)
        result = case.build(ClockedMachine).run_step(max_cycles=200_000)
        statuses[result.status] += 1
        free = result.free >= 0
        opcodes.update(case.commands["opcode"][free].tolist())
        skips.add(case.params.skip)
        units.add(case.params.units)
        ports.add(case.params.port_bits)
        profiles.add(case.params.decoder_profile)
    assert set(statuses) == set(range(len(isa.STATUS_NAMES)))
    assert statuses[isa.DONE] >= len(SEEDS) // 2
    assert set(opcodes) == set(range(len(isa.OPCODE_NAMES)))
    assert profiles == {isa.DECODER_BITMAP, isa.DECODER_ANS}
    assert (skips, units, ports) == ({0, 1, 2, 3}, {1, 2, 3, 4}, {64, 128})


@settings(max_examples=20)
@given(st.data())
def test_programs_can_be_drawn_for_a_given_chip(data: st.DataObject) -> None:
    params = data.draw(machine_params())
    case: Case = data.draw(programs(params))
    assert case.params == params
    semaphores = len(case.semaphore_kinds)
    assert len(case.semaphore_initial) == semaphores
    assert (case.semaphore_initial <= params.semaphore_max).all()
    assert (case.commands["wait"] < max(1, semaphores)).all()
    assert (case.commands["signal"] < max(1, semaphores)).all()
    assert (case.commands["unit"] < params.units).all()
