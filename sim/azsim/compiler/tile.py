"""Pass 4, tile: cut each weight matrix into tiles that fit a WBUF slot, and rows into accumulator
blocks.

A tile has whole row groups of the array (a multiple of `lanes` rows) and as many columns as the
slot allows. A block of rows shares one half of the accumulators: while VECTOR reads one half, the
array fills the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from azsim.config import ChipConfig
from azsim.errors import CompileError
from azsim.graph.integer import IntegerGraph, Linear

GROUP = 256  # weights; a tile is padded to a multiple


@dataclass(frozen=True)
class LinearTiling:
    """How one Linear node is cut.

    `tile_rows` x `tile_columns`: the grid of tiles over the (N, K) matrix, smaller at the edges.
    `block_rows`: rows that share one accumulator half (a multiple of tile_rows). `chunk_columns`:
    activation columns per pass over the weights.
    """

    rows: int
    columns: int
    tile_rows: int
    tile_columns: int
    block_rows: int
    activation_columns: int
    chunk_columns: int
    acc_stride: int  # accumulators of a lane per activation column

    @property
    def grid(self) -> tuple[int, int]:
        """Tiles down and across."""
        return -(-self.rows // self.tile_rows), -(-self.columns // self.tile_columns)

    def blocks(self) -> list[tuple[int, int]]:
        """Row ranges (begin, end) of the accumulator blocks."""
        step = self.block_rows
        return [(b, min(b + step, self.rows)) for b in range(0, self.rows, step)]

    def chunks(self) -> list[tuple[int, int]]:
        """Ranges (begin, end) of activation columns."""
        step, whole = self.chunk_columns, self.activation_columns
        return [(b, min(b + step, whole)) for b in range(0, whole, step)]


def tile_graph(graph: IntegerGraph, chip: ChipConfig) -> Mapping[str, LinearTiling]:
    """Return the tiling of each Linear node, by node name.

    Raises:
        CompileError: the chip has too few accumulators for two halves.
    """
    if chip.mac_array.accumulators_per_lane < 2:
        raise CompileError("mac_array.accumulators_per_lane: must be 2 or more for two halves")
    tilings = {}
    shapes: dict[int, tuple[int, int]] = {}
    for node in graph.nodes:
        if isinstance(node, Linear):
            tiling = _tiling(node, graph, chip)
            _same_grid(node, tiling, shapes)
            tilings[node.name] = tiling
    return tilings


def _same_grid(node: Linear, tiling: LinearTiling, shapes: dict[int, tuple[int, int]]) -> None:
    """Nodes that share a matrix share its stream, so they must share its grid of tiles."""
    grid = (tiling.tile_rows, tiling.tile_columns)
    if shapes.setdefault(id(node.weights), grid) != grid:
        raise CompileError(f"node '{node.name}': shared weights must be tiled alike")


def _tiling(node: Linear, graph: IntegerGraph, chip: ChipConfig) -> LinearTiling:
    lanes, slot = chip.mac_array.lanes, chip.wbuf.slot_weights
    rows, columns = node.weights.shape
    activation_columns = graph.tensors[node.x].size // columns
    tile_columns = _tile_columns(columns, slot // lanes, chip.mac_array.item_columns)
    groups_per_tile = max(1, slot // (lanes * tile_columns))
    half = chip.mac_array.accumulators_per_lane // 2
    tile_rows = lanes * min(groups_per_tile, half, -(-rows // lanes))
    chunk = min(activation_columns, max(1, half // (tile_rows // lanes)))
    block_rows = tile_rows * max(1, half // chunk // (tile_rows // lanes))
    block_rows = min(block_rows, tile_rows * -(-rows // tile_rows))
    return LinearTiling(
        rows,
        columns,
        tile_rows,
        tile_columns,
        block_rows,
        activation_columns,
        chunk,
        block_rows // lanes,
    )


def _tile_columns(columns: int, most: int, item: int) -> int:
    """Columns per tile: all if they fit, else even parts in whole items."""
    if columns <= most:
        return columns
    parts = -(-columns // most)
    even = -(-columns // parts)
    return min(most, -(-even // item) * item)


def padded_weights(rows: int, columns: int) -> int:
    """Weights of a tile with its padding."""
    return -(-rows * columns // GROUP) * GROUP


def verify_tiling(
    graph: IntegerGraph, tilings: Mapping[str, LinearTiling], chip: ChipConfig
) -> None:
    """Check the rules between tile and the passes after it.

    Raises:
        CompileError: a tile larger than its slot, or a block larger than an accumulator half.
    """
    half = chip.mac_array.accumulators_per_lane // 2
    for node in graph.nodes:
        if not isinstance(node, Linear):
            continue
        tiling = tilings[node.name]
        need = padded_weights(min(tiling.tile_rows, tiling.rows), tiling.tile_columns)
        if need > chip.wbuf.slot_weights:
            raise CompileError(
                f"node '{node.name}': a tile needs {need} weights,"
                f" a slot has {chip.wbuf.slot_weights}"
            )
        if tiling.chunk_columns * tiling.acc_stride > half:
            raise CompileError(
                f"node '{node.name}': a block needs {tiling.chunk_columns * tiling.acc_stride}"
                f" accumulators per lane, half of the array has {half}"
            )
        if np.any(np.array([tiling.tile_rows, tiling.block_rows]) % chip.mac_array.lanes):
            raise CompileError(f"node '{node.name}': tiles must have whole row groups")
