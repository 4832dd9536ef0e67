"""Does each operator of a quantized model give ONNX Runtime's integers?

Rule: on the same integers the results are equal, except where the exact value lies within 1e-3 of a
half step; there they may be one step apart.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdq_models import LOWEST, Grid, QdqMaker, check_agreement, integers_of, run_qdq

FOLDERS = pytest.TempPathFactory
SETTINGS = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ELEMENTS = st.sampled_from(["int8", "uint8"])
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def grids(draw: st.DrawFn, least: float = 1e-3, most: float = 0.2) -> Grid:
    element = draw(ELEMENTS)
    zero = draw(st.integers(LOWEST[element], LOWEST[element] + 255))
    return Grid(element, draw(st.floats(least, most)), zero)


def spread(exact: np.ndarray, element: str, draw: np.random.Generator) -> Grid:
    """A grid on which `exact` fills most of the range and sometimes saturates."""
    zero = int(draw.integers(LOWEST[element], LOWEST[element] + 256))
    peak = max(float(np.abs(exact).max()), 1e-6)
    return Grid(element, peak / float(draw.uniform(60, 200)), zero)


def compare(
    folder: Path, maker: QdqMaker, feeds: dict[str, np.ndarray], exact: np.ndarray, grid: Grid
) -> None:
    path = maker.save(folder)
    ours = integers_of(maker, path, feeds)["y"]
    check_agreement(ours, run_qdq(path, feeds)["y"], exact, grid)


@SETTINGS
@given(
    x=grids(),
    element=ELEMENTS,
    seed=SEEDS,
    per_row=st.booleans(),
    form=st.sampled_from(["MatMul", "Gemm", "GemmT", "Transpose"]),
    bias=st.sampled_from(["none", "int32", "float", "int8"]),
    relu=st.booleans(),
)
def test_products(
    tmp_path_factory: FOLDERS,
    x: Grid,
    element: str,
    seed: int,
    per_row: bool,
    form: str,
    bias: str,
    relu: bool,
) -> None:
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(1, 12)), int(rng.integers(1, 40))
    maker = QdqMaker()
    data = x.random(rng, (3, columns))
    integers = rng.integers(-128, 128, (rows, columns)).astype(np.int8)
    scale = rng.uniform(1e-4, 1e-2, rows if per_row else 1).astype(np.float32)
    scale = scale if per_row else scale[0]
    exact = x.numbers(data) @ (integers * np.reshape(scale, (-1, 1)).astype(np.float64)).T
    transposed = form in ("GemmT", "Transpose")
    weights = integers if transposed else np.ascontiguousarray(integers.T)
    maker.constant("w", weights, scale, axis=0 if transposed else 1)
    given_x = maker.given("x", data.shape, x)
    addend, real = add_bias(maker, bias, rng, np.float64(x.step) * scale, rows)
    exact = exact + real
    grid = spread(exact, element, rng)
    if form == "Transpose":
        maker.node("Transpose", ["w"], ["wt"])
    inputs = [given_x, "wt" if form == "Transpose" else "w"]
    if form.startswith("Gemm"):
        maker.node("Gemm", [*inputs, *addend], ["p"], transB=int(transposed))
    else:
        maker.node("MatMul", inputs, ["m" if addend else "p"])
        if addend:
            maker.node("Add", ["m", *addend], ["p"])
    if relu:
        maker.node("Relu", ["p"], ["r"])
        exact = np.maximum(exact, 0)
    maker.result("r" if relu else "p", grid)
    compare(tmp_path_factory.mktemp("p"), maker, {"x": data}, exact, grid)


def add_bias(
    maker: QdqMaker, kind: str, rng: np.random.Generator, steps: object, rows: int
) -> tuple[list[str], np.ndarray]:
    """Add a bias; return its name in a list and its exact numbers."""
    if kind == "none":
        return [], np.zeros(rows)
    if kind == "float":
        numbers = rng.normal(size=rows).astype(np.float32)
        return [maker.tensor("b", numbers)], numbers.astype(np.float64)
    high = 100 if kind == "int8" else 20000
    integers = rng.integers(-high, high, rows).astype(kind)
    scale = np.float32(0.01) if kind == "int8" else np.asarray(steps, np.float32)
    name = maker.constant("b", integers, scale)
    return [name], integers * np.asarray(scale, np.float64)


SINGLE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Relu": lambda x: np.maximum(x, 0),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Tanh": np.tanh,
    "Identity": lambda x: x,
    "Transpose": lambda x: x.T,
    "Flatten": lambda x: x,
}


@SETTINGS
@given(x=grids(), element=ELEMENTS, seed=SEEDS, operator=st.sampled_from(sorted(SINGLE)))
def test_operators_of_one_input(
    tmp_path_factory: FOLDERS, x: Grid, element: str, seed: int, operator: str
) -> None:
    rng = np.random.default_rng(seed)
    maker = QdqMaker()
    data = np.arange(LOWEST[x.element], LOWEST[x.element] + 256).reshape(16, 16).astype(x.element)
    exact = SINGLE[operator](x.numbers(data))
    grid = spread(exact, element, rng)
    maker.node(operator, [maker.given("x", data.shape, x)], ["r"])
    maker.result("r", grid)
    compare(tmp_path_factory.mktemp("p"), maker, {"x": data}, exact, grid)


@SETTINGS
@given(
    a=grids(),
    b=grids(),
    element=ELEMENTS,
    seed=SEEDS,
    operator=st.sampled_from(["Add", "Mul"]),
    shape=st.sampled_from([(4, 5), (5,), (4, 1), (1, 1)]),
    constant=st.booleans(),
    relu=st.booleans(),
)
def test_operators_of_two_inputs(
    tmp_path_factory: FOLDERS,
    a: Grid,
    b: Grid,
    element: str,
    seed: int,
    operator: str,
    shape: tuple[int, ...],
    constant: bool,
    relu: bool,
) -> None:
    rng = np.random.default_rng(seed)
    maker = QdqMaker()
    feeds = {"a": a.random(rng, (4, 5))}
    other = b.random(rng, shape)
    inputs = [maker.given("a", (4, 5), a)]
    if constant:
        inputs.append(maker.constant("b", other, np.float32(b.scale), b.zero_point))
    else:
        feeds["b"] = other
        inputs.append(maker.given("b", shape, b))
    left, right = a.numbers(feeds["a"]), b.numbers(other)
    exact = left + right if operator == "Add" else left * right
    if rng.random() < 0.5:
        inputs.reverse()
    maker.node(operator, inputs, ["p"])
    if relu:
        maker.node("Relu", ["p"], ["r"])
        exact = np.maximum(exact, 0)
    grid = spread(exact, element, rng)
    maker.result("r" if relu else "p", grid)
    compare(tmp_path_factory.mktemp("p"), maker, feeds, exact, grid)


@SETTINGS
@given(a=grids(), b=grids(), y=grids(), seed=SEEDS)
def test_concat_of_two_scales_and_a_constant(
    tmp_path_factory: FOLDERS, a: Grid, b: Grid, y: Grid, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    maker = QdqMaker()
    feeds = {"a": a.random(rng, (2, 30)), "b": b.random(rng, (2, 7))}
    third = b.random(rng, (2, 4))
    inputs = [maker.given("a", (2, 30), a), maker.given("b", (2, 7), b)]
    inputs.append(maker.constant("c", third, np.float32(b.scale), b.zero_point))
    maker.node("Concat", inputs, ["r"], axis=1)
    maker.result("r", y)
    parts = [a.numbers(feeds["a"]), b.numbers(feeds["b"]), b.numbers(third)]
    compare(tmp_path_factory.mktemp("p"), maker, feeds, np.concatenate(parts, axis=1), y)
