"""Folders of runs for tests of HTML pages, with names that try to break out of a page."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

from report_cases import LAYERS, make_record

from azsim.report.record import RunRecord
from azsim.report.summary import build_summary, save_summary
from azsim.report.timeline_file import write_timeline

HOSTILE = "</script><script>window.hacked=1</script>"
HOSTILE_LAYER = "<img src=x onerror=window.hacked=1>/x"


def hostile_record() -> RunRecord:
    """The made-up run; its model and a layer have names of an attacker."""
    record = make_record()
    layers = (replace(LAYERS[0], name=HOSTILE_LAYER), *LAYERS[1:])
    return replace(
        record, model=f"{HOSTILE}.onnx", program=replace(record.program, layers=layers),
        sqnr_db={HOSTILE: 31.25},
    )  # fmt: skip


def save_run(record: RunRecord, folder: Path) -> Path:
    """Write what a page needs of `record` to `folder`; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_summary(build_summary(record), folder / "summary.json")
    write_timeline(record, folder / "timeline.json")
    return folder


SWEEP_NAMES = (
    "point", "decoder.units", "model", "status", "error", "real_time_factor", "area_k_gates",
    "latency", "feasible", "on_front",
)  # fmt: skip
SWEEP_ROWS: tuple[tuple[object, ...], ...] = (
    (0, 1, "a.onnx", "ok", "", 0.5, 100, 30, "true", "true"),
    (1, 2, "a.onnx", "ok", "", 0.4, 200, 20, "true", "true"),
    (2, 4, "a.onnx", "ok", "", 0.3, 400, 10, "true", "true"),
    (3, 1, HOSTILE_LAYER, "ok", "", 0.5, 100, 31, "true", "false"),
    (4, 2, HOSTILE_LAYER, "ok", "", 0.4, 200, 21, "true", "false"),
    (5, 4, HOSTILE_LAYER, "ok", "", 0.3, 400, 11, "false", "false"),
    (6, 8, "a.onnx", "failed", f"does not fit {HOSTILE}", "", "", "", "", "false"),
)


def save_sweep(folder: Path) -> Path:
    """Write the tables of a made-up sweep of seven points to `folder`; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "results.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([SWEEP_NAMES, *SWEEP_ROWS])
    about = {
        "written_by": "azsim sweep",
        "version": "0.1.0",
        "points": 7,
        "failed": 1,
        "axes": ["decoder.units", "model"],
        "objectives": {"latency": "minimize", "area_k_gates": "minimize"},
        "constraints": ["latency < 100"],
        "seeds": {"plan": 1},
    }
    (folder / "sweep.json").write_text(json.dumps(about), encoding="utf-8")
    return folder
