"""The timeline of a run's first step.

Three views: what each engine worked on in the whole step; how full memory, decoders and array were;
and the first tiles, where one sees FETCH, TILE and PRODUCT overlap. Drawn without a display and
without the user's matplotlib settings, so that equal runs give equal files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from azsim.graph.text import one_line
from azsim.report.figure import plain, save_figure
from azsim.report.intervals import (
    NO_TILE,
    StepIntervals,
    first_tiles_end,
    spread,
    step_intervals,
    unit_use,
)
from azsim.report.layer_groups import GREY, PALETTE, LayerGroups, layer_groups
from azsim.report.record import RunRecord
from azsim_kernels import isa

if TYPE_CHECKING:  # loaded when a figure is drawn: it takes longer to load than everything else
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRACK_INCHES = 0.72
MAX_TRACKS_INCHES = 16.0
TRACK_BINS = 1200
CURVE_BINS = 200
TRACK_HEIGHT = 0.82
ZOOM_TILES = 20
# Shares of the width: what is narrower gets no name, no line, no label.
LABEL_WIDTH, LINE_WIDTH, NUMBER_WIDTH, OPCODE_WIDTH = 0.04, 0.004, 0.01, 0.05
LABEL_CHARACTERS = 24
USE_COLOURS = {"DRAM bus": "#0072B2", "decoders": "#D55E00", "MAC array": "#009E73"}


def save_timeline(record: RunRecord, path: Path) -> None:
    """Draw the first step of `record`; the suffix of `path` (.png, .pdf, .svg) is the format.

    Raises:
        ConfigError: another suffix, or the file cannot be written.
    """
    save_figure(lambda: draw_timeline(record), path)


def draw_timeline(record: RunRecord) -> Figure:
    """Return the figure, 14 inches wide and as high as the engines need."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    steps = step_intervals(record)
    tracks_inches = min(TRACK_INCHES * len(steps.names), MAX_TRACKS_INCHES)
    layout = ConstrainedLayoutEngine(h_pad=0.09)
    figure = Figure(figsize=(14, tracks_inches + 4.2), layout=layout)
    heights = [tracks_inches / 2, 1.9, tracks_inches / 2]
    whole, use, zoom = figure.subplots(3, 1, height_ratios=heights)
    plain(figure.suptitle(_title(record), x=0.008, ha="left", fontsize=13, fontweight="bold"))
    _draw_whole(whole, layer_groups(record.program.layers), steps)
    _draw_use(use, record, steps)
    _draw_zoom(zoom, steps)
    return figure


def _title(record: RunRecord) -> str:
    chip = record.chip
    cycles = int(record.counters.step_cycles[0]) if record.counters.frames else 0
    return (
        f"{_short(record.model, 48)} on {chip.name} ({chip.status}): first step, "
        f"{cycles:,} cycles = {cycles * record.cycle_ms:.3f} ms at {chip.core.clock_mhz} MHz"
    )


def _short(name: str, characters: int) -> str:
    text = one_line(name)
    return text if len(text) <= characters else "..." + text[3 - characters :]


def _caption(axes: Axes, text: str, y: float = 1.0) -> None:
    axes.set_title(text, loc="left", fontsize=9, color="0.3", y=y)


def _draw_whole(axes: Axes, groups: LayerGroups, steps: StepIntervals) -> None:
    """One track per engine. Groups of one colour are drawn at once: their number stays small."""
    edges = np.linspace(0, steps.cycles, TRACK_BINS + 1)
    colour = groups.colour_numbers()[steps.layer]
    for track in range(len(steps.names)):
        floor = np.full(TRACK_BINS, track + 1.0)
        for number in np.unique(colour[steps.engine == track]):
            mine = steps.chosen((steps.engine == track) & (colour == number))
            share = spread(mine, (mine.free - mine.start).astype(np.float64), edges)
            top = floor - TRACK_HEIGHT * share / np.diff(edges)
            axes.fill_between(  # stairs() would take ten times as long
                edges, [*top, top[-1]], [*floor, floor[-1]], step="post",
                color=(*PALETTE, GREY)[number], linewidth=0,
            )  # fmt: skip
            floor = top
    _name_tracks(axes, steps.names)
    _label_groups(axes, groups, steps)
    _caption(
        axes,
        "Whole step. Height: share of the time in which a command runs. "
        "Colour: layers; a dashed line is where they end. Grey: inputs and outputs.",
        y=1.075,
    )
    _time_axis(axes, steps.cycles)
    axes.tick_params(labelbottom=False)


