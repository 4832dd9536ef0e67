"""What an integer graph means: one step in plain numpy, straight from its nodes.

This is the oracle of the machine: no commands, no addresses, no tiles, no time. The rules are those
of docs/arithmetic.md as written in `azsim_kernels.reference.arith`. Arrays are taken and given in
the element types of their tensors; inside, everything is int64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.errors import ModelError, SimulationError
from azsim.graph.integer import (
    Elementwise,
    EmbedRows,
    IntegerGraph,
    IntegerKind,
    IntegerNode,
    IntegerTensor,
    Linear,
    LookUp,
    LstmCell,
    Move,
    Requant,
    SoftmaxRows,
    View,
)
from azsim_kernels.reference import arith

Array = npt.NDArray[np.generic]
Integers = npt.NDArray[np.int64]

INT32_LIMIT = 2**31
SATURATE: dict[str, Callable[[Integers], Integers]] = {
    "int8": arith.sat8,
    "int16": arith.sat16,
    "int32": arith.sat32,
}
TABLES: dict[str, Callable[[Integers], Integers]] = {
    "sigmoid": arith.sigmoid,
    "tanh": arith.tanh,
}


class _Values:
    """Tensors of one step: `real` reads less the zero point, `put` adds it and saturates."""

    def __init__(self, graph: IntegerGraph) -> None:
        self.tensors = graph.tensors
        self.arrays: dict[str, Array] = {
            t.name: t.data for t in graph.tensors.values() if t.data is not None
        }

    def raw(self, name: str) -> Integers:
        """Integers of a tensor as they are stored."""
        return self.arrays[name].astype(np.int64)

    def real(self, name: str) -> Integers:
        """Integers of a tensor less its zero point: proportional to the real value."""
        return self.raw(name) - self.tensors[name].zero_point

    def put(self, name: str, value: Integers, relu: bool = False) -> None:
        """Store value + zero point, saturated to the tensor's type, in its shape."""
        tensor = self.tensors[name]
        value = SATURATE[tensor.element](
            np.maximum(value, 0) + tensor.zero_point if relu else value + tensor.zero_point
        )
        self.arrays[name] = value.astype(tensor.element).reshape(tensor.shape)

    def put_raw(self, name: str, array: Array) -> None:
        """Store elements of another tensor under this name and shape, unchanged."""
        tensor = self.tensors[name]
        self.arrays[name] = array.astype(tensor.element).reshape(tensor.shape)


def _linear(node: Linear, values: _Values) -> None:
    """Matrix product with constant weights; the zero point of x is folded into the bias."""
    rows, columns = node.weights.shape
    x = values.arrays[node.x].reshape(-1, columns).astype(np.int8)
    total = np.einsum("mk,nk->mn", x, node.weights.astype(np.int8, copy=False), dtype=np.int64)
    largest = int(np.abs(total).max(initial=0))
    if largest >= INT32_LIMIT:
        raise SimulationError(
            f"node '{node.name}': product sum must fit int32, not be {largest} in magnitude"
        )
    bias, multiplier, shift = (
        part.astype(np.int64) for part in (node.bias, node.multiplier, node.shift)
    )
    if node.bias_after:
        y = arith.rescale(total, multiplier, shift) + bias
    else:
        y = arith.rescale(total + bias, multiplier, shift)
    if node.addend:
        y += values.raw(node.addend).reshape(-1, rows)
    values.put(node.y, y, node.relu)


def _lstm_cell(node: LstmCell, values: _Values) -> None:
    """One time step's cell of every batch row."""
    scale = (node.h_multiplier, node.h_shift)
    gates, c = values.raw(node.gates), values.raw(node.c_in)
    c_next, h = arith.lstm_cell(gates, c, node.c_fraction_bits, scale)
    values.put_raw(node.c_out, c_next)
    values.put(node.h_out, h)


def _requant(node: Requant, values: _Values) -> None:
    y = arith.rescale(values.real(node.x), node.multiplier, node.shift)
    values.put(node.y, y, node.relu)


def _elementwise(node: Elementwise, values: _Values) -> None:
    """Add or Mul; a smaller b repeats over the leading dimensions."""
    a, b = values.real(node.a), values.real(node.b)
    b = np.resize(b, a.shape)
    if node.operator == "Add":
        y = arith.rounded_shift(a * node.multiplier_a + b * node.multiplier_b, node.shift)
    else:
        y = arith.rescale(a * b, node.multiplier_a, node.shift)
    values.put(node.y, y, node.relu)


def _look_up(node: LookUp, values: _Values) -> None:
    scale_in = (node.in_multiplier, node.in_shift)
    scale_out = (node.out_multiplier, node.out_shift)
    y = arith.look_up(values.real(node.x), TABLES[node.table], scale_in, scale_out)
    values.put(node.y, y)


def _softmax(node: SoftmaxRows, values: _Values) -> None:
    scale_in = (node.in_multiplier, node.in_shift)
    y = arith.softmax(values.raw(node.x), scale_in, (node.out_multiplier, node.out_shift))
    values.put(node.y, y)


def _box(offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> npt.NDArray[np.intp]:
    """Element numbers of a strided box, in row-major order of `shape`."""
    steps = np.indices(shape).reshape(len(shape), -1)
    return np.asarray(offset + np.array(strides, dtype=np.intp) @ steps, dtype=np.intp)


def _move(node: Move, values: _Values) -> None:
    """Assemble y from boxes of the inputs; every element of y must be written."""
    size = values.tensors[node.y].size
    y = np.zeros(size, dtype=np.int64)
    written = np.zeros(size, dtype=bool)
    for piece in node.pieces:
        source = values.raw(node.inputs[piece.source]).ravel()
        target = _box(piece.target_offset, piece.shape, piece.target_strides)
        y[target] = source[_box(piece.source_offset, piece.shape, piece.source_strides)]
        written[target] = True
    if not written.all():
        missing = int(size - written.sum())
        raise SimulationError(
            f"node '{node.name}': pieces must cover the output, not leave {missing} of {size}"
            " elements open"
        )
    values.put_raw(node.y, y)


def _view(node: View, values: _Values) -> None:
    end = node.offset + values.tensors[node.y].size
    values.put_raw(node.y, values.arrays[node.x].ravel()[node.offset : end])


def _embed(node: EmbedRows, values: _Values) -> None:
    index = values.raw(node.index)
    rows = node.table.shape[0]
    for wrong in index[(index < 0) | (index >= rows)][:1]:
        raise ModelError(f"node '{node.name}': index must be in 0..{rows - 1}, not {wrong}")
    values.put_raw(node.y, node.table[index])


EVALUATORS: dict[type[IntegerNode], Callable[[Any, _Values], None]] = {
    Linear: _linear,
    LstmCell: _lstm_cell,
    Requant: _requant,
    Elementwise: _elementwise,
    LookUp: _look_up,
    SoftmaxRows: _softmax,
    Move: _move,
    View: _view,
    EmbedRows: _embed,
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
    values = _Values(graph)
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
