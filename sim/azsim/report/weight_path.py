"""Attribution along the weight path as figures: for summary.json, a table and the console."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.counters import WEIGHT_PATH_UNITS, WHAT_IF, WeightPath
from azsim.counters.weight_path import DECODER, DRAM_BURST, LANES, TILE_SLOT
from azsim.report.record import RunRecord
from azsim.report.table import Row, write_table
from azsim_kernels.isa import STALL_CLASS_NAMES

Ints = npt.NDArray[np.int64]
Summary = dict[str, Any]

HEADER = "LayerID,"
COLUMNS = (
    "Name", "Unit", "Count", "Span Cycles", "Busy Cycles", "Starved Cycles", "Blocked Cycles",
    "Waiting Cycles", "Idle Cycles", "Unlimited Span Cycles", "Products", "Mean Spread Cycles",
    "Max Spread Cycles",
)  # fmt: skip
# The unit that a what-if gives no limit to.
UNIT_OF_WHAT_IF = {"memory": DRAM_BURST, "decoder": DECODER, "slots": TILE_SLOT, "mac": LANES}
HISTOGRAM_BINS = 10


@dataclass(frozen=True)
class LayerSpread:
    """How evenly the lanes ended in the products of a layer; int64 arrays (products,)."""

    cycles: Ints
    spread: Ints

    def histogram(self) -> list[int]:
        """Products by spread / time of the product, in ten equal bins from 0 to 1."""
        time = np.maximum(self.cycles, 1)
        bins = np.minimum(self.spread * HISTOGRAM_BINS // time, HISTOGRAM_BINS - 1)
        return [int(n) for n in np.bincount(bins, minlength=HISTOGRAM_BINS)]


def layer_spread(path: WeightPath, layer: int) -> LayerSpread:
    """Return the lanes' ends of the products of a layer."""
    mine = path.lanes.layer == layer
    return LayerSpread(path.lanes.column_cycles[mine], path.lanes.spread[mine])


def weight_path_summary(record: RunRecord) -> Summary | None:
    """Return what summary.json says of the weight path; None if it was not asked for."""
    path = record.weight_path
    if path is None:
        return None
    names = [layer.name for layer in record.program.layers]
    return {
        "cycles": path.cycles,
        "units": {unit: _classes(path, unit, None) for unit in WEIGHT_PATH_UNITS},
        "what_if": {name: _what_if(path, name, None) for name in WHAT_IF},
        "layers": [_layer(path, number, name) for number, name in enumerate(names)],
    }


def _layer(path: WeightPath, number: int, name: str) -> Summary:
    spread = layer_spread(path, number)
    return {
        "name": name,
        "span_cycles": int(path.spans[number]),
        "units": {unit: _classes(path, unit, number) for unit in WEIGHT_PATH_UNITS},
        "what_if": {what: _what_if(path, what, number) for what in WHAT_IF},
        "products": len(spread.spread),
        "lane_spread_cycles": int(spread.spread.sum()),
        "lane_spread_max_cycles": int(spread.spread.max(initial=0)),
        "lane_spread_histogram": spread.histogram(),
    }


def _classes(path: WeightPath, unit: str, layer: int | None) -> Summary:
    counted = path.classes[unit]
    row = counted.sum(axis=0) if layer is None else counted[layer]
    classes = dict(zip(STALL_CLASS_NAMES, map(int, row), strict=True))
    return {"count": path.counts[unit], **classes}


def _what_if(path: WeightPath, name: str, layer: int | None) -> int | None:
    spans = path.what_if.get(name)
    if spans is None:
        return None
    return int(spans.sum() if layer is None else spans[layer])


def write_weight_path_report(record: RunRecord, path: Path) -> None:
    """Write WEIGHT_PATH_REPORT.csv to `path`, one row per layer and unit; nothing if the run has no
    weight path. Raises ConfigError if it cannot be written.
    """
    if record.weight_path is not None:
        write_table(path, HEADER, COLUMNS, _rows(record, record.weight_path))


def _rows(record: RunRecord, path: WeightPath) -> Iterator[Row]:
    what_if = {unit: name for name, unit in UNIT_OF_WHAT_IF.items()}
    for number, info in enumerate(record.program.layers):
        for unit in WEIGHT_PATH_UNITS:
            classes = _classes(path, unit, number)
            name = what_if.get(unit)
            unlimited = None if name is None else _what_if(path, name, number)
            spread = _spread_cells(path, number) if unit == LANES else ("", "", "")
            yield (
                (str(number),),
                (info.name, unit, classes.pop("count"), int(path.spans[number]),
                 *classes.values(), "" if unlimited is None else unlimited, *spread),
            )  # fmt: skip


def _spread_cells(path: WeightPath, layer: int) -> tuple[object, ...]:
    spread = layer_spread(path, layer).spread
    if not len(spread):
        return 0, "", ""
    return len(spread), f"{spread.mean():.4f}", int(spread.max())
