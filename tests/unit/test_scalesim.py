"""Topology files of SCALE-Sim: what is read, what is refused, and the cycles of their array."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from command import azsim
from hypothesis import given
from hypothesis import strategies as st

from azsim import api
from azsim.errors import AzsimError, ConfigError, ModelError
from azsim.frontend import (
    TopologyLayer,
    random_inputs,
    read_onnx,
    read_topology,
    topology_graph,
)
from azsim.validate import run_topology, scalesim_table

CONV = (
    "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, "
    "Strides,\n"
)
PRODUCTS = "Layer Name, M, N, K,\n"


def save(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return path


def read(folder: Path, text: str) -> tuple[TopologyLayer, ...]:
    return read_topology(save(folder, text))


@pytest.mark.small
def test_products_are_read(tmp_path: Path) -> None:
    text = PRODUCTS + "Test 1, 256, 128, 256,\n\n,,,,\r\n  L2 ,1,2,3\n"
    assert read(tmp_path, text) == (
        TopologyLayer("Test 1", 256, 128, 256),
        TopologyLayer("L2", 1, 2, 3),
    )


@pytest.mark.small
@pytest.mark.parametrize(
    ("row", "positions", "columns"),
    [
        ("224, 224, 11, 11, 3, 96, 4", 55 * 55, 363),  # one position more than ONNX has
        ("227, 227, 11, 11, 3, 96, 4", 55 * 55, 363),
        ("56, 56, 1, 1, 64, 96, 1", 56 * 56, 64),
        ("1, 4, 1, 1, 4, 96, 1", 4, 4),
        ("5, 9, 5, 3, 2, 96, 2", 4, 30),
    ],
)
def test_convolutions_are_unrolled(tmp_path: Path, row: str, positions: int, columns: int) -> None:
    (layer,) = read(tmp_path, f"{CONV}Conv1, {row},\n")
    assert layer == TopologyLayer("Conv1", positions, 96, columns)


@pytest.mark.small
def test_headers_may_differ_in_case_and_carry_notes(tmp_path: Path) -> None:
    header = "\ufeffLayer,ifmap  height,IFMAP Width,Filter Height,Filter Width,Channels,"
    text = header + "Num Filter,Strides,,,Eh,Ew\n,,,,,,,,,,,\nC,8,8,3,3,2,4,1,,,6,6\n"
    assert read(tmp_path, text) == (TopologyLayer("C", 36, 4, 18),)


BAD = [
    ("", "t.csv:1: header must begin with 'Layer name', not ''"),
    ("M, N, K\n", "t.csv:1: header must begin with 'Layer name', not 'M'"),
    ("Layer name, M, K, N,\n", "t.csv:1: column 3 must be 'N', not 'K'"),
    ("Layer name, M, N,\n", "t.csv:1: column 4 must be 'K', not ''"),
    ("Layer name, IFMAP Hight, x\n", "t.csv:1: column 2 must be 'IFMAP Height', not 'IFMAP Hight'"),
    (CONV.replace("Strides,", "Strides, Sparsity,") + "A,8,8,3,3,1,1,1,1:2,\n",
     "t.csv:1: must have no column behind 'Strides' (only dense layers are taken), not 'Sparsity'"),
    (PRODUCTS, "t.csv: must have a layer below its header, it has none"),
    (f"{PRODUCTS}A, -1, 2, 3,\n",
     "t.csv:2: M must be a whole number from 1 to 16777216, not '-1'"),
    (f"{PRODUCTS}A, 1, 2,\n", "t.csv:2: K must be a whole number from 1 to 16777216, not ''"),
    (f"{PRODUCTS}A, 1, 0, 3,\n", "t.csv:2: N must be a whole number from 1 to 16777216, not '0'"),
    (f"{PRODUCTS}A, 1, 2.5, 3,\n",
     "t.csv:2: N must be a whole number from 1 to 16777216, not '2.5'"),
    (f"{PRODUCTS}A, 1, 2, 99999999999999999999,\n",
     "t.csv:2: K must be a whole number from 1 to 16777216, not '99999999999999999999'"),
    (f"{PRODUCTS}A, 1, 2, ٣,\n", "t.csv:2: K must be a whole number from 1 to 16777216, not '٣'"),
    (f"{PRODUCTS}A, 1, 2, 3, 4,\n", "t.csv:2: must have 3 numbers, not also '4'"),
    (f"{PRODUCTS}, 1, 2, 3,\n", "t.csv:2: must begin with the name of a layer"),
    (f"{PRODUCTS}A, 1, 2, 3,\nA, 1, 2, 3,\n", "t.csv:3: layer name 'A' must be there once"),
    (f"{PRODUCTS}A, 100000, 2, 100000,\n",
     "t.csv:2: M x K must be at most 67108864, not 10000000000"),
    (f"{CONV}\nA, 8, 8, 9, 3, 1, 1, 1,\n",
     "t.csv:3: Filter Height must be at most IFMAP Height (8), not 9"),
    (f"{CONV}A, 8, 8, 3, 9, 1, 1, 1,\n",
     "t.csv:2: Filter Width must be at most IFMAP Width (8), not 9"),
    (f"{CONV}A, 8, 8, 3, 3, 1, 1, 0,\n",
     "t.csv:2: Strides must be a whole number from 1 to 16777216, not '0'"),
    (PRODUCTS + "".join(f"L{k},1,1,1,\n" for k in range(1001)),
     "t.csv:1002: must be one of at most 1000 layers"),
]  # fmt: skip


@pytest.mark.small
@pytest.mark.parametrize(("text", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_lines_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path, text)
    with pytest.raises(ModelError) as caught:
        read_topology("t.csv")
    assert str(caught.value) == message


@pytest.mark.small
def test_bad_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bytes.csv").write_bytes(b"Layer name, M, N, K,\n\xff\xfe, 1, 2, 3\n")
    Path("large.csv").write_bytes(b"," * ((1 << 20) + 1))
    Path("folder.csv").mkdir()
    for name, message in (
        ("none.csv", "none.csv: cannot be read: No such file or directory"),
        ("folder.csv", "folder.csv: must be a plain file"),
        ("bytes.csv", "bytes.csv: must be text in UTF-8"),
        ("large.csv", "large.csv: must be at most 1048576 bytes"),
    ):
        with pytest.raises(ModelError) as caught:
            read_topology(name)
        assert str(caught.value) == message


@pytest.mark.small
@given(text=st.text(alphabet='LayernmMNK ,"\n\r\0-1290', max_size=80), header=st.booleans())
def test_any_text_is_read_or_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, text: str, header: bool
) -> None:
    path = tmp_path_factory.mktemp("t") / "t.csv"
    path.write_bytes(((PRODUCTS if header else "") + text).encode())
    try:
        layers = read_topology(path)
    except AzsimError as caught:
        lines = str(caught).splitlines()
    else:
        lines = [layer.name for layer in layers[:1]]
    assert len(lines) == 1


@pytest.mark.small
def test_the_graph_is_dense_and_seeded(tmp_path: Path) -> None:
    layers = read(tmp_path, f"{PRODUCTS}A, 4, 8, 16,\nB, 2, 3, 5,\n")
    graph = topology_graph("t", layers)
    assert graph.inputs == ("A.x", "B.x")
    assert graph.outputs == ("A", "B")
    data = graph.values["A.w"].data
    assert data is not None
    assert data.shape == (16, 8)
    assert np.count_nonzero(data) == data.size
    again = topology_graph("t", layers).values["A.w"].data
    assert np.array_equal(data, np.asarray(again))
    assert random_inputs(graph, 3).frames["B.x"].shape == (3, 2, 5)


def test_golden_rows_are_exact() -> None:
    table = scalesim_table()
    assert table.passed
    assert [check.simulated for check in table.checks] == [11_199, 112_283]


@pytest.mark.parametrize(
    ("m", "n", "k"), [(1, 1, 17), (4, 33, 32), (100, 32, 33), (7, 96, 100), (64, 65, 31)]
)
def test_cycles_are_the_law_of_the_folds(tmp_path: Path, m: int, n: int, k: int) -> None:
    (run,) = run_topology(save(tmp_path, f"{PRODUCTS}A, {m}, {n}, {k},\n"))
    folds = -(-n // 32) * -(-k // 32)
    assert (run.folds, run.array_cycles) == (folds, folds * (2 * 32 + 32 + m - 2))


def test_another_array(tmp_path: Path) -> None:
    path = save(tmp_path, f"{PRODUCTS}A, 20, 40, 50,\n")
    (run,) = run_topology(
        path,
        ["mac_array.lanes=16", "mac_array.macs_per_lane=16", "mac_array.item_columns=16",
         "wbuf.slot_weights=256", "mac_array.fill_cycles=46"],
    )  # fmt: skip
    assert run.array_cycles == 3 * 4 * (2 * 16 + 16 + 20 - 2)


def test_run_takes_a_topology_without_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path, f"{CONV}Conv1, 6, 7, 3, 3, 2, 5, 2,\n")
    done = azsim("run", "t.csv", "--chip", "scalesim_ws", "--verify", "--no-cache", "-o", "out")
    assert (done.code, done.err) == (0, "")
    summary = json.loads(Path("out/summary.json").read_text(encoding="utf-8"))
    assert summary["input"] == "random numbers, seed 1"
    assert summary["seeds"] == {"weights": 1}
    assert summary["frames"] == 1
    with np.load("out/outputs.npz") as outputs:
        assert outputs["Conv1"].shape == (1, 9, 5)
    record = api.run("t.csv", chip="az1", frames=2, cache=False, timing_only=True)
    assert record.frames == 2
    with pytest.raises(ConfigError, match=r"^--frames: must be 1 to 100 for a topology, not 101$"):
        api.run("t.csv", frames=101, cache=False)


def test_validate_scalesim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path, f"{PRODUCTS}A, 4, 33, 32,\nlong name, 1, 1, 17,\n")
    done = azsim("validate", "scalesim", "t.csv")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "A                     195 cycles in 2 folds\nlong name              94 cycles in 1 folds\n"
    )
    shown = json.loads(azsim("validate", "scalesim", "t.csv", "--json").out)
    assert shown[0] == {"name": "A", "folds": 2, "compute_cycles": 195}
    done = azsim("validate", "scalesim", "--set", "mac_array.lanes=8")
    message = "azsim: --set: needs a topology; the golden rows are of one array\n"
    assert (done.code, done.err) == (2, message)


def test_a_topology_becomes_an_onnx_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path, f"{CONV}Conv 1, 6, 7, 3, 3, 2, 5, 2,\nFC, 1, 1, 1, 1, 30, 40, 1,\n")
    done = azsim("zoo", "topology", "t.csv", "-o", "t.onnx", "--frames", "t.npz")
    assert (done.code, done.out, done.err) == (0, "written: t.onnx (2 layers)\n", "")
    onnx.checker.check_model("t.onnx", full_check=True)
    graph = read_onnx("t.onnx")
    want = topology_graph("t.csv", read_topology("t.csv"))
    assert (graph.inputs, graph.outputs) == (want.inputs, want.outputs)
    assert [node.operator for node in graph.nodes] == ["MatMul", "MatMul"]
    for name, value in want.values.items():
        assert graph.values[name].shape == value.shape
        if value.data is not None:
            assert np.array_equal(value.data, np.asarray(graph.values[name].data))
    with np.load("t.npz", allow_pickle=False) as file:
        assert {name: file[name].shape for name in file.files} == {
            "Conv 1.x": (1, 9, 18), "FC.x": (1, 1, 30),
        }  # fmt: skip
    direct = api.run("t.csv", chip="tiny", cache=False, timing_only=True)
    read = api.run("t.onnx", input="t.npz", chip="tiny", cache=False, timing_only=True)
    assert direct.counters.counts == read.counters.counts
    same = azsim("zoo", "topology", "t.csv", "-o", "a", "--frames", "./a")
    message = "azsim: --frames: must be another file than --output\n"
    assert (same.code, same.err) == (2, message)
    assert not Path("a").exists()
