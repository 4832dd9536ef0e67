"""What breaks a rule of functions, reductions, norms, selections and products, and the refusal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from onnx_models import ModelMaker

AXES = "axes must be dimensions of the first input (negative counts from the last), not "
NORM_AXIS = "axis must be one of the first input's dimensions (negative counts from the last), not "
TAIL = "scale and bias must broadcast to the normalized dimensions, not "
CHANNELS = (
    "the first input must have channels in dimension 1, and each parameter a number for each, not "
)
PRODUCT = (
    "the columns of the first input must be the rows of the second, and leading dimensions must"
    " broadcast, not "
)
ELEMENTS = (
    "the indices must be constants with as many dimensions as the first input, none larger but"
    " along the axis, and within the axis, not "
)
MATRICES = "both inputs must have 1 or more dimensions, not "
PADS = (
    "pads must name the entries in front of and behind each axis (or each of axes), and leave one"
    " or more; a reflection must be shorter than its axis, not "
)
INSTANCES = (
    "the first input must have 3 or more dimensions with channels in dimension 1, and scale and"
    " bias a number for each, not "
)
IMAGES = ((1, 3, 5), (2, 4))


def _case(
    operator: str,
    text: str,
    *inputs: Any,
    shapes: Sequence[Sequence[int]] = ((2, 4), (2, 4)),
    outputs: Sequence[str] = ("r",),
    opset: int = 17,
    **attributes: Any,
) -> Any:
    """One node on x and y of `shapes`; arrays in `inputs` become tensors t0, t1, ..."""

    def build(maker: ModelMaker) -> None:
        maker.opset = opset
        for name, shape in zip("xy", shapes, strict=True):
            maker.input(name, shape)
        names = [
            entry
            if isinstance(entry, str)
            else maker.tensor(f"t{place}", entry, np.asarray(entry).dtype)
            for place, entry in enumerate(inputs)
        ]
        maker.node(operator, names, list(outputs), name="n", **attributes)
        for name in outputs:
            maker.output(name)

    built: Callable[[ModelMaker], None] = build
    return pytest.param(built, f"node 'n' ({operator}): {text}", id=f"{operator} {text}")


def _ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def _pad_of_integers() -> Any:
    def build(maker: ModelMaker) -> None:
        maker.input("x", (2, 4), TensorProto.INT8)
        maker.tensor("pads", [0, 1, 0, 1], np.int64)
        maker.node("Pad", ["x", "pads"], ["r"], name="n")
        maker.output("r")

    text = "integers must go through DequantizeLinear before they are padded, not the int8 tensor"
    return pytest.param(build, f"node 'n' (Pad): {text} 'x'", id="Pad of integers")


def _weights_of_many_scales() -> Any:
    def build(maker: ModelMaker) -> None:
        maker.opset = 21
        maker.input("x", (2, 4))
        maker.tensor("q", np.ones((4, 4)), np.int8)
        maker.tensor("s", _ones(4))
        maker.node("DequantizeLinear", ["q", "s"], ["w"], axis=0)
        maker.node("MatMul", ["x", "w"], ["r"], name="n")
        maker.output("r")

    text = (
        "scales of quantized weights must be one, or one per output (the last dimension), not one"
        " per entry of dimension 0 of 'w'"
    )
    return pytest.param(build, f"node 'n' (MatMul): {text}", id=text)


ROW_CASES = [
    _case("Gelu", "approximate must be 'none' or 'tanh', not 'fast'", "x", opset=20,
          approximate="fast"),
    _case("Clip", "min and max must be single numbers, not shape (2) of 't1'", "x", _ones(2)),
    _case("Pow", "base or exponent must be a constant of one number, not 'x' and 'y'", "x", "y"),
    _case("Pow", "the number must not have more dimensions than the other input, not (1, 1, 1)",
          "x", _ones(1, 1, 1)),
    _case("PRelu", "the slope must be a constant, not the computed 'y'", "x", "y"),
    _case("Where", "the condition must be a bool tensor, not 'x'", "x", "x", "y"),
    _case("And", "inputs must be bool tensors, not 'x'", "x", "y"),
    _case("Greater", "constants to compare with must be finite (Equal: or all infinite), not 't1'",
          "x", np.array(np.inf, np.float32)),
    _case("Trilu", "the first input must have 2 or more dimensions, not 1", "x",
          shapes=((4,), (2, 4))),
    _case("GatherElements", ELEMENTS + "4 of 4 entries", "x", np.array([[0, 4]]), axis=1),
    _case("GatherElements", ELEMENTS + "(3, 1) of (2, 4)", "x", np.zeros((3, 1), np.int64), axis=1),
    _case("Where", "both choices must be float tensors, not the integer 't2'",
          np.array(True), "x", np.array(1)),
    _case("ReduceMean", AXES + "(2) of 2 dimensions", "x", axes=[2]),
    _case("ReduceSum", AXES + "(-3) of 2 dimensions", "x", np.array([-3])),
    _case("ArgMax", "select_last_index must be 0, not 1", "x", select_last_index=1),
    _case("TopK", NORM_AXIS + "2 of 2 dimensions", "x", np.array([1]), outputs=("r", "p"), axis=2),
    _case("TopK", "K must be 1 or more and at most the size of the axis, not 3 of 2", "x",
          np.array([3]), outputs=("r", "p"), axis=0, largest=0),
    _case("InstanceNormalization", INSTANCES + "shape (2, 4)", "x", _ones(4), _ones(4)),
    _case("InstanceNormalization", INSTANCES + "(2) for 3 channels", "x", _ones(3), _ones(2),
          shapes=IMAGES),
    _pad_of_integers(),
    _case("Pad", "mode must be constant, edge, reflect or wrap, not 'mirror'", "x",
          np.array([0, 1, 0, 0]), mode="mirror"),
    _case("Pad", "the value must be one finite number, not of shape (2)", "x",
          np.array([0, 1, 0, 0]), _ones(2)),
    _case("Pad", "the value must be one finite number, not -inf", "x", np.array([0, 1, 0, 0]),
          np.float32(-np.inf)),
    _case("Pad", PADS + "(0, 1, 0) of (2, 4)", "x", np.array([0, 1, 0])),
    _case("Pad", PADS + "(0, -2, 0, -2) of (2, 4)", "x", np.array([0, -2, 0, -2])),
    _case("Pad", PADS + "(0, -5, 0, 9) of (2, 4)", "x", np.array([0, -5, 0, 9])),
    _case("Pad", PADS + "(2, 0, 0, 0) of (2, 4)", "x", np.array([2, 0, 0, 0]), mode="reflect"),
    _case("Pad", PADS + "(1, 1) of (2, 4)", "x", np.array([1, 1]), "", np.array([2]), opset=18),
    _case("Pad", PADS + "(1, 1, 1, 1) of (2, 4)", "x", np.array([1, 1, 1, 1]), "",
          np.array([1, -1]), opset=18),
    _case("Pad", PADS + f"({1 << 40}, 0, 0, 0) of (2, 4)", "x", np.array([1 << 40, 0, 0, 0])),
    _case("Dropout", "training_mode must be absent or false, and the mask not used, not"
          " training_mode 't2'", "x", np.float32(0.5), np.array(True)),
    _case("Dropout", "training_mode must be absent or false, and the mask not used, not the mask"
          " 'm'", "x", outputs=("r", "m")),
    _case("TopK", "K must be 1 or more and at most the size of the axis, not 5 of 4", "x",
          np.array([5]), outputs=("r", "p")),
    _case("LayerNormalization", NORM_AXIS + "2 of 2 dimensions", "x", _ones(4), axis=2),
    _case("LayerNormalization", TAIL + "(3) to (4)", "x", _ones(3)),
    _case("RMSNormalization", TAIL + "(2, 4) to (4)", "x", _ones(2, 4), opset=23),
    _case("BatchNormalization", "only the first output may be used, not 'mean'", "x",
          *[_ones(4)] * 4, outputs=("r", "mean")),
    _case("BatchNormalization", "training_mode must be 0, not 1", "x", *[_ones(4)] * 4,
          outputs=("r", "m", "v"), training_mode=1),
    _case("BatchNormalization", CHANNELS + "(3) for 4 channels", "x", *[_ones(4)] * 3, _ones(3)),
    _case("BatchNormalization", CHANNELS + "shape (4)", "x", *[_ones(4)] * 4,
          shapes=((4,), (2, 4))),
    _case("MatMul", MATRICES + "(2, 4) and ()", "x", _ones()),
    _case("MatMul", "a second input of 1 dimension must meet a computed first one, not the constant"
          " 't0'", _ones(4, 3), "x", shapes=((3,), (2, 4))),
    _case("MatMul", PRODUCT + "(2, 4) and (3, 5)", "x", _ones(3, 5)),
    _case("MatMul", PRODUCT + "(2, 3, 4) and (3, 4, 2)", "x", "y", shapes=((2, 3, 4), (3, 4, 2))),
    _weights_of_many_scales(),
    _case("Expand", "shape must broadcast with the input's shape, not (3, 4) with (2, 4)", "x",
          np.array([3, 4])),
    _case("Tile", "repeats must be 1 or more, one for each dimension, not (2) for 2 dimensions",
          "x", np.array([2])),
    _case("CastLike", "both inputs must be float, not the integer 't1'", "x", np.array(1)),
    _case("Sub", "shapes (2, 4) and (3, 4) must broadcast", "x", _ones(3, 4)),
]  # fmt: skip
