"""A small camera net of inverted residuals, and a small streaming net of causal convolutions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnx_models import ModelMaker

# expansion, output channels, stride, kernel of each inverted residual
BLOCKS = ((1, 8, 1, 3), (4, 12, 2, 3), (4, 12, 1, 3), (4, 20, 2, 5), (3, 20, 1, 5))
STREAM_LAYERS = (
    (16, 24, 3, 1),
    (24, 24, 3, 2),
    (24, 24, 3, 4),
)  # channels, outputs, taps, dilation
FRAME = 16


class _NetMaker(ModelMaker):
    """Convolutions with weights sized so that activations keep their size."""

    def __init__(self, seed: int) -> None:
        super().__init__(17)
        self.rng = np.random.default_rng(seed)
        self.count = 0

    def conv(
        self, x: str, shape: Sequence[int], activation: str = "Relu", **attributes: object
    ) -> str:
        """Conv with bias and an activation ("" for none); `shape` of the weights."""
        self.count += 1
        name = f"conv{self.count}"
        fan = float(np.prod(shape[1:]))
        weight = self.tensor(f"{name}.W", self.rng.normal(size=shape) * (2.0 / fan) ** 0.5)
        bias = self.tensor(f"{name}.b", self.rng.normal(size=shape[0]) * 0.05)
        self.node("Conv", [x, weight, bias], [f"{name}.y"], name=name, **attributes)
        if not activation:
            return f"{name}.y"
        self.node(activation, [f"{name}.y"], [f"{name}.a"], name=f"{name}.act")
        return f"{name}.a"


def mobile_net(folder: Path, side: int, classes: int = 10) -> Path:
    """Inverted residuals (1x1, depthwise, 1x1 linear, shortcut), global mean, dense scores."""
    maker = _NetMaker(11)
    maker.input("x", (1, 3, side, side))
    channels = 8
    x = maker.conv("x", (channels, 3, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1])
    for expansion, outputs, stride, kernel in BLOCKS:
        wide, before = expansion * channels, x
        if expansion > 1:
            x = maker.conv(x, (wide, channels, 1, 1))
        pads = [kernel // 2] * 4
        x = maker.conv(
            x, (wide, 1, kernel, kernel), group=wide, strides=[stride, stride], pads=pads
        )
        x = maker.conv(x, (outputs, wide, 1, 1), "")
        if stride == 1 and outputs == channels:
            maker.node("Add", [x, before], [f"{x}.sum"], name=f"{x}.add")
            x = f"{x}.sum"
        channels = outputs
    x = maker.conv(x, (32, channels, 1, 1))
    maker.node("GlobalAveragePool", [x], ["mean"], name="mean")
    maker.node("Flatten", ["mean"], ["flat"], name="flat")
    weight = maker.tensor("fc.W", maker.rng.normal(size=(classes, 32)) * 0.3)
    maker.node("Gemm", ["flat", weight], ["y"], name="fc", transB=1)
    maker.output("y")
    return maker.save(folder, "mobile.onnx")


def stream_net(folder: Path) -> Path:
    """One frame per step: each causal convolution gets its left context from a state."""
    maker = _NetMaker(12)
    x = maker.input("x", (1, FRAME, 1))
    states = {}
    for number, (channels, outputs, taps, dilation) in enumerate(STREAM_LAYERS):
        context = (taps - 1) * dilation
        state = maker.input(f"left{number}", (1, channels, context))
        maker.node("Concat", [state, x], [f"joined{number}"], name=f"join{number}", axis=2)
        for name, value in ((f"from{number}", 1), (f"to{number}", 1 + context), ("axis", 2)):
            if all(tensor.name != name for tensor in maker.tensors):
                maker.tensor(name, [value], np.int64)
        keep = [f"joined{number}", f"from{number}", f"to{number}", "axis"]
        maker.node("Slice", keep, [f"next{number}"], name=f"keep{number}")
        states[state] = maker.output(f"next{number}")
        x = maker.conv(f"joined{number}", (outputs, channels, taps), dilations=[dilation])
    y = maker.conv(x, (5, STREAM_LAYERS[-1][1], 1), "")
    maker.node("Identity", [y], ["y"], name="scores")
    maker.output("y")
    maker.metadata["azsim.state"] = json.dumps(states)
    return maker.save(folder, "stream.onnx")
