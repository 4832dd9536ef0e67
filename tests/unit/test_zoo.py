"""Are the shipped nets what their table says: sizes, grid, zeros, states; are they lively?"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

from azsim.errors import ConfigError
from azsim.frontend import read_onnx
from azsim.graph import Graph
from azsim.reference.floats import run_floats
from azsim.zoo import build_zoo, save_onnx, zoo_table
from azsim.zoo.weights import grid_weights


def grid_counts(weights: np.ndarray, bits: int) -> np.ndarray:
    """Return the integers q of weights = q * scale per row, checking that they are integers."""
    top = (1 << (bits - 1)) - 1
    scale = np.abs(weights).max(axis=1, keepdims=True) / top
    counts = weights / scale
    assert np.abs(counts - np.rint(counts)).max() < 1e-3
    return np.rint(counts).astype(np.int64)


@pytest.mark.small
@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.75])
def test_weights_lie_on_the_grid_with_the_exact_share_of_zeros(bits: int, sparsity: float) -> None:
    weights = grid_weights(np.random.default_rng(bits), 48, 101, 0.3, bits, sparsity)
    counts = grid_counts(weights, bits)
    assert np.count_nonzero(counts == 0) == round(sparsity * weights.size)
    assert (np.abs(counts).max(axis=1) == (1 << (bits - 1)) - 1).all()
    assert np.count_nonzero(weights) == np.count_nonzero(counts)
    assert abs(float(weights.std()) / 0.3 - 1) < 0.05
    assert abs(float(weights.mean())) < 0.02
    if bits == 8 and sparsity == 0.0:  # Laplace: far more small than large magnitudes
        magnitudes = np.abs(weights) / np.abs(weights).max(axis=1, keepdims=True)
        assert np.median(magnitudes) < 0.2


@pytest.mark.small
def test_no_row_loses_its_last_weight() -> None:
    weights = grid_weights(np.random.default_rng(0), 64, 3, 1.0, 4, 0.95)
    assert (np.count_nonzero(weights, axis=1) == 1).all()


@pytest.mark.small
def test_same_seed_same_file() -> None:
    def content(seed: int) -> bytes:
        return build_zoo("tiny_lstm", None, 5, 0.5, seed).SerializeToString()

    assert content(1) == content(1)
    assert content(1) != content(2)


@pytest.mark.small
def test_tiny_lstm_reads_as_its_table_says(tmp_path: Path) -> None:
    model = build_zoo("tiny_lstm", None, 4, 0.25, 3)
    onnx.checker.check_model(model, full_check=True)
    save_onnx(model, tmp_path / "tiny.onnx")
    graph = read_onnx(tmp_path / "tiny.onnx")
    assert [n.operator for n in graph.nodes] == [
        *("LSTM", "Reshape", "LSTM", "Reshape", "Reshape", "MatMul", "Add"),
    ]
    assert graph.inputs == ("features",)
    assert graph.outputs == ("scores",)
    assert [(p.source, p.result) for p in graph.states] == [
        (f"layer.{k}.{part}", f"layer.{k}.{part}_next") for k in (0, 1) for part in ("h", "c")
    ]
    assert graph.metadata["azsim.frame_ms"] == "30"
    assert json.loads(graph.metadata["azsim.compression"]) == {"bits": 4, "sparsity": 0.25}
    stored = sum(v.size for v in graph.values.values() if v.data is not None)
    entry = next(entry for entry in zoo_table() if entry.name == "tiny_lstm")
    assert stored == entry.parameters
    check_weights(graph, 4, 0.25)
    assert "Made up for this project." in model.doc_string


def check_weights(graph: Graph, bits: int, sparsity: float) -> None:
    matrices = [
        v.data for name, v in graph.values.items() if name.endswith((".W", ".R", ".weight"))
    ]
    assert len(matrices) >= 5
    for data in matrices:
        assert data is not None
        rows = data[0] if data.ndim == 3 else data.T
        counts = grid_counts(rows, bits)
        assert np.count_nonzero(counts == 0) == round(sparsity * counts.size)


def activity(graph: Graph, frames: np.ndarray) -> dict[str, np.ndarray]:
    """Return each LSTM's old outputs h (steps, elements) and largest |c|."""
    results = [p.result for p in graph.states if p.result.endswith("h_next")]
    found: dict[str, list[np.ndarray]] = {name: [] for name in results}
    for values in run_floats(graph, {"features": frames}):
        for name in results:
            found[name].append(values[name].reshape(-1))
        assert all(float(v) < 32 for name, v in values.items() if name.endswith(":c_max"))
    return {name: np.array(rows) for name, rows in found.items()}


