"""The timeline of a run's first step: what each engine worked on, and how full memory, decoders and array were.

Three views: the whole step, the use of the three shared units, and the first tiles, where one sees FETCH, TILE and
PRODUCT overlap. Drawn without a display and without the user's matplotlib settings: equal runs give equal files.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from azsim.errors import ConfigError
from azsim.graph.text import one_line
from azsim.report.atomic import replaced_file
from azsim.report.intervals import NO_TILE, StepIntervals, spread, step_intervals, unit_use
from azsim.report.layer_groups import GREY, PALETTE, LayerGroups, layer_groups
from azsim.report.record import RunRecord
from azsim_kernels import isa

if TYPE_CHECKING:  # loaded when a figure is drawn: it takes longer to load than everything else
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("png", "pdf", "svg")
DOTS_PER_INCH = 130
TRACK_BINS = 1200
CURVE_BINS = 200
TRACK_HEIGHT = 0.82
ZOOM_TILES = 20
LABEL_WIDTH = 0.04  # of the step: a shorter group of layers has no room for its name
LABEL_CHARACTERS = 24
USE_COLOURS = {"DRAM bus": "#0072B2", "decoders": "#D55E00", "MAC array": "#009E73"}


def save_timeline(record: RunRecord, path: Path) -> None:
    """Draw the first step of `record`; the suffix of `path` (.png, .pdf, .svg) is the format.

    Raises:
        ConfigError: another suffix, or the file cannot be written.
    """
    kind = path.suffix.lower().lstrip(".")
    if kind not in FORMATS:
        raise ConfigError(f"{path}: must end in .png, .pdf or .svg")
    import matplotlib

    undated: dict[str, Any] = {
        "png": {"Software": None},
        "pdf": {"CreationDate": None},
        "svg": {"Date": None},
    }
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"font.size": 9, "svg.hashsalt": "azsim"})
        figure = draw_timeline(record)
        with replaced_file(path) as temporary:
            figure.savefig(temporary, format=kind, dpi=DOTS_PER_INCH, metadata=undated[kind])


def draw_timeline(record: RunRecord) -> Figure:
    """Return the figure, 14 inches wide and as high as the engines need."""
    from matplotlib.figure import Figure

    steps = step_intervals(record)
    tracks = len(steps.names)
    figure = Figure(figsize=(14, 4.0 + 0.72 * tracks), layout="constrained")
    whole, use, zoom = figure.subplots(3, 1, height_ratios=[tracks, 4, tracks])
    _plain(figure.suptitle(_title(record), x=0.01, ha="left", fontsize=13, fontweight="bold"))
    _draw_whole(whole, layer_groups(record.program.layers), steps)
    _draw_use(use, record, steps)
    _draw_zoom(zoom, steps)
    for axes in (whole, use, zoom):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _plain(text: Any) -> None:
    """Show a name as it is: '$' in it starts no formula."""
    text.set_parse_math(False)


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


def _draw_whole(axes: Axes, groups: LayerGroups, steps: StepIntervals) -> None:
    """One track per engine; height: share of the time in which a command runs; colour: layers."""
    edges = np.linspace(0, steps.cycles, TRACK_BINS + 1)
    group_of = groups.of_layer[steps.layer]
    for track in range(len(steps.names)):
        floor = np.full(TRACK_BINS, track + 1.0)
        for group in np.unique(group_of[steps.engine == track]):
            mine = steps.chosen((steps.engine == track) & (group_of == group))
            amount = (mine.free - mine.start).astype(np.float64)
            share = spread(mine, amount, edges) / np.diff(edges)
            top = floor - TRACK_HEIGHT * share
            axes.stairs(
                top, edges, baseline=floor, fill=True, color=groups.colour(group), linewidth=0
            )
            floor = top
    _name_tracks(axes, steps.names)
    _label_groups(axes, groups, steps)
    axes.set_xlim(0, steps.cycles)
    axes.tick_params(labelbottom=False)


def _name_tracks(axes: Axes, names: tuple[str, ...]) -> None:
    """Track n stands on the line n + 1; the first is on top."""
    axes.set_yticks(np.arange(len(names)) + 1 - TRACK_HEIGHT / 2, names)
    axes.set_ylim(len(names) + 0.1, 0)
    axes.tick_params(axis="y", length=0)
    for line in range(1, len(names) + 1):
        axes.axhline(line, color="0.85", linewidth=0.6, zorder=0)


def _label_groups(axes: Axes, groups: LayerGroups, steps: StepIntervals) -> None:
    """Mark where each group's last command ends, and name the groups that are wide enough."""
    begin = 0
    for group, name in enumerate(groups.names):
        mine = groups.of_layer[steps.layer] == group
        end = int(steps.free[mine].max(initial=begin))
        if end > begin:
            axes.axvline(end, color="0.3", linewidth=0.8, linestyle=(0, (4, 3)))
        if end - begin >= LABEL_WIDTH * steps.cycles:
            label = axes.text(
                (begin + end) / 2, 1.02, _short(name, LABEL_CHARACTERS), ha="center", va="bottom",
                color=groups.colour(group), fontweight="bold",
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip
            _plain(label)
        begin = end


def _draw_use(axes: Axes, record: RunRecord, steps: StepIntervals) -> None:
    edges = np.linspace(0, steps.cycles, CURVE_BINS + 1)
    for name, share in unit_use(record, steps, edges).items():
        axes.stairs(100 * share, edges, label=name, color=USE_COLOURS[name], linewidth=1.4)
    axes.set_xlim(0, steps.cycles)
    axes.set_ylim(0, 108)
    axes.set_ylabel("% of capacity")
    axes.set_xlabel("cycle")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y", color="0.9", linewidth=0.6)
    axes.legend(loc="lower right", ncols=3, framealpha=0.9)


def _draw_zoom(axes: Axes, steps: StepIntervals) -> None:
    """Every command up to the end of the first tiles; a tile keeps its colour and number on its way."""
    end = _zoom_end(steps)
    shown = steps.chosen(steps.start < end)
    for engine, tile, start, free, opcode in zip(
        shown.engine, shown.tile, shown.start, shown.free, shown.opcode, strict=True
    ):
        colour = GREY if tile == NO_TILE else PALETTE[tile % len(PALETTE)]
        width = max(int(free - start), 1)
        bar = (engine + 1 - TRACK_HEIGHT, TRACK_HEIGHT)
        axes.broken_barh([(start, width)], bar, facecolor=colour, edgecolor="white", linewidth=0.5)
        inside = min(int(free), end) - int(start)
        if inside >= 0.012 * end:
            label = isa.OPCODE_NAMES[opcode] if tile == NO_TILE else str(tile)
            if tile != NO_TILE or inside >= 0.05 * end:
                axes.text(
                    start + inside / 2, engine + 1 - TRACK_HEIGHT / 2, label, color="white",
                    ha="center", va="center", fontsize=8, clip_on=True,
                )  # fmt: skip
    _name_tracks(axes, steps.names)
    axes.set_xlim(0, end)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.set_xlabel("cycle")
    axes.set_title(
        "the first tiles: a tile's FETCH, TILE and PRODUCT have one number and colour; grey: no tile",
        loc="left", fontsize=9,
    )  # fmt: skip


def _zoom_end(steps: StepIntervals) -> int:
    """End of the last PRODUCT of the first tiles; the whole step if there are fewer."""
    early = (steps.tile != NO_TILE) & (steps.tile < ZOOM_TILES)
    return int(steps.free[early].max(initial=0)) or steps.cycles
