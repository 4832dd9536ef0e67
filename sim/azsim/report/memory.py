"""The memory in summary.json: rows, refreshes and ports of LPDDR, and what other traffic costs."""

from __future__ import annotations

from typing import Any

import numpy as np

from azsim.report.record import HostTraffic, RunRecord

Figures = dict[str, Any]

_COUNTED = (
    "dram_activates", "dram_precharges", "dram_precharges_all", "dram_read_bursts",
    "dram_write_bursts", "dram_refreshes_all_bank", "dram_refreshes_per_bank", "dram_row_hits",
    "dram_row_misses", "dram_row_conflicts", "dram_w_read_bytes", "dram_a_read_bytes",
    "dram_host_read_bytes", "dram_a_write_bytes", "dram_host_write_bytes", "dram_open_clocks",
    "dram_closed_clocks",
)  # fmt: skip


def lpddr_figures(record: RunRecord) -> Figures | None:
    """Return what the banks did in the whole run, None with another memory."""
    memory = record.chip.memory
    if memory.model != "lpddr" or memory.lpddr is None:
        return None
    part = memory.lpddr.part
    counted = {name: record.counters.counts[name] for name in _COUNTED}
    return {"part": part.name, "clock_ps": part.clock_ps, **counted}


def traffic_figures(record: RunRecord) -> Figures | None:
    """Return what the rest of the device moved, and what it cost the frames; None without."""
    traffic, counts = record.host_traffic, record.counters.counts
    if traffic is None:
        return None
    cycle_ns = 1000 / record.chip.core.clock_mhz
    requests = counts["host_requests"]
    alone = traffic.step_cycles_without
    return {
        "patterns": [pattern.name for pattern in traffic.patterns],
        "requests": requests,
        "bytes_read": counts["host_read_bytes"],
        "bytes_written": counts["host_write_bytes"],
        "mean_wait_ns": _rounded(counts["host_wait_cycles"] * cycle_ns / max(1, requests)),
        "longest_wait_ns": _rounded(counts["host_longest_wait_cycles"] * cycle_ns),
        "cycles_without": int(alone.sum()),
        "frame_latency_ms_without": _latencies(record, traffic),
        "slowdown": _rounded(record.counters.cycles / max(1, int(alone.sum()))),
    }


def _latencies(record: RunRecord, traffic: HostTraffic) -> Figures:
    latencies = record.latencies_ms(traffic.step_cycles_without)
    return {
        name: _rounded(float(np.percentile(latencies, share, method="inverted_cdf")))
        for name, share in (("p50", 50), ("p99", 99), ("max", 100))
    }


def _rounded(value: float) -> float:
    """Nine significant digits, as all of summary.json."""
    return float(f"{value:.9g}")
