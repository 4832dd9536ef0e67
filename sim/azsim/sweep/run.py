"""`azsim sweep`: every point of a plan, computed once, into one table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azsim._atomic import replaced_file
from azsim.api import azsim_version
from azsim.cache import open_cache
from azsim.errors import ConfigError
from azsim.report.sweep_figures import save_parallel, save_pareto
from azsim.sweep.folder import (
    ABOUT,
    FRONT_CSV,
    FRONT_JSON,
    PARALLEL,
    PARETO,
    PLAN,
    RESULTS_CSV,
    RESULTS_PARQUET,
    open_folder,
)
from azsim.sweep.jobs import Outcome, Point, Work, make_point
from azsim.sweep.journal import Journal
from azsim.sweep.local import LocalPool, Pool, available_cores
from azsim.sweep.materials import MaterialReader, Materials
from azsim.sweep.plan import Plan, load_plan
from azsim.sweep.points import Settings, plan_points
from azsim.sweep.table import FAILED, ON_FRONT, Row, Scores, make_rows, write_csv, write_parquet

Progress = Callable[[int, int], None]  # (done, of)
MAX_WORKERS = 1024
_EARLY = 16  # successes after which names that no run has are refused
_SHOWN_FORMATS = ("png", "pdf")


@dataclass(frozen=True)
class Workers:
    """Who computes: processes of this computer, a Dask scheduler, or jobs of a batch system."""

    count: int | None = None
    scheduler: str | None = None
    cluster: str | None = None

    def check(self) -> None:
        """Raise ConfigError for a count that cannot be, or two answers to one question."""
        if self.count is not None and not 1 <= self.count <= MAX_WORKERS:
            raise ConfigError(f"--workers: must be 1 to {MAX_WORKERS}, not {self.count}")
        if self.scheduler is not None and self.cluster is not None:
            raise ConfigError("--cluster: must be left out where there is a --scheduler")

    @contextmanager
    def pool(self, materials: Materials, journal: Journal) -> Iterator[Pool]:
        """The pool for these workers. Raises ConfigError if a cluster cannot be reached."""
        if self.scheduler is None and self.cluster is None:
            with LocalPool(self.count or available_cores(), materials, journal) as local:
                yield local
            return
        from azsim.sweep.cluster import DaskPool, connect, start_batch

        if self.scheduler is not None:
            client = connect(self.scheduler)
        else:
            client = start_batch(str(self.cluster), self.count or 1)
        with DaskPool(client, materials, journal) as pool:
            yield pool


@dataclass(frozen=True)
class SweepResult:
    """What a sweep or search left: its rows, and what was computed for it this time."""

    plan: Plan
    out: Path
    rows: Sequence[Row]
    objectives: Sequence[str]
    found: int  # of the points, in the journal
    computed: int

    @property
    def failed(self) -> int:
        """Points that could not be run."""
        return sum(row["status"] == FAILED for row in self.rows)

    @property
    def front(self) -> list[Row]:
        """Rows on the Pareto front."""
        return [row for row in self.rows if row[ON_FRONT]]


@dataclass
class Evaluator:
    """Computes jobs that the journal does not know; counts what it found and what it computed."""

    journal: Journal
    pool: Pool
    found: int = 0
    computed: int = 0
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def evaluate(
        self,
        jobs: Sequence[Work],
        progress: Progress,
        look: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        """Bring the outcomes of all `jobs` into `outcomes`; `look` sees each new one."""
        wanted = {job.name: job for job in jobs if job.name not in self.outcomes}
        for name in wanted:
            outcome = self.journal.find(name)
            if outcome is not None:
                self.outcomes[name] = outcome
                self.found += 1
                look(outcome)
        missing = [job for name, job in wanted.items() if name not in self.outcomes]
        done, total = len(wanted) - len(missing), len(wanted)
        progress(done, total)
        if not missing:
            return
        for outcome in self.pool.run(missing):
            self.outcomes[outcome.name] = outcome
            self.computed += 1
            done += 1
            progress(done, total)
            look(outcome)


class _NameCheck:
    """Refuses names that no run has, after the first few runs instead of after the last."""

    def __init__(self, plan: Plan, points: Sequence[Point]) -> None:
        self._scores = Scores(plan)
        self._settings = {p.job.name: p.settings for p in reversed(points) if p.job is not None}
        self._refusal: ConfigError | None = None
        self._seen = 0
        self._passed = False

    def __call__(self, outcome: Outcome) -> None:
        if self._passed or outcome.error is not None:
            return
        try:
            figures = self._scores.figures(self._settings[outcome.name], outcome)
            self._scores.violations(figures)
            self._scores.values(figures)
            self._passed = True
        except ConfigError as error:
            self._seen += 1
            if self._seen >= min(_EARLY, len(self._settings)):
                raise error from None


def run_sweep(
    path: Path,
    out: Path,
    workers: Workers = Workers(),
    *,
    yes: bool = False,
    progress: Progress = lambda done, total: None,
) -> SweepResult:
    """Compute every point of the plan at `path` that is not known yet; write all files to `out`.

    Raises:
        AzsimError: one line; points that were finished before it are kept.
    """
    workers.check()
    require_packages()
    plan = load_plan(path)
    open_cache()  # its settings are refused here, and not in each point
    settings = plan_points(plan, yes)
    with open_folder(out) as journal:
        points, materials = make_points(plan, settings)
        jobs = [point.job for point in points if point.job is not None]
        unknown = [job for job in jobs if not journal.path(job.name).exists()]
        with _pool_if(bool(unknown), workers, materials, journal) as pool:
            evaluator = Evaluator(journal, pool)
            evaluator.evaluate(jobs, progress, _NameCheck(plan, points))
        rows = make_rows(plan, points, evaluator.outcomes)
        objectives = list(Scores(plan).objectives)
        write_files(plan, out, rows, "azsim sweep")
    return SweepResult(plan, out, rows, objectives, evaluator.found, evaluator.computed)


def require_packages() -> None:
    """Raise ConfigError if what writes results is not installed."""
    try:
        import pyarrow  # noqa: F401
        import scipy.stats  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"needs {error.name}: pip install 'azsim[sweep]'") from None


def make_points(plan: Plan, settings: Sequence[Settings]) -> tuple[list[Point], Materials]:
    """Read all that the points need and make their jobs."""
    reader = MaterialReader(plan)
    points = [make_point(plan, reader, each) for each in settings]
    return points, reader.materials


@contextmanager
def _pool_if(
    wanted: bool, workers: Workers, materials: Materials, journal: Journal
) -> Iterator[Pool]:
    """A pool, or none where everything is known: a finished sweep needs no cluster."""
    if wanted:
        with workers.pool(materials, journal) as pool:
            yield pool
    else:
        with LocalPool(1, materials, journal) as idle:
            yield idle


def write_files(plan: Plan, out: Path, rows: Sequence[Row], written_by: str) -> None:
    """Write tables, front, figures and what they were made from. Raises ConfigError."""
    scores = Scores(plan)
    objectives = list(scores.objectives)
    front = [row for row in rows if row[ON_FRONT]]
    write_csv(rows, out / RESULTS_CSV)
    write_parquet(rows, out / RESULTS_PARQUET)
    write_csv(front or [dict.fromkeys(rows[0])], out / FRONT_CSV)
    _write_json({"objectives": scores.objectives, "front": front}, out / FRONT_JSON)
    with replaced_file(out / PLAN) as part:
        part.write_text(plan.text, encoding="utf-8", newline="\n")
    about = {
        "written_by": written_by,
        "version": azsim_version(),
        "points": len(rows),
        "failed": sum(row["status"] == FAILED for row in rows),
        "axes": list(plan.axis_names),
        "objectives": scores.objectives,
        "constraints": list(plan.file.constraints),
        "seeds": {
            "plan": plan.file.seed,
            "sampling": plan.file.sampling.seed,
            "search": plan.file.search.seed,
        },
        "front": [row["point"] for row in front],
    }
    _write_json(about, out / ABOUT)
    for kind in _SHOWN_FORMATS:
        save_pareto(rows, objectives, out / f"{PARETO}.{kind}")
        save_parallel(rows, [*plan.axis_names, *objectives], out / f"{PARALLEL}.{kind}")


def _write_json(content: Mapping[str, Any], path: Path) -> None:
    text = json.dumps(content, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
    with replaced_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
