"""Are the shipped transducers of the published sizes, and do they survive compression?

Parameter and MAC figures: 45.3 M parameters is what MLPerf Inference states for its RNN-T; the
others follow from the layer sizes written out here.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from zoo_checks import assert_lively, check_weights, grid_counts, matrices, plan_of

from azsim.compiler import RangeRecorder, compile_graph
from azsim.config import load_chip
from azsim.frontend import read_frame_ms, read_onnx
from azsim.graph import Graph, Node
from azsim.graph.integer import IntegerTensor
from azsim.reference.floats import run_floats
from azsim.reference.integers import run_integers
from azsim.zoo import ZooEntry, build_zoo, save_onnx, zoo_table

LSTM_1024 = 4 * 1024 * (1024 + 1024)
PRE = 4 * 1024 * (240 + 1024) + LSTM_1024
POST = 4 * 1024 * (2048 + 1024) + 2 * LSTM_1024
# net, parameters (one bias per gate), MACs per step, milliseconds
FIGURES = [
    ("rnnt_mlperf:encoder", PRE + POST + 5 * 4096, 2 * PRE + POST, 60),
    ("rnnt_mlperf:prediction", 28 * 320 + 2 * 1280 * (640 + 1), 2 * 1280 * 640, 67),
    ("rnnt_mlperf:joint", 512 * (1344 + 1) + 29 * (512 + 1), 512 * 1344 + 29 * 512, 60),
    (
        "rnnt_alexa_l:encoder",
        4096 * (192 + 1024) + 4 * LSTM_1024 + 5 * 4096,
        4096 * (192 + 1024) + 4 * LSTM_1024,
        30,
    ),
    (
        "rnnt_alexa_l:prediction",
        4001 * 512 + 4096 * (512 + 1024) + LSTM_1024 + 2 * 4096,
        4096 * (512 + 1024) + LSTM_1024,
        333,
    ),
    ("ep_final:acoustic", 400 * (164 + 1) + 400 * (200 + 1), 400 * 164 + 400 * 200, 10),
    ("ep_final:text", 2501 * 32 + 256 * (96 + 1), 256 * 96, 333),
    ("ep_final:decision", 64 * 173 + 64 * 65 + 2 * 65, 64 * 172 + 64 * 64 + 2 * 64, 10),
    (
        "rnnt_alexa_l:joint",
        2 * 512 * (1024 + 1) + 4001 * (512 + 1),
        2 * 512 * 1024 + 4001 * 512,
        30,
    ),
]
SMALL_NETS = ["rnnt_mlperf:prediction", "rnnt_mlperf:joint"]
END_POINTER = ["ep_final:acoustic", "ep_final:text", "ep_final:decision"]
OTHER_NETS = ["rnnt_alexa_l:prediction", "rnnt_alexa_l:joint"]
ENCODERS = ["rnnt_mlperf:encoder", "rnnt_alexa_l:encoder"]


def entry_of(net: str) -> ZooEntry:
    return next(entry for entry in zoo_table() if entry.full_name == net)


@pytest.mark.small
@pytest.mark.parametrize(("net", "parameters", "macs", "frame_ms"), FIGURES)
def test_table_states_the_sizes(net: str, parameters: int, macs: int, frame_ms: int) -> None:
    entry = entry_of(net)
    assert (entry.parameters, entry.macs, entry.frame_ms) == (parameters, macs, frame_ms)


@pytest.mark.small
def test_whole_nets_have_the_published_or_stated_size() -> None:
    def millions(name: str) -> float:
        return sum(e.parameters for e in zoo_table() if e.name == name) / 1e6

    assert round(millions("rnnt_mlperf"), 2) == 45.30
    assert round(millions("rnnt_alexa_l"), 1) == 58.4
    assert (round(PRE / 1e6, 2), round(POST / 1e6, 2)) == (13.57, 29.36)


@pytest.mark.small
def test_what_is_a_reconstruction_says_so() -> None:
    names = [entry.full_name for entry in zoo_table()]
    assert len(set(names)) == len(names)
    for entry in zoo_table():
        assert entry.label in ("reconstruction", "public shapes", "made up")
        assert entry.label == "reconstruction" or not entry.name.startswith("rnnt_alexa")
        speech = entry.name.startswith(("rnnt_", "whisper", "wakeword"))
        if entry.label == "reconstruction" and speech:
            assert "no Amazon layer shape" in entry.source


# -- the models ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def graph_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int, float], Graph]:
    """Return a function that builds, saves and reads a net, keeping small ones."""

    @cache
    def read(net: str, bits: int, sparsity: float) -> Graph:
        path = tmp_path_factory.mktemp("zoo") / "net.onnx"
        name, _, part = net.partition(":")
        save_onnx(build_zoo(name, part, bits, sparsity, 1), path)
        graph = read_onnx(path)
        path.unlink()
        return graph

    return read


GraphOf = Callable[[str, int, float], Graph]


def node_macs(graph: Graph, node: Node) -> int:
    """MACs of a node, from the shapes of the graph alone."""
    rows = math.prod(graph.values[node.inputs[0]].shape[:-1])
    return rows * sum(weights.size for weights in matrices(graph).get(node.name, ()))


def check_counts(graph: Graph, net: str) -> None:
    """Constants and products of the graph are those of the table."""
    entry = entry_of(net)
    biases = [graph.constant(n.inputs[3]) for n in graph.nodes if n.operator == "LSTM"]
    for bias in biases:
        assert bias is not None
        assert not bias[:, bias.shape[1] // 2 :].any()
        assert bias[:, : bias.shape[1] // 2].all()
    floats = [v for v in graph.values.values() if v.data is not None and v.data.dtype == np.float32]
    second = sum(bias.size // 2 for bias in biases if bias is not None)
    assert sum(value.size for value in floats) - second == entry.parameters
    assert sum(node_macs(graph, node) for node in graph.nodes) == entry.macs
    assert read_frame_ms(graph) == entry.frame_ms
    assert graph.metadata["azsim.seed"] == "1"


@pytest.mark.parametrize("net", SMALL_NETS + OTHER_NETS)
def test_graph_is_the_one_of_the_table(graph_of: GraphOf, net: str) -> None:
    graph = graph_of(net, 5, 0.5)
    check_counts(graph, net)
    check_weights(graph)


@pytest.mark.parametrize("net", ["rnnt_mlperf:joint", "rnnt_alexa_l:joint"])
def test_logits_stay_at_8_bits(graph_of: GraphOf, net: str) -> None:
    plan = plan_of(graph_of(net, 5, 0.5))
    assert (plan.bits, plan.sparsity) == (5, 0.5)
    assert plan.layer_bits == {"joint.output": 8}
    assert plan.layer_sparsity == {}
    counts = grid_counts(matrices(graph_of(net, 5, 0.5))["joint.output"][0], 8)
    assert len(np.unique(counts)) > 31  # more than 5 bits can tell apart
    assert plan_of(graph_of(net, 8, 0.0)).layer_bits == {}


def test_embedding_is_one_8_bit_grid(graph_of: GraphOf) -> None:
    graph = graph_of("rnnt_mlperf:prediction", 5, 0.5)
    (node,) = (n for n in graph.nodes if n.operator == "Embed")
    table = graph.constant(node.inputs[0])
    assert table is not None
    counts = grid_counts(np.asarray(table).reshape(1, -1), 8).reshape(table.shape)
    assert (np.abs(counts).max(axis=1) == 127).all()


def test_parts_fit_each_other_and_differ(graph_of: GraphOf) -> None:
    for net, encoder in (("rnnt_mlperf", 1024), ("rnnt_alexa_l", 1024)):
        prediction, joint = graph_of(f"{net}:prediction", 5, 0.5), graph_of(f"{net}:joint", 5, 0.5)
        assert prediction.outputs == ("predicted",)
        assert prediction.values["token"].is_index
        assert prediction.values["token"].shape == (1, 1)
        assert joint.inputs == ("encoded", "predicted")
        assert joint.values["predicted"].shape == prediction.values["predicted"].shape
        assert joint.values["encoded"].shape == (1, 1, encoder)
        assert joint.outputs == ("logits",)
        assert joint.states == ()
    first = build_zoo("rnnt_mlperf", "joint", 8, 0.0, 1).graph.initializer
    assert first[1].name == "joint.predicted.shape"
    again = build_zoo("rnnt_mlperf", "joint", 8, 0.0, 2).graph.initializer
    assert [a.raw_data == b.raw_data for a, b in zip(first, again, strict=True)] == [
        *(True, True),  # shapes
        *(False,) * 4,
    ]


@pytest.mark.parametrize("net", SMALL_NETS)
def test_the_checker_of_onnx_accepts_it(net: str) -> None:
    name, _, part = net.partition(":")
    onnx.checker.check_model(build_zoo(name, part, 4, 0.75, 1), full_check=True)


# -- activity and integers ----------------------------------------------------------------------


def frames_of(graph: Graph, net: str, steps: int) -> dict[str, np.ndarray]:
    """Random frames with the root mean squares that a net's neighbours give."""
    rng = np.random.default_rng(1)
    scale = {"rnnt_alexa_l:encoder": 5.0, "rnnt_mlperf:encoder": 1.0}.get(net, 0.35)
    frames = {}
    for name in graph.inputs:
        value = graph.values[name]
        shape = (steps, *value.shape)
        if value.is_index:
            (node,) = (n for n in graph.nodes if n.operator == "Embed")
            rows = graph.values[node.inputs[0]].shape[0]
            frames[name] = rng.integers(0, rows, shape)
        else:
            frames[name] = (scale * rng.standard_normal(shape)).astype(np.float32)
    return frames


