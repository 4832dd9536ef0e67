"""The compiler: passes from a float graph to a program, one file each, verified in between.

[batch ->] layout -> fuse -> prune -> quantize -> spill -> tile -> place -> compress -> residency
-> emit
"""

from __future__ import annotations

from dataclasses import dataclass

from azsim.compiler.batch import batch_graph
from azsim.compiler.compress import compress_graph, verify_streams
from azsim.compiler.emit.program import emit_program
from azsim.compiler.fuse import fuse_graph
from azsim.compiler.layout import layout_graph
from azsim.compiler.place import place_graph, verify_placement
from azsim.compiler.plan import WEIGHT_BITS, CompressionPlan
from azsim.compiler.prune import WEIGHT_INPUTS
from azsim.compiler.quantize import quantize_graph
from azsim.compiler.ranges import RangeRecorder, Ranges
from azsim.compiler.residency import place_weights
from azsim.compiler.spill.states import fit_graph
from azsim.compiler.tile import tile_graph, verify_tiling
from azsim.config import OP_CLASSES, ChipConfig
from azsim.graph import Graph
from azsim.graph.integer import IntegerGraph
from azsim.graph.integer_verify import verify_integer_graph
from azsim.program import Program, ProgramLimits, verify_program


@dataclass(frozen=True)
class CompiledGraph:
    """What the compiler made: the integer graph (the meaning) and the program (the machine's
    work)."""

    integers: IntegerGraph
    program: Program


def compile_graph(
    graph: Graph, chip: ChipConfig, ranges: Ranges, plan: CompressionPlan | None = None
) -> CompiledGraph:
    """Compile one step of `graph` for `chip`, activations calibrated by `ranges`.

    Raises:
        CompileError: the graph does not fit the chip, or a node cannot be computed exactly.
        ConfigError: the plan names layers the graph does not have.
    """
    integers = compress_weights(graph, ranges, plan or CompressionPlan())
    return CompiledGraph(integers, lower_integers(integers, chip))


def compress_weights(graph: Graph, ranges: Ranges, plan: CompressionPlan) -> IntegerGraph:
    """The first passes, which know no chip: layout, fuse, prune, quantize. The result is what
    outputs mean."""
    plan.check_layers({node.name for node in graph.nodes if node.operator in WEIGHT_INPUTS})
    graph, ranges = layout_graph(graph, ranges)
    integers = quantize_graph(graph, ranges, plan, fuse_graph(graph))
    verify_integer_graph(integers)
    return integers


def lower_integers(integers: IntegerGraph, chip: ChipConfig) -> Program:
    """Compile an integer graph: tile, place, compress, emit, with a check after each."""
    integers = fit_graph(integers, chip)
    tilings = tile_graph(integers, chip)
    verify_tiling(integers, tilings, chip)
    placement = place_graph(integers, tilings, chip)
    verify_placement(integers, placement, chip)
    tensors = compress_graph(integers, tilings, chip)
    verify_streams(integers, tensors)
    residency = place_weights(tensors, chip)
    program = emit_program(integers, tilings, placement, residency, chip)
    verify_program(program, program_limits(chip))
    return program


def program_limits(chip: ChipConfig) -> ProgramLimits:
    """What `chip` offers a program."""
    return ProgramLimits(
        units=chip.decoder.units,
        semaphores=chip.sequencer.semaphores,
        semaphore_max=chip.sequencer.semaphore_max,
        dram_bytes=chip.memory.capacity_mb * 2**20,
        store_bytes=chip.weight_store.capacity_kb * 1024,
        abuf_bytes=chip.abuf.capacity_kb * 1024,
        tile_slots=chip.wbuf.tile_slots,
        slot_weights=chip.wbuf.slot_weights,
        lanes=chip.mac_array.lanes,
        accumulators_per_lane=chip.mac_array.accumulators_per_lane,
        program_commands=chip.sequencer.program_commands,
        missing_classes=frozenset(OP_CLASSES) - frozenset(chip.vector.ops),
    )


__all__ = [
    "WEIGHT_BITS",
    "CompiledGraph",
    "CompressionPlan",
    "RangeRecorder",
    "Ranges",
    "batch_graph",
    "compile_graph",
    "compress_weights",
    "lower_integers",
    "program_limits",
]
