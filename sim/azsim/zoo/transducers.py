"""Recognizers: LSTM transducers of several sizes, with projections, with convolutions in front."""

from __future__ import annotations

from functools import partial

from azsim.zoo.blocks import (
    ConvSizes,
    convolution,
    number_constant,
    root_mean_square_norm,
    shape_constant,
)
from azsim.zoo.entry import ZooEntry
from azsim.zoo.layers import DenseLayer, EmbeddingLayer, lstm_stack
from azsim.zoo.model import NetMaker
from azsim.zoo.nets import EMBEDDING_RMS, RELU_RMS, Encoder, Net, Prediction, Recipe, SumJoint
from azsim.zoo.transducer_blocks import GATES, PROJECTED_RMS, projected_lstms

LOG_MEL_RMS, NORMALIZED_RMS = 5.0, 1.0
PUBLIC, MADE_UP, RECONSTRUCTION = "public shapes", "made up", "reconstruction"
JOINT_BITS = 8


def _entry(
    name: str,
    part: str,
    summary: str,
    label: str,
    source: str,
    frame_ms: int,
    net: Net,
    bits: int = 8,
    sparsity: float = 0.0,
    trained: bool = False,
) -> ZooEntry:
    return ZooEntry(name, part, summary, label, source, frame_ms, bits, sparsity, net, trained)


# -- 8 layers of 2048 projected to 640 ----------------------------------------------------------

_HIDDEN, _PROJECTION, _FAST_LAYERS, _LAYERS = 2048, 640, 2, 8


def _projected_fast(maker: NetMaker, features: int, gates: int) -> None:
    x = maker.input("features", (1, 1, features))
    x = projected_lstms(
        maker, "encoder", x, features, _HIDDEN, _PROJECTION, _FAST_LAYERS, gates=gates
    )
    maker.operator("Identity", "encoder.output", [x], "fast")
    maker.output("fast", (1, 1, _PROJECTION))


def _projected_slow(maker: NetMaker, gates: int) -> None:
    width = 2 * _PROJECTION
    x = maker.input("stacked", (1, 1, width))
    layers = _LAYERS - _FAST_LAYERS
    x = projected_lstms(
        maker, "encoder", x, width, _HIDDEN, _PROJECTION, layers, gates=gates, first=_FAST_LAYERS
    )
    maker.operator("Identity", "encoder.output", [x], "encoded")
    maker.output("encoded", (1, 1, _PROJECTION))


def _projected_prediction(maker: NetMaker, symbols: int, gates: int) -> None:
    table = EmbeddingLayer("prediction.embedding", symbols, 128)
    x = maker.embedding(table, maker.index_input("token", (1, 1)), EMBEDDING_RMS)
    x = projected_lstms(maker, "prediction", x, 128, _HIDDEN, _PROJECTION, 2, gates=gates)
    maker.operator("Identity", "prediction.output", [x], "predicted")
    maker.output("predicted", (1, 1, _PROJECTION))


def _google(
    name: str, source: str, features: int, symbols: int, gates: int, sparsity: float
) -> tuple[ZooEntry, ...]:
    cell = "LSTM" if gates == GATES else "LSTM with coupled gates (CIFG)"
    make = partial(_entry, name, label=PUBLIC, source=source, sparsity=sparsity)
    period_ms = 67 if symbols < 1000 else 333
    unit = "character, 15 a second" if symbols < 1000 else "word piece, 3 a second"
    return (
        make(
            part="encoder_fast",
            summary=f"RNN-T encoder, layers 1 and 2 of 8: {features} features each 30 ms, {cell}"
            " 2048 projected to 640.",
            frame_ms=30,
            net=Recipe(partial(_projected_fast, features=features, gates=gates)),
        ),
        make(
            part="encoder_slow",
            summary=f"RNN-T encoder, layers 3 to 8 of 8: two results of the fast part each 60 ms,"
            f" {cell} 2048 projected to 640.",
            frame_ms=60,
            net=Recipe(partial(_projected_slow, gates=gates)),
        ),
        make(
            part="prediction",
            summary=f"RNN-T prediction net: embedding {symbols} x 128, 2 x {cell} 2048 projected"
            f" to 640; one step per {unit} assumed.",
            frame_ms=period_ms,
            net=Recipe(partial(_projected_prediction, symbols=symbols, gates=gates)),
        ),
        make(
            part="joint",
            summary=f"RNN-T joint net: dense 640 of each 640, sum, tanh, dense {symbols}; one step"
            " per encoder output.",
            frame_ms=60,
            net=SumJoint(
                _PROJECTION, _PROJECTION, symbols, 640, JOINT_BITS, input_rms=PROJECTED_RMS
            ),
        ),
    )