def _time_axis(axes: Axes, end: int) -> None:
    axes.set_xlim(0, end)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.spines[["top", "right"]].set_visible(False)


def _name_tracks(axes: Axes, names: tuple[str, ...]) -> None:
    """Track n stands on the line n + 1; the first is on top."""
    axes.set_yticks(np.arange(len(names)) + 1 - TRACK_HEIGHT / 2, names)
    axes.set_ylim(len(names) + 0.1, 0)
    axes.tick_params(axis="y", length=0)
    axes.hlines(
        np.arange(1, len(names) + 1), 0, 1, color="0.85", linewidth=0.6, zorder=0,
        transform=axes.get_yaxis_transform(),
    )  # fmt: skip


def _label_groups(axes: Axes, groups: LayerGroups, steps: StepIntervals) -> None:
    """Mark where each group's last command ends, and name the groups that are wide enough."""
    group_of, begin = groups.of_layer[steps.layer], 0
    for group, name in enumerate(groups.names):
        end = int(steps.free[group_of == group].max(initial=begin))
        width = (end - begin) / steps.cycles
        if width >= LINE_WIDTH:
            axes.axvline(end, color="0.3", linewidth=0.8, linestyle=(0, (4, 3)))
        if width >= LABEL_WIDTH:
            label = axes.text(
                (begin + end) / 2, 1.015, _short(name, LABEL_CHARACTERS), ha="center", va="bottom",
                color=groups.colour(group), fontweight="bold",
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip
            plain(label)
        begin = end


def _draw_use(axes: Axes, record: RunRecord, steps: StepIntervals) -> None:
    edges = np.linspace(0, steps.cycles, CURVE_BINS + 1)
    for name, share in unit_use(record, steps, edges).items():
        axes.stairs(
            100 * share, edges, baseline=None, label=name, color=USE_COLOURS[name], linewidth=1.5
        )
    axes.set_ylim(0, 104)
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.set_ylabel("% used")
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=3, frameon=False)
    _caption(
        axes,
        "Use. DRAM bus: share of its peak rate. Decoders: share of their full rate, all units. "
        "MAC array: share of the time with a PRODUCT.",
    )
    _time_axis(axes, steps.cycles)


def _draw_zoom(axes: Axes, steps: StepIntervals) -> None:
    """Every command up to the end of the first tiles; a tile keeps number and colour on its way."""
    end = first_tiles_end(steps, ZOOM_TILES)
    shown = steps.chosen(steps.start < end)
    colours = np.array([*PALETTE, GREY])
    number = np.where(shown.tile == NO_TILE, len(PALETTE), shown.tile % len(PALETTE))
    for track in range(len(steps.names)):
        mine = shown.engine == track
        width = np.maximum(shown.free - shown.start, 1)
        axes.broken_barh(
            list(zip(shown.start[mine], width[mine], strict=True)),
            (track + 1 - TRACK_HEIGHT, TRACK_HEIGHT),
            facecolors=colours[number[mine]],
            edgecolor="white",
            linewidth=0.6,
        )
    _label_commands(axes, shown, end)
    _name_tracks(axes, steps.names)
    _caption(
        axes,
        f"The first {ZOOM_TILES} tiles. The FETCH, TILE and PRODUCT of a tile share one number "
        "and colour. Grey: commands without a tile.",
    )
    _time_axis(axes, end)
    axes.set_xlabel("cycle")


def _label_commands(axes: Axes, shown: StepIntervals, end: int) -> None:
    inside = np.minimum(shown.free, end) - shown.start
    wide = inside >= np.where(shown.tile == NO_TILE, OPCODE_WIDTH, NUMBER_WIDTH) * end
    for index in np.flatnonzero(wide):
        tile = int(shown.tile[index])
        axes.text(
            shown.start[index] + inside[index] / 2,
            shown.engine[index] + 1 - TRACK_HEIGHT / 2,
            isa.OPCODE_NAMES[shown.opcode[index]] if tile == NO_TILE else str(tile),
            color="white", ha="center", va="center", fontsize=7.5,
        )  # fmt: skip
