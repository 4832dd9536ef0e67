"""Models in ONNX Runtime's other two quantized forms: integer operators that carry their scales,
and products of what is measured as it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx_models import ModelMaker, run_onnxruntime

from azsim.api import run
from azsim.errors import ModelError
from azsim.frontend import Inputs, read_onnx
from azsim.frontend.integer_operators import NAMES, WRITERS
from azsim.frontend.support import operators_markdown
from azsim.reference.floats import evaluate_floats

RUNTIME = "com.microsoft"
X, Y = (0.05, 120), (0.0773, 131)  # scale and zero point; their quotient makes few halves


class IntegerMaker(ModelMaker):
    """Quantizers at the model's borders; `node` takes the domain of an operator."""

    def grid(self, name: str, scale: Any, zero: Any, kind: Any = np.uint8) -> list[str]:
        return [self.tensor(f"{name}_s", scale), self.tensor(f"{name}_z", zero, kind)]

    def entry(self, name: str, shape: tuple[int, ...], scale: float, zero: int) -> list[str]:
        """A float input on a grid: its integers, scale and zero point."""
        grid = self.grid(name, scale, zero)
        self.node("QuantizeLinear", [self.input(name, shape), *grid], [f"{name}_q"])
        return [f"{name}_q", *grid]

    def leave(self, name: str, grid: list[str]) -> None:
        self.node("DequantizeLinear", [name, *grid], ["y"])
        self.output("y")

    def model(self) -> onnx.ModelProto:
        model = super().model()
        model.opset_import.append(helper.make_opsetid(RUNTIME, 1))
        return model


def one(operator: str, fill: Callable[[IntegerMaker], list[str]], **attributes: Any) -> Any:
    maker = IntegerMaker()
    domain = next(domain for domain, name in WRITERS if name == operator)
    inputs = fill(maker)
    maker.node(operator, inputs, ["r"], name="n", domain=domain, **attributes)
    maker.leave("r", ["y_s", "y_z"])
    return maker


def single(shape: tuple[int, ...]) -> Callable[[IntegerMaker], list[str]]:
    return lambda m: [*m.entry("x", shape, *X), *m.grid("y", *Y)]


def pair(m: IntegerMaker) -> list[str]:
    return [*m.entry("x", (3, 5), *X), *m.entry("x2", (3, 5), 0.03, 90), *m.grid("y", *Y)]


def weights(m: IntegerMaker, shape: tuple[int, ...], outputs: int) -> list[str]:
    rng = np.random.default_rng(1)
    integers = m.tensor("w", rng.integers(-127, 128, shape), np.int8)
    scales = rng.uniform(0.005, 0.01, outputs)
    return [integers, *m.grid("w", scales, np.zeros(outputs), np.int8)]


def convolution(m: IntegerMaker) -> list[str]:
    x, w = m.entry("x", (1, 4, 5, 6), *X), weights(m, (3, 4, 3, 3), 3)
    return [*x, *w, *m.grid("y", 0.2, 128), m.tensor("b", [100, -2000, 7], np.int32)]


def product(m: IntegerMaker) -> list[str]:
    return [*m.entry("x", (3, 5), *X), *weights(m, (5, 4), 4), *m.grid("y", *Y)]


def gemm(m: IntegerMaker) -> list[str]:
    x, w = m.entry("x", (3, 5), *X), weights(m, (4, 5), 4)
    return [*x, *w, m.tensor("b", [1, -200, 300, 7], np.int32), *m.grid("y", *Y)]


def joined(m: IntegerMaker) -> list[str]:
    grid = m.grid("y", *Y)
    return [*grid, *m.entry("x", (3, 5), *X), *m.entry("x2", (3, 2), 0.03, 90)]


