"""Encoders that choose their branch in every frame: an arbitrator's scores are the condition of an
ONNX If with two sub-graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from azsim.zoo.entry import ZooEntry
from azsim.zoo.layers import DenseLayer, EmbeddingLayer, LstmLayer, lstm_stack
from azsim.zoo.model import (
    BIAS_DEVIATION,
    FORGET_BIAS,
    INPUT_GATE_DEVIATION,
    LSTM_OUTPUT_RMS,
    RECURRENT_GATE_DEVIATION,
    NetMaker,
)
from azsim.zoo.nets import Prediction, Recipe, SumJoint

LOG_MEL_RMS = 5.0
FAST_SPARSITY = 0.9
PARTS = ("h", "c")


@dataclass(frozen=True)
class BranchSizes:
    """Features, width and number of the full encoder's LSTM layers, width of the arbitrator's and
    (bifocal) of the small encoder's."""

    features: int
    hidden: int
    layers: int
    arbitrator: int
    small: int = 0


def _arbitrated(maker: NetMaker, sizes: BranchSizes, x: str) -> str:
    """LSTM and dense on the features: True where the second score is the larger one."""
    layer = LstmLayer("arbitrator.lstm", sizes.features, sizes.arbitrator)
    y = maker.reshape("arbitrator.row", maker.lstm(layer, x, LOG_MEL_RMS), (1, sizes.arbitrator))
    y = maker.dense(DenseLayer("arbitrator.dense", sizes.arbitrator, 2), y, LSTM_OUTPUT_RMS)
    bounds = [maker.constant(f"arbitrator.{k}", np.array([k], np.int64)) for k in (0, 1, 2)]
    first, second = (
        maker.operator("Slice", f"arbitrator.score{k}", [y, bounds[k], bounds[k + 1], bounds[1]])
        for k in (0, 1)
    )
    axes = maker.constant("arbitrator.axes", np.array([0, 1], np.int64))
    more = maker.operator("Greater", "arbitrator.greater", [second, first])
    return maker.operator("Squeeze", "arbitrator.choice", [more, axes])


def _inner_lstm(
    maker: NetMaker, layer: LstmLayer, states: str, x: str, rms: float, sparsity: float | None
) -> tuple[str, list[str]]:
    """An LSTM inside a branch on the states STATES.h and STATES.c; its y and new states."""
    maker.layers.append(layer)
    name, hidden = layer.name, layer.hidden
    from_input = INPUT_GATE_DEVIATION / (rms * layer.features**0.5)
    from_output = RECURRENT_GATE_DEVIATION / (LSTM_OUTPUT_RMS * hidden**0.5)
    bias = np.zeros((1, 8 * hidden), dtype=np.float32)
    bias[0, : 4 * hidden] = maker.deviates((4 * hidden,), BIAS_DEVIATION)
    bias[0, 2 * hidden : 3 * hidden] += FORGET_BIAS
    weight = maker.weights(name, 4 * hidden, layer.features, from_input, sparsity=sparsity)
    recurrent = maker.weights(name, 4 * hidden, hidden, from_output, sparsity=sparsity)
    constants = [
        maker.constant(f"{name}.W", weight[np.newaxis]),
        maker.constant(f"{name}.R", recurrent[np.newaxis]),
        maker.constant(f"{name}.B", bias),
    ]
    new = [f"{name}.{part}_new" for part in PARTS]
    given = [f"{states}.{part}" for part in PARTS]
    maker.node("LSTM", name, [x, *constants, "", *given], [f"{name}.Y", *new], hidden_size=hidden)
    axis = maker.constant("direction_axis", np.array([1], dtype=np.int64))
    return maker.operator("Squeeze", f"{name}.squeeze", [f"{name}.Y", axis]), new


def _stack(
    maker: NetMaker,
    name: str,
    states: str,
    widths: tuple[int, int, int],
    x: str,
    sparsity: float | None,
) -> list[str]:
    """`widths`: features, hidden, layers. Returns y and the new states, layer by layer."""
    features, hidden, layers = widths
    rms, results = LOG_MEL_RMS, []
    for number in range(layers):
        layer = LstmLayer(f"{name}.{number}", features, hidden)
        x, new = _inner_lstm(maker, layer, f"{states}.{number}", x, rms, sparsity)
        features, rms = hidden, LSTM_OUTPUT_RMS
        results += new
    return [x, *results]


def _states(maker: NetMaker, name: str, layers: int, hidden: int) -> list[str]:
    return [
        maker.state(f"{name}.{number}.{part}", (1, 1, hidden))
        for number in range(layers)
        for part in PARTS
    ]


def _finish(maker: NetMaker, hidden: int, groups: Sequence[tuple[list[str], int]]) -> None:
    maker.output("encoded", (1, 1, hidden))
    for states, width in groups:
        for state in states:
            maker.keep(state, f"{state}_next", (1, 1, width))


