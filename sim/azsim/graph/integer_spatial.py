"""Nodes of the integer graph that work on channels-last images without the MAC array."""

from __future__ import annotations

from dataclasses import dataclass

from azsim.graph.integer_ports import OneToOne
from azsim.graph.integer_window import Grid


@dataclass(frozen=True)
class Depthwise:
    """y[p, c] = out(rescale(bias[c] + sum over taps of x[p, tap, c] * weights[tap, c])): a
    convolution channel by channel, int8 to int8.

    `weights`: constant int8 tensor (taps, channels); `parameters`: constant of 9 bytes per channel
    as a RESCALE has them (multiplier int32, bias int32, shift int8; the zero point of x is folded
    into the bias). One `grid` per image.
    """

    name: str
    x: str
    y: str
    weights: str
    parameters: str
    channels: int
    grids: tuple[Grid, ...]
    relu: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return (self.x, self.weights, self.parameters)

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the tensors it writes."""
        return (self.y,)


@dataclass(frozen=True)
class Pool(OneToOne):
    """y[p, c] = out(rescale(sum, or largest, over the window of (x - zx))), int8 to int8.

    `factors`: multiplier and shift of each grid; grids that cover equally many counted elements
    have the same.
    """

    name: str
    x: str
    y: str
    kind: str  # "sum" or "max"
    channels: int
    grids: tuple[Grid, ...]
    factors: tuple[tuple[int, int], ...]
