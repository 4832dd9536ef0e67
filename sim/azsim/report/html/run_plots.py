"""Figures of a run's layers: time and bounds, stalls, roofline, the weight path, lanes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from azsim.report.html.library import make_figure
from azsim.report.html.parts import Plot, axis_of_names, figure_text, rounded, share
from azsim.report.html.run_data import Layer, PathLayer, PathUnit, Run, WeightPath
from azsim.report.layer_groups import PALETTE
from azsim.report.layers import longest

MOST_LAYERS = 40
CLASSES = ("busy", "starved", "blocked", "waiting", "idle")
CLASS_COLOURS: dict[str, str] = dict(
    zip(CLASSES, ("#009E73", "#D55E00", "#CC79A7", "#E69F00", "#B3B9C0"), strict=True)
)
UNIT_COLOURS = {"memory": "#0072B2", "decoder": "#D55E00", "mac": "#009E73", "vector": "#CC79A7"}
SPAN_COLOUR = "#B3B9C0"
NONE_COLOUR = "#8C8C8C"
Trace = dict[str, Any]


def bar_layout(names: Sequence[str], x_title: str, row_pixels: int = 26) -> dict[str, Any]:
    """Return the layout of horizontal bars with a legend on top."""
    return {
        "height": row_pixels * len(names) + 110,
        "margin": {"l": 20, "r": 10, "t": 40, "b": 45},
        "legend": {"orientation": "h", "y": 1, "yanchor": "bottom", "traceorder": "normal"},
        "xaxis": {"title": {"text": x_title}, "rangemode": "tozero", "automargin": True},
        "yaxis": axis_of_names(names),
    }


def layers_plot(run: Run) -> Plot:
    """Return the cycles of each layer beside the work of each unit, per pass."""
    shown, _ = longest([layer.span_cycles for layer in run.layers], MOST_LAYERS + 1)
    layers = [run.layers[place] for place in shown]
    passes = max(run.passes, 1)
    places = list(range(len(layers)))
    values: dict[str, Sequence[float]] = {
        "memory": [layer.memory_cycles for layer in layers],
        "decoder": [layer.decode_cycles / run.decoder_units for layer in layers],
        "mac": [layer.mac_cycles for layer in layers],
        "vector": [layer.vector_cycles for layer in layers],
    }
    traces = [_bars("span", [layer.span_cycles / passes for layer in layers], places,
                    SPAN_COLOUR, -0.42, 0.84)]  # fmt: skip
    for number, (unit, cycles) in enumerate(values.items()):
        offset = -0.36 + 0.18 * number
        per_pass = [value / passes for value in cycles]
        traces.append(_bars(unit, per_pass, places, UNIT_COLOURS[unit], offset, 0.16))
    layout = bar_layout([layer.name for layer in layers], "cycles per pass", 34)
    return Plot(
        "layers-plot",
        "Cycles per pass. Wide grey bar: the layer's span. Narrow bars: the work of each unit if "
        "nothing held it up (decoders divided by their number). A narrow bar longer than the grey "
        "one is work that ran ahead in the spans before.",
        make_figure(traces, {**layout, "barmode": "overlay"}),
    )


def _bars(
    name: str, values: Sequence[float], places: list[int], colour: str, offset: float, width: float
) -> Trace:
    return {
        "type": "bar", "orientation": "h", "name": name, "x": [rounded(v) for v in values],
        "y": places, "offset": offset, "width": width, "marker": {"color": colour},
        "hovertemplate": "%{x:,.0f} cycles<extra>%{fullData.name}</extra>",
    }  # fmt: skip


def stalls_plot(run: Run) -> Plot:
    """Return the classes of each engine as shares of all cycles."""
    names = list(run.stalls)
    traces = [
        {
            "type": "bar", "orientation": "h", "name": each,
            "x": [rounded(share(run.stalls[name].get(each, 0), run.cycles)) for name in names],
            "y": list(range(len(names))), "marker": {"color": CLASS_COLOURS[each]},
            "customdata": [run.stalls[name].get(each, 0) for name in names],
            "hovertemplate": "%{customdata:,} cycles, %{x:.1f} %<extra>%{fullData.name}</extra>",
        }
        for each in CLASSES
    ]  # fmt: skip
    layout = bar_layout(names, "% of the run's busy time")
    layout["xaxis"]["range"] = [0, 100]
    return Plot(
        "stalls-plot",
        "What each engine did in the whole run. Starved: work is there, input is not. Blocked: no "
        "room for the result. Waiting: the command queue or an order. Idle: nothing left to do.",
        make_figure(traces, {**layout, "barmode": "stack"}),
    )


def roofline_plot(run: Run) -> Plot | None:
    """Return products per cycle over products per DRAM byte; None if the run does not know them."""
    known = [layer for layer in run.layers if layer.products and layer.products_per_cycle]
    points = [layer for layer in known if layer.dram_bytes and layer.span_cycles]
    if not points:
        return None
    bytes_per_cycle = 1000 * run.dram_peak_gb_per_s / run.clock_mhz
    intensity = [_products(layer) / layer.dram_bytes for layer in points]
    peaks = sorted({layer.products_per_cycle or 0 for layer in known})
    knee = peaks[-1] / bytes_per_cycle
    low, high = min([*intensity, knee]) / 2, max([*intensity, knee]) * 3
    traces = [_roof(low, high, peak, bytes_per_cycle) for peak in peaks]
    for unit, colour in {**UNIT_COLOURS, "none": NONE_COLOUR}.items():
        mine = [layer for layer in points if layer.bound_by == unit]
        if mine:
            traces.append(_points(unit, colour, mine))
    layout = {
        "height": 430,
        "margin": {"l": 20, "r": 10, "t": 40, "b": 50},
        "legend": {"orientation": "h", "y": 1, "yanchor": "bottom"},
        "xaxis": {"type": "log", "title": {"text": "products per DRAM byte"}, "dtick": "D2"},
        "yaxis": {
            "type": "log",
            "title": {"text": "products per cycle"},
            "dtick": "D2",
            "automargin": True,
        },
    }
    return Plot(
        "roofline-plot",
        f"Roofline. Lines: {bytes_per_cycle:.4g} bytes per cycle from DRAM at its peak, and the "
        "products per cycle of the whole array at each weight width. Points: layers, coloured by "
        "the unit with the most work. Layers without DRAM bytes are not shown: "
        f"{len(known) - len(points)}.",
        make_figure(traces, layout),
    )


def _products(layer: Layer) -> int:
    return layer.products or 0


def _roof(low: float, high: float, peak: int, bytes_per_cycle: float) -> Trace:
    x = [low, peak / bytes_per_cycle, high]
    return {
        "type": "scatter", "mode": "lines", "name": f"at most {peak:,} per cycle",
        "x": [rounded(value) for value in x],
        "y": [rounded(min(peak, value * bytes_per_cycle)) for value in x],
        "line": {"color": NONE_COLOUR, "width": 2}, "hoverinfo": "skip",
    }  # fmt: skip


def _points(unit: str, colour: str, layers: Sequence[Layer]) -> Trace:
    return {
        "type": "scatter", "mode": "markers", "name": f"bound by {unit}",
        "x": [rounded(_products(layer) / layer.dram_bytes) for layer in layers],
        "y": [rounded(_products(layer) / layer.span_cycles) for layer in layers],
        "text": [figure_text(layer.name, 60) for layer in layers],
        "marker": {"size": 11, "color": colour, "line": {"width": 1, "color": "#ffffff"}},
        "hovertemplate": "%{text}: %{y:.3~g} products per cycle, %{x:.3~g} per DRAM byte"
        "<extra>%{fullData.name}</extra>",
    }  # fmt: skip


def weight_path_plot(path: WeightPath) -> Plot:
    """Return the classes of each unit of the weight path per layer; one unit is shown at a time."""
    shown, _ = longest([layer.span_cycles for layer in path.layers], MOST_LAYERS + 1)
    layers = [path.layers[place] for place in shown]
    traces: list[Trace] = []
    views: dict[str, list[int]] = {}
    for unit in path.units:
        views[unit] = list(range(len(traces), len(traces) + len(CLASSES)))
        rows = [path.units[unit], *(layer.units.get(unit) for layer in layers)]
        traces += [_path_bars(each, rows, visible=len(views) == 1) for each in CLASSES]
    layout = bar_layout(["all layers", *(layer.name for layer in layers)], "% of cycles x units")
    layout["xaxis"]["range"] = [0, 100]
    return Plot(
        "weight-path-plot",
        "First pass, from the DRAM burst to the multipliers: what each unit did while a layer "
        "lasted, in shares of cycles x units.",
        make_figure(traces, {**layout, "barmode": "stack"}),
        views,
    )


def _path_bars(each: str, rows: Sequence[PathUnit | None], visible: bool) -> Trace:
    values = [
        0.0 if row is None else share(getattr(row, each), sum(getattr(row, c) for c in CLASSES))
        for row in rows
    ]
    return {
        "type": "bar", "orientation": "h", "name": each, "x": [rounded(v) for v in values],
        "y": list(range(len(rows))), "marker": {"color": CLASS_COLOURS[each]},
        "hovertemplate": "%{x:.1f} %<extra>%{fullData.name}</extra>", "visible": visible,
    }  # fmt: skip


def lanes_plot(path: WeightPath) -> Plot | None:
    """Return how evenly the lanes ended, per layer with products; None without any."""
    layers = [layer for layer in path.layers if sum(layer.lane_spread_histogram)]
    shown, _ = longest([layer.span_cycles for layer in layers], MOST_LAYERS + 1)
    layers = [layers[place] for place in shown]
    if not layers:
        return None
    heat = {
        "type": "heatmap", "z": [_bins(layer) for layer in layers],
        "x": [f"{10 * low} to {10 * low + 10}" for low in range(10)],
        "y": list(range(len(layers))), "zmin": 0, "zmax": 100, "xgap": 2, "ygap": 2,
        "colorscale": [[0, "#e8eef5"], [1, PALETTE[0]]],
        "colorbar": {"title": {"text": "% of tiles"}, "thickness": 12},
        "hovertemplate": "%{z:.0f} % of tiles: spread %{x} % of their time<extra></extra>",
    }  # fmt: skip
    layout = bar_layout([layer.name for layer in layers], "spread of the lanes, % of a tile's time")
    layout["xaxis"] |= {"type": "category", "fixedrange": True}
    return Plot(
        "lanes-plot",
        "Lanes of the MAC array: per layer, how many tiles ended with which spread, from the end "
        "of the first lane to the end of the last. The array's time is the last lane's.",
        make_figure([heat], layout),
    )


def _bins(layer: PathLayer) -> list[float]:
    whole = sum(layer.lane_spread_histogram)
    return [rounded(share(count, whole)) for count in layer.lane_spread_histogram]
