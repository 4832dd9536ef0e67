"""The page of a sweep or search, built from its folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from azsim.report.html.library import make_figure, require_packages
from azsim.report.html.page import Page, save_page
from azsim.report.html.parts import (
    Cell,
    Plot,
    Section,
    Table,
    figure_text,
    number,
    rounded,
    short,
    words,
)
from azsim.report.html.sweep_data import Column, Sweep, load_sweep

MOST_TABLE_ROWS, MOST_FRONT_ROWS = 400, 200
MOST_TABLE_FIGURES = 4
MOST_DIMENSIONS = 16
MOST_REASONS = 50
DIMENSION_PIXELS = 52


def save_sweep_page(folder: Path, path: Path) -> None:
    """Write the page of the sweep in `folder` to `path`.

    Raises:
        ConfigError: packages are missing, a damaged file, or the page cannot be written.
    """
    require_packages()
    save_page(sweep_page(load_sweep(folder), Path(folder).resolve().name), path)


def sweep_page(sweep: Sweep, name: str) -> Page:
    """Return the page of a sweep; `name` is that of its folder."""
    about = sweep.about
    objectives = ", ".join(f"{way} {short(key, 60)}" for key, way in about.objectives.items())
    kind = "Search" if about.written_by == "azsim search" else "Sweep"
    return Page(
        title=f"{kind} {short(name, 60)}: {about.points:,} points",
        about=f"Objectives: {objectives}.",
        notice="Chips az1, az2 and dense are assumptions, area is a sum of assumed gate counts: "
        "compare points with one another, not with products.",
        sections=[_summary(sweep), _explore(sweep), _front(sweep), _points(sweep), _failed(sweep)],
        version=short(about.version, 40),
        data=_data(sweep),
        scripts=("sweep.js",),
    )


def _summary(sweep: Sweep) -> Section:
    about = sweep.about
    constraints = [short(text) for text in about.constraints[:20]]
    facts = [
        ("Points", f"{about.points:,}", f"{about.failed:,} failed"),
        ("Feasible", f"{sum(sweep.feasible):,}", "all constraints hold"),
        ("On the front", f"{sum(sweep.on_front):,}", "no feasible point is better in everything"),
        ("Axes", f"{len(about.axes)}", ", ".join(short(name, 40) for name in about.axes[:20])),
        ("Constraints", f"{len(about.constraints)}", "; ".join(constraints)),
        ("Seeds", ", ".join(f"{short(k, 20)} {seed}" for k, seed in about.seeds.items()), ""),
    ]
    texts = []
    if sweep.left_out - about.failed > 0:
        more = sweep.left_out - about.failed
        texts = [f"{more:,} more points, none of the front, are in results.csv."]
    return Section("summary", "Summary", texts, facts)


def _explore(sweep: Sweep) -> Section:
    dimensions = len(_dimensions(sweep))
    scatter = make_figure(
        [],
        {
            "height": 480,
            "margin": {"l": 20, "r": 10, "t": 50, "b": 50},
            "legend": {"orientation": "h", "y": 1, "yanchor": "bottom"},
            "hovermode": "closest",
            "xaxis": {"automargin": True, "title": {"text": ""}},
            "yaxis": {"automargin": True, "title": {"text": ""}},
        },
    )
    parallel = make_figure(
        [],
        {
            "height": DIMENSION_PIXELS * dimensions + 70,
            "margin": {"l": 20, "r": 20, "t": 50, "b": 10},
            "legend": {"orientation": "h", "y": 1, "yanchor": "bottom"},
            "hovermode": "closest",
            "xaxis": {"visible": False, "range": [-0.04, 1.04], "fixedrange": True},
            "yaxis": {
                "tickvals": list(range(dimensions)),
                "ticktext": [figure_text(column.name, 30) for column in _dimensions(sweep)],
                "range": [dimensions - 0.5, -0.6],
                "automargin": True,
                "fixedrange": True,
                "zeroline": False,
            },
        },
    )
    return Section(
        "explore",
        "Front and axes",
        [
            "Filters act on both figures and on the table of all points. The front is that of the "
            "whole sweep: filters hide points, they do not make others better."
        ],
        plots=[
            Plot(
                "pareto",
                "Every point over two figures of your choice. Diamonds: on the front. Circles: "
                "another point is better. Crosses: a constraint does not hold.",
                scatter,
            ),
            Plot(
                "parallel",
                "Parallel coordinates: one line per point across axes and objectives, the front in "
                "colour; numbers stand at their place between smallest and largest.",
                parallel,
            ),
        ],
    )


def _dimensions(sweep: Sweep) -> list[Column]:
    columns = {column.name: column for column in (*sweep.axes, *sweep.objectives)}
    return list(columns.values())[:MOST_DIMENSIONS]


def _table_columns(sweep: Sweep) -> list[Column]:
    figures = sweep.figures[:MOST_TABLE_FIGURES]
    every = [*sweep.axes, *sweep.objectives, *figures]
    return list({column.name: column for column in every}.values())


def _rows(sweep: Sweep, places: Sequence[int]) -> list[list[Cell]]:
    columns = _table_columns(sweep)
    return [
        [
            number(sweep.points[place]),
            *(number(_value(column.values[place]), 6) for column in columns),
            words("yes" if sweep.feasible[place] else "no"),
            words("yes" if sweep.on_front[place] else "no"),
        ]
        for place in places
    ]


def _heads(sweep: Sweep) -> list[str]:
    names = [short(column.name, 60) for column in _table_columns(sweep)]
    return ["point", *names, "feasible", "on the front"]


def _front(sweep: Sweep) -> Section:
    first = sweep.objectives[0]
    places = [place for place, on in enumerate(sweep.on_front) if on]
    turned = -1 if sweep.about.objectives[first.name] == "maximize" else 1
    places.sort(key=lambda place: turned * float(first.values[place] or 0))
    table = Table(
        "front-table", "Points on the front", _heads(sweep),
        _rows(sweep, places[:MOST_FRONT_ROWS]), left_out=max(len(places) - MOST_FRONT_ROWS, 0),
    )  # fmt: skip
    return Section("front", "Front", tables=[table])


def _points(sweep: Sweep) -> Section:
    every = range(len(sweep.points))
    places = sorted(sorted(every, key=lambda at: not sweep.on_front[at])[:MOST_TABLE_ROWS])
    table = Table(
        "points-table", "All points that ran", _heads(sweep), _rows(sweep, places),
        left_out=len(every) - len(places),
    )  # fmt: skip
    return Section("points", "Points", tables=[table])


def _failed(sweep: Sweep) -> Section:
    reasons = Counter(error for _, error in sweep.failures).most_common()
    first = {error: point for point, error in reversed(sweep.failures)}
    rows = [
        [words(error), number(count), number(first[error])]
        for error, count in reasons[:MOST_REASONS]
    ]
    columns = ("reason", "points", "first point")
    table = Table(
        "failure-table", "Reasons", columns, rows, left_out=max(len(reasons) - MOST_REASONS, 0)
    )
    if not rows:
        return Section("failed", "Failed points", ["None."])
    return Section("failed", "Failed points", tables=[table])


def _data(sweep: Sweep) -> dict[str, Any]:
    """Return what sweep.js filters and draws."""
    columns = sweep.columns
    place_of = {column.name: place for place, column in enumerate(columns)}
    return {
        "controls_in": "explore",
        "points": list(sweep.points),
        "front": [int(on) for on in sweep.on_front],
        "feasible": [int(yes) for yes in sweep.feasible],
        "columns": [
            {
                "name": short(column.name, 60),
                "label": figure_text(column.name, 60),
                "numeric": column.numeric,
                "values": [_value(value) for value in column.values],
            }
            for column in columns
        ],
        "axes": [place_of[column.name] for column in sweep.axes],
        "objectives": [place_of[column.name] for column in sweep.objectives],
        "dimensions": [place_of[column.name] for column in _dimensions(sweep)],
    }


def _value(value: Any) -> Any:
    if isinstance(value, float):
        return rounded(value)
    return short(value, 60) if isinstance(value, str) else value
