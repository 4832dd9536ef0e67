"""How a Linear node is worked off: blocks of rows, each with its tiles and its parameters in
DRAM."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from azsim.compiler.emit.image import DramImage
from azsim.compiler.place import PARAMETER_BUFFERS, PARAMETER_BYTES_PER_ROW
from azsim.compiler.residency import Residency
from azsim.compiler.tile import LinearTiling, product_window
from azsim.graph.integer import IntegerGraph, Linear, MatmulRows
from azsim.graph.integer_window import Window


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
    window: Window

    @property
    def is_first_chunk(self) -> bool:
        """True if the rows' parameters must be loaded before this block."""
        return self.chunk_begin == 0

    @property
    def fetches(self) -> bool:
        """True if this block's tiles must be fetched, False if they are still in their slots."""
        return self.is_first_chunk or not self.tiling.keeps

    @property
    def frees(self) -> bool:
        """True if the tiles are not needed any more behind this block."""
        return self.chunk_end == self.tiling.activation_columns or not self.tiling.keeps

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


@dataclass(frozen=True)
class PackedBlock:
    """Rows [begin, end) of the packed operand of a MatmulRows, one of its products, for activation
    columns [chunk_begin, chunk_end).

    `a`, `b`, `y`: elements in front of the product's matrices; the rest as in Block.
    """

    node: MatmulRows
    layer: int
    tiling: LinearTiling
    begin: int
    end: int
    chunk_begin: int
    chunk_end: int
    half: int
    buffer: int
    parameters: int
    a: int
    b: int
    y: int

    @property
    def rows(self) -> int:
        """Rows of the block."""
        return self.end - self.begin

    @property
    def tiles(self) -> int:
        """Tiles of the block."""
        return -(-self.rows // self.tiling.tile_rows) * self.tiling.grid[1]

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

    def __init__(
        self, graph: IntegerGraph, image: DramImage, tilings: Mapping[str, LinearTiling]
    ) -> None:
        self._graph = graph
        self._image = image
        self._tilings = tilings
        self._halves = self._buffers = 0
        self._parameters: dict[tuple[int, int, int], int] = {}  # blocks of a layer share them

    def blocks(self, node: Linear, layer: int) -> list[Block]:
        """The blocks of one node, in the order in which they are computed: for the same rows all
        chunks of columns."""
        tiling, window = self._tilings[node.name], product_window(self._graph, node)
        result = []
        for begin, end in tiling.blocks():
            key = (id(node.multiplier), begin, end)
            if key not in self._parameters:
                block = parameter_block(node, begin, end)
                self._parameters[key] = self._image.place(f"{node.name}/parameters", block)
            address = self._parameters[key]
            buffer, self._buffers = self._buffers % PARAMETER_BUFFERS, self._buffers + 1
            for chunk in tiling.chunks():
                half, self._halves = self._halves % 2, self._halves + 1
                made = Block(node, layer, tiling, begin, end, *chunk, half, buffer, address, window)
                result.append(made)
        return result

    def packed_blocks(self, node: MatmulRows, layer: int) -> list[PackedBlock]:
        """The blocks of a product of two computed tensors: matrix by matrix, all rows alike."""
        tiling, addresses = self._tilings[node.name], dict[int, int]()
        bias = node.columns * self._graph.tensors[node.a].zero_point
        bias *= self._graph.tensors[node.b].zero_point
        result = []
        for offsets in node.batches:
            for begin, end in tiling.blocks():
                rows = end - begin
                if rows not in addresses:
                    data = uniform_parameters(node.multiplier, bias, node.shift, rows)
                    addresses[rows] = self._image.place(f"{node.name}/parameters", data)
                for chunk in tiling.chunks():
                    buffer, self._buffers = self._buffers % PARAMETER_BUFFERS, self._buffers + 1
                    half, self._halves = self._halves % 2, self._halves + 1
                    address = addresses[rows]
                    made = PackedBlock(
                        node, layer, tiling, begin, end, *chunk, half, buffer, address, *offsets
                    )
                    result.append(made)
        return result


def uniform_parameters(multiplier: int, bias: int, shift: int, rows: int) -> npt.NDArray[np.uint8]:
    """The same multiplier, bias and shift for each of `rows` rows, laid out as by
    `parameter_block`."""
    parts = (
        np.full(rows, multiplier, np.int32),
        np.full(rows, bias, np.int32),
        np.full(rows, shift, np.int8),
    )
    return np.concatenate([part.view(np.uint8) for part in parts])


@dataclass(frozen=True)
class TileUse:
    """One tile of a block: program tile `tile` times the activations of the block.

    `fetch`: number of its FETCH in the step; `offset`: bytes from a position's start to the first
    activation of the tile.
    """

    tile: int
    fetch: int
    rows: int
    columns: int
    row_offset: int  # within the block
    offset: int
    clear: bool
    last: bool


def tile_uses(block: Block, residency: Residency, first_fetch: int) -> Iterator[TileUse]:
    """The block's tiles: row group by row group, the tiles across the columns back to back."""
    tiling, window = block.tiling, block.window
    placed = residency.placed[id(block.node.weights)]
    _, across = tiling.grid
    length = tiling.columns // len(window.segments)
    for row in range(block.begin // tiling.tile_rows, -(-block.end // tiling.tile_rows)):
        group = row * tiling.tile_rows // (tiling.rows // window.groups)
        for column in range(across):
            tile = placed.first_tile + row * across + column
            segment, within = divmod(column * tiling.tile_columns, length)
            yield TileUse(
                tile,
                first_fetch,
                int(residency.tiles["rows"][tile]),
                int(residency.tiles["columns"][tile]),
                row * tiling.tile_rows - block.begin,
                group * window.group_step + window.segments[segment] + within,
                column == 0,
                column == across - 1,
            )
            first_fetch += 1
