"""The weight path in summary.json, in its table, on the screen and as figures."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_cases import make_record
from rich.console import Console

from azsim.counters import LaneSpreads
from azsim.engine.cuts import before_cuts, layer_ends
from azsim.errors import ConfigError
from azsim.report.compare import compare
from azsim.report.record import RunRecord
from azsim.report.summary import build_summary
from azsim.report.weight_path import write_weight_path_report
from azsim.report.weight_path_console import print_weight_path
from azsim.report.weight_path_figure import draw_lanes, draw_weight_path, save_lanes

pytestmark = pytest.mark.small


@pytest.fixture
def record() -> RunRecord:
    return make_record()


def test_the_summary(record: RunRecord) -> None:
    path = build_summary(record)["weight_path"]
    assert path["cycles"] == 1000
    assert path["units"]["lanes"] == {
        "count": 8, "busy": 816, "starved": 168, "blocked": 120, "waiting": 96, "idle": 6800,
    }  # fmt: skip
    assert path["what_if"] == {"memory": 140, "decoder": 1000, "mac": 997, "slots": None}
    first, _, last = path["layers"]
    assert (first["name"], first["span_cycles"], first["products"]) == ("enc/x", 140, 2)
    assert (first["lane_spread_cycles"], first["lane_spread_max_cycles"]) == (13, 10)
    assert first["lane_spread_histogram"] == [0, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    assert first["what_if"] == {"memory": 90, "decoder": 140, "mac": 139, "slots": None}
    assert (last["products"], last["lane_spread_cycles"]) == (0, 0)
    for layer in (first, last):
        for unit in layer["units"].values():
            assert sum(unit.values()) - unit["count"] == layer["span_cycles"] * unit["count"]


def test_the_table(record: RunRecord, tmp_path: Path) -> None:
    write_weight_path_report(record, tmp_path / "report.csv")
    with (tmp_path / "report.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 6
    lanes = rows[4]
    assert list(lanes.values()) == [
        "0", "enc/x", "lanes", "8", "140", "800", "56", "40", "32", "192", "139", "2", "6.5000",
        "10",
    ]  # fmt: skip
    assert rows[0]["Unlimited Span Cycles"] == "90"
    assert rows[3]["Unlimited Span Cycles"] == ""  # slots could not be simulated
    assert [row["Products"] for row in rows[10:17:6]] == ["0", "0"]


def test_the_screen(record: RunRecord) -> None:
    text = io.StringIO()
    print_weight_path(record, Console(file=text, width=80))
    lines = text.getvalue().splitlines()
    assert "weight path, first pass, 1,000 cycles" in lines
    assert [line.split() for line in lines if line.startswith("lanes")] == [
        ["lanes", "8", "10.2", "%", "2.1", "%", "1.5", "%", "1.2", "%", "85.0", "%"]
    ]
    assert ["enc/x", "140", "90", "140", "139", "-", "6.5"] in [line.split() for line in lines]
    assert lines[-1].split() == ["all", "1,000", "140", "1,000", "997", "-", "6.5"]


def test_a_run_without_it(record: RunRecord, tmp_path: Path) -> None:
    plain = replace(record, weight_path=None)
    assert build_summary(plain)["weight_path"] is None
    write_weight_path_report(plain, tmp_path / "report.csv")
    assert not (tmp_path / "report.csv").exists()
    text = io.StringIO()
    print_weight_path(plain, Console(file=text))
    assert text.getvalue() == ""
    with pytest.raises(ConfigError, match=r"^the run must have been made with its weight path"):
        save_lanes(plain, tmp_path / "lanes.png")


def test_a_comparison_leaves_the_layers_of_the_path_out(record: RunRecord) -> None:
    path = record.weight_path
    assert path is not None
    other = replace(record, weight_path=replace(path, what_if={}))
    names = {
        change.name for change in compare(build_summary(record), build_summary(other)).counters
    }
    assert names == {f"weight_path.what_if.{name}" for name in ("memory", "decoder", "mac")}


def test_bars_of_a_group_end_at_100_percent(record: RunRecord) -> None:
    path = record.weight_path
    assert path is not None
    axes = draw_weight_path(record, path).axes[0]
    boxes = [len(collection.get_paths()) for collection in axes.collections]
    assert boxes == [4 * 6] * 5  # all layers and three layers, six units, five classes
    last = np.array([p.vertices[:, 0].max() for p in axes.collections[-1].get_paths()])
    np.testing.assert_allclose(last, 100)
    assert [tick.get_text() for tick in axes.get_yticklabels()][:2] == ["all layers", "enc/x"]


def test_histograms(record: RunRecord) -> None:
    path = record.weight_path
    assert path is not None
    axes = draw_lanes(record, path).axes
    assert [a.get_title(loc="left") for a in axes] == ["enc/x\nmean 6.5 of 10.0 cycles", "", "", ""]
    none = np.zeros(0, np.int64)
    empty = replace(path, lanes=LaneSpreads(none, none, none, none))
    assert [t.get_text() for t in draw_lanes(record, empty).axes[0].texts] == [
        "no PRODUCT in this step"
    ]


@given(
    sizes=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12),
    cuts=st.lists(st.integers(0, 80), min_size=1, max_size=6),
)
def test_intervals_are_cut_exactly(sizes: list[tuple[int, int]], cuts: list[int]) -> None:
    begin, end, at = [], [], 0
    for gap, length in sizes:
        begin.append(at + gap)
        at += gap + length
        end.append(at)
    got = before_cuts(np.array(begin, int), np.array(end, int), np.array(cuts))
    inside = [t for b, e in zip(begin, end, strict=True) for t in range(b, e)]
    assert got.tolist() == [sum(t < cut for t in inside) for cut in cuts]


def test_a_layer_ends_with_its_last_result_or_one_before() -> None:
    ends = layer_ends(np.array([2, 0, 1, 0]), np.array([9, 4, 3, 1]), 4)
    assert ends.tolist() == [4, 4, 9, 9]
