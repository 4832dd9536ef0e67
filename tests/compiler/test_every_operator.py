"""Each operator that `azsim ops` lists, alone: its simulated integers against ONNX Runtime.

The model is float; ONNX Runtime gets the numbers that the program's input integers stand for, and
weights lie on a grid of 8 bits. What is left is the operator's own rounding: within one step of the
output (half a step, and what its tables and rescales are off), or what `STEPS` says and why. Row
numbers must be equal. Results that the output's grid does not reach saturate on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from onnx_models import INT64, ModelMaker, run_onnxruntime

from azsim.api import run
from azsim.frontend import Inputs, read_onnx, support_table

Build = Callable[[ModelMaker], None]
STEPS = {
    "Div": 3.0,  # times a reciprocal that is rounded to 8 bits: 1/256 of the result, twice
    "LSTM": 3.0,  # h of 8 bits goes round, gates are Q3.12
    "GRU": 3.0,
    "LpPool": 2.0,  # power, mean and root are rounded
    "RNN": 2.0,  # h of 8 bits goes round
}


def on_grid(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Weights of 1/64 steps, -127/64 to 127/64, the largest in every row and column of rows."""
    weights = rng.integers(-127, 128, shape)
    weights.reshape(shape[0], -1)[:, 0] = 127
    if len(shape) > 1:
        weights[..., 0, :] = 127
    return (weights / 64).astype(np.float32)


def case(
    *constants: Any,
    shapes: Sequence[Sequence[int]] = ((3, 5),),
    outputs: Sequence[int] = (TensorProto.FLOAT,),
    opset: int = 18,
    **attributes: Any,
) -> Callable[[str], Build]:
    """One node on computed inputs x0, x1, ..., then constants (None: left out)."""

    def of(operator: str) -> Build:
        def build(maker: ModelMaker) -> None:
            maker.opset = opset
            names = [maker.input(f"x{k}", shape) for k, shape in enumerate(shapes)]
            names += [
                "" if data is None else maker.tensor(f"t{k}", data, np.asarray(data).dtype)
                for k, data in enumerate(constants)
            ]
            results = [maker.output(f"y{k}", None, kind) for k, kind in enumerate(outputs)]
            maker.node(operator, names, results, name="n", **attributes)

        return build

    return of


def truths(*shapes: Sequence[int], before: str = "") -> Callable[[str], Build]:
    """A node of bools, as 0 and 1; `before` makes them of floats."""

    def of(operator: str) -> Build:
        def build(maker: ModelMaker) -> None:
            maker.opset = 20
            maker.tensor("zero", 0.25)
            names = [maker.input(f"x{k}", shape) for k, shape in enumerate(shapes)]
            if before:
                for k, name in enumerate(names):
                    maker.node(before, [name, "zero"], [f"b{k}"], name=f"before{k}")
                names = [f"b{k}" for k in range(len(names))]
            maker.node(operator, names, ["b"], name="n")
            maker.node("Cast", ["b"], ["y0"], to=TensorProto.FLOAT, name="cast")
            maker.output("y0")

        return build

    return of


def nodes(*steps: tuple[str, list[str], str, dict[str, Any]], **tensors: Any) -> Any:
    """Several nodes on x0 (3, 5); the last makes y0."""

    def of(operator: str) -> Build:
        def build(maker: ModelMaker) -> None:
            maker.opset = 18
            maker.input("x0", (3, 5))
            for name, data in tensors.items():
                maker.tensor(name, data, np.asarray(data).dtype)
            for place, (kind, inputs, output, attributes) in enumerate(steps):
                maker.node(kind, inputs, [output], name=f"n{place}", **attributes)
            maker.output("y0")
            assert operator in [step[0] for step in steps]

        return build

    return of


