"""Rough cycles of nodes, for choices between programs that mean the same. Never part of a result:
what a choice costs is simulated."""

from __future__ import annotations

import numpy as np

from azsim.config import ChipConfig
from azsim.graph.integer import (
    Depthwise,
    FetchRows,
    IntegerGraph,
    IntegerNode,
    Linear,
    Pool,
    SpillRows,
    View,
)
from azsim.units import ceil_div

CONFLICTS = 3, 2  # cycles of a VECTOR beat with what bank conflicts usually add


def vector_cycles(beats: int) -> int:
    """Cycles of so many beats of VECTOR."""
    return ceil_div(beats * CONFLICTS[0], CONFLICTS[1])


def product_cycles(chip: ChipConfig, rows: int, columns: int, positions: int) -> int:
    """MAC cycles of a matrix of `rows` x `columns` weights times `positions` columns."""
    array = chip.mac_array
    return positions * ceil_div(rows, array.lanes) * ceil_div(columns, array.macs_per_lane)


def rescale_cycles(chip: ChipConfig, rows: int, positions: int) -> int:
    """VECTOR cycles of the results of a product."""
    return vector_cycles(positions * ceil_div(rows, chip.vector.lanes))


def node_cycles(graph: IntegerGraph, node: IntegerNode, chip: ChipConfig) -> tuple[int, int]:
    """MAC and VECTOR cycles of one node."""
    lanes = chip.vector.lanes
    size = sum(graph.tensors[name].size for name in node.writes)
    if isinstance(node, Linear):
        rows, columns = len(node.weights), node.weights.shape[1]
        dense = int(np.count_nonzero(node.weights)) if chip.mac_array.skip != "none" else 0
        share = dense or node.weights.size
        mac = product_cycles(chip, rows, columns, size // rows) * share // max(1, node.weights.size)
        return mac, rescale_cycles(chip, rows, size // rows)
    if isinstance(node, Depthwise | Pool):
        taps = sum(grid.outputs * (grid.taps + 1) for grid in node.grids)
        return 0, vector_cycles(taps * ceil_div(node.channels, lanes))
    is_free = isinstance(node, View | FetchRows | SpillRows)
    return 0, 0 if is_free else vector_cycles(ceil_div(size, lanes))
