"""Blocks of a causal Zipformer layer on one chunk of frames, rows (frames, channels), with caches
as states.

Formulae and sizes: k2-fsa/icefall, egs/librispeech/ASR/zipformer (zipformer.py, scaling.py); what
only training needs is left out. A projection whose result is split there is two or three products
here: the same weights and numbers, but each part keeps a scale of its own in 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from azsim.zoo.blocks import ConvSizes, convolution, number_constant, shape_constant
from azsim.zoo.layers import CountedLayer, DenseLayer
from azsim.zoo.model import NetMaker

STREAM_RMS = 1.3  # of the sum that goes through a layer, behind its norm 1
BRANCH_RMS = 0.4  # of what a block adds to it
NORM_RMS = 1.0
QUERY_WIDTH, VALUE_WIDTH, POSITION_WIDTH, POSITIONS = 32, 12, 4, 48
SCORE_RMS = QUERY_WIDTH**-0.25  # of queries and keys: their products have deviation 1
SWOOSH_RMS = 0.3  # of SwooshR of a sum of deviation 1
WIDE_DEVIATION, WIDE_RMS = 2.0, 0.3  # of a sum in front of SwooshL, and of its result
MIX_RMS = 0.6  # of values of deviation 1 mixed by shares: what frames have in common stays
GATED_RMS = 0.2  # of tanh(s) x mixed by shares, times y
MASK = -20000.0  # added to scores of frames before the first one


@dataclass(frozen=True)
class LayerSizes:
    """One layer: frames of a chunk and of the left context at its rate, channels, widest inner
    layer, heads, taps of the convolutions."""

    frames: int
    left: int
    width: int
    inner: int
    heads: int
    kernel: int

    @property
    def keys(self) -> int:
        """Frames that a frame attends to."""
        return self.left + self.frames

    @property
    def mixed(self) -> int:
        """Channels of the attention without a softmax of its own."""
        return 3 * self.width // 4


def swoosh(maker: NetMaker, name: str, x: str, shift: float, offset: float) -> str:
    """log(1 + exp(x - shift)) - 0.08 x - offset."""
    y = maker.operator("Sub", f"{name}.shifted", [x, number_constant(maker, shift)])
    y = maker.operator("Softplus", f"{name}.soft", [y])
    slope = maker.operator("Mul", f"{name}.slope", [x, number_constant(maker, 0.08)])
    y = maker.operator("Sub", f"{name}.less", [y, slope])
    return maker.operator("Sub", name, [y, number_constant(maker, offset)])


def swoosh_l(maker: NetMaker, name: str, x: str) -> str:
    """Nearly 0 below 4; the offset makes it 0.018 - 0.035 at 0."""
    return swoosh(maker, name, x, 4.0, 0.035)


def swoosh_r(maker: NetMaker, name: str, x: str) -> str:
    """0 at 0."""
    return swoosh(maker, name, x, 1.0, 0.313261687)


def bias_norm(maker: NetMaker, name: str, x: str, width: int) -> str:
    """x exp(s) / sqrt(mean((x - bias)^2)) over the last axis; s is one number."""
    maker.layers.append(CountedLayer(name, width + 1))
    bias = maker.constant(f"{name}.bias", maker.deviates((width,), 0.1))
    log_scale = maker.constant(f"{name}.log_scale", maker.deviates((1,), 0.05))
    scale = maker.operator("Exp", f"{name}.scale", [log_scale])
    apart = maker.operator("Sub", f"{name}.apart", [x, bias])
    square = maker.operator("Mul", f"{name}.square", [apart, apart])
    mean = maker.operator("ReduceMean", f"{name}.mean", [square], axes=(-1,), keepdims=1)
    root = maker.operator("Pow", f"{name}.root", [mean, number_constant(maker, -0.5)])
    factor = maker.operator("Mul", f"{name}.factor", [root, scale])
    return maker.operator("Mul", name, [x, factor])


def bypass(maker: NetMaker, name: str, old: str, new: str, width: int) -> str:
    """old + (new - old) scale, a scale per channel."""
    maker.layers.append(CountedLayer(name, width))
    scale = maker.constant(f"{name}.scale", 0.6 + maker.deviates((width,), 0.1))
    y = maker.operator("Sub", f"{name}.change", [new, old])
    y = maker.operator("Mul", f"{name}.scaled", [y, scale])
    return maker.operator("Add", name, [old, y])


def feed_forward(
    maker: NetMaker, name: str, x: str, sizes: LayerSizes, inner: int, rms: float = STREAM_RMS
) -> str:
    """Dense, SwooshL, dense on x of root mean square `rms`."""
    up = DenseLayer(f"{name}.up", sizes.width, inner, rows=sizes.frames)
    down = DenseLayer(f"{name}.down", inner, sizes.width, rows=sizes.frames)
    y = swoosh_l(maker, f"{name}.swoosh", maker.dense(up, x, rms, WIDE_DEVIATION))
    return maker.dense(down, y, WIDE_RMS, BRANCH_RMS)


def cached(maker: NetMaker, name: str, new: str, left: int, rows: int, width: int) -> str:
    """The last `left` rows of earlier chunks in front of `rows` new ones."""
    shape = (left, width)
    old = maker.state(name, shape)
    both = maker.operator("Concat", f"{name}.both", [old, new], axis=0)
    bounds = [shape_constant(maker, (value,)) for value in (rows, rows + left, 0)]
    kept = maker.operator("Slice", f"{name}.kept", [both, *bounds], f"{name}_next")
    maker.keep(old, kept, shape)
    return both


def positions(frames: int, left: int) -> npt.NDArray[np.float32]:
    """Encoding (left + 2 frames - 1, 48) of the offsets -(left + frames - 1) .. frames - 1.

    An offset is compressed by a logarithm, then by an arc tangent to -pi..pi, of which columns hold
    cosines and sines of 24 multiples; the last column is 1.
    """
    offset = np.arange(-(left + frames - 1), frames, dtype=np.float64)
    length = POSITIONS**0.5
    pressed = length * np.sign(offset) * np.log1p(np.abs(offset) / length)
    angle = np.arctan(pressed * 2 * np.pi / POSITIONS)[:, None] * np.arange(1, POSITIONS // 2 + 1)
    table = np.stack([np.cos(angle), np.sin(angle)], axis=-1).reshape(len(offset), POSITIONS)
    table[:, -1] = 1.0
    return table.astype(np.float32)


def attention_shares(maker: NetMaker, name: str, x: str, mask: str, sizes: LayerSizes) -> str:
    """Softmax of scores (heads, frames, keys): query times key, and a part of the query times the
    encoded distance; `mask` (1, 1, keys) is added."""
    heads, frames, keys = sizes.heads, sizes.frames, sizes.keys
    parts = {}
    for part, width, rms in (
        ("q", QUERY_WIDTH, SCORE_RMS),
        ("k", QUERY_WIDTH, SCORE_RMS),
        ("p", POSITION_WIDTH, 1.0),
    ):
        layer = DenseLayer(f"{name}.{part}", sizes.width, heads * width, rows=frames)
        parts[part] = maker.dense(layer, x, NORM_RMS, rms)
    every = cached(maker, f"{name}.keys", parts["k"], sizes.left, frames, heads * QUERY_WIDTH)
    q = _heads(maker, f"{name}.q_heads", parts["q"], (frames, heads, QUERY_WIDTH), (1, 0, 2))
    k = _heads(maker, f"{name}.k_heads", every, (keys, heads, QUERY_WIDTH), (1, 2, 0))
    p = _heads(maker, f"{name}.p_heads", parts["p"], (frames, heads, POSITION_WIDTH), (1, 0, 2))
    maker.layers.append(CountedLayer(f"{name}.scores", 0, frames * keys * heads * QUERY_WIDTH))
    scores = maker.operator("MatMul", f"{name}.scores", [q, k])
    far = _distance_scores(maker, name, p, sizes)
    scores = maker.operator("Add", f"{name}.sum", [scores, far])
    scores = maker.operator("Add", f"{name}.masked", [scores, mask])
    return maker.operator("Softmax", f"{name}.shares", [scores], axis=-1)


def _heads(
    maker: NetMaker, name: str, x: str, shape: tuple[int, int, int], order: tuple[int, int, int]
) -> str:
    split = maker.reshape(f"{name}.split", x, shape)
    return maker.operator("Transpose", name, [split], perm=order)


def _distance_scores(maker: NetMaker, name: str, p: str, sizes: LayerSizes) -> str:
    """p (heads, frames, 4) times the encodings of all distances, row i shifted so that column j is
    the distance from frame i to key j."""
    heads, frames, keys = sizes.heads, sizes.frames, sizes.keys
    table = positions(frames, sizes.left)
    count = len(table)
    width = heads * POSITION_WIDTH
    maker.layers.append(CountedLayer(f"{name}.linear_pos", POSITIONS * width))
    macs = heads * frames * count * POSITION_WIDTH
    maker.layers.append(CountedLayer(f"{name}.distance", 0, macs))
    weights = maker.weights(f"{name}.distance", width, POSITIONS, 0.6 * POSITIONS**-0.5)
    constants = [
        maker.constant(f"positions_{frames}", table),
        maker.constant(f"{name}.linear_pos.W", np.ascontiguousarray(weights.T)),
    ]
    encoded = maker.operator("MatMul", f"{name}.linear_pos", constants)
    encoded = maker.reshape(f"{name}.pos_heads", encoded, (count, heads, POSITION_WIDTH))
    encoded = maker.operator("Transpose", f"{name}.pos_turned", [encoded], perm=(1, 2, 0))
    far = maker.operator("MatMul", f"{name}.distance", [p, encoded])
    # element (i, frames - 1 - i + j) of rows of `count` is element j of row i of rows one shorter
    far = maker.reshape(f"{name}.far_flat", far, (heads, frames * count))
    far = _slice(maker, f"{name}.far_begin", far, frames - 1, frames - 1 + frames * (count - 1), 1)
    far = maker.reshape(f"{name}.far_rows", far, (heads, frames, count - 1))
    return _slice(maker, f"{name}.far", far, 0, keys, 2)


def _slice(maker: NetMaker, name: str, x: str, begin: int, end: int, axis: int) -> str:
    bounds = [shape_constant(maker, (value,)) for value in (begin, end, axis)]
    return maker.operator("Slice", name, [x, *bounds])


def self_attention(maker: NetMaker, name: str, x: str, shares: str, sizes: LayerSizes) -> str:
    """Values (12 a head) of all keys by their shares, dense."""
    heads, frames, keys = sizes.heads, sizes.frames, sizes.keys
    width = heads * VALUE_WIDTH
    values = DenseLayer(f"{name}.values", sizes.width, width, rows=frames)
    v = cached(
        maker, f"{name}.cache", maker.dense(values, x, STREAM_RMS), sizes.left, frames, width
    )
    v = _heads(maker, f"{name}.value_heads", v, (keys, heads, VALUE_WIDTH), (1, 0, 2))
    maker.layers.append(CountedLayer(f"{name}.mix", 0, frames * keys * width))
    y = maker.operator("MatMul", f"{name}.mix", [shares, v])
    y = maker.operator("Transpose", f"{name}.back", [y], perm=(1, 0, 2))
    y = maker.reshape(f"{name}.joined", y, (frames, width))
    out = DenseLayer(f"{name}.out", width, sizes.width, rows=frames)
    return maker.dense(out, y, MIX_RMS, BRANCH_RMS)


def gated_attention(maker: NetMaker, name: str, x: str, shares: str, sizes: LayerSizes) -> str:
    """x tanh(s) of all keys by the shares of the first head, times y, dense; s, x and y are dense
    layers of the input."""
    frames, keys, width = sizes.frames, sizes.keys, sizes.mixed
    parts = [DenseLayer(f"{name}.{part}", sizes.width, width, rows=frames) for part in "sxy"]
    gate = maker.operator("Tanh", f"{name}.tanh", [maker.dense(parts[0], x, STREAM_RMS)])
    gated = maker.operator("Mul", f"{name}.gated", [maker.dense(parts[1], x, STREAM_RMS), gate])
    factor = maker.dense(parts[2], x, STREAM_RMS)
    gated = cached(maker, f"{name}.cache", gated, sizes.left, frames, width)
    first = _slice(maker, f"{name}.first_head", shares, 0, 1, 0)
    first = maker.reshape(f"{name}.first_shares", first, (frames, keys))
    maker.layers.append(CountedLayer(f"{name}.mix", 0, frames * keys * width))
    mixed = maker.operator("MatMul", f"{name}.mix", [first, gated])
    mixed = maker.operator("Mul", f"{name}.product", [mixed, factor])
    out = DenseLayer(f"{name}.out", width, sizes.width, rows=frames)
    return maker.dense(out, mixed, GATED_RMS, BRANCH_RMS)


def convolution_block(maker: NetMaker, name: str, x: str, sizes: LayerSizes) -> str:
    """Gated dense layer, convolution over time channel by channel, SwooshR, dense.

    The convolution is the sum of a causal one, over half of the taps, and one inside the chunk,
    which is scaled per channel and frame: 1, and what the distance from both edges adds.
    """
    frames, width = sizes.frames, sizes.width
    gate = maker.dense(DenseLayer(f"{name}.gate", width, width, rows=frames), x, STREAM_RMS)
    gate = maker.operator("Sigmoid", f"{name}.sigmoid", [gate])
    value = maker.dense(DenseLayer(f"{name}.value", width, width, rows=frames), x, STREAM_RMS)
    new = maker.operator("Mul", f"{name}.gated", [value, gate])
    before = sizes.kernel // 2
    every = cached(maker, f"{name}.cache", new, before, frames, width)
    sums = [
        _depthwise(maker, f"{name}.causal", every, sizes, before + 1, 0),
        _scaled(maker, name, _depthwise(maker, f"{name}.chunk", new, sizes, sizes.kernel, before),
                sizes),
    ]  # fmt: skip
    y = maker.operator("Add", f"{name}.both", sums)
    y = maker.reshape(f"{name}.channels", y, (width, frames))
    y = maker.operator("Transpose", f"{name}.rows", [y], perm=(1, 0))
    y = swoosh_r(maker, f"{name}.swoosh", y)
    return maker.dense(
        DenseLayer(f"{name}.out", width, width, rows=frames), y, SWOOSH_RMS, BRANCH_RMS
    )


def _depthwise(maker: NetMaker, name: str, x: str, sizes: LayerSizes, taps: int, pad: int) -> str:
    """Rows (time, channels) to (1, channels, frames)."""
    width, time = sizes.width, sizes.frames + taps - 1 - 2 * pad
    turned = maker.operator("Transpose", f"{name}.turned", [x], perm=(1, 0))
    turned = maker.reshape(f"{name}.image", turned, (1, width, time))
    window = ConvSizes(width, width, (taps,), (sizes.frames,), (1,), (pad, pad), groups=width)
    return convolution(maker, name, turned, window, 0.6)


def _scaled(maker: NetMaker, name: str, x: str, sizes: LayerSizes) -> str:
    """x (1, channels, frames) times 1 + what is learnt for either edge of a chunk."""
    frames, kernel = sizes.frames, sizes.kernel
    maker.layers.append(CountedLayer(f"{name}.edges", 2 * sizes.width * kernel))
    edges = maker.constant(f"{name}.edges", maker.deviates((2, sizes.width, kernel), 0.1))
    sides = []
    for number, begin in enumerate((0, kernel - frames)):
        side = _slice(maker, f"{name}.side{number}", edges, number, number + 1, 0)
        sides.append(_slice(maker, f"{name}.edge{number}", side, begin, begin + frames, 2))
    scale = maker.operator("Add", f"{name}.edge_sum", sides)
    scale = maker.operator("Add", f"{name}.scale", [scale, number_constant(maker, 1.0)])
    return maker.operator("Mul", f"{name}.chunk_scaled", [x, scale])


def layer(maker: NetMaker, name: str, x: str, mask: str, sizes: LayerSizes) -> str:
    """One Zipformer layer: both halves use the attention shares that its input gives."""
    shares = attention_shares(maker, f"{name}.attend", x, mask, sizes)

    def added(part: str, y: str, change: str) -> str:
        return maker.operator("Add", f"{name}.{part}_sum", [y, change])

    inner = 3 * sizes.inner // 4
    y = added("up1", x, feed_forward(maker, f"{name}.ff1", x, sizes, inner, NORM_RMS))
    y = added("gated", y, gated_attention(maker, f"{name}.gated", y, shares, sizes))
    y = added("att1", y, self_attention(maker, f"{name}.att1", y, shares, sizes))
    y = added("conv1", y, convolution_block(maker, f"{name}.conv1", y, sizes))
    y = added("up2", y, feed_forward(maker, f"{name}.ff2", y, sizes, sizes.inner))
    y = bypass(maker, f"{name}.bypass_mid", x, y, sizes.width)
    y = added("att2", y, self_attention(maker, f"{name}.att2", y, shares, sizes))
    y = added("conv2", y, convolution_block(maker, f"{name}.conv2", y, sizes))
    y = added("up3", y, feed_forward(maker, f"{name}.ff3", y, sizes, 5 * sizes.inner // 4))
    y = bias_norm(maker, f"{name}.norm", y, sizes.width)
    return bypass(maker, f"{name}.bypass", x, y, sizes.width)