_MOBILE = (
    "Public description of Google's on-device RNN-T (8 and 2 layers of 2048 projected to 640; 120 M"
    " parameters as MLPerf's README states); 320 inputs and the place of the time reduction are"
    " remembered. With 76 characters for 4096 word pieces only prediction and joint net differ."
)
_EDGE = (
    "As rnnt_google_mobile with 512 inputs, the form of a published study of pruning and cheaper"
    " cells (122.1 M parameters, remembered)."
)

# -- reconstructions of the LSTM transducer -----------------------------------------------------

_RECONSTRUCTION = (
    "Reconstruction: no Amazon layer shape has been published; sizes are ours, so that the 5-bit"
    " larger net has the bytes of the 8-bit smaller one."
)
_TIME_REDUCTION = (
    "Reconstruction: no Amazon layer shape has been published; rnnt_alexa_l with two outputs"
    " stacked behind layer 2; prediction and joint net are that one's."
)
_alexa_s = partial(_entry, "rnnt_alexa_s", label=RECONSTRUCTION, source=_RECONSTRUCTION)
_alexa_m = partial(
    _entry, "rnnt_alexa_m", label=RECONSTRUCTION, source=_RECONSTRUCTION, bits=5, sparsity=0.5
)
_PER_PIECE = "one step per word piece, 3 a second assumed"
_PER_OUTPUT = "one step per encoder output"

_ALEXA: tuple[ZooEntry, ...] = (
    _alexa_s(
        part="encoder",
        summary="RNN-T encoder, 192 features each 30 ms, 5 x LSTM 736.",
        frame_ms=30,
        net=Encoder(LOG_MEL_RMS, lstm_stack("encoder", 192, 736, 5)),
    ),
    _alexa_s(
        part="prediction",
        summary=f"RNN-T prediction net: embedding 2501 x 256, 2 x LSTM 736; {_PER_PIECE}.",
        frame_ms=333,
        net=Prediction(
            EmbeddingLayer("prediction.embedding", 2501, 256), lstm_stack("prediction", 256, 736, 2)
        ),
    ),
    _alexa_s(
        part="joint",
        summary=f"RNN-T joint net: dense 512 of each 736, sum, tanh, dense 2501; {_PER_OUTPUT}.",
        frame_ms=30,
        net=SumJoint(736, 736, 2501, 512, JOINT_BITS),
    ),
    _alexa_m(
        part="encoder",
        summary="RNN-T encoder, 192 features each 30 ms, 5 x LSTM 1024.",
        frame_ms=30,
        net=Encoder(LOG_MEL_RMS, lstm_stack("encoder", 192, 1024, 5)),
    ),
    _alexa_m(
        part="prediction",
        summary=f"RNN-T prediction net: embedding 2501 x 512, 2 x LSTM 512; {_PER_PIECE}.",
        frame_ms=333,
        net=Prediction(
            EmbeddingLayer("prediction.embedding", 2501, 512), lstm_stack("prediction", 512, 512, 2)
        ),
    ),
    _alexa_m(
        part="joint",
        summary="RNN-T joint net: dense 512 of 1024 and of 512, sum, tanh, dense 2501;"
        f" {_PER_OUTPUT}.",
        frame_ms=30,
        net=SumJoint(1024, 512, 2501, 512, JOINT_BITS),
    ),
    _entry(
        "rnnt_alexa_l_tr2",
        "encoder",
        "RNN-T encoder, 192 features each 30 ms: 2 x LSTM 1024, two outputs stacked, 3 x LSTM 1024"
        " each 60 ms; one step is two of 30 ms.",
        RECONSTRUCTION,
        _TIME_REDUCTION,
        60,
        Encoder(
            LOG_MEL_RMS,
            lstm_stack("encoder.pre", 192, 1024, 2, time_steps=2),
            lstm_stack("encoder.post", 2048, 1024, 3),
        ),
        5,
        0.5,
    ),
)

