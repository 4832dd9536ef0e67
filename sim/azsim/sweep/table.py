"""The table of results: one row per point in the plan's order, as CSV and as Parquet.

Nothing in it depends on who computed a row or when: equal plans give equal bytes.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from azsim._atomic import replaced_file
from azsim.api import azsim_version
from azsim.errors import ConfigError
from azsim.sweep.expressions import Scalar
from azsim.sweep.front import pareto_front
from azsim.sweep.jobs import Outcome, Point
from azsim.sweep.plan import Plan, Way
from azsim.sweep.points import known_figures

DEFAULT_OBJECTIVES: dict[str, Way] = {
    "frame_latency_ms.p99": "minimize",
    "area_k_gates": "minimize",
}
OK, FAILED = "ok", "failed"
FEASIBLE, ON_FRONT = "feasible", "on_front"
# Sections whose figures are columns only if the plan keeps them, and what of them always is.
_UNASKED = ("stalls.", "energy.")
_ASKED = ("energy.total_pj.", "energy.per_second_of_audio_pj.")
Row = dict[str, Scalar]


class Scores:
    """Computes a plan's columns, constraints and objectives from the figures of a point."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.objectives = dict(plan.file.objectives) or DEFAULT_OBJECTIVES

    def figures(self, settings: Mapping[str, Scalar], outcome: Outcome) -> dict[str, Scalar]:
        """Everything known of a point that was run, derived columns included.

        Raises:
            ConfigError: an expression that cannot be computed, with its line.
        """
        known = {**known_figures(self._plan, dict(settings)), **outcome.figures}
        for name, expression in self._plan.columns.items():
            try:
                known[name] = expression.value(known)
            except ConfigError as error:
                raise self._plan.error(("columns", name), str(error)) from None
        return known

    def violations(self, figures: Mapping[str, Scalar]) -> list[float]:
        """How far each constraint is from holding (0: it holds). Raises as `figures`."""
        try:
            return [constraint.violation(figures) for constraint in self._plan.constraints]
        except ConfigError as error:
            raise self._plan.error(("constraints",), str(error)) from None

    def values(self, figures: Mapping[str, Scalar]) -> list[float | None]:
        """The objectives; None where a point has no such figure.

        Raises:
            ConfigError: an objective that is no figure, or no number.
        """
        return [self._objective(name, figures) for name in self.objectives]

    def _objective(self, name: str, figures: Mapping[str, Scalar]) -> float | None:
        if name not in figures:
            raise self._plan.error(("objectives", name), "must be a figure of a run or a column")
        value = figures[name]
        if value is None:
            return None
        if isinstance(value, str):
            raise self._plan.error(("objectives", name), f"must be a number, not '{value}'")
        return float(value)

    @property
    def maximize(self) -> list[bool]:
        """Which objectives are better if larger."""
        return [way == "maximize" for way in self.objectives.values()]


def make_rows(plan: Plan, points: Sequence[Point], outcomes: Mapping[str, Outcome]) -> list[Row]:
    """Return the table, all rows with the same columns in the same order.

    Raises:
        ConfigError: a name in columns, constraints, objectives or keep that no run has.
    """
    scores = Scores(plan)
    about = [_about(plan, number, point) for number, point in enumerate(points)]
    results = [_outcome(point, outcomes) for point in points]
    kept = _kept_names(plan, results, set(about[0]) if about else set())
    values: list[list[float | None]] = []
    rows: list[Row] = []
    for first, point, outcome in zip(about, points, results, strict=True):
        row: Row = {**first, "status": FAILED if outcome.error else OK, "error": outcome.error}
        row |= {name: outcome.figures.get(name) for name in kept}
        row |= {name: None for name in (*plan.columns, FEASIBLE)}
        objectives: list[float | None] = [None] * len(scores.objectives)
        if outcome.error is None:
            figures = scores.figures(point.settings, outcome)
            row |= {name: figures[name] for name in plan.columns}
            row[FEASIBLE] = not any(scores.violations(figures))
            objectives = scores.values(figures)
        values.append(objectives if row[FEASIBLE] else [None] * len(objectives))
        rows.append(row)
    numbers = [[math.nan if value is None else value for value in each] for each in values]
    front = pareto_front(numbers, scores.maximize)
    return [{**row, ON_FRONT: bool(on)} for row, on in zip(rows, front, strict=True)]


def _about(plan: Plan, number: int, point: Point) -> Row:
    settings, file = point.settings, plan.file
    return {
        "point": number,
        **{name: settings.get(name) for name in plan.axis_names},
        "status": None,
        "error": None,
        "model": settings.get("model", file.model),
        "chip": settings.get("chip", file.chip),
        "config_hash": None if point.job is None else point.job.chip.config_hash(),
        "seed": settings.get("seed", file.seed),
        "sampling_seed": file.sampling.seed,
        "version": azsim_version(),
    }


def _outcome(point: Point, outcomes: Mapping[str, Outcome]) -> Outcome:
    return Outcome("", point.error) if point.job is None else outcomes[point.job.name]


def _kept_names(plan: Plan, outcomes: Sequence[Outcome], taken: set[str]) -> list[str]:
    """Figures that become columns: all that runs have but the unasked, or what the plan keeps."""
    names = dict.fromkeys(name for outcome in outcomes for name in outcome.figures)
    keep = plan.file.keep
    if keep is None:
        wanted = [
            name for name in names if name.startswith(_ASKED) or not name.startswith(_UNASKED)
        ]
    else:
        for prefix in keep if names else []:
            if not any(_matches(name, prefix) for name in names):
                raise plan.error(("keep",), f"'{prefix}': must be a figure of a run")
        wanted = [name for name in names if any(_matches(name, prefix) for prefix in keep)]
    wanted += [name for name in Scores(plan).objectives if name in names and name not in wanted]
    return [name for name in wanted if name not in taken | set(plan.columns)]


def _matches(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Write rows as CSV. Raises ConfigError if that cannot be done."""
    with replaced_file(path) as part, part.open("x", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows([_text(value) for value in row.values()] for row in rows)


def _text(value: Scalar) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):  # a name may hold half of a surrogate pair
        return value.encode("utf-8", "backslashreplace").decode()
    return repr(value)


def write_parquet(rows: Sequence[Row], path: Path) -> None:
    """Write rows as Parquet. Raises ConfigError if that cannot be done."""
    import pyarrow
    import pyarrow.parquet

    columns = {name: [row[name] for row in rows] for name in rows[0]}
    arrays = {name: _array(pyarrow, values) for name, values in columns.items()}
    with replaced_file(path) as part:
        pyarrow.parquet.write_table(pyarrow.table(arrays), part, compression="zstd")


def _array(pyarrow: Any, values: list[Scalar]) -> Any:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int} and kinds:
        return pyarrow.array(values, pyarrow.int64())
    if kinds <= {int, float}:
        numbers = [None if v is None else float(v) for v in values]
        return pyarrow.array(numbers, pyarrow.float64())
    if kinds == {bool}:
        return pyarrow.array(values, pyarrow.bool_())
    texts = [None if v is None else _text(v) for v in values]
    return pyarrow.array(texts, pyarrow.string())
