"""The shipped nets. No vendor has published layer shapes of its speech models: each entry says
what it stands for, and every `rnnt_alexa_*` entry is a reconstruction."""

from __future__ import annotations

import json
from difflib import get_close_matches

import onnx

from azsim.errors import ConfigError
from azsim.zoo import assistant, branching, camera, emformer, micro, sru, transducers, zipformer
from azsim.zoo.entry import ZooEntry
from azsim.zoo.layers import DenseLayer, EmbeddingLayer, lstm_stack
from azsim.zoo.model import NetMaker
from azsim.zoo.nets import Classifier, ConcatJoint, Decision, Encoder, Net, Prediction, SumJoint
from azsim.zoo.trained import TrainedWeights, trained_symbols, trained_weights
from azsim.zoo.weights import check_grid

# Mean-normalized log-mel features of speech, natural logarithm: the deviation measured on the
# example recording is 5.7, much of it digital silence; quieter recordings give less.
LOG_MEL_RMS = 5.0
NORMALIZED_RMS = 1.0  # normalized per feature, as the MLPerf front end does (normalize per_feature)

OUTPUT_BITS = 8  # of the layer that makes the logits, whatever the net's width


_MLPERF = (
    "Shapes of the public MLPerf Inference reference (mlcommons/inference, speech_recognition/rnnt,"
    " 45.3 M parameters)."
)
_RECONSTRUCTION = (
    "Reconstruction: no Amazon layer shape has been published; 64 log filter banks x 3 frames,"
    " 5 and 2 x 1024 and about 4000 word pieces are typical of published RNN-T work."
)

_MLPERF_ENCODER = Encoder(
    NORMALIZED_RMS,
    pre=lstm_stack("encoder.pre", 240, 1024, 2, time_steps=2),
    post=lstm_stack("encoder.post", 2048, 1024, 3),
)
_MLPERF_PREDICTION = Prediction(
    EmbeddingLayer("prediction.embedding", 28, 320), lstm_stack("prediction", 320, 320, 2)
)
_MLPERF_JOINT = ConcatJoint(1024, 320, symbols=29, hidden=512, output_bits=OUTPUT_BITS)
_ALEXA_L_ENCODER = Encoder(LOG_MEL_RMS, pre=lstm_stack("encoder", 192, 1024, 5))
_ALEXA_L_PREDICTION = Prediction(
    EmbeddingLayer("prediction.embedding", 4001, 512), lstm_stack("prediction", 512, 1024, 2)
)
_ALEXA_L_JOINT = SumJoint(1024, 1024, symbols=4001, hidden=512, output_bits=OUTPUT_BITS)
_END_POINTER = (
    "Three-part structure of a published end-pointer (Maas et al., ICASSP 2018: LSTM on the sound,"
    " LSTM on the words, network on both and on pauses); sizes are ours."
)
_EP_ACOUSTIC = Encoder(NORMALIZED_RMS, pre=lstm_stack("acoustic", 64, 100, 2), result="acoustic")
_EP_TEXT = Prediction(
    EmbeddingLayer("text.embedding", 2501, 32), lstm_stack("text", 32, 64, 1), "text"
)
_EP_DECISION = Decision((("acoustic", 100), ("text", 64), ("pause", 8)), hidden=64, classes=2)
_TINY = Classifier(1.0, lstm_stack("layer", 24, 40, 2), DenseLayer("dense", 40, 11))


def _mlperf(part: str, summary: str, frame_ms: int, net: Net) -> ZooEntry:
    return ZooEntry("rnnt_mlperf", part, summary, "public shapes", _MLPERF, frame_ms, 8, 0.0, net)


def _alexa_l(part: str, summary: str, frame_ms: int, net: Net) -> ZooEntry:
    return ZooEntry(
        "rnnt_alexa_l", part, summary, "reconstruction", _RECONSTRUCTION, frame_ms, 5, 0.5, net
    )


def _ep_final(part: str, summary: str, frame_ms: int, net: Net) -> ZooEntry:
    return ZooEntry("ep_final", part, summary, "made up", _END_POINTER, frame_ms, 8, 0.0, net)


