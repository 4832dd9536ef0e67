"""timeline.json: the first step as numbers, for the HTML page and for tools of one's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from azsim._atomic import replaced_file
from azsim.report.intervals import (
    Floats,
    StepIntervals,
    first_tiles_end,
    spread,
    step_intervals,
    unit_use,
)
from azsim.report.layer_groups import layer_groups
from azsim.report.record import RunRecord
from azsim.report.summary import WRITTEN_BY
from azsim_kernels import isa

SLICES = 400
FIRST_TILES = 20
MOST_COMMANDS = 4000
COMMAND_COLUMNS = ("engine", "opcode", "layer", "tile", "start", "free")


def write_timeline(record: RunRecord, path: Path) -> None:
    """Write the first step of `record`. Raises ConfigError if `path` cannot be written."""
    text = json.dumps(build_timeline(record), separators=(",", ":"), allow_nan=False) + "\n"
    with replaced_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def build_timeline(record: RunRecord) -> dict[str, Any]:
    """Return what timeline.json holds; docs/reports.md says what each key is."""
    steps = step_intervals(record)
    groups = layer_groups(record.program.layers)
    edges = np.linspace(0, steps.cycles, SLICES + 1)
    use = unit_use(record, steps, edges)
    return {
        "written_by": WRITTEN_BY,
        "cycles": steps.cycles,
        "slices": SLICES,
        "engines": list(steps.names),
        "groups": list(groups.names),
        "tracks": list(_tracks(steps, groups.of_layer[steps.layer], edges)),
        "use": {name: _short(share, 4) for name, share in use.items()},
        "first_tiles": _first_tiles(steps, len(record.program.layers)),
    }


def _tracks(steps: StepIntervals, group_of: Any, edges: Floats) -> Iterator[dict[str, Any]]:
    """Yield per engine and group the busy cycles of each slice, from the first to the last."""
    for engine in range(len(steps.names)):
        here = steps.engine == engine
        for group in np.unique(group_of[here]):
            mine = steps.chosen(here & (group_of == group))
            busy = spread(mine, (mine.free - mine.start).astype(np.float64), edges)
            some = np.flatnonzero(busy >= 0.005)  # what rounds to 0.00 is nothing
            if not len(some):
                continue
            first, last = int(some[0]), int(some[-1])
            yield {
                "engine": engine,
                "group": int(group),
                "first_slice": first,
                "busy_cycles": _short(busy[first : last + 1], 2),
            }


def _short(values: Floats, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]


def _first_tiles(steps: StepIntervals, layers: int) -> dict[str, Any]:
    end = first_tiles_end(steps, FIRST_TILES)
    shown = steps.chosen(steps.start < end)
    columns = (shown.engine, shown.opcode, shown.layer, shown.tile, shown.start, shown.free)
    rows = [[int(value) for value in row] for row in zip(*columns, strict=True)]
    rows = rows[:MOST_COMMANDS]
    for row in rows:
        row[1] = isa.OPCODE_NAMES[row[1]]  # type: ignore[call-overload]
        row[2] = row[2] if row[2] < layers else -1
    return {"cycles": end, "columns": list(COMMAND_COLUMNS), "commands": rows}
