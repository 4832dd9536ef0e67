"""COMPUTE_REPORT.csv: one row per layer, first the columns of SCALE-Sim v3, then ours.

The leading columns are written the way SCALE-Sim writes them (", " between them), so that scripts
that cut its lines keep working; docs/reports.md says what each column means here.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from azsim.report.atomic import replaced_file
from azsim.report.layers import LayerRow, layer_rows, products, products_per_cycle
from azsim.report.record import RunRecord
from azsim.units import round_up

# Source: github.com/scalesim-project/SCALE-Sim, scalesim/simulator.py, generate_reports().
SCALE_SIM_HEADER = (
    "LayerID, Total Cycles (incl. prefetch), Total Cycles, Stall Cycles, "
    "Overall Util %, Mapping Efficiency %, Compute Util %,"
)
OUR_COLUMNS = (
    "Name", "Operator", "Bound by", "Lower Bound Cycles", "Memory Cycles", "Decode Cycles",
    "MAC Cycles", "Vector Cycles", "Rows", "Columns", "Bits", "Weights", "Nonzeros", "Stream Bytes",
)  # fmt: skip


def write_compute_report(record: RunRecord, path: Path) -> None:
    """Write COMPUTE_REPORT.csv to `path`. Raises ConfigError if it cannot be written."""
    lines = [SCALE_SIM_HEADER + _line(OUR_COLUMNS)]
    for number, row in enumerate(layer_rows(record)):
        lines.append(_leading(record, number, row) + "," + _line(_ours(row)))
    with replaced_file(path) as temporary:
        temporary.write_text(
            "".join(lines), encoding="utf-8", errors="backslashreplace", newline=""
        )


def _leading(record: RunRecord, number: int, row: LayerRow) -> str:
    span, mac = row.counters.span_cycles, row.work.mac_cycles
    done, per_cycle = products(record, row.info), products_per_cycle(record, row.info)
    cells = (
        str(number),
        str(span),  # prefetch happens during the layers before and is counted there
        str(span),
        str(max(span - mac, 0)),
        _percent(done, span * per_cycle),
        _percent(row.info.rows, round_up(row.info.rows, record.chip.mac_array.lanes)),
        _percent(done, mac * per_cycle),
    )
    return ", ".join(cells)


def _ours(row: LayerRow) -> tuple[object, ...]:
    info, work = row.info, row.work
    return (
        info.name, info.operator, work.bound_by, work.lower_bound_cycles, work.memory_cycles,
        work.decode_cycles, work.mac_cycles, work.vector_cycles, info.rows, info.columns, info.bits,
        info.weights, info.nonzeros, info.stream_bytes,
    )  # fmt: skip


def _percent(value: int, whole: int) -> str:
    return f"{100 * value / whole if whole else 0.0:.4f}"


def _line(cells: tuple[object, ...]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(cells)
    return buffer.getvalue()
