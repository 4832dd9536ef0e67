"""Nodes that move bytes between ABUF and tensors that lie in DRAM (`IntegerTensor.in_dram`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FetchRows:
    """`count` elements of y, in ABUF, from `near` on become those of x, in DRAM, from `offset` on.
    Several such nodes may fill one tensor."""

    name: str
    x: str
    y: str
    offset: int
    count: int
    near: int = 0

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return (self.x,)

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the tensors it writes."""
        return (self.y,)


@dataclass(frozen=True)
class SpillRows:
    """`count` elements of y, in DRAM, from `offset` on become those of x, in ABUF, from `near` on.
    Several such nodes fill one tensor."""

    name: str
    x: str
    y: str
    offset: int
    count: int
    near: int = 0

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return (self.x,)

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the tensors it writes."""
        return (self.y,)
