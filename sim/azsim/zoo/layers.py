"""The layers a shipped net is made of: sizes, from which tables and models are both made."""

from __future__ import annotations

from dataclasses import dataclass

EMBEDDING_BITS = 8  # rows of a table are activations, which are 8 bits wide


@dataclass(frozen=True)
class LstmLayer:
    """An LSTM layer; `time_steps` is how often one step of the graph runs it.

    `recurrent`: width of what is fed back, where the output is projected before it is (the
    projection is a DenseLayer of its own). `gates`: 3 where the forget gate is 1 - input gate.
    """

    name: str
    features: int
    hidden: int
    time_steps: int = 1
    recurrent: int | None = None
    gates: int = 4

    @property
    def columns(self) -> int:
        """Inputs of each gate: features and what is fed back."""
        return self.features + (self.hidden if self.recurrent is None else self.recurrent)

    @property
    def parameters(self) -> int:
        """Weights and one bias per gate (ONNX stores two bias vectors, the second is zero here)."""
        return self.gates * self.hidden * (self.columns + 1)

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates per step of the graph."""
        return self.time_steps * self.gates * self.hidden * self.columns


@dataclass(frozen=True)
class DenseLayer:
    """A dense layer; `bits` overrides the net's weight width, `rows` vectors are multiplied per
    step."""

    name: str
    features: int
    columns: int
    bits: int | None = None
    rows: int = 1
    bias: bool = True

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.columns * (self.features + self.bias)

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates per step of the graph."""
        return self.rows * self.columns * self.features


@dataclass(frozen=True)
class EmbeddingLayer:
    """A table of `rows` vectors, one of which is fetched per step."""

    name: str
    rows: int
    features: int

    @property
    def parameters(self) -> int:
        """Elements of the table."""
        return self.rows * self.features

    @property
    def macs(self) -> int:
        """A row is fetched, nothing is multiplied."""
        return 0


@dataclass(frozen=True)
class CountedLayer:
    """Any other layer, by its counts: convolutions, norms, products of two computed tensors.

    `parameters`: weights, biases, gains; `macs`: dense multiply-accumulates per step.
    """

    name: str
    parameters: int
    macs: int = 0


Layer = LstmLayer | DenseLayer | EmbeddingLayer | CountedLayer


def lstm_stack(
    name: str, features: int, hidden: int, layers: int, time_steps: int = 1
) -> tuple[LstmLayer, ...]:
    """Return `layers` LSTM layers NAME.0, NAME.1, ... of equal width, one on top of the other."""
    widths = (features, *[hidden] * (layers - 1))
    return tuple(
        LstmLayer(f"{name}.{number}", width, hidden, time_steps)
        for number, width in enumerate(widths)
    )