IMAGE = (1, 4, 6, 7)
SOFT = {"axis": -1, "opset": 13}
# fmt: off
CASES: dict[str, Any] = {
    "QLinearConv": lambda: one("QLinearConv", convolution, pads=[1, 1, 1, 1], strides=[1, 2]),
    "QLinearMatMul": lambda: one("QLinearMatMul", product),
    "QGemm": lambda: one("QGemm", gemm, transB=1),
    "QLinearAdd": lambda: one("QLinearAdd", pair),
    "QLinearMul": lambda: one("QLinearMul", pair),
    "QLinearSigmoid": lambda: one("QLinearSigmoid", single((3, 5))),
    "QLinearLeakyRelu": lambda: one("QLinearLeakyRelu", single((3, 5)), alpha=0.2),
    "QLinearSoftmax": lambda: one("QLinearSoftmax", single((3, 5)), **SOFT),
    "QLinearAveragePool": lambda: one("QLinearAveragePool", single(IMAGE), kernel_shape=[2, 2]),
    "QLinearGlobalAveragePool": lambda: one("QLinearGlobalAveragePool", single(IMAGE)),
    "QLinearConcat": lambda: one("QLinearConcat", joined, axis=1),
}
# fmt: on


def test_each_operator_is_told_of_and_has_a_case() -> None:
    assert {name for _, name in WRITERS} == {*CASES, "DynamicQuantizeMatMul"}
    page = " ".join(operators_markdown().split())
    assert all(name in page for name in NAMES)


