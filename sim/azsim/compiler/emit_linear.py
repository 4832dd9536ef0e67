"""How a Linear node is worked off: blocks of rows, each with its tiles and its parameters in
DRAM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from azsim.compiler.image import DramImage
from azsim.compiler.place import PARAMETER_BUFFERS, PARAMETER_BYTES_PER_ROW
from azsim.compiler.residency import Residency
from azsim.compiler.tile import LinearTiling
from azsim.graph.integer import IntegerGraph, Linear


@dataclass(frozen=True)
class Block:
    """Rows [begin, end) of a Linear for activation columns [chunk_begin, chunk_end): one
    accumulator half.

    `half`, `buffer`: which accumulator half and parameter buffer; `parameters`: DRAM address of the
    rows' parameters.
    """

    node: Linear
    layer: int
    tiling: LinearTiling
    begin: int
    end: int
    chunk_begin: int
    chunk_end: int
    half: int
    buffer: int
    parameters: int

    @property
    def rows(self) -> int:
        """Rows of the block."""
        return self.end - self.begin

    @property
    def chunk_columns(self) -> int:
        """Activation columns of the block."""
        return self.chunk_end - self.chunk_begin

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the rows' multipliers, biases and shifts."""
        return PARAMETER_BYTES_PER_ROW * self.rows


def parameter_block(node: Linear, begin: int, end: int) -> npt.NDArray[np.uint8]:
    """Multiplier int32[rows], bias int32[rows], shift int8[rows] as bytes."""
    parts = (
        node.multiplier[begin:end].astype(np.int32),
        node.bias[begin:end].astype(np.int32),
        node.shift[begin:end].astype(np.int8),
    )
    return np.concatenate([part.view(np.uint8) for part in parts])


class BlockPlanner:
    """Hands out accumulator halves and parameter buffers in program order, and parameters in
    DRAM."""

    def __init__(self, image: DramImage, tilings: Mapping[str, LinearTiling]) -> None:
        self._image = image
        self._tilings = tilings
        self._count = 0

    def blocks(self, node: Linear, layer: int) -> list[Block]:
        """The blocks of one node, in the order in which they are computed."""
        tiling = self._tilings[node.name]
        addresses = [
            self._image.place(f"{node.name}/parameters", parameter_block(node, begin, end))
            for begin, end in tiling.blocks()
        ]
        result = []
        for chunk_begin, chunk_end in tiling.chunks():
            for (begin, end), address in zip(tiling.blocks(), addresses, strict=True):
                half, buffer = self._count % 2, self._count % PARAMETER_BUFFERS
                self._count += 1
                result.append(
                    Block(
                        node,
                        layer,
                        tiling,
                        begin,
                        end,
                        chunk_begin,
                        chunk_end,
                        half,
                        buffer,
                        address,
                    )
                )
        return result


@dataclass(frozen=True)
class TileUse:
    """One PRODUCT: program tile `tile` times the activations of `block`."""

    tile: int
    rows: int
    columns: int
    row_offset: int  # within the block
    column_offset: int
    clear: bool
    last: bool


def tile_uses(block: Block, residency: Residency) -> Iterator[TileUse]:
    """The block's tiles: row group by row group, the tiles across the columns back to back."""
    tiling = block.tiling
    placed = residency.placed[id(block.node.weights)]
    _, across = tiling.grid
    for row in range(block.begin // tiling.tile_rows, -(-block.end // tiling.tile_rows)):
        for column in range(across):
            tile = placed.first_tile + row * across + column
            yield TileUse(
                tile,
                int(residency.tiles["rows"][tile]),
                int(residency.tiles["columns"][tile]),
                row * tiling.tile_rows - block.begin,
                column * tiling.tile_columns,
                column == 0,
                column == across - 1,
            )


def activation_columns(graph: IntegerGraph, node: Linear) -> int:
    """Columns multiplied with each weight of `node` in one step."""
    return graph.tensors[node.x].size // int(node.weights.shape[1])
