"""Sensitivity scan: each layer compressed alone, in every width, against the float model."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from azsim._atomic import save_text
from azsim.compiler import WEIGHT_BITS, CompressionPlan
from azsim.compress.material import Material
from azsim.compress.measure import (
    LayerSize,
    decibels,
    finite,
    layer_sizes,
    noise_share,
    ranges_and_outputs,
    size_json,
    source_sizes,
    with_weights,
)
from azsim.compress.plan import Calibration, LayerPlan
from azsim.compress.weights import IntegerRows, sqnr_of
from azsim.config import ChipConfig
from azsim.report.compress_figures import save_scan_figure


@dataclass(frozen=True)
class ScanRow:
    """One layer in one width, all others as floats. `share`: noise over signal power of the worst
    output; `weights_sqnr_db`: of the layer's own weights."""

    layer: str
    plan: LayerPlan
    size: LayerSize
    share: float
    weights_sqnr_db: float

    @property
    def sqnr_db(self) -> float | None:
        """Of the worst output; None where there is no noise."""
        return decibels(self.share)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "layer": self.layer,
            "plan": asdict(self.plan),
            **size_json(self.size),
            "weights_sqnr_db": finite(self.weights_sqnr_db),
            "sqnr_db": finite(self.sqnr_db),
        }


def scan_layers(
    material: Material,
    plans: Mapping[str, LayerPlan],
    chip: ChipConfig,
    widths: Sequence[int] = WEIGHT_BITS,
    calibrations: Sequence[Calibration] | None = None,
) -> list[ScanRow]:
    """Return a row per layer, width and calibration, layers in model order, widths descending.

    A layer's other settings are those of `plans`, its calibration too if `calibrations` is None;
    one with a codebook has one row. Sizes are those of the encoder with all layers alike.
    """
    rows: dict[tuple[str, int, int], ScanRow] = {}
    ways: Sequence[Calibration | None] = calibrations or (None,)
    for way_number, way in enumerate(ways):
        for number, width in enumerate(widths):
            wide = {
                name: _varied(plan, width, way)
                for name, plan in plans.items()
                if not plan.codebook or number == way_number == 0
            }
            made = {name: material.integers(name, plan) for name, plan in wide.items()}
            sizes = _sizes(material, made, wide, chip)
            for place, (name, integers) in enumerate(made.items()):
                share = _share(material, name, integers)
                sqnr = _weights_sqnr(material, name, integers)
                row = ScanRow(name, wide[name], sizes[name], share, sqnr)
                rows[name, number, way_number] = row
                stage = f"scanning {width} bits" + (f", {way}" if way else "")
                material.tell(stage, place + 1, len(made))
    order = [(n, w, c) for n in plans for w in range(len(widths)) for c in range(len(ways))]
    return [rows[key] for key in order if key in rows]


def _varied(plan: LayerPlan, width: int, way: Calibration | None) -> LayerPlan:
    return replace(plan, bits=width, calibration=way or plan.calibration)


def _sizes(
    material: Material,
    made: Mapping[str, tuple[IntegerRows, ...]],
    plans: Mapping[str, LayerPlan],
    chip: ChipConfig,
) -> dict[str, LayerSize]:
    bits = material.source.by_node({name: plan.stream_bits for name, plan in plans.items()})
    graph = with_weights(material.unfolded, material.source, made)
    sizes = layer_sizes(graph, material.ranges, CompressionPlan(layer_bits=bits), chip)
    return source_sizes(material.source, sizes)


def _share(material: Material, name: str, integers: tuple[IntegerRows, ...]) -> float:
    graph = with_weights(material.unfolded, material.source, {name: integers})
    _, found = ranges_and_outputs(graph, material.frames, _silent)
    return noise_share(material.exact, found)


def _weights_sqnr(material: Material, name: str, integers: tuple[IntegerRows, ...]) -> float:
    exact = np.concatenate([part.rows.reshape(-1) for part in material.source.parts[name]])
    return sqnr_of(exact, np.concatenate([rows.numbers.reshape(-1) for rows in integers]))


def _silent(stage: str, done: int, total: int) -> None:
    """The scan tells its own progress."""


# -- what is written ------------------------------------------------------------------------------

COLUMNS = (
    "layer", "bits", "codebook", "sparsity", "weights", "nonzeros", "stream_bytes",
    "bits_per_weight", "weights_sqnr_db", "sqnr_db",
)  # fmt: skip


def write_scan(rows: Sequence[ScanRow], table: Path, figure: Path) -> None:
    """Write the table (CSV) and the figure. Raises ConfigError if a file cannot be written."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        said = row.to_json()
        cells = {**said["plan"], **said}
        writer.writerow(["" if cells[name] is None else cells[name] for name in COLUMNS])
    save_text(table, buffer.getvalue())
    save_scan_figure([row.to_json() for row in rows], figure)
