"""branches.png: which branch each frame took, how long it took and what it moved."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from azsim.report.figure import plain, save_figure
from azsim.report.record import BranchTrace, RunRecord
from azsim.units import BYTES_PER_KB, BYTES_PER_MB, cycles_to_ms

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#0072b2", "#e69f00")  # of the Okabe-Ito palette


def save_branches(record: RunRecord, path: Path) -> None:
    """Draw `path`, its suffix being the format. Raises ConfigError if it cannot be written."""
    save_figure(lambda: _draw(record), path)


def _draw(record: RunRecord) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 4.4), layout="constrained")
    axes = figure.subplots(3, 1, sharex=True, height_ratios=(1, 2, 2))
    trace = record.branches
    if trace is not None:
        _draw_choice(axes[0], trace)
        clock_mhz = record.chip.core.clock_mhz
        lengths_ms = [cycles_to_ms(int(cycles), clock_mhz) for cycles in trace.step_cycles]
        _draw_frames(axes[1], trace, lengths_ms, "time, ms")
        unit, name = _unit(int(trace.dram_bytes.max(initial=0)))
        moved = [int(size) / unit for size in trace.dram_bytes]
        _draw_frames(axes[2], trace, moved, f"from and to DRAM, {name}")
    axes[2].set_xlabel("frame")
    plain(figure.suptitle(f"{record.model} on {record.chip.name}: branch of each frame", size=10))
    return figure


def _unit(largest: int) -> tuple[int, str]:
    return (BYTES_PER_MB, "MB") if largest >= BYTES_PER_MB else (BYTES_PER_KB, "KB")


def _colors(trace: BranchTrace) -> dict[str, str]:
    return dict(zip(trace.frames_of, COLORS, strict=True))


def _draw_choice(axes: Axes, trace: BranchTrace) -> None:
    """A bar for each stretch of frames of one branch."""
    colors = _colors(trace)
    starts = [0, *np.flatnonzero(trace.switched).tolist(), len(trace.chosen)]
    for place, (name, color) in enumerate(colors.items()):
        stretches = [
            (first - 0.5, end - first)
            for first, end in itertools.pairwise(starts)
            if first < end and trace.chosen[first] == name
        ]
        axes.broken_barh(stretches, (place - 0.4, 0.8), color=color, linewidth=0)
    axes.set_yticks(range(len(colors)))
    axes.set_yticklabels([f"{name}: {int(trace.takes(name).sum()):,} frames" for name in colors])
    axes.set_ylim(len(colors) - 0.4, -0.6)


def _draw_frames(axes: Axes, trace: BranchTrace, values: list[float], label: str) -> None:
    """One bar per frame, in its branch's color, without seams between them."""
    edges = np.arange(len(values) + 1) - 0.5
    for name, color in _colors(trace).items():
        own = np.where(trace.takes(name), values, 0.0)
        axes.stairs(own, edges, fill=True, color=color)
    axes.set_ylim(0, 1.15 * max(values, default=1.0) or 1.0)
    axes.set_xlim(-0.5, max(len(values) - 0.5, 0.5))
    axes.set_ylabel(label)
