"""Zipformer transducer, small and streaming: public shapes, one step is a chunk of 320 ms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from azsim.zoo.blocks import ConvSizes, convolution, number_constant, shape_constant
from azsim.zoo.entry import ZooEntry
from azsim.zoo.layers import CountedLayer, DenseLayer, EmbeddingLayer
from azsim.zoo.model import NetMaker
from azsim.zoo.nets import EMBEDDING_RMS, Recipe, SumJoint
from azsim.zoo.zipformer_blocks import (
    BRANCH_RMS,
    MASK,
    NORM_RMS,
    WIDE_DEVIATION,
    WIDE_RMS,
    LayerSizes,
    bias_norm,
    bypass,
    layer,
    swoosh_l,
    swoosh_r,
)

EMBED_RMS = 0.4  # of what the convolutions in front hand on
AROUND = 3  # rows that the ConvNeXt block sees before and behind
JOINT, SYMBOLS, CONTEXT = 512, 500, 2
FRAME_MS = 320


@dataclass(frozen=True)
class Stack:
    """Layers of one stack: how many frames become one, channels, widest inner layer, heads, taps of
    the convolutions."""

    factor: int
    width: int
    inner: int
    heads: int
    taps: int


@dataclass(frozen=True)
class EncoderSizes:
    """Frames of 20 ms of a chunk and of the left context, log-mel features of 10 ms, channels of
    the four convolutions in front, stacks, layers of each. Widths of the stacks never shrink."""

    chunk: int
    left: int
    features: int
    channels: tuple[int, int, int, int]
    stacks: tuple[Stack, ...]
    layers: int

    @property
    def window(self) -> int:
        """Frames of 10 ms that a chunk looks at: two for each of its own, 7 that the convolutions
        take, and those of the rows behind."""
        return 2 * self.chunk + 7 + 2 * AROUND

    @property
    def bins(self) -> int:
        """Features left behind the convolutions."""
        return ((self.features - 1) // 2 - 1) // 2

    @property
    def width(self) -> int:
        """Channels of the result."""
        return self.stacks[-1].width


SMALL = EncoderSizes(
    chunk=16,
    left=128,
    features=80,
    channels=(8, 32, 128, 384),
    stacks=(
        Stack(1, 192, 512, 4, 31),
        Stack(2, 256, 768, 4, 31),
        Stack(4, 256, 768, 4, 15),
        Stack(8, 256, 768, 8, 15),
        Stack(4, 256, 768, 4, 15),
        Stack(2, 256, 768, 4, 31),
    ),
    layers=2,
)


def encoder(maker: NetMaker, sizes: EncoderSizes = SMALL) -> None:
    """Features (1, 1, window, features) of one chunk to `encoded` (chunk / 2, 1, width)."""
    chunk, first = sizes.chunk, sizes.stacks[0]
    x = _embedded(maker, maker.input("features", (1, 1, sizes.window, sizes.features)), sizes)
    mask = _left_mask(maker, sizes)
    width = first.width
    for number, stack in enumerate(sizes.stacks):
        if stack.width > width:
            zeros = maker.constant(
                f"stack{number}.zeros", np.zeros((chunk, stack.width - width), np.float32)
            )
            x = maker.operator("Concat", f"stack{number}.widened", [x, zeros], axis=1)
        width = stack.width
        x = _stack(maker, f"stack{number}", x, mask, stack, sizes)
    x = downsample(maker, "output.down", x, chunk, 2, width)
    shape = (chunk // 2, 1, width)
    maker.operator("Reshape", "encoder.output", [x, shape_constant(maker, shape)], "encoded")
    maker.output("encoded", shape)


def _stack(maker: NetMaker, name: str, x: str, mask: str, stack: Stack, sizes: EncoderSizes) -> str:
    """Layers at a lower rate, brought back and mixed with the input."""
    factor, width = stack.factor, stack.width
    inside = LayerSizes(
        sizes.chunk // factor, sizes.left // factor, width, stack.inner, stack.heads, stack.taps
    )
    y = x
    if factor > 1:
        y = downsample(maker, f"{name}.down", x, sizes.chunk, factor, width)
        end = sizes.left + sizes.chunk
        bounds = [shape_constant(maker, (value,)) for value in (0, end, 2, factor)]
        mask = maker.operator("Slice", f"{name}.mask", [mask, *bounds])
    for number in range(sizes.layers):
        y = layer(maker, f"{name}.{number}", y, mask, inside)
    if factor == 1:
        return y
    y = maker.reshape(f"{name}.single", y, (inside.frames, 1, width))
    shape = shape_constant(maker, (inside.frames, factor, width))
    y = maker.operator("Expand", f"{name}.repeated", [y, shape])
    y = maker.reshape(f"{name}.up", y, (sizes.chunk, width))
    return bypass(maker, f"{name}.combined", x, y, width)


def downsample(maker: NetMaker, name: str, x: str, frames: int, factor: int, width: int) -> str:
    """Weighted sums of `factor` frames; the weights are a softmax of learnt numbers."""
    maker.layers.append(CountedLayer(name, factor, frames * width))
    bias = maker.constant(f"{name}.bias", maker.deviates((factor, 1), 0.3))
    weights = maker.operator("Softmax", f"{name}.weights", [bias], axis=0)
    x = maker.reshape(f"{name}.groups", x, (frames // factor, factor, width))
    x = maker.operator("Mul", f"{name}.weighted", [x, weights])
    axes = shape_constant(maker, (1,))
    return maker.operator("ReduceSum", name, [x, axes], keepdims=0)


def _left_mask(maker: NetMaker, sizes: EncoderSizes) -> str:
    """(1, 1, keys): 0, and far below 0 for frames before the first chunk, which states remember."""
    shape = (1, 1, sizes.left)
    seen = maker.state("seen", shape)
    new = maker.constant("seen.new", np.ones((1, 1, sizes.chunk), np.float32))
    every = maker.operator("Concat", "seen.both", [seen, new], axis=2)
    bounds = [
        shape_constant(maker, (value,)) for value in (sizes.chunk, sizes.chunk + sizes.left, 2)
    ]
    kept = maker.operator("Slice", "seen.kept", [every, *bounds], "seen_next")
    maker.keep(seen, kept, shape)
    y = maker.operator("Sub", "seen.missing", [number_constant(maker, 1.0), every])
    return maker.operator("Mul", "seen.mask", [y, number_constant(maker, MASK)])


def _embedded(maker: NetMaker, x: str, sizes: EncoderSizes) -> str:
    """Three convolutions, a ConvNeXt block with a left context, dense, norm: (chunk, width)."""
    first, second, third, _ = sizes.channels
    half = (sizes.features - 1) // 2
    time, rows = sizes.window - 2, sizes.chunk + AROUND
    rms = 1.0
    for number, window in enumerate(
        (
            ConvSizes(1, first, (3, 3), (time, sizes.features), (1, 1), (0, 1, 0, 1)),
            ConvSizes(first, second, (3, 3), ((time - 1) // 2, half), (2, 2), (0, 0, 0, 0)),
            ConvSizes(second, third, (3, 3), (rows, sizes.bins), (1, 2), (0, 0, 0, 0)),
        )
    ):
        x = convolution(maker, f"embed.{number}", x, window, rms)
        x, rms = swoosh_r(maker, f"embed.{number}.swoosh", x), EMBED_RMS
    x = _convnext(maker, x, sizes)
    x = maker.operator("Transpose", "embed.time_first", [x], perm=(0, 2, 1, 3))
    flat, width = third * sizes.bins, sizes.stacks[0].width
    x = maker.reshape("embed.flat", x, (sizes.chunk, flat))
    x = maker.dense(DenseLayer("embed.out", flat, width, rows=sizes.chunk), x, EMBED_RMS)
    return bias_norm(maker, "embed.norm", x, width)


def _convnext(maker: NetMaker, x: str, sizes: EncoderSizes) -> str:
    """(1, channels, chunk + 3, bins), the last 3 rows ahead, to (1, channels, chunk, bins)."""
    *_, channels, hidden = sizes.channels
    inside, pads = (sizes.chunk, sizes.bins), (0, AROUND, 0, AROUND)
    shape = (1, channels, AROUND, sizes.bins)
    old = maker.state("embed.left", shape)
    every = maker.operator("Concat", "embed.around", [old, x], axis=2)
    ends = (sizes.chunk, sizes.chunk + AROUND)
    bounds = [shape_constant(maker, (value,)) for value in (*ends, 2)]
    kept = maker.operator("Slice", "embed.left_kept", [every, *bounds], "embed.left_next")
    maker.keep(old, kept, shape)
    taps = (2 * AROUND + 1,) * 2
    deep = ConvSizes(channels, channels, taps, inside, (1, 1), pads, groups=channels)
    y = convolution(maker, "embed.depthwise", every, deep, EMBED_RMS)
    up = ConvSizes(channels, hidden, (1, 1), inside, (1, 1), (0, 0, 0, 0))
    y = convolution(maker, "embed.up", y, up, 1 / WIDE_DEVIATION)
    y = swoosh_l(maker, "embed.swoosh", y)
    down = ConvSizes(hidden, channels, (1, 1), inside, (1, 1), (0, 0, 0, 0))
    y = convolution(maker, "embed.down", y, down, WIDE_RMS / BRANCH_RMS)
    bounds = [shape_constant(maker, (value,)) for value in (0, sizes.chunk, 2)]
    x = maker.operator("Slice", "embed.now", [x, *bounds])
    return maker.operator("Add", "embed.sum", [x, y])


def prediction(maker: NetMaker) -> None:
    """The last two word pieces, embedding, convolution over both in groups of 4, Relu."""
    table = EmbeddingLayer("prediction.embedding", SYMBOLS, JOINT)
    x = maker.embedding(table, maker.index_input("tokens", (CONTEXT, 1)), EMBEDDING_RMS)
    x = maker.operator("Squeeze", "prediction.rows", [x, shape_constant(maker, (1,))])
    x = maker.operator("Transpose", "prediction.channels", [x], perm=(1, 0))
    x = maker.reshape("prediction.window", x, (1, JOINT, CONTEXT))
    columns = 4 * CONTEXT
    maker.layers.append(CountedLayer("prediction.conv", JOINT * columns, JOINT * columns))
    weights = maker.weights("prediction.conv", JOINT, columns, columns**-0.5 / EMBEDDING_RMS)
    kernel = maker.constant("prediction.conv.W", weights.reshape(JOINT, 4, CONTEXT))
    x = maker.operator("Conv", "prediction.conv", [x, kernel], group=JOINT // 4)
    x = maker.operator("Relu", "prediction.relu", [x])
    shape = shape_constant(maker, (1, 1, JOINT))
    maker.operator("Reshape", "prediction.output", [x, shape], "predicted")
    maker.output("predicted", (1, 1, JOINT))


_SOURCE = (
    "Shapes of icefall's Zipformer, its small size, in the causal form (public code and"
    " documentation). Counted with the heads that only training uses and one vector per layer that"
    " nothing uses, the same formula gives the published 23,285,615 parameters of the small"
    " non-causal net, and 65,549,011 and 66,110,931 of the middle one without and with causal"
    " convolutions; the small one has been published non-causal only. A projection that is split"
    " into parts is a product per part here."
)
_entry = partial(
    ZooEntry, "zipformer_s_stream", label="public shapes", source=_SOURCE, bits=8, sparsity=0.0
)

ENTRIES: tuple[ZooEntry, ...] = (
    _entry(
        "encoder",
        "Zipformer encoder, chunks of 320 ms with 2.56 s to the left: 80 features x 45 frames (32"
        " new ones), 4 convolutions, 6 stacks of 2 layers of 192 and 256 channels at 50, 25, 12.5,"
        " 6.25, 12.5 and 25 Hz; 8 results of 256.",
        frame_ms=FRAME_MS,
        net=Recipe(encoder),
    ),
    _entry(
        "prediction",
        "Transducer prediction net without state: the last two word pieces, embedding 500 x 512,"
        " convolution in groups of 4; one step per word piece, 3 a second assumed.",
        frame_ms=333,
        net=Recipe(prediction),
    ),
    _entry(
        "joint",
        "Transducer joint net: dense 512 of 256 and of 512, sum, tanh, dense 500; one step per"
        " encoder output.",
        frame_ms=40,
        net=SumJoint(SMALL.width, JOINT, SYMBOLS, JOINT, 8, input_rms=NORM_RMS),
    ),
)
