"""Pass 4, quantize: from the float graph to the integer graph, node by node (rules in `lower/`)."""

from __future__ import annotations

from azsim.compiler.context import LoweringContext, held_format, held_state
from azsim.compiler.formats import assign_formats
from azsim.compiler.fuse import Fusion
from azsim.compiler.lower import LOWERINGS
from azsim.compiler.plan import CompressionPlan
from azsim.compiler.ranges import Ranges
from azsim.errors import CompileError
from azsim.graph import Graph, StatePair
from azsim.graph.integer import IntegerGraph, IntegerTensor

# property of the result: layers whose own weight integers were rounded again
REQUANTIZED_NOTE = "azsim.requantized"


def quantize_graph(
    graph: Graph, ranges: Ranges, plan: CompressionPlan, fusion: Fusion
) -> IntegerGraph:
    """Return the integer graph of `graph`: int8 activations by `ranges`, weights by `plan`.

    What the model holds quantized keeps its own scales, zero points and integers; layers that
    `plan` gives fewer bits than the model's weights have are named in property `azsim.requantized`.

    Raises:
        CompileError: an operator or a size that cannot be computed exactly in integers; names the
        node.
    """
    formats = assign_formats(graph, ranges)
    context = LoweringContext(graph, formats, ranges, plan, fusion)
    for node in graph.nodes:
        if node.name in fusion.absorbed:
            continue
        if node.operator not in LOWERINGS:
            raise CompileError(
                f"node '{node.name}' ({node.operator}): operator has no integer form"
            )
        LOWERINGS[node.operator](node, context)
    states = tuple(_carried(state, context) for state in graph.states)
    metadata = dict(graph.metadata)
    if context.requantized:
        metadata[REQUANTIZED_NOTE] = "; ".join(context.requantized.values())
    return IntegerGraph(
        graph.name,
        tuple(context.nodes),
        dict(context.tensors),
        graph.inputs,
        graph.outputs,
        states,
        metadata,
    )


def _carried(state: StatePair, context: LoweringContext) -> StatePair:
    """Return the pair of tensors that carry a state from step to step."""
    _meet_state(state, context)
    form = context.formats[state.source]
    if form.zero_point == 0:
        return state
    shape = context.graph.values[state.source].shape
    result = f"{state.source}@next"
    context.new_tensor(result, shape, held_format(form))
    context.requant(f"{state.source}/store", state.result, result)
    return StatePair(held_state(state.source), result)


def _meet_state(state: StatePair, context: LoweringContext) -> None:
    """A state and its result must be the same integers (assign_formats gave them one format)."""
    source = context.tensor(state.source)
    result = context.tensor(state.result)
    if (source.element, source.scale, source.zero_point) != (
        result.element,
        result.scale,
        result.zero_point,
    ):
        raise CompileError(
            f"state '{state.source}': its result '{state.result}' must have the same format,"
            f" {_text(source)}, not {_text(result)}"
        )


def _text(tensor: IntegerTensor) -> str:
    return f"{tensor.element} in steps of {tensor.scale:.6g}"
