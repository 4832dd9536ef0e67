"""Figure of a run of the shipped nets: real-time factor, cycles against the bound, energy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azsim.report.figure import plain, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
# of the Okabe-Ito palette, which colour-blind readers tell apart
BOUND_COLORS = {
    "memory": "#0072b2", "decoder": "#e69f00", "mac": "#009e73", "vector": "#cc79a7",
}  # fmt: skip
_OTHER = "#999999"
_ROW_INCHES, _REST_INCHES, _WIDTH_INCHES = 0.19, 1.3, 9.0
_PJ_PER_MJ = 1e9
_CAPTION = (
    "random weights and frames; chips az1, az2 and dense are assumptions: compare nets and chips"
    " with one another, not with products"
)


def save_zoo_figure(rows: Sequence[Row], chip: str, path: Path) -> None:
    """Draw one bar per net and figure, nets that could not be run as a remark.

    Raises ConfigError if `path` cannot be written.
    """
    save_figure(lambda: _draw(rows, chip), path)


def _draw(rows: Sequence[Row], chip: str) -> Figure:
    from matplotlib.figure import Figure

    height = _REST_INCHES + _ROW_INCHES * len(rows)
    figure = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
    factor, bound, energy = figure.subplots(1, 3, sharey=True, width_ratios=(3, 2, 3))
    _logarithmic(factor, rows, [row["real_time_factor"] for row in rows])
    factor.set_xlim(right=max(2.0, factor.get_xlim()[1]))
    factor.axvline(1.0, color="#d55e00", linewidth=1.0, zorder=3)
    plain(factor.set_xlabel("compute time / period (1: just keeps up)"))
    _linear(bound, rows)
    plain(bound.set_xlabel("cycles / lower bound"))
    steps_pj = [row["energy_per_step_pj"] for row in rows]
    _logarithmic(energy, rows, [None if pj is None else pj / _PJ_PER_MJ for pj in steps_pj])
    plain(energy.set_xlabel("energy of a step, mJ (with idling)"))
    _names(factor, rows)
    _legend(figure, rows)
    plain(figure.suptitle(f"shipped nets on {chip}", x=0.01, ha="left", fontsize=10))
    figure.supxlabel(_CAPTION, fontsize=7, color="#555555", x=0.01, ha="left")
    return figure


def _names(axes: Axes, rows: Sequence[Row]) -> None:
    axes.set_yticks(range(len(rows)))
    for label in axes.set_yticklabels([row["net"] for row in rows], fontsize=7):
        plain(label)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    for number, row in enumerate(rows):
        if row["cycles"] is None:
            place = axes.get_yaxis_transform()
            axes.text(0.02, number, "failed", transform=place, fontsize=7, va="center")


def _bars(axes: Axes, rows: Sequence[Row], values: Sequence[float | None]) -> None:
    for number, (row, value) in enumerate(zip(rows, values, strict=True)):
        if value is not None:
            axes.barh(number, value, height=0.72, color=_color(row), zorder=2)
    axes.grid(axis="x", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)


def _logarithmic(axes: Axes, rows: Sequence[Row], values: Sequence[float | None]) -> None:
    axes.set_xscale("log")
    _bars(axes, rows, values)
    powers = [math.log10(value) for value in values if value]
    if powers:  # whole decades, so that at least two are labelled
        axes.set_xlim(10.0 ** math.floor(min(powers) - 0.3), 10.0 ** math.ceil(max(powers)))


def _linear(axes: Axes, rows: Sequence[Row]) -> None:
    values = [row["cycles_over_bound"] for row in rows]
    _bars(axes, rows, values)
    top = max((value for value in values if value is not None), default=1.0)
    axes.set_xlim(0, 1.18 * max(top, 1.0))
    for number, value in enumerate(values):
        if value is not None:
            axes.text(value, number, f" {value:.2f}", fontsize=6, va="center")
    axes.axvline(1.0, color="#555555", linewidth=0.8, zorder=3)


def _color(row: Row) -> str:
    return BOUND_COLORS.get(str(row["bound_by"]), _OTHER)


def _legend(figure: Figure, rows: Sequence[Row]) -> None:
    from matplotlib.patches import Patch

    seen = dict.fromkeys(str(row["bound_by"]) for row in rows if row["bound_by"] is not None)
    patches = [
        Patch(color=BOUND_COLORS.get(name, _OTHER), label=f"bound by {name}") for name in seen
    ]
    if patches:
        figure.legend(handles=patches, loc="outside upper right", ncols=len(patches), fontsize=7,
                      frameon=False)  # fmt: skip
