"""What an integer graph means: one step in plain numpy, straight from its nodes.

This is the oracle of the machine: no commands, no addresses, no tiles, no time. The rules are those
of docs/arithmetic.md as written in `azsim_kernels.reference.arith`. Arrays are taken and given in
the element types of their tensors; inside, everything is int64.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from azsim.errors import ModelError
from azsim.graph.integer import IntegerGraph, IntegerKind, IntegerTensor
from azsim.reference import (
    integer_elementwise,
    integer_moves,
    integer_products,
    integer_rows,
    integer_spatial,
)
from azsim.reference.integer_values import Array, Evaluators, Values

EVALUATORS: Evaluators = {
    **integer_products.EVALUATORS,
    **integer_elementwise.EVALUATORS,
    **integer_moves.EVALUATORS,
    **integer_spatial.EVALUATORS,
    **integer_rows.EVALUATORS,
}


def _checked_input(tensor: IntegerTensor, array: Array) -> Array:
    """Return the array in the tensor's element type, or raise ModelError."""
    where = f"input '{tensor.name}'"
    if array.shape != tensor.shape:
        raise ModelError(f"{where}: shape must be {tensor.shape}, not {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise ModelError(f"{where}: elements must be integers, not {array.dtype}")
    limits = np.iinfo(np.dtype(tensor.element))
    for extreme in (int(array.min(initial=0)), int(array.max(initial=0))):
        if not int(limits.min) <= extreme <= int(limits.max):
            raise ModelError(f"{where}: elements must fit {tensor.element}, not be {extreme}")
    return array.astype(tensor.element)


def initial_states(graph: IntegerGraph) -> dict[str, Array]:
    """States before the first step: every element is the zero point of its tensor."""
    states: dict[str, Array] = {}
    for pair in graph.states:
        tensor = graph.tensors[pair.source]
        states[tensor.name] = np.full(tensor.shape, tensor.zero_point, dtype=tensor.element)
    return states


def next_states(graph: IntegerGraph, values: Mapping[str, Array]) -> dict[str, Array]:
    """States after a step, from all tensors of that step."""
    return {pair.source: values[pair.result] for pair in graph.states}


def evaluate_integers(graph: IntegerGraph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Evaluate one step; return every tensor by name, constants and inputs included.

    `inputs` holds every graph input, and any state that shall not be as before the first step.
    ModelError for an input that is missing, of another shape or type, or an index out of range.
    """
    values = Values(graph)
    given = initial_states(graph) | dict(inputs)
    for tensor in graph.tensors.values():
        if tensor.kind in (IntegerKind.INPUT, IntegerKind.STATE):
            if tensor.name not in given:
                raise ModelError(f"input '{tensor.name}': must be present")
            values.arrays[tensor.name] = _checked_input(tensor, given[tensor.name])
    for node in graph.nodes:
        EVALUATORS[type(node)](node, values)
    return values.arrays


def run_integers(
    graph: IntegerGraph, steps: Iterable[Mapping[str, Array]]
) -> Iterator[dict[str, Array]]:
    """Evaluate one step per mapping of graph inputs, carrying the states; yield all its tensors."""
    states = initial_states(graph)
    for inputs in steps:
        values = evaluate_integers(graph, dict(inputs) | states)
        states = next_states(graph, values)
        yield values
