"""What is recorded of a step equals what the clocked model does, cycle by cycle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from strategies import Case, random_case, random_lpddr_case

import azsim.engine.recorder
from azsim.counters.recording import SAMPLED, StepRecording
from azsim.engine.observed import ObservedMachine
from azsim.engine.recorder import MEMORY_ROOM
from azsim_kernels import isa
from azsim_kernels.clocked import ClockedMachine

PLENTY = 1 << 40


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The random steps are short: sample them more often."""
    monkeypatch.setattr(azsim.engine.recorder, "SAMPLE_CYCLES", 5)


@dataclass
class Watched:
    """Per cycle: class of each engine, words reserved per FIFO, bursts of DMA-W and DMA-A in
    flight, before the cycle."""

    classes: np.ndarray
    reserved: np.ndarray
    in_flight: np.ndarray


def watch(case: Case) -> Watched | None:
    """Tick the clocked model; None if the step fails."""
    machine = case.build(ClockedMachine)
    step = machine.new_step()
    classes, reserved, in_flight = [], [], []
    for cycle in range(200_000):
        before = step.stalls.copy()
        taken = [case.params.fifo_words - f.credits - f.returned for f in step.fifos]
        flights = [sum(len(c.in_flight) for c in step.channels), len(step.dma_a.in_flight)]
        ended = step.tick(cycle)
        if ended is not None:
            if ended.status != isa.DONE:
                return None
            return Watched(np.array(classes), np.array(reserved), np.array(in_flight))
        classes.append(np.argmax(step.stalls - before, axis=1))
        reserved.append(taken)
        in_flight.append(flights)
    raise AssertionError("the step must end")


def record(
    case: Case, max_bytes: int = PLENTY, room: int = MEMORY_ROOM
) -> tuple[isa.StepResult, StepRecording]:
    machine = case.build(ObservedMachine, memory_trace=room)
    recorder = machine.record(max_bytes, None)
    result = machine.run_step()
    return result, recorder.recording(result, machine.command_products)


def expand(recording: StepRecording, engines: int, cycles: int) -> np.ndarray:
    """The class of each engine in each cycle; idle where there is no span."""
    classes = np.full((cycles, engines), isa.IDLE)
    for engine, kind, begin, end in recording.spans.tolist():
        assert 0 <= begin < end <= cycles
        assert (classes[begin:end, engine] == isa.IDLE).all(), "spans must not overlap"
        classes[begin:end, engine] = kind
    return classes


def check(case: Case) -> bool:
    """Compare both levels; False if the step fails."""
    seen = watch(case)
    if seen is None or not len(seen.classes):
        return False
    result, recording = record(case)
    plain = case.build(ObservedMachine).run_step()
    assert all(np.array_equal(a, b) for a, b in zip(result, plain, strict=True))
    assert recording.cut == -1
    cycles, engines = seen.classes.shape
    assert cycles == result.cycles
    np.testing.assert_array_equal(expand(recording, engines, cycles), seen.classes)
    samples = recording.samples[recording.samples[:, 0] < cycles]
    at = samples[:, 0]
    np.testing.assert_array_equal(samples[:, 1 + len(SAMPLED) :], seen.reserved[at])
    np.testing.assert_array_equal(samples[:, 1:3], seen.in_flight[at])
    counts = dict(zip(isa.counter_names(case.params.units), result.counters.tolist(), strict=True))
    last = dict(zip(SAMPLED, recording.samples[-1, 1:], strict=False))
    for name in ("dma_w_bytes", "dma_a_read_bytes", "dma_a_write_bytes", "store_bytes"):
        assert last[name] == counts[name], name
    return True


def test_spans_and_samples_of_random_cases() -> None:
    compared = sum(check(random_case(seed)) for seed in range(40))
    assert compared > 15


def test_spans_and_samples_with_lpddr() -> None:
    compared = 0
    for seed in range(25):
        case = random_lpddr_case(seed)
        if not check(case):
            continue
        compared += 1
        result, recording = record(case)
        names = isa.counter_names(case.params.units)
        counts = dict(zip(names, result.counters.tolist(), strict=True))
        kinds = recording.memory_commands[:, 2]
        names = (
            "activates", "precharges", "precharges_all", "read_bursts", "write_bursts",
            "refreshes_all_bank", "refreshes_per_bank",
        )  # fmt: skip
        for command, name in enumerate(names):
            assert (kinds == command).sum() == counts[f"dram_{name}"], name
    assert compared > 8


def check_beginning(case: Case, whole: StepRecording, part: StepRecording) -> None:
    """Check that `part` is what `whole` says up to its cut."""
    units, engines = case.params.units, isa.engine_count(case.params.units)
    cycles = max(whole.cycles, part.cut)
    a = expand(whole, engines, cycles)[: part.cut]
    b = expand(part, engines, cycles)[: part.cut]
    decoders = slice(units + 1, 2 * units + 1)
    # words of a tile that is not complete are not all known: its decoder may seem to starve
    assert (b[:, decoders][b[:, decoders] != a[:, decoders]] == isa.STARVED).all()
    a[:, decoders] = b[:, decoders] = 0
    np.testing.assert_array_equal(a, b)


def test_a_cut_recording_is_the_beginning_of_the_whole_one() -> None:
    compared = 0
    for seed in range(40):
        case, share = random_case(seed), 0.1 + seed / 60
        if case.build(ObservedMachine).run_step().status != isa.DONE:
            continue
        _, whole = record(case)
        commands = 160 * len(case.commands)
        _, part = record(case, commands + int((whole.trace_bytes - commands) * share))
        if part.cut < 0:
            continue
        compared += 1
        check_beginning(case, whole, part)
    assert compared > 3


def test_a_memory_that_sends_more_than_there_is_room_for_cuts_the_recording() -> None:
    compared = 0
    for seed in range(25):
        case = random_lpddr_case(seed)
        if case.build(ObservedMachine).run_step().status != isa.DONE:
            continue
        _, part = record(case, room=6)
        if part.cut < 0:
            continue
        compared += 1
        check_beginning(case, record(case)[1], part)
    assert compared > 3
