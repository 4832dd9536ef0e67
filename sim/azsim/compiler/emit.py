"""Pass 7, emit: the program of one step.

Order of commands: inputs are loaded, then the nodes in graph order. FETCH and TILE commands run up to `tile_slots`
tiles ahead of the PRODUCT that uses the tile, so that memory and decoders never wait for the array; parameters are
loaded one block ahead. Dependencies of a command always stand before it in the program, so no order of
completion can deadlock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from azsim.compiler.builder import Access, Command, ProgramBuilder, Semaphores
from azsim.compiler.compress import CompressedWeights
from azsim.compiler.emit_linear import Block, BlockPlanner, TileUse, activation_columns, tile_uses
from azsim.compiler.emit_vector import TYPES, VectorEmitter
from azsim.compiler.image import DramImage
from azsim.compiler.place import Placement, tensor_bytes
from azsim.compiler.tile import LinearTiling, padded_weights
from azsim.config import ChipConfig
from azsim.errors import CompileError
from azsim.graph.integer import (
    Elementwise,
    EmbedRows,
    IntegerGraph,
    IntegerKind,
    IntegerNode,
    Linear,
    LookUp,
    LstmCell,
    Move,
    Requant,
    SoftmaxRows,
    View,
    node_inputs,
    node_outputs,
)
from azsim.program import LayerInfo, Port, Program, Region
from azsim_kernels import isa

WORD_BYTES = 8
IO_LAYER = "input and output"


def emit_program(
    graph: IntegerGraph,
    tilings: Mapping[str, LinearTiling],
    placement: Placement,
    compressed: CompressedWeights,
    chip: ChipConfig,
) -> Program:
    """Return the program of one step of `graph` for `chip`.

    Raises:
        CompileError: DRAM or a command's semaphores do not suffice; says need and have.
    """
    return _Emitter(graph, tilings, placement, compressed, chip).program()


class _Emitter:
    """State of one emission."""

    def __init__(
        self,
        graph: IntegerGraph,
        tilings: Mapping[str, LinearTiling],
        placement: Placement,
        compressed: CompressedWeights,
        chip: ChipConfig,
    ) -> None:
        self.graph, self.placement, self.compressed, self.chip = graph, placement, compressed, chip
        self.image = DramImage(chip.memory.capacity_mb * 2**20)
        self.semaphores = Semaphores(min(chip.sequencer.semaphores, 256))
        abuf_bytes = chip.abuf.capacity_kb * 1024
        self.builder = ProgramBuilder(
            self.semaphores, abuf_bytes, chip.mac_array.accumulators_per_lane
        )
        self.vector = VectorEmitter(graph, placement.address, self.builder)
        self.layers: list[LayerInfo] = []
        self.loaded: set[str] = set()
        for placed in compressed.streams.values():
            self.image.place_at(placed.stream.name, placed.address, placed.stream.words)
        self.planner = BlockPlanner(self.image, tilings)
        self.blocks: dict[str, list[Block]] = {}
        self.fetches: list[TileUse] = []
        self.order: list[Block] = []
        self.fetch_layers: list[int] = []
        self.fetched = self.used_tiles = self.used_blocks = 0
        self.io_layer = -1
        self.inputs: list[Port] = []
        self.outputs: dict[str, Port] = {}

    def program(self) -> Program:
        """Emit everything in order and wrap it up."""
        numbers = self._plan_layers()
        self._plan_tiles()
        self._load_inputs()
        for node in self.graph.nodes:
            self._emit_node(node, numbers.get(node.name, self.io_layer))
            self._store_outputs(node_outputs(node))
        self._end_states()
        program = Program(
            name=self.graph.name,
            chip=self.chip.name,
            config_hash=self.chip.config_hash(),
            commands=self.builder.records(),
            semaphore_kinds=np.array(self.semaphores.kinds, np.int64),
            semaphore_initial=np.array(self.semaphores.initial, np.int64),
            tiles=self._tiles(numbers),
            layers=tuple(self.layers),
            dram=self.image.bytes(),
            store=np.zeros(0, np.uint8),
            dram_bytes=self.image.end_bytes,
            abuf_bytes=self.placement.abuf_bytes,
            inputs=tuple(self.inputs),
            outputs=tuple(self.outputs[name] for name in self.graph.outputs),
            states=self._state_regions(),
            regions=tuple(self.image.regions),
            metadata=dict(self.graph.metadata),
        )
        return program

    # -- plans

    def _plan_layers(self) -> dict[str, int]:
        numbers: dict[str, int] = {}
        for node in self.graph.nodes:
            if not isinstance(node, View):
                numbers[node.name] = len(self.layers)
                self.layers.append(self._layer_info(node))
        self.io_layer = len(self.layers)
        self.layers.append(LayerInfo(IO_LAYER, "DMA"))
        return numbers

    def _layer_info(self, node: IntegerNode) -> LayerInfo:
        if not isinstance(node, Linear):
            return LayerInfo(node.name, type(node).__name__)
        placed = self.compressed.streams[id(node.weights)]
        rows, columns = node.weights.shape
        return LayerInfo(
            node.name,
            "Linear",
            rows,
            columns,
            activation_columns(self.graph, node),
            node.bits,
            rows * columns,
            placed.nonzeros,
            placed.stream.words.size * WORD_BYTES,
            placed.entropy_bytes,
        )

    def _plan_tiles(self) -> None:
        """Fix the order of all blocks and tiles of the step, so that fetches can run ahead."""
        number = 0
        for node in self.graph.nodes:
            if isinstance(node, View):
                continue
            if isinstance(node, Linear):
                self.blocks[node.name] = self.planner.blocks(node, number)
                for block in self.blocks[node.name]:
                    self.order.append(block)
                    uses = list(tile_uses(block, self.compressed))
                    self.fetches += uses
                    self.fetch_layers += [number] * len(uses)
            number += 1

    def _tiles(self, numbers: Mapping[str, int]) -> npt.NDArray[np.void]:
        linear = [node.name for node in self.graph.nodes if isinstance(node, Linear)]
        tiles = self.compressed.tiles.copy()
        tiles["layer"] = np.array([numbers[name] for name in linear], np.int32)[tiles["layer"]]
        return tiles

    # -- inputs, outputs, states

    def _load_inputs(self) -> None:
        for name in self.graph.inputs:
            tensor = self.graph.tensors[name]
            port = self.image.port(
                name, tensor.element, tensor.shape, tensor.scale, tensor.zero_point
            )
            self.inputs.append(replace(port, index_rows=self._index_rows(name)))
            self._load(port.address, name, port.bytes, self.io_layer)
        for name in self.graph.outputs:
            tensor = self.graph.tensors[name]
            self.outputs[name] = self.image.port(
                name, tensor.element, tensor.shape, tensor.scale, tensor.zero_point
            )
        self._store_outputs(self.graph.inputs)
        self._store_outputs(tuple(state.source for state in self.graph.states))

    def _index_rows(self, name: str) -> int:
        rows = [
            len(node.table)
            for node in self.graph.nodes
            if isinstance(node, EmbedRows) and node.index == name
        ]
        return min(rows, default=0)

    def _load(self, address: int, name: str, size: int, layer: int) -> None:
        if name not in self.placement.address:
            return  # an input nobody reads
        target = self.placement.address[name]
        arg = (address, target, size)
        writes = [Access("abuf", target, target + size)]
        self.builder.add(Command(isa.DMA_A, isa.LOAD, arg, layer), [], writes)

    def _store_outputs(self, names: tuple[str, ...]) -> None:
        for name in names:
            if name in self.outputs:
                access = self.vector.whole(name)
                arg = (self.outputs[name].address, access.begin, access.end - access.begin)
                self.builder.add(Command(isa.DMA_A, isa.STORE, arg, self.io_layer), [access], [])

    def _end_states(self) -> None:
        """Copy the states that were not computed in place; first those whose new value is an old state."""
        for result, source in self.placement.copies:
            if source in self.placement.spares:
                self.vector.copy_bytes(
                    self.vector.whole(result), self.placement.spares[source], self.io_layer
                )
        for result, source in self.placement.copies:
            access = self.vector.whole(result)
            if source in self.placement.spares:
                spare = self.placement.spares[source]
                access = Access("abuf", spare, spare + access.end - access.begin)
            self.vector.copy_bytes(access, self.placement.address[source], self.io_layer)

    def _state_regions(self) -> tuple[Region, ...]:
        return tuple(
            Region(
                "abuf",
                state.source,
                self.placement.address[state.source],
                tensor_bytes(self.graph, state.source),
            )
            for state in self.graph.states
        )

    # -- nodes

    def _emit_node(self, node: IntegerNode, layer: int) -> None:
        for name in node_inputs(node):
            self._load_constant(name, layer)
        match node:
            case View():
                pass
            case Linear():
                self._emit_linear(node, layer)
            case EmbedRows():
                self._emit_embed(node, layer)
            case LstmCell():
                self.vector.lstm_cell(node, layer)
            case Requant():
                self.vector.requant(node, layer)
            case Elementwise():
                self.vector.elementwise(node, layer)
            case LookUp():
                self.vector.look_up(node, layer)
            case SoftmaxRows():
                self.vector.softmax(node, layer)
            case Move():
                self.vector.move(node, layer)

    def _load_constant(self, name: str, layer: int) -> None:
        tensor = self.graph.tensors[name]
        if tensor.kind is IntegerKind.CONSTANT and name not in self.loaded:
            if tensor.data is None:
                raise CompileError(f"constant '{name}' must have data")
            self.loaded.add(name)
            address = self.image.place(name, tensor.data)
            self._load(address, name, tensor_bytes(self.graph, name), layer)

    def _emit_embed(self, node: EmbedRows, layer: int) -> None:
        address = self.image.place(f"{node.name}/table", node.table)
        rows, width = node.table.shape
        count = self.graph.tensors[node.index].size
        arg = (
            address,
            self.vector.where(node.y),
            width,
            self.vector.where(node.index),
            count,
            rows,
        )
        reads, writes = [self.vector.whole(node.index)], [self.vector.whole(node.y)]
        self.builder.add(Command(isa.DMA_A, isa.GATHER, arg, layer), reads, writes)

    # -- products

    def _emit_linear(self, node: Linear, layer: int) -> None:
        for block in self.blocks[node.name]:
            place, self.used_blocks = self.used_blocks, self.used_blocks + 1
            if place == 0:
                self._load_parameters(block)
            if place + 1 < len(self.order):
                self._load_parameters(self.order[place + 1])
            for use in tile_uses(block, self.compressed):
                self._fetch_ahead()
                self._product(block, use, layer)
            self._rescale(block, layer)

    def _load_parameters(self, block: Block) -> None:
        target = self.placement.parameters[block.buffer]
        arg = (block.parameters, target, block.parameter_bytes)
        writes = [Access("abuf", target, target + block.parameter_bytes)]
        self.builder.add(Command(isa.DMA_A, isa.LOAD, arg, block.layer), [], writes)

    def _fetch_ahead(self) -> None:
        """Emit FETCH and TILE of the next tiles, up to `tile_slots` ahead of the PRODUCT to come."""
        limit = min(len(self.fetches), self.used_tiles + self.chip.wbuf.tile_slots)
        while self.fetched < limit:
            self._fetch(self.fetched)
            self.fetched += 1

    def _fetch(self, number: int) -> None:
        units, slots = self.chip.decoder.units, self.chip.wbuf.tile_slots
        tile = self.compressed.tiles[self.fetches[number].tile]
        unit = number % units
        size = int(tile["words"]) * WORD_BYTES
        layer = self.fetch_layers[number]
        fetch = (int(tile["address"]), size, int(tile["source"]))
        self.builder.add(Command(isa.DMA_W, isa.FETCH, fetch, layer, unit))
        groups = padded_weights(int(tile["rows"]), int(tile["columns"])) // 256
        decode = (number % slots, groups, int(tile["index"]))
        free = self._slot_free(unit)
        ready = self.semaphores.number(("ready", unit), isa.DATA)
        self.builder.add(
            Command(isa.DECODE, isa.TILE, decode, layer, unit, waits=[free], signals=[ready])
        )

    def _slot_free(self, unit: int) -> int:
        """Room for tile k of the step is given by the PRODUCT of tile k - tile_slots."""
        units, slots = self.chip.decoder.units, self.chip.wbuf.tile_slots
        initial = len(range(unit, slots, units))
        return self.semaphores.number(("free", unit), isa.SPACE, initial)

    def _product(self, block: Block, use: TileUse, layer: int) -> None:
        lanes = self.chip.mac_array.lanes
        number, self.used_tiles = self.used_tiles, self.used_tiles + 1
        columns = block.tiling.columns
        chunk = block.chunk_end - block.chunk_begin
        begin = self.vector.where(block.node.x) + block.chunk_begin * columns + use.column_offset
        acc = self._half(block) + use.row_offset // lanes
        x = self.graph.tensors[block.node.x]
        arg = (
            number % self.chip.wbuf.tile_slots, use.rows, use.columns, begin, chunk, columns, acc,
            block.tiling.acc_stride, int(use.clear), block.node.bits, x.zero_point, int(use.last),
        )  # fmt: skip
        unit = number % self.chip.decoder.units
        following = number + self.chip.wbuf.tile_slots
        signals = []
        if following < len(self.fetches):
            signals = [self._slot_free(following % self.chip.decoder.units)]
        ready = self.semaphores.number(("ready", unit), isa.DATA)
        used = (chunk - 1) * block.tiling.acc_stride + -(-use.rows // lanes)
        accumulators = [Access("accumulators", acc, acc + used)]
        reads = [Access("abuf", begin, begin + (chunk - 1) * columns + use.columns)]
        self.builder.add(
            Command(isa.MAC, isa.PRODUCT, arg, layer, waits=[ready], signals=signals),
            reads if use.clear else reads + accumulators,
            accumulators,
        )

    def _half(self, block: Block) -> int:
        return block.half * (self.chip.mac_array.accumulators_per_lane // 2)

    def _rescale(self, block: Block, layer: int) -> None:
        node = block.node
        y = self.graph.tensors[node.y]
        width = np.dtype(y.element).itemsize
        columns = len(node.weights)
        chunk = block.chunk_end - block.chunk_begin
        first = block.chunk_begin * columns + block.begin
        span = (chunk - 1) * columns + block.rows
        dst = self.vector.where(node.y) + first * width
        parameters = self.placement.parameters[block.buffer]
        flags = (isa.FLAG_BIAS_AFTER if node.bias_after else 0) | (
            isa.FLAG_RELU if node.relu else 0
        )
        reads = [
            Access("abuf", parameters, parameters + block.parameter_bytes),
            self._accumulators(block),
        ]
        addend = 0
        if node.addend:
            flags |= isa.FLAG_ADDEND
            addend = self.vector.where(node.addend) + 4 * first
            reads.append(Access("abuf", addend, addend + 4 * span))
        arg = (
            block.rows, self._half(block), chunk, block.tiling.acc_stride, parameters, dst,
            columns * width, TYPES[y.element], y.zero_point, flags, addend, 4 * columns,
        )  # fmt: skip
        writes = [Access("abuf", dst, dst + span * width)]
        self.builder.add(Command(isa.VECTOR, isa.RESCALE, arg, layer), reads, writes)

    def _accumulators(self, block: Block) -> Access:
        base = self._half(block)
        chunk = block.chunk_end - block.chunk_begin
        rows = -(-block.rows // self.chip.mac_array.lanes)
        return Access("accumulators", base, base + (chunk - 1) * block.tiling.acc_stride + rows)
