"""Pass 6, tile: cut each weight matrix into tiles that fit a WBUF slot, and rows into accumulator
blocks.

A tile has whole row groups of the array (a multiple of `lanes` rows) and as many columns as the
slot allows. A block of rows shares one half of the accumulators: while VECTOR reads one half, the
array fills the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from azsim.config import ChipConfig
from azsim.errors import CompileError
from azsim.graph.integer import IntegerGraph, Linear, MatmulRows
from azsim.graph.integer_window import Window, plain_window

GROUP = 256  # weights; a tile is padded to a multiple


@dataclass(frozen=True)
class LinearTiling:
    """How one Linear node is cut.

    `tile_rows` x `tile_columns`: the grid of tiles over the (N, K) matrix, smaller at the edges.
    `block_rows`: rows that share one accumulator half (a multiple of tile_rows). `chunk_columns`:
    activation columns (output positions) at a time; where they fill only a part of a row of
    `row_positions`, no chunk reaches into the next row. `keeps`: the tiles of a block of rows stay
    in their slots for all chunks; else each chunk fetches them again.
    """

    rows: int
    columns: int
    tile_rows: int
    tile_columns: int
    block_rows: int
    activation_columns: int
    chunk_columns: int
    acc_stride: int  # accumulators of a lane per activation column
    row_positions: int = 0  # 0: all of them
    keeps: bool = False

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
        row = self.row_positions if 0 < step < self.row_positions else whole
        return [
            (begin, min(begin + step, first + row))
            for first in range(0, whole, row)
            for begin in range(first, first + row, step)
        ]

    @property
    def fetches(self) -> int:
        """How often one step fetches each tile."""
        return 1 if self.keeps else len(self.chunks())


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
            rows, columns = node.weights.shape
            tiling = _tiling((int(rows), int(columns)), product_window(graph, node), chip)
            _same_grid(node, tiling, shapes)
            tilings[node.name] = tiling
        elif isinstance(node, MatmulRows):
            window = plain_window(node.rows, node.columns)
            tiling = _tiling((node.outputs, node.columns), window, chip)
            tilings[node.name] = replace(tiling, keeps=False)
    return tilings


def _same_grid(node: Linear, tiling: LinearTiling, shapes: dict[int, tuple[int, int]]) -> None:
    """Nodes that share a matrix share its stream, so they must share its grid of tiles."""
    grid = (tiling.tile_rows, tiling.tile_columns)
    if shapes.setdefault(id(node.weights), grid) != grid:
        raise CompileError(f"node '{node.name}': shared weights must be tiled alike")


def _tiling(shape: tuple[int, int], window: Window, chip: ChipConfig) -> LinearTiling:
    lanes, slot = chip.mac_array.lanes, chip.wbuf.slot_weights
    rows, columns = shape
    segments = len(window.segments)
    tile_columns = _tile_columns(columns, segments, slot // lanes, chip.mac_array.item_columns)
    half = chip.mac_array.accumulators_per_lane // 2
    groups_per_tile = min(max(1, slot // (lanes * tile_columns)), half)
    tile_rows = lanes * min(groups_per_tile, -(-rows // lanes))
    if window.groups > 1:
        tile_rows = _divisor(rows // window.groups, lanes * groups_per_tile)
    stride = -(-tile_rows // lanes)
    chunk = _chunk(window, max(1, half // stride))
    down = 1 if window.groups > 1 else max(1, half // chunk // stride)
    across = -(-columns // tile_columns)
    has_chunks = chunk < window.positions
    if has_chunks:  # tiles that stay must fit the slots, if they can with room for the next ones
        down = max(1, min(down, chip.wbuf.tile_slots // 2 // across))
    block_rows = min(tile_rows * down, tile_rows * -(-rows // tile_rows))
    return LinearTiling(
        rows,
        columns,
        tile_rows,
        tile_columns,
        block_rows,
        window.positions,
        chunk,
        -(-block_rows // lanes),
        0 if window.out_w == window.positions else window.out_w,
        has_chunks and across * (block_rows // tile_rows) <= chip.wbuf.tile_slots,
    )


def product_window(graph: IntegerGraph, node: Linear) -> Window:
    """Where a product finds its activations."""
    if node.window is not None:
        return node.window
    columns = int(node.weights.shape[1])
    return plain_window(graph.tensors[node.x].size // columns, columns)


def _chunk(window: Window, most: int) -> int:
    """Positions at a time: whole rows where several fit, else even parts of a row."""
    positions, row = window.positions, window.out_w
    if positions <= most:
        return positions
    if row == positions:
        return most
    if row <= most:
        return most - most % row
    return -(-row // -(-row // most))


def _divisor(whole: int, most: int) -> int:
    """The largest divisor of `whole` that is at most `most`."""
    return next(d for d in range(min(whole, most), 0, -1) if whole % d == 0)


def _tile_columns(columns: int, segments: int, most: int, item: int) -> int:
    """Columns per tile: all of a segment if they fit, else even parts: in whole items, or if there
    are several segments so that no tile reaches over the end of one."""
    length = columns // segments
    if length <= most:
        return length
    parts = -(-length // most)
    if segments > 1:
        return _divisor(length, most)
    even = -(-length // parts)
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
        if not isinstance(node, (Linear, MatmulRows)):
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
        is_cut = np.any(np.array([tiling.tile_rows, tiling.block_rows]) % chip.mac_array.lanes)
        if is_cut and tiling.tile_rows != tiling.block_rows:
            raise CompileError(f"node '{node.name}': tiles must have whole row groups")
