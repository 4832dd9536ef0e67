"""A model that chooses a branch in each step: figures of summary.json, and BRANCH_REPORT.csv."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from azsim._atomic import replaced_file
from azsim.report.record import BranchTrace, RunRecord

COLUMNS = (
    "frame", "branch", "arbitrator_cycles", "decision_cycles", "branch_cycles", "cycles",
    "dram_bytes",
)  # fmt: skip
ARBITRATOR = "arbitrator"
COSTS = ("cycles", "dram_bytes", "products", "energy_pj")
"""What a frame costs, by name: keys of summary.json with `_per_frame` behind."""


def branch_summary(record: RunRecord) -> dict[str, Any] | None:
    """What each branch costs, how often it changed, what the choice saves; None without
    branches."""
    trace = record.branches
    if trace is None:
        return None
    return {
        "node": trace.node,
        "decision_cycles": trace.decision_cycles,
        "switches": int(trace.switched.sum()),
        "frames_as_float_model": trace.float_agrees,
        "arbitrator_cycles_per_frame": _mean(trace.arbitrator_cycles),
        "branches": {name: _branch(trace, name) for name in trace.frames_of},
        "saving": _saving(record, trace),
    }


def _branch(trace: BranchTrace, name: str) -> dict[str, Any]:
    """Means over the frames that took the branch, arbitrator included."""
    taken, cycles = trace.takes(name), trace.step_cycles
    costs = frame_costs(trace.frames_of[name])
    return {
        "frames": int(taken.sum()),
        "share": float(f"{taken.mean():.9g}") if trace.chosen else None,
        **{f"{key}_per_frame": None if costs is None else costs[key] for key in COSTS},
        "cycles_after_switch": _mean(cycles[taken & trace.switched]),
        "cycles_without_switch": _mean(cycles[taken & ~trace.switched]),
    }


def _saving(record: RunRecord, trace: BranchTrace) -> dict[str, Any] | None:
    """What the run costs less than its costlier branch would have in every frame, without
    arbitrator and decision, as shares; None if a branch was never taken."""
    alone = {name: frame_costs(trace.parts[name]) for name in trace.frames_of}
    known = {name: costs for name, costs in alone.items() if costs is not None}
    run = frame_costs(record)
    if len(known) < len(alone) or run is None:
        return None
    against = max(known, key=lambda name: known[name]["cycles"])
    dear = known[against]
    shares = {key: 1 - run[key] / dear[key] if dear[key] else None for key in COSTS}
    rounded = {key: None if s is None else float(f"{s:.6g}") for key, s in shares.items()}
    return {"against": against, **rounded}


def frame_costs(record: RunRecord) -> dict[str, float] | None:
    """Return the mean costs of a frame by the names of `COSTS`; None without frames."""
    counters, energy = record.counters, record.energy.per_frame_pj()
    if not record.frames or energy is None:
        return None
    moved = counters.dram_bytes_read + counters.dram_bytes_written
    sums = (counters.cycles, moved, counters.counts["mac_products_done"])
    means = [float(f"{value / record.frames:.9g}") for value in sums]
    return dict(zip(COSTS, [*means, float(f"{energy['nominal']:.9g}")], strict=True))


def _mean(cycles: Any) -> float | None:
    return float(f"{cycles.mean():.9g}") if len(cycles) else None


def write_branch_report(record: RunRecord, path: Path) -> None:
    """Write one line per frame to `path`. Raises ConfigError if it cannot be written."""
    lines = [",".join(COLUMNS), *(",".join(map(str, row)) for row in _rows(record))]
    with replaced_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")


def _rows(record: RunRecord) -> Iterator[tuple[object, ...]]:
    trace = record.branches
    if trace is None:
        return
    total = trace.step_cycles
    for frame, name in enumerate(trace.chosen):
        yield (
            frame, name, int(trace.arbitrator_cycles[frame]), trace.decision_cycles,
            int(trace.branch_cycles[frame]), int(total[frame]), int(trace.dram_bytes[frame]),
        )  # fmt: skip
