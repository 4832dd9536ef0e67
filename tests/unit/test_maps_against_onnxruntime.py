"""Einsum, matrices along an axis, choices among entries, transforms: floats against ONNX Runtime
or numpy, and their integers against the reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from onnx_models import INT64, ModelMaker, run_onnxruntime
from same_values import same

from azsim.api import run
from azsim.errors import ModelError
from azsim.frontend import Inputs, read_onnx
from azsim.reference.floats import evaluate_floats

LETTERS = dict(zip("abijkmhq", (2, 3, 4, 5, 6, 3, 2, 5), strict=True))
RNG = np.random.default_rng(4)


def entries(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def einsum(equation: str, constant: int | None = None, dots: str = "b") -> Any:
    """A model of one Einsum and its data; input `constant` is stored."""
    maker, feeds, names = ModelMaker(), {}, []
    for place, term in enumerate(equation.replace(" ", "").split("->")[0].split(",")):
        data = entries(*(LETTERS[letter] for letter in term.replace("...", dots)))
        if place == constant:
            names.append(maker.tensor(f"t{place}", data))
        else:
            names.append(maker.input(f"x{place}", data.shape))
            feeds[f"x{place}"] = data
    maker.node("Einsum", names, ["y"], name="n", equation=equation)
    maker.output("y")
    return maker, feeds


@pytest.mark.parametrize(
    ("equation", "constant", "main"),
    [
        ("ij,jk->ik", 1, "MatMul"),
        ("ij,jk->ik", 0, "MatMul"),
        ("ij, jk", None, "MatMulRows"),
        ("bij,jk->bik", 1, "MatMul"),
        ("bij,jhk->bihk", 1, "MatMul"),
        ("bihm,hmk->bik", 1, "MatMul"),
        ("bij,bjk->bik", None, "MatMulRows"),
        ("bqhk,bmhk->bhqm", None, "MatMulRows"),
        ("bhqm,bmhk->bqhk", None, "MatMulRows"),
        ("abij,bjk->abik", 1, "MatMulRows"),
        ("...ij,...jk->...ik", None, "MatMulRows"),
        ("...ij,jk->...ik", 1, "MatMul"),
        ("bi,bi->b", None, "MatMulRows"),
        ("i,i->", None, "MatMulRows"),
        ("bij,jk->k", 1, "MatMul"),
        ("i,j->ij", None, "Mul"),
        ("bi,i->bi", 1, "Mul"),
        ("abi,abj->bij", None, "MatMulRows"),
        ("ij->ji", None, "Transpose"),
        ("bij->bj", None, "Reduce"),
        ("i...->...", None, "Reduce"),
    ],
)
def test_einsum(tmp_path: Path, equation: str, constant: int | None, main: str) -> None:
    maker, feeds = einsum(equation, constant)
    path = maker.save(tmp_path)
    graph = read_onnx(path)
    values, _ = evaluate_floats(graph, feeds, {})
    wanted = run_onnxruntime(path, feeds)["y"]
    assert values["y"].shape == wanted.shape
    np.testing.assert_allclose(values["y"], wanted, rtol=1e-5, atol=1e-5)
    rest = {"Reshape", "Transpose", "Reduce"}
    assert main in {node.operator for node in graph.nodes} <= {main, *rest}


def test_einsum_of_quantized_weights(tmp_path: Path) -> None:
    """A scale per head is one for each output of the product."""
    maker = ModelMaker(21)
    integers = RNG.integers(-127, 128, (5, 2, 6)).astype(np.int8)
    maker.tensor("q", integers, np.int8)
    maker.tensor("s", [0.01, 0.02])
    maker.node("DequantizeLinear", ["q", "s"], ["w"], axis=1)
    maker.node("Einsum", [maker.input("x", (3, 5)), "w"], ["y"], name="n", equation="ij,jhk->ihk")
    maker.output("y")
    path, feeds = maker.save(tmp_path), {"x": entries(3, 5)}
    graph = read_onnx(path)
    values, _ = evaluate_floats(graph, feeds, {})
    wanted = run_onnxruntime(path, feeds)["y"]
    np.testing.assert_allclose(values["y"], wanted, rtol=1e-5, atol=1e-5)
    (product,) = (node for node in graph.nodes if node.operator == "MatMul")
    stored = graph.values[product.inputs[1]].stored
    assert stored is not None
    np.testing.assert_array_equal(stored.integers, integers.reshape(5, 12))
    np.testing.assert_allclose(stored.scale, np.float32([[0.01] * 6 + [0.02] * 6]))


RESIZED = [(3, 4, 7, 9), (1, 2, 3, 3), (5, 6, 2, 13)]  # old and new rows and columns


def test_sums_of_weights_that_leave_float32(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.tensor("w", np.full((5, 5), 3e38))
    maker.node("Einsum", [maker.input("x", (3, 4)), "w"], ["y"], name="n", equation="ij,kl->ij")
    maker.output("y")
    path = maker.save(tmp_path)
    with pytest.raises(ModelError) as refusal:
        read_onnx(path)
    text = "constant 'n.factor' must be finite in float32, not NaN or infinite"
    assert str(refusal.value) == f"{path}: {text}"


@pytest.mark.parametrize("sizes", RESIZED)
@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize(
    "how",
    [
        {"mode": "cubic"},
        {"mode": "cubic", "exclude_outside": 1, "cubic_coeff_a": -0.5},
        {"mode": "cubic", "antialias": 1},
        {"mode": "linear", "antialias": 1},
    ],
)
def test_resizing_by_matrices(
    tmp_path: Path, sizes: tuple[int, ...], coordinates: str, how: dict[str, Any]
) -> None:
    target = np.array([1, 2, *sizes[2:]])
    how = {**how, "coordinate_transformation_mode": coordinates}
    same(tmp_path, "Resize", [(1, 2, *sizes[:2])], None, None, target, **how)


@pytest.mark.parametrize(("start", "end"), [(0.2, 0.7), (0.0, 1.0), (-0.3, 0.5), (0.8, 0.1)])
def test_crop_and_resize(tmp_path: Path, start: float, end: float) -> None:
    """Also beyond the input, where there is nothing (0), and backwards."""
    roi = np.float32([0, 0, start, 0.1, 1, 1, end, 0.9])
    target = np.array([1, 2, 6, 4])
    mode = "tf_crop_and_resize"
    same(tmp_path, "Resize", [(1, 2, 5, 5)], roi, None, target, mode="linear",
         coordinate_transformation_mode=mode)  # fmt: skip


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_cumulative_sums(tmp_path: Path, axis: int, exclusive: int, reverse: int) -> None:
    same(tmp_path, "CumSum", [(3, 4, 5)], np.array(axis), exclusive=exclusive, reverse=reverse)


@pytest.mark.parametrize("shape", [(2, 6, 3, 4), (1, 5, 2, 2)])
@pytest.mark.parametrize("size", [1, 3, 5])
def test_lrn(tmp_path: Path, shape: tuple[int, ...], size: int) -> None:
    same(tmp_path, "LRN", [shape], size=size, alpha=0.4, beta=0.6, bias=1.5)


def test_lrn_of_an_even_size_reaches_further_up(tmp_path: Path) -> None:
    """ONNX Runtime has no even size; ONNX: floor((size - 1) / 2) channels below, the rest above."""
    maker = ModelMaker()
    maker.node("LRN", [maker.input("x", (1, 6, 2))], ["y"], name="n", size=4, alpha=1.0)
    maker.output("y")
    x = entries(1, 6, 2)
    values, _ = evaluate_floats(read_onnx(maker.save(tmp_path)), {"x": x}, {})
    sums = [np.square(x[:, max(0, c - 1) : c + 3]).sum(1) for c in range(6)]
    wanted = x / (1 + np.stack(sums, 1) / 4) ** 0.75
    np.testing.assert_allclose(values["y"], wanted, rtol=1e-5)


@pytest.mark.parametrize("axis", [1, -1])
def test_mean_and_deviation_of_a_norm(tmp_path: Path, axis: int) -> None:
    scale = entries(5) if axis == -1 else entries(4, 5)
    same(tmp_path, "LayerNormalization", [(3, 4, 5)], scale, outputs=(1, 1, 1), axis=axis)


def test_scale_of_a_norm_with_dimensions_of_1_in_front(tmp_path: Path) -> None:
    same(tmp_path, "LayerNormalization", [(3, 4, 5)], entries(1, 1, 5), entries(1, 1, 5))


@pytest.mark.parametrize(("p", "axis"), [(2, -1), (2, 1), (2, 0), (1, 1)])
def test_lp_normalization(tmp_path: Path, p: int, axis: int) -> None:
    same(tmp_path, "LpNormalization", [(3, 4, 5)], p=p, axis=axis)


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("how", [{"pads": [1, 0, 1, 1]}, {"auto_pad": "SAME_UPPER"}])
def test_lp_pool(tmp_path: Path, p: int, how: dict[str, Any]) -> None:
    same(tmp_path, "LpPool", [(1, 2, 6, 7)], p=p, kernel_shape=[3, 2], strides=[2, 1], **how)


@pytest.mark.parametrize("axis", [0, 1, 2, -2])
def test_hardmax(tmp_path: Path, axis: int) -> None:
    same(tmp_path, "Hardmax", [(3, 5, 4)], axis=axis)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_one_hot(tmp_path: Path, axis: int) -> None:
    maker = ModelMaker()
    maker.tensor("depth", 6, np.int64)
    maker.tensor("values", [-1.0, 2.5])
    inputs = [maker.input("i", (2, 3), INT64), "depth", "values"]
    maker.node("OneHot", inputs, ["y"], name="n", axis=axis)
    maker.output("y")
    path, feeds = maker.save(tmp_path), {"i": RNG.integers(0, 6, (2, 3))}
    values, _ = evaluate_floats(read_onnx(path), feeds, {})
    np.testing.assert_array_equal(values["y"], run_onnxruntime(path, feeds)["y"])


def test_one_hot_of_what_is_largest(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.tensor("depth", 5, np.int64)
    maker.tensor("values", [0.0, 1.0])
    maker.node("ArgMax", [maker.input("x", (4, 5))], ["i"], axis=1, keepdims=0)
    maker.node("OneHot", ["i", "depth", "values"], ["y"])
    maker.output("y")
    path, feeds = maker.save(tmp_path), {"x": entries(4, 5)}
    values, _ = evaluate_floats(read_onnx(path), feeds, {})
    np.testing.assert_array_equal(values["y"], run_onnxruntime(path, feeds)["y"])


def test_one_hot_of_constants_is_folded(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.tensor("i", [2, 0], np.int64)
    maker.tensor("depth", 3, np.int64)
    maker.tensor("values", [0.0, 1.0])
    maker.node("OneHot", ["i", "depth", "values"], ["h"])
    maker.node("Mul", [maker.input("x", (2, 3)), "h"], ["y"], name="n")
    maker.output("y")
    (node,) = read_onnx(maker.save(tmp_path)).nodes
    assert node.operator == "Mul"


def test_gathered_tuples(tmp_path: Path) -> None:
    same(tmp_path, "GatherND", [(3, 4, 5)], np.array([[0, 1], [2, -1]]))
    same(tmp_path, "GatherND", [(3, 4, 5)], np.array([[[1, 2, 3]], [[-1, 0, -5]]]))
    same(tmp_path, "GatherND", [(3, 4, 5)], np.array([[1], [0], [-1]]), batch_dims=1)
    same(tmp_path, "GatherND", [(3, 4)], np.array([2, 1]))


@pytest.mark.parametrize("is_constant", [False, True])
def test_scattered(tmp_path: Path, is_constant: bool) -> None:
    """Updates of a tensor, computed or stored."""

    def check(operator: str, index: np.ndarray, shape: tuple[int, ...], **attributes: Any) -> None:
        maker = ModelMaker(18)
        names, feeds = [maker.input("x", (4, 5)), maker.tensor("i", index, np.int64)], {}
        feeds["x"], new = entries(4, 5), entries(*shape)
        names.append(maker.tensor("u", new) if is_constant else maker.input("u", shape))
        feeds |= {} if is_constant else {"u": new}
        maker.node(operator, names, ["y"], name="n", **attributes)
        maker.output("y")
        path = maker.save(tmp_path)
        values, _ = evaluate_floats(read_onnx(path), feeds, {})
        np.testing.assert_array_equal(values["y"], run_onnxruntime(path, feeds)["y"])

    check("ScatterND", np.array([[1], [-1]]), (2, 5))
    check("ScatterND", np.array([[1, 2], [3, -4]]), (2,))
    check("ScatterElements", np.array([[1, 0, 2, -1, 3]]), (1, 5), axis=0)
    check("ScatterElements", np.array([[1, 0], [2, -1]]), (2, 2), axis=1)


@pytest.mark.parametrize("batch_axis", [0, 1])
def test_reversed_sequences(tmp_path: Path, batch_axis: int) -> None:
    lengths = np.array([2, 4, 1, 3][: 4 - batch_axis])
    same(tmp_path, "ReverseSequence", [(4, 3, 2) if batch_axis else (4, 4, 2)], lengths,
         batch_axis=batch_axis, time_axis=1 - batch_axis)  # fmt: skip


@pytest.mark.parametrize("divisor", [0.7, -0.3])
def test_remainders(tmp_path: Path, divisor: float) -> None:
    same(tmp_path, "Mod", [(3, 5)], np.float32(divisor), fmod=1)


def complex_of(array: np.ndarray) -> np.ndarray:
    return array[..., 0] + 1j * array[..., 1]


def pairs(array: np.ndarray) -> np.ndarray:
    return np.stack([array.real, array.imag], -1)


@pytest.mark.parametrize("opset", [17, 20])
@pytest.mark.parametrize(
    ("shape", "length", "attributes"),
    [
        ((2, 16, 1), None, {}),
        ((2, 16, 1), None, {"onesided": 1}),
        ((2, 16, 3, 1), 12, {"onesided": 1}),
        ((2, 9, 3, 2), 12, {}),
        ((2, 8, 2), None, {"inverse": 1}),
    ],
)
def test_fourier_transform(
    tmp_path: Path, opset: int, shape: tuple[int, ...], length: int | None, attributes: Any
) -> None:
    maker = ModelMaker(opset)
    names = [maker.input("x", shape)]
    names.append("" if length is None else maker.tensor("length", length, np.int64))
    more = dict(attributes)
    if opset == 20:
        names.append(maker.tensor("axis", 1, np.int64))
    else:
        more["axis"] = 1
    maker.node("DFT", names, ["y"], name="n", **more)
    maker.output("y")
    x = entries(*shape)
    values, _ = evaluate_floats(read_onnx(maker.save(tmp_path)), {"x": x}, {})
    numbers = x[..., 0] if shape[-1] == 1 else complex_of(x)
    transform = np.fft.ifft if attributes.get("inverse") else np.fft.fft
    transform = np.fft.rfft if attributes.get("onesided") else transform
    np.testing.assert_allclose(values["y"], pairs(transform(numbers, length, 1)), atol=2e-5)


@pytest.mark.parametrize("onesided", [0, 1])
def test_spectrogram_of_a_signal(tmp_path: Path, onesided: int) -> None:
    """The frontend of a recognizer in one file: frames, power, mel bands, logarithm."""
    window = np.hanning(80).astype(np.float32)
    maker = ModelMaker()
    maker.tensor("step", 40, np.int64)
    maker.tensor("window", window)
    inputs = [maker.input("x", (2, 400)), "step", "window"]
    maker.node("STFT", inputs, ["y"], name="n", onesided=onesided)
    maker.output("y")
    x = entries(2, 400)
    graph = read_onnx(maker.save(tmp_path))
    values, _ = evaluate_floats(graph, {"x": x}, {})
    frames = np.stack([x[:, k : k + 80] * window for k in range(0, 321, 40)], 1)
    wanted = np.fft.rfft(frames) if onesided else np.fft.fft(frames)
    np.testing.assert_allclose(values["y"], pairs(wanted), atol=2e-5)
    (conv,) = (node for node in graph.nodes if node.operator == "Conv")
    assert conv.attributes["strides"] == (40,)


def test_log_mel_in_the_model(tmp_path: Path) -> None:
    """STFT, power, MelWeightMatrix (folded), Log: integers are those of the reference."""
    maker = ModelMaker()
    for name, value in (("step", 40), ("length", 80), ("bins", 8), ("rate", 8000)):
        maker.tensor(name, value, np.int64)
    maker.tensor("low", 100.0)
    maker.tensor("high", 3500.0)
    maker.tensor("axes", [3], np.int64)
    maker.tensor("floor", 1e-2)
    maker.node("STFT", [maker.input("x", (1, 400)), "step", "", "length"], ["s"])
    maker.node("Mul", ["s", "s"], ["q"])
    maker.node("ReduceSum", ["q", "axes"], ["p"], keepdims=0)
    maker.node("MelWeightMatrix", ["bins", "length", "rate", "low", "high"], ["m"])
    maker.node("MatMul", ["p", "m"], ["e"])
    maker.node("Add", ["e", "floor"], ["f"])
    maker.node("Log", ["f"], ["y"])
    maker.output("y")
    path, x = maker.save(tmp_path), entries(1, 400)
    graph = read_onnx(path)
    values, _ = evaluate_floats(graph, {"x": x}, {})
    np.testing.assert_allclose(values["y"], run_onnxruntime(path, {"x": x})["y"], atol=1e-3)
    record = run(graph, input=Inputs({"x": x[np.newaxis]}, "t"), verify=True, cache=False)
    assert record.verification is not None
    assert record.verification.exact == 1


@pytest.mark.parametrize("equation", ["bqhk,bmhk->bhqm", "bij,jhk->bihk", "i,j->ij"])
def test_integers_of_einsum(tmp_path: Path, equation: str) -> None:
    maker, feeds = einsum(equation, 1 if "jhk" in equation else None)
    graph = read_onnx(maker.save(tmp_path))
    frames = {name: array[np.newaxis] for name, array in feeds.items()}
    record = run(graph, input=Inputs(frames, "test"), verify=True, cache=False)
    assert record.verification is not None
    assert record.verification.exact == 1
    assert min(f for f in record.sqnr_db.values() if f is not None) > 30


@pytest.mark.parametrize("how", [{"mode": "cubic"}, {"mode": "linear", "antialias": 1}])
def test_integers_of_resizing(tmp_path: Path, how: dict[str, Any]) -> None:
    maker = ModelMaker(19)
    maker.tensor("sizes", [1, 2, 9, 4], np.int64)
    maker.node("Resize", [maker.input("x", (1, 2, 6, 8)), "", "", "sizes"], ["y"], name="n", **how)
    maker.output("y")
    graph = read_onnx(maker.save(tmp_path))
    data = entries(1, 1, 2, 6, 8)
    record = run(graph, input=Inputs({"x": data}, "test"), verify=True, cache=False)
    assert record.verification is not None
    assert record.verification.exact == 1
    assert min(f for f in record.sqnr_db.values() if f is not None) > 30


def test_types_of_results(tmp_path: Path) -> None:
    """A float16 model's constants count as float32."""
    maker = ModelMaker()
    maker.tensor("t", entries(5, 6), np.float16)
    inputs = [maker.input("x", (3, 5), TensorProto.FLOAT16), "t"]
    maker.node("Einsum", inputs, ["y"], equation="ij,jk->ik")
    maker.output("y", None, TensorProto.FLOAT16)
    assert read_onnx(maker.save(tmp_path)).values["y"].shape == (3, 6)