@pytest.mark.parametrize(("bits", "sparsity"), [(8, 0.0), (5, 0.5), (4, 0.75)])
def test_prediction_net_stays_lively_for_hundreds_of_symbols(
    graph_of: GraphOf, bits: int, sparsity: float
) -> None:
    graph = graph_of("rnnt_mlperf:prediction", bits, sparsity)
    assert_lively(graph, frames_of(graph, "rnnt_mlperf:prediction", 400), settled=50)


@pytest.mark.slow
def test_large_prediction_net_stays_lively(graph_of: GraphOf) -> None:
    graph = graph_of("rnnt_alexa_l:prediction", 5, 0.5)
    assert_lively(graph, frames_of(graph, "rnnt_alexa_l:prediction", 200), settled=50)


@pytest.mark.parametrize("net", ["rnnt_mlperf:joint", "rnnt_alexa_l:joint"])
def test_joint_net_is_neither_flat_nor_saturated(graph_of: GraphOf, net: str) -> None:
    graph = graph_of(net, 5, 0.5)
    inner = "joint.relu.y" if "mlperf" in net else "joint.tanh.y"
    steps = list(run_floats(graph, frames_of(graph, net, 200)))
    hidden = np.array([values[inner] for values in steps])
    logits = np.array([values["logits"] for values in steps])
    assert 0.3 < float(hidden.std()) < 0.9
    assert float((np.abs(hidden) > 0.99).mean()) < 0.25  # of a tanh: saturated
    assert 0.5 < float(logits.std()) < 2.0
    assert len(np.unique(logits.argmax(axis=-1))) > 10  # many symbols win


