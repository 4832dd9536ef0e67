"""Refusals of Einsum, matrices along an axis and choices among entries, one per rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from frontend_window_cases import ones, window
from onnx import TensorProto
from onnx_models import ModelMaker

EQUATION = (
    "equation must have a term for each input, of different letters (and ...), one size for each"
    " letter, and an output of these letters, not "
)
FIRST = "the first input must be a computed float tensor, not "
CONSTANTS = "all inputs but the first must be constants, not "
INDICES = "the indices must be integer constants, not "
LRN = "size must be 1 or more, alpha and beta finite and 0 or more, bias finite and positive, not "
ELEMENTS = (
    "indices and updates must have one shape, no larger than the first input but along axis, and be"
    " within the axis (negative counts from the end), not "
)
TUPLES = (
    "each row of indices must name entries of the first dimensions (negative counts from the end),"
    " and updates have a slice for each, not "
)
GATHERED = (
    "batch_dims must be dimensions that data and indices share, and each row of indices name"
    " entries of the dimensions that follow (negative counts from the end), not "
)
REVERSED = (
    "batch_axis and time_axis must be 0 and 1 in some order, and sequence_lens 0 to all steps for"
    " each sequence, not "
)
FRAMES = (
    "frame_step must be one number of 1 or more, and window or frame_length (both: alike) say how"
    " long a frame is, no longer than the signal, not "
)
SIDES = "onesided must be 0 for complex numbers and backwards (inverse), not 1"
AXIS = "axis must be one of the first input's dimensions (negative counts from the last), not "
DFT_AXIS = (
    "axis must be a dimension of the first input other than the last, which holds 1 (real) or 2"
    " numbers (complex), not "
)
FLAT = (3, 4)


def flat(operator: str, text: str, *inputs: Any, x: Any = FLAT, **attributes: Any) -> Any:
    return window(operator, text, *inputs, x=x, **attributes)


def whole(*numbers: Any) -> np.ndarray:
    return np.array(numbers, np.int64)


ONE = np.array(1, np.int64)

# fmt: off
MAP_CASES: list[Any] = [
    flat("Einsum", EQUATION + "'ij,jk->ik' with (3, 4) and (3, 2)", "x", ones(3, 2),
         equation="ij,jk->ik"),
    flat("Einsum", EQUATION + "'ii->i' with (3, 4)", "x", equation="ii->i"),
    flat("Einsum", EQUATION + "'ij->k' with (3, 4)", "x", equation="ij->k"),
    flat("Einsum", EQUATION + "'ijk->i' with (3, 4)", "x", equation="ijk->i"),
    flat("Einsum", EQUATION + "'ij,ij->ij' with (3, 4)", "x", equation="ij,ij->ij"),
    flat("Einsum", EQUATION + "'i...->i' with (3, 4)", "x", equation="i...->i"),
    flat("Einsum", EQUATION + "'i.j->ij' with (3, 4)", "x", equation="i.j->ij"),
    flat("Einsum", "there must be one or two inputs, one of them computed, not 3", "x", "x", "x",
         equation="ij,ij,ij->ij"),
    flat("Einsum", "there must be one or two inputs, one of them computed, not constants only",
         ones(3, 4), equation="ij->ji"),
    flat("Einsum", "scales of quantized weights must be one, or one per entry of a dimension that"
         " only the weights and the output have, not one per entry of 'j' of 'w'", "x",
         [np.ones((4, 5), np.int8), np.ones(4), 0], equation="ij,jk->ik"),
    flat("Einsum", "quantized weights less their zero point must be -128 to 127, not 200 in 'w'",
         "x", [np.full((4, 5), 200, np.uint8), np.float32(1), 0], equation="ij,jk->ik"),
    flat("CumSum", "axis must be one number, a dimension of the first input (negative counts from"
         " the last), not 2 of 2 dimensions", "x", np.array(2, np.int64)),
    flat("CumSum", "axis must be one number, a dimension of the first input (negative counts from"
         " the last), not (0, 1)", "x", whole(0, 1)),
    flat("CumSum", "an exclusive sum must have two or more entries, not 1", "x", ONE, x=(3, 1),
         exclusive=1),
    flat("CumSum", CONSTANTS + "the computed 'v'", "x", "v"),
    flat("LRN", "the first input must have channels in dimension 1, not (4)", x=(4,), size=3),
    flat("LRN", LRN + "size 0, alpha 0.0001, beta 0.75, bias 1", size=0),
    flat("LRN", LRN + "size 3, alpha nan, beta 0.75, bias 1", size=3, alpha=float("nan")),
    flat("LRN", LRN + "size 3, alpha 0.0001, beta 0.75, bias -1", size=3, bias=-1.0),
    flat("DFT", DFT_AXIS + "shape (3, 4)"),
    flat("DFT", DFT_AXIS + "2 of 3 dimensions", "x", "", whole(2), x=(3, 4, 1)),
    flat("DFT", DFT_AXIS + "-4 of 3 dimensions", "x", "", whole(-4), x=(3, 4, 1)),
    flat("DFT", "dft_length must be one number of 1 or more, not 0", "x", whole(0), x=(3, 4, 1)),
    flat("DFT", "folding constants must make at most 16777218 elements, not 8796093022208", "x",
         whole(1 << 40), x=(3, 4, 1)),
    flat("DFT", SIDES, x=(3, 4, 2), onesided=1),
    flat("DFT", SIDES, x=(3, 4, 1), onesided=1, inverse=1),
    flat("STFT", "the signal must be real: shape (batch, length) or (batch, length, 1), not"
         " (1, 40, 2)", "x", ONE, "", whole(8), x=(1, 40, 2)),
    flat("STFT", "the window must be a float constant of one dimension, not int64 't2'", "x", ONE,
         whole(1, 2), x=(1, 40)),
    flat("STFT", FRAMES + "step 0, frame_length 8 and a window of 8 for 40 entries", "x", whole(0),
         "", whole(8), x=(1, 40)),
    flat("STFT", FRAMES + "step 1, frame_length 8 and a window of 9 for 40 entries", "x", ONE,
         ones(9), whole(8), x=(1, 40)),
    flat("STFT", FRAMES + "step 1, frame_length 41 and a window of 41 for 40 entries", "x", ONE, "",
         whole(41), x=(1, 40)),
    flat("OneHot", "the indices must be an integer graph input or what ArgMax, ArgMin and TopK find"
         " (0 to depth - 1 when they come), not 'x'", "x", ONE, ones(2)),
    flat("Hardmax", AXIS + "2 of 2 dimensions", axis=2),
    flat("GatherND", INDICES + "'v'", "x", "v"),
    flat("GatherND", GATHERED + "a scalar", "x", ONE),
    flat("GatherND", GATHERED + "0 of (3, 4) and (1, 3)", "x", whole([0, 0, 0])),
    flat("GatherND", GATHERED + "1 of (3, 4) and (2, 1)", "x", whole([0], [1]), batch_dims=1),
    flat("GatherND", GATHERED + "-5 of 4 entries", "x", whole([0, -5])),
    flat("GatherND", "input and result must have at most 1048576 entries, not 2000000", "x",
         whole([0]), x=(2000, 1000)),
    flat("ScatterND", "data and updates must be float tensors, not 't2'", "x", whole([0]),
         whole([0, 0, 0, 0])),
    flat("ScatterND", "reduction must be 'none', not 'add'", "x", whole([0]), ones(1, 4),
         reduction="add"),
    flat("ScatterND", TUPLES + "(1, 3)", "x", whole([0, 0, 0]), ones(1)),
    flat("ScatterND", TUPLES + "updates (1, 3) for (1, 1)", "x", whole([0]), ones(1, 3)),
    flat("ScatterND", TUPLES + "3 of 3 entries", "x", whole([3]), ones(1, 4)),
    flat("ScatterElements", ELEMENTS + "(1, 2) and (1, 3)", "x", whole([0, 1]), ones(1, 3)),
    flat("ScatterElements", ELEMENTS + "(1, 5) of (3, 4)", "x", whole([0] * 5), ones(1, 5)),
    flat("ScatterElements", ELEMENTS + "-4 of 3 entries", "x", whole([-4]), ones(1, 1)),
    flat("ScatterElements", AXIS + "5 of 2 dimensions", "x", whole([0]), ones(1, 1), axis=5),
    flat("ReverseSequence", REVERSED + "batch_axis 2, time_axis 0 of 2 dimensions", "x",
         whole(1, 1, 1), batch_axis=2),
    flat("ReverseSequence", REVERSED + "(2) for 4 sequences", "x", whole(1, 1)),
    flat("ReverseSequence", REVERSED + "4 of 3 steps", "x", whole(1, 1, 4, 1)),
    flat("LpNormalization", "p must be 1 or 2 (of higher powers 8 bits keep too little), not 3",
         p=3),
    flat("LpNormalization", AXIS + "-3 of 2 dimensions", axis=-3),
    window("LpPool", "p must be 1 or 2 (of higher powers 8 bits keep too little), not 0",
           kernel_shape=[2, 2], p=0),
    flat("Mod", "fmod must be 1 (of floats), and the divisor a finite constant of one number other"
         " than 0, not fmod 0", "x", np.array(2, np.float32)),
    flat("Mod", "fmod must be 1 (of floats), and the divisor a finite constant of one number other"
         " than 0, not 0", "x", np.array(0, np.float32), fmod=1),
    flat("Mod", "fmod must be 1 (of floats), and the divisor a finite constant of one number other"
         " than 0, not 'v'", "x", "v", fmod=1),
]
# fmt: on


def one_hot(text: str, depth: Any, values: Any, axis: int = -1) -> Any:
    """A OneHot of an integer input (2, 3)."""

    def build(maker: ModelMaker) -> None:
        maker.input("i", (2, 3), TensorProto.INT64)
        names = ["i"]
        for name, entry in (("depth", depth), ("values", values)):
            names.append(
                maker.input(name, (1,)) if entry is None else maker.tensor(name, entry, entry.dtype)
            )
        maker.node("OneHot", names, ["r"], name="n", axis=axis)
        maker.output("r")

    return pytest.param(build, f"node 'n' (OneHot): {text}", id=f"OneHot {text}")


PAIR = np.array([0, 1], np.float32)
MAP_CASES += [
    one_hot("depth must be a constant of one number, 1 to 65536, not 'depth'", None, PAIR),
    one_hot("depth must be a constant of one number, 1 to 65536, not 0", whole(0), PAIR),
    one_hot("depth must be a constant of one number, 1 to 65536, not 1e+12", whole(10**12), PAIR),
    one_hot("values must be a float constant of two numbers (off, on), not 'values'", whole(4),
            whole(0, 1)),
    one_hot("axis must be one of the result's dimensions (negative counts from the last), not 3 of"
            " 3 dimensions", whole(4), PAIR, axis=3),
    one_hot("folding constants must make at most 16777222 elements, not 4294967296",
            whole(1 << 16), PAIR),
]  # fmt: skip
