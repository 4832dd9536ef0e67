"""Depthwise convolutions, pooling and resizing: agreement with ONNX Runtime on equal integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_models import ModelMaker, run_onnxruntime
from qdq_models import Grid, QdqMaker, check_agreement, compile_qdq, integers_of, run_qdq
from test_conv import exact_conv

from azsim.frontend import read_onnx
from azsim.graph.integer import Depthwise, Linear, Pool
from azsim.reference.floats import evaluate_floats, initial_states

pytestmark = pytest.mark.small
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def windows(draw: st.DrawFn) -> tuple[tuple[int, ...], dict]:
    """Shape (N, C, ...) and attributes of a pool; the window fits."""
    rank = draw(st.integers(1, 2))
    kernel = [draw(st.integers(1, 4)) for _ in range(rank)]
    pads = [draw(st.integers(0, k - 1)) for _ in range(2) for k in kernel]
    spatial = [k + draw(st.integers(0, 5)) for k in kernel]
    attributes = {
        "kernel_shape": kernel,
        "pads": pads,
        "strides": [draw(st.integers(1, 3)) for _ in range(rank)],
        "ceil_mode": draw(st.integers(0, 1)),
    }
    return (draw(st.integers(1, 2)), draw(st.integers(1, 5)), *spatial), attributes


def float_result(path: Path, x: np.ndarray) -> np.ndarray:
    """The model's only output as azsim's float reference computes it."""
    graph = read_onnx(path)
    values, _ = evaluate_floats(graph, {"x": x}, initial_states(graph))
    return np.asarray(values[graph.outputs[0]])


def one_operator(folder: Path, operator: str, shape: tuple[int, ...], **attributes: object) -> Path:
    maker = ModelMaker()
    maker.input("x", shape)
    maker.node(operator, ["x"], ["y"], **attributes)
    maker.output("y")
    return maker.save(folder)


@settings(max_examples=40, deadline=None)
@given(
    form=windows(),
    seed=SEEDS,
    kind=st.sampled_from(["MaxPool", "AveragePool"]),
    include=st.integers(0, 1),
)
def test_pools_agree_with_onnxruntime(
    tmp_path_factory: pytest.TempPathFactory, form: tuple, seed: int, kind: str, include: int
) -> None:
    shape, attributes = form
    if kind == "AveragePool":
        attributes = {**attributes, "count_include_pad": include}
    folder = tmp_path_factory.mktemp("pool")
    rng = np.random.default_rng(seed)
    path = one_operator(folder, kind, shape, **attributes)
    x = rng.normal(size=shape).astype(np.float32)
    theirs = run_onnxruntime(path, {"x": x})["y"]
    np.testing.assert_allclose(float_result(path, x), theirs, rtol=1e-5, atol=1e-5)
    x_grid, y_grid = Grid("uint8", 0.02, 77), Grid("int8", 0.017, 3)
    maker = QdqMaker()
    maker.node(kind, [maker.given("x", shape, x_grid)], ["p"], **attributes)
    maker.result("p", y_grid)
    path = maker.save(folder, "qdq.onnx")
    data = x_grid.random(rng, shape)
    real = x_grid.numbers(data)
    plain = one_operator(folder, kind, shape, **attributes)
    exact = float_result(plain, real.astype(np.float32)).astype(np.float64)
    ours = integers_of(maker, path, {"x": data})["y"]
    check_agreement(ours, run_qdq(path, {"x": data})["y"], exact, y_grid)


@pytest.mark.parametrize("kind", ["GlobalAveragePool", "GlobalMaxPool"])
def test_global_pools_agree_with_onnxruntime(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(1)
    x_grid, y_grid = Grid("int8", 0.02, -7), Grid("uint8", 0.003, 128)
    maker = QdqMaker()
    maker.node(kind, [maker.given("x", (2, 5, 6, 7), x_grid)], ["p"])
    maker.result("p", y_grid)
    path = maker.save(tmp_path)
    data = x_grid.random(rng, (2, 5, 6, 7))
    real = x_grid.numbers(data)
    exact = (real.mean if "Average" in kind else real.max)(axis=(2, 3), keepdims=True)
    ours = integers_of(maker, path, {"x": data})["y"]
    check_agreement(ours, run_qdq(path, {"x": data})["y"], exact, y_grid)


@settings(max_examples=25, deadline=None)
@given(
    seed=SEEDS,
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    dilation=st.integers(1, 2),
    channels=st.integers(2, 6),
)
def test_depthwise_agrees_with_onnxruntime(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    dilation: int,
    channels: int,
) -> None:
    rng = np.random.default_rng(seed)
    x_grid, y_grid = Grid("uint8", 0.021, int(rng.integers(256))), Grid("int8", 0.05, -5)
    weights = rng.integers(-127, 128, (channels, 1, *kernel)).astype(np.int8)
    scales = rng.uniform(0.002, 0.02, channels).astype(np.float32)
    bias = rng.integers(-400, 400, channels).astype(np.int32)
    attributes = {
        "group": channels,
        "pads": [1, 0, 1, 2],
        "strides": list(strides),
        "dilations": [dilation, 1],
    }
    maker = QdqMaker()
    maker.constant("w", weights, scales)
    maker.constant("b", bias, (scales * np.float32(x_grid.scale)).astype(np.float32))
    shape = (2, channels, 7, 6)
    maker.node("Conv", [maker.given("x", shape, x_grid), "w", "b"], ["c"], **attributes)
    maker.result("c", y_grid)
    path = maker.save(tmp_path_factory.mktemp("depthwise"))
    data = x_grid.random(rng, shape)
    real = weights * scales.astype(np.float64).reshape(-1, 1, 1, 1)
    real_bias = bias * scales.astype(np.float64) * x_grid.step
    exact = exact_conv(x_grid.numbers(data), real, real_bias, attributes)
    ours = integers_of(maker, path, {"x": data})["y"]
    check_agreement(ours, run_qdq(path, {"x": data})["y"], exact, y_grid)


def test_depthwise_is_no_work_of_the_array(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (1, 4, 6, 6))
    maker.tensor("w", np.ones((4, 1, 3, 3)))
    maker.node("Conv", ["x", "w"], ["c"], group=4)
    maker.node("Relu", ["c"], ["r"])
    maker.node("MaxPool", ["r"], ["y"], kernel_shape=[2, 2])
    maker.output("y")
    x = np.ones((1, 4, 6, 6), np.float32)
    nodes = compile_qdq(maker.save(tmp_path), {"x": x})[1].integers.nodes
    kinds = [type(node) for node in nodes]
    assert Linear not in kinds
    assert kinds.count(Depthwise) == kinds.count(Pool) == 1


# -- resize -------------------------------------------------------------------------------------

SIZES = [(8, 12), (3, 3), (9, 5), (1, 1)]
COORDINATES = ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"]
ROUNDINGS = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


def resize_node(
    maker: ModelMaker, x: str, y: str, size: tuple[int, int], **attributes: object
) -> None:
    maker.tensor("sizes", [2, 3, *size], np.int64)
    maker.node("Resize", [x, "", "", "sizes"], [y], name="resize", **attributes)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("coordinates", COORDINATES)
@pytest.mark.parametrize("rounding", ["linear", *ROUNDINGS])
def test_resize_agrees_with_onnxruntime(
    tmp_path: Path, size: tuple[int, int], coordinates: str, rounding: str
) -> None:
    attributes = {"coordinate_transformation_mode": coordinates}
    attributes |= {"mode": "linear"} if rounding == "linear" else {"nearest_mode": rounding}
    maker = ModelMaker(19)
    maker.input("x", (2, 3, 4, 6))
    resize_node(maker, "x", "y", size, **attributes)
    maker.output("y")
    path = maker.save(tmp_path)
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 6)).astype(np.float32)
    ours, theirs = float_result(path, x), run_onnxruntime(path, {"x": x})["y"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("size", [(8, 12), (16, 24)])
def test_linear_resize_is_rounded_once(
    tmp_path: Path, coordinates: str, size: tuple[int, int]
) -> None:
    grid = Grid("uint8", 0.02, 100)
    maker = QdqMaker()
    x = maker.given("x", (2, 3, 4, 6), grid)
    attributes = {"mode": "linear", "coordinate_transformation_mode": coordinates}
    resize_node(maker, x, "r", size, **attributes)
    maker.result("r", Grid("uint8", 0.02, 100))
    path = maker.save(tmp_path)
    data = grid.random(np.random.default_rng(0), (2, 3, 4, 6))
    plain = ModelMaker(19)
    plain.input("x", (2, 3, 4, 6))
    resize_node(plain, "x", "y", size, **attributes)
    plain.output("y")
    (tmp_path / "plain").mkdir()
    exact = float_result(plain.save(tmp_path / "plain"), grid.numbers(data).astype(np.float32))
    ours = integers_of(maker, path, {"x": data})["y"]
    steps = exact.astype(np.float64) / grid.step + 100
    # the second direction rounds, the first keeps 7 more bits (exact where the scale is 2 or 4)
    most = 0.5 + (2.0**-7 if coordinates == "align_corners" else 1e-4)
    assert np.abs(ours - np.clip(steps, 0, 255)).max() <= most


def test_a_resize_to_the_same_size_is_nothing(tmp_path: Path) -> None:
    maker = ModelMaker(19)
    maker.input("x", (2, 3, 4, 6))
    resize_node(maker, "x", "r", (4, 6), mode="linear")
    maker.node("Relu", ["r"], ["y"])
    maker.output("y")
    assert [node.operator for node in read_onnx(maker.save(tmp_path)).nodes] == ["Relu"]
