"""Nets that choose a branch in every step: three programs in one machine, one after the other.

The arbitrator's program runs to its end; its decision lies in DRAM. The sequencer reads it back,
compares, and starts the program of the chosen branch. States lie in DRAM between the programs, as
outputs of one and inputs of the next (docs/decisions/0009-branches.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.config import ChipConfig
from azsim.counters import CommandTrace, Counters, LayerCounters, WeightPath
from azsim.counters.recording import Recordings, RecordPlan, StepRecording
from azsim.engine.machine import Machine
from azsim.engine.simulate import ChosenSteps, Tally
from azsim.program import Program
from azsim_kernels import isa

Array = npt.NDArray[np.integer[Any]]
Steps = Sequence[Mapping[str, Array]]

COMPARE_CYCLES = 4  # of the sequencer: subtract, test, start the other command list; assumed
DECISION, ARBITRATOR = "decision", "arbitrator"
_MOVED = [
    isa.FIXED_COUNTERS.index(name)
    for name in ("dma_w_bytes", "dma_a_read_bytes", "dma_a_write_bytes")
]
_IDLE = isa.STALL_CLASS_NAMES[isa.IDLE]
_LONGEST = isa.FIXED_COUNTERS[isa.FIXED_COUNTERS.index("host_longest_wait_cycles")]


def decision_cycles(chip: ChipConfig) -> int:
    """Cycles between the arbitrator's last and the branch's first command: the latency of one read
    of DRAM (`memory.simple.latency_cycles`, with every memory model) and the comparison."""
    return chip.memory.simple.latency_cycles + COMPARE_CYCLES


@dataclass(frozen=True)
class BranchPart:
    """A program and the share of the chip it was compiled for."""

    program: Program
    chip: ChipConfig


@dataclass(frozen=True)
class BranchResult:
    """What ran: per step the branch, the cycles of arbitrator and branch, and the bytes that both
    moved from and to DRAM; int64 (steps,).

    `counters`: of each part, over the steps in which it ran. `arbitrator_counters`: of the
    arbitrator, by branch, over the steps that took it. `outputs`: of the model, by name, (steps,
    *shape). `recordings`, `weight_paths`: of each part, if asked for; recordings are numbered by
    the model's steps, and a path is that of the first step in which the part ran. `seconds`: the
    host's time for all steps.
    """

    chosen: tuple[str, ...]
    arbitrator_cycles: npt.NDArray[np.int64]
    branch_cycles: npt.NDArray[np.int64]
    dram_bytes: npt.NDArray[np.int64]
    decision_cycles: int
    counters: Mapping[str, Counters]
    arbitrator_counters: Mapping[str, Counters]
    outputs: Mapping[str, Array]
    recordings: Mapping[str, Recordings]
    weight_paths: Mapping[str, WeightPath]
    seconds: float

    @property
    def step_cycles(self) -> npt.NDArray[np.int64]:
        """Length of each step."""
        return self.arbitrator_cycles + self.decision_cycles + self.branch_cycles


@dataclass(frozen=True)
class BranchModes:
    """What is wanted besides counters and outputs: steps to record, where the time went."""

    record: RecordPlan | None = None
    explain: bool = False


def simulate_branches(
    arbitrator: BranchPart,
    branches: Mapping[str, BranchPart],
    chip: ChipConfig,
    states: Mapping[str, str],
    choose: Callable[[Mapping[str, Array]], str],
    steps: Steps,
    outputs: Sequence[str],
    modes: BranchModes = BranchModes(),
    progress: Callable[[int], None] | None = None,
) -> BranchResult:
    """Run the arbitrator, then the branch it chooses, once per entry of `steps`.

    states   input -> output name; an output that a part does not make leaves its state as it is
    choose   the branch, from the arbitrator's outputs (integers by name)
    steps    the model's inputs as integers
    outputs  names of the model's outputs that are kept

    Raises:
        SimulationError: a deadlock, an overflow or a damaged tile, naming the command.
    """
    running = _Running({ARBITRATOR: arbitrator, **branches}, states, modes, len(steps))
    taken: list[_Step] = []
    began = time.perf_counter()
    kept: dict[str, list[Array]] = {name: [] for name in outputs}
    for number, inputs in enumerate(steps):
        step, made = running.step(number, inputs, choose)
        taken.append(step)
        for output, arrays in kept.items():
            arrays.append(made[output])
        if progress is not None:
            progress(number + 1)
    seconds = time.perf_counter() - began
    parts = running.parts
    return BranchResult(
        tuple(step.branch for step in taken),
        np.array([step.arbitrator_cycles for step in taken], np.int64),
        np.array([step.branch_cycles for step in taken], np.int64),
        np.array([step.dram_bytes for step in taken], np.int64),
        decision_cycles(chip),
        {name: part.counters() for name, part in parts.items()},
        {name: parts[ARBITRATOR].counters(name) for name in branches},
        {name: np.stack(arrays) for name, arrays in kept.items() if arrays},
        running.recordings(),
        {n: part.weight_path() for n, part in parts.items() if modes.explain and part.ran},
        seconds,
    )


@dataclass(frozen=True)
class _Step:
    """The branch of a step, and what arbitrator and branch took."""

    branch: str
    arbitrator_cycles: int
    branch_cycles: int
    dram_bytes: int


class _Part:
    """The machine of a part, and what it did. The arbitrator counts by branch as well."""

    def __init__(self, part: BranchPart, records: bool) -> None:
        self._part = part
        self._machine = Machine(part.program, part.chip, records=records)
        self._tallies: dict[str, Tally] = {"": Tally(part.program, part.chip)}
        self._first: Mapping[str, Array] = {}
        self.ran = False
        self.recorded: list[tuple[int, StepRecording]] = []

    def run(
        self, number: int, given: Mapping[str, Array], max_bytes: int
    ) -> tuple[Mapping[str, Array], isa.StepResult]:
        """Run once; step `number` of the model is recorded if there are `max_bytes` for it."""
        given = {port.name: given[port.name] for port in self._part.program.inputs}
        if not self.ran:
            self.ran, self._first = True, given
        if max_bytes > 0:
            made, result, recording = self._machine.recorded_step(given, max_bytes)
            self.recorded.append((number, recording))
        else:
            made, result = self._machine.step(given)
        self.count(result)
        return made, result

    def count(self, result: isa.StepResult, branch: str = "") -> None:
        """Count the step that was just run, for `branch` or for all."""
        if branch not in self._tallies:
            self._tallies[branch] = Tally(self._part.program, self._part.chip)
        self._tallies[branch].add(result, self._machine.command_products)

    def counters(self, branch: str = "") -> Counters:
        """What was counted for `branch` or for all."""
        tally = self._tallies.get(branch) or Tally(self._part.program, self._part.chip)
        return tally.counters(self._machine.command_beats)

    def weight_path(self) -> WeightPath:
        """Where the time of the first step went; the machine is of no use afterwards."""
        return self._machine.weight_path(self._first, self.counters().trace.free)


class _Running:
    """All parts, the states that lie in DRAM between them, and which steps are recorded."""

    def __init__(
        self,
        parts: Mapping[str, BranchPart],
        states: Mapping[str, str],
        modes: BranchModes,
        steps: int,
    ) -> None:
        self.parts = {name: _Part(part, modes.record is not None) for name, part in parts.items()}
        self._states, self._plan = states, modes.record
        self._held = _first_states(parts, states)
        self._chosen = None if modes.record is None else ChosenSteps(modes.record, steps)

    def step(
        self,
        number: int,
        inputs: Mapping[str, Array],
        choose: Callable[[Mapping[str, Array]], str],
    ) -> tuple[_Step, dict[str, Array]]:
        """Run arbitrator and branch on the model's inputs; return also what they made."""
        given = {**inputs, **self._held}
        room = 0
        if self._chosen is not None and self._chosen.wants(number):
            room = self._chosen.max_bytes
        arbitrator = self.parts[ARBITRATOR]
        first, decided = arbitrator.run(number, given, room)
        name = choose(first)
        arbitrator.count(decided, name)
        if room:  # what the arbitrator left of it; a cut recording is never empty
            room = max(room - arbitrator.recorded[-1][1].trace_bytes, 1)
        second, ran = self.parts[name].run(number, given, room)
        if self._chosen is not None and room:
            both = (arbitrator, self.parts[name])
            self._chosen.spend(sum(part.recorded[-1][1].trace_bytes for part in both))
        made = {**first, **second}
        self._held |= {s: made[result] for s, result in self._states.items() if result in made}
        moved = sum(int(part.counters[_MOVED].sum()) for part in (decided, ran))
        return _Step(name, decided.cycles, ran.cycles, moved), made

    def recordings(self) -> dict[str, Recordings]:
        """Of each part, none if nothing was to be recorded."""
        if self._plan is None:
            return {}
        return {n: Recordings(self._plan, tuple(part.recorded)) for n, part in self.parts.items()}


