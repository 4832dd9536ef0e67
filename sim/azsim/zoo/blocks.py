"""Blocks of nets that the plain layers do not cover: norms, attention, SVDF, convolutions, two-way
and projected LSTMs. Each returns the name of its result and counts its layers on the maker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from azsim.zoo.layers import CountedLayer, DenseLayer, LstmLayer
from azsim.zoo.model import (
    BIAS_DEVIATION,
    FORGET_BIAS,
    INPUT_GATE_DEVIATION,
    LSTM_OUTPUT_RMS,
    RECURRENT_GATE_DEVIATION,
    NetMaker,
)

EPSILON = 1e-5  # of norms, as frameworks have it
NO_SHARE = -1e8  # score of a key that does not count


def shape_constant(maker: NetMaker, shape: tuple[int, ...]) -> str:
    """Add a constant of int64 numbers, named after them."""
    name = "shape_" + "x".join(str(size) for size in shape)
    return maker.constant(name, np.array(shape, dtype=np.int64))


def number_constant(maker: NetMaker, value: float) -> str:
    """Add a float constant of one number, named after it."""
    return maker.constant(f"number_{value:g}", np.array(value, dtype=np.float32))


def layer_norm(maker: NetMaker, name: str, x: str, width: int, epsilon: float = EPSILON) -> str:
    """Layer norm over the last axis, with gains near 1 and small biases."""
    maker.layers.append(CountedLayer(name, 2 * width))
    gain = maker.constant(f"{name}.gain", 1 + maker.deviates((width,), BIAS_DEVIATION))
    bias = maker.constant(f"{name}.bias", maker.deviates((width,), BIAS_DEVIATION))
    inputs = [x, gain, bias]
    return maker.operator("LayerNormalization", name, inputs, axis=-1, epsilon=epsilon)


def root_mean_square_norm(maker: NetMaker, name: str, x: str) -> str:
    """x / sqrt(mean(x * x) + epsilon) over the last axis; no parameters."""
    square = maker.operator("Mul", f"{name}.square", [x, x])
    mean = maker.operator("ReduceMean", f"{name}.mean", [square], axes=(-1,), keepdims=1)
    lifted = maker.operator("Add", f"{name}.lift", [mean, number_constant(maker, EPSILON)])
    root = maker.operator("Sqrt", f"{name}.root", [lifted])
    return maker.operator("Div", name, [x, root])


def gelu(maker: NetMaker, name: str, x: str) -> str:
    """x / 2 * (1 + erf(x / sqrt(2))), as exporters write it below opset 20."""
    part = maker.operator("Div", f"{name}.scaled", [x, number_constant(maker, 2**0.5)])
    part = maker.operator("Erf", f"{name}.erf", [part])
    part = maker.operator("Add", f"{name}.lift", [part, number_constant(maker, 1.0)])
    part = maker.operator("Mul", f"{name}.product", [x, part])
    return maker.operator("Mul", name, [part, number_constant(maker, 0.5)])


@dataclass(frozen=True)
class Heads:
    """Sizes of an attention: queries and keys (rows), heads, width of a head."""

    queries: int
    keys: int
    heads: int
    head_width: int

    @property
    def width(self) -> int:
        """All heads together."""
        return self.heads * self.head_width


def attention(
    maker: NetMaker, name: str, sizes: Heads, q: str, k: str, v: str, empty: str | None = None
) -> str:
    """Softmax(q k / sqrt(head width)) v; q (queries, width), k and v (keys, width).

    `empty`: bool (1, keys), true for keys that do not count.
    """
    macs = sizes.queries * sizes.keys * sizes.width
    maker.layers.append(CountedLayer(f"{name}.scores", 0, macs))
    maker.layers.append(CountedLayer(f"{name}.mix", 0, macs))
    parts = {}
    for part, x, rows, order in (
        ("q", q, sizes.queries, (1, 0, 2)),
        ("k", k, sizes.keys, (1, 2, 0)),
        ("v", v, sizes.keys, (1, 0, 2)),
    ):
        split = maker.reshape(f"{name}.{part}_heads", x, (rows, sizes.heads, sizes.head_width))
        parts[part] = maker.operator("Transpose", f"{name}.{part}_turned", [split], perm=order)
    scores = maker.operator("MatMul", f"{name}.scores", [parts["q"], parts["k"]])
    scale = number_constant(maker, sizes.head_width**-0.5)
    scores = maker.operator("Mul", f"{name}.scaled", [scores, scale])
    if empty is not None:
        choices = [empty, number_constant(maker, NO_SHARE), scores]
        scores = maker.operator("Where", f"{name}.counting", choices)
    shares = maker.operator("Softmax", f"{name}.shares", [scores], axis=-1)
    mixed = maker.operator("MatMul", f"{name}.mix", [shares, parts["v"]])
    mixed = maker.operator("Transpose", f"{name}.back", [mixed], perm=(1, 0, 2))
    return maker.reshape(f"{name}.joined", mixed, (sizes.queries, sizes.width))


def two_way_lstm(
    maker: NetMaker, name: str, x: str, features: int, hidden: int, rows: int, input_rms: float
) -> str:
    """LSTM in both directions from zero states over x (rows, 1, features); its last values
    (1, 2 hidden). `two_way_sequence` has those of all rows."""
    for way in ("forward", "backward"):
        maker.layers.append(LstmLayer(f"{name}.{way}", features, hidden, rows))
    from_input = INPUT_GATE_DEVIATION / (input_rms * features**0.5)
    from_output = RECURRENT_GATE_DEVIATION / (LSTM_OUTPUT_RMS * hidden**0.5)
    weight = maker.weights(name, 8 * hidden, features, from_input)
    recurrent = maker.weights(name, 8 * hidden, hidden, from_output)
    bias = np.zeros((2, 8 * hidden), dtype=np.float32)
    bias[:, : 4 * hidden] = maker.deviates((2, 4 * hidden), BIAS_DEVIATION)
    bias[:, 2 * hidden : 3 * hidden] += FORGET_BIAS
    constants = [
        maker.constant(f"{name}.W", weight.reshape(2, 4 * hidden, features)),
        maker.constant(f"{name}.R", recurrent.reshape(2, 4 * hidden, hidden)),
        maker.constant(f"{name}.B", bias),
    ]
    results = [f"{name}.Y", f"{name}.last"]
    maker.node(
        "LSTM", name, [x, *constants], results, hidden_size=hidden, direction="bidirectional"
    )
    return maker.reshape(f"{name}.ends", results[1], (1, 2 * hidden))


def two_way_sequence(maker: NetMaker, name: str, hidden: int, rows: int) -> str:
    """Values of all rows of the two-way LSTM `name`: (rows, 2 hidden)."""
    turned = maker.operator("Transpose", f"{name}.turned", [f"{name}.Y"], perm=(0, 2, 1, 3))
    return maker.reshape(f"{name}.sequence", turned, (rows, 2 * hidden))


def svdf(maker: NetMaker, name: str, x: str, features: int, units: int, memory: int) -> str:
    """SVDF of rank 1 on x (1, features) of deviation 1: a product per unit, a filter over the last
    `memory` steps of it, Relu; the result is (1, units)."""
    product = DenseLayer(f"{name}.feature", features, units, bias=False)
    new = maker.reshape(f"{name}.column", maker.dense(product, x, 1.0), (1, units, 1))
    return _filtered(maker, name, new, units, memory)


def _filtered(maker: NetMaker, name: str, new: str, units: int, memory: int) -> str:
    past_shape = (1, units, memory - 1)
    past = maker.state(f"{name}.memory", past_shape)
    window = maker.operator("Concat", f"{name}.window", [past, new], axis=2)
    bounds = [shape_constant(maker, (value,)) for value in (1, memory, 2)]
    kept = maker.operator("Slice", f"{name}.kept", [window, *bounds], f"{name}.memory_next")
    maker.keep(past, kept, past_shape)
    maker.layers.append(CountedLayer(f"{name}.time", units * (memory + 1), units * memory))
    taps = maker.weights(f"{name}.time", units, memory, memory**-0.5)
    constants = [
        maker.constant(f"{name}.time.W", taps.reshape(units, 1, memory)),
        maker.constant(f"{name}.time.b", maker.deviates((units,), BIAS_DEVIATION)),
    ]
    y = maker.operator("Conv", f"{name}.time", [window, *constants], group=units)
    y = maker.operator("Relu", f"{name}.relu", [y])
    return maker.reshape(f"{name}.row", y, (1, units))


@dataclass(frozen=True)
class ConvSizes:
    """A convolution over `spatial` outputs: channels in and out, kernel, strides, pads, groups."""

    inputs: int
    outputs: int
    kernel: tuple[int, ...]
    spatial: tuple[int, ...]  # of the result
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    groups: int = 1
    bits: int | None = None

    @property
    def columns(self) -> int:
        """Weights of one output channel."""
        return self.inputs // self.groups * int(np.prod(self.kernel))


def convolution(maker: NetMaker, name: str, x: str, sizes: ConvSizes, input_rms: float) -> str:
    """Convolution with bias, of deviation 1, on x (1, inputs, ...)."""
    macs = sizes.outputs * sizes.columns * int(np.prod(sizes.spatial))
    maker.layers.append(CountedLayer(name, sizes.outputs * (sizes.columns + 1), macs))
    deviation = 1 / (input_rms * sizes.columns**0.5)
    weights = maker.weights(name, sizes.outputs, sizes.columns, deviation, sizes.bits)
    shape = (sizes.outputs, sizes.inputs // sizes.groups, *sizes.kernel)
    constants = [
        maker.constant(f"{name}.W", weights.reshape(shape)),
        maker.constant(f"{name}.b", maker.deviates((sizes.outputs,), BIAS_DEVIATION)),
    ]
    return maker.operator(
        "Conv", name, [x, *constants], strides=sizes.strides, pads=sizes.pads, group=sizes.groups
    )
