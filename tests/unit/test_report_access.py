"""Reports of accesses, bandwidth and sparsity: SCALE-Sim's columns, values by hand."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from report_cases import (
    COMMANDS,
    LAYER_COUNTERS,
    LAYERS,
    TRAFFIC,
    make_commands,
    make_record,
    with_layers,
    without_steps,
)

from azsim.config import load_chip
from azsim.counters import TRAFFIC_NAMES
from azsim.report.access import Access, layer_accesses, write_access_report, write_bandwidth_report
from azsim.report.record import RunRecord
from azsim.report.sparse import write_sparse_report
from azsim_kernels import isa

pytestmark = pytest.mark.small
Write = Callable[[RunRecord, Path], None]
# Word for word as scalesim/simulator.py of SCALE-Sim v3 writes them.
DETAILED = (
    "LayerID, SRAM IFMAP Start Cycle, SRAM IFMAP Stop Cycle, SRAM IFMAP Reads, SRAM Filter Start "
    "Cycle, SRAM Filter Stop Cycle, SRAM Filter Reads, SRAM OFMAP Start Cycle, SRAM OFMAP Stop "
    "Cycle, SRAM OFMAP Writes, DRAM IFMAP Start Cycle, DRAM IFMAP Stop Cycle, DRAM IFMAP Reads, "
    "DRAM Filter Start Cycle, DRAM Filter Stop Cycle, DRAM Filter Reads, DRAM OFMAP Start Cycle, "
    "DRAM OFMAP Stop Cycle, DRAM OFMAP Writes,"
)
BANDWIDTH = (
    "LayerID, Avg IFMAP SRAM BW, Avg FILTER SRAM BW, Avg OFMAP SRAM BW, Avg IFMAP DRAM BW, "
    "Avg FILTER DRAM BW, Avg OFMAP DRAM BW,"
)
BANDWIDTH_SPARSE = (
    "LayerID, Avg IFMAP SRAM BW, Avg FILTER SRAM BW, Avg FILTER Metadata SRAM BW, Avg OFMAP SRAM "
    "BW, Avg IFMAP DRAM BW, Avg FILTER DRAM BW, Avg OFMAP DRAM BW,"
)
SPARSE = (
    "LayerID, Sparsity Representation, Original Filter Storage, New Storage (Filter+Metadata), "
    "Filter Metadata Storage, Avg FILTER Metadata SRAM BW,"
)


def rows(write: Write, record: RunRecord, folder: Path) -> list[dict[str, str]]:
    path = folder / "REPORT.csv"
    write(record, path)
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, skipinitialspace=True, strict=True))


def header(write: Write, record: RunRecord, folder: Path) -> str:
    write(record, folder / "REPORT.csv")
    return (folder / "REPORT.csv").read_text(encoding="utf-8").split("\n")[0]


@pytest.mark.parametrize(
    ("write", "chip", "leading"),
    [
        (write_access_report, "az1", DETAILED),
        (write_access_report, "dense", DETAILED),
        (write_bandwidth_report, "az1", BANDWIDTH_SPARSE),
        (write_bandwidth_report, "dense", BANDWIDTH),
        (write_sparse_report, "az1", SPARSE),
        (write_sparse_report, "dense", SPARSE),
    ],
)
def test_headers_begin_as_those_of_scale_sim(
    tmp_path: Path, write: Write, chip: str, leading: str
) -> None:
    found = header(write, make_record(chip=load_chip(chip)), tmp_path)
    assert found.startswith(leading + "Name,Operator,")
    assert not found.endswith(",")


def test_accesses_by_hand(tmp_path: Path) -> None:
    matrix, cell, transfers = rows(write_access_report, make_record(), tmp_path)
    expected = {
        "SRAM IFMAP": ("100", "129", "20"),  # two products of 10 activations
        "SRAM Filter": ("100", "129", "160"),
        "SRAM OFMAP": ("130", "139", "16"),
        "DRAM IFMAP": ("", "", "0"),
        "DRAM Filter": ("1", "119", "96"),  # until the second decoder has its last word
        "DRAM OFMAP": ("", "", "0"),
        "Weight Store": ("", "", "0"),
        "DRAM Parameter": ("", "", "0"),
        "WBUF Fill": ("3", "119", "512"),
    }
    for name, (start, stop, size) in expected.items():
        kind = "Writes" if name in ("SRAM OFMAP", "DRAM OFMAP", "WBUF Fill") else "Reads"
        assert matrix[f"{name} Start Cycle"] == start, name
        assert matrix[f"{name} Stop Cycle"] == stop, name
        assert matrix[f"{name} {kind}"] == size, name
    assert (matrix["SRAM Mask Reads"], matrix["SRAM Mask Writes"]) == ("20", "64")
    assert matrix["SRAM Parameter Reads"] == "144"
    assert (matrix["Accumulator Reads"], matrix["Accumulator Writes"]) == ("64", "64")
    assert (cell["SRAM IFMAP Reads"], cell["SRAM OFMAP Writes"]) == ("40", "12")
    assert (cell["SRAM IFMAP Start Cycle"], cell["SRAM OFMAP Stop Cycle"]) == ("140", "159")
    assert (transfers["DRAM IFMAP Stop Cycle"], transfers["DRAM IFMAP Reads"]) == ("69", "32")
    assert (transfers["DRAM OFMAP Stop Cycle"], transfers["DRAM OFMAP Writes"]) == ("999", "32")
    assert (transfers["SRAM DMA Reads"], transfers["SRAM DMA Writes"]) == ("16", "32")


def test_the_first_step_is_a_third_of_the_run() -> None:
    for accesses, traffic in zip(layer_accesses(make_record()), TRAFFIC, strict=True):
        for name in TRAFFIC_NAMES:
            assert 3 * accesses.of((name,)).bytes == getattr(traffic, name), name


def test_other_loads_are_parameters_and_other_streams_come_from_the_store(tmp_path: Path) -> None:
    changed = [list(row) for row in COMMANDS]
    changed[0][4] = (480, 0, 32)  # in front of the input
    changed[1][4] = (0, 64, 1)
    record = make_record()
    record = replace(record, program=replace(record.program, commands=make_commands(changed)))
    matrix, _, transfers = rows(write_access_report, record, tmp_path)
    assert transfers["DRAM IFMAP Reads"] == "0"
    assert (transfers["DRAM Parameter Stop Cycle"], transfers["DRAM Parameter Reads"]) == (
        "69", "32",
    )  # fmt: skip
    assert (matrix["Weight Store Start Cycle"], matrix["Weight Store Stop Cycle"]) == ("1", "99")
    assert (matrix["Weight Store Reads"], matrix["DRAM Filter Reads"]) == ("64", "32")


def test_bandwidths_by_hand(tmp_path: Path) -> None:
    matrix, cell, transfers = rows(write_bandwidth_report, make_record(), tmp_path)
    assert matrix["Avg IFMAP SRAM BW"] == "0.6667"  # 20 bytes in 30 cycles
    assert matrix["Avg FILTER SRAM BW"] == "5.3333"
    assert matrix["Avg FILTER Metadata SRAM BW"] == "0.6667"
    assert matrix["Avg OFMAP SRAM BW"] == "1.6000"
    assert matrix["Avg FILTER DRAM BW"] == "0.8067"  # 96 bytes in 119 cycles
    assert matrix["Avg WBUF Fill BW"] == "4.3761"
    assert cell["Avg FILTER DRAM BW"] == "0.0000"
    assert transfers["Avg OFMAP DRAM BW"] == "0.0381"  # 32 bytes in 840 cycles


def test_a_chip_that_skips_no_zero_weights_reads_no_masks(tmp_path: Path) -> None:
    chip = load_chip("az1", ["mac_array.skip=activation"])
    matrix = rows(write_access_report, make_record(chip=chip), tmp_path)[0]
    assert (matrix["SRAM Mask Reads"], matrix["SRAM Mask Writes"]) == ("0", "0")
    assert matrix["SRAM Filter Reads"] == "160"


def test_accesses_join_where_both_moved_something() -> None:
    one, other, none = Access(5, 9, 3), Access(2, 6, 4), Access()
    assert one.joined(other) == Access(2, 9, 7)
    assert one.joined(none) == none.joined(one) == one
    assert none.joined(none) == none
    assert (one.cycles, none.cycles) == (5, 0)


@pytest.mark.parametrize(
    "write", [write_access_report, write_bandwidth_report, write_sparse_report]
)
def test_a_run_without_steps_moved_nothing(tmp_path: Path, write: Write) -> None:
    read = rows(write, without_steps(make_record()), tmp_path)
    assert [row["Name"] for row in read] == [layer.name for layer in LAYERS]
    assert read[0].get("DRAM Filter Reads", "0") == "0"
    assert read[0].get("Avg FILTER DRAM BW", "0.0000") == "0.0000"


@pytest.mark.parametrize(
    "write", [write_access_report, write_bandwidth_report, write_sparse_report]
)
def test_any_name_is_read_back(tmp_path: Path, write: Write) -> None:
    name = 'a, "b"\r\nc'
    infos = [replace(LAYERS[0], name=name), *LAYERS[1:]]
    read = rows(write, with_layers(make_record(), infos, LAYER_COUNTERS), tmp_path)
    assert [row["Name"] for row in read] == [name, "enc/cell", "input and output"]


def test_sparse_by_hand(tmp_path: Path) -> None:
    matrix, cell, _ = rows(write_sparse_report, make_record(), tmp_path)
    assert matrix == {
        "LayerID": "0",
        "Sparsity Representation": "bitmap",
        "Original Filter Storage": "160",
        "New Storage (Filter+Metadata)": "96",
        "Filter Metadata Storage": "48",  # two headers of 8 bytes, one mask of 32
        "Avg FILTER Metadata SRAM BW": "0.6667",
        "Name": "enc/x",
        "Operator": "Linear",
        "Bits": "5",
        "Weights": "160",
        "Nonzeros": "80",
        "Bits per Weight": "4.8000",
        "Entropy Bits per Weight": "3.5000",
        "Tiles": "2",
        "Tiles with Mask": "1",
        "Empty Tiles": "0",
        "Weight Store Bytes": "33",
    }
    assert cell["Sparsity Representation"] == ""
    assert cell["Original Filter Storage"] == cell["New Storage (Filter+Metadata)"] == "0"
    assert cell["Filter Metadata Storage"] == "0"


def with_header(word: int, *commands: int) -> RunRecord:
    """The run with another first word of its second tile, and some commands repeated."""
    record = make_record()
    dram = record.program.dram.copy()
    dram[64:72].view("<u8")[0] = word
    again = record.program.commands[list(range(len(COMMANDS))) + list(commands)]
    return replace(record, program=replace(record.program, dram=dram, commands=again))


@pytest.mark.parametrize(
    ("word", "metadata", "masked", "empty"),
    [
        (3 | 1 << 18, "48", "1", "1"),  # EMPTY
        (1 | 4 << 18 | 2 << 10, "144", "2", "0"),  # RAW of three groups
        (2 | 4 << 18, "", "2", "0"),  # a CODED mask
        (0 | 1 << 2 | 4 << 18, "", "1", "0"),  # CODED values
        (1 | 1 << 3 | 4 << 18, "80", "2", "0"),  # FIXED values of a palette
    ],
)
def test_the_headers_say_what_is_metadata(
    tmp_path: Path, word: int, metadata: str, masked: str, empty: str
) -> None:
    row = rows(write_sparse_report, with_header(word), tmp_path)[0]
    assert row["Filter Metadata Storage"] == metadata
    assert (row["Tiles with Mask"], row["Empty Tiles"]) == (masked, empty)


def test_a_tile_that_is_fetched_twice_is_stored_once(tmp_path: Path) -> None:
    row = rows(write_sparse_report, with_header(4 << 18, 1, 2), tmp_path)[0]
    assert (row["Tiles"], row["Filter Metadata Storage"]) == ("2", "48")


def test_tables_are_metadata_and_no_tiles(tmp_path: Path) -> None:
    record = make_record()
    commands = np.concatenate([record.program.commands, record.program.commands[1:2]])
    commands[-1]["arg"][: len(isa.FETCH_ARGS)] = (256, 168, 0)
    record = replace(record, program=replace(record.program, commands=commands))
    row = rows(write_sparse_report, record, tmp_path)[0]
    assert (row["Tiles"], row["Filter Metadata Storage"]) == ("2", "216")


def test_tiles_of_the_store_and_chips_without_decoder(tmp_path: Path) -> None:
    record = make_record()
    program = record.program
    commands, tiles = program.commands.copy(), program.tiles.copy()
    commands[1]["arg"][: len(isa.FETCH_ARGS)] = (8, 64, 1)
    tiles[0]["address"], tiles[0]["source"] = 8, 1
    store = np.zeros(72, np.uint8)
    store[8:16].view("<u8")[0] = 3 | 1 << 18
    record = replace(record, program=replace(program, commands=commands, tiles=tiles, store=store))
    assert rows(write_sparse_report, record, tmp_path)[0]["Empty Tiles"] == "1"
    plain = rows(write_sparse_report, make_record(chip=load_chip("dense")), tmp_path)[0]
    assert plain["Sparsity Representation"] == "none"
    assert (plain["Tiles"], plain["Filter Metadata Storage"]) == ("2", "0")
    assert plain["Avg FILTER Metadata SRAM BW"] == "0.0000"
