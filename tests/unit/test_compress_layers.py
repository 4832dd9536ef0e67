"""What `azsim compress-model` makes of layers that are not one plain matrix: both directions of a
recurrent node, tables, products with a batch norm behind, other reals than float32."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from command import azsim
from compress_models import batch_norm, frames_file, recurrent_net
from onnx import TensorProto
from onnx_models import INT64, ModelMaker, run_onnxruntime
from qdq_models import run_qdq

from azsim.api import run
from azsim.compress.source import read_source
from azsim.frontend import read_onnx


def compressed(model: Path, *words: object) -> tuple[Path, dict]:
    """Run the command with `--json`; the file it wrote and what it said."""
    out = model.parent / "out.onnx"
    done = azsim("compress-model", model, "-o", out, *words, "--json")
    assert (done.code, done.err) == (0, "")
    onnx.checker.check_model(onnx.load(out), full_check=True)
    return out, json.loads(done.out)


def noise_db(exact: np.ndarray, other: np.ndarray) -> float:
    return 10 * float(np.log10(np.sum(exact**2) / np.sum((exact - other) ** 2)))


# -- both directions ------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", ["LSTM", "GRU"])
@pytest.mark.parametrize("scales", ["row", "tensor"])
def test_both_directions_keep_their_integers(tmp_path: Path, operator: str, scales: str) -> None:
    model, frames = recurrent_net(tmp_path, operator), frames_file(tmp_path, (5, 1, 24), 4)
    words = ("--bits", 4, "--scales", scales, "--sparsity", 0.25, "-i", frames)
    out, said = compressed(model, *words)
    assert [layer["name"] for layer in said["layers"]] == ["rnn", "out"]
    assert said["left_as_they_are"] == []
    graph = read_onnx(out)
    gates = {"LSTM": 64, "GRU": 48}[operator]
    for node in [node for node in graph.nodes if node.operator == operator]:
        for name in node.inputs[1:3]:
            stored = graph.values[name].stored
            assert stored is not None
            assert 5 <= np.abs(stored.integers).max() <= 7
            assert np.mean(stored.integers == 0) >= 0.25  # or a run would prune it again
            assert stored.scale.shape == ((1, gates, 1) if scales == "row" else (1, 1, 1))
    assert json.loads(graph.metadata["azsim.compression"])["bits"] == 4
    record = run(out, input=frames, verify=True, cache=False)
    assert record.verification is not None
    assert record.verification.exact == 4
    assert "azsim.requantized" not in record.program.metadata
    bits = {layer.bits for layer in record.program.layers if layer.weights}
    assert bits == {4}
    # the five steps of a direction share a matrix
    steps = tuple(f"/t{step}/" for step in range(1, 5))
    own = [la for la in record.program.layers if not any(step in la.name for step in steps)]
    size = sum(layer.stream_bytes for layer in own)
    assert size == said["after"]["stream_bytes"]
    (port,) = record.program.outputs
    exact = np.stack([run_qdq(out, {"x": frame})["y"] for frame in np.load(frames)["x"]])
    ours = (record.integers["y"].astype(float) - port.zero_point) * port.scale
    assert noise_db(exact, ours) > 28  # the floor of docs/quantized_models.md


def test_one_plan_and_a_scan_for_both_directions(tmp_path: Path) -> None:
    model, frames = recurrent_net(tmp_path), frames_file(tmp_path, (5, 1, 24), 1)
    plan = tmp_path / "plan.yaml"
    plan.write_text("layers:\n  rnn: {codebook: 8}\n  out: {bits: 5}\n")
    out, said = compressed(model, "--plan", plan, "-i", frames, "--scan")
    assert [row["layer"] for row in said["scan"]] == ["rnn", *["out"] * 6]
    assert said["scan"][0]["weights"] == 2 * 64 * (24 + 16)
    own = json.loads(read_onnx(out).metadata["azsim.compression"])
    assert (own["bits"], own["layer_bits"]) == (8, {"out": 5})
    for name in ("W_quantized", "R_quantized"):
        (tensor,) = [t for t in onnx.load(out).graph.initializer if t.name == name]
        assert len(np.unique(onnx.numpy_helper.to_array(tensor))) <= 8


# -- tables ---------------------------------------------------------------------------------------


def table_net(folder: Path) -> tuple[Path, Path]:
    """A table of 50 rows, looked up and, turned, multiplied with."""
    rng = np.random.default_rng(4)
    maker = ModelMaker()
    maker.input("i", (3,), INT64)
    maker.tensor("table", rng.normal(size=(50, 24)))
    maker.node("Gather", ["table", "i"], ["e"], name="words")
    maker.node("Gemm", ["e", "table"], ["y"], name="out", transB=1)
    maker.output("y", (3, 50))
    np.savez(folder / "f.npz", i=rng.integers(0, 50, (6, 3)))
    return maker.save(folder), folder / "f.npz"


@pytest.mark.parametrize("scales", ["row", "tensor"])
def test_a_table_is_a_layer_of_the_plan(tmp_path: Path, scales: str) -> None:
    model, frames = table_net(tmp_path)
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"scales: {scales}\nlayers:\n  words: {{bits: 4}}\n  out: {{bits: 4}}\n")
    out, said = compressed(model, "--plan", plan, "-i", frames)
    words, product = said["layers"]
    assert (words["name"], product["name"]) == ("words", "out")
    assert words["after"] == {
        "weights": 1200, "nonzeros": words["after"]["nonzeros"], "stream_bytes": 1200,
        "fetched_bytes": 72, "bits_per_weight": 8.0,
    }  # fmt: skip
    kinds = [tensor.name for tensor in onnx.load(out).graph.initializer]
    assert [name for name in kinds if name.startswith("table")] == [
        "table_quantized", "table_scale", "table_zero_point",
    ]  # fmt: skip
    graph = read_onnx(out)
    stored = graph.values[graph.nodes[0].inputs[0]].stored
    assert stored is not None
    assert np.abs(stored.integers).max() == 7
    record = run(out, input=frames, verify=True, cache=False)
    assert record.verification is not None
    assert record.verification.exact == 6
    assert {layer.bits for layer in record.program.layers if layer.weights} == {4}
    (port,) = record.program.outputs
    exact = np.stack([run_qdq(out, {"i": frame})["y"] for frame in np.load(frames)["i"]])
    steps = np.rint(exact / port.scale) + port.zero_point
    apart = np.abs(record.integers["y"] - steps).max()
    assert apart <= (1 if scales == "tensor" else 3)  # rows of unlike scales are rounded again


def test_widths_and_zeros_of_all_layers_leave_tables_alone(tmp_path: Path) -> None:
    model, frames = table_net(tmp_path)
    words = ("--bits", 3, "--sparsity", 0.5, "--scales", "tensor", "-i", frames)
    out, said = compressed(model, *words)
    table, product = (layer["plan"] for layer in said["layers"])
    assert (table["bits"], table["sparsity"], table["scales"]) == (8, 0.0, "tensor")
    assert (product["bits"], product["sparsity"]) == (3, 0.5)
    assert json.loads(read_onnx(out).metadata["azsim.compression"]) == {
        "bits": 3, "layer_bits": {}, "layer_sparsity": {}, "sparsity": 0.5,
    }  # fmt: skip
    low = said["after"]["stream_bytes"]
    _, fitted = compressed(model, "-i", frames, "--budget-bytes", low + 300)
    assert fitted["after"]["stream_bytes"] <= low + 300
    assert fitted["layers"][0]["plan"]["bits"] == 8


# -- batch norms, factors, offsets ----------------------------------------------------------------


def folding_net(folder: Path, kind: str) -> tuple[Path, tuple[int, ...]]:
    """A product with something behind it that becomes part of it, then a Relu."""
    rng = np.random.default_rng(6)
    maker = ModelMaker()
    shape, result = ((1, 3, 8, 8), (1, 6, 8, 8)) if kind.startswith("Conv") else ((2, 20), (2, 6))
    maker.input("x", shape)
    maker.tensor("b", rng.normal(size=6))
    if kind.startswith("Conv"):
        maker.tensor("w", rng.normal(size=(6, 3, 3, 3)) * 0.3)
        bias = ["b"] if kind.endswith("bias") else []
        maker.node("Conv", ["x", "w", *bias], ["p"], name="layer", pads=[1, 1, 1, 1])
        batch_norm(maker, "p", "n", 6)
    elif kind == "Gemm":
        maker.tensor("w", rng.normal(size=(6, 20)) * 0.3)
        words = {"transB": 1, "alpha": 0.5, "beta": -2.0}
        maker.node("Gemm", ["x", "w", "b"], ["p"], name="layer", **words)
        batch_norm(maker, "p", "n", 6)
    else:
        maker.tensor("w", rng.normal(size=(20, 6)) * 0.3)
        maker.node("MatMul", ["x", "w"], ["p"], name="layer")
        maker.node("Add", ["b", "p"], ["q"])
        maker.node("Div", ["q", maker.tensor("d", rng.uniform(0.5, 2, (1, 6)))], ["r"])
        maker.node("Add", [maker.tensor("e", rng.normal(size=6)), "r"], ["n"])
    maker.node("Relu", ["n"], ["y"])
    maker.output("y", result)
    return maker.save(folder), shape


KINDS = ("Conv", "Conv with bias", "Gemm", "MatMul")


@pytest.mark.parametrize("kind", KINDS)
def test_what_follows_a_product_joins_it(tmp_path: Path, kind: str) -> None:
    model, shape = folding_net(tmp_path, kind)
    source = read_source(model)
    folded = tmp_path / "folded.onnx"
    folded.write_bytes(source.model.SerializeToString())
    operators = [node.op_type for node in source.model.graph.node]
    assert operators == {"MatMul": ["MatMul", "Add", "Relu"]}.get(kind, [kind.split()[0], "Relu"])
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    before, after = (run_onnxruntime(path, {"x": x})["y"] for path in (model, folded))
    np.testing.assert_allclose(after, before, rtol=1e-5, atol=2e-6)
    frames = frames_file(tmp_path, shape, 4)
    out, said = compressed(model, "-i", frames)
    assert said["sqnr_db"] > 30
    record = run(out, input=frames, verify=True, cache=False)
    assert record.verification is not None
    assert record.verification.exact == 4
    done = azsim("diff", model, out, "-i", frames)
    assert (done.code, done.err) == (0, "")


def test_folding_can_be_left(tmp_path: Path) -> None:
    model, _ = folding_net(tmp_path, "Conv")
    out, _ = compressed(model, "--no-fold")
    assert "BatchNormalization" in {node.op_type for node in onnx.load(out).graph.node}


def test_what_others_read_too_is_not_folded(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (1, 3, 4, 4))
    maker.tensor("w", np.ones((6, 3, 1, 1)))
    maker.node("Conv", ["x", "w"], ["p"], name="layer")
    batch_norm(maker, "p", "n", 6)
    maker.node("Add", ["p", "n"], ["y"])
    maker.output("y", (1, 6, 4, 4))
    operators = [n.op_type for n in read_source(maker.save(tmp_path)).model.graph.node]
    assert operators == ["Conv", "BatchNormalization", "Add"]


# -- other files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE])
def test_other_reals_become_float32(tmp_path: Path, kind: int) -> None:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
    rng = np.random.default_rng(2)
    maker = ModelMaker()
    maker.input("x", (1, 32), kind)
    maker.tensor("w", rng.normal(size=(32, 16)), dtype)
    maker.tensor("b", rng.normal(size=16), dtype)
    maker.node("Gemm", ["x", "w", "b"], ["s"], name="layer")
    maker.node("Cast", ["s"], ["t"], to=TensorProto.FLOAT)
    maker.node("Sigmoid", ["t"], ["u"])
    maker.node("Cast", ["u"], ["y"], to=kind)
    maker.output("y", (1, 16), kind)
    model, frames = maker.save(tmp_path), frames_file(tmp_path, (1, 32), 3)
    out, _ = compressed(model, "-i", frames)
    x = np.load(frames)["x"][0]
    exact = run_onnxruntime(model, {"x": x.astype(dtype)})["y"]
    assert np.abs(run_onnxruntime(out, {"x": x})["y"] - exact).max() < 0.02


def test_open_dimensions_get_their_size(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", ("batch", 32))
    maker.tensor("w", np.random.default_rng(3).normal(size=(32, 16)))
    maker.node("MatMul", ["x", "w"], ["y"], name="layer")
    maker.output("y", ("batch", 16))
    model, out = maker.save(tmp_path), tmp_path / "out.onnx"
    done = azsim("compress-model", model, "-o", out)
    assert (done.code, done.err) == (
        2, f"azsim: {model}: dimension 'batch' of input 'x' must be a number: give it one with"
        " --dim batch=N\n",
    )  # fmt: skip
    compressed(model, "--dim", "batch=2")
    done = azsim("diff", model, out, "--dim", "batch=2", "--json")
    assert (done.code, done.err) == (0, "")
    small = ("--profiles", "bitmap", "--tiles", 4096, "--bits", 8)
    done = azsim("formats", model, *small, "--dim", "batch=2", "--json")
    assert (done.code, done.err) == (0, "")
