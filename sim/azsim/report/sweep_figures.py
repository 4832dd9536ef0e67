"""Figures of a sweep: the Pareto front and parallel coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azsim.report.figure import plain, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
ON_FRONT, FEASIBLE = "on_front", "feasible"
_GREY, _LIGHT, _BLUE = "#8c8c8c", "#c9c9c9", "#0b5fa5"
_MOST_TICKS = 12
_CAPTION = "chips az1, az2 and dense are assumptions: compare points, not products"


def save_pareto(rows: Sequence[Row], objectives: Sequence[str], path: Path) -> None:
    """Draw all points over the first two objectives, the front as a line.

    A single objective is drawn over the point's number. Raises ConfigError if `path` cannot be
    written.
    """
    save_figure(lambda: _pareto(rows, objectives), path)


def _pareto(rows: Sequence[Row], objectives: Sequence[str]) -> Figure:
    figure, axes = _new(6.4, 4.4)
    x, y = (objectives[0], objectives[1]) if len(objectives) > 1 else ("point", objectives[0])
    known = [row for row in rows if row.get(x) is not None and row.get(y) is not None]
    for on, feasible, color, label in (
        (False, False, _LIGHT, "a constraint does not hold"),
        (False, True, _GREY, "beaten by another point"),
        (True, True, _BLUE, "on the front"),
    ):
        some = [
            r for r in known if bool(r[ON_FRONT]) == on and (on or bool(r[FEASIBLE]) == feasible)
        ]
        if some:
            axes.scatter([r[x] for r in some], [r[y] for r in some], s=14 if not on else 26,
                         color=color, label=f"{label} ({len(some)})", zorder=2 + on)  # fmt: skip
    front = sorted((r[x], r[y]) for r in known if r[ON_FRONT])
    if len(objectives) == 2 and front:
        axes.plot(*zip(*front, strict=True), color=_BLUE, linewidth=0.9, zorder=2)
    plain(axes.set_xlabel(x))
    plain(axes.set_ylabel(y))
    axes.grid(color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)
    if known:
        axes.legend(frameon=False, loc="best", fontsize=8)
    _caption(figure)
    return figure


def save_parallel(rows: Sequence[Row], columns: Sequence[str], path: Path) -> None:
    """Draw one line per point across `columns`, points on the front in colour.

    Raises ConfigError if `path` cannot be written.
    """
    save_figure(lambda: _parallel(rows, columns), path)


def _parallel(rows: Sequence[Row], columns: Sequence[str]) -> Figure:
    figure, axes = _new(max(6.4, 1.25 * len(columns)), 4.4)
    known = [row for row in rows if all(row.get(name) is not None for name in columns)]
    scales = [_Scale([row[name] for row in known]) for name in columns]
    for row in sorted(known, key=lambda row: bool(row[ON_FRONT])):
        on = bool(row[ON_FRONT])
        heights = [scale.height(row[name]) for scale, name in zip(scales, columns, strict=True)]
        axes.plot(range(len(columns)), heights, color=_BLUE if on else _LIGHT,
                  linewidth=1.3 if on else 0.6, alpha=0.9 if on else 0.5,
                  zorder=2 + on)  # fmt: skip
    for place, scale in enumerate(scales):
        axes.axvline(place, color="#555555", linewidth=0.8, zorder=5)
        for height, text in scale.ticks():
            plain(axes.annotate(text, (place, height), (3, 0), textcoords="offset points",
                                fontsize=7, va="center", zorder=6,
                                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5,
                                      "alpha": 0.8}))  # fmt: skip
    axes.set_xticks(range(len(columns)))
    for label in axes.set_xticklabels([name.replace(".", "\n.") for name in columns], fontsize=7):
        plain(label)
    axes.set_yticks([])
    axes.set_xlim(-0.15, len(columns) - 0.4)
    axes.set_ylim(-0.05, 1.05)
    for side in axes.spines.values():
        side.set_visible(False)
    _caption(figure)
    return figure


class _Scale:
    """Heights (0..1) of the values of one column: numbers by size, words by order."""

    def __init__(self, values: Sequence[Any]) -> None:
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
        self._levels: list[Any] = sorted(set(values)) if numbers else _words(values)
        self._numbers = numbers

    def height(self, value: Any) -> float:
        if len(self._levels) == 1:
            return 0.5
        if not self._numbers:
            return float(self._levels.index(str(value)) / (len(self._levels) - 1))
        low, high = self._levels[0], self._levels[-1]
        return float((value - low) / (high - low))

    def ticks(self) -> list[tuple[float, str]]:
        """At most some levels: all if they are few, else the ends."""
        if not self._levels:
            return []
        few = len(self._levels) <= _MOST_TICKS
        levels = self._levels if few else [self._levels[0], self._levels[-1]]
        shown: list[tuple[float, str]] = []
        for level in levels:
            height = self.height(level)
            if not shown or height - shown[-1][0] > 0.035:
                text = f"{level:g}" if self._numbers and not isinstance(level, int) else str(level)
                shown.append((height, text))
        return shown


def _words(values: Sequence[Any]) -> list[str]:
    """Each word once, in order of appearance."""
    return list(dict.fromkeys(map(str, values)))


def _new(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _caption(figure: Figure) -> None:
    figure.supxlabel(_CAPTION, fontsize=7, color="#555555", x=0.01, ha="left")
