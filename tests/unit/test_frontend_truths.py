"""Comparisons, logic and choices by computed conditions mean what onnxruntime computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from onnx_models import ModelMaker, run_onnxruntime

from azsim.errors import ModelError
from azsim.frontend import load_inputs, read_onnx
from azsim.reference.floats import evaluate_floats

pytestmark = pytest.mark.small

BOOL = TensorProto.BOOL
RNG = np.random.default_rng(8)
X = RNG.integers(-3, 4, (3, 4)).astype(np.float32)
Y = RNG.integers(-3, 4, (3, 4)).astype(np.float32)
P, Q = X > 0, Y > 0


def check(folder: Path, maker: ModelMaker, result: str) -> None:
    """Cast `result` to float as the only output and compare."""
    maker.node("Cast", [result], ["out"], to=TensorProto.FLOAT)
    maker.output("out")
    path = maker.save(folder)
    given = {"x": X, "y": Y, "p": P, "q": Q}
    feeds = {value.name: given[value.name] for value in maker.inputs}
    want = run_onnxruntime(path, feeds)["out"]
    values, _ = evaluate_floats(read_onnx(path), {n: a.astype("f4") for n, a in feeds.items()}, {})
    assert values["out"].shape == want.shape
    np.testing.assert_allclose(values["out"], want, rtol=1e-6)


def net() -> ModelMaker:
    maker = ModelMaker(20)
    for name in "xy":
        maker.input(name, (3, 4))
    for name in "pq":
        maker.input(name, (3, 4), BOOL)
    return maker


COMPARISONS = ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")


@pytest.mark.parametrize("operator", COMPARISONS)
@pytest.mark.parametrize("other", ["y", "number", "row"])
@pytest.mark.parametrize("swapped", [False, True])
def test_comparison(tmp_path: Path, operator: str, other: str, swapped: bool) -> None:
    maker = net()
    maker.tensor("number", 1.0)
    maker.tensor("row", [-1.0, 0.0, 1.0, 2.0])
    maker.node(operator, [other, "x"] if swapped else ["x", other], ["r"])
    check(tmp_path, maker, "r")


@pytest.mark.parametrize("operator", ["And", "Or", "Xor"])
@pytest.mark.parametrize("other", ["q", "fixed"])
def test_logic(tmp_path: Path, operator: str, other: str) -> None:
    maker = net()
    maker.tensor("fixed", [True, False, True, False], np.bool_)
    maker.node(operator, ["p", other], ["both"])
    maker.node("Not", ["both"], ["r"])
    check(tmp_path, maker, "r")


@pytest.mark.parametrize("a", ["x", "number", "zero", "row"])
@pytest.mark.parametrize("b", ["y", "number", "zero", "row"])
@pytest.mark.parametrize("wide", [False, True])
def test_choice(tmp_path: Path, a: str, b: str, wide: bool) -> None:
    """`wide`: the result has more entries than the condition."""
    maker = net()
    maker.tensor("number", 2.5)
    maker.tensor("zero", 0.0)
    maker.tensor("row", [-1.0, 0.0, 1.0, 2.0])
    condition = "p"
    if wide:
        maker.tensor("dims", [1], np.int64)
        maker.node("Unsqueeze", ["p", "dims"], ["deep"])
        condition = "deep"
    maker.node("Where", [condition, a, b], ["r"])
    check(tmp_path, maker, "r")


def test_truths_are_moved_and_joined(tmp_path: Path) -> None:
    maker = net()
    maker.tensor("fixed", [[True, False, True, False]], np.bool_)
    maker.tensor("shape", [2, 1, 4, 4], np.int64)
    maker.node("Concat", ["p", "fixed"], ["joined"], axis=0)
    maker.node("Expand", ["joined", "shape"], ["wide"])
    maker.node("Transpose", ["wide"], ["turned"])
    maker.node("Where", ["turned", "x0", "x1"], ["r"])
    maker.tensor("x0", RNG.normal(size=(4, 1, 2)))
    maker.tensor("x1", 0.5)
    check(tmp_path, maker, "r")


@pytest.mark.parametrize("operator", ["IsNaN", "IsInf"])
def test_nothing_is_infinite(tmp_path: Path, operator: str) -> None:
    """As safe Softmax is exported: the choice is known and leaves the shares alone."""
    maker = net()
    maker.tensor("zero", 0.0)
    maker.node("Softmax", ["x"], ["shares"])
    maker.node(operator, ["shares"], ["bad"])
    maker.node("Where", ["bad", "zero", "shares"], ["r"])
    check(tmp_path, maker, "r")
    nodes = read_onnx(tmp_path / "model.onnx").nodes
    assert [node.operator for node in nodes] == ["Softmax", "Reshape"]


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("offset", [None, -1, 2])
def test_triangle(tmp_path: Path, upper: int, offset: int | None) -> None:
    maker = net()
    names = ["x"] if offset is None else ["x", maker.tensor("k", offset, np.int64)]
    maker.node("Trilu", names, ["r"], upper=upper)
    check(tmp_path, maker, "r")


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_elements_gathered(tmp_path: Path, axis: int) -> None:
    maker = net()
    size = X.shape[axis]
    places = np.random.default_rng(1).integers(-size, size, (2, 4) if axis else (5, 4))
    maker.tensor("places", places, np.int64)
    maker.node("GatherElements", ["x", "places"], ["r"], axis=axis)
    check(tmp_path, maker, "r")


def test_cast_to_bool_is_not_zero(tmp_path: Path) -> None:
    maker = net()
    maker.node("Cast", ["x"], ["truth"], to=BOOL)
    maker.node("Not", ["truth"], ["r"])
    check(tmp_path, maker, "r")


def _bool_input(folder: Path) -> Path:
    maker = ModelMaker()
    maker.input("p", (2,), BOOL)
    maker.node("Cast", ["p"], ["y"], to=TensorProto.FLOAT)
    maker.output("y")
    return maker.save(folder)


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.array([[0.0, 0.5]], np.float32), "array 'p' must hold 0 and 1 only"),
        (
            np.array([[0, 1]], np.int64),
            "array 'p' must be bool (or float32 of 0 and 1), not '<i8'",
        ),
    ],
)
def test_bool_frames_refused(tmp_path: Path, array: np.ndarray, text: str) -> None:
    graph, frames = read_onnx(_bool_input(tmp_path)), tmp_path / "frames.npz"
    np.savez(frames, p=array)
    with pytest.raises(ModelError) as refusal:
        load_inputs(frames, graph, None)
    assert str(refusal.value) == f"{frames}: {text}"


def test_bool_frames_are_taken(tmp_path: Path) -> None:
    graph, frames = read_onnx(_bool_input(tmp_path)), tmp_path / "frames.npz"
    np.savez(frames, p=np.array([[True, False]]))
    np.testing.assert_array_equal(load_inputs(frames, graph, None).frames["p"], [[1.0, 0.0]])
