"""Which programs ran in a pass and when: one, or arbitrator and branch of a model that chooses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from azsim.counters.recording import StepRecording
from azsim.graph.text import one_line
from azsim.program import Program
from azsim.report.branches import ARBITRATOR
from azsim.report.record import BranchTrace, RunRecord
from azsim.report.trace.clock import PassTimes
from azsim_kernels import isa

NO_LAYER = "inputs and outputs"


@dataclass(frozen=True)
class Played:
    """A program with the passes of it that were recorded; `before` is put in front of the names of
    its layers."""

    program: Program
    recordings: dict[int, StepRecording]
    before: str = ""

    @cached_property
    def layers(self) -> list[str]:
        """Names of the layers, and one for what is of none."""
        names = [*(layer.name for layer in self.program.layers), NO_LAYER]
        return [one_line(self.before + name) for name in names]

    @cached_property
    def commands(self) -> list[str]:
        """What the viewer shows of each command: its opcode and its layer."""
        commands = self.program.commands
        rows = (commands["layer"].astype(np.int64) % len(self.layers)).tolist()
        pairs = zip(commands["opcode"].tolist(), rows, strict=True)
        return [f"{isa.OPCODE_NAMES[opcode]} {self.layers[row]}" for opcode, row in pairs]


@dataclass(frozen=True)
class Turn:
    """A program's turn in a pass: `times` are its own, `number` is another one for each turn."""

    played: Played
    times: PassTimes
    number: int
    recording: StepRecording

    @property
    def recorded_cycles(self) -> int:
        """How many of its cycles are recorded."""
        return self.recording.cut if self.recording.cut >= 0 else self.recording.cycles


class Turns:
    """Which programs have their turn in each pass of a run, and whether it was `asked_for` to
    record any."""

    def __init__(self, record: RunRecord) -> None:
        self._trace = record.branches
        self.asked_for = record.recordings is not None
        if record.branches is None:
            passes = () if record.recordings is None else record.recordings.passes
            self._played = {"": Played(record.program, dict(passes))}
            return
        self._played = {
            name: Played(part.program, dict(part.recordings.passes), f"{name}/")
            for name, part in record.branches.parts.items()
            if part.recordings is not None
        }
        self.asked_for = bool(self._played)

    @property
    def recorded(self) -> dict[int, list[StepRecording]]:
        """The recordings of each pass that has some, in order."""
        passes: dict[int, list[StepRecording]] = {}
        for played in self._played.values():
            for number, recording in played.recordings.items():
                passes.setdefault(number, []).append(recording)
        return dict(sorted(passes.items()))

    def of(self, times: PassTimes) -> Iterator[Turn]:
        """Yield the recorded turns of a pass."""
        turns = [("", times)] if self._trace is None else _branch_turns(self._trace, times)
        for place, (name, own) in enumerate(turns):
            played = self._played.get(name)
            if played is not None and times.number in played.recordings:
                number = times.number * len(turns) + place
                yield Turn(played, own, number, played.recordings[times.number])


def _branch_turns(trace: BranchTrace, times: PassTimes) -> list[tuple[str, PassTimes]]:
    decided, begin = branch_moments(trace, times)
    return [
        (ARBITRATOR, replace(times, end=decided)),
        (trace.chosen[times.number], replace(times, start=begin)),
    ]


def branch_moments(trace: BranchTrace, times: PassTimes) -> tuple[int, int]:
    """Return the cycles in which the arbitrator ends and the branch begins."""
    decided = times.start + int(trace.arbitrator_cycles[times.number])
    return decided, decided + trace.decision_cycles
