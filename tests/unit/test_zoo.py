"""Are the shipped nets what their table says: sizes, grid, zeros, states; are they lively?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from zoo_checks import assert_lively, check_weights, grid_counts

from azsim.errors import ConfigError
from azsim.frontend import read_onnx
from azsim.zoo import build_zoo, save_onnx, zoo_table
from azsim.zoo.weights import grid_table, grid_weights


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
def test_a_draw_of_zero_adds_no_zero_weight() -> None:
    class Generator(np.random.Generator):
        def standard_exponential(self, size, dtype):  # type: ignore[no-untyped-def, override]
            draws = super().standard_exponential(size, dtype)
            draws[3, 5] = 0
            return draws

    rng = Generator(np.random.PCG64(0))
    assert np.count_nonzero(grid_weights(rng, 8, 16, 1.0, 8, 0.0)) == 8 * 16


@pytest.mark.small
def test_a_table_is_one_grid_and_each_row_reaches_its_end() -> None:
    table = grid_table(np.random.default_rng(0), 50, 320, 1.5, 8)
    counts = grid_counts(table.reshape(1, -1), 8).reshape(table.shape)
    assert (np.abs(counts).max(axis=1) == 127).all()
    assert abs(float(table.std()) / 1.5 - 1) < 0.01
    assert abs(float(table.mean())) < 0.05
    assert len(np.unique(counts)) > 200


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
    assert graph.metadata["azsim.seed"] == "3"
    stored = sum(v.size for v in graph.values.values() if v.data is not None)
    entry = next(entry for entry in zoo_table() if entry.name == "tiny_lstm")
    assert stored == entry.parameters + 2 * 4 * 40  # ONNX keeps a second bias for each gate
    check_weights(graph)
    assert "Made up for this project." in model.doc_string


@pytest.mark.parametrize(("bits", "sparsity"), [(8, 0.0), (5, 0.5), (4, 0.75)])
def test_activations_stay_in_range_for_hundreds_of_steps(
    tmp_path: Path, bits: int, sparsity: float
) -> None:
    save_onnx(build_zoo("tiny_lstm", None, bits, sparsity, 0), tmp_path / "tiny.onnx")
    graph = read_onnx(tmp_path / "tiny.onnx")
    frames = np.random.default_rng(1).normal(size=(600, 1, 1, 24)).astype(np.float32)
    assert_lively(graph, {"features": frames}, settled=50)


@pytest.mark.small
@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ("nothing", None, 5, 0.5, 0),
            "net must be one that `azsim zoo` lists, not 'nothing'",
        ),
        (
            ("tiny_lstn", None, 5, 0.5, 0),
            "net must be one that `azsim zoo` lists, not 'tiny_lstn' (near: tiny_lstm)",
        ),
        (
            ("rnnt_alexa_l", "tail", 5, 0.5, 0),
            "part of rnnt_alexa_l must be encoder, prediction, joint, not 'tail'",
        ),
        (
            ("rnnt_mlperf", None, 5, 0.5, 0),
            "part of rnnt_mlperf must be encoder, prediction, joint, not left out",
        ),
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
