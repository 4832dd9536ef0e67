"""Commands of products of two computed tensors: PACK, PRODUCT, RESCALE.

The second operand is packed into WBUF slots tile by tile, in the order of all tiles of the step.
Zero points are taken off exactly: with z and w those of a and b,

    sum (a - z)(b - w) = sum a b  +  sum (-z) b  +  sum a (-w)  +  K z w

The second sum multiplies the tile in its slot by a vector of constants, the third packs a tile of
constants, the fourth is the bias of RESCALE. -z and -w may be 128: they are then two terms of 64.
"""

from __future__ import annotations

from azsim.compiler.emit.builder import Access, Command, ProgramBuilder
from azsim.compiler.emit.linear import BlockPlanner, PackedBlock
from azsim.compiler.emit.products import ProductEmitter
from azsim.compiler.emit.vector import TYPES, VectorEmitter
from azsim.compiler.place import Placement
from azsim.config import ChipConfig
from azsim.graph.integer import IntegerGraph, MatmulRows
from azsim_kernels import isa

WEIGHT_BITS = 8


class PackedEmitter:
    """Emits MatmulRows nodes in the order in which they were planned."""

    def __init__(
        self,
        graph: IntegerGraph,
        placement: Placement,
        chip: ChipConfig,
        builder: ProgramBuilder,
        products: ProductEmitter,
        vector: VectorEmitter,
    ) -> None:
        self._graph, self._placement, self._chip = graph, placement, chip
        self._builder, self._products, self._vector = builder, products, vector
        self._planned: dict[str, list[tuple[PackedBlock, int]]] = {}

    def plan(self, planner: BlockPlanner, node: MatmulRows, layer: int) -> None:
        """Put a node at the end of the order of blocks and tiles."""
        blocks = planner.packed_blocks(node, layer)
        terms = 1 + len(node.b_constants)  # tiles that take the place of one
        self._planned[node.name] = [
            (block, self._products.plan_packed(block, terms)) for block in blocks
        ]

    def emit(self, node: MatmulRows) -> None:
        """Append the commands of a planned node."""
        for block, first in self._planned[node.name]:
            self._products.load_next_parameters(block)
            number = first
            across = block.tiling.grid[1]
            for row in range(block.begin, block.end, block.tiling.tile_rows):
                rows = min(block.tiling.tile_rows, block.end - row)
                for column in range(across):
                    number = self._tile(block, number, (row, rows), column)
            self._rescale(block)

    def _tile(self, block: PackedBlock, number: int, place: tuple[int, int], column: int) -> int:
        """All products of one tile of b; return the number of the next tile."""
        node, tiling = block.node, block.tiling
        row, rows = place
        first = column * tiling.tile_columns
        columns = min(tiling.tile_columns, tiling.columns - first)
        is_last = column == tiling.grid[1] - 1
        shape = (rows, columns)
        source = block.b + row * node.b_row_stride + first * node.b_column_stride
        self._pack(block, number, shape, source)
        start = block.a + block.chunk_begin * node.columns + first
        target = self._target(block, row)
        ends = is_last and not node.b_constants
        vectors = [(self._vector.where(node.a) + start, node.columns)]
        vectors += [(self._vector.where(name), 0) for name in node.a_constants]
        for place_, vector in enumerate(vectors):
            at_end = place_ == len(vectors) - 1
            uses = (place_ == 0, at_end)
            flags = (column == 0 and place_ == 0, ends and at_end)
            self._product(block, number, shape, vector, target, uses, flags)
        number += 1
        self._products.free_tiles(1)
        for place_, name in enumerate(node.b_constants):
            self._pack_constant(block, number, shape, name)
            flags = (False, is_last and place_ == len(node.b_constants) - 1)
            self._product(block, number, shape, vectors[0], target, (True, True), flags)
            number += 1
            self._products.free_tiles(1)
        return number

    def _target(self, block: PackedBlock, row: int) -> int:
        """First accumulator of a row of tiles."""
        half = block.half * (self._chip.mac_array.accumulators_per_lane // 2)
        return half + (row - block.begin) // self._chip.mac_array.lanes

    # -- commands

    def _pack(self, block: PackedBlock, number: int, shape: tuple[int, int], source: int) -> None:
        node = block.node
        address = self._vector.where(node.b) + source
        span = (shape[0] - 1) * node.b_row_stride + (shape[1] - 1) * node.b_column_stride + 1
        strides = (node.b_row_stride, node.b_column_stride)
        self._add_pack(block, number, shape, (address, span), strides)

    def _pack_constant(
        self, block: PackedBlock, number: int, shape: tuple[int, int], name: str
    ) -> None:
        self._add_pack(block, number, shape, (self._vector.where(name), 1), (0, 0))

    def _add_pack(
        self,
        block: PackedBlock,
        number: int,
        shape: tuple[int, int],
        source: tuple[int, int],
        strides: tuple[int, int],
    ) -> None:
        order = self._products.order
        self._products.fetch_ahead()
        arg = (order.slot(number), source[0], *shape, *strides)
        waits, signals = [order.free(number)], [order.ready(number)]
        command = Command(isa.VECTOR, isa.PACK, arg, block.layer, 0, waits, signals)
        self._builder.add(command, [Access("abuf", source[0], source[0] + source[1])])

    def _product(
        self,
        block: PackedBlock,
        number: int,
        shape: tuple[int, int],
        vector: tuple[int, int],
        target: int,
        uses: tuple[bool, bool],
        flags: tuple[bool, bool],
    ) -> None:
        """One PRODUCT: `vector` address and stride of the activations, `uses` whether it is the
        first and the last of the tile, `flags` whether it clears and whether it is the last of the
        block's sums."""
        order, stride = self._products.order, block.tiling.acc_stride
        (rows, columns), (begin, step), count = shape, vector, block.chunk_columns
        arg = (
            order.slot(number), rows, columns, begin, count, step, target, stride, int(flags[0]),
            WEIGHT_BITS, 0, int(flags[1]),
        )  # fmt: skip
        waits = [order.ready(number)] if uses[0] else []
        signals = order.freeing(number) if uses[1] else []
        used = (count - 1) * stride + -(-rows // self._chip.mac_array.lanes)
        accumulators = [Access("accumulators", target, target + used)]
        reads = [Access("abuf", begin, begin + (count - 1) * step + columns)]
        self._builder.add(
            Command(isa.MAC, isa.PRODUCT, arg, block.layer, 0, waits, signals),
            reads if flags[0] else reads + accumulators,
            accumulators,
        )

    def _rescale(self, block: PackedBlock) -> None:
        node, columns = block.node, block.tiling.rows
        y = self._graph.tensors[node.y]
        first = block.y + block.chunk_begin * columns + block.begin
        dst = self._vector.where(node.y) + first
        base = block.half * (self._chip.mac_array.accumulators_per_lane // 2)
        stride = block.tiling.acc_stride
        parameters = self._placement.parameters[block.buffer]
        arg = (
            block.rows, base, block.chunk_columns, stride, parameters, dst, columns,
            TYPES[y.element], y.zero_point, 0, 0, 0,
        )  # fmt: skip
        lanes = -(-block.rows // self._chip.mac_array.lanes)
        used = (block.chunk_columns - 1) * stride + lanes
        reads = [
            Access("abuf", parameters, parameters + block.parameter_bytes),
            Access("accumulators", base, base + used),
        ]
        span = (block.chunk_columns - 1) * columns + block.rows
        writes = [Access("abuf", dst, dst + span)]
        self._builder.add(Command(isa.VECTOR, isa.RESCALE, arg, block.layer), reads, writes)
