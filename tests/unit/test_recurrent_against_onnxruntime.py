"""Recurrent nodes that are written out step by step: floats against ONNX Runtime, integers run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import ModelMaker, run_onnxruntime

from azsim.api import run
from azsim.frontend import Inputs, read_onnx
from azsim.frontend.operators.recurrent import few_steps
from azsim.frontend.operators.unrolled import MAX_STEPS
from azsim.graph import Graph
from azsim.reference.floats import evaluate_floats

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STEPS, BATCH, FEATURES, HIDDEN = 3, 2, 5, 4
HARD = {"activations": ["HardSigmoid", "Tanh"], "activation_alpha": [0.25]}
TWO_WAYS = {
    "direction": "bidirectional",
    "activations": ["Affine", "ScaledTanh"],
    "activation_alpha": [0.5, 0.7],
    "activation_beta": [0.1, 0.8],
}


def model(
    operator: str,
    state: bool = False,
    peepholes: bool = False,
    outputs: tuple[str, ...] = ("Y", "Y_h", "Y_c"),
    **attributes: Any,
) -> tuple[ModelMaker, dict[str, np.ndarray]]:
    """A node of random weights and its data."""
    rng = np.random.default_rng(5)
    gates, ways = GATES[operator], 2 if attributes.get("direction") == "bidirectional" else 1
    maker = ModelMaker(opset=14)
    names = [
        maker.input("x", (STEPS, BATCH, FEATURES)),
        maker.tensor("W", rng.normal(size=(ways, gates * HIDDEN, FEATURES)) * 0.4),
        maker.tensor("R", rng.normal(size=(ways, gates * HIDDEN, HIDDEN)) * 0.4),
        maker.tensor("B", rng.normal(size=(ways, 2 * gates * HIDDEN)) * 0.3),
        "",
    ]
    shapes = {"x": (STEPS, BATCH, FEATURES)}
    for name in ("h", "c") if operator == "LSTM" else ("h",):
        shapes |= {name: (ways, BATCH, HIDDEN)} if state else {}
        names.append(maker.input(name, (ways, BATCH, HIDDEN)) if state else "")
    if peepholes:
        names.append(maker.tensor("P", rng.normal(size=(ways, 3 * HIDDEN)) * 0.5))
    results = outputs if operator == "LSTM" else outputs[:2]
    maker.node(operator, names, list(results), hidden_size=HIDDEN, name="n", **attributes)
    for name in filter(None, results):
        maker.output(name)
    return maker, {k: rng.normal(size=s).astype(np.float32) for k, s in shapes.items()}


def same(folder: Path, maker: ModelMaker, feeds: dict[str, np.ndarray]) -> Graph:
    path = maker.save(folder)
    graph = read_onnx(path)
    values, _ = evaluate_floats(graph, feeds, {})
    wanted = run_onnxruntime(path, feeds)
    assert wanted.keys() == set(graph.outputs)
    for name, array in wanted.items():
        assert values[name].shape == array.shape
        np.testing.assert_allclose(values[name], array, rtol=1e-5, atol=1e-6)
    return graph


@pytest.mark.parametrize("state", [False, True])
@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("RNN", {}),
        ("RNN", {"activations": ["Relu"], "direction": "reverse"}),
        ("RNN", {"clip": 0.4}),
        ("RNN", TWO_WAYS),
        ("RNN", {"activations": ["Softplus"]}),
        ("GRU", HARD),
        ("GRU", {"clip": 0.3}),
        ("GRU", {**HARD, "linear_before_reset": 1, "direction": "reverse"}),
        ("GRU", {"clip": 0.3, "linear_before_reset": 1, "direction": "bidirectional"}),
        ("LSTM", {"activations": ["HardSigmoid", "Tanh", "Tanh"]}),
        ("LSTM", {"activations": ["Sigmoid", "Softsign", "Relu"], "clip": 0.7}),
        ("LSTM", {"clip": 0.3, "input_forget": 1}),
        (
            "LSTM",
            {
                "activations": ["LeakyRelu", "Elu", "ThresholdedRelu"],
                "activation_alpha": [0.1, 0.8, 0.2],
            },
        ),
        ("LSTM", {"peepholes": True}),
        ("LSTM", {"peepholes": True, "direction": "bidirectional", "clip": 0.9}),
        ("LSTM", {"peepholes": True, "outputs": ("", "", "Y_c")}),
        ("LSTM", {"peepholes": True, "outputs": ("", "Y_h")}),
    ],
)
def test_written_out(
    tmp_path: Path, operator: str, attributes: dict[str, Any], state: bool
) -> None:
    graph = same(tmp_path, *model(operator, state, **attributes))
    assert operator not in {node.operator for node in graph.nodes}


@pytest.mark.parametrize("operator", ["LSTM", "GRU"])
def test_the_machines_own_form_stays(tmp_path: Path, operator: str) -> None:
    """Default activations by name, and numbers that they do not take."""
    names = ["sigmoid", "TANH", "Tanh"][: 3 if operator == "LSTM" else 2]
    maker, feeds = model(operator, activations=names)
    graph = same(tmp_path, maker, feeds)
    assert [node.operator for node in graph.nodes] == [operator]
    maker, feeds = model(operator, activation_alpha=[1.0])
    path = maker.save(tmp_path)
    assert [node.operator for node in read_onnx(path).nodes] == [operator]


def test_peepholes_of_zero_are_none(tmp_path: Path) -> None:
    maker, feeds = model("LSTM", peepholes=True)
    maker.tensors.pop()
    maker.tensor("P", np.zeros((1, 3 * HIDDEN)))
    assert [node.operator for node in same(tmp_path, maker, feeds).nodes] == ["LSTM"]


def test_batch_first(tmp_path: Path) -> None:
    """ONNX Runtime does not have layout 1; with the axes exchanged the values are those of 0."""
    plain, feeds = model("RNN")
    wanted = run_onnxruntime(plain.save(tmp_path, "plain.onnx"), feeds)
    maker, _ = model("RNN", layout=1)
    maker.inputs.clear()
    maker.input("x", (BATCH, STEPS, FEATURES))
    graph = read_onnx(maker.save(tmp_path))
    values, _ = evaluate_floats(graph, {"x": feeds["x"].transpose(1, 0, 2)}, {})
    np.testing.assert_allclose(values["Y"], wanted["Y"].transpose(2, 0, 1, 3), atol=1e-6)
    np.testing.assert_allclose(values["Y_h"], wanted["Y_h"].transpose(1, 0, 2), atol=1e-6)


@pytest.mark.parametrize(
    ("operator", "attributes"),
    [
        ("RNN", {}),
        ("GRU", {"clip": 0.9, "linear_before_reset": 1}),
        ("LSTM", {"peepholes": True, "direction": "bidirectional"}),
    ],
)
def test_integers_are_those_of_the_reference(
    tmp_path: Path, operator: str, attributes: dict[str, Any]
) -> None:
    maker, feeds = model(operator, True, **attributes)
    frames = {name: array[np.newaxis] for name, array in feeds.items()}
    graph = read_onnx(maker.save(tmp_path))
    record = run(graph, input=Inputs(frames, "test"), verify=True, cache=False)
    assert record.verification is not None
    assert record.verification.exact == record.verification.steps == 1
    assert min(figure for figure in record.sqnr_db.values() if figure is not None) > 25


def test_all_steps_share_the_stream_of_r(tmp_path: Path) -> None:
    """16 steps store R once: hardly more weight bytes than 2 steps."""
    stored = []
    for steps in (2, 16):
        maker, _ = model("RNN")
        maker.inputs.clear()
        maker.input("x", (steps, BATCH, FEATURES))
        graph = read_onnx(maker.save(tmp_path))
        recurrent = [node for node in graph.nodes if node.name.startswith("n.recurrent")]
        assert len(recurrent) == steps - 1
        stored.append({node.inputs[1] for node in recurrent})
    assert stored[0] == stored[1] == {"n.R"}


def test_quantized_weights_stay(tmp_path: Path) -> None:
    """Integers of W and R of a QDQ model are those of the products."""
    rng = np.random.default_rng(2)
    maker = ModelMaker(opset=17)
    maker.input("x", (STEPS, BATCH, FEATURES))
    integers = {}
    for name, shape in (("W", (1, HIDDEN, FEATURES)), ("R", (1, HIDDEN, HIDDEN))):
        integers[name] = rng.integers(-127, 128, shape).astype(np.int8)
        maker.tensor(f"{name}.q", integers[name], np.int8)
        maker.tensor(f"{name}.s", rng.uniform(0.004, 0.008, HIDDEN))
        maker.node("DequantizeLinear", [f"{name}.q", f"{name}.s"], [name], axis=1)
    maker.node("RNN", ["x", "W", "R"], ["Y"], hidden_size=HIDDEN, name="n")
    maker.output("Y")
    graph = same(tmp_path, maker, {"x": rng.normal(size=(STEPS, BATCH, FEATURES)).astype("f4")})
    for name in ("W", "R"):
        stored = graph.values[f"n.{name}"].stored
        assert stored is not None
        np.testing.assert_array_equal(stored.integers, integers[name][0].T)


def test_the_rule_names_the_limit() -> None:
    assert f"at most {MAX_STEPS} steps" in " ".join((few_steps.__doc__ or "").split())
