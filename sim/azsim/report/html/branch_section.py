"""The part of a run's page about a model that chooses a branch in each frame."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azsim.errors import ConfigError
from azsim.report.html.library import make_figure
from azsim.report.html.parts import (
    Cell,
    Plot,
    Section,
    Table,
    Value,
    number,
    number_text,
    rounded,
    short,
    words,
)
from azsim.report.html.run_data import LARGEST_BYTES, BranchCosts, Branches, Run

BRANCH_REPORT = "BRANCH_REPORT.csv"
MOST_FRAMES = 4000
COLORS = ("#0072B2", "#E69F00")
PJ_PER_UJ = 1e6
COSTS = ("cycles", "DRAM bytes", "products", "energy")


@dataclass(frozen=True)
class Frame:
    """A frame of BRANCH_REPORT.csv."""

    branch: str
    cycles: int
    dram_bytes: int


def load_frames(folder: Path) -> list[Frame]:
    """Return the frames of the run in `folder`; none if it has no BRANCH_REPORT.csv.

    Raises:
        ConfigError: a damaged file, or one that cannot be read.
    """
    path = folder / BRANCH_REPORT
    try:
        if not path.is_file():
            return []
        if path.stat().st_size > LARGEST_BYTES:
            raise ConfigError(f"{path}: must be at most {LARGEST_BYTES} bytes")
        rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")), strict=True)
        return [
            Frame(str(row["branch"]), _whole(row["cycles"]), _whole(row["dram_bytes"]))
            for row in rows
        ]
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, csv.Error):
        raise ConfigError(f"{path}: must be a table as azsim writes it") from None


def _whole(text: str | None) -> int:
    if text is None or not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ValueError
    return int(text)


def branch_section(run: Run, frames: Sequence[Frame]) -> list[Section]:
    """Return the section of a model with branches; none for others."""
    branches = run.branches
    if branches is None:
        return []
    text = (
        f"{short(branches.node)} chooses in each frame. The decision takes "
        f"{branches.decision_cycles:,} cycles, the arbitrator "
        f"{number_text(branches.arbitrator_cycles_per_frame or 0.0)}; both are in the figures "
        "below. Each part's own page: azsim report of its folder (arbitrator, then, else)."
    )
    names = list(branches.branches)
    known = [frame for frame in frames if frame.branch in names]
    return [
        Section(
            "branches",
            "Branches",
            [text, *_saving_text(branches)],
            plots=[_frames_plot(run, names, known)] if known else [],
            tables=[_table(branches)],
        )
    ]


def _saving_text(branches: Branches) -> list[str]:
    saving = branches.saving
    if saving is None:
        return ["What the choice saves is not known: one branch was never taken."]
    shares = (saving.cycles, saving.dram_bytes, saving.products, saving.energy_pj)
    said = [
        f"{name} {'-' if share is None else f'{100 * share:.1f}'} %"
        for name, share in zip(COSTS, shares, strict=True)
    ]
    return [
        f"Saved against {short(saving.against)} in every frame, without arbitrator and decision: "
        f"{', '.join(said)}. Below zero the choice costs more than it saves. That branch is taken "
        "as it is here: with its share of the weight store, and states that pass through DRAM."
    ]


def _table(branches: Branches) -> Table:
    columns = (
        "branch", "frames", "share, %", "cycles per frame", "DRAM bytes per frame",
        "products per frame", "energy, µJ per frame", "cycles after a switch",
        "cycles without a switch",
    )  # fmt: skip
    rows = [_row(name, branch) for name, branch in branches.branches.items()]
    title = f"Branches, {branches.switches:,} switches"
    return Table("branch-table", title, columns, rows)


def _row(name: str, branch: BranchCosts) -> list[Cell]:
    energy = branch.energy_pj_per_frame
    cells: list[Value] = [
        branch.frames,
        None if branch.share is None else 100 * branch.share,
        branch.cycles_per_frame,
        branch.dram_bytes_per_frame,
        branch.products_per_frame,
        None if energy is None else energy / PJ_PER_UJ,
        branch.cycles_after_switch,
        branch.cycles_without_switch,
    ]
    return [words(name), *map(number, cells)]


def _frames_plot(run: Run, names: Sequence[str], frames: Sequence[Frame]) -> Plot:
    """Return the length of each frame in its branch's colour; bytes as another view."""
    shown = frames[:MOST_FRAMES]
    ms_per_cycle = 1e-3 / run.clock_mhz
    values = {
        "time, ms": [rounded(frame.cycles * ms_per_cycle) for frame in shown],
        "from and to DRAM, KB": [rounded(frame.dram_bytes / 1024) for frame in shown],
    }
    traces: list[dict[str, Any]] = []
    views: dict[str, list[int]] = {}
    for view, heights in values.items():
        views[view] = list(range(len(traces), len(traces) + len(names)))
        for name, colour in zip(names, COLORS[: len(names)], strict=True):
            mine = [place for place, frame in enumerate(shown) if frame.branch == name]
            traces.append(
                {
                    "type": "bar", "name": name, "x": mine, "y": [heights[k] for k in mine],
                    "width": 1, "marker": {"color": colour, "line": {"width": 0}},
                    "visible": len(views) == 1,
                    "hovertemplate": "frame %{x}: %{y:.4~g}<extra>%{fullData.name}</extra>",
                }
            )  # fmt: skip
    left = len(frames) - len(shown)
    more = f" The first {MOST_FRAMES:,} frames; {left:,} more in {BRANCH_REPORT}." if left else ""
    layout = {
        "height": 300,
        "margin": {"l": 20, "r": 10, "t": 40, "b": 45},
        "legend": {"orientation": "h", "y": 1, "yanchor": "bottom"},
        "xaxis": {"title": {"text": "frame"}, "range": [-0.5, len(shown) - 0.5]},
        "yaxis": {"rangemode": "tozero", "automargin": True},
        "bargap": 0,
    }
    return Plot(
        "branch-plot", f"The branch of each frame, and what it took.{more}",
        make_figure(traces, layout), views, zoom=True,
    )  # fmt: skip
