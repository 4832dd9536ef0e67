"""Figures of the first step: who worked when, how full the units were, and the first tiles."""

from __future__ import annotations

from typing import Any

from azsim.report.html.library import make_figure
from azsim.report.html.parts import Plot, figure_text, rounded
from azsim.report.html.run_data import Timeline, Track
from azsim.report.layer_groups import GREY, PALETTE

TRACK_PIXELS, USE_PIXELS, ROW_PIXELS = 46, 120, 30
TEXT_ON = {PALETTE[0]: "#ffffff"}  # contrast 4.5 at least; black on the others
USE_COLOURS = {"DRAM bus": "#0072B2", "decoders": "#D55E00", "MAC array": "#009E73"}


def timeline_plots(timeline: Timeline) -> tuple[Plot, ...]:
    """Return the figures of the first step."""
    whole = Plot(
        "timeline",
        "First step. Per engine, height is the share of the time in which a command runs and "
        "colour tells neighbouring groups of layers apart (grey: inputs and outputs); on top, how "
        "much of the DRAM bus, the decoders and the MAC array was used.",
        _whole(timeline),
        zoom=True,
    )
    tiles = Plot(
        "tiles",
        "The way of the first tiles: FETCH, TILE and PRODUCT of one tile share number and colour. "
        "Where they lie above one another, transfer, decoding and multiplication overlap.",
        _tiles(timeline),
        zoom=True,
    )
    return whole, tiles


def _whole(timeline: Timeline) -> dict[str, Any]:
    engines = timeline.engines
    height = USE_PIXELS + TRACK_PIXELS * len(engines)
    floor = TRACK_PIXELS * len(engines) / height
    layout: dict[str, Any] = {
        "height": height + 90,
        "margin": {"l": 20, "r": 10, "t": 34, "b": 40},
        "xaxis": {"range": [0, timeline.cycles], "title": {"text": "cycle"}, "anchor": "free",
                  "position": 0, "separatethousands": True},
        "yaxis": {"domain": [floor + 0.04, 1], "range": [0, 104], "fixedrange": True,
                  "title": {"text": "% used"}, "automargin": True},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "traceorder": "normal"},
        "hovermode": "closest",
    }  # fmt: skip
    for engine, name in enumerate(engines):
        top = floor * (1 - engine / len(engines))
        layout[f"yaxis{engine + 2}"] = {
            "domain": [top - 0.86 * floor / len(engines), top],
            "range": [0, 100], "fixedrange": True, "showgrid": False, "tickvals": [50],
            "ticktext": [name], "ticks": "", "automargin": True, "zeroline": True,
        }  # fmt: skip
    traces = [_use(timeline, name, values) for name, values in timeline.use.items()]
    for engine in range(len(engines)):
        traces += _engine(timeline, engine)
    return make_figure(traces, layout)


def _use(timeline: Timeline, name: str, values: list[float]) -> dict[str, Any]:
    return {
        "type": "scatter", "mode": "lines", "name": figure_text(name),
        "x0": 0, "dx": timeline.cycles / timeline.slices,
        "y": [rounded(100 * value, 4) for value in values],
        "line": {"shape": "hv", "width": 1.5, "color": USE_COLOURS.get(name, GREY)},
        "hovertemplate": "cycle %{x:,.0f}: %{y:.0f} %<extra>%{fullData.name}</extra>",
    }  # fmt: skip


def _engine(timeline: Timeline, engine: int) -> list[dict[str, Any]]:
    """Return the areas of one engine: groups of one colour are one area, so that they stay few."""
    tracks = [track for track in timeline.tracks if track.engine == engine]
    by_colour: dict[int, list[Track]] = {}
    for track in tracks:
        number = len(PALETTE) if track.group < 0 else track.group % len(PALETTE)
        by_colour.setdefault(number, []).append(track)
    return [_area(timeline, engine, number, mine) for number, mine in sorted(by_colour.items())]


def _area(timeline: Timeline, engine: int, colour: int, tracks: list[Track]) -> dict[str, Any]:
    width = timeline.cycles / timeline.slices
    heights = [0.0] * timeline.slices
    names = [""] * timeline.slices
    for track in tracks:
        name = figure_text(timeline.groups[track.group]) if track.group >= 0 else "transfers"
        for place, busy in enumerate(track.busy_cycles, track.first_slice):
            heights[place] += rounded(100 * busy / width, 4)
            names[place] = name if busy else names[place]
    return {
        "type": "scatter", "mode": "lines", "stackgroup": str(engine), "yaxis": f"y{engine + 2}",
        "x0": 0, "dx": rounded(width, 9), "y": heights, "text": names,
        "line": {"shape": "hv", "width": 0}, "fillcolor": (*PALETTE, GREY)[colour],
        "showlegend": False, "name": figure_text(timeline.engines[engine]),
        "hovertemplate": "%{text}, cycle %{x:,.0f}: %{y:.0f} %<extra>%{fullData.name}</extra>",
    }  # fmt: skip


def _tiles(timeline: Timeline) -> dict[str, Any]:
    commands = timeline.first_tiles.commands
    colours = [GREY if tile < 0 else PALETTE[tile % len(PALETTE)] for *_, tile, _, _ in commands]
    bars = {
        "type": "bar", "orientation": "h", "width": 0.84, "showlegend": False,
        "y": [engine for engine, *_ in commands],
        "base": [start for *_, start, _ in commands],
        "x": [max(free - start, 1) for *_, start, free in commands],
        "text": ["" if tile < 0 else str(tile) for *_, tile, _, _ in commands],
        "textposition": "inside", "insidetextanchor": "middle", "textangle": 0,
        "textfont": {"color": [TEXT_ON.get(each, "#000000") for each in colours], "size": 11},
        "marker": {"color": colours, "line": {"color": "#ffffff", "width": 0.6}},
        "customdata": [
            [figure_text(opcode), "" if tile < 0 else f"tile {tile}, ", start, free]
            for _, opcode, _, tile, start, free in commands
        ],
        "hovertemplate": "%{customdata[0]}: %{customdata[1]}cycles %{customdata[2]:,} to "
        "%{customdata[3]:,}<extra></extra>",
    }  # fmt: skip
    names = timeline.engines
    layout = {
        "height": ROW_PIXELS * len(names) + 70,
        "barmode": "overlay",
        "margin": {"l": 20, "r": 10, "t": 10, "b": 40},
        "uniformtext": {"minsize": 9, "mode": "hide"},
        "xaxis": {"range": [0, timeline.first_tiles.cycles], "title": {"text": "cycle"},
                  "separatethousands": True},
        "yaxis": {"tickvals": list(range(len(names))),
                  "ticktext": [figure_text(name) for name in names],
                  "range": [len(names) - 0.4, -0.6], "fixedrange": True, "automargin": True,
                  "showgrid": False, "zeroline": False},
    }  # fmt: skip
    return make_figure([bars], layout)
