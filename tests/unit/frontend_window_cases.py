"""Refusals of operators that slide a window, one per rule: (name, builder, text)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_models import ModelMaker

IMAGE = (1, 4, 5, 6)


def window(operator: str, text: str, *inputs: Any, x: Any = IMAGE, **attributes: Any) -> Any:
    """One node on x; arrays become tensors, a list [integers, scales] a dequantized constant."""

    def build(maker: ModelMaker) -> None:
        maker.opset = 21
        maker.input("x", x)
        maker.input("v", (4,))
        names = []
        entries: tuple[Any, ...] = inputs or ("x",)
        for position, entry in enumerate(entries):
            name = entry
            if isinstance(entry, np.ndarray):
                name = maker.tensor(f"t{position}", entry, entry.dtype)
            elif isinstance(entry, list):
                integers, scales, axis = entry
                maker.tensor("q", integers, integers.dtype)
                maker.tensor("s", scales)
                maker.node("DequantizeLinear", ["q", "s"], ["w"], axis=axis)
                name = "w"
            names.append(name)
        maker.node(operator, names, ["r"], name="n", **attributes)
        maker.output("r")

    return pytest.param(build, f"node 'n' ({operator}): {text}", id=f"{operator} {text}")


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


LISTS = (
    "strides and dilations (1 or more) and pads (0 or more) must have one entry per spatial"
    " dimension, pads two, not "
)
AUTO = "auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, the latter without pads, not "
GROUPS = "group must be 1 or more and divide channels and outputs as the weights say, not "
W = ones(6, 4, 3, 3)
T = ones(4, 3, 2, 2)
OUTPUTS = (
    "output_padding (0 or more, below stride or dilation) and output_shape (1 or more) must have"
    " one entry per spatial dimension, not "
)
MEET = (
    "pads must leave results of the input, and auto_pad and output_shape not ask for more than"
    " kernel, stride and output_padding make (one more for output_shape), not "
)
SIZES = np.array([1, 4, 8, 8])
CROP = "tf_crop_and_resize"
MODES = (
    "mode must be nearest, linear or cubic; antialias, exclude_outside and tf_crop_and_resize only"
    " with linear or cubic, not "
)
ROI = (
    "tf_crop_and_resize must have a roi with a finite start and end for each axis (all of it where"
    " the size stays: else ONNX and ONNX Runtime differ), and where these leave the input"
    " extrapolation_value must be 0, not "
)

WINDOW_CASES = [
    window("Conv", "the first input must be a computed tensor of 3 or 4 dimensions (batch,"
           " channels, ...), not of shape (2, 4)", "x", W, x=(2, 4)),
    window("Conv", "weights must be a constant with as many dimensions as the first input, not the"
           " computed 'x'", "x", "x"),
    window("Conv", "weights must be a constant with as many dimensions as the first input, not of"
           " shape (6, 4, 3)", "x", ones(6, 4, 3)),
    window("Conv", "the bias must be a constant, one number per output channel, not the computed"
           " 'v'", "x", W, "v"),
    window("Conv", "the bias must be a constant, one number per output channel, not of shape (5)",
           "x", W, ones(5)),
    window("Conv", "scales of quantized weights must be one, or one per output channel (dimension"
           " 0), not one per entry of dimension 1 of 'w'", "x",
           [np.ones((6, 4, 3, 3), np.int8), np.ones(4), 1]),
    window("Conv", "quantized weights less their zero point must be -128 to 127, not 200 in 'w'",
           "x", [np.full((6, 4, 3, 3), 200, np.uint8), np.float32(1), 0]),
    window("Conv", GROUPS + "4 with weights (6, 4, 3, 3) and 4 channels", "x", W, group=4),
    window("Conv", GROUPS + "1 with weights (6, 3, 3, 3) and 4 channels", "x", ones(6, 3, 3, 3)),
    window("Conv", "kernel_shape must be the spatial shape of the weights, not (3, 5)", "x", W,
           kernel_shape=[3, 5]),
    window("Conv", LISTS + "strides (1)", "x", W, strides=[1]),
    window("Conv", LISTS + "dilations (0, 1)", "x", W, dilations=[0, 1]),
    window("Conv", LISTS + "pads (0, 0, -1, 0)", "x", W, pads=[0, 0, -1, 0]),
    window("Conv", LISTS + "strides (2000000000, 1)", "x", W, strides=[2000000000, 1]),
    window("Conv", AUTO + "'SAME'", "x", W, auto_pad="SAME"),
    window("Conv", AUTO + "VALID with pads (1, 0, 0, 0)", "x", W, auto_pad="VALID",
           pads=[1, 0, 0, 0]),
    window("Conv", "the window must fit the padded input in each dimension, not 7 over 5", "x", W,
           dilations=[3, 1]),
    window("ConvTranspose", "the bias must be a constant, group times as many numbers as dimension"
           " 1 of the weights, not of shape (4)", "x", T, ones(4)),
    window("ConvTranspose", "the bias must be a constant, group times as many numbers as dimension"
           " 1 of the weights, not the computed 'v'", "x", T, "v"),
    window("ConvTranspose", "weights must be a constant with as many dimensions as the first input,"
           " not the computed 'x'", "x", "x"),
    window("ConvTranspose", "scales of quantized weights must be one, or one per output of a group"
           " (dimension 1), not one per entry of dimension 0 of 'w'", "x",
           [np.ones((4, 3, 2, 2), np.int8), np.ones(4), 0]),
    window("ConvTranspose", "group must be 1 or more and divide channels, which the weights have in"
           " dimension 0, not 3 with weights (4, 3, 2, 2) and 4 channels", "x", T, group=3),
    window("ConvTranspose", "group must be 1 or more and divide channels, which the weights have in"
           " dimension 0, not 0 with weights (4, 3, 2, 2) and 4 channels", "x", T, group=0),
    window("ConvTranspose", LISTS + "strides (0, 1)", "x", T, strides=[0, 1]),
    window("ConvTranspose", LISTS + "pads (1, 1)", "x", T, pads=[1, 1]),
    window("ConvTranspose", OUTPUTS + "output_padding (2, 0)", "x", T, strides=[2, 1],
           output_padding=[2, 0]),
    window("ConvTranspose", OUTPUTS + "output_padding (1)", "x", T, strides=[2, 2],
           output_padding=[1]),
    window("ConvTranspose", OUTPUTS + "output_shape (0, 3)", "x", T, output_shape=[0, 3]),
    window("ConvTranspose", AUTO + "'SAME'", "x", T, auto_pad="SAME"),
    window("ConvTranspose", MEET + "pads (-1, 0, -1, 0) for outputs (8, 7)", "x", T,
           output_shape=[8, 7]),
    window("ConvTranspose", MEET + "pads (0, 1, -1, 0) for outputs (15, 6)", "x", T,
           strides=[3, 1], auto_pad="SAME_LOWER"),
    window("ConvTranspose", MEET + "pads (4, 0, 3, 0) for outputs (-1, 7)", "x", T,
           pads=[4, 0, 3, 0]),
    window("ConvTranspose", MEET + "1 of 5 entries", "x", ones(4, 1, 2, 1), strides=[2, 1],
           pads=[10, 0, 0, 0], output_padding=[1, 0]),
    window("ConvTranspose", "folding constants must make at most 16777312 elements, not"
           " 13194139533312", "x", T, strides=[1 << 20, 1 << 20]),
    window("MaxPool", "kernel_shape must have one entry of 1 or more per spatial dimension, not"
           " (2)", kernel_shape=[2]),
    window("MaxPool", "each padding must be smaller than the window's reach, not (2, 0, 0, 0)",
           kernel_shape=[2, 2], pads=[2, 0, 0, 0]),
    window("MaxPool", "the output of indices must not be used, storage_order must be 0, not"
           " storage_order 1", kernel_shape=[2, 2], storage_order=1),
    window("AveragePool", "the window must fit the padded input in each dimension, not 9 over 5",
           kernel_shape=[9, 2]),
    window("Resize", MODES + "'area'", "x", "", "", SIZES, mode="area"),
    window("Resize", MODES + "antialias 1 with nearest", "x", "", "", SIZES, antialias=1),
    window("Resize", MODES + "exclude_outside 1 with nearest", "x", "", "", SIZES,
           exclude_outside=1),
    window("Resize", MODES + "a crop with nearest", "x", ones(8), "", SIZES,
           coordinate_transformation_mode=CROP),
    window("Resize", "coordinate_transformation_mode must be half_pixel, half_pixel_symmetric,"
           " pytorch_half_pixel, asymmetric, align_corners or tf_crop_and_resize, not 'half'",
           "x", "", "", SIZES, coordinate_transformation_mode="half"),
    window("Resize", "cubic_coeff_a must be finite and at most 4 in size, not nan", "x", "", "",
           SIZES, mode="cubic", cubic_coeff_a=float("nan")),
    window("Resize", ROI + "(0, 0, 1, 1)", "x", np.array([0, 0, 1, 1], np.float32), "", SIZES,
           mode="linear", coordinate_transformation_mode=CROP),
    window("Resize", ROI + "(0, 0, 0, 0, 1, 1, inf, 1)", "x",
           np.array([0, 0, 0, 0, 1, 1, np.inf, 1], np.float32), "", SIZES, mode="linear",
           coordinate_transformation_mode=CROP),
    window("Resize", ROI + "a part of axis 1", "x",
           np.array([0, 0.5, 0, 0, 1, 1, 1, 1], np.float32), "", SIZES, mode="linear",
           coordinate_transformation_mode=CROP),
    window("Resize", ROI + "2.5", "x", np.array([0, 0, -1, 0, 1, 1, 1, 1], np.float32), "", SIZES,
           mode="linear", coordinate_transformation_mode=CROP, extrapolation_value=2.5),
    window("Resize", "nearest_mode must be round_prefer_floor, round_prefer_ceil, floor or ceil,"
           " not 'down'", "x", "", "", SIZES, nearest_mode="down"),
    window("Resize", "keep_aspect_ratio_policy must be stretch, not_larger or not_smaller, not"
           " 'crop'", "x", "", "", SIZES, keep_aspect_ratio_policy="crop"),
    window("Resize", "with align_corners, scales must give whole sizes (elsewhere ONNX and ONNX"
           " Runtime differ), not 7.5", "x", "", np.array([1, 1, 1.5, 1], np.float32),
           coordinate_transformation_mode="align_corners"),
    window("Resize", "scales or sizes must be given, one positive entry per dimension (or per axis"
           " of axes), not (1, 1, 0, 2)", "x", "", np.array([1, 1, 0, 2], np.float32)),
    window("Resize", "scales or sizes must be given, one positive entry per dimension (or per axis"
           " of axes), not (1, 4, 8)", "x", "", "", np.array([1, 4, 8])),
]  # fmt: skip
