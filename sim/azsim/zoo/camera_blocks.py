"""Blocks of camera nets: convolutions, inverted residuals, fused and Tucker blocks, SSDLite heads.

Convolutions have a bias, into which a trained net's batch norm is folded. Where the public code has
ReLU6, these nets have Relu: an int8 result saturates at the end of its calibrated range anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

from azsim.zoo.layers import CountedLayer
from azsim.zoo.model import BIAS_DEVIATION, NetMaker
from azsim.zoo.nets import RELU_RMS


@dataclass(frozen=True)
class Map:
    """A value (1, channels, height, width) and the root mean square expected of it."""

    value: str
    channels: int
    height: int
    width: int
    rms: float


@dataclass(frozen=True)
class Block:
    """A block of a backbone. `kind`: "ibn" (expand 1x1, depthwise, 1x1), "fused" (full
    convolution, 1x1) or "tucker" (1x1, full convolution, 1x1).

    `expansion` multiplies the block's input channels; of a Tucker block it is the share of the
    inputs that is kept, and `output_share` that of the outputs. `residual` adds the input where
    stride and channels let it. `dilation` is of the depthwise or full convolution.
    """

    kind: str
    outputs: int
    expansion: float
    kernel: int = 3
    stride: int = 1
    residual: bool = True
    output_share: float = 1.0
    dilation: int = 1


def eighths(channels: float) -> int:
    """Channels rounded to a multiple of 8, halves up, at least 8."""
    return max(int(channels / 8 + 0.5) * 8, 8)


def image(maker: NetMaker, side: int, channels: int = 3) -> Map:
    """Add the input `image`, normalized to deviation 1."""
    return Map(maker.input("image", (1, channels, side, side)), channels, side, side, 1.0)


def conv(
    maker: NetMaker,
    name: str,
    x: Map,
    outputs: int,
    kernel: int = 1,
    stride: int = 1,
    *,
    relu: bool = True,
    groups: int = 1,
    dilation: int = 1,
    result: str | None = None,
) -> Map:
    """Convolution with "same" padding, of deviation 1, and Relu if wanted."""
    height, width = (-(-size // stride) for size in (x.height, x.width))
    columns = x.channels // groups * kernel * kernel
    macs = height * width * outputs * columns
    maker.layers.append(CountedLayer(name, outputs * (columns + 1), macs))
    weights = maker.weights(name, outputs, columns, 1 / (x.rms * columns**0.5))
    shape = (outputs, x.channels // groups, kernel, kernel)
    constants = [
        maker.constant(f"{name}.W", weights.reshape(shape)),
        maker.constant(f"{name}.b", maker.deviates((outputs,), BIAS_DEVIATION)),
    ]
    reach = (kernel - 1) * dilation + 1
    (top, bottom), (left, right) = (_same(size, stride, reach) for size in (x.height, x.width))
    y = maker.operator(
        "Conv", name, [x.value, *constants], None if relu else result, group=groups,
        strides=(stride, stride), dilations=(dilation, dilation), pads=(top, left, bottom, right),
    )  # fmt: skip
    if relu:
        y = maker.operator("Relu", f"{name}.relu", [y], result)
    return Map(y, outputs, height, width, RELU_RMS if relu else 1.0)


def _same(size: int, stride: int, reach: int) -> tuple[int, int]:
    """Padding before and behind so that there are ceil(size / stride) windows; the odd one goes
    behind."""
    padding = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return padding // 2, padding - padding // 2


def depthwise(
    maker: NetMaker, name: str, x: Map, kernel: int, stride: int = 1, dilation: int = 1
) -> Map:
    """Depthwise convolution with Relu."""
    return conv(
        maker, name, x, x.channels, kernel, stride, groups=x.channels, dilation=dilation
    )  # fmt: skip


def block(maker: NetMaker, name: str, x: Map, shape: Block) -> Map:
    """Add a block; its result has no activation function."""
    y = _BODIES[shape.kind](maker, name, x, shape)
    if shape.residual and shape.stride == 1 and x.channels == y.channels:
        total = maker.operator("Add", f"{name}.sum", [x.value, y.value])
        return Map(total, y.channels, y.height, y.width, (x.rms**2 + y.rms**2) ** 0.5)
    return y


def _inverted(maker: NetMaker, name: str, x: Map, shape: Block) -> Map:
    wide = int(x.channels * shape.expansion)
    y = x if wide == x.channels else conv(maker, f"{name}.expand", x, wide)
    y = depthwise(maker, f"{name}.depthwise", y, shape.kernel, shape.stride, shape.dilation)
    return conv(maker, f"{name}.project", y, shape.outputs, relu=False)


def _fused(maker: NetMaker, name: str, x: Map, shape: Block) -> Map:
    wide = int(x.channels * shape.expansion)
    # the public code leaves the expansion out where it would not expand
    y = x if wide == x.channels else conv(
        maker, f"{name}.expand", x, wide, shape.kernel, shape.stride, dilation=shape.dilation
    )  # fmt: skip
    return conv(maker, f"{name}.project", y, shape.outputs, relu=False)


def _tucker(maker: NetMaker, name: str, x: Map, shape: Block) -> Map:
    y = conv(maker, f"{name}.reduce", x, eighths(x.channels * shape.expansion))
    core = eighths(shape.outputs * shape.output_share)
    y = conv(maker, f"{name}.core", y, core, shape.kernel, shape.stride)
    return conv(maker, f"{name}.project", y, shape.outputs, relu=False)


_BODIES = {"ibn": _inverted, "fused": _fused, "tucker": _tucker}


def mean(maker: NetMaker, x: Map) -> str:
    """Mean over the map: (1, channels)."""
    y = maker.operator("GlobalAveragePool", "mean", [x.value])
    return maker.reshape("flatten", y, (1, x.channels))
