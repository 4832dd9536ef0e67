"""The Emformer transducer: attention over segments with a cached left context, and a prediction
net of LSTMs that are layer-normalized inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from azsim.zoo.blocks import (
    Heads,
    attention,
    gelu,
    layer_norm,
    number_constant,
    shape_constant,
)
from azsim.zoo.entry import ZooEntry
from azsim.zoo.layers import DenseLayer, EmbeddingLayer
from azsim.zoo.model import (
    INPUT_GATE_DEVIATION,
    LSTM_OUTPUT_RMS,
    RECURRENT_GATE_DEVIATION,
    NetMaker,
)
from azsim.zoo.nets import EMBEDDING_RMS, Recipe

LEFT_TOKENS, SEGMENT_TOKENS, RIGHT_TOKENS = 30, 4, 1
TOKENS = SEGMENT_TOKENS + RIGHT_TOKENS  # of one step
STACKED = 4  # frames of 10 ms that make one token
LAYERS, MEL, FRAME_WIDTH, ENCODED, PIECES = 20, 80, 128, 1024, 4097
SEGMENT_MS, TOKEN_MS, PIECE_MS = 160, 40, 333
INSIDE_EPSILON = 1e-3  # of the norms inside the LSTMs

# Root mean squares that random weights lead to; what a layer receives is normalized.
MIXED_RMS = 1.0  # layers of random weights make tokens alike, so that their mean is as large
GELU_RMS = 0.65
JOINT_RMS = 1.0  # Relu of a sum of two normalized vectors


@dataclass(frozen=True)
class EmformerSizes:
    """One layer: heads, their width, width inside the dense layers."""

    heads: int = 8
    head_width: int = 64
    inner: int = 2048

    @property
    def width(self) -> int:
        """Of a token."""
        return self.heads * self.head_width


BASE = EmformerSizes()


def _window(maker: NetMaker, name: str, new: str, columns: int) -> str:
    """What is cached of the left context, then the rows `new` of this step.

    Of the window's rows the oldest segment and the right context, which the next step brings
    again, are not cached.
    """
    shape = (LEFT_TOKENS, columns)
    old = maker.state(f"{name}.left", shape)
    window = maker.operator("Concat", f"{name}.window", [old, new], axis=0)
    bounds = [
        shape_constant(maker, (row,)) for row in (SEGMENT_TOKENS, LEFT_TOKENS + SEGMENT_TOKENS, 0)
    ]
    kept = maker.operator("Slice", f"{name}.kept", [window, *bounds], f"{name}.left_next")
    maker.keep(old, kept, shape)
    return window


def empty_keys(maker: NetMaker) -> str:
    """Bool (1, keys): true where no token has been seen yet. The state holds a 1 per cached token,
    and zeros before the first step."""
    ones = maker.constant("seen.new_ones", np.ones((TOKENS, 1), np.float32))
    seen = _window(maker, "seen", ones, 1)
    row = maker.reshape("seen.row", seen, (1, LEFT_TOKENS + TOKENS))
    return maker.operator("Less", "seen.empty", [row, number_constant(maker, 0.5)])


def emformer_layer(maker: NetMaker, name: str, x: str, empty: str, sizes: EmformerSizes) -> str:
    """One layer on x (tokens, width), the segment in front of its right context."""
    width = sizes.width
    normed = layer_norm(maker, f"{name}.input_norm", x, width)
    q, k, v = (
        maker.dense(DenseLayer(f"{name}.{part}", width, width, rows=TOKENS), normed, 1.0)
        for part in ("query", "key", "value")
    )
    keys, values = (_window(maker, f"{name}.{part}", new, width)
                    for part, new in (("keys", k), ("values", v)))  # fmt: skip
    heads = Heads(TOKENS, LEFT_TOKENS + TOKENS, sizes.heads, sizes.head_width)
    y = attention(maker, f"{name}.attention", heads, q, keys, values, empty)
    y = maker.dense(DenseLayer(f"{name}.mixed", width, width, rows=TOKENS), y, MIXED_RMS)
    x = maker.operator("Add", f"{name}.first_sum", [x, y])
    y = layer_norm(maker, f"{name}.inner_norm", x, width)
    y = maker.dense(DenseLayer(f"{name}.up", width, sizes.inner, rows=TOKENS), y, 1.0)
    y = gelu(maker, f"{name}.gelu", y)
    y = maker.dense(DenseLayer(f"{name}.down", sizes.inner, width, rows=TOKENS), y, GELU_RMS)
    y = maker.operator("Add", f"{name}.second_sum", [x, y])
    return layer_norm(maker, f"{name}.output_norm", y, width)


def emformer_encoder(
    maker: NetMaker, layers: int = LAYERS, sizes: EmformerSizes = BASE, encoded: int = ENCODED
) -> None:
    """Frames (1, 20, mel) of a segment and its right context -> `encoded` (1, 4, encoded)."""
    frames, width = TOKENS * STACKED, sizes.width
    x = maker.reshape("frames", maker.input("features", (1, frames, MEL)), (frames, MEL))
    layer = DenseLayer("input", MEL, width // STACKED, rows=frames, bias=False)
    x = maker.reshape("stack", maker.dense(layer, x, 1.0), (TOKENS, width))
    empty = empty_keys(maker)
    for number in range(layers):
        x = emformer_layer(maker, f"layer.{number}", x, empty, sizes)
    bounds = [shape_constant(maker, (row,)) for row in (0, SEGMENT_TOKENS, 0)]
    x = maker.operator("Slice", "segment", [x, *bounds])
    x = maker.dense(DenseLayer("output", width, encoded, rows=SEGMENT_TOKENS), x, 1.0)
    x = layer_norm(maker, "output.norm", x, encoded)
    shape = (1, SEGMENT_TOKENS, encoded)
    maker.operator("Reshape", "encoder.output", [x, shape_constant(maker, shape)], "encoded")
    maker.output("encoded", shape)


# -- prediction and joint net -------------------------------------------------------------------


def normed_lstm(
    maker: NetMaker, name: str, x: str, features: int, hidden: int, input_rms: float
) -> str:
    """LSTM on x (1, features): layer norm over the sums of all four gates, in the
    order i, f, g, o, and over the new cell state, which is carried normalized."""
    h, c = (maker.state(f"{name}.{part}", (1, hidden)) for part in ("h", "c"))
    from_x, from_h = (
        DenseLayer(f"{name}.{part}", columns, 4 * hidden, bias=False)
        for part, columns in (("input", features), ("recurrent", hidden))
    )
    sums = [
        maker.dense(from_x, x, input_rms, INPUT_GATE_DEVIATION),
        maker.dense(from_h, h, LSTM_OUTPUT_RMS, RECURRENT_GATE_DEVIATION),
    ]
    gates = maker.operator("Add", f"{name}.sums", sums)
    gates = layer_norm(maker, f"{name}.gates", gates, 4 * hidden, INSIDE_EPSILON)
    parts = [f"{name}.{part}" for part in ("in", "forget", "cell", "out")]
    maker.node("Split", f"{name}.split", [gates], [f"{part}_sum" for part in parts], axis=1)
    i, f, g, o = (
        maker.operator(function, part, [f"{part}_sum"])
        for part, function in zip(parts, ("Sigmoid", "Sigmoid", "Tanh", "Sigmoid"), strict=True)
    )
    kept = maker.operator("Mul", f"{name}.kept", [f, c])
    new = maker.operator("Mul", f"{name}.new", [i, g])
    c_next = maker.operator("Add", f"{name}.c_sum", [kept, new])
    c_next = layer_norm(maker, f"{name}.c_norm", c_next, hidden, INSIDE_EPSILON)
    shown = maker.operator("Tanh", f"{name}.tanh", [c_next])
    h_next = maker.operator("Mul", f"{name}.h_next", [o, shown])
    maker.keep(c, c_next, (1, hidden))
    maker.keep(h, h_next, (1, hidden))
    return h_next


def emformer_prediction(
    maker: NetMaker, layers: int = 3, pieces: int = PIECES, width: int = 512, encoded: int = ENCODED
) -> None:
    """Row number `token` (1, 1) -> `predicted` (1, 1, encoded)."""
    table = EmbeddingLayer("prediction.embedding", pieces, width)
    x = maker.embedding(table, maker.index_input("token", (1, 1)), EMBEDDING_RMS)
    x = maker.reshape("prediction.row", x, (1, width))
    x = layer_norm(maker, "prediction.input_norm", x, width)
    input_rms = 1.0
    for number in range(layers):
        x = normed_lstm(maker, f"prediction.{number}", x, width, width, input_rms)
        input_rms = LSTM_OUTPUT_RMS
    x = maker.dense(DenseLayer("prediction.output", width, encoded), x, LSTM_OUTPUT_RMS)
    x = layer_norm(maker, "prediction.output_norm", x, encoded)
    shape = (1, 1, encoded)
    maker.operator("Reshape", "prediction.result", [x, shape_constant(maker, shape)], "predicted")
    maker.output("predicted", shape)


def emformer_joint(maker: NetMaker) -> None:
    """`encoded` + `predicted` (1, 1, 1024 each), Relu -> `logits` (1, pieces)."""
    vectors = [maker.input(name, (1, 1, ENCODED)) for name in ("encoded", "predicted")]
    x = maker.operator("Add", "joint.sum", vectors)
    x = maker.operator("Relu", "joint.relu", [x])
    x = maker.reshape("joint.row", x, (1, ENCODED))
    layer = DenseLayer("joint.output", ENCODED, PIECES, bits=8)
    maker.dense(layer, x, JOINT_RMS, result="logits")
    maker.output("logits", (1, PIECES))


_SOURCE = (
    "Shapes and steps of torchaudio's emformer_rnnt_base in its streaming form (models/emformer.py,"
    " models/rnnt.py; 76.7 M parameters as its README states) with 4096 word pieces and a blank."
)


def _part(part: str, summary: str, frame_ms: int, net: Recipe) -> ZooEntry:
    return ZooEntry(
        "emformer_rnnt_base", part, summary, "public shapes", _SOURCE, frame_ms, 8, 0.0, net
    )


ENTRIES: tuple[ZooEntry, ...] = (
    _part(
        "encoder",
        "Transducer encoder: segments of 16 frames and 4 frames ahead, 80 features, 4 frames to a"
        " token, 20 x Emformer (8 heads of 64, dense 2048) with 30 tokens of cached left context;"
        " one step is a segment.",
        SEGMENT_MS,
        Recipe(emformer_encoder),
    ),
    _part(
        "prediction",
        "Transducer prediction net: embedding 4097 x 512, 3 x layer-normalized LSTM 512, dense"
        " 1024; one step per word piece, 3 a second assumed.",
        PIECE_MS,
        Recipe(emformer_prediction),
    ),
    _part(
        "joint",
        "Transducer joint net: sum of 1024 and 1024, Relu, dense 4097; one step per token of the"
        " encoder.",
        TOKEN_MS,
        Recipe(emformer_joint),
    ),
)
