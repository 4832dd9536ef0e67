"""A model that chooses a branch in each step: figures, BRANCH_REPORT.csv and branches.png."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from azsim._atomic import replaced_file
from azsim.report.figure import plain, save_figure
from azsim.report.record import BranchTrace, RunRecord
from azsim.units import cycles_to_ms

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = (
    "frame", "branch", "arbitrator_cycles", "decision_cycles", "branch_cycles", "cycles",
    "dram_bytes",
)  # fmt: skip
ARBITRATOR = "arbitrator"
COLORS = {"then": "#0072b2", "else": "#e69f00"}  # of the Okabe-Ito palette


def branch_summary(record: RunRecord) -> dict[str, Any] | None:
    """Frames and mean cycles per branch, and how often it changed; None without branches."""
    trace = record.branches
    if trace is None:
        return None
    total = _step_cycles(trace)
    return {
        "node": trace.node,
        "decision_cycles": trace.decision_cycles,
        "switches": sum(a != b for a, b in zip(trace.chosen, trace.chosen[1:], strict=False)),
        "frames_as_float_model": trace.float_agrees,
        "arbitrator_cycles_per_frame": _mean(trace.arbitrator_cycles),
        "branches": {
            name: {
                "frames": int(_mask(trace, name).sum()),
                "share": _share(trace, name),
                "cycles_per_frame": _mean(total[_mask(trace, name)]),
                "dram_bytes_per_frame": _dram_bytes(trace, name),
            }
            for name in COLORS
        },
    }


def _mask(trace: BranchTrace, name: str) -> Any:
    return np.array([chosen == name for chosen in trace.chosen], dtype=bool)


def _step_cycles(trace: BranchTrace) -> Any:
    return trace.arbitrator_cycles + trace.decision_cycles + trace.branch_cycles


def _mean(cycles: Any) -> float | None:
    return float(f"{cycles.mean():.9g}") if len(cycles) else None


def _share(trace: BranchTrace, name: str) -> float | None:
    return float(f"{_mask(trace, name).mean():.9g}") if trace.chosen else None


def _dram_bytes(trace: BranchTrace, name: str) -> int | None:
    """Of arbitrator and branch, both ways; each step of a part moves the same bytes."""
    if not trace.parts[name].frames:
        return None
    return sum(_part_bytes(trace.parts[part]) for part in (ARBITRATOR, name))


def _part_bytes(part: RunRecord) -> int:
    moved = part.counters.dram_bytes_read + part.counters.dram_bytes_written
    return moved // part.frames


def write_branch_report(record: RunRecord, path: Path) -> None:
    """Write one line per frame to `path`. Raises ConfigError if it cannot be written."""
    lines = [",".join(COLUMNS), *(",".join(map(str, row)) for row in _rows(record))]
    with replaced_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")


def _rows(record: RunRecord) -> Iterator[tuple[object, ...]]:
    trace = record.branches
    if trace is None:
        return
    moved = {name: _dram_bytes(trace, name) for name in COLORS}
    total = _step_cycles(trace)
    for frame, name in enumerate(trace.chosen):
        yield (
            frame, name, int(trace.arbitrator_cycles[frame]), trace.decision_cycles,
            int(trace.branch_cycles[frame]), int(total[frame]), moved[name],
        )  # fmt: skip


def save_branches(record: RunRecord, path: Path) -> None:
    """Draw which branch each frame took and how long it took. Raises ConfigError if it cannot be
    written."""
    save_figure(lambda: _draw(record), path)


def _draw(record: RunRecord) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 3.4), layout="constrained")
    which, length = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    trace = record.branches
    if trace is not None:
        _draw_choice(which, trace)
        _draw_length(length, trace, record)
    plain(figure.suptitle(f"{record.model} on {record.chip.name}: branch of each frame", size=10))
    return figure


def _draw_choice(axes: Axes, trace: BranchTrace) -> None:
    for place, (name, color) in enumerate(COLORS.items()):
        frames = np.flatnonzero(_mask(trace, name))
        axes.broken_barh([(frame - 0.5, 1.0) for frame in frames], (place - 0.4, 0.8), color=color)
    axes.set_yticks(range(len(COLORS)))
    axes.set_yticklabels([f"{name}: {_mask(trace, name).sum()}" for name in COLORS])
    axes.set_ylim(len(COLORS) - 0.4, -0.6)


def _draw_length(axes: Axes, trace: BranchTrace, record: RunRecord) -> None:
    milliseconds = [
        cycles_to_ms(int(cycles), record.chip.core.clock_mhz) for cycles in _step_cycles(trace)
    ]
    frames = np.arange(len(milliseconds))
    axes.bar(frames, milliseconds, width=1.0, color=[COLORS[name] for name in trace.chosen])
    axes.set_ylim(0, 1.15 * max(milliseconds, default=1.0))
    axes.set_xlim(-0.5, max(len(frames) - 0.5, 0.5))
    axes.set_ylabel("time of the frame, ms")
    axes.set_xlabel("frame")
