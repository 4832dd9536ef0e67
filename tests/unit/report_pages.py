"""Folders of runs for tests of HTML pages, with names that try to break out of a page."""

from __future__ import annotations

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
