"""`azsim compress-model`: the file it writes, what it says, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from command import azsim, tree
from compress_models import dense_net, frames_file, mixed_net
from onnx_models import run_onnxruntime
from qdq_models import run_qdq

from azsim.api import run
from azsim.frontend import read_onnx


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return dense_net(tmp_path)


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    return frames_file(tmp_path, (1, 32))


def compressed(model: Path, frames: Path | None, *words: object) -> tuple[Path, dict]:
    """Run the command with `--json`; the file it wrote and what it said."""
    out = model.parent / "out.onnx"
    given = [] if frames is None else ["-i", frames]
    done = azsim("compress-model", model, "-o", out, *given, *words, "--json")
    assert (done.code, done.err) == (0, "")
    return out, json.loads(done.out)


def test_the_file_opens_in_onnxruntime_and_agrees_with_a_run(net: Path, frames: Path) -> None:
    out, said = compressed(net, frames, "--bits", 5, "--sparsity", 0.5)
    onnx.checker.check_model(onnx.load(out), full_check=True)
    record = run(out, input=frames, verify=True, cache=False)
    assert record.verification is not None
    assert record.verification.exact == 12
    assert (record.bits, record.sparsity) == (5, 0.5)
    (port,) = record.program.outputs
    data = np.load(frames)["x"]
    theirs = np.stack([run_qdq(out, {"x": frame})["y"] for frame in data])
    steps = np.rint(theirs / port.scale) + port.zero_point
    apart = np.abs(record.integers["y"] - steps)
    # docs/arithmetic.md: one step, and only near a half, which three layers hand on
    assert apart.max() <= 1
    assert np.count_nonzero(apart) <= 2
    assert record.sqnr_db["y"] is None or record.sqnr_db["y"] > 35
    assert (
        sum(layer.stream_bytes for layer in record.program.layers)
        == (said["after"]["stream_bytes"])
    )
    optimized = np.stack([run_onnxruntime(out, {"x": frame})["y"] for frame in data])
    assert np.abs(optimized - theirs).max() <= 3 * port.scale


def test_integers_widths_zeros_and_plan_are_in_the_file(net: Path, frames: Path) -> None:
    out, said = compressed(net, frames, "--bits", 4, "--sparsity", 0.6)
    graph = read_onnx(out)
    for node in graph.nodes:
        if node.operator == "MatMul":
            stored = graph.values[node.inputs[1]].stored
            assert stored is not None
            assert np.abs(stored.integers).max() == 7
            assert np.mean(stored.integers == 0) >= 0.6 - 0.5 / stored.integers.size
    plan = json.loads(graph.metadata["azsim.compression_plan"])
    assert {(p["bits"], p["sparsity"]) for p in plan.values()} == {(4, 0.6)}
    assert json.loads(graph.metadata["azsim.compression"])["bits"] == 4
    assert graph.metadata["azsim.calibration"] == "minmax"
    assert sorted(plan) == ["fc0", "fc1", "fc2"]
    assert said["activation_grids"] == 4  # x, two Relus, y
    kinds = [tensor.data_type for tensor in onnx.load(out).graph.initializer]
    assert kinds.count(onnx.TensorProto.INT32) == 2  # biases of the two Gemms
    assert said["after"]["stream_bytes"] < 0.5 * said["before"]["stream_bytes"]


def test_convolution_lstm_and_unnamed_nodes(tmp_path: Path) -> None:
    model, frames = mixed_net(tmp_path), frames_file(tmp_path, (1, 2, 8, 8))
    out, said = compressed(model, frames, "--bits", 6)
    onnx.checker.check_model(onnx.load(out), full_check=True)
    assert [layer["name"] for layer in said["layers"]] == ["conv", "lstm", "MatMul_6"]
    assert all(layer["weights_sqnr_db"] > 25 for layer in said["layers"])
    assert said["sqnr_db"] > 20
    record = run(out, input=frames, verify=True, cache=False)
    assert record.verification is not None
    assert record.verification.exact == 12
    state = {"h0": np.zeros((1, 1, 16), np.float32), "c0": np.zeros((1, 1, 16), np.float32)}
    found = []
    for frame in np.load(frames)["x"]:
        results = run_qdq(out, {"x": frame, **state})
        state = {"h0": results["h1"], "c0": results["c1"]}
        found.append(results["y"])
    exact = np.stack(found)
    (port,) = record.program.outputs
    ours = (record.integers["y"].astype(float) - port.zero_point) * port.scale
    noise = 10 * np.log10(np.sum(exact**2) / np.sum((exact - ours) ** 2))
    assert noise > 28  # the floor of docs/quantized_models.md for nets with an LSTM


def test_without_frames_only_weights_are_quantized(net: Path) -> None:
    out, said = compressed(net, None, "--bits", 3)
    assert said["activation_grids"] == 0
    operators = {node.op_type for node in onnx.load(out).graph.node}
    assert "QuantizeLinear" not in operators
    assert "DequantizeLinear" in operators
    assert said["frames"] == "one frame of noise"


def test_a_codebook_is_short_with_the_entropy_decoder(tmp_path: Path) -> None:
    net, frames = dense_net(tmp_path, widths=(256, 256, 10)), frames_file(tmp_path, (1, 256))
    ans = ("--set", "decoder.profile=ans")
    out, said = compressed(net, frames, "--codebook", 16, *ans)
    first = said["layers"][0]
    stored = read_onnx(out).values["fc0.weight"].stored
    assert stored is not None
    assert len(np.unique(stored.integers)) <= 16
    assert first["after"]["bits_per_weight"] < 4.1  # 16 values, a table, states of the lanes
    assert first["weights_sqnr_db"] > 15
    record = run(out, input=frames, overrides=["decoder.profile=ans"], cache=False)
    assert {layer.bits for layer in record.program.layers if layer.weights} == {8}
    _, plain = compressed(net, frames, "--bits", 4, *ans)
    assert first["weights_sqnr_db"] > plain["layers"][0]["weights_sqnr_db"] + 1


def test_banks_let_the_lanes_end_together(tmp_path: Path) -> None:
    """At equal sparsity a balanced matrix takes fewer cycles of the array than one pruned by
    magnitude, whose rows have unlike numbers of weights."""
    net = dense_net(tmp_path, widths=(512, 256, 10), unlike=0.5)
    frames = frames_file(tmp_path, (1, 512), 2)
    cycles = {}
    # a slow array, so that nothing but its lanes decides
    slow = ("mac_array.macs_per_lane=1",)
    for way in ("magnitude", "balanced"):
        out, _ = compressed(net, frames, "--bits", 4, "--sparsity", 0.75, "--pruning", way)
        record = run(out, input=frames, overrides=slow, timing_only=True, cache=False)
        cycles[way] = record.counters.cycles
    assert cycles["balanced"] < 0.85 * cycles["magnitude"]


def test_a_plan_says_it_layer_by_layer(net: Path, frames: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "bits: 6\nlayers:\n  'fc*': {sparsity: 0.5}\n  fc1: {codebook: 8, scales: tensor}\n"
        "  fc2: {bits: 8, sparsity: 0.0}\n"
    )
    kept = tmp_path / "kept.yaml"
    out, said = compressed(net, frames, "--plan", plan, "--plan-out", kept)
    plans = [layer["plan"] for layer in said["layers"]]
    assert [p["bits"] for p in plans] == [6, 6, 8]
    assert [p["codebook"] for p in plans] == [0, 8, 0]
    assert [p["sparsity"] for p in plans] == [0.5, 0.5, 0.0]
    assert read_onnx(out).metadata["azsim.compression"] == (
        '{"bits": 8, "layer_bits": {"fc0": 6}, "layer_sparsity": {"fc2": 0.0}, "sparsity": 0.5}'
    )
    again, _ = compressed(net, frames, "--plan", kept)
    assert again.read_bytes() == out.read_bytes()


@pytest.mark.parametrize("calibration", ["percentile", "mse"])
def test_other_calibrations_cut_the_ranges(net: Path, frames: Path, calibration: str) -> None:
    scales = []
    for way in ("minmax", calibration):
        out, _ = compressed(net, frames, "--calibration", way)
        (port,) = run(out, input=frames, timing_only=True, cache=False).program.outputs
        scales.append(port.scale)
    assert scales[1] <= scales[0]


def test_a_scan_is_a_table_a_csv_and_a_picture(net: Path, frames: Path) -> None:
    out, said = compressed(net, frames, "--scan")
    rows = said["scan"]
    assert [row["plan"]["bits"] for row in rows] == [8, 6, 5, 4, 3, 2] * 3
    for layer in ("fc0", "fc1", "fc2"):
        mine = [row for row in rows if row["layer"] == layer]
        sizes = [row["stream_bytes"] for row in mine]
        assert sizes == sorted(sizes, reverse=True)
        assert mine[0]["sqnr_db"] > mine[-1]["sqnr_db"] + 15
    table = out.with_name("out.scan.csv").read_text().splitlines()
    assert len(table) == 19
    assert table[0].startswith("layer,bits,codebook,sparsity,weights,")
    assert out.with_name("out.scan.png").read_bytes()[:4] == b"\x89PNG"


def test_a_budget_is_kept_and_nearly_used(net: Path, frames: Path) -> None:
    _, free = compressed(net, frames)
    _, least = compressed(net, frames, "--bits", 2)
    low, high = least["after"]["stream_bytes"], free["after"]["stream_bytes"]
    for share in (0.1, 0.5, 0.9):
        budget = int(low + share * (high - low))
        _, said = compressed(net, frames, "--budget-bytes", budget)
        assert said["after"]["stream_bytes"] <= budget
        assert said["after"]["stream_bytes"] > budget - 0.35 * (high - low)
        assert said["sqnr_db"] >= least["sqnr_db"]
    _, exact = compressed(net, frames, "--budget-bytes", low)
    assert exact["after"]["stream_bytes"] == low


def test_a_budget_chooses_how_scales_are_found(net: Path, frames: Path) -> None:
    _, free = compressed(net, frames)
    budget = ("--budget-bytes", int(0.45 * free["after"]["stream_bytes"]))
    _, plain = compressed(net, frames, *budget, "--calibration", "minmax")
    _, chosen = compressed(net, frames, *budget)
    assert {layer["plan"]["calibration"] for layer in plain["layers"]} == {"minmax"}
    assert "mse" in {layer["plan"]["calibration"] for layer in chosen["layers"]}
    assert chosen["sqnr_db"] > plain["sqnr_db"] + 1


def test_a_budget_of_bandwidth(net: Path, frames: Path) -> None:
    small = ("--set", "weight_store.capacity_kb=1", "--set", "wbuf.slot_weights=1024")
    _, free = compressed(net, frames, *small)
    rate = 0.6 * free["after"]["fetched_bytes"] / 30.0 / 1000.0  # MB/s at 30 ms a frame
    _, said = compressed(net, frames, *small, "--budget-mb-per-s", rate)
    assert said["after"]["fetched_bytes"] <= rate * 30.0 * 1000.0 < free["after"]["fetched_bytes"]


# -- refusals -----------------------------------------------------------------------------------


def refusal(*words: object) -> str:
    """What a refused command says, without its name in front."""
    done = azsim("compress-model", *words)
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 1
    return done.err.removeprefix("azsim: ").rstrip("\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layers: {}\n", "{}:1: layers: must name at least one layer"),
        ("bits: 5\n", "{}: layers: must name at least one layer"),
        ("layers:\n  fc9: {bits: 4}\n",
         "{}:2: layers.fc9: must be the name of a layer with weights, or a pattern of names; the"
         " nearest is 'fc2'"),
        ("layers:\n  fc1:\n    bits: 7\n",
         "{}:3: layers.fc1.bits: must be 8, 6, 5, 4, 3 or 2, not 7"),
        ("layers:\n  fc1: {bit: 4}\n", "{}:2: layers.fc1.bit: unknown key (did you mean 'bits'?)"),
        ("layer:\n  fc1: {bits: 4}\n", "{}:1: layer: unknown key (did you mean 'layers'?)"),
        ("layers:\n  fc1: {sparsity: 1.0}\n",
         "{}:2: layers.fc1.sparsity: must be 0 or more and below 1, not 1.0"),
        ("layers:\n  fc1: {codebook: 33}\n",
         "{}:2: layers.fc1.codebook: must be at most 32, not 33"),
        ("layers:\n  fc1: {pruning: random}\n",
         "{}:2: layers.fc1.pruning: must be magnitude or balanced, not 'random'"),
        ("- fc1\n", "{}: must be a mapping of sections"),
    ],
)  # fmt: skip
def test_wrong_plans(net: Path, tmp_path: Path, text: str, message: str) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(text)
    before = tree(tmp_path)
    said = refusal(net, "-o", tmp_path / "out.onnx", "--plan", plan)
    assert said == message.format(plan)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--bits", 7), "--bits: must be 8, 6, 5, 4, 3 or 2, not 7"),
        (("--sparsity", 1), "--sparsity: must be 0 or more and below 1, not 1.0"),
        (("--scales", "column"), "--scales: must be row or tensor, not 'column'"),
        (("--calibration", "kl"), "--calibration: must be minmax, percentile or mse, not kl"),
        (("--budget-bytes", 0), "--budget-bytes: must be 1 or more, not 0"),
        (("--budget-mb-per-s", "nan"), "--budget-mb-per-s: must be a positive number, not nan"),
        (("--budget-bytes", 9, "--budget-mb-per-s", 1),
         "--budget-bytes: must not be given beside --budget-mb-per-s"),
        (("--budget-bytes", 100),
         "--budget-bytes: must be at least 1152, the smallest reachable with every layer at its"
         " fewest bits; --sparsity lowers it, not 100"),
    ],
)  # fmt: skip
def test_wrong_options(net: Path, tmp_path: Path, words: tuple, message: str) -> None:
    before = tree(tmp_path)
    assert refusal(net, "-o", tmp_path / "out.onnx", *words) == message
    assert tree(tmp_path) == before


def test_results_have_places_of_their_own(net: Path, frames: Path, tmp_path: Path) -> None:
    out, before = tmp_path / "out.onnx", tree(tmp_path)
    said = refusal(net, "-o", net)
    assert said == f"{net}: must be another file than an input"
    assert refusal(net, "-o", frames, "-i", frames).endswith(": must be another file than an input")
    scan = tmp_path / "out.scan.csv"
    said = refusal(net, "-o", out, "--scan", "--plan-out", scan)
    assert said == f"{scan}: must be another file than another result"
    assert refusal(net, "-o", out, "--frames", 3) == "--frames: needs frames (-i)"
    assert tree(tmp_path) == before


def test_the_smallest_reachable_bandwidth_is_told(net: Path, frames: Path, tmp_path: Path) -> None:
    small = ("--set", "weight_store.capacity_kb=0", "-i", frames)
    said = refusal(net, "-o", tmp_path / "out.onnx", *small, "--budget-mb-per-s", 0.001)
    assert said == (
        "--budget-mb-per-s: must be at least 0.039, the smallest reachable at 30 ms a frame with"
        " every layer at its fewest bits; --sparsity lowers it, not 0.001"
    )
    _, made = compressed(net, None, *small[:2], "--budget-mb-per-s", 0.039)
    assert made["after"]["fetched_bytes"] <= 0.039 * 30e3


def test_models_that_cannot_be_compressed(tmp_path: Path) -> None:
    from onnx_models import ModelMaker

    maker = ModelMaker()
    maker.node("Relu", [maker.input("x", (1, 4))], [maker.output("y", (1, 4))])
    model = maker.save(tmp_path)
    out = tmp_path / "out.onnx"
    assert refusal(model, "-o", out) == f"{model}: must have a layer with weights to compress"
    assert refusal(tmp_path / "no.onnx", "-o", out).startswith(f"{tmp_path / 'no.onnx'}: cannot be")
    assert refusal(model, "-o", tmp_path / "no" / "out.onnx") == (
        f"{tmp_path / 'no' / 'out.onnx'}: cannot be written: No such file or directory"
    )
    assert not out.exists()
