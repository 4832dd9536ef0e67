"""The nets around the recognizer: end-pointer, whisper, speaker, wake word, language, meaning,
biasing. Each function adds one graph to a maker."""

from __future__ import annotations

from functools import partial

import numpy as np

from azsim.zoo.blocks import (
    ConvSizes,
    Heads,
    attention,
    convolution,
    gelu,
    layer_norm,
    number_constant,
    root_mean_square_norm,
    shape_constant,
    svdf,
    two_way_lstm,
    two_way_sequence,
)
from azsim.zoo.entry import ZooEntry
from azsim.zoo.layers import CountedLayer, DenseLayer, EmbeddingLayer, lstm_stack
from azsim.zoo.model import LSTM_OUTPUT_RMS, NetMaker
from azsim.zoo.nets import EMBEDDING_RMS, RELU_RMS, Classifier, Recipe
from azsim.zoo.transducer_blocks import projected_lstms

WORD_PIECES, SPEECH_DEVIATION = 2501, 1.0
PUBLIC, MADE_UP, RECONSTRUCTION = "public shapes", "made up", "reconstruction"
NO_AMAZON = "no Amazon layer shape has been published"


# -- end-pointer, whisper -----------------------------------------------------------------------


def _whisper(maker: NetMaker) -> None:
    x = maker.input("features", (1, 1, 64))
    x = maker.lstms(lstm_stack("layer", 64, 64, 2), x, SPEECH_DEVIATION)
    x = maker.reshape("flatten", x, (1, 64))
    x = maker.dense(DenseLayer("dense", 64, 2), x, LSTM_OUTPUT_RMS)
    maker.operator("Softmax", "softmax", [x], "posteriors", axis=-1)
    maker.output("posteriors", (1, 2))


# -- speaker ------------------------------------------------------------------------------------

_D_VECTOR = 256


def _d_vector(maker: NetMaker, x: str) -> None:
    """Divide by the Euclidean length: by the root mean square, and the root of the width."""
    x = root_mean_square_norm(maker, "length", x)
    maker.operator("Mul", "unit", [x, number_constant(maker, _D_VECTOR**-0.5)], "d_vector")
    maker.output("d_vector", (1, _D_VECTOR))


def _speaker_small(maker: NetMaker) -> None:
    x = maker.input("features", (1, 1, 40))
    x = maker.lstms(lstm_stack("layer", 40, 256, 3), x, SPEECH_DEVIATION)
    x = maker.reshape("flatten", x, (1, 256))
    _d_vector(maker, maker.dense(DenseLayer("dense", 256, _D_VECTOR), x, LSTM_OUTPUT_RMS))


def _speaker_large(maker: NetMaker) -> None:
    x = maker.input("features", (1, 1, 40))
    x = projected_lstms(maker, "layer", x, 40, 768, _D_VECTOR, 3)
    _d_vector(maker, maker.reshape("flatten", x, (1, _D_VECTOR)))


def _speaker_compare(maker: NetMaker) -> None:
    enrolled = 8
    x = maker.input("d_vector", (1, _D_VECTOR))
    y = maker.input("enrolled", (_D_VECTOR, enrolled))
    maker.layers.append(CountedLayer("cosines", 0, _D_VECTOR * enrolled))
    maker.operator("MatMul", "cosines", [x, y], "cosine")
    maker.output("cosine", (1, enrolled))


# -- wake word, language ------------------------------------------------------------------------

_SVDF_MEMORY = (4, 10, 10, 10, 10, 10)


def _wake_word_svdf(maker: NetMaker) -> None:
    units, projection, features = 256, 128, 30
    x = maker.reshape("row", maker.input("features", (1, 1, features)), (1, features))
    for number, memory in enumerate(_SVDF_MEMORY):
        x = svdf(maker, f"svdf.{number}", x, features, units, memory)
        if number < len(_SVDF_MEMORY) - 1:
            layer = DenseLayer(f"projection.{number}", units, projection)
            x, features = maker.dense(layer, x, RELU_RMS), projection
    maker.dense(DenseLayer("dense", units, 12), x, RELU_RMS, result="scores")
    maker.output("scores", (1, 12))