def _first_states(parts: Mapping[str, BranchPart], states: Mapping[str, str]) -> dict[str, Array]:
    """Zero points, in the format of the ports that read them."""
    held: dict[str, Array] = {}
    for part in parts.values():
        for port in part.program.inputs:
            if port.name in states:
                held[port.name] = np.full(port.shape, port.zero_point, port.element)
    return held


def joined_counters(result: BranchResult, branch: str | None = None) -> Counters:
    """The counters of all parts as those of one run; the decision is a row of its own. With
    `branch` over the steps that took it: those of the arbitrator in them, and of the branch."""
    if branch is None:
        return _joined(result.counters, result.step_cycles, result.decision_cycles)
    mine = np.array([name == branch for name in result.chosen], np.bool_)
    parts = {
        ARBITRATOR: result.arbitrator_counters[branch],
        branch: result.counters[branch],
    }
    return _joined(parts, result.step_cycles[mine], result.decision_cycles)


def _joined(
    by_name: Mapping[str, Counters], step_cycles: npt.NDArray[np.int64], decision: int
) -> Counters:
    parts, steps = by_name.values(), len(step_cycles)
    waited = decision * steps
    first = next(iter(parts))
    stalls = {
        engine: {
            name: sum(part.stalls[engine][name] for part in parts)
            + (waited if name == _IDLE else 0)
            for name in classes
        }
        for engine, classes in first.stalls.items()
    }
    counts = {name: sum(part.counts[name] for part in parts) for name in first.counts}
    counts[_LONGEST] = max(part.counts[_LONGEST] for part in parts)
    layers = [
        replace(row, name=f"{name}/{row.name}")
        for name, part in by_name.items()
        for row in part.layers
    ]
    layers.append(LayerCounters(DECISION, waited, 0, 0, 0, 0, 0, 0, 0))
    empty = np.zeros(0, np.int64)
    trace = CommandTrace(empty, empty, empty)
    return Counters(steps, step_cycles, stalls, counts, tuple(layers), trace)