# -- 12 projected layers behind convolutions ----------------------------------------------------

_ICEFALL = (
    "Shapes of icefall's lstm_transducer_stateless (84.69 M parameters in training; the heads that"
    " only training uses, 0.51 M, are left out)."
)
_BLOCKS, _WIDTH, _BLOCK_HIDDEN, _INNER, _WINDOW, _MEL = 12, 512, 1024, 2048, 9, 80


def _icefall_encoder(maker: NetMaker) -> None:
    x = _subsampled(maker, maker.input("features", (1, 1, _WINDOW, _MEL)))
    for number in range(_BLOCKS):
        x = _icefall_block(maker, f"block.{number}", x)
    maker.operator("Identity", "encoder.output", [x], "encoded")
    maker.output("encoded", (1, 1, _WIDTH))


def _subsampled(maker: NetMaker, x: str) -> str:
    """Three convolutions over (1, 1, 9 frames, 80) and a dense layer: one vector each 40 ms."""
    for number, sizes in enumerate(
        (
            ConvSizes(1, 8, (3, 3), (9, 80), (1, 1), (1, 1, 1, 1)),
            ConvSizes(8, 32, (3, 3), (4, 39), (2, 2), (0, 0, 0, 0)),
            ConvSizes(32, 128, (3, 3), (1, 19), (2, 2), (0, 0, 0, 0)),
        )
    ):
        name = f"conv.{number}"
        y = convolution(maker, name, x, sizes, NORMALIZED_RMS if number == 0 else RELU_RMS)
        x = _double_swish(maker, f"{name}.swish", y)
    x = maker.reshape("conv.flatten", x, (1, 128 * 19))
    x = maker.dense(DenseLayer("conv.dense", 128 * 19, _WIDTH), x, RELU_RMS)
    return maker.reshape("conv.step", root_mean_square_norm(maker, "conv.norm", x), (1, 1, _WIDTH))


def _double_swish(maker: NetMaker, name: str, x: str) -> str:
    """x * sigmoid(x - 1)."""
    y = maker.operator("Sub", f"{name}.shifted", [x, number_constant(maker, 1.0)])
    y = maker.operator("Sigmoid", f"{name}.sigmoid", [y])
    return maker.operator("Mul", name, [x, y])


def _icefall_block(maker: NetMaker, name: str, x: str) -> str:
    """x + LSTM, + two dense layers, norm without parameters."""
    y = projected_lstms(maker, f"{name}.lstm", x, _WIDTH, _BLOCK_HIDDEN, _WIDTH, 1)
    x = maker.operator("Add", f"{name}.first_sum", [x, y])
    row = maker.reshape(f"{name}.row", x, (1, _WIDTH))
    first_rms, swish_rms = 1.4, 0.6
    y = maker.dense(DenseLayer(f"{name}.up", _WIDTH, _INNER), row, first_rms)
    y = _double_swish(maker, f"{name}.swish", y)
    y = maker.dense(DenseLayer(f"{name}.down", _INNER, _WIDTH), y, swish_rms)
    y = maker.operator("Add", f"{name}.second_sum", [row, y])
    y = root_mean_square_norm(maker, f"{name}.norm", y)
    return maker.reshape(f"{name}.step", y, (1, 1, _WIDTH))