def _wake_word_250k(maker: NetMaker) -> None:
    features, frames, channels = 64, 76, 32
    x = maker.input("features", (1, frames, features))
    x = maker.operator("Transpose", "channels_first", [x], perm=(0, 2, 1))
    steps = (frames - 8) // 4 + 1
    sizes = ConvSizes(features, channels, (8,), (steps,), (4,), (0, 0), bits=8)
    x = maker.operator("Relu", "conv.relu", [convolution(maker, "conv", x, sizes, 1.0)])
    width = channels * steps
    x = maker.reshape("flatten", x, (1, width))
    for number, columns in enumerate((320, 128, 64)):
        x = maker.dense(DenseLayer(f"dense.{number}", width, columns), x, RELU_RMS)
        x, width = maker.operator("Relu", f"dense.{number}.relu", [x]), columns
    maker.dense(DenseLayer("output", width, 2, bits=8), x, RELU_RMS, result="scores")
    maker.output("scores", (1, 2))


_POOLING_SHARE = 0.125  # of the new scores in the running mean


def _language(maker: NetMaker) -> None:
    x = maker.reshape("row", maker.input("encoded", (1, 1, 1024)), (1, 1024))
    x = maker.dense(DenseLayer("tap", 1024, 128), x, LSTM_OUTPUT_RMS)
    x = maker.lstms(lstm_stack("layer", 128, 128, 2), maker.reshape("step", x, (1, 1, 128)), 1.0)
    x = maker.reshape("flatten", x, (1, 128))
    x = maker.dense(DenseLayer("dense", 128, 8), x, LSTM_OUTPUT_RMS)
    old = maker.state("mean", (1, 8))
    new = maker.operator("Mul", "mean.new", [x, number_constant(maker, _POOLING_SHARE)])
    kept = maker.operator("Mul", "mean.old", [old, number_constant(maker, 1 - _POOLING_SHARE)])
    mean = maker.operator("Add", "mean.sum", [kept, new])
    maker.keep(old, mean, (1, 8))
    maker.operator("Identity", "result", [mean], "scores")
    maker.output("scores", (1, 8))


# -- meaning ------------------------------------------------------------------------------------

_INTENTS, _SLOTS = 40, 60
SMALL_TOKENS, BERT_TOKENS = 12, 16


def _heads(maker: NetMaker, rows: int, width: int, sequence: str, pooled: str, rms: float) -> None:
    slots = DenseLayer("slots", width, _SLOTS, rows=rows)
    maker.dense(slots, sequence, rms, result="slot_scores")
    maker.output("slot_scores", (rows, _SLOTS))
    maker.dense(DenseLayer("intents", width, _INTENTS), pooled, rms, result="intent_scores")
    maker.output("intent_scores", (1, _INTENTS))


def _meaning_small(maker: NetMaker) -> None:
    rows = SMALL_TOKENS
    table = EmbeddingLayer("embedding", WORD_PIECES, 64)
    x = maker.embedding(table, maker.index_input("tokens", (rows, 1)), EMBEDDING_RMS)
    last = two_way_lstm(maker, "lstm", x, 64, 128, rows, EMBEDDING_RMS)
    sequence = two_way_sequence(maker, "lstm", 128, rows)
    _heads(maker, rows, 256, sequence, last, LSTM_OUTPUT_RMS)


_BERT_WIDTH, _BERT_HEADS, _BERT_INNER, _BERT_LAYERS = 312, 12, 1200, 4


def _tiny_bert(maker: NetMaker) -> None:
    rows, width = BERT_TOKENS, _BERT_WIDTH
    table = EmbeddingLayer("embedding", 30522, width)
    x = maker.embedding(table, maker.index_input("tokens", (rows, 1)), EMBEDDING_RMS)
    x = maker.reshape("rows", x, (rows, width))
    maker.layers.append(CountedLayer("positions", rows * width))
    positions = maker.constant("positions.table", maker.deviates((rows, width), 0.3))
    x = maker.operator("Add", "positions", [x, positions])
    x = layer_norm(maker, "embedding.norm", x, width)
    for number in range(_BERT_LAYERS):
        x = _bert_layer(maker, f"layer.{number}", x, rows)
    first = maker.operator(
        "Gather", "first", [x, maker.constant("first.row", np.array([0], dtype=np.int64))]
    )
    _heads(maker, rows, width, x, first, 1.0)


