"""COMPUTE_REPORT.csv: one row per layer, first the columns of SCALE-Sim v3, then ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from azsim.report.layers import LayerRow, layer_rows, products, products_per_cycle
from azsim.report.record import RunRecord
from azsim.report.table import Row, percent, write_table
from azsim.units import round_up

# Source: github.com/scalesim-project/SCALE-Sim, scalesim/simulator.py, generate_reports().
SCALE_SIM_HEADER = (
    "LayerID, Total Cycles (incl. prefetch), Total Cycles, Stall Cycles, "
    "Overall Util %, Mapping Efficiency %, Compute Util %,"
)
OUR_COLUMNS = (
    "Name", "Operator", "Bound by", "Lower Bound Cycles", "Cycles over Bound", "Memory Cycles",
    "Decode Cycles", "MAC Cycles", "Vector Cycles", "Rows", "Columns", "Bits", "Weights",
    "Nonzeros", "Stream Bytes",
)  # fmt: skip


def write_compute_report(record: RunRecord, path: Path) -> None:
    """Write COMPUTE_REPORT.csv to `path`. Raises ConfigError if it cannot be written."""
    write_table(path, SCALE_SIM_HEADER, OUR_COLUMNS, _rows(record))


def _rows(record: RunRecord) -> Iterator[Row]:
    for number, row in enumerate(layer_rows(record)):
        yield _leading(record, number, row), _ours(row)


def _leading(record: RunRecord, number: int, row: LayerRow) -> tuple[str, ...]:
    span, mac = row.counters.span_cycles, row.work.mac_cycles
    done, per_cycle = products(record, row.info), products_per_cycle(record, row.info)
    return (
        str(number),
        str(span),  # prefetch happens during the layers before and is counted there
        str(span),
        str(max(span - mac, 0)),
        percent(done, span * per_cycle),
        percent(row.info.rows, round_up(row.info.rows, record.chip.mac_array.lanes)),
        percent(done, mac * per_cycle),
    )


def _ours(row: LayerRow) -> tuple[object, ...]:
    info, work = row.info, row.work
    return (
        info.name, info.operator, work.bound_by, work.lower_bound_cycles, _over_bound(row),
        work.memory_cycles, work.decode_cycles, work.mac_cycles, work.vector_cycles, info.rows,
        info.columns, info.bits, info.weights, info.nonzeros, info.stream_bytes,
    )  # fmt: skip


def _over_bound(row: LayerRow) -> str:
    """Span / lower bound; empty for a layer without work."""
    bound = row.work.lower_bound_cycles
    return f"{row.counters.span_cycles / bound:.3f}" if bound else ""
