"""What a page needs of a sweep's folder: its table, and which columns matter."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from azsim.errors import ConfigError
from azsim.report.html.parts import Value

ABOUT, RESULTS = "sweep.json", "results.csv"
LARGEST_BYTES = 1 << 28
MOST_POINTS = 2500  # with the columns: a page of at most 6 MB
MOST_COLUMNS = 20
ALWAYS = (
    "real_time_factor", "frame_latency_ms.p99", "energy.per_second_of_audio_pj.nominal",
    "area_k_gates", "cycles_per_frame", "bits_per_weight",
)  # fmt: skip
NOT_FIGURES = (
    "point", "status", "error", "model", "chip", "config_hash", "seed", "sampling_seed", "version",
    "feasible", "on_front",
)  # fmt: skip
Way = Literal["minimize", "maximize"]
Whole = Annotated[int, Field(ge=0)]


class About(BaseModel):
    """sweep.json."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)
    written_by: Literal["azsim sweep", "azsim search"]
    version: str
    points: Whole
    failed: Whole
    axes: list[str]
    objectives: Annotated[dict[str, Way], Field(min_length=1)]
    constraints: list[str]
    seeds: dict[str, int]


@dataclass(frozen=True)
class Column:
    """A column of the table: numbers (`numeric`), or words; None where a point has no value."""

    name: str
    values: Sequence[Value]
    numeric: bool


@dataclass(frozen=True)
class Sweep:
    """A sweep: `columns` are axes, objectives and figures that differ; `left_out` points have no
    room. `failures`: (point, reason)."""

    about: About
    points: Sequence[int]
    axes: Sequence[Column]
    objectives: Sequence[Column]
    figures: Sequence[Column]
    feasible: Sequence[bool]
    on_front: Sequence[bool]
    failures: Sequence[tuple[int, str]]
    left_out: int

    @property
    def columns(self) -> list[Column]:
        """Axes, objectives, then the figures; each name once."""
        every = [*self.axes, *self.objectives, *self.figures]
        return list({column.name: column for column in every}.values())


def is_sweep(folder: Path) -> bool:
    """Tell whether `folder` holds the results of a sweep or search."""
    return (folder / ABOUT).is_file() and (folder / RESULTS).is_file()


def load_sweep(folder: Path) -> Sweep:
    """Return the sweep in `folder`.

    Raises:
        ConfigError: a damaged file, or one that cannot be read.
    """
    about, (names, rows) = _load_about(folder / ABOUT), _load_rows(folder / RESULTS)
    path = folder / RESULTS
    for name in (
        *about.axes,
        *about.objectives,
        "point",
        "status",
        "error",
        "feasible",
        "on_front",
    ):
        if name not in names:
            raise ConfigError(f"{path}: must have the column '{name}'")
    table = {name: [row[place] for row in rows] for place, name in enumerate(names)}
    failures = [
        (_point(path, number), error)
        for number, error in zip(table["point"], table["error"], strict=True)
        if error
    ]
    keep = _kept(table)
    kept = {name: [values[place] for place in keep] for name, values in table.items()}
    columns = {name: _column(name, values) for name, values in kept.items()}
    return Sweep(
        about,
        [_point(path, number) for number in kept["point"]],
        [columns[name] for name in about.axes],
        [columns[name] for name in about.objectives],
        _figures(about, columns),
        [value == "true" for value in kept["feasible"]],
        [value == "true" for value in kept["on_front"]],
        failures,
        len(rows) - len(keep),
    )


def _load_about(path: Path) -> About:
    try:
        return About.model_validate(json.loads(_read(path)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise ConfigError(f"{path}: '{where}': {first['msg']}") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{path}: must be JSON as azsim writes it") from None


def _load_rows(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        lines = csv.reader(_read(path).splitlines(keepends=True), strict=True)
        names, *rows = list(lines)
    except (ValueError, csv.Error):
        raise ConfigError(f"{path}: must be a table as azsim writes it") from None
    for number, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise ConfigError(f"{path}:{number}: must have {len(names)} columns, not {len(row)}")
    return names, rows


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise ConfigError(f"{path}: must be at most {LARGEST_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None


def _point(path: Path, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise ConfigError(f"{path}: 'point' must be a whole number")
    return int(text)


def _kept(table: dict[str, list[str]]) -> list[int]:
    """Return the rows that a page has room for: points that ran, those of the front first."""
    places = [place for place, status in enumerate(table["status"]) if status == "ok"]
    places.sort(key=lambda place: table["on_front"][place] != "true")
    return sorted(places[:MOST_POINTS])


def _column(name: str, texts: Sequence[str]) -> Column:
    numbers = [_number(text) for text in texts]
    numeric = all(
        number is not None or not text for number, text in zip(numbers, texts, strict=True)
    )
    if numeric and any(number is not None for number in numbers):
        return Column(name, numbers, True)
    return Column(name, [text or None for text in texts], False)


def _number(text: str) -> float | int | None:
    try:
        value = float(text)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _figures(about: About, columns: dict[str, Column]) -> list[Column]:
    """Return numbers that differ between points: the usual ones first, then as they stand."""
    taken = {*about.axes, *about.objectives}
    names = [*(name for name in ALWAYS if name in columns), *columns]
    room = MOST_COLUMNS - len(taken)
    differing = [
        name
        for name in dict.fromkeys(names)
        if name not in taken
        and name not in NOT_FIGURES
        and columns[name].numeric
        and len(set(columns[name].values)) > 1
    ]
    return [columns[name] for name in differing[: max(room, 0)]]
