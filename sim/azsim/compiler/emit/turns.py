"""The commands of a section: its tracks take turns, so that MAC and VECTOR both have work.

VECTOR takes its commands in order, and a RESCALE among them waits for its products. So products go
first while VECTOR is still busy with what it has, by estimate, until they end; else VECTOR gets the
next part of its own work. The estimate decides the order of commands, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from azsim.compiler.emit.products import Step
from azsim.graph.integer import TRACK_VECTOR, Depthwise, IntegerGraph, IntegerNode
from azsim.graph.integer_window import Grid

PIECE_BEATS = 512  # of a window operator that takes turns with products


class Turns:
    """Merges the steps of tracks; the estimated time goes on from section to section."""

    def __init__(self) -> None:
        self._mac = self._vector = 0
        self._rescaled = [0, 0]  # when the accumulator halves are free again, the older one first

    def take(self, mac: Iterator[Step], vector: Iterator[Step]) -> None:
        """Run both iterators to their ends: each emits a step's commands when it is asked for the
        next one."""
        self._mac = max(self._mac, self._vector)  # products need what VECTOR has just made
        product, other = next(mac, None), next(vector, None)
        while product is not None or other is not None:
            if product is not None and (other is None or self._end(product) <= self._vector):
                self._mac = self._end(product)
                self._vector = max(self._vector, self._mac) + product[1]
                self._rescaled = [self._rescaled[1], self._vector]
                product = next(mac, None)
            else:
                assert other is not None  # the loop goes on only with one of them
                self._vector += other[1]
                other = next(vector, None)

    def _end(self, product: Step) -> int:
        return max(self._mac, self._rescaled[0]) + product[0]


def in_sections(graph: IntegerGraph) -> Iterator[list[IntegerNode]]:
    """The nodes of each section together; a node without one stands alone."""
    alone = iter(range(-1, -len(graph.nodes) - 1, -1))

    def key(node: IntegerNode) -> int:
        section = graph.sections.get(node.name)
        return next(alone) if section is None else section[0]

    for _, nodes in groupby(graph.nodes, key):
        yield list(nodes)


def track_of(graph: IntegerGraph, node: IntegerNode) -> int:
    """The track of a node of a section."""
    section = graph.sections.get(node.name)
    return TRACK_VECTOR if section is None else section[1]


def depthwise_pieces(node: Depthwise, lanes: int) -> list[Depthwise]:
    """A window operator as several that each take about `PIECE_BEATS`, the first outputs first."""
    groups = -(-node.channels // lanes)
    return [
        replace(node, grids=(piece,))
        for grid in node.grids
        for piece in _grid_pieces(grid, max(1, PIECE_BEATS // (groups * grid.taps)), node.channels)
    ]


def _grid_pieces(grid: Grid, most: int, channels: int) -> Iterator[Grid]:
    """Whole rows where several fit, else even parts of a row."""
    rows = max(1, most // grid.out_w)
    parts = -(-grid.out_w // most)
    width = -(-grid.out_w // parts)
    for row in range(0, grid.out_h, rows):
        for column in range(0, grid.out_w, width):
            yield replace(
                grid,
                source=grid.source + row * grid.step_h + column * grid.step_w,
                target=grid.target + (row * grid.out_w + column) * channels,
                out_h=min(rows, grid.out_h - row),
                out_w=min(width, grid.out_w - column),
            )
