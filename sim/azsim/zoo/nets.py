"""The kinds of nets that are shipped: which layers they have and how these are joined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from azsim.zoo.layers import DenseLayer, EmbeddingLayer, Layer, LstmLayer
from azsim.zoo.model import LSTM_OUTPUT_RMS, NetMaker

EMBEDDING_RMS = 1.0
# For sums in front of an activation function, taken as normal of deviation 1:
RELU_RMS = 0.71  # Relu leaves half of the power
TANH_RMS = 0.63
HALF_DEVIATION = 0.71  # two such halves add up to deviation 1


class Net(Protocol):
    """One graph: its layers in order of execution, and how to build it."""

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer with weights."""
        ...

    def make(self, maker: NetMaker) -> None:
        """Add inputs, layers and outputs."""
        ...


@dataclass(frozen=True)
class Encoder:
    """LSTM layers over features (time steps, 1, features); result `result` (1, 1, hidden).

    If there are `post` layers, the vectors of all time steps of the `pre` layers are stacked to
    one, on which the `post` layers run once.
    """

    features_rms: float
    pre: tuple[LstmLayer, ...]
    post: tuple[LstmLayer, ...] = ()
    result: str = "encoded"

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self.pre + self.post

    def make(self, maker: NetMaker) -> None:
        first, last = self.pre[0], self.pre[-1]
        x = maker.input("features", (first.time_steps, 1, first.features))
        x = maker.lstms(self.pre, x, self.features_rms)
        if self.post:
            x = maker.reshape("stack_time", x, (1, 1, last.time_steps * last.hidden))
            x = maker.lstms(self.post, x, LSTM_OUTPUT_RMS)
            last = self.post[-1]
        _finish(maker, "encoder.output", x, self.result, last.hidden)


@dataclass(frozen=True)
class Prediction:
    """Row number `token` (1, 1) -> embedding -> LSTM layers -> `result` (1, 1, hidden)."""

    embedding: EmbeddingLayer
    lstms: tuple[LstmLayer, ...]
    result: str = "predicted"

    @property
    def layers(self) -> tuple[Layer, ...]:
        return (self.embedding, *self.lstms)

    def make(self, maker: NetMaker) -> None:
        x = maker.embedding(self.embedding, maker.index_input("token", (1, 1)), EMBEDDING_RMS)
        x = maker.lstms(self.lstms, x, EMBEDDING_RMS)
        _finish(maker, "prediction.output", x, self.result, self.lstms[-1].hidden)


@dataclass(frozen=True)
class ConcatJoint:
    """`encoded` and `predicted` side by side -> dense, Relu -> dense -> `logits` (1, symbols)."""

    encoded: int
    predicted: int
    symbols: int
    hidden: int
    output_bits: int

    @property
    def layers(self) -> tuple[DenseLayer, DenseLayer]:
        return (
            DenseLayer("joint.hidden", self.encoded + self.predicted, self.hidden),
            DenseLayer("joint.output", self.hidden, self.symbols, self.output_bits),
        )

    def make(self, maker: NetMaker) -> None:
        hidden, output = self.layers
        parts = [
            maker.reshape(f"joint.{name}", maker.input(name, (1, 1, width)), (1, width))
            for name, width in (("encoded", self.encoded), ("predicted", self.predicted))
        ]
        x = maker.operator("Concat", "joint.concat", parts, axis=1)
        x = maker.dense(hidden, x, LSTM_OUTPUT_RMS)
        x = maker.operator("Relu", "joint.relu", [x])
        maker.dense(output, x, RELU_RMS, result="logits")
        maker.output("logits", (1, self.symbols))


@dataclass(frozen=True)
class SumJoint:
    """Dense of `encoded` + dense of `predicted`, Tanh -> dense -> `logits` (1, symbols).

    `input_rms`: root mean square expected of both vectors.
    """

    encoded: int
    predicted: int
    symbols: int
    hidden: int
    output_bits: int
    input_rms: float = LSTM_OUTPUT_RMS

    @property
    def layers(self) -> tuple[DenseLayer, DenseLayer, DenseLayer]:
        return (
            DenseLayer("joint.encoded", self.encoded, self.hidden),
            DenseLayer("joint.predicted", self.predicted, self.hidden),
            DenseLayer("joint.output", self.hidden, self.symbols, self.output_bits),
        )

    def make(self, maker: NetMaker) -> None:
        *halves, output = self.layers
        sums = []
        for name, layer in zip(("encoded", "predicted"), halves, strict=True):
            x = maker.input(name, (1, 1, layer.features))
            x = maker.reshape(f"{layer.name}.row", x, (1, layer.features))
            sums.append(maker.dense(layer, x, self.input_rms, HALF_DEVIATION))
        x = maker.operator("Add", "joint.sum", sums)
        x = maker.operator("Tanh", "joint.tanh", [x])
        maker.dense(output, x, TANH_RMS, result="logits")
        maker.output("logits", (1, self.symbols))


@dataclass(frozen=True)
class Classifier:
    """Features (1, 1, n) -> LSTM layers -> dense -> `scores` (1, classes)."""

    features_rms: float
    lstms: tuple[LstmLayer, ...]
    dense: DenseLayer

    @property
    def layers(self) -> tuple[Layer, ...]:
        return (*self.lstms, self.dense)

    def make(self, maker: NetMaker) -> None:
        x = maker.input("features", (1, 1, self.lstms[0].features))
        x = maker.lstms(self.lstms, x, self.features_rms)
        x = maker.reshape("flatten", x, (1, self.dense.features))
        maker.dense(self.dense, x, LSTM_OUTPUT_RMS, result="scores")
        maker.output("scores", (1, self.dense.columns))


@dataclass(frozen=True)
class Decision:
    """Vectors (1, 1, n) side by side -> dense, Relu, twice -> dense -> `scores` (1, classes)."""

    inputs: tuple[tuple[str, int], ...]  # name, width
    hidden: int
    classes: int

    @property
    def layers(self) -> tuple[DenseLayer, DenseLayer, DenseLayer]:
        return (
            DenseLayer("decision.0", sum(width for _, width in self.inputs), self.hidden),
            DenseLayer("decision.1", self.hidden, self.hidden),
            DenseLayer("decision.output", self.hidden, self.classes),
        )

    def make(self, maker: NetMaker) -> None:
        parts = [
            maker.reshape(f"decision.{name}", maker.input(name, (1, 1, width)), (1, width))
            for name, width in self.inputs
        ]
        x = maker.operator("Concat", "decision.concat", parts, axis=1)
        rms = LSTM_OUTPUT_RMS
        *hidden, output = self.layers
        for layer in hidden:
            x = maker.operator("Relu", f"{layer.name}.relu", [maker.dense(layer, x, rms)])
            rms = RELU_RMS
        maker.dense(output, x, rms, result="scores")
        maker.output("scores", (1, self.classes))


@cache
def _layers_of(build: Callable[[NetMaker], None]) -> tuple[Layer, ...]:
    maker = NetMaker("", 8, 0.0, 0, 0, draws=False)
    build(maker)
    return tuple(maker.layers)


@dataclass(frozen=True)
class Recipe:
    """A net given by the function that builds it; its layers are those the function adds."""

    build: Callable[[NetMaker], None]

    @property
    def layers(self) -> tuple[Layer, ...]:
        return _layers_of(self.build)

    def make(self, maker: NetMaker) -> None:
        self.build(maker)


def _finish(maker: NetMaker, name: str, x: str, result: str, width: int) -> None:
    """Give value `x` (1, 1, width) the name of a graph output."""
    maker.operator("Identity", name, [x], result)
    maker.output(result, (1, 1, width))
