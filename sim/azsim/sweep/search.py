"""`azsim search`: Optuna looks for the front over the axes of a plan, without running every point.

Trials are asked and told in rounds of one population, whoever computes them, so that one worker or
many see the same search. Runs go through the same journal as a sweep's: a point that was ever
computed is not computed again.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azsim.cache import open_cache
from azsim.errors import ConfigError, SweepError
from azsim.sweep.axes import Axis
from azsim.sweep.expressions import Scalar
from azsim.sweep.folder import STUDY, open_folder
from azsim.sweep.jobs import Outcome, Point, make_point
from azsim.sweep.materials import MaterialReader
from azsim.sweep.plan import Plan, load_plan
from azsim.sweep.points import Settings, is_wanted
from azsim.sweep.run import (
    Evaluator,
    Progress,
    SweepResult,
    Workers,
    require_packages,
    write_files,
)
from azsim.sweep.table import Scores, make_rows

_POINT = "point"  # user attribute of a trial: its settings
_LARGEST_VIOLATION = 1e300  # storages may not take what is infinite


@dataclass(frozen=True)
class _Trial:
    """One trial of a round; `point` is None if `where` left every draw out."""

    optuna: Any
    point: Point | None


def run_search(
    path: Path,
    out: Path,
    workers: Workers = Workers(),  # noqa: B008  frozen
    *,
    trials: int | None = None,
    storage: str | None = None,
    study: str = "azsim",
    progress: Progress = lambda done, total: None,
) -> SweepResult:
    """Search the axes of the plan at `path` until `trials` trials are done; write all to `out`.

    Args:
        storage: a file, or a URL that Optuna takes, which several machines may share; None keeps
            the study in `out`.
        study: name of the study in the storage. One that is there is continued.

    Raises:
        AzsimError: one line; trials and points that were finished before it are kept.
    """
    workers.check()
    require_packages()
    plan = load_plan(path)
    _check(plan)
    open_cache()
    wanted = plan.file.search.trials if trials is None else trials
    if wanted < 1:
        raise ConfigError(f"--trials: must be 1 or more, not {wanted}")
    with open_folder(out) as journal, _quiet_optuna():
        searcher = _Searcher(plan, _open_study(plan, storage or str(out / STUDY), study))
        reader = MaterialReader(plan)
        for settings in _corners(plan):
            reader.need(settings)  # before the first worker gets them
        with workers.pool(reader.materials, journal) as pool:
            evaluator = Evaluator(journal, pool)
            searcher.run(reader, evaluator, wanted, progress)
            points = searcher.points(reader)
            jobs = [point.job for point in points if point.job is not None]
            evaluator.evaluate(jobs, lambda done, total: None)  # trials of others, not known here
        rows = make_rows(plan, points, evaluator.outcomes)
        write_files(plan, out, rows, "azsim search")
    objectives = list(Scores(plan).objectives)
    return SweepResult(plan, out, rows, objectives, evaluator.found, evaluator.computed)


def _check(plan: Plan) -> None:
    if not plan.axes:
        raise plan.error(("axes",), "must be present: a search needs axes, not a list of points")


def _corners(plan: Plan) -> Iterator[Settings]:
    """Settings that together need every model and every file of the plan."""
    files = [axis for axis in plan.axes if axis.name in ("model", "input", "frames", "seed")]
    combinations: list[Settings] = [{}]
    for axis in files:
        if not axis.levels:
            raise plan.error(("axes", axis.name), "must be a list of values")
        combinations = [{**c, axis.name: v} for c in combinations for v in axis.levels]
    yield from combinations


@dataclass(frozen=True)
class _Shifted:
    """Progress of a round as progress of the search."""

    progress: Progress
    before: int
    total: int

    def __call__(self, done: int, of: int) -> None:
        self.progress(self.before + done, self.total)


class _Searcher:
    """The rounds of one study."""

    def __init__(self, plan: Plan, study: Any) -> None:
        self._plan, self._study = plan, study
        self._scores = Scores(plan)
        self._round = plan.file.search.population

    def run(
        self, reader: MaterialReader, evaluator: Evaluator, wanted: int, progress: Progress
    ) -> None:
        """Ask, evaluate and tell until the study has `wanted` finished trials."""
        done = len(self._finished())
        progress(done, wanted)
        while done < wanted:
            self._study.sampler = _sampler(self._plan, done)
            trials = [self._ask(reader) for _ in range(min(self._round, wanted - done))]
            points = [trial.point for trial in trials if trial.point is not None]
            jobs = [point.job for point in points if point.job is not None]
            evaluator.evaluate(jobs, _Shifted(progress, done, wanted))
            for trial in trials:
                self._tell(trial, evaluator)
            done = len(self._finished())
            progress(done, wanted)

    def _finished(self) -> list[Any]:
        from optuna.trial import TrialState

        states = (TrialState.COMPLETE, TrialState.FAIL)
        return list(self._study.get_trials(deepcopy=False, states=states))

    def _ask(self, reader: MaterialReader) -> _Trial:
        trial = self._study.ask()
        settings = {axis.name: _suggest(trial, axis) for axis in self._plan.axes}
        trial.set_user_attr(_POINT, settings)
        wanted = is_wanted(self._plan, settings)
        return _Trial(trial, make_point(self._plan, reader, settings) if wanted else None)

    def _tell(self, trial: _Trial, evaluator: Evaluator) -> None:
        """Give a trial its objectives; one that could not be run fails."""
        outcome = self._outcome(trial, evaluator)
        values: list[float | None] = [None]
        violations: list[float] = []
        if outcome is not None and trial.point is not None:
            figures = self._scores.figures(trial.point.settings, outcome)
            violations = self._scores.violations(figures)
            values = self._scores.values(figures)
        for number, violation in enumerate(violations):
            trial.optuna.set_constraint(str(number), min(violation, _LARGEST_VIOLATION))
        if None in values:
            from optuna.trial import TrialState

            self._study.tell(trial.optuna, state=TrialState.FAIL)
        else:
            self._study.tell(trial.optuna, values)

    def _outcome(self, trial: _Trial, evaluator: Evaluator) -> Outcome | None:
        if trial.point is None or trial.point.job is None:
            return None
        outcome = evaluator.outcomes[trial.point.job.name]
        return outcome if outcome.error is None else None

    def points(self, reader: MaterialReader) -> list[Point]:
        """Every point that the study has finished, in the order of its trials, each once."""
        found: dict[str, Settings] = {}
        for trial in sorted(self._finished(), key=lambda trial: int(trial.number)):
            settings = trial.user_attrs.get(_POINT)
            ours = isinstance(settings, dict) and set(settings) == set(self._plan.axis_names)
            if ours and is_wanted(self._plan, settings):
                found.setdefault(repr(sorted(settings.items())), settings)
        if not found:
            raise SweepError("no trial has a point that the plan's 'where' allows")
        return [make_point(self._plan, reader, settings) for settings in found.values()]


def _suggest(trial: Any, axis: Axis) -> Scalar:
    """Ask for a value: numbers by their place in the list, so that the search sees their order."""
    if not axis.levels:
        return axis.at(float(trial.suggest_float(axis.name, 0.0, 1.0)))
    if len(axis.levels) == 1:
        return axis.levels[0]
    if axis.is_ordered:
        return axis.levels[int(trial.suggest_int(axis.name, 0, len(axis.levels) - 1))]
    chosen: Scalar = trial.suggest_categorical(axis.name, list(axis.levels))
    return chosen


def _sampler(plan: Plan, done: int) -> Any:
    """A sampler for the round after `done` trials; its seed depends on nothing else, so that a
    search that was interrupted goes on as it would have."""
    import optuna

    wishes = plan.file.search
    seed = (wishes.seed * 1_000_003 + done) % (1 << 32)
    population = wishes.population
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if wishes.sampler == "tpe":
            return optuna.samplers.TPESampler(
                seed=seed, n_startup_trials=population, multivariate=True
            )
        return optuna.samplers.NSGAIISampler(seed=seed, population_size=population)


def _open_study(plan: Plan, storage: str, name: str) -> Any:
    """Make the study, or open the one that is there.

    Raises:
        ConfigError: a storage that cannot be used, or a study with other objectives.
    """
    import optuna

    directions = list(Scores(plan).objectives.values())
    try:
        study = optuna.create_study(
            storage=_storage(storage), study_name=name, directions=directions, load_if_exists=True
        )
    except Exception as error:  # drivers of databases raise what they like
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"--storage {storage}: cannot be used: {text}") from None
    if [each.name.lower() for each in study.directions] != directions:
        raise ConfigError(
            f"--study {name}: must have the plan's {len(directions)} objectives, or another name"
        )
    return study


def _storage(storage: str) -> Any:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    if "://" in storage:
        return optuna.storages.RDBStorage(storage)
    backend = JournalFileBackend(storage)
    return optuna.storages.JournalStorage(backend)


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Optuna's own messages are for who watches a study, not for standard error."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