def _icefall_prediction(maker: NetMaker) -> None:
    x = maker.embedding(
        EmbeddingLayer("prediction.embedding", 500, _WIDTH),
        maker.index_input("tokens", (2, 1)),
        EMBEDDING_RMS,
    )
    x = maker.operator("Squeeze", "prediction.rows", [x, shape_constant(maker, (1,))])
    x = maker.operator("Transpose", "prediction.channels", [x], perm=(1, 0))
    x = maker.reshape("prediction.window", x, (1, _WIDTH, 2))
    sizes = ConvSizes(_WIDTH, _WIDTH, (2,), (1,), (1,), (0, 0), groups=_WIDTH // 4)
    x = convolution(maker, "prediction.conv", x, sizes, EMBEDDING_RMS)
    x = maker.operator("Relu", "prediction.relu", [x])
    shape = shape_constant(maker, (1, 1, _WIDTH))
    maker.operator("Reshape", "prediction.output", [x, shape], "predicted")
    maker.output("predicted", (1, 1, _WIDTH))


_icefall = partial(_entry, "lstm_transducer_icefall", label=PUBLIC, source=_ICEFALL)

# -- the small one ------------------------------------------------------------------------------

_tiny = partial(
    _entry,
    "tiny_rnnt",
    label=MADE_UP,
    source="Sizes are ours, small enough to train on a personal computer. Weights are trained by us"
    " on synthetic speech (docs/training.md): 128 words, voices of espeak-ng and flite; they say"
    " nothing about real speech.",
    bits=5,
    sparsity=0.5,
    trained=True,
)

ENTRIES: tuple[ZooEntry, ...] = (
    *_ALEXA,
    *_google("rnnt_google_mobile", _MOBILE, 320, 4096, GATES, 0.0),
    *_google("rnnt_google_graphemes", _MOBILE, 320, 76, GATES, 0.0)[2:],
    *_google("rnnt_google_edge", _EDGE, 512, 4096, GATES, 0.7),
    *_google("rnnt_google_edge_cifg", _EDGE, 512, 4096, GATES - 1, 0.7),
    _icefall(
        part="encoder",
        summary="Transducer encoder: 80 features x 9 frames each 40 ms, 3 convolutions, 12 blocks"
        " of LSTM 1024 projected to 512 and dense 2048.",
        frame_ms=40,
        net=Recipe(_icefall_encoder),
    ),
    _icefall(
        part="prediction",
        summary="Transducer prediction net without state: the last two word pieces, embedding 500 x"
        f" 512, convolution in groups of 4; {_PER_PIECE}.",
        frame_ms=333,
        net=Recipe(_icefall_prediction),
    ),
    _icefall(
        part="joint",
        summary="Transducer joint net: dense 512 of each 512, sum, tanh, dense 500;"
        f" {_PER_OUTPUT}.",
        frame_ms=40,
        net=SumJoint(_WIDTH, _WIDTH, 500, 512, JOINT_BITS, input_rms=NORMALIZED_RMS),
    ),
    _tiny(
        part="encoder",
        summary="RNN-T encoder, 192 features each 30 ms: LSTM 256, two outputs stacked, 2 x LSTM"
        " 256 each 60 ms; one step is two of 30 ms.",
        frame_ms=60,
        net=Encoder(
            LOG_MEL_RMS,
            lstm_stack("encoder.pre", 192, 256, 1, time_steps=2),
            lstm_stack("encoder.post", 512, 256, 2),
        ),
    ),
    _tiny(
        part="prediction",
        summary=f"RNN-T prediction net: embedding 129 x 64, LSTM 128; {_PER_PIECE}.",
        frame_ms=333,
        net=Prediction(
            EmbeddingLayer("prediction.embedding", 129, 64), lstm_stack("prediction", 64, 128, 1)
        ),
    ),
    _tiny(
        part="joint",
        summary="RNN-T joint net: dense 128 of 256 and of 128, sum, tanh, dense 129;"
        f" {_PER_OUTPUT}.",
        frame_ms=60,
        net=SumJoint(256, 128, 129, 128, JOINT_BITS),
    ),
)
