"""Nodes that move bytes between ABUF and tensors that lie in DRAM (`IntegerTensor.in_dram`)."""

from __future__ import annotations

from dataclasses import dataclass

from azsim.graph.integer_ports import OneToOne


@dataclass(frozen=True)
class FetchRows(OneToOne):
    """`count` elements of y, in ABUF, from `near` on become those of x, in DRAM, from `offset` on.
    Several such nodes may fill one tensor."""

    name: str
    x: str
    y: str
    offset: int
    count: int
    near: int = 0


@dataclass(frozen=True)
class SpillRows(OneToOne):
    """`count` elements of y, in DRAM, from `offset` on become those of x, in ABUF, from `near` on.
    Several such nodes fill one tensor."""

    name: str
    x: str
    y: str
    offset: int
    count: int
    near: int = 0
