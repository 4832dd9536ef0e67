"""Plans as tests write them, and sweeps of small nets."""

from __future__ import annotations

from pathlib import Path

from azsim.sweep.plan import Plan, load_plan

MODEL = "model: zoo:tiny_lstm\nchip: tiny\nframes: 2\n"
SMALL = f"""{MODEL}
axes:
  mac_array.lanes: [2, 4, 8]
  bits: [8, 4]
where: ["mac_array.lanes * bits < 64"]
columns:
  lane_bits: mac_array.lanes * bits
constraints: ["real_time_factor < 1"]
objectives: {{frame_latency_ms.p99: minimize, area_k_gates: minimize}}
"""


def written(folder: Path, text: str, name: str = "plan.yaml") -> Path:
    """A plan file with `text`."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def plan_of(folder: Path, text: str) -> Plan:
    """The checked plan with `text`."""
    return load_plan(written(folder, text))
