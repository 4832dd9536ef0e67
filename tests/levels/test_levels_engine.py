"""Does the fast engine do, cycle by cycle and byte by byte, what the clocked model does?

`volume.py` beside this file compares thousands of seeds; here are fewer, and the engine's modes.
"""

from __future__ import annotations

import numpy as np
import pytest
from comparing import difference
from hypothesis import given, settings
from strategies import Case, cases, random_case

from azsim.engine.fast_machine import FastMachine
from azsim_kernels import isa

SKIPS_ACTIVATIONS = (isa.SKIP_ACTIVATION, isa.SKIP_BOTH)


def same(case: Case, steps: int = 2, **more: object) -> int:
    """Check that both machines agree; return the status of the last step."""
    found, status = difference(case, steps, **more)
    assert found == ""
    return status


@settings(max_examples=150)
@given(case=cases())
def test_generated_cases(case: Case) -> None:
    same(case)


@pytest.mark.parametrize("seed", range(0, 60, 20))
def test_seeds(seed: int) -> None:
    for one in range(seed, seed + 20):
        same(random_case(one), steps=3)


@pytest.mark.small
@pytest.mark.parametrize("seed", [1, 5, 7, 15, 18])
def test_few_seeds(seed: int) -> None:
    same(random_case(seed), steps=3)


@settings(max_examples=60)
@given(case=cases())
def test_tiles_that_are_not_kept(case: Case) -> None:
    same(case, steps=3, keep_bytes=0)


@settings(max_examples=60)
@given(case=cases())
def test_some_tiles_that_are_not_kept(case: Case) -> None:
    same(case, keep_bytes=2 * case.params.slot_weights)


@settings(max_examples=80)
@given(case=cases())
def test_times_only(case: Case) -> None:
    """Without results the times are the same; only faults that results reveal are not found."""
    full, timing = case.build(FastMachine), case.build(FastMachine, timing_only=True)
    for _ in range(2):
        want, got = full.run_step(), timing.run_step()
        if want.status == isa.BAD_OPERAND or (want.status, got.status) == (isa.DONE, isa.BAD_INDEX):
            return  # found with a result, or indices that a VECTOR command was to compute
        for name, a, b in zip(want._fields, want, got, strict=True):
            assert np.array_equal(a, b), name


@settings(max_examples=80)
@given(case=cases())
def test_remembered_times(case: Case) -> None:
    """A step that takes the times of the one before differs in nothing from one that does not."""
    remembering, plain = case.build(FastMachine), case.build(FastMachine)
    plain.remember = False
    for _ in range(5):
        want, got = plain.run_step(), remembering.run_step()
        for name, a, b in zip(want._fields, want, got, strict=True):
            assert np.array_equal(a, b), name
        for name in ("dram", "abuf", "wbuf", "accumulators"):
            assert np.array_equal(getattr(plain, name), getattr(remembering, name)), name
        if want.status != isa.DONE:
            return


def test_times_are_remembered_at_all() -> None:
    remembered = 0
    for seed in range(60):
        case = random_case(seed)
        machine = case.build(FastMachine)
        results = [machine.run_step() for _ in range(4)]
        gathers = (case.commands["opcode"] == isa.GATHER).any()
        again = results[3] is results[2]
        if case.params.skip in SKIPS_ACTIVATIONS or gathers or results[2].status != isa.DONE:
            assert not again
        remembered += again
    assert remembered > 5


def test_a_difference_is_seen() -> None:
    """The comparison fails for a machine that is wrong by one cycle somewhere."""
    case = next(c for c in map(random_case, range(100)) if difference(c)[1] == isa.DONE)
    for name in ("memory_latency_cycles", "fill_cycles", "decoder_pipeline_cycles"):
        params = case.params._replace(**{name: getattr(case.params, name) + 1})
        wrong = case._replace(params=params).build(FastMachine).run_step()
        right = case.build(FastMachine).run_step()
        opcodes = set(case.commands["opcode"].tolist())
        if opcodes >= {isa.FETCH, isa.TILE, isa.PRODUCT}:
            assert not np.array_equal(wrong.free, right.free), name
