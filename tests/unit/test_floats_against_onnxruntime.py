"""Do the reader and the float evaluation mean what ONNX Runtime computes?"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from onnx_models import INT64, ModelMaker, lstm_tensors, run_onnxruntime
from random_nets import RandomNet, random_nets

from azsim.frontend import read_onnx
from azsim.graph import ValueKind, verify_graph
from azsim.reference.floats import evaluate_floats, initial_states, run_floats


def compare(path: Path, feeds: dict[str, np.ndarray], tolerance: float = 2e-5) -> None:
    graph = read_onnx(path)
    verify_graph(graph)
    states = {p.source: feeds[p.source] for p in graph.states}
    values, carried = evaluate_floats(graph, feeds, states)
    want = run_onnxruntime(path, feeds)
    results = [p.result for p in graph.states]
    assert set(want) == {*graph.outputs, *results}
    for name, array in want.items():
        assert values[name].shape == array.shape
        np.testing.assert_allclose(values[name], array, rtol=tolerance, atol=tolerance)
    for pair in graph.states:
        np.testing.assert_array_equal(carried[pair.source], values[pair.result])


@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (5, 1), (3, 2)])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("with_state", [True, False])
def test_lstm_equals_onnxruntime(
    tmp_path: Path, steps: int, batch: int, with_bias: bool, with_state: bool
) -> None:
    rng = np.random.default_rng(steps * 10 + batch)
    maker = ModelMaker(opset=14)
    maker.input("x", (steps, batch, 6))
    weights = lstm_tensors(maker, rng, 6, 4)
    inputs = ["x", *weights[:2], weights[2] if with_bias else ""]
    feeds = {"x": rng.normal(size=(steps, batch, 6)).astype(np.float32)}
    if with_state:
        for name in ("h", "c"):
            maker.input(name, (1, batch, 4))
            feeds[name] = rng.normal(size=(1, batch, 4)).astype(np.float32)
        inputs += ["", "h", "c"]
        maker.metadata["azsim.state"] = json.dumps({"h": "Y_h", "c": "Y_c"})
    maker.node("LSTM", inputs, ["Y", "Y_h", "Y_c"], hidden_size=4, name="rnn")
    for name, shape in (("Y", (steps, 1, batch, 4)), ("Y_h", None), ("Y_c", (1, batch, 4))):
        maker.output(name, shape)
    path = maker.save(tmp_path)
    compare(path, feeds)
    graph = read_onnx(path)
    assert graph.outputs == (("Y",) if with_state else ("Y", "Y_h", "Y_c"))


def test_c_max_is_the_largest_cell_value_of_all_time_steps(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    maker = ModelMaker()
    maker.input("x", (7, 2, 6))
    maker.node("LSTM", ["x", *lstm_tensors(maker, rng, 6, 4)], ["Y"], hidden_size=4, name="rnn")
    maker.output("Y")
    graph = read_onnx(maker.save(tmp_path))
    x = rng.normal(size=(7, 2, 6)).astype(np.float32)
    values, _ = evaluate_floats(graph, {"x": x}, {})
    # the cell after k steps is Y_c of the first k steps alone
    cells = []
    for k in range(1, 8):
        part = ModelMaker()
        part.input("x", (k, 2, 6))
        part.tensors = maker.tensors
        part.node("LSTM", ["x", "W", "R", "B"], ["", "", "Y_c"], hidden_size=4)
        part.output("Y_c")
        cells.append(run_onnxruntime(part.save(tmp_path, f"{k}.onnx"), {"x": x[:k]})["Y_c"])
    np.testing.assert_allclose(values["rnn:c_max"], np.abs(cells).max(), rtol=1e-5)


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.5, 2.0), (1.0, 0.0)])
@pytest.mark.parametrize("addend", ["none", "row", "column", "scalar"])
def test_gemm_equals_onnxruntime(
    tmp_path: Path, trans_b: int, alpha: float, beta: float, addend: str
) -> None:
    rng = np.random.default_rng(1)
    maker = ModelMaker()
    maker.input("x", (3, 5))
    weight = rng.normal(size=(5, 4))
    maker.tensor("W", weight.T if trans_b else weight)
    inputs = ["x", "W"]
    shapes = {"row": (4,), "column": (3, 1), "scalar": ()}
    if addend in shapes:
        inputs.append(maker.tensor("C", rng.normal(size=shapes[addend])))
    maker.node("Gemm", inputs, ["y"], transB=trans_b, alpha=alpha, beta=beta)
    maker.output("y", (3, 4))
    compare(maker.save(tmp_path), {"x": rng.normal(size=(3, 5)).astype(np.float32)})


def test_movement_and_embedding_equal_onnxruntime(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    maker = ModelMaker(opset=18)
    maker.input("x", (2, 6, 5))
    maker.input("token", (1, 3), INT64)
    maker.tensor("table", rng.normal(size=(9, 5)))
    maker.node("Gather", ["table", "token"], ["e"])
    for name, data in (
        ("starts", [-5, 1]),
        ("ends", [2**62, -1]),
        ("axes", [1, -1]),
        ("steps", [2, 1]),
        ("scalar", -1),
        ("matrix", [[0, -1], [3, 3]]),
        ("target", [0, -1]),
        ("one", [1]),
        ("parts", [1, 2, 3]),
    ):
        maker.tensor(name, data, np.int64)
    maker.node("Slice", ["x", "starts", "ends", "axes", "steps"], ["sliced"])
    maker.node("Gather", ["x", "scalar"], ["last"], axis=1)
    maker.node("Gather", ["x", "matrix"], ["many"], axis=1)
    maker.node("Split", ["x", "parts"], ["s0", "s1", "s2"], axis=1)
    maker.node("Split", ["x"], ["t0", "t1", "t2"], axis=-1, num_outputs=3)
    maker.node("Concat", ["s0", "s2", "s0"], ["joined"], axis=-2)
    maker.node("Reshape", ["joined", "target"], ["flat"])
    maker.node("Transpose", ["x"], ["turned"], perm=[2, 0, 1])
    maker.node("Transpose", ["x"], ["reversed"])
    maker.node("Unsqueeze", ["last", "one"], ["wide"])
    maker.node("Squeeze", ["wide"], ["narrow"])
    maker.node("Flatten", ["x"], ["matrix_of_x"], axis=-1)
    maker.node("Identity", ["x"], ["again"])
    maker.node("Softmax", ["again"], ["soft"], axis=1)
    names = "e sliced last many flat turned reversed narrow matrix_of_x again soft t1 t2"
    for name in names.split():
        maker.output(name)
    feeds = {
        "x": rng.normal(size=(2, 6, 5)).astype(np.float32),
        "token": np.array([[8, 0, 3]]),
    }
    compare(maker.save(tmp_path), feeds)


def test_exported_shape_chain_folds_away(tmp_path: Path) -> None:
    """Reshape to (Shape(x)[0] * Shape(x)[1], -1), the way exporters write a flatten."""
    maker = ModelMaker()
    maker.input("x", (2, 3, 4))
    maker.node("Shape", ["x"], ["size"])
    maker.tensor("i0", 0, np.int64)
    maker.tensor("i1", [1], np.int64)
    maker.tensor("axes", [0], np.int64)
    maker.node("Gather", ["size", "i0"], ["d0"])
    maker.node("Gather", ["size", "i1"], ["d1"])
    maker.node("Unsqueeze", ["d0", "axes"], ["d0v"])
    maker.node("Mul", ["d0v", "d1"], ["rows"])
    maker.node("Constant", [], ["rest"], value_ints=[-1])
    maker.node("Concat", ["rows", "rest"], ["wish"], axis=0)
    maker.node("Reshape", ["x", "wish"], ["flat"], name="flatten")
    maker.node("Constant", [], ["half"], value_float=0.5)
    maker.node("ConstantOfShape", ["wish0"], ["zeros"])
    maker.tensor("wish0", [6, 4], np.int64)
    maker.node("Cast", ["zeros"], ["zeros32"], to=1)
    maker.node("Add", ["zeros32", "half"], ["halves"])
    maker.node("Mul", ["flat", "halves"], ["y"], name="scale")
    maker.output("y", (6, 4))
    path = maker.save(tmp_path)
    compare(path, {"x": np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)})
    assert [(n.name, n.operator) for n in read_onnx(path).nodes] == [
        ("flatten", "Reshape"),
        ("scale", "Mul"),
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(net=random_nets())
def test_random_graphs_equal_onnxruntime(
    tmp_path_factory: pytest.TempPathFactory, net: RandomNet
) -> None:
    computed = net.live[1:]
    if not computed:
        return
    for name, shape in computed:
        net.maker.output(name, shape)
    compare(net.maker.save(tmp_path_factory.mktemp("net")), net.feeds, tolerance=1e-4)


def test_states_are_carried_from_zero(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    maker = ModelMaker()
    maker.input("x", (1, 1, 6))
    maker.input("h", (1, 1, 4))
    maker.input("c", (1, 1, 4))
    weights = lstm_tensors(maker, rng, 6, 4)
    maker.node("LSTM", ["x", *weights, "", "h", "c"], ["Y", "h2", "c2"], hidden_size=4)
    for name in ("Y", "h2", "c2"):
        maker.output(name)
    maker.metadata["azsim.state"] = json.dumps({"h": "h2", "c": "c2"})
    graph = read_onnx(maker.save(tmp_path))
    assert [graph.values[p.source].kind for p in graph.states] == [ValueKind.STATE] * 2
    assert all(not state.any() for state in initial_states(graph).values())
    frames = rng.normal(size=(9, 1, 1, 6)).astype(np.float32)
    stepwise = np.concatenate([v["Y"] for v in run_floats(graph, {"x": frames})])
    at_once = ModelMaker()
    at_once.tensors = maker.tensors
    at_once.input("x", (9, 1, 6))
    at_once.node("LSTM", ["x", "W", "R", "B"], ["Y"], hidden_size=4)
    at_once.output("Y")
    want = run_onnxruntime(at_once.save(tmp_path, "all.onnx"), {"x": frames[:, 0]})["Y"]
    np.testing.assert_allclose(stepwise, want, rtol=1e-5, atol=1e-6)
