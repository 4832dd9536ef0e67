"""Pads, slices, selections and forms of products that are made of others, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from onnx_models import INT64, ModelMaker, run_onnxruntime
from same_values import same

from azsim.frontend import read_onnx
from azsim.reference.floats import evaluate_floats

PADS = ((0, 2, 0, 1), (1, 3, 1, 0), (0, 0, 0, 0), (1, -1, 0, 2), (-1, 0, 0, -2))


@pytest.mark.parametrize(
    ("mode", "pads"),
    [
        (mode, pads)
        for mode in ("constant", "edge", "reflect", "wrap")
        for pads in PADS
        if mode != "wrap" or min(pads) >= 0  # ONNX Runtime does not wrap and drop at once
    ],
)
def test_pad(tmp_path: Path, mode: str, pads: tuple[int, ...]) -> None:
    graph = same(tmp_path, "Pad", [(3, 5)], np.array(pads), np.float32(0.5), mode=mode)
    if mode != "constant":
        assert {node.operator for node in graph.nodes} <= {"Take", "Reshape"}


@pytest.mark.parametrize("value", [False, True])
def test_pad_of_truths(tmp_path: Path, value: bool) -> None:
    maker = ModelMaker(19)
    maker.input("x", (2, 3), TensorProto.BOOL)
    maker.tensor("pads", [0, 1, 1, 0], np.int64)
    maker.tensor("value", value, np.bool_)
    maker.node("Pad", ["x", "pads", "value"], ["y"], name="pad")
    maker.output("y", (3, 4), TensorProto.BOOL)
    path = maker.save(tmp_path)
    x = np.array([[True, False, True], [False, False, True]])
    values, _ = evaluate_floats(read_onnx(path), {"x": x}, {})
    np.testing.assert_array_equal(values["y"], run_onnxruntime(path, {"x": x})["y"])


def test_half_precision_masks(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (2, 3), TensorProto.FLOAT16)
    maker.tensor("mask", [[0, -65504, 0], [-np.inf, 0, 0]], np.float16)
    maker.node("Add", ["x", "mask"], ["masked"])
    maker.node("Softmax", ["masked"], ["y"], axis=-1)
    maker.output("y", (2, 3), TensorProto.FLOAT16)
    path = maker.save(tmp_path)
    x = np.array([[0.5, 1.0, -0.25], [0.0, 2.0, 1.0]], np.float16)
    values, _ = evaluate_floats(read_onnx(path), {"x": x.astype(np.float32)}, {})
    wanted = run_onnxruntime(path, {"x": x})["y"].astype(np.float32)
    np.testing.assert_allclose(values["y"], wanted, rtol=0, atol=1e-3)


def test_pad_of_some_axes(tmp_path: Path) -> None:
    graph = same(tmp_path, "Pad", [(2, 3, 4)], np.array([1, 2, 0, 3]), None, np.array([-1, 0]))
    assert graph.values["y0"].shape == (7, 3, 5)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_zeros_in_front_of_a_conv_are_its_padding(tmp_path: Path, value: float) -> None:
    maker = ModelMaker()
    rng = np.random.default_rng(5)
    maker.input("x", (1, 2, 5, 6))
    maker.tensor("pads", [0, 0, 1, 2, 0, 0, 0, 1], np.int64)
    maker.tensor("value", value)
    maker.tensor("W", rng.normal(size=(3, 2, 3, 3)))
    maker.node("Pad", ["x", "pads", "value"], ["wide"], name="pad")
    maker.node("Conv", ["wide", "W"], ["y"], name="conv", pads=[1, 0, 0, 0])
    maker.output("y")
    path = maker.save(tmp_path)
    graph = read_onnx(path)
    joined = [node.name for node in graph.nodes if node.operator == "Concat"]
    assert joined == ([] if value == 0.0 else ["pad.axis2", "pad"])
    if not joined:
        assert graph.nodes[0].attributes["pads"] == (2, 2, 0, 1)
    feeds = {"x": rng.normal(size=(1, 2, 5, 6)).astype(np.float32)}
    values, _ = evaluate_floats(graph, feeds, {})
    wanted = run_onnxruntime(path, feeds)["y"]
    np.testing.assert_allclose(values["y"], wanted, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize(
    ("starts", "ends", "steps"),
    [([-1], [-100], [-1]), ([4, 0], [0, 3], [-2, 2]), ([2, 5], [-9, 1], [-1, -3])],
)
def test_backward_slice(
    tmp_path: Path, starts: list[int], ends: list[int], steps: list[int]
) -> None:
    axes = np.arange(len(starts))
    same(tmp_path, "Slice", [(5, 6)], *map(np.array, (starts, ends)), axes, np.array(steps))


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_top_k(tmp_path: Path, largest: int, axis: int) -> None:
    kinds = (TensorProto.FLOAT, INT64)
    same(tmp_path, "TopK", [(4, 5, 6)], np.array([3]), outputs=kinds, axis=axis, largest=largest)


@pytest.mark.parametrize(
    ("shapes", "constant"),
    [
        ([(4,), (4,)], None),
        ([(2, 3, 4), (4,)], None),
        ([(4,)], (4,)),
        ([(2, 3, 4)], (4,)),
        ([(4,), (2, 4, 3)], None),
    ],
)
def test_products_with_vectors(
    tmp_path: Path, shapes: list[tuple[int, ...]], constant: tuple[int, ...] | None
) -> None:
    weights = () if constant is None else (np.linspace(-1, 1, 4, dtype=np.float32),)
    same(tmp_path, "MatMul", shapes, *weights)


def test_transposed_gemm(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    weights, bias = rng.normal(size=(5, 3)), rng.normal(size=(2, 5))
    constants = (weights.astype(np.float32), bias.astype(np.float32))
    same(tmp_path, "Gemm", [(3, 2)], *constants, transA=1, transB=1, alpha=0.5, beta=2.0)


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_resize_that_keeps_the_aspect(tmp_path: Path, policy: str) -> None:
    sizes = np.array([5, 9])
    same(
        tmp_path, "Resize", [(1, 2, 4, 6)], None, None, sizes,
        axes=[2, 3], keep_aspect_ratio_policy=policy, mode="linear",
    )  # fmt: skip


def test_resize_of_symmetric_half_pixels(tmp_path: Path) -> None:
    scales = np.array([1, 1, 0.6, 2.3], np.float32)
    mode = "half_pixel_symmetric"
    same(
        tmp_path, "Resize", [(1, 2, 7, 6)], None, scales,
        coordinate_transformation_mode=mode, mode="linear",
    )  # fmt: skip


def test_instance_norm(tmp_path: Path) -> None:
    scale, bias = np.array([1.5, -2.0], np.float32), np.array([0.25, 1.0], np.float32)
    same(tmp_path, "InstanceNormalization", [(3, 2, 4, 5)], scale, bias, epsilon=1e-3)


@pytest.mark.parametrize("keepdims", [0, 1])
def test_log_of_summed_powers(tmp_path: Path, keepdims: int) -> None:
    graph = same(
        tmp_path, "ReduceLogSumExp", [(2, 3, 4)], np.array([1]), keepdims=keepdims, opset=18
    )
    assert [node.operator for node in graph.nodes][:2] == ["Reduce", "Sub"]


def test_dropout_is_nothing(tmp_path: Path) -> None:
    graph = same(tmp_path, "Dropout", [(2, 3)], np.float32(0.5), np.array(False))
    assert [node.operator for node in graph.nodes] == ["Reshape"]
