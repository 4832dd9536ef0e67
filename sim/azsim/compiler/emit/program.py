"""Pass 10, emit: the program of one step.

Order of commands: inputs are loaded, then the nodes in graph order, products with their streams
running ahead (products.py). Dependencies of a command always stand before it in the program,
so no order of completion can deadlock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from azsim.compiler.cost import node_cycles
from azsim.compiler.emit.builder import Access, Command, ProgramBuilder, Semaphores
from azsim.compiler.emit.image import DramImage
from azsim.compiler.emit.linear import BlockPlanner
from azsim.compiler.emit.packed import PackedEmitter
from azsim.compiler.emit.products import ProductEmitter, Step
from azsim.compiler.emit.rows import EMITTERS as ROW_EMITTERS
from azsim.compiler.emit.spatial import EMITTERS as SPATIAL_EMITTERS
from azsim.compiler.emit.turns import Turns, depthwise_pieces, in_sections, track_of
from azsim.compiler.emit.vector import EMITTERS, VectorEmitter, VectorEmitters
from azsim.compiler.place import Placement, tensor_bytes
from azsim.compiler.residency import Residency
from azsim.compiler.tile import LinearTiling, product_window
from azsim.config import ChipConfig
from azsim.errors import CompileError
from azsim.graph.integer import (
    TRACK_DMA,
    TRACK_MAC,
    TRACK_VECTOR,
    Depthwise,
    EmbedRows,
    FetchRows,
    IntegerGraph,
    IntegerKind,
    IntegerNode,
    Linear,
    MatmulRows,
    SpillRows,
    View,
    node_inputs,
    node_outputs,
)
from azsim.program import LayerInfo, Port, Program, Region
from azsim_kernels import isa

IO_LAYER = "input and output"
TRANSFERS = (FetchRows.__name__, SpillRows.__name__)
VECTOR_EMITTERS: VectorEmitters = {  # by node type
    **EMITTERS,
    **ROW_EMITTERS,
    **SPATIAL_EMITTERS,
}


def emit_program(
    graph: IntegerGraph,
    tilings: Mapping[str, LinearTiling],
    placement: Placement,
    residency: Residency,
    chip: ChipConfig,
) -> Program:
    """Return the program of one step of `graph` for `chip`.

    Raises:
        CompileError: DRAM or a command's semaphores do not suffice; says need and have.
    """
    return _Emitter(graph, tilings, placement, residency, chip).program()


def _joined(layer: LayerInfo, block: LayerInfo) -> LayerInfo:
    """A layer of several blocks: what each computes is the same matrix for further positions."""
    if layer.operator in TRANSFERS:
        return block
    if not block.weights:
        return layer
    positions = layer.activation_columns + block.activation_columns
    return replace(block, activation_columns=positions)


class _Emitter:
    """State of one emission."""

    def __init__(
        self,
        graph: IntegerGraph,
        tilings: Mapping[str, LinearTiling],
        placement: Placement,
        residency: Residency,
        chip: ChipConfig,
    ) -> None:
        self.graph, self.placement, self.residency, self.chip = graph, placement, residency, chip
        self.image = DramImage(chip.memory.capacity_mb * 2**20)
        self.semaphores = Semaphores(chip.sequencer.semaphores)
        abuf_bytes = chip.abuf.capacity_kb * 1024
        self.builder = ProgramBuilder(
            self.semaphores, abuf_bytes, chip.mac_array.accumulators_per_lane
        )
        self.vector = VectorEmitter(graph, placement.address, self.builder)
        self.turns = Turns()
        self.layers: list[LayerInfo] = []
        self.loaded: set[str] = set()
        self.image.place("weights", residency.dram)
        planner = BlockPlanner(graph, self.image, tilings)
        self.products = ProductEmitter(graph, placement, residency, chip, self.builder, self.vector)
        self.packed = PackedEmitter(
            graph, placement, chip, self.builder, self.products, self.vector
        )
        self.numbers = self._plan_layers(planner)
        self.inputs: list[Port] = []
        self.outputs: dict[str, Port] = {}
        self.buffers: dict[str, int] = {}  # DRAM address of the tensors that lie there

    def program(self) -> Program:
        """Emit everything in order and wrap it up."""
        self._load_inputs()
        self._reserve_buffers()
        for nodes in in_sections(self.graph):
            self._emit_together(nodes)
        self._end_states()
        program = Program(
            name=self.graph.name,
            chip=self.chip.name,
            config_hash=self.chip.config_hash(),
            commands=self.builder.records(),
            semaphore_kinds=np.array(self.semaphores.kinds, np.int64),
            semaphore_initial=np.array(self.semaphores.initial, np.int64),
            tiles=self._tiles(self.numbers),
            layers=tuple(self.layers),
            dram=self.image.bytes(),
            store=self.residency.store.view(np.uint8),
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

    def _plan_layers(self, planner: BlockPlanner) -> dict[str, int]:
        """Number the layers and fix the order of all tiles, so that fetches can run ahead."""
        numbers: dict[str, int] = {}
        layers: dict[str, int] = {}
        for node in self.graph.nodes:
            if isinstance(node, View):
                continue
            name = self.graph.layer_names.get(node.name, node.name)
            number = layers.setdefault(name, len(layers))
            numbers[node.name] = number
            if isinstance(node, Linear):
                self.products.plan(planner, node, number)
            elif isinstance(node, MatmulRows):
                self.packed.plan(planner, node, number)
            info = replace(self._layer_info(node), name=name)
            if number == len(self.layers):
                self.layers.append(info)
            elif not isinstance(node, FetchRows | SpillRows):
                self.layers[number] = _joined(self.layers[number], info)
        self.io_layer = len(self.layers)
        self.layers.append(LayerInfo(IO_LAYER, "DMA"))
        return numbers

    def _layer_info(self, node: IntegerNode) -> LayerInfo:
        if not isinstance(node, Linear):
            return LayerInfo(node.name, type(node).__name__)
        placed = self.residency.placed[id(node.weights)]
        rows, columns = node.weights.shape
        return LayerInfo(
            node.name,
            "Linear",
            rows,
            columns,
            product_window(self.graph, node).positions,
            node.bits,
            rows * columns,
            placed.tensor.nonzeros,
            placed.tensor.total_bytes,
            placed.tensor.entropy_bytes,
            placed.resident_bytes,
        )

    def _tiles(self, numbers: Mapping[str, int]) -> npt.NDArray[np.void]:
        """The tile table, each tile with the layer that uses it first."""
        tiles = self.residency.tiles.copy()
        for node in reversed(self.graph.nodes):
            if isinstance(node, Linear):
                placed = self.residency.placed[id(node.weights)]
                end = placed.first_tile + placed.tensor.tiles
                tiles["layer"][placed.first_tile : end] = numbers[node.name]
        return tiles

    # -- inputs, outputs, states

    def _load_inputs(self) -> None:
        for name in self.graph.inputs:
            tensor = self.graph.tensors[name]
            port = self.image.port(
                name, tensor.element, tensor.shape, tensor.scale, tensor.zero_point
            )
            self.inputs.append(replace(port, index_rows=self._index_rows(name)))
            self.buffers[name] = port.address
            if not tensor.in_dram:
                self._load(port.address, name, port.bytes, self.io_layer)
        for name in self.graph.outputs:
            tensor = self.graph.tensors[name]
            self.outputs[name] = self.image.port(
                name, tensor.element, tensor.shape, tensor.scale, tensor.zero_point
            )
            self.buffers[name] = self.outputs[name].address
        self._store_outputs(self.graph.inputs)
        self._store_outputs(tuple(state.source for state in self.graph.states))

    def _reserve_buffers(self) -> None:
        """Room in DRAM for activations that do not fit ABUF."""
        for name, tensor in self.graph.tensors.items():
            if tensor.in_dram and name not in self.buffers:
                self.buffers[name] = self.image.reserve(name, tensor_bytes(self.graph, name))

    def _transfer(self, node: FetchRows | SpillRows, layer: int) -> None:
        """LOAD or STORE of a range of a tensor in DRAM."""
        is_fetch = isinstance(node, FetchRows)
        far, near = (node.x, node.y) if is_fetch else (node.y, node.x)
        width = np.dtype(self.graph.tensors[far].element).itemsize
        size = node.count * width
        begin = self.vector.where(near) + node.near * width
        access = Access("abuf", begin, begin + size)
        arg = (self.buffers[far] + node.offset * width, begin, size)
        opcode = isa.LOAD if is_fetch else isa.STORE
        reads, writes = ([], [access]) if is_fetch else ([access], [])
        self.builder.add(Command(isa.DMA_A, opcode, arg, layer), reads, writes)

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
            if name in self.outputs and not self.graph.tensors[name].in_dram:
                access = self.vector.whole(name)
                arg = (self.outputs[name].address, access.begin, access.end - access.begin)
                self.builder.add(Command(isa.DMA_A, isa.STORE, arg, self.io_layer), [access], [])

    def _end_states(self) -> None:
        """Copy the states that were not computed in place; first those whose new value is an old
        state."""
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
        found: list[Region] = []
        for state in self.graph.states:
            name = state.source
            is_far = self.graph.tensors[name].in_dram
            address = self.buffers[name] if is_far else self.placement.address[name]
            memory, size = "dram" if is_far else "abuf", tensor_bytes(self.graph, name)
            found.append(Region(memory, name, address, size))
        return tuple(found)

    # -- nodes

    def _emit_together(self, nodes: list[IntegerNode]) -> None:
        """The nodes of a section, or a single one."""
        if len(nodes) == 1:
            self._emit_node(nodes[0], self._layer(nodes[0]))
            self._store_outputs(node_outputs(nodes[0]))
            return
        tracks: dict[int, list[IntegerNode]] = {}
        for node in nodes:
            tracks.setdefault(track_of(self.graph, node), []).append(node)
        for node in tracks.get(TRACK_DMA, []):
            self._emit_node(node, self._layer(node))
        mac, vector = (self._steps(tracks.get(t, [])) for t in (TRACK_MAC, TRACK_VECTOR))
        self.turns.take(mac, vector)

    def _steps(self, nodes: list[IntegerNode]) -> Iterator[Step]:
        """The commands of a track, each step behind the estimate of its cycles."""
        for node in nodes:
            if isinstance(node, View):
                continue
            if isinstance(node, Linear):
                yield from self.products.steps(node)
            elif isinstance(node, Depthwise):
                for piece in depthwise_pieces(node, self.chip.vector.lanes):
                    yield node_cycles(self.graph, piece, self.chip)
                    self._emit_node(piece, self._layer(node))
            else:
                yield node_cycles(self.graph, node, self.chip)
                self._emit_node(node, self._layer(node))
            self._store_outputs(node_outputs(node))

    def _layer(self, node: IntegerNode) -> int:
        return self.numbers.get(node.name, self.io_layer)

    def _emit_node(self, node: IntegerNode, layer: int) -> None:
        for name in node_inputs(node):
            self._load_constant(name, layer)
        match node:
            case View():
                pass
            case Linear():
                self.products.emit(node)
            case FetchRows() | SpillRows():
                self._transfer(node, layer)
            case MatmulRows():
                self.packed.emit(node)
            case EmbedRows():
                self._emit_embed(node, layer)
            case _:
                VECTOR_EMITTERS[type(node)](self.vector, node, layer)

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
