"""The layers a shipped net is made of: sizes, from which tables and models are both made."""

from __future__ import annotations

from dataclasses import dataclass

EMBEDDING_BITS = 8  # rows of a table are activations, which are 8 bits wide


@dataclass(frozen=True)
class LstmLayer:
    """An LSTM layer; `time_steps` is how often one step of the graph runs it."""

    name: str
    features: int
    hidden: int
    time_steps: int = 1

    @property
    def parameters(self) -> int:
        """Weights and one bias per gate (ONNX stores two bias vectors, the second is zero here)."""
        return 4 * self.hidden * (self.features + self.hidden + 1)

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates per step of the graph."""
        return self.time_steps * 4 * self.hidden * (self.features + self.hidden)


@dataclass(frozen=True)
class DenseLayer:
    """A dense layer with bias; `bits` overrides the net's weight width."""

    name: str
    features: int
    columns: int
    bits: int | None = None

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.columns * (self.features + 1)

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates per step of the graph."""
        return self.columns * self.features


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


Layer = LstmLayer | DenseLayer | EmbeddingLayer


def lstm_stack(
    name: str, features: int, hidden: int, layers: int, time_steps: int = 1
) -> tuple[LstmLayer, ...]:
    """Return `layers` LSTM layers NAME.0, NAME.1, ... of equal width, one on top of the other."""
    widths = (features, *[hidden] * (layers - 1))
    return tuple(
        LstmLayer(f"{name}.{number}", width, hidden, time_steps)
        for number, width in enumerate(widths)
    )
