"""What the runner asks of a simulation and what it gets back, as JSON files."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from azsim.rtl_check.lockstep import Mismatch
from azsim.rtl_check.scenarios import PATTERNS, Configuration, Scenario, make_scenario
from azsim.rtl_check.vectors import load_vectors


@dataclass(frozen=True)
class Job:
    """One simulation.

    sources  SystemVerilog files, lowest level first
    cycles   enough is enough once so many cycles were compared
    least    but not before so many scenarios were run
    only     number of the one scenario to run, or -1 for all from 0 on
    waves    keep a waveform in the folder
    vectors  folder of vectors to run instead of scenarios
    """

    folder: str
    sources: list[str]
    top: str
    configuration: Configuration
    seed: int
    cycles: int
    only: int = -1
    waves: bool = False
    vectors: str = ""
    least: int = 0

    def scenarios(self) -> Iterator[Scenario]:
        """Yield the scenarios to run."""
        if self.vectors:
            every = vector_scenarios(Path(self.vectors), self.configuration)
            yield from (s for k, s in enumerate(every) if self.only in (-1, k))
            return
        for number in [self.only] if self.only >= 0 else itertools.count():
            yield make_scenario(self.configuration, self.seed, number)

    def scenarios_named(self, label: str) -> Iterator[Scenario]:
        """Yield the scenario `label`, one that the job runs."""
        if not self.vectors:
            yield make_scenario(self.configuration, self.seed, int(label.rpartition(".")[2]))
            return
        yield from (s for s in self.scenarios() if s.label == label)

    @property
    def path(self) -> Path:
        """The job's own file."""
        return Path(self.folder) / "job.json"

    @property
    def result_path(self) -> Path:
        """Where the result goes."""
        return Path(self.folder) / "result.json"

    def save(self) -> None:
        """Write the job's file."""
        self.path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Job:
        """Read a job's file."""
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**values, "configuration": Configuration(**values["configuration"])})


@dataclass(frozen=True)
class ScenarioResult:
    """One scenario that was run."""

    label: str
    name: str
    cycles: int


@dataclass(frozen=True)
class Result:
    """What a simulation found: cycles compared, scenarios run, bins met, the first mismatch."""

    cycles: int
    scenarios: list[ScenarioResult] = field(default_factory=list)
    coverage: dict[str, int] = field(default_factory=dict)
    mismatch: Mismatch | None = None

    def save(self, path: Path) -> None:
        """Write the result's file."""
        path.write_text(json.dumps(dataclasses.asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Result:
        """Read a result's file."""
        values = json.loads(path.read_text(encoding="utf-8"))
        mismatch = values["mismatch"]
        return cls(
            values["cycles"],
            [ScenarioResult(**scenario) for scenario in values["scenarios"]],
            values["coverage"],
            Mismatch(**mismatch) if mismatch else None,
        )


def vector_scenarios(folder: Path, configuration: Configuration) -> Iterator[Scenario]:
    """Yield the cases of a folder of vectors under each pattern of gaps and stalls."""
    _, cases = load_vectors(folder)
    for number, pattern in enumerate(PATTERNS):
        label = f"{configuration.label}:vectors.{number}"
        yield Scenario(label, f"vectors, {pattern.name}", tuple(cases), pattern, label)
