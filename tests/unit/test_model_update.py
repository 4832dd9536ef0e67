"""`azsim diff`: the bytes of an update, and graphs that are not the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from command import azsim
from compress_models import dense_net, frames_file, mixed_net
from onnx import numpy_helper

from azsim.compress.update import HEADER_BYTES, RECORD_BYTES

SMALL_TILES = ("--set", "wbuf.slot_weights=1024")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A compressed net: 5 bits, half zeros, activations with grids."""
    net, frames = dense_net(tmp_path), frames_file(tmp_path, (1, 32))
    out = tmp_path / "old.onnx"
    words = ("--bits", 5, "--sparsity", 0.5, "-i", frames)
    assert azsim("compress-model", net, "-o", out, *words).code == 0
    return out


def changed(model: Path, name: str, change) -> Path:
    """A copy of a model with the array of one initializer changed in place."""
    copy = onnx.load(model)
    (tensor,) = [t for t in copy.graph.initializer if t.name == name]
    data = numpy_helper.to_array(tensor).copy()
    change(data)
    tensor.CopyFrom(numpy_helper.from_array(data, name))
    path = model.with_name("new.onnx")
    path.write_bytes(copy.SerializeToString())
    return path


def difference(*words: object) -> dict:
    done = azsim("diff", *words, "--json")
    assert (done.code, done.err) == (0, "")
    return json.loads(done.out)


def test_a_model_is_no_update_to_itself(old: Path) -> None:
    said = difference(old, old)
    assert (said["update_bytes"], said["changed_tiles"]) == (0, 0)
    assert said["full_bytes"] > 4000


@pytest.mark.parametrize("profile", ["none", "bitmap", "ans"])
def test_one_weight_is_one_tile(old: Path, profile: str) -> None:
    def negate(weights: np.ndarray) -> None:  # fc1 is (64, 64), inputs first
        place = tuple(np.argwhere(weights)[-1])
        weights[place] = -weights[place]

    new = changed(old, "w1_quantized", negate)
    said = difference(old, new, *SMALL_TILES, "--set", f"decoder.profile={profile}")
    rows = {row["name"]: row for row in said["layers"]}
    assert rows["fc1"]["tiles"] == 4
    if profile == "ans":  # a table may change, and all tiles with it
        assert rows["fc1"]["changed_tiles"] in (1, 4)
    else:
        assert rows["fc1"]["changed_tiles"] == 1
        assert rows["fc1"]["tile_bytes"] <= 1024 + 16
    assert [rows[name]["changed_tiles"] for name in ("fc0", "fc2")] == [0, 0]
    parts = sum(
        row["tile_bytes"] + row["table_bytes"] + row["other_bytes"] for row in rows.values()
    )
    records = sum(row["records"] for row in rows.values())
    assert said["update_bytes"] == HEADER_BYTES + parts + RECORD_BYTES * records
    assert said["update_bytes"] < 0.6 * said["full_bytes"]


def test_a_scale_is_parameters_only(old: Path) -> None:
    def double(scales: np.ndarray) -> None:
        scales[3] *= 2

    said = difference(old, changed(old, "w1_scale", double))
    rows = {row["name"]: row for row in said["layers"]}
    assert said["changed_tiles"] == 0
    assert rows["fc1"]["other_bytes"] > 0
    assert rows["fc0"]["other_bytes"] == 0
    assert rows["program"]["other_bytes"] == 0


def test_a_float_model_and_its_compressed_one(tmp_path: Path, old: Path) -> None:
    done = azsim("diff", tmp_path / "net.onnx", old, "-i", tmp_path / "f.npz")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split() == [
        "weights", "tiles", "changed", "tile", "bytes", "tables", "parameters", "update", "bytes",
    ]  # fmt: skip
    assert lines[1].split()[:3] == ["fc0", "1", "1"]
    assert lines[-1].startswith("update ")
    assert lines[-1].endswith(", on az1, decoder bitmap")


def test_graphs_that_differ_are_refused(tmp_path: Path, old: Path) -> None:
    wider = dense_net(tmp_path, widths=(32, 64, 48, 10), name="wider.onnx")
    longer = dense_net(tmp_path, widths=(32, 64, 64, 10, 10), name="longer.onnx")
    mixed = mixed_net(tmp_path)
    net = tmp_path / "net.onnx"
    refusals = {
        wider: "operator 4 must be 'fc1' (MatMul to (1, 64)), not 'fc1' (MatMul to (1, 48))",
        mixed: "operator 1 must be 'fc0' (MatMul to (1, 64)), not 'conv' (Conv to (1, 4, 4, 4))",
    }
    for model, text in refusals.items():
        done = azsim("diff", net, model)
        assert (done.code, done.out) == (2, "")
        assert done.err == f"azsim: {model}: must have the graph of {net}: {text}\n"
    done = azsim("diff", old, longer)
    assert done.err == (f"azsim: {longer}: must have the graph of {old}, of 8 operators, not 11\n")
    assert done.code == 2
