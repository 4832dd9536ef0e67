"""The figure of a run's layers: the work of each unit beside the time that passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from azsim.graph.text import one_line
from azsim.report.figure import plain, save_figure
from azsim.report.layers import LayerRow, UnitWork, layer_rows, longest, run_work
from azsim.report.record import RunRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES = 12.0
MAX_LAYERS = 60
LAYER_INCHES = ((8, 0.62), (24, 0.38), (MAX_LAYERS, 0.3))  # up to so many layers, height of each
WHOLE_INCHES = 0.95
FRAME_INCHES = 2.1  # titles, axes and space
NAME_CHARACTERS = 34
SPAN_HEIGHT, WORK_HEIGHT = 0.92, 0.76
SHARE_PLACE, BOUND_PLACE = 1.06, 1.07  # of the axes' width
SPAN_COLOUR = "#DDDDDD"
# Palette of Okabe and Ito (jfly.uni-koeln.de/color); the units as in the timeline.
UNITS = ("memory", "decoders", "MAC array", "vector unit")
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


@dataclass(frozen=True)
class Bars:
    """One group of bars, in cycles per pass: the span, and the work of each of `UNITS`."""

    name: str
    span: float
    work: tuple[float, float, float, float]


def save_layers(record: RunRecord, path: Path) -> None:
    """Draw the layers of `record`; the suffix of `path` (.png, .pdf, .svg) is the format.

    Raises:
        ConfigError: another suffix, or the file cannot be written.
    """
    save_figure(lambda: draw_layers(record), path)


def draw_layers(record: RunRecord) -> Figure:
    """Return the figure, as high as the layers need."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layers, whole = layer_bars(record), whole_bars(record)
    each = next(inches for most, inches in LAYER_INCHES if len(layers) <= most)
    layers_inches = each * max(len(layers), 2)
    size = (WIDTH_INCHES, layers_inches + WHOLE_INCHES + FRAME_INCHES)
    figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.08))
    top, below = figure.subplots(2, 1, height_ratios=[WHOLE_INCHES, layers_inches])
    title = figure.suptitle(_title(record), x=0.008, ha="left", fontsize=13, fontweight="bold")
    plain(title)
    _draw(top, [whole], whole.span)
    _draw(below, layers, whole.span)
    _legend(top)
    _remark(top, -0.78, "share", "bound by")
    below.set_title("Layers", loc="left", fontsize=9, color="0.3")
    below.set_xlabel("cycles per pass")
    return figure


def layer_bars(record: RunRecord) -> list[Bars]:
    """Return the bars of the longest layers in model order; the rest is one group at the end."""
    rows, passes = layer_rows(record), max(record.counters.frames, 1)
    shown, rest = longest([row.counters.span_cycles for row in rows], MAX_LAYERS)
    bars = [_bars(_name(rows[place].info.name), [rows[place]], passes) for place in shown]
    if rest:
        bars.append(_bars(f"{len(rest)} other layers", [rows[place] for place in rest], passes))
    return bars


def whole_bars(record: RunRecord) -> Bars:
    """Return the bars of the whole pass."""
    passes = max(record.counters.frames, 1)
    return Bars("all layers", record.counters.cycles / passes, _work(run_work(record), passes))


def _bars(name: str, rows: Sequence[LayerRow], passes: int) -> Bars:
    parts = [_work(row.work, passes) for row in rows]
    memory, decoders, mac, vector = (sum(unit) for unit in zip(*parts, strict=True))
    span = sum(row.counters.span_cycles for row in rows) / passes
    return Bars(name, span, (memory, decoders, mac, vector))


def _work(work: UnitWork, passes: int) -> tuple[float, float, float, float]:
    decoders = work.decode_cycles / work.units
    return (
        work.memory_cycles / passes,
        decoders / passes,
        work.mac_cycles / passes,
        work.vector_cycles / passes,
    )


def _title(record: RunRecord) -> str:
    chip = record.chip
    passes = max(record.counters.frames, 1)
    cycles = record.counters.cycles / passes
    return (
        f"{one_line(record.model)} on {chip.name} ({chip.status}): mean pass {cycles:,.0f} cycles"
        f" = {cycles * record.cycle_ms:.4g} ms at {chip.core.clock_mhz} MHz"
    )


def _name(name: str) -> str:
    text = one_line(name)
    return text if len(text) <= NAME_CHARACTERS else "..." + text[3 - NAME_CHARACTERS :]


def _draw(axes: Axes, groups: Sequence[Bars], whole: float) -> None:
    """One row per group: a wide grey bar for the span, four narrow ones for the work before it."""
    places = list(range(len(groups)))
    spans = [group.span for group in groups]
    axes.barh(places, spans, SPAN_HEIGHT, color=SPAN_COLOUR, label="time that passed")
    height = WORK_HEIGHT / len(UNITS)
    for unit, (label, colour) in enumerate(zip(UNITS, COLOURS, strict=True)):
        at = [place - WORK_HEIGHT / 2 + (unit + 0.5) * height for place in places]
        work = [group.work[unit] for group in groups]
        axes.barh(at, work, height, color=colour, label=label, linewidth=0)
    for tick in axes.set_yticks(places, [group.name for group in groups]):
        plain(tick.label1)
    most = max((max(group.span, *group.work) for group in groups), default=0.0) or 1.0
    axes.set_xlim(0, 1.005 * most)
    axes.set_ylim(len(groups) - 0.4, -0.6)
    for place, group in zip(places, groups, strict=True):
        _remark(axes, place, _share(group, whole), _bound(group))
    _frame(axes)


def _remark(axes: Axes, place: float, share: str, bound: str) -> None:
    """Write a row of the two columns at the right edge."""
    beside = axes.get_yaxis_transform()
    axes.text(SHARE_PLACE, place, share, ha="right", va="center", color="0.3", transform=beside)
    axes.text(BOUND_PLACE, place, bound, va="center", color="0.3", transform=beside)


def _share(group: Bars, whole: float) -> str:
    return f"{100 * group.span / whole:.1f} %" if whole else "-"


def _bound(group: Bars) -> str:
    most = max(group.work)
    return UNITS[group.work.index(most)] if most else "-"


def _frame(axes: Axes) -> None:
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)


def _legend(axes: Axes) -> None:
    axes.set_title(
        "Whole pass. Grey: time that passed. Colours: cycles that each unit needs if nothing holds"
        " it up.",
        loc="left", fontsize=9, color="0.3", y=1.28,
    )  # fmt: skip
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=5, frameon=False)
