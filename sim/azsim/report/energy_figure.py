"""The figure of a run's energy: components stacked, with the range of the sum."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from azsim.energy.amounts import Amount, total
from azsim.graph.text import one_line
from azsim.report.energy import cpu_energy
from azsim.report.figure import plain, save_figure
from azsim.report.layers import longest
from azsim.report.record import RunRecord

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES = 12.0
MAX_ROWS = 40
ROW_INCHES, WHOLE_INCHES, FRAME_INCHES = 0.3, 1.0, 2.5
NAME_CHARACTERS, TITLE_CHARACTERS = 34, 150
FJ_PER_UJ = 1e9
# Okabe and Ito's palette (jfly.uni-koeln.de/color), each also in a lighter tone.
COLOURS = {
    "dram": "#0072B2",
    "weight_store": "#56B4E9",
    "decoder": "#D55E00",
    "wbuf": "#E69F00",
    "mac_array": "#009E73",
    "accumulators": "#7FCDB8",
    "abuf": "#F0E442",
    "vector": "#CC79A7",
    "sequencer": "#8C8C8C",
    "leakage": "#3C3C3C",
}
CPU_COLOURS = {"products": "#BBBBBB", "dram (CPU)": "#80B8D8"}
OTHER_COLOUR = "#DDAA99"


@dataclass(frozen=True)
class EnergyBar:
    """A row of the figure in microjoules per frame: parts by component, and the sum's range."""

    name: str
    parts: Mapping[str, float]
    low: float
    high: float

    @property
    def nominal(self) -> float:
        """Sum of the parts."""
        return sum(self.parts.values())


def save_energy(record: RunRecord, path: Path) -> None:
    """Draw the energy of `record`; the suffix of `path` (.png, .pdf, .svg) is the format.

    Raises:
        ConfigError: another suffix, or the file cannot be written.
    """
    save_figure(lambda: draw_energy(record), path)


def draw_energy(record: RunRecord) -> Figure:
    """Return the figure, as high as the layers need."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    whole, rows = whole_bars(record), place_bars(record)
    height = ROW_INCHES * max(len(rows), 3)
    figure = Figure(
        figsize=(WIDTH_INCHES, WHOLE_INCHES + height + FRAME_INCHES),
        layout=ConstrainedLayoutEngine(h_pad=0.08),
    )
    top, below = figure.subplots(2, 1, height_ratios=[WHOLE_INCHES, height])
    title = figure.suptitle(_title(record), x=0.008, ha="left", fontsize=13, fontweight="bold")
    plain(title)
    _draw(top, whole)
    _draw(below, rows)
    assumption = textwrap.fill(f"A frame. CPU {cpu_energy(record).assumption}", TITLE_CHARACTERS)
    top.set_title(assumption, loc="left", fontsize=8)
    below.set_title("Layers, and the time between frames", loc="left", fontsize=9, color="0.3")
    below.set_xlabel("µJ per frame; bars nominal, whiskers from the lowest to the highest sum")
    _legend(top, below)
    return figure


def whole_bars(record: RunRecord) -> list[EnergyBar]:
    """Return the bars of a whole frame: the chip, and the CPU beside it."""
    cpu = cpu_energy(record)
    parts = {"products": cpu.products_fj, "dram (CPU)": cpu.dram_fj + cpu.background_fj}
    frames = max(record.frames, 1)
    chip = _bar(record.chip.name, record.energy.components, frames)
    return [chip, _bar("mobile CPU (assumed)", parts, frames)]


def place_bars(record: RunRecord) -> list[EnergyBar]:
    """Return the bars of the costliest places in model order; the rest is one bar at the end."""
    energy = record.energy
    places, frames = energy.place_components(), max(record.frames, 1)
    sums = [total(parts.values()) for parts in places]
    used = [place for place, amount in enumerate(sums) if amount.high]
    shown, rest = longest([sums[place].nominal for place in used], MAX_ROWS)
    bars = [_bar(_name(energy.places[used[n]]), places[used[n]], frames) for n in shown]
    if rest:
        bars.append(_bar(f"{len(rest)} others", _joined([places[used[n]] for n in rest]), frames))
    return bars


def _joined(places: Sequence[Mapping[str, Amount]]) -> dict[str, Amount]:
    return {name: total(parts[name] for parts in places) for name in places[0]}


def _bar(name: str, parts: Mapping[str, Amount], frames: int) -> EnergyBar:
    scale = FJ_PER_UJ * frames
    amount = total(parts.values())
    micro = {part: value.nominal / scale for part, value in parts.items()}
    return EnergyBar(name, micro, amount.low / scale, amount.high / scale)


def _title(record: RunRecord) -> str:
    energy = record.energy
    frame = energy.per_frame_pj()
    figures = "no frame"
    if frame is not None:
        low, nominal, high = (frame[n] / 1e6 for n in ("low", "nominal", "high"))
        figures = f"{nominal:.4g} µJ per frame ({low:.4g} to {high:.4g})"
    chip = record.chip
    return (
        f"{one_line(record.model)} on {chip.name} ({chip.status}), {energy.node_nm} nm at "
        f"{energy.voltage_mv / 1000:g} V: {figures}"
    )


def _name(name: str) -> str:
    text = one_line(name)
    return text if len(text) <= NAME_CHARACTERS else "..." + text[3 - NAME_CHARACTERS :]


def _draw(axes: Axes, bars: Sequence[EnergyBar]) -> None:
    """One row per bar: the parts side by side, the range as a whisker at the end."""
    left = [0.0] * len(bars)
    for part in {part: None for bar in bars for part in bar.parts}:
        widths = [bar.parts.get(part, 0.0) for bar in bars]
        if any(widths):
            colour = COLOURS.get(part, CPU_COLOURS.get(part, OTHER_COLOUR))
            places = range(len(bars))
            axes.barh(places, widths, 0.7, left=left, color=colour, label=part, linewidth=0)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    below = [bar.nominal - bar.low for bar in bars]
    above = [bar.high - bar.nominal for bar in bars]
    axes.errorbar(
        [bar.nominal for bar in bars], range(len(bars)), xerr=[below, above], fmt="none",
        ecolor="0.15", elinewidth=1.0, capsize=3,
    )  # fmt: skip
    for tick in axes.set_yticks(range(len(bars)), [bar.name for bar in bars]):
        plain(tick.label1)
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, 1.04 * max((bar.high for bar in bars), default=1.0) or 1.0)
    axes.xaxis.set_major_formatter("{x:,g}")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _legend(*all_axes: Axes) -> None:
    """One legend for both views, above them."""
    entries: dict[str, Artist] = {}
    for axes in all_axes:
        handles, labels = axes.get_legend_handles_labels()
        for handle, label in zip(handles, labels, strict=True):
            entries.setdefault(label, handle)
    figure = all_axes[0].get_figure()
    if figure is not None and entries:
        figure.legend(
            list(entries.values()), list(entries), loc="outside lower center", ncols=6,
            frameon=False, fontsize=8,
        )  # fmt: skip
