"""Everything a report may show about one run: made by `azsim.api`, read by this folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.config import ChipConfig
from azsim.config.host_traffic import TrafficPattern
from azsim.counters import Counters, WeightPath
from azsim.counters.recording import Recordings
from azsim.energy import EnergyBreakdown, price
from azsim.program import Program


@dataclass(frozen=True)
class Verification:
    """Outcome of running the integer reference beside.

    `exact` of `steps` steps had all outputs equal. `first_difference`: which step and output
    differed first, empty if none. States are not compared by themselves: a wrong one shows in the
    outputs of the steps after it.
    """

    steps: int
    exact: int
    first_difference: str = ""


@dataclass(frozen=True)
class HostTraffic:
    """Traffic of the rest of the device, and the length of each step without it, int64 (steps,)."""

    patterns: tuple[TrafficPattern, ...]
    step_cycles_without: npt.NDArray[np.int64]


@dataclass(frozen=True)
class BranchTrace:
    """The branch of each step of a model that chooses one, and where the step's cycles went.

    `node`: the If. `chosen`, and int64 arrays, per step; `dram_bytes` read and written by
    arbitrator and branch. `float_agrees`: steps in which the float
    model takes the same branch. `parts`: what ran of each part, with the steps in which it ran
    (`recordings` are numbered by the model's steps). `frames_of`: all parts over the steps that
    took each branch, as a run of their own.
    """

    node: str
    chosen: tuple[str, ...]
    arbitrator_cycles: npt.NDArray[np.int64]
    branch_cycles: npt.NDArray[np.int64]
    dram_bytes: npt.NDArray[np.int64]
    decision_cycles: int
    float_agrees: int
    parts: Mapping[str, RunRecord]
    frames_of: Mapping[str, RunRecord]

    @property
    def step_cycles(self) -> npt.NDArray[np.int64]:
        """Length of each step."""
        return self.arbitrator_cycles + self.decision_cycles + self.branch_cycles

    def takes(self, name: str) -> npt.NDArray[np.bool_]:
        """Say which steps took branch `name`, bool (steps,)."""
        return np.array([chosen == name for chosen in self.chosen], np.bool_)

    @property
    def switched(self) -> npt.NDArray[np.bool_]:
        """Say which steps took another branch than the one before, bool (steps,)."""
        before = [*self.chosen[:1], *self.chosen[:-1]]
        return np.array([a != b for a, b in zip(self.chosen, before, strict=True)], np.bool_)


@dataclass(frozen=True)
class RunRecord:
    """One run of `frames` frames, `frames_per_pass` at a time (the last pass may be padded).

    `frame_ms`: audio time of one step, `frame_ms_source` says where it comes from. `calibration`
    and `input_source` say in words which frames were used; texts name files without their folders,
    so that reports are equal on all machines. `sqnr_db`: per output, against the float model on the
    same frames; None where there is no signal or no noise. `integers`: outputs (steps, *shape) by
    name. Both are empty when timing only. `wall_seconds`: simulation alone, for the speed line;
    never written to files that must be reproducible. `weight_path`, `recordings`: None
    if not asked for. `branches`: of a model that chooses a branch in each step; `program` and
    `counters` are then those of all its parts side by side, and have no trace of commands.
    """

    model: str
    chip: ChipConfig
    program: Program
    counters: Counters
    frame_ms: float
    frame_ms_source: str
    input_source: str
    calibration: str
    bits: int
    sparsity: float
    timing_only: bool
    version: str
    frames: int
    frames_per_pass: int = 1
    plan: str = ""
    integers: Mapping[str, npt.NDArray[np.integer[Any]]] = field(default_factory=dict)
    sqnr_db: Mapping[str, float | None] = field(default_factory=dict)
    verification: Verification | None = None
    seeds: Mapping[str, int] = field(default_factory=dict)
    wall_seconds: float = 0.0
    weight_path: WeightPath | None = None
    host_traffic: HostTraffic | None = None
    recordings: Recordings | None = None
    branches: BranchTrace | None = None

    @property
    def cycle_ms(self) -> float:
        """Milliseconds of one core cycle."""
        return 1e-3 / self.chip.core.clock_mhz

    @property
    def deadline_ms(self) -> float:
        """Largest latency of a pass that keeps up: done before the next pass is complete."""
        return (2 * self.frames_per_pass - 1) * self.frame_ms

    @cached_property
    def energy(self) -> EnergyBreakdown:
        """Energy of the run; computed when asked for.

        Raises:
            ConfigError: an energy table of the chip cannot be taken.
        """
        return price(
            self.counters,
            self.chip,
            frame_ms=self.frame_ms,
            frames=self.frames,
            resident_bytes=sum(layer.resident_bytes for layer in self.program.layers),
        )

    def latencies_ms(
        self, step_cycles: npt.NDArray[np.int64] | None = None
    ) -> npt.NDArray[np.float64]:
        """Latency of each pass: completion minus arrival of its oldest frame. `step_cycles`: of
        other steps than those of the run.

        Frame f arrives at f x frame_ms. A pass starts when its last frame has arrived and the pass
        before is complete.
        """
        if step_cycles is None:
            step_cycles = self.counters.step_cycles
        latencies = np.empty(len(step_cycles))
        free_ms = 0.0
        for number, cycles in enumerate(step_cycles):
            oldest = number * self.frames_per_pass
            newest = min(oldest + self.frames_per_pass, self.frames) - 1
            free_ms = max(newest * self.frame_ms, free_ms) + float(cycles) * self.cycle_ms
            latencies[number] = free_ms - oldest * self.frame_ms
        return latencies
