"""The page of results says what the rows say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """tools/zoo_results.py, which is no package."""
    path = REPOSITORY / "tools" / "zoo_results.py"
    spec = importlib.util.spec_from_file_location("zoo_results_tool", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(net: str, cycles: int) -> dict[str, Any]:
    return {
        "net": net, "macs": 4_000_000, "steps": 2, "cycles": cycles, "cycles_per_step": cycles / 2,
        "cycles_over_bound": 1.25, "bound_by": "mac", "real_time_factor": 0.5,
        "energy_per_step_pj": 2e9, "dram_bytes_read": 3_000_000, "dram_bytes_written": 1_000_000,
        "bit_exact": "yes", "error": None,
    }  # fmt: skip


@pytest.mark.small
def test_cells_and_comparisons(tool: ModuleType) -> None:
    nets = [net for _, family in tool.FAMILIES for net in family]
    nets += [f"micro_{kind}_{side}" for side in tool.BLOCK_SIDES for kind in ("ibn", "fused")]
    rows = [row(net, 2000 if "v2" not in net and "fused" not in net else 1000) for net in nets]
    rows.append({**row("broken", 0), "cycles": None, "bit_exact": None, "error": "does not fit"})
    run = {"chip": "az1", "status": "assumed", "version": "1.0", "failed": 1, "rows": rows}
    text = tool.page([run], "2026-01-31")
    assert f"\n{len(rows)} nets, {len(rows) - 1} bit-exact, 1 failed.\n" in text
    assert "\n| `seg_a` | 1,000 | 1.25 | mac | 0.5000 | 2.000 | 2.000 | yes |\n" in text
    assert "\n| `broken` |  |  |  |  |  |  | does not fit |\n" in text
    assert "\n| `presence_v2` | 4 | 500 | 50% | 2.0 |\n" in text
    assert "\n| 160 x 160 | 1.0 | 1,000 (mac) | 500 (mac) | 0.50 |\n" in text
    assert "`az1` (assumed): `azsim zoo run`, azsim 1.0, 2026-01-31." in text
