"""summary.json: every figure of a run as one dictionary. docs/reports.md says what each key means.

Two equal runs give equal dictionaries: no wall-clock time, no folder of this machine, no order
that depends on chance.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from azsim._atomic import replaced_file
from azsim.report.branches import branch_summary
from azsim.report.energy import energy_summary
from azsim.report.layers import (
    LayerRow,
    layer_rows,
    products,
    products_per_cycle,
    run_traffic,
    run_work,
)
from azsim.report.memory import lpddr_figures, traffic_figures
from azsim.report.record import RunRecord
from azsim.report.weight_path import weight_path_summary
from azsim.units import BITS_PER_BYTE, ceil_div, cycles_to_ms

WRITTEN_BY = "azsim"
Summary = dict[str, Any]


def build_summary(record: RunRecord) -> Summary:
    """Return everything summary.json holds; quotients without a denominator are None."""
    rows = layer_rows(record)
    return {
        "written_by": WRITTEN_BY,
        "version": record.version,
        **_setting(record),
        **_time(record),
        **_memory(record),
        "lpddr": lpddr_figures(record),
        "host_traffic": traffic_figures(record),
        **_on_chip(record),
        **_weights(rows),
        **_units(record, rows),
        "stalls": {engine: dict(classes) for engine, classes in record.counters.stalls.items()},
        "sqnr_db": {name: rounded(value, 6) for name, value in sorted(record.sqnr_db.items())},
        "verified": _verified(record),
        "energy": energy_summary(record),
        "layers": [_layer(record, row) for row in rows],
        "weight_path": weight_path_summary(record),
        "branches": branch_summary(record),
    }


def save_summary(summary: Mapping[str, Any], path: Path) -> None:
    """Write `summary` as JSON text. Raises ConfigError if `path` cannot be written."""
    text = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # a name from a model file may hold half of a surrogate pair, which UTF-8 has no bytes for
    with replaced_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def _setting(record: RunRecord) -> Summary:
    return {
        "model": record.model,
        "chip": record.chip.name,
        "status": record.chip.status,
        "config_hash": record.chip.config_hash(),
        "configuration": record.chip.model_dump(
            mode="json", exclude={"name", "description", "status"}
        ),
        "clock_mhz": record.chip.core.clock_mhz,
        "input": record.input_source,
        "calibration": record.calibration,
        "bits": record.bits,
        "sparsity": record.sparsity,
        "plan": json.loads(record.plan) if record.plan else None,
        "requantized": record.program.metadata.get("azsim.requantized"),
        "timing_only": record.timing_only,
        "seeds": dict(sorted(record.seeds.items())),
    }


def _time(record: RunRecord) -> Summary:
    counters = record.counters
    compute_ms = cycles_to_ms(counters.cycles, record.chip.core.clock_mhz)
    latencies = record.latencies_ms()
    return {
        "frames": record.frames,
        "frames_per_pass": record.frames_per_pass,
        "frame_ms": record.frame_ms,
        "frame_ms_source": record.frame_ms_source,
        "cycles": counters.cycles,
        "cycles_per_frame": _ratio(counters.cycles, record.frames),
        "real_time_factor": _ratio(compute_ms, record.frames * record.frame_ms),
        "frame_latency_ms": {
            "p50": _percentile(latencies, 50),
            "p99": _percentile(latencies, 99),
            "max": _percentile(latencies, 100),
        },
        "deadline_misses": int(np.count_nonzero(latencies > record.deadline_ms)),
    }


def _percentile(values: Any, share: int) -> float | None:
    """Nearest rank: always a value that occurred."""
    if not len(values):
        return None
    return rounded(float(np.percentile(values, share, method="inverted_cdf")))


def _memory(record: RunRecord) -> Summary:
    counters = record.counters
    peak_bytes, per_cycles = record.chip.memory_peak
    moved = counters.dram_bytes_read + counters.dram_bytes_written
    per_cycle = _quotient(moved, counters.cycles)
    peak = peak_bytes / per_cycles
    giga = record.chip.core.clock_mhz / 1000  # bytes per cycle to GB/s
    resident_bytes = sum(layer.resident_bytes for layer in record.program.layers)
    return {
        "dram_bytes_read": counters.dram_bytes_read,
        "dram_bytes_written": counters.dram_bytes_written,
        "dram_bandwidth_gb_per_s": None if per_cycle is None else rounded(per_cycle * giga),
        "dram_peak_gb_per_s": rounded(peak * giga),
        "dram_bandwidth_share": None if per_cycle is None else rounded(per_cycle / peak),
        "weight_store_bytes_read": counters.counts["store_bytes"],
        "weight_store_fill_cycles": ceil_div(resident_bytes * per_cycles, peak_bytes),
    }


def _on_chip(record: RunRecord) -> Summary:
    """Bytes read and written in the on-chip memories; DMA-A included."""
    parts = {
        "abuf_bytes_read": (
            "abuf_mac_read_bytes", "abuf_vector_read_bytes", "abuf_parameter_read_bytes",
            "abuf_dma_read_bytes",
        ),
        "abuf_bytes_written": ("abuf_vector_write_bytes", "abuf_dma_write_bytes"),
        "wbuf_bytes_read": ("wbuf_weight_read_bytes", "wbuf_mask_read_bytes"),
        "wbuf_bytes_written": ("wbuf_weight_write_bytes", "wbuf_mask_write_bytes"),
        "accumulator_bytes_read": ("accumulator_read_bytes",),
        "accumulator_bytes_written": ("accumulator_write_bytes",),
    }  # fmt: skip
    return {key: run_traffic(record, *names) for key, names in parts.items()}


def _weights(rows: tuple[LayerRow, ...]) -> Summary:
    weights = sum(row.info.weights for row in rows)
    nonzeros = sum(row.info.nonzeros for row in rows)
    stream_bytes = sum(row.info.stream_bytes for row in rows)
    entropy_bytes = sum(row.info.entropy_bytes for row in rows)
    return {
        "weights": weights,
        "nonzeros": nonzeros,
        "zeros_share": _ratio(weights - nonzeros, weights),
        "stream_bytes": stream_bytes,
        "weight_store_bytes": sum(row.info.resident_bytes for row in rows),
        "stream_bytes_fetched": sum(row.counters.stream_bytes for row in rows),
        "bits_per_weight": _ratio(stream_bytes * BITS_PER_BYTE, weights),
        "entropy_bits_per_weight": _ratio(entropy_bytes * BITS_PER_BYTE, weights),
    }


def _units(record: RunRecord, rows: tuple[LayerRow, ...]) -> Summary:
    counters, units = record.counters, record.chip.decoder.units
    decoder_cycles = sum(counters.stalls[f"decode{unit}"]["busy"] for unit in range(units))
    done = counters.counts["mac_products_done"]
    capacity = sum(row.counters.span_cycles * products_per_cycle(record, row.info) for row in rows)
    work = run_work(record)
    return {
        "mac_products_done": done,
        "mac_products_skipped": counters.counts["mac_products_skipped"],
        "mac_utilization": _ratio(done, capacity),
        "decoder_units": units,
        "decoder_cycles": decoder_cycles,
        "decoder_utilization": _ratio(decoder_cycles, counters.cycles * units),
        "memory_cycles": work.memory_cycles,
        "decode_cycles": work.decode_cycles,
        "mac_cycles": work.mac_cycles,
        "vector_cycles": work.vector_cycles,
        "lower_bound_cycles": work.lower_bound_cycles,
        "cycles_over_bound": _ratio(counters.cycles, work.lower_bound_cycles),
        "bound_by": work.bound_by,
    }


def _verified(record: RunRecord) -> Summary | None:
    check = record.verification
    if check is None:
        return None
    return {"steps": check.steps, "exact": check.exact, "first_difference": check.first_difference}


def _layer(record: RunRecord, row: LayerRow) -> Summary:
    return {
        "name": row.info.name,
        "operator": row.info.operator,
        "rows": row.info.rows,
        "columns": row.info.columns,
        "bits": row.info.bits,
        "weights": row.info.weights,
        "nonzeros": row.info.nonzeros,
        "stream_bytes": row.info.stream_bytes,
        "dram_bytes": row.counters.dram_bytes,
        "span_cycles": row.counters.span_cycles,
        "memory_cycles": row.work.memory_cycles,
        "decode_cycles": row.work.decode_cycles,
        "mac_cycles": row.work.mac_cycles,
        "vector_cycles": row.work.vector_cycles,
        "lower_bound_cycles": row.work.lower_bound_cycles,
        "cycles_over_bound": _ratio(row.counters.span_cycles, row.work.lower_bound_cycles),
        "bound_by": row.work.bound_by,
        "products": products(record, row.info),
        "products_per_cycle": products_per_cycle(record, row.info),
    }


def _quotient(value: float, divisor: float) -> float | None:
    return value / divisor if divisor else None


def _ratio(value: float, divisor: float) -> float | None:
    return rounded(_quotient(value, divisor))


def rounded(value: float | None, digits: int = 9) -> float | None:
    """Round to significant digits: sums of floats may differ in the last bits between machines."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")