def assert_lively(graph: Graph, frames: np.ndarray, settled: int) -> None:
    for name, h in activity(graph, frames).items():
        late = h[settled:]
        deviation = float(np.sqrt((late**2).mean()))
        assert 0.1 < deviation < 0.6, name  # neither dying nor saturated
        assert float((np.abs(late) > 0.95).mean()) < 0.05, name
        assert float(late.std(axis=0).mean()) > 0.05, name  # moves from step to step


@pytest.mark.parametrize(("bits", "sparsity"), [(8, 0.0), (5, 0.5), (4, 0.75)])
def test_activations_stay_in_range_for_hundreds_of_steps(
    tmp_path: Path, bits: int, sparsity: float
) -> None:
    save_onnx(build_zoo("tiny_lstm", None, bits, sparsity, 0), tmp_path / "tiny.onnx")
    graph = read_onnx(tmp_path / "tiny.onnx")
    frames = np.random.default_rng(1).normal(size=(600, 1, 1, 24)).astype(np.float32)
    assert_lively(graph, frames, settled=50)


@pytest.mark.slow
def test_encoder_is_the_stated_one(tmp_path: Path) -> None:
    start = time.perf_counter()
    model = build_zoo("rnnt_alexa_l", "encoder", 5, 0.5, 0)
    seconds = time.perf_counter() - start
    assert "Reconstruction: no Amazon layer shape has been published" in model.doc_string
    save_onnx(model, tmp_path / "encoder.onnx")
    del model
    assert seconds < 12  # 4 s on an idle machine
    assert os.path.getsize(tmp_path / "encoder.onnx") < 155_000_000
    graph = read_onnx(tmp_path / "encoder.onnx")
    lstms = [n for n in graph.nodes if n.operator == "LSTM"]
    assert [n.attributes["hidden_size"] for n in lstms] == [1024] * 5
    weights = sum(graph.values[name].size for n in lstms for name in n.inputs[1:3])
    assert weights == 4 * 1024 * (192 + 9 * 1024) == 38_535_168
    biases = sum(graph.values[n.inputs[3]].size for n in lstms)
    entry = next(entry for entry in zoo_table() if entry.full_name == "rnnt_alexa_l:encoder")
    assert weights + biases == entry.parameters
    check_weights(graph, 5, 0.5)
    frames = 5 * np.random.default_rng(1).normal(size=(80, 1, 1, 192)).astype(np.float32)
    assert_lively(graph, frames, settled=40)


@pytest.mark.small
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("nothing", None, 5, 0.5, 0), "net must be one of rnnt_alexa_l, tiny_lstm, not 'nothing'"),
        (("rnnt_alexa_l", "tail", 5, 0.5, 0), "part of rnnt_alexa_l must be encoder, not 'tail'"),
        (("tiny_lstm", "tail", 5, 0.5, 0), "part of tiny_lstm must be left out, not 'tail'"),
        (("tiny_lstm", None, 1, 0.5, 0), "bits must be from 2 to 8, not 1"),
        (("tiny_lstm", None, 9, 0.5, 0), "bits must be from 2 to 8, not 9"),
        (("tiny_lstm", None, 5, 1.0, 0), "sparsity must be from 0 to 0.95, not 1"),
        (("tiny_lstm", None, 5, float("nan"), 0), "sparsity must be from 0 to 0.95, not nan"),
        (("tiny_lstm", None, 5, 0.5, -1), "seed must be 0 or more, not -1"),
    ],
)
def test_refusals(arguments: tuple[str, str | None, int, float, int], text: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        build_zoo(*arguments)
    assert str(refusal.value) == text


@pytest.mark.small
def test_saving_replaces_whole_files_and_leaves_nothing_else(tmp_path: Path) -> None:
    model = build_zoo("tiny_lstm", None, 5, 0.5, 0)
    path = tmp_path / "tiny.onnx"
    path.write_bytes(b"old")
    save_onnx(model, path)
    assert path.read_bytes() == model.SerializeToString()
    assert [entry.name for entry in tmp_path.iterdir()] == ["tiny.onnx"]
    missing = tmp_path / "none" / "tiny.onnx"
    with pytest.raises(ConfigError) as refusal:
        save_onnx(model, missing)
    assert str(refusal.value) == f"{missing}: cannot be written: No such file or directory"
