"""Tiles, accumulator blocks and addresses, on small graphs and as properties."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from compiled import compile_file
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import ModelMaker, lstm_tensors

from azsim.compiler import CompressionPlan
from azsim.compiler.place import place_graph
from azsim.compiler.tile import tile_graph, verify_tiling
from azsim.config import ChipConfig, load_chip
from azsim.errors import CompileError
from azsim.graph.integer import IntegerGraph, IntegerKind, IntegerTensor, Linear

pytestmark = pytest.mark.small


def linear_graph(rows: int, columns: int, m: int) -> IntegerGraph:
    """One Linear node of zeros."""
    zeros = np.zeros(rows, np.int32)
    node = Linear(
        "n", "x", "y", np.zeros((rows, columns), np.int8), 8, zeros, zeros.astype(np.int8), zeros
    )
    tensors = {
        "x": IntegerTensor("x", (m, columns), "int8", 1.0, 0, IntegerKind.INPUT),
        "y": IntegerTensor("y", (m, rows), "int8", 1.0),
    }
    return IntegerGraph("g", (node,), tensors, ("x",), ("y",))


def chip_with(lanes: int, slot: int, accumulators: int) -> ChipConfig:
    return load_chip(
        "tiny",
        [
            f"mac_array.lanes={lanes}",
            f"wbuf.slot_weights={slot}",
            f"mac_array.accumulators_per_lane={accumulators}",
        ],
    )


@given(
    rows=st.integers(1, 90),
    columns=st.integers(1, 700),
    m=st.integers(1, 20),
    lanes=st.sampled_from([1, 2, 4, 8, 16]),
    slot=st.sampled_from([256, 512, 2048]),
    accumulators=st.integers(2, 40),
)
def test_tiles_and_blocks_cover_the_matrix_once(
    rows: int, columns: int, m: int, lanes: int, slot: int, accumulators: int
) -> None:
    chip = chip_with(lanes, slot, accumulators)
    graph = linear_graph(rows, columns, m)
    tilings = tile_graph(graph, chip)
    verify_tiling(graph, tilings, chip)
    tiling = tilings["n"]
    assert [b for b, _ in tiling.blocks()] + [rows] == [0] + [e for _, e in tiling.blocks()]
    assert [b for b, _ in tiling.chunks()] + [m] == [0] + [e for _, e in tiling.chunks()]
    down, across = tiling.grid
    assert (down - 1) * tiling.tile_rows < rows <= down * tiling.tile_rows
    assert (across - 1) * tiling.tile_columns < columns <= across * tiling.tile_columns


def test_one_accumulator_is_too_few() -> None:
    chip = chip_with(4, 512, 1)
    message = r"^mac_array\.accumulators_per_lane: must be 2 or more for two halves$"
    with pytest.raises(CompileError, match=message):
        tile_graph(linear_graph(4, 4, 1), chip)


def lstm_model(folder: Path, read_state_late: bool) -> Path:
    rng = np.random.default_rng(0)
    maker = ModelMaker()
    maker.input("x", (1, 1, 8))
    for name in ("h", "c"):
        maker.input(name, (1, 1, 16))
    weights = lstm_tensors(maker, rng, 8, 16)
    maker.node("LSTM", ["x", *weights, "", "h", "c"], ["", "h2", "c2"], hidden_size=16)
    maker.node("Add", ["h2", "h" if read_state_late else "h2"], ["y"])
    for name in ("h2", "c2", "y"):
        maker.output(name)
    maker.metadata["azsim.state"] = json.dumps({"h": "h2", "c": "c2"})
    return maker.save(folder)


@pytest.mark.parametrize("late", [False, True])
def test_a_state_is_computed_in_place_unless_somebody_reads_the_old_value(
    tmp_path: Path, late: bool
) -> None:
    chip = load_chip("tiny")
    feeds = {"x": np.random.default_rng(1).normal(size=(2, 1, 1, 8)).astype(np.float32)}
    compiled, _ = compile_file(lstm_model(tmp_path, late), feeds, chip, CompressionPlan())
    graph = compiled.integers
    placement = place_graph(graph, tile_graph(graph, chip), chip)
    assert placement.address["c2"] == placement.address["c"]
    assert (placement.address["h2"] == placement.address["h"]) is not late
    assert placement.copies == ((("h2", "h"),) if late else ())


def test_live_tensors_never_share_bytes(tmp_path: Path) -> None:
    chip = load_chip("tiny")
    feeds = {"x": np.random.default_rng(1).normal(size=(2, 1, 1, 8)).astype(np.float32)}
    compiled, _ = compile_file(lstm_model(tmp_path, True), feeds, chip, CompressionPlan())
    places = place_graph(compiled.integers, tile_graph(compiled.integers, chip), chip)
    forever = [(places.address[n], 16 * w) for n, w in (("h", 1), ("c", 2))]
    forever += [(address, places.parameter_bytes) for address in places.parameters]
    forever.sort()
    for (address, size), (following, _) in pairwise(forever):
        assert address + size <= following


def test_a_graph_too_large_for_abuf_is_refused(tmp_path: Path) -> None:
    chip = load_chip("tiny", ["abuf.capacity_kb=1"])
    feeds = {"x": np.zeros((1, 1, 1, 8), np.float32)}
    message = r"^ABUF: '[^']+' \(\d+ bytes\) needs \d+ bytes, the chip has 1024$"
    with pytest.raises(CompileError, match=message):
        compile_file(lstm_model(tmp_path, False), feeds, chip, CompressionPlan())


def test_a_model_too_large_for_dram_is_refused(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (1, 1200))
    maker.tensor("w", np.random.default_rng(0).normal(size=(1200, 1000)))
    maker.node("MatMul", ["x", "w"], ["y"])
    maker.output("y")
    chip = load_chip("tiny", ["memory.capacity_mb=1"])
    feeds = {"x": np.ones((1, 1, 1200), np.float32)}
    message = r"^memory\.capacity_mb: '[^']+' needs \d+ bytes of DRAM, the chip has 1048576$"
    with pytest.raises(CompileError, match=message):
        compile_file(maker.save(tmp_path), feeds, chip, CompressionPlan())