def integers_of(maker: ModelMaker, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Results of azsim's integers and of ONNX Runtime, as numbers."""
    path, rng = maker.save(folder), np.random.default_rng(3)
    graph = read_onnx(path)
    feeds = {
        name: rng.uniform(-4, 4, graph.values[name].shape).astype(np.float32)
        for name in graph.inputs
    }
    frames = {name: array[np.newaxis] for name, array in feeds.items()}
    record = run(graph, input=Inputs(frames, "test"), verify=True, cache=False)
    assert record.verification is not None
    assert record.verification.exact == 1
    (port,) = record.program.outputs
    steps = record.integers["y"][0].astype(np.float64) - port.zero_point
    return steps * port.scale, run_onnxruntime(path, feeds)["y"]


@pytest.mark.parametrize("operator", sorted(CASES))
def test_integers_agree_with_onnxruntime(tmp_path: Path, operator: str) -> None:
    """At most one step apart, and nearly always the same: ONNX Runtime's kernels compute in float32
    or fixed point themselves."""
    ours, theirs = integers_of(CASES[operator](), tmp_path)
    scale = 0.2 if operator == "QLinearConv" else Y[0]
    apart = np.rint(np.abs(ours - theirs) / scale)
    assert apart.max() <= 1
    # ONNX Runtime's softmax on integers cuts the fraction off
    assert (apart == 0).mean() > (0.5 if operator == "QLinearSoftmax" else 0.9)
    assert np.ptp(theirs) > scale


def measured(weight: np.ndarray, zero: int, bias: bool = True) -> IntegerMaker:
    """x through DynamicQuantizeLinear and MatMulInteger, as quantize_dynamic writes it."""
    maker = IntegerMaker()
    maker.tensor("w", weight, np.int8)
    maker.tensor("ws", 0.01)
    maker.tensor("wz", zero, np.int8)
    maker.tensor("b", np.arange(weight.shape[1]) / 10)
    maker.node("DynamicQuantizeLinear", [maker.input("x", (3, 5))], ["q", "s", "z"], name="d")
    maker.node("MatMulInteger", ["q", "w", "z", "wz"], ["i"], name="mm")
    maker.node("Cast", ["i"], ["f"], to=TensorProto.FLOAT, name="c")
    maker.node("Mul", ["s", "ws"], ["ss"], name="scales")
    maker.node("Mul", ["f", "ss"], ["p" if bias else "y"], name="m")
    if bias:
        maker.node("Add", ["p", "b"], ["y"], name="a")
    maker.output("y")
    return maker


@pytest.mark.parametrize("zero", [0, 3])
@pytest.mark.parametrize("bias", [False, True])
def test_product_of_what_is_measured(tmp_path: Path, zero: int, bias: bool) -> None:
    rng = np.random.default_rng(6)
    weight = rng.integers(-100, 101, (5, 4))
    path = measured(weight, zero, bias).save(tmp_path)
    graph = read_onnx(path)
    assert [node.operator for node in graph.nodes] == ["MatMul", "Add"][: 1 + bias]
    stored = graph.values[graph.nodes[0].inputs[1]].stored
    assert stored is not None
    np.testing.assert_array_equal(stored.integers, weight - zero)
    x = rng.uniform(-2, 2, (3, 5)).astype(np.float32)
    values, _ = evaluate_floats(graph, {"x": x}, {})
    wanted = run_onnxruntime(path, {"x": x})["y"]
    # half a step of 4/255 for each of 5 products is what measuring x loses
    assert np.abs(values["y"] - wanted).max() < 5 * 2 / 255 * np.abs(weight - zero).max() * 0.01


def test_dynamic_product_of_the_runtime(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    maker = IntegerMaker()
    maker.tensor("w", rng.integers(-100, 101, (5, 4)), np.int8)
    maker.tensor("ws", rng.uniform(0.01, 0.02, 4))
    maker.tensor("b", rng.normal(size=4))
    inputs = [maker.input("x", (3, 5)), "w", "ws", "", "b"]
    maker.node("DynamicQuantizeMatMul", inputs, ["y"], name="n", domain=RUNTIME)
    maker.output("y")
    path, x = maker.save(tmp_path), rng.uniform(-2, 2, (3, 5)).astype(np.float32)
    graph = read_onnx(path)
    values, _ = evaluate_floats(graph, {"x": x}, {})
    wanted = run_onnxruntime(path, {"x": x})["y"]
    assert np.abs(values["y"] - wanted).max() < 5 * 2 / 255 * 100 * 0.02


def refusal_of(maker: ModelMaker, folder: Path) -> str:
    path = maker.save(folder)
    with pytest.raises(ModelError) as refusal:
        read_onnx(path)
    return str(refusal.value).removeprefix(f"{path}: ")


UNKNOWN = "operator must be one that 'azsim ops' lists"
FOREIGN = "domain must be ONNX's own, not 'com.microsoft'"


def test_forms_that_are_not_known(tmp_path: Path) -> None:
    """One line each, by the node's own name."""
    short = one("QLinearAdd", lambda m: pair(m)[:6])
    assert refusal_of(short, tmp_path) == f"node 'n' (QLinearAdd): {FOREIGN}"
    last = one("QLinearGlobalAveragePool", single(IMAGE), channels_last=1)
    assert refusal_of(last, tmp_path) == f"node 'n' (QLinearGlobalAveragePool): {FOREIGN}"
    few = one("QLinearMatMul", lambda m: product(m)[:7])
    assert refusal_of(few, tmp_path) == f"node 'n' (QLinearMatMul): {UNKNOWN}"
    other = one("QLinearAdd", pair)
    other.nodes[-2].op_type = "QLinearReduceMean"
    assert refusal_of(other, tmp_path) == f"node 'n' (QLinearReduceMean): {FOREIGN}"


@pytest.mark.parametrize(
    "change", ["no cast", "cast to int", "no scale", "read twice", "no output"]
)
def test_chains_that_are_not_whole(tmp_path: Path, change: str) -> None:
    maker = measured(np.ones((5, 4)), 0, bias=False)
    if change == "no cast":
        del maker.nodes[2]
        maker.nodes[-1].input[0] = "i"
    elif change == "cast to int":
        maker.nodes[2].attribute[0].i = TensorProto.INT64
    elif change == "no scale":
        maker.nodes[-1].input[1] = "s"
    elif change == "read twice":
        maker.node("Cast", ["i"], ["more"], to=TensorProto.FLOAT, name="c2")
        maker.output("more")
    else:
        del maker.nodes[-1].output[:]
    text = refusal_of(maker, tmp_path)
    assert text.count("\n") == 0
    assert text.startswith(("node ", "output "))


def test_scales_must_be_constants(tmp_path: Path) -> None:
    maker = one("QLinearSigmoid", single((3, 5)))
    maker.tensors = [tensor for tensor in maker.tensors if tensor.name != "y_s"]
    maker.input("y_s", ())
    text = refusal_of(maker, tmp_path)
    assert text.endswith("(QuantizeLinear): scale and zero point must be constants, not the"
                         " computed 'y_s'")  # fmt: skip
