"""COMPUTE_REPORT.csv: SCALE-Sim's leading columns, values by hand, any name."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from report_cases import LAYER_COUNTERS, LAYERS, make_record, with_layers

from azsim.config import load_chip
from azsim.errors import ConfigError
from azsim.report.csv import write_compute_report
from azsim.report.record import RunRecord

pytestmark = pytest.mark.small
LEADING = (
    "LayerID, Total Cycles (incl. prefetch), Total Cycles, Stall Cycles, "
    "Overall Util %, Mapping Efficiency %, Compute Util %,"
)


def rows(record: RunRecord, folder: Path) -> list[dict[str, str]]:
    path = folder / "COMPUTE_REPORT.csv"
    write_compute_report(record, path)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, skipinitialspace=True, strict=True))


def test_the_header_begins_as_that_of_scale_sim(tmp_path: Path) -> None:
    rows(make_record(), tmp_path)
    header, first, *_ = (tmp_path / "COMPUTE_REPORT.csv").read_text(encoding="utf-8").split("\n")
    assert header.startswith(LEADING + "Name,Operator,Bound by,")
    assert not header.endswith(",")
    assert first.startswith("0, 4000, 4000, 2500, 0.0938, 100.0000, 0.2500,enc/x,Linear,decoder,")


def test_values_by_hand(tmp_path: Path) -> None:
    first, cell, transfers = rows(make_record(), tmp_path)
    # 80 nonzeros x 3 steps = 240 products, 64 per cycle: 0.09375 % of 4000 cycles, 0.25 % of 1500
    assert first == {
        "LayerID": "0",
        "Total Cycles (incl. prefetch)": "4000",
        "Total Cycles": "4000",
        "Stall Cycles": "2500",
        "Overall Util %": "0.0938",
        "Mapping Efficiency %": "100.0000",
        "Compute Util %": "0.2500",
        "Name": "enc/x",
        "Operator": "Linear",
        "Bound by": "decoder",
        "Lower Bound Cycles": "2200",
        "Cycles over Bound": "1.818",
        "Memory Cycles": "2000",
        "Decode Cycles": "4400",
        "MAC Cycles": "1500",
        "Vector Cycles": "100",
        "Rows": "16",
        "Columns": "10",
        "Bits": "5",
        "Weights": "160",
        "Nonzeros": "80",
        "Stream Bytes": "96",
    }
    assert cell["Stall Cycles"] == cell["Total Cycles"] == "600"
    assert (cell["Overall Util %"], cell["Compute Util %"]) == ("0.0000", "0.0000")
    assert transfers["Bound by"] == "memory"


@pytest.mark.parametrize(
    ("skip", "util"), [("none", "0.1875"), ("activation", "0.1875"), ("both", "0.0938")]
)
def test_zero_weights_count_where_they_are_multiplied(tmp_path: Path, skip: str, util: str) -> None:
    chip = load_chip("az1", [f"mac_array.skip={skip}"])
    assert rows(make_record(chip=chip), tmp_path)[0]["Overall Util %"] == util


def test_rows_that_leave_lanes_empty_lower_the_mapping(tmp_path: Path) -> None:
    infos = [replace(LAYERS[0], rows=9), *LAYERS[1:]]
    first = rows(with_layers(make_record(), infos, LAYER_COUNTERS), tmp_path)[0]
    assert first["Mapping Efficiency %"] == "56.2500"  # 9 of 16


def test_work_done_ahead_is_no_negative_stall(tmp_path: Path) -> None:
    counted = [replace(LAYER_COUNTERS[0], span_cycles=1000), *LAYER_COUNTERS[1:]]
    assert rows(with_layers(make_record(), LAYERS, counted), tmp_path)[0]["Stall Cycles"] == "0"


def test_any_name_is_read_back(tmp_path: Path) -> None:
    name = 'a, "b"\r\nc'
    infos = [replace(LAYERS[0], name=name), *LAYERS[1:]]
    read = rows(with_layers(make_record(), infos, LAYER_COUNTERS), tmp_path)
    assert [row["Name"] for row in read] == [name, "enc/cell", "input and output"]
    assert read[0]["Operator"] == "Linear"


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "none" / "report.csv"
    with pytest.raises(ConfigError) as caught:
        write_compute_report(make_record(), path)
    assert str(caught.value) == f"{path}: cannot be written: No such file or directory"
