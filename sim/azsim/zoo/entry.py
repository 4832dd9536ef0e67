"""One row of the table of shipped nets."""

from __future__ import annotations

from dataclasses import dataclass

from azsim.zoo.layers import Layer
from azsim.zoo.nets import Net


@dataclass(frozen=True)
class ZooEntry:
    """One part of a shipped net. `bits` and `sparsity` are what it is meant to be run with;
    `branches`: it chooses one in each step."""

    name: str
    part: str | None
    summary: str
    label: str  # what its shapes are: "reconstruction", "public shapes" or "made up"
    source: str
    frame_ms: int
    bits: int
    sparsity: float
    net: Net
    trained: bool = False  # weights of `azsim.zoo.trained` instead of random ones
    branches: bool = False

    @property
    def full_name(self) -> str:
        """`name:part`, or the name alone if the net has one part."""
        return self.name if self.part is None else f"{self.name}:{self.part}"

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers with weights, in order of execution."""
        return self.net.layers

    @property
    def parameters(self) -> int:
        """Weights, embeddings and biases; zeros are counted, an LSTM's second bias is not."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Dense multiply-accumulates of one step (`frame_ms`)."""
        return sum(layer.macs for layer in self.layers)
