"""Commands of all matrix products of a step: FETCH and TILE ahead, PRODUCT, RESCALE, parameters.

Tile k of the step goes to decoder unit k mod units and to slot k mod tile_slots. Its FETCH and TILE
stand before the PRODUCT of tile k - tile_slots + 1, so memory and decoders run ahead as far as the
slots allow. A TABLE record goes to every unit before the first tile that needs it there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from azsim.compiler.compress import WORD_BYTES
from azsim.compiler.cost import product_cycles, rescale_cycles
from azsim.compiler.emit.builder import Access, Command, ProgramBuilder
from azsim.compiler.emit.linear import Block, BlockPlanner, PackedBlock, TileUse, tile_uses
from azsim.compiler.emit.slots import TileOrder
from azsim.compiler.emit.vector import TYPES, VectorEmitter
from azsim.compiler.place import Placement
from azsim.compiler.residency import DRAM, Residency
from azsim.compiler.tile import padded_weights
from azsim.config import ChipConfig
from azsim.graph.integer import IntegerGraph, Linear
from azsim_kernels import isa

Step = tuple[int, int]  # estimated cycles of MAC, then of VECTOR


class ProductEmitter:
    """Emits Linear nodes in the order in which they were planned."""

    def __init__(
        self,
        graph: IntegerGraph,
        placement: Placement,
        residency: Residency,
        chip: ChipConfig,
        builder: ProgramBuilder,
        vector: VectorEmitter,
    ) -> None:
        self._graph, self._placement, self._residency = graph, placement, residency
        self._chip, self._builder, self._vector = chip, builder, vector
        self._decode_opcode = isa.RAW if chip.decoder.profile == "none" else isa.TILE
        self._planned: dict[str, list[tuple[Block, list[TileUse]]]] = {}
        self._row_blocks: list[Block | PackedBlock] = []
        self._fetches: list[tuple[TileUse, Block] | None] = []  # None: packed, not fetched
        self.order = TileOrder(chip, builder)
        self._loaded_tables: dict[tuple[int, int], int] = {}  # (unit, slot) -> id of the matrix
        self._fetched = self._freed_tiles = self._used_row_blocks = 0

    def plan(self, planner: BlockPlanner, node: Linear, layer: int) -> None:
        """Put a node at the end of the order of blocks and tiles."""
        planned: list[tuple[Block, list[TileUse]]] = []
        uses: list[TileUse] = []
        for block in planner.blocks(node, layer):
            if block.is_first_chunk:
                self._row_blocks.append(block)
            if block.fetches:
                uses = list(tile_uses(block, self._residency, len(self._fetches)))
                for use in uses:
                    self.order.add()
                    self._fetches.append((use, block))
            planned.append((block, uses))
        self._planned[node.name] = planned

    def plan_packed(self, block: PackedBlock, terms: int) -> int:
        """Put a block of packed tiles, `terms` for each, at the end of the order; return the number
        of its first."""
        self._row_blocks.append(block)
        first = len(self._fetches)
        for _ in range(block.tiles * terms):
            self.order.add(packed=True)
            self._fetches.append(None)
        return first

    def emit(self, node: Linear) -> None:
        """Append the commands of a planned node."""
        for _ in self.steps(node):
            pass

    def steps(self, node: Linear) -> Iterator[Step]:
        """The same in steps, each with its estimated cycles in front of its commands."""
        for block, uses in self._planned[node.name]:
            yield self._step(block)
            if block.is_first_chunk:
                self.load_next_parameters(block)
            runs = block.window.runs(block.chunk_begin, block.chunk_end)
            for use in uses:
                self.fetch_ahead()
                for place, run in enumerate(runs):
                    takes = block.fetches and place == 0
                    frees = block.frees and place == len(runs) - 1
                    self._product(block, use, run, takes, frees)
                self.free_tiles(int(block.frees))
            self._rescale(block)

    def _step(self, block: Block) -> Step:
        mac = product_cycles(self._chip, block.rows, block.tiling.columns, block.chunk_columns)
        return mac, rescale_cycles(self._chip, block.rows, block.chunk_columns)

    def free_tiles(self, count: int) -> None:
        """Note that the last PRODUCT of `count` more tiles has been emitted."""
        self._freed_tiles += count

    def load_next_parameters(self, block: Block | PackedBlock) -> None:
        """Parameters of the next block of rows; for the first of the step its own too."""
        if self._used_row_blocks == 0:
            self._load_parameters(block)
        self._used_row_blocks += 1
        if self._used_row_blocks < len(self._row_blocks):
            self._load_parameters(self._row_blocks[self._used_row_blocks])

    def _load_parameters(self, block: Block | PackedBlock) -> None:
        target = self._placement.parameters[block.buffer]
        arg = (block.parameters, target, block.parameter_bytes)
        writes = [Access("abuf", target, target + block.parameter_bytes)]
        self._builder.add(Command(isa.DMA_A, isa.LOAD, arg, block.layer), [], writes)

    # -- streams

    def fetch_ahead(self) -> None:
        """Emit FETCH and TILE of the next tiles, up to `tile_slots` ahead of the PRODUCT to
        come."""
        limit = min(len(self._fetches), self._freed_tiles + self._chip.wbuf.tile_slots)
        while self._fetched < limit:
            planned = self._fetches[self._fetched]
            if planned is not None:
                use, block = planned
                self._load_tables(block)
                self._fetch(self._fetched, use, block.layer)
            self._fetched += 1

    def _load_tables(self, block: Block) -> None:
        """Send the tensor's TABLE record to each unit that holds another one in its slot."""
        key = id(block.node.weights)
        placed = self._residency.placed[key]
        for record, address in zip(placed.tensor.tables, placed.table_addresses, strict=True):
            slot = placed.tensor.slot
            for unit in range(self._chip.decoder.units):
                if self._loaded_tables.get((unit, slot)) != key:
                    self._loaded_tables[unit, slot] = key
                    fetch = (address, record.size * WORD_BYTES, DRAM)
                    self._builder.add(Command(isa.DMA_W, isa.FETCH, fetch, block.layer, unit))
                    self._builder.add(Command(isa.DECODE, isa.TABLE, (slot,), block.layer, unit))

    def _fetch(self, number: int, use: TileUse, layer: int) -> None:
        tile = self._residency.tiles[use.tile]
        unit = self.order.unit(number)
        fetch = (int(tile["address"]), int(tile["words"]) * WORD_BYTES, int(tile["source"]))
        self._builder.add(Command(isa.DMA_W, isa.FETCH, fetch, layer, unit))
        groups = padded_weights(use.rows, use.columns) // 256
        arg = (self.order.slot(number), groups, int(tile["index"]))
        waits, signals = [self.order.free(number)], [self.order.ready(number)]
        self._builder.add(
            Command(isa.DECODE, self._decode_opcode, arg, layer, unit, waits, signals)
        )

    # -- products

    def _product(
        self, block: Block, use: TileUse, run: tuple[int, int, int], takes: bool, frees: bool
    ) -> None:
        """One PRODUCT over a run of positions; `takes`: it is the first to use the tile in its
        slot, `frees`: the last."""
        lanes = self._chip.mac_array.lanes
        position, count, start = run
        x = self._graph.tensors[block.node.x]
        begin = self._vector.where(x.name) + start + use.offset
        stride, acc_stride = block.window.step_w, block.tiling.acc_stride
        acc = self._half(block) + use.row_offset // lanes
        acc += (position - block.chunk_begin) * acc_stride
        arg = (
            self.order.slot(use.fetch), use.rows, use.columns, begin, count, stride, acc,
            acc_stride, int(use.clear), block.node.bits, x.zero_point, int(use.last),
        )  # fmt: skip
        signals = self.order.freeing(use.fetch) if frees else []
        waits = [self.order.ready(use.fetch)] if takes else []
        used = (count - 1) * acc_stride + -(-use.rows // lanes)
        accumulators = [Access("accumulators", acc, acc + used)]
        reads = [self._activations(block, begin, begin + (count - 1) * stride + use.columns)]
        self._builder.add(
            Command(isa.MAC, isa.PRODUCT, arg, block.layer, 0, waits, signals),
            reads if use.clear else reads + accumulators,
            accumulators,
        )

    def _activations(self, block: Block, begin: int, end: int) -> Access:
        """What a PRODUCT waits for: of a strip all of it, so that few signals are on their way."""
        if block.node.name in self._graph.sections:
            return self._vector.whole(block.node.x)
        return Access("abuf", begin, end)

    def _half(self, block: Block) -> int:
        return block.half * (self._chip.mac_array.accumulators_per_lane // 2)

    def _rescale(self, block: Block) -> None:
        """One RESCALE, or one for each row of pixels where the rows of the result lie apart."""
        begin, end = block.chunk_begin, block.chunk_end
        row = block.node.rows_apart[0] or end
        while begin < end:
            last = min(end, begin - begin % row + row)
            self._rescale_run(block, begin, last - begin)
            begin = last

    def _rescale_run(self, block: Block, position: int, count: int) -> None:
        node, columns = block.node, block.tiling.rows
        y = self._graph.tensors[node.y]
        width = np.dtype(y.element).itemsize
        first = position * columns + block.begin
        row, apart = node.rows_apart
        place = first + position // row * (apart - row * columns) if row else first
        span = (count - 1) * columns + block.rows
        dst = self._vector.where(node.y) + place * width
        parameters = self._placement.parameters[block.buffer]
        flags = (isa.FLAG_BIAS_AFTER if node.bias_after else 0) | (
            isa.FLAG_RELU if node.relu else 0
        )
        accumulators = self._accumulators(block, position, count)
        reads = [Access("abuf", parameters, parameters + block.parameter_bytes), accumulators]
        addend = 0
        if node.addend:
            flags |= isa.FLAG_ADDEND
            addend = self._vector.where(node.addend) + 4 * first
            reads.append(Access("abuf", addend, addend + 4 * span))
        arg = (
            block.rows, accumulators.begin, count, block.tiling.acc_stride, parameters, dst,
            columns * width, TYPES[y.element], y.zero_point, flags, addend, 4 * columns,
        )  # fmt: skip
        writes = [Access("abuf", dst, dst + span * width)]
        self._builder.add(Command(isa.VECTOR, isa.RESCALE, arg, block.layer), reads, writes)

    def _accumulators(self, block: Block, position: int, count: int) -> Access:
        base = self._half(block) + (position - block.chunk_begin) * block.tiling.acc_stride
        rows = -(-block.rows // self._chip.mac_array.lanes)
        return Access("accumulators", base, base + (count - 1) * block.tiling.acc_stride + rows)