def _bert_layer(maker: NetMaker, name: str, x: str, rows: int) -> str:
    """Attention, norm, two dense layers, norm, as in BERT."""
    width = _BERT_WIDTH
    sizes = Heads(rows, rows, _BERT_HEADS, width // _BERT_HEADS)
    q, k, v = (
        maker.dense(DenseLayer(f"{name}.{part}", width, width, rows=rows), x, 1.0)
        for part in ("query", "key", "value")
    )
    y = attention(maker, f"{name}.attention", sizes, q, k, v)
    y = maker.dense(DenseLayer(f"{name}.mixed", width, width, rows=rows), y, 0.5)
    y = maker.operator("Add", f"{name}.first_sum", [x, y])
    x = layer_norm(maker, f"{name}.first_norm", y, width)
    y = maker.dense(DenseLayer(f"{name}.up", width, _BERT_INNER, rows=rows), x, 1.0)
    y = gelu(maker, f"{name}.gelu", y)
    y = maker.dense(DenseLayer(f"{name}.down", _BERT_INNER, width, rows=rows), y, RELU_RMS)
    y = maker.operator("Add", f"{name}.second_sum", [x, y])
    return layer_norm(maker, f"{name}.second_norm", y, width)


# -- biasing ------------------------------------------------------------------------------------

ENTITIES, _ENTITY_WIDTH, _ENTITY_PIECES = 300, 64, 5
_BIAS = Heads(1, ENTITIES, 4, 64)


def _catalog(maker: NetMaker) -> None:
    table = EmbeddingLayer("embedding", WORD_PIECES, 64)
    index = maker.index_input("tokens", (_ENTITY_PIECES, 1))
    x = maker.embedding(table, index, EMBEDDING_RMS)
    last = two_way_lstm(maker, "lstm", x, 64, 64, _ENTITY_PIECES, EMBEDDING_RMS)
    layer = DenseLayer("dense", 128, _ENTITY_WIDTH)
    maker.dense(layer, last, LSTM_OUTPUT_RMS, result="entity")
    maker.output("entity", (1, _ENTITY_WIDTH))


def _catalog_cache(maker: NetMaker) -> None:
    x = maker.input("entities", (ENTITIES, _ENTITY_WIDTH))
    for result in ("keys", "values"):
        layer = DenseLayer(f"cache.{result}", _ENTITY_WIDTH, _BIAS.width, rows=ENTITIES)
        maker.dense(layer, x, 1.0, result=result)
        maker.output(result, (ENTITIES, _BIAS.width))


def _bias_frame(maker: NetMaker) -> None:
    encoded = maker.input("encoded", (1, 1, 1024))
    x = maker.reshape("row", encoded, (1, 1024))
    q = maker.dense(DenseLayer("query", 1024, _BIAS.width), x, LSTM_OUTPUT_RMS)
    k, v = (maker.input(name, (ENTITIES, _BIAS.width)) for name in ("keys", "values"))
    y = attention(maker, "attention", _BIAS, q, k, v)
    mixed_rms, deviation = 0.1, 0.35  # the mean of some of 300 values; as the encoder's output
    y = maker.dense(DenseLayer("output", _BIAS.width, 1024), y, mixed_rms, deviation)
    y = maker.operator("Add", "sum", [x, y])
    maker.operator("Reshape", "result", [y, shape_constant(maker, (1, 1, 1024))], "biased")
    maker.output("biased", (1, 1, 1024))


# -- the table ----------------------------------------------------------------------------------

_EP_SPECULATIVE = "Role as the fast one of two end-pointers; sizes are ours."
_WHISPER = (
    "2 x LSTM 64 on 64 filter banks and 2 outputs as a machine-written summary of arXiv 1809.07832"
    f" states; the paper was not read, and {NO_AMAZON} as such."
)
_SPEAKER = (
    "Small: public hyperparameters of a d-vector implementation (40 features, 3 x 256, 160 frames);"
    " large: 3 x 768 projected to 256 as remembered of the GE2E paper."
)
_SVDF = "Shapes of the published streaming keyword nets (google-research kws_streaming, SVDF)."
_WAKE_250K = (
    "Reconstruction to 250 k weights, 5-bit dense layers (arXiv 2207.06920 states these);"
    f" {NO_AMAZON}, the layer list is ours."
)
_LANGUAGE = "Language decision beside the recognizer, as published in general; sizes are ours."
_MEANING = "Sizes are ours."
_TINY_BERT = "TinyBERT-4 (4 layers, 312 wide, 1200 inside, 12 heads, 30522 rows), as remembered."
_BIASING = (
    "Attention over a catalog of names with a cached catalog encoder (arXiv 2111.03250 and others"
    " describe the mechanism); sizes are ours."
)


def _entry(
    name: str,
    part: str | None,
    summary: str,
    label: str,
    source: str,
    frame_ms: int,
    build: Recipe | Classifier,
    bits: int = 8,
    sparsity: float = 0.0,
) -> ZooEntry:
    return ZooEntry(name, part, summary, label, source, frame_ms, bits, sparsity, build)


_speaker = partial(_entry, "spkid_dvector", label=PUBLIC, source=_SPEAKER)
_biasing = partial(_entry, "ctx_bias_mha", label=MADE_UP, source=_BIASING)

ENTRIES: tuple[ZooEntry, ...] = (
    _entry(
        "ep_speculative",
        None,
        "Fast end-pointer: 64 features each 10 ms, 2 x LSTM 64, 2 scores.",
        MADE_UP,
        _EP_SPECULATIVE,
        10,
        Classifier(SPEECH_DEVIATION, lstm_stack("layer", 64, 64, 2), DenseLayer("dense", 64, 2)),
    ),
    _entry(
        "whisper_lstm",
        None,
        "Whisper detection: 64 features each 10 ms, 2 x LSTM 64, 2 posteriors; an utterance's score"
        " is their mean, taken outside.",
        RECONSTRUCTION,
        _WHISPER,
        10,
        Recipe(_whisper),
    ),
    _speaker(
        part="small",
        summary="Speaker: 40 features each 10 ms, 3 x LSTM 256, dense 256, length 1.",
        frame_ms=10,
        build=Recipe(_speaker_small),
    ),
    _speaker(
        part="large",
        summary="Speaker: 40 features each 10 ms, 3 x LSTM 768 projected to 256, length 1.",
        frame_ms=10,
        build=Recipe(_speaker_large),
    ),
    _speaker(
        part="compare",
        summary="Speaker: cosines with 8 enrolled vectors, once per 80 frames of 10 ms.",
        frame_ms=800,
        build=Recipe(_speaker_compare),
    ),
    _entry(
        "wakeword_svdf",
        None,
        "Wake word: 30 features each 20 ms, 6 x SVDF of 256 units with memories of 4 and 10 steps,"
        " projected to 128, 12 scores.",
        PUBLIC,
        _SVDF,
        20,
        Recipe(_wake_word_svdf),
    ),
    _entry(
        "wakeword_250k",
        None,
        "Wake word without states: 76 frames x 64 features, conv 32 of 8 frames, dense 320, 128,"
        " 64, 2 scores; each 30 ms.",
        RECONSTRUCTION,
        _WAKE_250K,
        30,
        Recipe(_wake_word_250k),
        bits=5,
    ),
    _entry(
        "lid_stream",
        None,
        "Language: vectors of encoder layer 2, dense 128, 2 x LSTM 128, 8 scores, running mean;"
        " each 30 ms.",
        MADE_UP,
        _LANGUAGE,
        30,
        Recipe(_language),
    ),
    _entry(
        "nlu_small",
        None,
        f"Meaning of {SMALL_TOKENS} word pieces: embedding 2501 x 64, two-way LSTM 128, 60 slots"
        " per piece, 40 intents; once per hypothesis, 100 ms assumed.",
        MADE_UP,
        _MEANING,
        100,
        Recipe(_meaning_small),
        sparsity=0.5,
    ),
    _entry(
        "nlu_tinybert",
        None,
        f"Meaning of {BERT_TOKENS} word pieces: TinyBERT of 4 layers, 60 slots per piece, 40"
        f" intents; once per hypothesis, 100 ms assumed. {BERT_TOKENS} rows of positions.",
        PUBLIC,
        _TINY_BERT,
        100,
        Recipe(_tiny_bert),
        sparsity=0.5,
    ),
    _biasing(
        part="catalog",
        summary=f"Biasing, catalog: one name of {_ENTITY_PIECES} word pieces, embedding 2501 x 64,"
        " two-way LSTM 64, dense 64; once per name and change, 10 ms assumed.",
        frame_ms=10,
        build=Recipe(_catalog),
    ),
    _biasing(
        part="cache",
        summary=f"Biasing, catalog: keys and values of {ENTITIES} names; once per change, 1 s"
        " assumed.",
        frame_ms=1000,
        build=Recipe(_catalog_cache),
    ),
    _biasing(
        part="attention",
        summary=f"Biasing: attention of 4 heads over {ENTITIES} names, added to the encoder's"
        " output; each 30 ms.",
        frame_ms=30,
        build=Recipe(_bias_frame),
    ),
)
