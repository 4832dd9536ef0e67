"""Two figures of the first pass: where the time of each unit of the weight path went, layer by
layer, and how evenly the lanes ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from azsim.counters import WEIGHT_PATH_UNITS, WHAT_IF, WeightPath
from azsim.errors import ConfigError
from azsim.graph.text import one_line
from azsim.report.figure import plain, save_figure
from azsim.report.layers import longest
from azsim.report.record import RunRecord
from azsim.report.weight_path import layer_spread
from azsim_kernels.isa import STALL_CLASS_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PolyCollection
    from matplotlib.figure import Figure

WIDTH_INCHES = 12.0
MAX_LAYERS, LAYER_INCHES = 20, 0.78
TOP_INCHES, BOTTOM_INCHES = 1.05, 0.6  # title and legend; axis
LEFT, RIGHT = 0.21, 0.66  # of the width
BAR_HEIGHT, GROUP_HEIGHT = 0.13, 0.84  # of the distance between two layers
NAME_CHARACTERS = 30
# Palette of Okabe and Ito (jfly.uni-koeln.de/color), in the order of STALL_CLASS_NAMES.
COLOURS = ("#009E73", "#E69F00", "#D55E00", "#56B4E9", "#DDDDDD")
UNIT_LABELS = ("burst", "FIFO", "decoder", "slots", "lanes", "MACs")
REMARKS = (1.20, 1.34, 1.48, 1.60, 1.72)  # right edges of columns, of the axes' width

MAX_HISTOGRAMS, HISTOGRAM_COLUMNS, HISTOGRAM_INCHES = 12, 4, 2.2
HISTOGRAM_BINS = 24


@dataclass(frozen=True)
class _Group:
    """Bars of one layer, or of several together."""

    name: str
    places: list[int]


def save_weight_path(record: RunRecord, path: Path) -> None:
    """Draw the classes of each unit and layer; the suffix of `path` (.png, .pdf, .svg) is the
    format.

    Raises:
        ConfigError: another suffix, the file cannot be written, or the run has no weight path.
    """
    found = _path_of(record)
    save_figure(lambda: draw_weight_path(record, found), path)


def save_lanes(record: RunRecord, path: Path) -> None:
    """Draw the spread of the lanes' ends; as `save_weight_path`."""
    found = _path_of(record)
    save_figure(lambda: draw_lanes(record, found), path)


def _path_of(record: RunRecord) -> WeightPath:
    if record.weight_path is None:
        raise ConfigError("the run must have been made with its weight path (explain)")
    return record.weight_path


def draw_weight_path(record: RunRecord, path: WeightPath) -> Figure:
    """Return the figure: six stacked bars per layer, and its what-ifs at the right."""
    from matplotlib.figure import Figure

    groups = _groups(record, path)
    height = LAYER_INCHES * len(groups) + TOP_INCHES + BOTTOM_INCHES
    figure = Figure(figsize=(WIDTH_INCHES, height))
    figure.subplots_adjust(LEFT, BOTTOM_INCHES / height, RIGHT, 1 - TOP_INCHES / height)
    axes = figure.subplots()
    title = figure.text(0.008, 1 - 0.18 / height, _title(record, path), fontsize=13, weight="bold",
                        va="top")  # fmt: skip
    plain(title)
    _draw_bars(axes, groups, path)
    for tick in axes.set_yticks(range(len(groups)), [group.name for group in groups]):
        plain(tick.label1)
    axes.set_ylim(len(groups) - 0.45, -0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel("% of the layer's cycles x units")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0, pad=42)
    _head(axes)
    for place, group in enumerate(groups):
        _remark(axes, place, _what_ifs(group, path), "0.2")
    return figure


def _groups(record: RunRecord, path: WeightPath) -> list[_Group]:
    """Whole pass, then the longest layers in model order, then the others together."""
    spans = [int(span) for span in path.spans]
    shown, rest = longest(spans, MAX_LAYERS)
    groups = [_Group("all layers", list(range(len(spans))))]
    groups += [_Group(_short(record.program.layers[p].name), [p]) for p in shown if spans[p]]
    return groups + ([_Group(f"{len(rest)} other layers", rest)] if rest else [])


def _title(record: RunRecord, path: WeightPath) -> str:
    chip = record.chip
    return (
        f"{_short(record.model, 48)} on {chip.name} ({chip.status}): weight path, first pass, "
        f"{path.cycles:,} cycles"
    )


def _short(name: str, characters: int = NAME_CHARACTERS) -> str:
    text = one_line(name)
    return text if len(text) <= characters else "..." + text[3 - characters :]


