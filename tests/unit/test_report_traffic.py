"""Bytes of commands: by hand for every opcode, and against the machine's own counters."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from compiled import compile_file, integer_steps
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import INT64, ModelMaker
from report_cases import make_commands, make_record

from azsim.compiler import CompressionPlan
from azsim.config import ChipConfig, load_chip
from azsim.counters import TRAFFIC_NAMES
from azsim.engine import simulate
from azsim.engine.traffic import command_traffic, moved_bytes
from azsim.program import Program
from azsim.report.access import write_access_report
from azsim.report.layers import run_traffic
from azsim.report.record import RunRecord
from azsim.report.sparse import write_sparse_report
from azsim_kernels import isa

WINDOWS = {"channels": 5, "out_h": 2, "out_w": 3, "kernel_h": 2, "kernel_w": 2}
TEN, SHAPE = {"elements": 10}, {"shape0": 2, "shape1": 3, "shape2": 5, "shape3": 7}
NO_SKIP, LANES_4 = "mac_array.skip=none", "mac_array.lanes=4"


def moved(opcode: int, operands: dict[str, int], *overrides: str) -> dict[str, int]:
    """Bytes of one command on az1, fields without any left out."""
    arg = tuple(operands.get(name, 0) for name in isa.OPCODE_ARGS[opcode])
    commands = make_commands([(isa.OPCODE_ENGINE[opcode], opcode, 0, 0, arg, 0, 0)])
    program = make_record().program
    program = Program(**{**vars(program), "commands": commands})
    sums = dict.fromkeys(TRAFFIC_NAMES, 0)
    for name, numbers, sizes in command_traffic(program, load_chip("az1", overrides)):
        assert numbers.shape == sizes.shape
        sums[name] += int(sizes.sum())
    return {name: size for name, size in sums.items() if size}


@pytest.mark.small
class TestByHand:
    """One command each; az1 has accesses of 32 bytes, 8 lanes and items of one row per lane."""

    def test_transfers_are_rounded_outwards_on_the_bus_only(self) -> None:
        fetch = {"address": 8, "bytes": 64}
        assert moved(isa.FETCH, fetch) == {"dram_weight_read_bytes": 96}
        assert moved(isa.FETCH, {**fetch, "source": 1}) == {"store_read_bytes": 64}
        load = {"dram_address": 31, "bytes": 2}
        assert moved(isa.LOAD, load) == {
            "dram_parameter_read_bytes": 64,
            "abuf_dma_write_bytes": 2,
        }
        inside = {"dram_address": 543, "bytes": 1}  # the last byte of the input
        assert moved(isa.LOAD, inside) == {
            "dram_activation_read_bytes": 32,
            "abuf_dma_write_bytes": 1,
        }
        store = {"dram_address": 32, "bytes": 33}
        assert moved(isa.STORE, store) == {"dram_write_bytes": 64, "abuf_dma_read_bytes": 33}

    @pytest.mark.parametrize(
        ("table", "width", "row"),
        [(0, 32, 32), (64, 64, 64), (8, 32, 64), (0, 33, 64), (0, 34, 64), (1, 35, 96)],
    )
    def test_gathered_rows_take_at_most_what_the_worst_place_takes(
        self, table: int, width: int, row: int
    ) -> None:
        gather = {"table_address": table, "row_bytes": width, "indices": 3, "table_rows": 99}
        assert moved(isa.GATHER, gather) == {
            "dram_activation_read_bytes": 3 * row,
            "abuf_dma_read_bytes": 12,
            "abuf_dma_write_bytes": 3 * width,
        }
        places = table + width * np.arange(99)
        each = moved_bytes(places, np.full(99, width), 32)
        assert each.max() == row

    def test_tiles_are_written_with_their_padding_and_mask(self) -> None:
        for opcode in (isa.TILE, isa.RAW):
            assert moved(opcode, {"groups": 3}) == {
                "wbuf_weight_write_bytes": 768,
                "wbuf_mask_write_bytes": 96,
            }
            assert moved(opcode, {"groups": 3}, NO_SKIP) == {"wbuf_weight_write_bytes": 768}
        assert moved(isa.TABLE, {"slot": 1}) == {}

    def test_a_product_reads_an_activation_once_per_group_of_rows(self) -> None:
        product = {"rows": 17, "columns": 9, "activation_columns": 2, "clear": 1}
        expected = {
            "abuf_mac_read_bytes": 3 * 9 * 2,
            "wbuf_weight_read_bytes": 17 * 9 * 2,
            "wbuf_mask_read_bytes": 20 * 2,  # 153 bits
            "accumulator_write_bytes": 17 * 2 * 4,
        }
        assert moved(isa.PRODUCT, product) == expected
        more = moved(isa.PRODUCT, {**product, "clear": 0})
        assert more == {**expected, "accumulator_read_bytes": 17 * 2 * 4}
        assert moved(isa.PRODUCT, product, LANES_4)["abuf_mac_read_bytes"] == 5 * 9 * 2
        tall = "mac_array.item_rows_per_lane=2"
        assert moved(isa.PRODUCT, product, tall)["abuf_mac_read_bytes"] == 2 * 9 * 2
        whole = "mac_array.item_rows_per_lane=0"
        assert moved(isa.PRODUCT, product, whole)["abuf_mac_read_bytes"] == 9 * 2
        assert "wbuf_mask_read_bytes" not in moved(isa.PRODUCT, product, NO_SKIP)

    def test_rescale(self) -> None:
        rescale = {"rows": 5, "columns": 3, "dst_type": isa.INT16}
        expected = {
            "accumulator_read_bytes": 60,
            "abuf_parameter_read_bytes": 135,
            "abuf_vector_write_bytes": 30,
        }
        assert moved(isa.RESCALE, rescale) == expected
        added = {**rescale, "flags": isa.FLAG_ADDEND | isa.FLAG_RELU}
        assert moved(isa.RESCALE, added) == {**expected, "abuf_vector_read_bytes": 60}

    @pytest.mark.parametrize(
        ("opcode", "operands", "read", "written"),
        [
            (isa.COPY, {"element_bytes": 4, **SHAPE}, 840, 840),
            (isa.REQUANT, {**TEN, "src_type": 2, "dst_type": 0}, 40, 10),
            (isa.LUT, {**TEN, "src_type": 1, "dst_type": 0}, 20, 10),
            (isa.ADD, {**TEN, "a_type": 0, "b_type": 2, "dst_type": 1, "b_period": 1}, 50, 20),
            (isa.MUL, {**TEN, "a_type": 1, "b_type": 1, "dst_type": 0, "b_period": 10}, 40, 10),
            (isa.LSTM_CELL, {"hidden": 8}, 80, 24),
            (isa.SOFTMAX, {"rows": 3, "columns": 5}, 15, 15),
            (isa.LOG_SOFTMAX, {"rows": 3, "columns": 5}, 15, 15),
            (isa.EXTREME, {**TEN, "a_type": 0, "b_type": 2, "dst_type": 1, "b_period": 1}, 50, 20),
            (isa.SELECT, {**TEN, "element_bytes": 2, "cond_period": 1}, 50, 20),
            (isa.REDUCE, WINDOWS, 5 * 6 * 4, 30),
            (isa.ARGREDUCE, {"rows": 3, "columns": 5, "k": 2, "values": -1}, 30, 24),
            (isa.ARGREDUCE, {"rows": 3, "columns": 5, "k": 2, "values": 64}, 30, 30),
            (isa.LSTM_CELL, {"hidden": 8, "couple": 1}, 64, 24),
            (isa.GRU_CELL, {"hidden": 8}, 48, 24),
            (isa.GRU_CELL, {"hidden": 8, "reset": 1}, 80, 24),
        ],
        ids=lambda value: isa.OPCODE_NAMES[value] if isinstance(value, int) and value < 26 else "",
    )  # fmt: skip
    def test_other_vector_commands(
        self, opcode: int, operands: dict[str, int], read: int, written: int
    ) -> None:
        assert moved(opcode, operands) == {
            "abuf_vector_read_bytes": read,
            "abuf_vector_write_bytes": written,
        }

    @pytest.mark.parametrize(
        ("opcode", "operands", "read", "parameters", "written"),
        [
            (isa.LUT8, TEN, 10, 256, 10),
            (isa.DEPTHWISE, WINDOWS, 120, 120 + 9 * 30, 30),
            (isa.NORM, {"rows": 3, "columns": 5, "src_type": 1, "dst_type": 0}, 60, 120, 15),
        ],
    )
    def test_vector_commands_with_parameters(
        self, opcode: int, operands: dict[str, int], read: int, parameters: int, written: int
    ) -> None:
        assert moved(opcode, operands) == {
            "abuf_vector_read_bytes": read,
            "abuf_parameter_read_bytes": parameters,
            "abuf_vector_write_bytes": written,
        }

    def test_pack(self) -> None:
        pack = {"rows": 3, "columns": 5}
        expected = {"abuf_vector_read_bytes": 15, "wbuf_weight_write_bytes": 15}
        assert moved(isa.PACK, pack) == {**expected, "wbuf_mask_write_bytes": 2}
        assert moved(isa.PACK, pack, NO_SKIP) == expected


@pytest.mark.small
@given(st.integers(0, 1000), st.integers(0, 300), st.sampled_from([8, 32, 64]))
def test_rounding_counts_the_accesses_that_hold_a_byte(begin: int, size: int, access: int) -> None:
    touched = {place // access for place in range(begin, begin + size)}
    if size:
        found = moved_bytes(np.array([begin]), np.array([size]), access)
        assert found.tolist() == [access * len(touched)]


def save_net(folder: Path, table_width: int) -> Path:
    """Layers of odd sizes, one weight used twice, an addition, a softmax, rows of a table."""
    rng = np.random.default_rng(7)
    maker = ModelMaker()
    x, index = maker.input("x", (3, 37)), maker.input("i", (5,), INT64)
    first = maker.tensor("w1", rng.normal(size=(37, 53)))
    second = maker.tensor("w2", rng.normal(size=(53, 37)))
    row = maker.tensor("row", rng.normal(size=(53,)))
    table = maker.tensor("table", rng.normal(size=(50, table_width)))
    maker.node("MatMul", [x, first], ["a"], name="one")
    maker.node("Add", ["a", row], ["b"], name="plus")
    maker.node("Softmax", ["b"], ["c"], axis=-1, name="soft")
    maker.node("MatMul", ["c", second], ["d"], name="two")
    maker.node("MatMul", ["d", first], ["y"], name="three")
    maker.node("Gather", [table, index], ["rows"], axis=0, name="table")
    maker.output("y")
    maker.output("rows")
    return maker.save(folder)


def run(path: Path, chip: ChipConfig) -> RunRecord:
    rng = np.random.default_rng(3)
    feeds = {
        "x": rng.normal(size=(2, 3, 37)).astype(np.float32),
        "i": rng.integers(0, 50, (2, 5)),
    }
    compiled, _ = compile_file(path, feeds, chip, CompressionPlan(5, 0.5))
    steps = integer_steps(compiled.program, feeds, 2)
    result = simulate(compiled.program, chip, steps)
    return make_record(
        chip=chip, program=compiled.program, counters=result.counters, integers=result.outputs
    )


@pytest.mark.parametrize("width", [32, 20])
@pytest.mark.parametrize(
    ("chip", "overrides"),
    [
        ("az1", ()),
        ("az1", ("weight_store.capacity_kb=1", "mac_array.skip=both", "decoder.units=3")),
        ("dense", ("weight_store.capacity_kb=0",)),
        ("tiny", ()),
    ],
)
def test_totals_are_those_of_the_machine(
    tmp_path: Path, chip: str, overrides: tuple[str, ...], width: int
) -> None:
    record = run(save_net(tmp_path, width), load_chip(chip, overrides))
    counters, counts = record.counters, record.counters.counts
    reads = run_traffic(
        record, "dram_weight_read_bytes", "dram_activation_read_bytes", "dram_parameter_read_bytes"
    )
    if width == 32:  # all rows of the table lie alike on the accesses
        assert reads == counters.dram_bytes_read
    else:
        assert counters.dram_bytes_read <= reads
    assert run_traffic(record, "dram_write_bytes") == counters.dram_bytes_written > 0
    assert run_traffic(record, "store_read_bytes") == counts["store_bytes"]
    products = counts["mac_products_done"] + counts["mac_products_skipped"]
    assert run_traffic(record, "wbuf_weight_read_bytes") == products > 0
    assert run_traffic(record, "accumulator_read_bytes") > 0
    for layer in counters.layers:
        assert layer.dram_bytes == layer.traffic.dram_bytes


def test_the_reports_of_a_real_run_agree_with_each_other(tmp_path: Path) -> None:
    record = run(save_net(tmp_path, 32), load_chip("az1", ["weight_store.capacity_kb=1"]))
    write_access_report(record, tmp_path / "access.csv")
    write_sparse_report(record, tmp_path / "sparse.csv")
    accesses, sparse = (read(tmp_path / name) for name in ("access.csv", "sparse.csv"))
    by_name = {row["Name"]: row for row in accesses}
    peak_bytes, per_cycles = record.chip.memory_peak
    peak = peak_bytes / per_cycles
    for row in sparse:
        moved_row, metadata = by_name[row["Name"]], row["Filter Metadata Storage"]
        assert 0 <= int(metadata) <= int(row["New Storage (Filter+Metadata)"])
        if row["Operator"] == "Linear":
            assert int(moved_row["WBUF Fill Writes"]) >= int(row["Weights"])
            assert int(moved_row["Accumulator Writes"]) > 0
    for row in accesses:
        for kind in ("IFMAP", "Filter"):
            start, stop = row[f"DRAM {kind} Start Cycle"], row[f"DRAM {kind} Stop Cycle"]
            if start:
                assert 0 <= int(start) <= int(stop) < record.counters.step_cycles[0]
                moved_bytes = int(row[f"DRAM {kind} Reads"])
                assert moved_bytes <= peak * (int(stop) - int(start) + 1)
    assert by_name["table"]["DRAM IFMAP Reads"] == str(5 * 32)
    assert by_name["input and output"]["DRAM OFMAP Writes"] != "0"


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, skipinitialspace=True))