# Periods of prediction nets are assumed: 3 word pieces, or 15 characters, of speech a second. A
# joint net runs once per encoder output, and in a greedy search once more for each symbol.
ENTRIES: tuple[ZooEntry, ...] = (
    _mlperf(
        "encoder",
        "RNN-T encoder, 80 log-mel features x 3 frames each 30 ms: 2 x LSTM 1024, two outputs"
        " stacked, 3 x LSTM 1024 each 60 ms; one step is two of 30 ms.",
        60,
        _MLPERF_ENCODER,
    ),
    _mlperf(
        "prediction",
        "RNN-T prediction net: embedding 28 x 320, 2 x LSTM 320; one step per character,"
        " 15 a second assumed.",
        67,
        _MLPERF_PREDICTION,
    ),
    _mlperf(
        "joint",
        "RNN-T joint net: 1024 + 320 side by side, dense 512, Relu, dense 29; one step per"
        " encoder output.",
        60,
        _MLPERF_JOINT,
    ),
    _alexa_l(
        "encoder",
        "RNN-T encoder, 192 features each 30 ms, 5 x LSTM 1024.",
        30,
        _ALEXA_L_ENCODER,
    ),
    _alexa_l(
        "prediction",
        "RNN-T prediction net: embedding 4001 x 512, 2 x LSTM 1024; one step per word piece,"
        " 3 a second assumed.",
        333,
        _ALEXA_L_PREDICTION,
    ),
    _alexa_l(
        "joint",
        "RNN-T joint net: dense 512 of each 1024, sum, tanh, dense 4001; one step per encoder"
        " output.",
        30,
        _ALEXA_L_JOINT,
    ),
    _ep_final(
        "acoustic", "End-pointer, sound: 64 features each 10 ms, 2 x LSTM 100.", 10, _EP_ACOUSTIC
    ),
    _ep_final(
        "text",
        "End-pointer, words: embedding 2501 x 32, LSTM 64; one step per word piece, 3 a second"
        " assumed.",
        333,
        _EP_TEXT,
    ),
    _ep_final(
        "decision",
        "End-pointer, decision: 100 + 64 + 8 pause figures, 2 x dense 64, 2 scores; each 10 ms.",
        10,
        _EP_DECISION,
    ),
    ZooEntry(
        "tiny_lstm",
        None,
        "24 features each 30 ms, 2 x LSTM 40, 11 scores; for tests and quick trials.",
        "made up",
        "Made up for this project.",
        30,
        5,
        0.5,
        _TINY,
    ),
    *transducers.ENTRIES,
    *sru.ENTRIES,
    *emformer.ENTRIES,
    *zipformer.ENTRIES,
    *branching.ENTRIES,
    *assistant.ENTRIES,
    *camera.ENTRIES,
    *micro.ENTRIES,
)


def zoo_table() -> tuple[ZooEntry, ...]:
    """Return the shipped nets, one entry per part."""
    return ENTRIES


def find_entry(name: str, part: str | None) -> ZooEntry:
    """Return the entry; `part` may be None where the net has one part. Raises ConfigError."""
    named = [entry for entry in ENTRIES if entry.name == name]
    if not named:
        near = get_close_matches(name, dict.fromkeys(entry.name for entry in ENTRIES), n=1)
        hint = f" (near: {near[0]})" if near else ""
        raise ConfigError(f"net must be one that `azsim zoo` lists, not '{name}'{hint}")
    for entry in named:
        if entry.part == part:
            return entry
    parts = ", ".join(entry.part for entry in named if entry.part) or "left out"
    given = "left out" if part is None else f"'{part}'"
    raise ConfigError(f"part of {name} must be {parts}, not {given}")


def build_zoo(
    name: str, part: str | None, bits: int, sparsity: float, seed: int
) -> onnx.ModelProto:
    """Return a shipped net with seeded random weights, or with its trained ones.

    Random weight matrices lie on the symmetric `bits`-bit grid per row with exactly the share
    `sparsity` of zeros per tensor (see `azsim.zoo.weights.grid_weights`); trained ones lie on it
    with at least that share (`azsim.zoo.trained`), whatever the seed. The layer that makes an
    RNN-T's logits stays at 8 bits; embeddings lie on an 8-bit grid without forced zeros; biases are
    plain float32. Model properties: `azsim.frame_ms`, `azsim.compression` (JSON: bits, sparsity,
    and layer_bits {node: bits} where a layer differs), `azsim.seed`, `azsim.state`,
    and of trained nets `azsim.symbols` (JSON list: the words, "" for the blank). The same arguments
    give the same file. Raises ConfigError for an unknown net or part, bits outside 2..8, sparsity
    outside 0..0.95, or a negative seed.
    """
    entry = find_entry(name, part)
    check_grid(bits, sparsity)
    if seed < 0:
        raise ConfigError(f"seed must be 0 or more, not {seed}")
    weights = trained_weights(name, bits, sparsity) if entry.trained else None
    return build_entry(entry, bits, sparsity, seed, weights)


def build_entry(
    entry: ZooEntry, bits: int, sparsity: float, seed: int, weights: TrainedWeights | None
) -> onnx.ModelProto:
    """Return a net with these weights (None: random ones)."""
    parts = [other.part for other in ENTRIES if other.name == entry.name]
    stream = parts.index(entry.part)
    maker = NetMaker(entry.full_name, bits, sparsity, seed, stream, trained=weights)
    entry.net.make(maker)
    origin = weights.origin if weights else "Weights are random (seeded)."
    description = f"{entry.full_name}: {entry.summary} {entry.source} {origin}"
    metadata = {"azsim.frame_ms": str(entry.frame_ms)}
    if entry.trained:
        metadata["azsim.symbols"] = json.dumps(trained_symbols(entry.name))
    return maker.build(description, metadata)