RNG = np.random.default_rng(11)
TWO = ((3, 5), (3, 5))
IMAGE = ((1, 4, 6, 7),)
LAST = np.array([1])
ROW = np.linspace(0.5, 1.5, 5, dtype=np.float32)
PAIR = (TensorProto.FLOAT, INT64)
RECURRENT = ((4, 1, 5),)
# fmt: off
CASES: dict[str, Callable[[str], Build]] = {
    **{name: case() for name in (
        "Abs", "Asinh", "Atan", "Ceil", "Celu", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor",
        "HardSigmoid", "HardSwish", "Hardmax", "Identity", "LeakyRelu", "LogSoftmax", "Mish", "Neg",
        "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Softmax", "Softplus",
        "Softsign", "Tanh", "ThresholdedRelu", "Transpose", "Flatten", "Trilu", "LpNormalization",
    )},
    **{name: case(opset=21) for name in ("Acos", "Acosh", "Asin", "Atanh", "Tan")},
    **{name: case(opset=24) for name in ("Gelu", "Swish")},
    **{name: case() for name in ("Log", "Reciprocal", "Sqrt")},
    **{name: case(shapes=TWO) for name in (
        "Add", "Div", "Max", "Mean", "Min", "Mul", "Sub", "Sum",
    )},
    **{name: truths((3, 5), (3, 5)) for name in (
        "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual",
    )},
    **{name: truths((3, 5), (3, 5), before="Greater") for name in ("And", "Or", "Xor")},
    "Not": truths((3, 5), before="Less"),
    **{name: nodes((name, ["x0"], "b", {}), ("Where", ["b", "o", "x0"], "y0", {}),
                   o=np.float32(0.5)) for name in ("IsInf", "IsNaN")},
    **{name: case(shapes=IMAGE) for name in ("GlobalAveragePool", "GlobalMaxPool")},
    **{name: case(shapes=IMAGE, kernel_shape=[2, 3], pads=[1, 1, 0, 1], strides=[2, 1])
       for name in ("AveragePool", "MaxPool")},
    **{name: case(LAST) for name in ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum")},
    **{name: case(axis=1, outputs=(INT64,)) for name in ("ArgMax", "ArgMin")},
    "BatchNormalization": case(*np.abs(RNG.normal(size=(4, 4))).astype(np.float32) + 0.5,
                               shapes=IMAGE),
    "Cast": case(to=TensorProto.FLOAT),
    "CastLike": case(np.float32(0)),
    "Clip": case(np.float32(-0.5), np.float32(0.75)),
    "Concat": case(shapes=((3, 5), (3, 2)), axis=1),
    "Constant": nodes(("Constant", [], "c", {"value_floats": [0.5]}),
                      ("Add", ["x0", "c"], "y0", {})),
    "Conv": case(on_grid(RNG, 6, 4, 3, 3), shapes=IMAGE, pads=[1, 1, 1, 1]),
    "ConvTranspose": case(on_grid(RNG, 4, 3, 4, 3), shapes=IMAGE, strides=[2, 2],
                          pads=[1, 0, 1, 1]),
    "CumSum": case(LAST),
    "DFT": case(shapes=((2, 8, 1),), axis=1, onesided=1),
    "Dropout": case(np.float32(0.5), np.array(False)),
    "Einsum": case(on_grid(RNG, 5, 4), equation="ij,jk->ik"),
    "Expand": case(np.array([2, 3, 5])),
    "GRU": case(on_grid(RNG, 1, 9, 5) / 8, on_grid(RNG, 1, 9, 3) / 8, shapes=RECURRENT,
                hidden_size=3),
    "LSTM": case(on_grid(RNG, 1, 12, 5) / 8, on_grid(RNG, 1, 12, 3) / 8, shapes=RECURRENT,
                 hidden_size=3),
    "Gather": case(np.array([4, 0, -1]), axis=1),
    "GatherElements": case(np.array([[0, 1, 2, 0, 1]]), axis=0),
    "GatherND": case(np.array([[0, 1], [2, -1], [1, 1]])),
    "Gemm": case(on_grid(RNG, 5, 4)),
    "InstanceNormalization": case(ROW[:4], ROW[1:], shapes=IMAGE),
    "LRN": case(shapes=IMAGE, size=3, alpha=0.5),
    "LayerNormalization": case(ROW, ROW),
    "RMSNormalization": case(ROW, opset=23),
    "LpPool": case(shapes=IMAGE, kernel_shape=[2, 2], strides=[2, 1]),
    "MatMul": case(on_grid(RNG, 5, 4)),
    "Mod": case(np.float32(0.75), fmod=1),
    "OneHot": nodes(("ArgMax", ["x0"], "i", {"axis": 1, "keepdims": 0}),
                    ("OneHot", ["i", "d", "v"], "y0", {}), d=np.int64(5), v=np.float32([-1, 2])),
    "PRelu": case(np.float32(0.25)),
    "Pad": case(np.array([0, 1, 1, 0])),
    "Pow": case(np.float32(2)),
    "QuantizeLinear": nodes(("QuantizeLinear", ["x0", "s", "z"], "q", {}),
                            ("DequantizeLinear", ["q", "s", "z"], "y0", {}),
                            s=np.float32(0.03), z=np.int8(3)),
    "DequantizeLinear": nodes(("QuantizeLinear", ["x0", "s"], "q", {}),
                              ("DequantizeLinear", ["q", "s"], "y0", {}), s=np.float32(0.02)),
    "RNN": case(on_grid(RNG, 1, 3, 5) / 8, on_grid(RNG, 1, 3, 3) / 8, shapes=RECURRENT,
                hidden_size=3),
    "ReverseSequence": case(np.array([3, 1, 2, 3, 0])),
    "STFT": case(np.int64(10), np.hanning(20).astype(np.float32), shapes=((1, 60),)),
    "ScatterElements": case(np.array([[0, 2, 1, 0, 1]]), np.float32([[0.5, 1, -1, 0, 1.5]])),
    "ScatterND": case(np.array([[1]]), ROW[np.newaxis]),
    "Reshape": case(np.array([5, 3])),
    "Resize": case(None, np.array([1, 1, 2, 2], np.float32), shapes=IMAGE, mode="linear"),
    "Shape": nodes(("Shape", ["x0"], "s", {}), ("Expand", ["x0", "s"], "y0", {})),
    "Size": nodes(("Size", ["x0"], "s", {}), ("Unsqueeze", ["s", "a"], "t", {}),
                  ("Reshape", ["x0", "t"], "y0", {}), a=np.array([0])),
    "Slice": case(np.array([1]), np.array([5]), np.array([1]), np.array([2])),
    "Split": case(np.array([2, 3]), axis=1, outputs=(TensorProto.FLOAT,) * 2),
    "Squeeze": case(LAST, shapes=((3, 1, 5),)),
    "Tile": case(np.array([2, 1])),
    "TopK": case(np.array([2]), outputs=PAIR),
    "Unsqueeze": case(LAST),
    "Where": nodes(("Where", ["c", "x0", "o"], "y0", {}), c=np.eye(3, 5) > 0, o=np.float32(0.5)),
}
# fmt: on
POSITIVE = ("Log", "Reciprocal", "Sqrt")
WITHIN = ("Acos", "Asin", "Atanh", "Tan")  # -0.9 to 0.9


def test_no_operator_is_forgotten() -> None:
    assert sorted(CASES) == [row.operator for row in support_table()]


@pytest.mark.parametrize("operator", sorted(CASES))
def test_operator_alone(tmp_path: Path, operator: str) -> None:
    maker = ModelMaker()
    CASES[operator](operator)(maker)
    path = maker.save(tmp_path)
    graph = read_onnx(path)
    rng = np.random.default_rng(1 + sum(map(ord, operator)))
    data = {name: rng.uniform(-2, 2, graph.values[name].shape) for name in graph.inputs}
    if operator in WITHIN:
        data = {name: x / np.abs(x).max() * 0.9 for name, x in data.items()}
    if operator == "Acosh":
        data = {name: np.abs(x) + 1.5 for name, x in data.items()}
    if operator in POSITIVE:
        data = {name: np.abs(x) + 0.5 for name, x in data.items()}
    if operator == "Equal":
        data["x1"] = np.where(data["x0"] > 0, data["x0"], -data["x0"])
    if operator == "Div":
        data["x1"] = np.abs(data["x1"]) + 0.5
    frames = {name: x[np.newaxis].astype(np.float32) for name, x in data.items()}
    record = run(graph, input=Inputs(frames, "test"), verify=True, cache=False)
    assert record.verification is not None
    assert record.verification.exact == 1
    fed = {}
    for port in record.program.inputs:
        limits = np.iinfo(port.element)
        integers = np.rint(frames[port.name][0] / port.scale) + port.zero_point
        clipped = np.clip(integers, limits.min, limits.max)
        fed[port.name] = ((clipped - port.zero_point) * port.scale).astype(np.float32)
    wanted = run_onnxruntime(path, fed)
    for port in record.program.outputs:
        ours, exact = record.integers[port.name][0], wanted[port.name]
        if exact.dtype == np.int64:
            np.testing.assert_array_equal(ours, exact)
            continue
        limits = np.iinfo(port.element)
        steps = np.clip(exact / port.scale + port.zero_point, limits.min, limits.max)
        assert np.abs(ours - steps).max() <= STEPS.get(operator, 1.0)
        assert np.ptp(steps) > 1  # something was compared