def amortized(maker: NetMaker, sizes: BranchSizes) -> None:
    """Every layer in two versions on the same states: dense, and 90 % zeros."""
    x = maker.input("features", (1, 1, sizes.features))
    states = _states(maker, "encoder", sizes.layers, sizes.hidden)
    widths = (sizes.features, sizes.hidden, sizes.layers)
    maker.choice(
        "pick",
        _arbitrated(maker, sizes, x),
        {
            "then": lambda: _stack(maker, "full", "encoder", widths, x, None),
            "else": lambda: _stack(maker, "fast", "encoder", widths, x, FAST_SPARSITY),
        },
        ["encoded", *(f"{state}_next" for state in states)],
    )
    _finish(maker, sizes.hidden, [(states, sizes.hidden)])


def bifocal(maker: NetMaker, sizes: BranchSizes) -> None:
    """Two encoders with states of their own; that of the other one stays as it is."""
    x = maker.input("features", (1, 1, sizes.features))
    large = _states(maker, "large", sizes.layers, sizes.hidden)
    small = _states(maker, "small", sizes.layers, sizes.small)

    def kept(states: list[str], branch: str) -> list[str]:
        return [maker.operator("Identity", f"{branch}.keep.{state}", [state]) for state in states]

    def full() -> list[str]:
        widths = (sizes.features, sizes.hidden, sizes.layers)
        return [*_stack(maker, "full", "large", widths, x, None), *kept(small, "full")]

    def fast() -> list[str]:
        widths = (sizes.features, sizes.small, sizes.layers)
        y, *new = _stack(maker, "fast", "small", widths, x, None)
        row = maker.reshape("fast.row", y, (1, sizes.small))
        dense = DenseLayer("fast.dense", sizes.small, sizes.hidden)
        row = maker.dense(dense, row, LSTM_OUTPUT_RMS, LSTM_OUTPUT_RMS)
        y = maker.reshape("fast.step", row, (1, 1, sizes.hidden))
        return [y, *kept(large, "fast"), *new]

    names = [f"{state}_next" for state in (*large, *small)]
    maker.choice(
        "pick", _arbitrated(maker, sizes, x), {"then": full, "else": fast}, ["encoded", *names]
    )
    _finish(maker, sizes.hidden, [(large, sizes.hidden), (small, sizes.small)])


# -- the table ----------------------------------------------------------------------------------

_AMNET = (
    "Reconstruction: no Amazon layer shape has been published; the idea (a branch per frame, chosen"
    " by an arbitrator, both branches on the same states) is that of arXiv 2108.01553. The"
    " arbitrator is not trained: how often it takes which branch means nothing."
)
_BIFOCAL = (
    "Reconstruction: no Amazon layer shape has been published; the idea (a small and a large"
    " encoder) is that of arXiv 2108.01704, which switches at the wake word. The arbitrator is not"
    " trained: how often it takes which branch means nothing."
)
_LARGE = BranchSizes(features=192, hidden=1024, layers=5, arbitrator=64, small=384)
_TINY = BranchSizes(features=24, hidden=40, layers=2, arbitrator=16)


def _parts(name: str, source: str, summary: str, build: Recipe) -> tuple[ZooEntry, ...]:
    make = partial(ZooEntry, name, label="reconstruction", source=source, bits=8, sparsity=0.0)
    return (
        make(part="encoder", summary=summary, frame_ms=30, net=build, branches=True),
        make(
            part="prediction",
            summary="RNN-T prediction net: embedding 4001 x 512, 2 x LSTM 1024; one step per word"
            " piece, 3 a second assumed.",
            frame_ms=333,
            net=Prediction(
                EmbeddingLayer("prediction.embedding", 4001, 512),
                lstm_stack("prediction", 512, 1024, 2),
            ),
        ),
        make(
            part="joint",
            summary="RNN-T joint net: dense 512 of each 1024, sum, tanh, dense 4001; one step per"
            " encoder output.",
            frame_ms=30,
            net=SumJoint(1024, 1024, symbols=4001, hidden=512, output_bits=8),
        ),
    )


ENTRIES: tuple[ZooEntry, ...] = (
    *_parts(
        "rnnt_amnet",
        _AMNET,
        "RNN-T encoder, 192 features each 30 ms, 5 x LSTM 1024 in two versions on the same states,"
        " dense or 90 % zeros, chosen in each frame by an arbitrator (LSTM 64, 2 scores). MACs are"
        " of both.",
        Recipe(partial(amortized, sizes=_LARGE)),
    ),
    *_parts(
        "rnnt_bifocal",
        _BIFOCAL,
        "RNN-T encoder, 192 features each 30 ms: 5 x LSTM 1024, or 5 x LSTM 384 and dense 1024,"
        " chosen in each frame by an arbitrator (LSTM 64, 2 scores). MACs are of both.",
        Recipe(partial(bifocal, sizes=_LARGE)),
    ),
    ZooEntry(
        "tiny_amnet",
        None,
        "24 features each 30 ms, 2 x LSTM 40 in two versions, dense or 90 % zeros, chosen by an"
        " arbitrator (LSTM 16); for tests and quick trials.",
        "made up",
        "Made up for this project.",
        30,
        8,
        0.0,
        Recipe(partial(amortized, sizes=_TINY)),
        branches=True,
    ),
)