def sqnr_db(graph: Graph, net: str, steps: int) -> float:
    """Compile for az1 and return the integer reference's signal-to-noise ratio."""
    frames = frames_of(graph, net, steps)
    recorder = RangeRecorder(graph)
    (output,) = graph.outputs
    wanted = []
    for values in run_floats(graph, frames):
        recorder.add(values)
        wanted.append(values[output])
    compiled = compile_graph(graph, load_chip("az1"), recorder.ranges(), plan_of(graph)).integers
    inputs = [
        {name: quantized(compiled.tensors[name], frames[name][step]) for name in graph.inputs}
        for step in range(steps)
    ]
    tensor = compiled.tensors[output]
    got = np.array([values[output] for values in run_integers(compiled, inputs)], np.float64)
    signal = np.array(wanted, np.float64)
    noise = signal - (got - tensor.zero_point) * tensor.scale
    return float(10 * np.log10((signal**2).sum() / (noise**2).sum()))


def quantized(tensor: IntegerTensor, values: np.ndarray) -> np.ndarray:
    if tensor.element == "int32":
        return values.astype(np.int32)
    steps = np.rint(values / tensor.scale) + tensor.zero_point
    return np.clip(steps, -128, 127).astype(np.int8)


@pytest.mark.parametrize("net", SMALL_NETS + OTHER_NETS)
def test_integers_follow_the_floats(graph_of: GraphOf, net: str) -> None:
    """Weights are on the grid, so only 8-bit activations add noise."""
    assert sqnr_db(graph_of(net, 5, 0.5), net, 24) > 25


@pytest.mark.slow
@pytest.mark.parametrize("net", ENCODERS)
def test_encoder_is_the_stated_one(tmp_path: Path, net: str) -> None:
    entry = entry_of(net)
    start = time.perf_counter()
    model = build_zoo(entry.name, entry.part, entry.bits, entry.sparsity, 1)
    seconds = time.perf_counter() - start
    assert entry.source in model.doc_string
    save_onnx(model, tmp_path / "encoder.onnx")
    del model
    assert seconds < 20  # 4 s on an idle machine
    assert os.path.getsize(tmp_path / "encoder.onnx") < 4.02 * entry.parameters
    graph = read_onnx(tmp_path / "encoder.onnx")
    (tmp_path / "encoder.onnx").unlink()
    check_counts(graph, net)
    check_weights(graph)
    assert graph.outputs == ("encoded",)
    assert graph.values["encoded"].shape == (1, 1, 1024)
    lstms = [n for n in graph.nodes if n.operator == "LSTM"]
    assert [n.attributes["hidden_size"] for n in lstms] == [1024] * 5
    assert_lively(graph, frames_of(graph, net, 80), settled=40)
    assert sqnr_db(graph, net, 6) > 25


@pytest.mark.slow
def test_stacking_takes_the_older_vector_first(graph_of: GraphOf) -> None:
    """The first LSTM behind the stack reads [older, newer], as the reference's StackTime does."""
    graph = graph_of("rnnt_mlperf:encoder", 8, 0.0)
    frames = frames_of(graph, "rnnt_mlperf:encoder", 1)
    assert frames["features"].shape == (1, 2, 1, 240)
    (values,) = run_floats(graph, frames)
    older, newer = values["encoder.pre.1.Y"].reshape(2, 1024)
    stacked = values["stack_time.y"].reshape(-1)
    assert np.array_equal(stacked, np.concatenate([older, newer]))
    assert np.array_equal(newer, values["encoder.pre.1.h_next"].reshape(-1))
    assert not np.array_equal(older, newer)