def _draw_bars(axes: Axes, groups: Sequence[_Group], path: WeightPath) -> None:
    """Six bars per group. All parts of one class are drawn at once: that is ten times as fast."""
    pairs = [(place, number) for place in range(len(groups)) for number in range(len(UNIT_LABELS))]
    step = GROUP_HEIGHT / len(UNIT_LABELS)
    at = [place - GROUP_HEIGHT / 2 + (number + 0.5) * step for place, number in pairs]
    shares = np.array(
        [
            _shares(path.classes[WEIGHT_PATH_UNITS[number]][groups[place].places].sum(axis=0))
            for place, number in pairs
        ]
    )
    begins = np.cumsum(shares, axis=1) - shares
    for stall, (name, colour) in enumerate(zip(STALL_CLASS_NAMES, COLOURS, strict=True)):
        boxes = [
            [(x, y - BAR_HEIGHT / 2), (x + w, y - BAR_HEIGHT / 2), (x + w, y + BAR_HEIGHT / 2),
             (x, y + BAR_HEIGHT / 2)]
            for x, y, w in zip(begins[:, stall], at, shares[:, stall], strict=True)
        ]  # fmt: skip
        axes.add_collection(_boxes(boxes, colour, name))
    for y, (_, number) in zip(at, pairs, strict=True):
        axes.text(
            -0.005, y, UNIT_LABELS[number], ha="right", va="center", fontsize=6.5, color="0.4",
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip


def _boxes(boxes: list[list[tuple[float, float]]], colour: str, name: str) -> PolyCollection:
    from matplotlib.collections import PolyCollection

    return PolyCollection(boxes, facecolors=colour, linewidths=0, label=name)


def _shares(sums: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    shares: npt.NDArray[np.float64] = 100.0 * sums / max(int(sums.sum()), 1)
    return shares


def _head(axes: Axes) -> None:
    """The legend, and the heads of the columns at the right."""
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=5, frameon=False)
    _remark(axes, -0.62, ["cycles", *WHAT_IF], "0.2")
    axes.text(
        REMARKS[-1], -0.86, "cycles left with unlimited", ha="right", va="center", color="0.4",
        transform=axes.get_yaxis_transform(),
    )  # fmt: skip


def _what_ifs(group: _Group, path: WeightPath) -> list[str]:
    """The group's cycles, and the part of them that is left in each what-if."""
    span = int(path.spans[group.places].sum())
    texts = [f"{span:,}"]
    for name in WHAT_IF:
        spans = path.what_if.get(name)
        left = None if spans is None or not span else int(spans[group.places].sum()) / span
        texts.append("-" if left is None else f"{100 * left:.0f} %")
    return texts


def _remark(axes: Axes, place: float, texts: Sequence[str], colour: str) -> None:
    for edge, text in zip(REMARKS, texts, strict=True):
        axes.text(
            edge, place, text, ha="right", va="center", color=colour,
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip


def draw_lanes(record: RunRecord, path: WeightPath) -> Figure:
    """Return the figure: one histogram for each of the layers with the longest products."""
    from matplotlib.figure import Figure

    layers = _layers_with_products(path)
    rows = max(-(-len(layers) // HISTOGRAM_COLUMNS), 1)
    height = HISTOGRAM_INCHES * rows + 0.6
    figure = Figure(figsize=(WIDTH_INCHES, height))
    figure.subplots_adjust(  # by hand: a layout engine would take most of the time
        0.05, 0.5 / height, 0.99, 1 - 1.0 / height, wspace=0.28, hspace=0.75
    )
    title = f"{_title(record, path)}: from the first lane's end to the last's, per tile"
    plain(figure.text(0.008, 1 - 0.15 / height, title, fontsize=11, weight="bold", va="top"))
    shown = figure.subplots(rows, HISTOGRAM_COLUMNS, squeeze=False).ravel()
    for axes in shown[len(layers) :]:
        axes.set_axis_off()
    for axes, layer in zip(shown, layers, strict=False):
        _draw_histogram(axes, _short(record.program.layers[layer].name), path, layer)
    if not layers:
        shown[0].text(0.0, 0.5, "no PRODUCT in this step")
    return figure


def _layers_with_products(path: WeightPath) -> list[int]:
    """The layers whose products take longest, in model order."""
    time = np.bincount(path.lanes.layer, path.lanes.cycles, minlength=len(path.spans))
    chosen = [int(layer) for layer in np.argsort(-time, kind="stable") if time[layer] > 0]
    return sorted(chosen[:MAX_HISTOGRAMS])


def _draw_histogram(axes: Axes, name: str, path: WeightPath, layer: int) -> None:
    from matplotlib.ticker import MaxNLocator

    found = layer_spread(path, layer)
    most = int(found.spread.max())
    step = -(-(most + 1) // HISTOGRAM_BINS)
    edges = np.arange(0, most + 1 + step, step)
    counts, _ = np.histogram(found.spread, edges)
    axes.stairs(counts, edges, fill=True, color="#0072B2")
    mean, time = found.spread.mean(), found.cycles.mean()
    plain(axes.set_title(f"{name}\nmean {mean:,.1f} of {time:,.1f} cycles", fontsize=8, loc="left"))
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(left=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("spread, cycles")
    axes.set_ylabel("tiles")
