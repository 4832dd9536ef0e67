"""Figures of the energy of a frame, by component and by layer, with ranges."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from azsim.report.html.library import make_figure
from azsim.report.html.parts import Plot, axis_of_names, rounded
from azsim.report.html.run_data import Energy, Run, Spread
from azsim.report.layers import longest

PJ_PER_UJ = 1e6
MOST_PLACES = 40
BAR_COLOUR, RANGE_COLOUR = "#0072B2", "#8C8C8C"


def energy_plots(run: Run) -> tuple[Plot, Plot]:
    """Return the energy of a frame by component and by layer, both with ranges."""
    frames = max(run.frames, 1)
    components = _sorted({name: _uj(pj, frames) for name, pj in run.energy.components.items()})
    by_component = Plot(
        "energy-components",
        "Energy of a frame by component, in µJ. Bars are nominal; whiskers go from the lowest to "
        "the highest sum that the sources of the energy table allow.",
        _figure(components),
    )
    by_layer = Plot(
        "energy-layers",
        "The same by layer, and what belongs to none: the time between frames among it.",
        _figure(_places(run.energy, frames)),
    )
    return by_component, by_layer


def _figure(rows: Sequence[tuple[str, tuple[float, float, float]]]) -> dict[str, Any]:
    layout = {
        "height": 28 * len(rows) + 80,
        "margin": {"l": 20, "r": 10, "t": 10, "b": 45},
        "showlegend": False,
        "xaxis": {"title": {"text": "µJ per frame"}, "automargin": True, "rangemode": "tozero"},
        "yaxis": axis_of_names([name for name, _ in rows]),
    }
    return make_figure([_bars(rows)], layout)


def _uj(pj: Spread, frames: int) -> tuple[float, float, float]:
    scale = PJ_PER_UJ * frames
    return pj.nominal / scale, pj.low / scale, pj.high / scale


def _sorted(values: dict[str, Any]) -> list[tuple[str, tuple[float, float, float]]]:
    return sorted(values.items(), key=lambda item: -item[1][0])


def _places(energy: Energy, frames: int) -> list[tuple[str, tuple[float, float, float]]]:
    sizes = [round(place.total_pj.nominal) for place in energy.layers]
    shown, _ = longest(sizes, MOST_PLACES + 1)
    places = [energy.layers[number] for number in shown]
    return [(place.name, _uj(place.total_pj, frames)) for place in places]


def _bars(rows: Sequence[tuple[str, tuple[float, float, float]]]) -> dict[str, Any]:
    values = [value for _, value in rows]
    return {
        "type": "bar", "orientation": "h",
        "x": [rounded(nominal) for nominal, _, _ in values], "y": list(range(len(rows))),
        "marker": {"color": BAR_COLOUR},
        "error_x": {
            "type": "data", "symmetric": False, "color": RANGE_COLOUR, "thickness": 2,
            "array": [rounded(max(high - nominal, 0)) for nominal, _, high in values],
            "arrayminus": [rounded(max(nominal - low, 0)) for nominal, low, _ in values],
        },
        "customdata": [[rounded(low), rounded(high)] for _, low, high in values],
        "hovertemplate": "%{x:.4~g} µJ (%{customdata[0]:.4~g} to %{customdata[1]:.4~g})"
        "<extra></extra>",
    }  # fmt: skip
