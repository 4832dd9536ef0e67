"""Have the nets around the recognizer, and the other recognizers, the sizes of their sources; do
they run bit for bit on both chips, and do their activations stay in range?

Figures: counts of the sources' layer lists, written out by hand where a source states no total.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from zoo_checks import assert_lively

from azsim.api import run
from azsim.frontend import read_onnx
from azsim.frontend.inputs import Inputs
from azsim.graph import Graph
from azsim.reference.floats import run_floats
from azsim.sweep.materials import random_inputs
from azsim.zoo import build_zoo, find_entry, save_onnx, zoo_table

# net, parameters and MACs per step in millions
SIZES = [
    ("ep_speculative", 0.066, 0.066),
    ("whisper_lstm", 0.066, 0.066),
    ("spkid_dvector:small", 1.42, 1.42),
    ("spkid_dvector:large", 4.65, 4.64),
    ("wakeword_svdf", 0.354, 0.352),
    ("lid_stream", 0.40, 0.39),
    ("nlu_small", 0.38, 12 * 0.2128),
    ("nlu_tinybert", 14.1, 16 * 4.612),
    ("ctx_bias_mha:catalog", 0.234, 5 * 0.0672),
    ("ctx_bias_mha:cache", 0.033, 300 * 2 * 64 * 256 / 1e6),
    ("ctx_bias_mha:attention", 0.526, 0.68),
    ("rnnt_alexa_s:encoder", 20.08, 20.07),
    ("rnnt_alexa_s:prediction", 7.90, 7.25),
    ("rnnt_alexa_s:joint", 2.04, 2.03),
    ("rnnt_alexa_m:encoder", 38.56, 38.54),
    ("rnnt_alexa_m:prediction", 5.48, 4.19),
    ("rnnt_alexa_m:joint", 2.07, 2.07),
    ("rnnt_alexa_l_tr2:encoder", 42.75, 2 * 13.37 + 29.36),
    ("rnnt_google_mobile:encoder_fast", 20.99, 20.97),
    ("rnnt_google_mobile:encoder_slow", 76.07, 76.02),
    ("rnnt_google_mobile:prediction", 19.94, 19.40),
    ("rnnt_google_mobile:joint", 3.45, 2 * 0.4096 + 640 * 4096 / 1e6),
    ("rnnt_google_edge:encoder_fast", 22.56, 22.54),
    ("rnnt_google_edge_cifg:encoder_fast", 17.58, 17.56),
    ("rnnt_google_edge_cifg:encoder_slow", 59.02, 58.98),
    ("rnnt_amnet:encoder", 2 * 38.56 + 0.066, 2 * 38.54 + 0.066),
    ("rnnt_bifocal:encoder", 38.56 + 6.0 + 0.066, 38.54 + 6.0 + 0.066),
    ("tiny_rnnt:encoder", 1.77, 2 * 0.459 + 1.31),
    ("tiny_rnnt:prediction", 0.107, 0.098),
]
WHOLE = [  # names, millions of parameters of all their parts, share it may differ
    (("rnnt_alexa_s",), 30.0, 0.001),
    (("rnnt_alexa_m",), 46.1, 0.001),
    (("rnnt_google_mobile",), 120.4, 0.001),
    (("rnnt_google_edge",), 122.0, 0.001),
    (("rnnt_google_edge_cifg",), 95.8, 0.001),
    (("lstm_transducer_icefall",), 84.69 - 0.51, 0.001),
    (("tiny_rnnt",), 1.95, 0.003),
    (("rnnt_bifocal",), 64.4, 0.002),
    (("ctx_bias_mha",), 0.23 + 0.56, 0.01),
    (("ep_final",), 0.27, 0.02),
    (("wakeword_250k",), 0.25, 0.005),
]
SMALL = [
    *("ep_speculative", "whisper_lstm", "spkid_dvector:small", "spkid_dvector:compare"),
    *("wakeword_svdf", "wakeword_250k", "lid_stream", "nlu_small"),
    *("ctx_bias_mha:catalog", "ctx_bias_mha:attention"),
    *("tiny_rnnt:encoder", "tiny_rnnt:prediction", "tiny_rnnt:joint"),
    *("lstm_transducer_icefall:prediction", "lstm_transducer_icefall:joint"),
]
GraphOf = Callable[[str], Graph]


def split(net: str) -> tuple[str, str | None]:
    name, _, part = net.partition(":")
    return name, part or None


@pytest.mark.small
@pytest.mark.parametrize(("net", "parameters", "macs"), SIZES)
def test_table_states_the_sizes_of_the_source(net: str, parameters: float, macs: float) -> None:
    entry = find_entry(*split(net))
    assert entry.parameters / 1e6 == pytest.approx(parameters, rel=0.012)
    assert entry.macs / 1e6 == pytest.approx(macs, rel=0.012)


@pytest.mark.small
@pytest.mark.parametrize(("names", "parameters", "share"), WHOLE)
def test_whole_nets_have_the_size_of_the_source(
    names: tuple[str, ...], parameters: float, share: float
) -> None:
    total = sum(entry.parameters for entry in zoo_table() if entry.name in names)
    assert total / 1e6 == pytest.approx(parameters, rel=share)


@pytest.mark.small
def test_characters_replace_word_pieces_in_two_parts_only() -> None:
    parts = {e.part: e.parameters for e in zoo_table() if e.name == "rnnt_google_mobile"}
    parts |= {e.part: e.parameters for e in zoo_table() if e.name == "rnnt_google_graphemes"}
    assert sum(parts.values()) / 1e6 == pytest.approx(117.4, rel=0.001)


@pytest.fixture(scope="module")
def graph_of(tmp_path_factory: pytest.TempPathFactory) -> GraphOf:
    """Return a function that builds, saves and reads a net once."""

    @cache
    def read(net: str) -> Graph:
        path = tmp_path_factory.mktemp("zoo") / "net.onnx"
        entry = find_entry(*split(net))
        model = build_zoo(entry.name, entry.part, entry.bits, entry.sparsity, 1)
        onnx.checker.check_model(model, full_check=True)
        save_onnx(model, path)
        return read_onnx(path)

    return read


@pytest.mark.parametrize("net", SMALL)
def test_graph_holds_what_the_table_counts(graph_of: GraphOf, net: str) -> None:
    """All float constants of the file, without second biases and numbers that no training sets."""
    graph, entry = graph_of(net), find_entry(*split(net))
    second = sum(
        graph.values[node.inputs[3]].shape[1] // 2
        for node in graph.nodes
        if node.operator == "LSTM"
    )
    stored = sum(
        value.data.size
        for value in graph.values.values()
        if value.data is not None and value.data.dtype == np.float32 and value.data.size > 1
        if np.ptp(value.data)  # or else the gain of a norm that has none
    )
    assert stored - second == entry.parameters


@pytest.mark.parametrize("net", SMALL)
@pytest.mark.parametrize("chip", ["az1", "az2"])
def test_runs_bit_for_bit(graph_of: GraphOf, net: str, chip: str) -> None:
    graph = graph_of(net)
    record = run(graph, input=random_inputs(graph, 2, 1), chip=chip, verify=True, cache=False)
    assert record.verification is not None
    assert (record.verification.exact, record.verification.first_difference) == (2, "")
    for name, decibels in record.sqnr_db.items():
        assert decibels is None or decibels > 20, name


@pytest.mark.parametrize("net", ["ep_speculative", "whisper_lstm", "lid_stream"])
def test_recurrent_nets_stay_lively(graph_of: GraphOf, net: str) -> None:
    graph = graph_of(net)
    frames = dict(random_inputs(graph, 200, 1).frames)
    scale = {"lid_stream": 0.35}.get(net, 1.0)
    frames = {name: (scale * array).astype(np.float32) for name, array in frames.items()}
    assert_lively(graph, frames, settled=50)


@pytest.mark.parametrize("net", ["wakeword_svdf", "wakeword_250k", "spkid_dvector:small"])
def test_results_move_and_do_not_die(graph_of: GraphOf, net: str) -> None:
    graph = graph_of(net)
    (output,) = graph.outputs
    steps = run_floats(graph, dict(random_inputs(graph, 120, 1).frames))
    late = np.array([values[output].reshape(-1) for values in steps])[40:]
    assert float(late.std(axis=0).min()) > 0.1 * float(late.std())
    assert float(late.std()) > 0.02
    if net.startswith("spkid"):  # of length 1
        assert np.sqrt((late**2).sum(axis=1)) == pytest.approx(1.0, abs=1e-3)


# -- an LSTM whose output is projected before it is fed back --------------------------------------


def test_projected_layer_is_the_formula_of_the_books(tmp_path: Path) -> None:
    """r = P (o tanh(c)), gates from x and r: one step after another, against plain numpy."""
    from azsim.zoo.layers import LstmLayer
    from azsim.zoo.model import NetMaker
    from azsim.zoo.transducer_blocks import projected_lstm

    for gates in (4, 3):
        maker = NetMaker("net", 8, 0.0, 7, 0)
        x = maker.input("x", (1, 1, 6))
        y = projected_lstm(maker, LstmLayer("cell", 6, 16, recurrent=5, gates=gates), x)
        maker.operator("Identity", "end", [y], "y")
        maker.output("y", (1, 1, 5))
        model = maker.build("", {})
        onnx.checker.check_model(model, full_check=True)
        save_onnx(model, tmp_path / "net.onnx")
        graph = read_onnx(tmp_path / "net.onnx")
        assert [node.inputs[2] for node in graph.nodes if node.operator == "LSTM"] == [""]
        tensors = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
        frames = np.random.default_rng(3).normal(size=(9, 1, 1, 6)).astype(np.float32)
        wanted = _projected(tensors, frames.reshape(9, 6), coupled=gates == 3)
        got = [values["y"].reshape(-1) for values in run_floats(graph, {"x": frames})]
        assert np.array(got) == pytest.approx(wanted, abs=1e-5)
        inputs = Inputs({"x": frames}, "here")
        record = run(graph, input=inputs, chip="az1", verify=True, cache=False)
        assert record.verification is not None
        assert record.verification.exact == 9


def _projected(tensors: dict[str, np.ndarray], frames: np.ndarray, coupled: bool) -> np.ndarray:
    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x.astype(np.float64)))

    weight, bias = tensors["cell.W"][0], tensors["cell.B"][0]
    projection = tensors["cell.projection.W"]
    r, c, rows = np.zeros(5), np.zeros(16), []
    for x in frames:
        i, o, f, new = np.split(weight @ np.concatenate([x, r]) + bias[:64] + bias[64:], 4)
        c = (1 - sigmoid(i) if coupled else sigmoid(f)) * c + sigmoid(i) * np.tanh(new)
        r = projection @ (sigmoid(o) * np.tanh(c))
        rows.append(r)
    return np.array(rows)
