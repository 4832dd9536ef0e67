"""Small inverted bottlenecks: product, depthwise convolution, product, sum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from onnx_models import ModelMaker


@dataclass(frozen=True)
class Bottleneck:
    """An image of `height` x `width` x `channels`; `wide` channels between the products. `pads`:
    top, left, bottom, right. `first`, `last`: which of the products there are; `fused`: a full
    convolution in place of the depthwise one."""

    height: int = 12
    width: int = 6
    channels: int = 4
    wide: int = 8
    kernel: int = 3
    stride: int = 1
    dilation: int = 1
    pads: tuple[int, int, int, int] = (1, 1, 1, 1)
    first: bool = True
    last: bool = True
    residual: bool = True
    fused: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Shape of the input."""
        return 1, self.channels, self.height, self.width

    def save(self, folder: Path) -> Path:
        """Write the model; its weights are the same each time."""
        rng = np.random.default_rng(4)
        maker = ModelMaker()
        maker.input("x", self.shape)
        name, now = "x", self.channels
        if self.first:
            maker.tensor("w1", rng.normal(size=(self.wide, now, 1, 1)) * 0.5)
            maker.node("Conv", [name, "w1"], ["e"], name="expand")
            maker.node("Relu", ["e"], ["er"], name="relu")
            name, now = "er", self.wide
        maker.tensor("w2", rng.normal(size=(now, now if self.fused else 1, *[self.kernel] * 2)))
        maker.node(
            "Conv", [name, "w2"], ["d"], name="window", group=1 if self.fused else now,
            strides=[self.stride] * 2, dilations=[self.dilation] * 2, pads=list(self.pads),
        )  # fmt: skip
        name = "d"
        if self.last:
            maker.tensor("w3", rng.normal(size=(self.channels, now, 1, 1)) * 0.3)
            maker.node("Conv", [name, "w3"], ["p"], name="project")
            name, now = "p", self.channels
        if self.adds:
            maker.node("Add", [name, "x"], ["s"], name="add")
            name = "s"
        maker.node("Relu", [name], ["y"], name="end")
        maker.output("y")
        return maker.save(folder)

    @property
    def adds(self) -> bool:
        """True if the input can be added to the result, and is to be."""
        reach = (self.kernel - 1) * self.dilation
        same = self.stride == 1 and self.pads[0] + self.pads[2] == self.pads[1] + self.pads[3]
        return self.residual and self.last and same and self.pads[0] + self.pads[2] == reach


@st.composite
def bottlenecks(draw: st.DrawFn) -> Bottleneck:
    """Any of them whose window fits the image."""
    kernel, dilation = draw(st.sampled_from([(1, 1), (2, 1), (3, 1), (3, 2), (5, 1)]))
    reach = (kernel - 1) * dilation
    low, left = draw(st.integers(0, reach)), draw(st.integers(0, reach))
    return Bottleneck(
        height=draw(st.integers(reach + 2, 20)),
        width=draw(st.integers(reach + 1, 7)),
        channels=draw(st.integers(1, 5)),
        wide=draw(st.integers(1, 9)),
        kernel=kernel,
        stride=draw(st.integers(1, kernel)),
        dilation=dilation,
        pads=draw(st.sampled_from([(low, left, reach - low, reach - left), (0, 0, 0, 0)])),
        first=draw(st.booleans()),
        last=draw(st.booleans()),
        residual=draw(st.booleans()),
        fused=draw(st.booleans()),
    )
