"""The HTML page of a sweep: built from its tables, or refused in one line."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from command import azsim
from report_pages import HOSTILE, HOSTILE_LAYER, save_sweep

from azsim.report.html import sweep_data
from azsim.report.html.sweep_data import load_sweep
from azsim.report.html.sweep_page import sweep_page

pytestmark = pytest.mark.small


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page)
    data: dict[str, Any] = json.loads(text)
    return data


def test_the_page_holds_the_table(tmp_path: Path) -> None:
    folder = save_sweep(tmp_path / "sweep")
    done = azsim("report", folder)
    assert (done.code, done.out, done.err) == (0, f"written: {folder}/report.html\n", "")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert len(page.encode()) <= 6_000_000
    assert "<h1>Sweep sweep: 7 points</h1>" in page
    assert HOSTILE not in page
    assert HOSTILE_LAYER not in page
    data = data_of(page)
    assert data["points"] == [0, 1, 2, 3, 4, 5]  # the seventh failed
    assert data["front"] == [1, 1, 1, 0, 0, 0]
    assert data["feasible"] == [1, 1, 1, 1, 1, 0]
    names = [column["name"] for column in data["columns"]]
    assert names == ["decoder.units", "model", "latency", "area_k_gates", "real_time_factor"]
    assert [names[place] for place in data["axes"]] == ["decoder.units", "model"]
    assert [names[place] for place in data["objectives"]] == ["latency", "area_k_gates"]
    assert data["columns"][0]["values"] == [1, 2, 4, 1, 2, 4]
    assert data["columns"][2]["values"] == [30, 20, 10, 31, 21, 11]


def test_tables_of_the_page(tmp_path: Path) -> None:
    page = sweep_page(load_sweep(save_sweep(tmp_path)), "here")
    tables = {table.name: table for section in page.sections for table in section.tables}
    front = [[cell.text for cell in row] for row in tables["front-table"].rows]
    assert [row[0] for row in front] == ["2", "1", "0"]  # by latency
    assert front[0][-2:] == ["yes", "yes"]
    assert len(tables["points-table"].rows) == 6
    reason = [cell.text for cell in tables["failure-table"].rows[0]]
    assert reason == [f"does not fit {HOSTILE}", "1", "6"]


def test_more_points_than_a_page_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep_data, "MOST_POINTS", 4)
    sweep = load_sweep(save_sweep(tmp_path))
    assert sweep.points == [0, 1, 2, 3]  # the front first, then the plan's order
    assert sweep.left_out == 3
    assert sweep_page(sweep, "here").sections[0].texts == [
        "2 more points, none of the front, are in results.csv."
    ]


def refusal(folder: Path) -> str:
    done = azsim("report", folder)
    assert done.code == 2
    assert not (folder / "report.html").exists()
    return done.err.replace(f"{folder}/", "")


def test_damaged_tables_are_one_line(tmp_path: Path) -> None:
    results = save_sweep(tmp_path) / "results.csv"
    text = results.read_text()
    results.write_text(text.replace("latency", "delay"))
    assert refusal(tmp_path) == "azsim: results.csv: must have the column 'latency'\n"
    results.write_text(text + "1,2\n")
    assert refusal(tmp_path) == "azsim: results.csv:9: must have 10 columns, not 2\n"
    results.write_text(text.replace("\n3,", "\nthree,"))
    assert refusal(tmp_path) == "azsim: results.csv: 'point' must be a whole number\n"
    results.write_bytes(b"\xff\xfe")
    assert refusal(tmp_path) == "azsim: results.csv: must be a table as azsim writes it\n"
    results.write_text("")
    assert refusal(tmp_path) == "azsim: results.csv: must be a table as azsim writes it\n"


def test_a_damaged_description_is_one_line(tmp_path: Path) -> None:
    about = save_sweep(tmp_path) / "sweep.json"
    content = json.loads(about.read_text())
    about.write_text(json.dumps({**content, "objectives": {"latency": "shrink"}}))
    assert refusal(tmp_path) == (
        "azsim: sweep.json: 'objectives.latency': Input should be 'minimize' or 'maximize'\n"
    )
    about.write_text(json.dumps({**content, "written_by": "another tool"}))
    assert refusal(tmp_path) == (
        "azsim: sweep.json: 'written_by': Input should be 'azsim sweep' or 'azsim search'\n"
    )
    about.write_text("{")
    assert refusal(tmp_path) == "azsim: sweep.json: must be JSON as azsim writes it\n"


def test_a_sweep_in_which_everything_failed(tmp_path: Path) -> None:
    results = save_sweep(tmp_path) / "results.csv"
    with results.open(newline="") as file:
        names, *rows = csv.reader(file)
    with results.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([names, rows[-1]])
    assert azsim("report", tmp_path).code == 0
    assert data_of((tmp_path / "report.html").read_text(encoding="utf-8"))["points"] == []


def test_a_large_sweep_stays_below_six_megabytes(tmp_path: Path) -> None:
    """More points, columns and digits than a page can hold."""
    about = save_sweep(tmp_path) / "sweep.json"
    axes = [f"section.of_some_length_{number}" for number in range(8)]
    content = json.loads(about.read_text())
    about.write_text(json.dumps({**content, "points": 2600, "failed": 0, "axes": axes}))
    figures = [f"figure.of_some_length_{number}" for number in range(20)]
    ends = ["latency", "area_k_gates", "status", "error", "feasible", "on_front"]
    with (tmp_path / "results.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["point", *axes, *figures, *ends])
        for point in range(2600):
            values = [1e6 / (3 + point + place) for place in range(30)]
            front = "true" if point % 9 == 0 else "false"
            writer.writerow([point, *values, "ok", "", "true", front])
    assert azsim("report", tmp_path).code == 0
    assert 5_000_000 < (tmp_path / "report.html").stat().st_size <= 6_000_000
