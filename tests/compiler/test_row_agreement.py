"""Do functions, reductions, selections, norms and products of two computed tensors give ONNX
Runtime's integers?

Rule as in test_qdq_agreement.py: equal on the same integers, except within 1e-3 of a half step.
Where a command has a precision of its own (norms, logarithm of softmax) the rule is one step at
most, and the exact result within the stated part of a step of ours.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx_models import INT64, ModelMaker
from qdq_models import LOWEST, Grid, QdqMaker, check_agreement, integers_of, run_qdq

FOLDERS = pytest.TempPathFactory
SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SEEDS = st.integers(0, 2**32 - 1)
NORM_PART = 0.02  # of a step: what NORM and LOG_SOFTMAX may be off


def some_grid(rng: np.random.Generator, scale: float = 0.03) -> Grid:
    element = ("int8", "uint8")[int(rng.integers(2))]
    return Grid(
        element, scale * float(rng.uniform(0.5, 2)), int(rng.integers(256)) + LOWEST[element]
    )


def spread(exact: np.ndarray, rng: np.random.Generator) -> Grid:
    """A grid on which `exact` fills most of the range and sometimes saturates."""
    peak = max(float(np.abs(exact).max()), 1e-6)
    return some_grid(rng, peak / 100)


def compare(
    folder: Path, maker: QdqMaker, feeds: dict[str, np.ndarray], exact: np.ndarray, grid: Grid
) -> None:
    path = maker.save(folder)
    ours = integers_of(maker, path, feeds)["y"]
    check_agreement(ours, run_qdq(path, feeds)["y"], exact, grid)


FUNCTIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
    "Abs": (np.abs, 21),
    "Asinh": (np.arcsinh, 21),
    "Atan": (np.arctan, 21),
    "Cosh": (np.cosh, 21),
    "Sinh": (np.sinh, 21),
    "Cos": (np.cos, 22),
    "Elu": (lambda x: np.where(x > 0, x, np.expm1(x)), 22),
    "Exp": (np.exp, 21),
    "HardSigmoid": (lambda x: np.clip(0.2 * x + 0.5, 0, 1), 22),
    "HardSwish": (lambda x: x * np.clip(x / 6 + 0.5, 0, 1), 22),
    "LeakyRelu": (lambda x: np.where(x < 0, np.float64(np.float32(0.01)) * x, x), 21),
    "Neg": (np.negative, 21),
    "Softplus": (lambda x: np.logaddexp(0, x), 22),
    "Softsign": (lambda x: x / (1 + np.abs(x)), 22),
    "Sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 21),
    "Tanh": (np.tanh, 21),
}


@pytest.mark.parametrize("operator", sorted(FUNCTIONS))
def test_functions_on_all_integers(tmp_path: Path, operator: str) -> None:
    function, opset = FUNCTIONS[operator]
    rng = np.random.default_rng(len(operator))
    x = some_grid(rng)
    maker = QdqMaker(min(opset, 21))
    data = (np.arange(256) + LOWEST[x.element]).astype(x.element).reshape(2, 128)
    exact = function(x.numbers(data))
    grid = spread(exact, rng)
    maker.node(operator, [maker.given("x", data.shape, x)], ["p"])
    maker.result("p", grid)
    compare(tmp_path, maker, {"x": data}, exact, grid)


BINARY: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "Sub": np.subtract,
    "Min": np.minimum,
    "Max": np.maximum,
}


@pytest.mark.parametrize("operator", sorted(BINARY))
@pytest.mark.parametrize("shapes", [((3, 8), (3, 8)), ((2, 3, 8), (8,)), ((3, 1), (1, 8))])
def test_pairs(
    tmp_path: Path, operator: str, shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    rng = np.random.default_rng(sum(map(sum, shapes)))
    grids = {name: some_grid(rng) for name in "ab"}
    maker = QdqMaker()
    feeds = {n: grids[n].random(rng, s) for n, s in zip("ab", shapes, strict=True)}
    inputs = [maker.given(name, feeds[name].shape, grids[name]) for name in "ab"]
    exact = BINARY[operator](*(grids[n].numbers(feeds[n]) for n in "ab"))
    grid = spread(exact, rng)
    maker.node(operator, inputs, ["p"])
    maker.result("p", grid)
    compare(tmp_path, maker, feeds, exact, grid)


REDUCTIONS: dict[str, Callable[..., np.ndarray]] = {
    "ReduceMean": np.mean,
    "ReduceSum": np.sum,
    "ReduceMax": np.max,
    "ReduceMin": np.min,
}


@SETTINGS
@given(
    seed=SEEDS,
    operator=st.sampled_from(sorted(REDUCTIONS)),
    axes=st.sets(st.integers(0, 4), min_size=1),
    keep=st.booleans(),
)
def test_reductions_over_any_axes(
    tmp_path_factory: FOLDERS, seed: int, operator: str, axes: set[int], keep: bool
) -> None:
    rng = np.random.default_rng(seed)
    x, shape = some_grid(rng), tuple(int(n) for n in rng.integers(1, 4, 5))
    data = x.random(rng, shape)
    exact = REDUCTIONS[operator](x.numbers(data), axis=tuple(axes), keepdims=keep)
    grid = spread(exact, rng)
    maker = QdqMaker(21)
    maker.tensor("axes", sorted(axes), np.int64)
    given_x = maker.given("x", shape, x)
    maker.node(operator, [given_x, "axes"], ["p"], keepdims=int(keep))
    maker.result("p", grid)
    compare(tmp_path_factory.mktemp("r"), maker, {"x": data}, exact, grid)


@SETTINGS
@given(seed=SEEDS, batched=st.sampled_from(["none", "a", "b", "both"]))
def test_products_of_two_computed_tensors(
    tmp_path_factory: FOLDERS, seed: int, batched: str
) -> None:
    rng = np.random.default_rng(seed)
    rows, columns, outputs = (int(n) for n in rng.integers(1, 40, 3))
    front = {"none": ((), ()), "a": ((3,), ()), "b": ((), (2,)), "both": ((3, 1), (2,))}[batched]
    grids = {name: some_grid(rng) for name in "ab"}
    if rng.integers(3) == 0:  # a zero point whose negative is no int8
        grids = {name: Grid("uint8", 0.02, 0) for name in "ab"}
    shapes = {"a": (*front[0], rows, columns), "b": (*front[1], columns, outputs)}
    maker = QdqMaker()
    feeds = {name: grids[name].random(rng, shapes[name]) for name in "ab"}
    exact = grids["a"].numbers(feeds["a"]) @ grids["b"].numbers(feeds["b"])
    grid = spread(exact, rng)
    maker.node("MatMul", [maker.given(n, shapes[n], grids[n]) for n in "ab"], ["p"])
    maker.result("p", grid)
    compare(tmp_path_factory.mktemp("m"), maker, feeds, exact, grid)


def test_selection_by_a_constant_condition(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    grids = {name: some_grid(rng) for name in "ab"}
    maker = QdqMaker()
    feeds = {"a": grids["a"].random(rng, (2, 3, 8)), "b": grids["b"].random(rng, (8,))}
    condition = rng.random((3, 1)) > 0.5
    maker.tensor("c", condition, bool)
    inputs = [maker.given(name, feeds[name].shape, grids[name]) for name in "ab"]
    exact = np.where(condition, *(grids[name].numbers(feeds[name]) for name in "ab"))
    grid = spread(exact, rng)
    maker.node("Where", ["c", *inputs], ["p"])
    maker.result("p", grid)
    compare(tmp_path, maker, feeds, exact, grid)


@pytest.mark.parametrize("operator", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_places_of_extremes_with_ties(tmp_path: Path, operator: str, axis: int) -> None:
    rng = np.random.default_rng(axis)
    x = some_grid(rng)
    maker = QdqMaker()
    data = x.random(rng, (4, 5, 6)) // 64  # few different values: ties
    data = data.astype(x.element)
    maker.node(operator, [maker.given("x", data.shape, x)], ["y"], axis=axis)
    maker.output("y", None, INT64)
    maker.grids["y"] = Grid("int8", 1.0, 0)
    path = maker.save(tmp_path)
    theirs = run_qdq(path, {"x": data})["y"]
    np.testing.assert_array_equal(integers_of(maker, path, {"x": data})["y"], theirs)


def test_top_k_with_ties(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = Grid("int8", 0.05, 3)
    maker = QdqMaker()
    data = (x.random(rng, (5, 9)) // 32).astype(np.int8)
    maker.tensor("k", [4], np.int64)
    maker.node("TopK", [maker.given("x", data.shape, x), "k"], ["v", "i"])
    maker.result("v", x)
    maker.output("i", None, INT64)
    maker.grids["i"] = Grid("int8", 1.0, 0)
    path = maker.save(tmp_path)
    ours, theirs = integers_of(maker, path, {"x": data}), run_qdq(path, {"x": data})
    for name in ("y", "i"):
        np.testing.assert_array_equal(ours[name], theirs[name])


def check_near(
    ours: np.ndarray, theirs: np.ndarray, exact: np.ndarray, grid: Grid, part: float
) -> None:
    """One step from ONNX Runtime at most, and within half a step and `part` of the exact value."""
    assert np.abs(ours - theirs.astype(np.int64)).max() <= 1
    steps = exact / grid.step + grid.zero_point
    low = LOWEST[grid.element]
    inside = (steps > low) & (steps < low + 255)
    assert np.abs(ours - steps)[inside].max() <= 0.5 + part


@pytest.mark.parametrize("kind", ["layer", "rms", "layer without parameters"])
@pytest.mark.parametrize("columns", [1, 7, 96])
def test_norms(tmp_path: Path, kind: str, columns: int) -> None:
    rng = np.random.default_rng(columns)
    x = some_grid(rng)
    data = x.random(rng, (6, columns))
    gamma, beta = (rng.normal(size=columns).astype(np.float32) for _ in range(2))
    maker = QdqMaker(23)
    inputs = [maker.given("x", data.shape, x), maker.tensor("g", gamma)]
    real = x.numbers(data)
    if kind == "rms":
        maker.node("RMSNormalization", inputs, ["p"], epsilon=1e-3)
    else:
        real = real - real.mean(axis=-1, keepdims=True)
        extra = [maker.tensor("b", beta)] if kind == "layer" else []
        maker.node("LayerNormalization", [*inputs, *extra], ["p"], epsilon=1e-3)
    exact = real / np.sqrt((real * real).mean(axis=-1, keepdims=True) + 1e-3) * gamma
    exact = exact + (beta if kind == "layer" else 0)
    grid = spread(exact, rng)
    maker.result("p", grid)
    path = maker.save(tmp_path)
    ours = integers_of(maker, path, {"x": data})["y"]
    check_near(ours, run_qdq(path, {"x": data})["y"], exact, grid, NORM_PART)


@pytest.mark.parametrize("axis", [0, 1])
def test_log_softmax(tmp_path: Path, axis: int) -> None:
    rng = np.random.default_rng(axis)
    x = Grid("int8", 0.04, 5)
    data = x.random(rng, (12, 9))
    real = x.numbers(data)
    exact = real - np.log(np.exp(real).sum(axis=axis, keepdims=True))
    grid = Grid("uint8", 0.05, 255)
    maker = QdqMaker()
    maker.node("LogSoftmax", [maker.given("x", data.shape, x)], ["p"], axis=axis)
    maker.result("p", grid)
    path = maker.save(tmp_path)
    ours = integers_of(maker, path, {"x": data})["y"]
    check_near(ours, run_qdq(path, {"x": data})["y"], exact, grid, 0.1)


def test_a_mask_in_front_of_softmax_leaves_nothing(tmp_path: Path) -> None:
    """Masked entries get a share of 0, the others what they would get alone; by -inf in an Add and
    by Where alike."""
    from azsim.compiler import CompressionPlan, RangeRecorder, compress_weights
    from azsim.frontend import read_onnx
    from azsim.reference.floats import evaluate_floats
    from azsim.reference.integers import evaluate_integers

    rng = np.random.default_rng(5)
    x = rng.normal(size=(4, 16)).astype(np.float32) * 3
    allowed = np.tril(np.ones((4, 16), bool), 3)
    for form in ("Add", "Where"):
        maker = ModelMaker()
        maker.input("x", x.shape)
        if form == "Add":
            maker.tensor("m", np.where(allowed, 0, -np.inf))
            maker.node("Add", ["x", "m"], ["masked"])
        else:
            maker.tensor("c", allowed, bool)
            maker.tensor("m", -np.inf)
            maker.node("Where", ["c", "x", "m"], ["masked"])
        maker.node("Softmax", ["masked"], ["y"], axis=-1)
        maker.output("y")
        graph = read_onnx(maker.save(tmp_path))
        floats, _ = evaluate_floats(graph, {"x": x}, {})
        recorder = RangeRecorder(graph)
        recorder.add(floats)
        integers = compress_weights(graph, recorder.ranges(), CompressionPlan())
        tensor = integers.tensors["x"]
        fed = np.clip(np.rint(x / tensor.scale), -128, 127).astype(np.int8)
        ours = evaluate_integers(integers, {"x": fed})["y"] * integers.tensors["y"].scale
        assert (ours[~allowed] == 0).all()
        exact = np.where(allowed, np.exp(x), 0)
        exact /= exact.sum(axis=-1, keepdims=True)
        assert np.abs(ours - exact).max() < 0.04
