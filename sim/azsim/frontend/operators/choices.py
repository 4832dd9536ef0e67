"""OneHot and Hardmax as rows of a table; GatherND, ScatterND, ScatterElements and ReverseSequence
with constant indices as one choice among all entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode, Operand
from azsim.frontend.operators.functions import scalar_of
from azsim.frontend.parts import Parts
from azsim.frontend.rules import (
    Support,
    axis_in_range,
    constant_parameters,
    float_data,
    float_inputs,
    normal_axis,
)
from azsim.graph.text import quoted, shape_text

Integers = npt.NDArray[np.int64]
MAX_CHOSEN = 1 << 20  # entries of one choice


# -- OneHot, Hardmax ----------------------------------------------------------------------------


def indices_are_rows(node: OnnxNode) -> str | None:
    """the indices must be an integer graph input or what ArgMax, ArgMin and TopK find (0 to depth -
    1 when they come)."""
    first = node.require(0)
    return None if first.is_index else quoted(first.name)


def depth_is_a_number(node: OnnxNode) -> str | None:
    """depth must be a constant of one number, 1 to 65536."""
    operand, depth = node.require(1), scalar_of(node.require(1))
    if depth is None:
        return quoted(operand.name)
    return None if 1 <= depth <= 1 << 16 and depth == int(depth) else f"{depth:g}"


def values_are_two(node: OnnxNode) -> str | None:
    """values must be a float constant of two numbers (off, on)."""
    operand = node.require(2)
    is_right = operand.data is not None and operand.data.dtype.kind == "f"
    return None if is_right and operand.shape == (2,) else quoted(operand.name)


def one_hot_axis_in_range(node: OnnxNode) -> str | None:
    """axis must be one of the result's dimensions (negative counts from the last)."""
    rank, axis = len(node.require(0).shape) + 1, node.whole("axis", -1)
    return None if -rank <= axis < rank else f"{axis} of {rank} dimensions"


def _last_to(axis: int, rank: int) -> tuple[int, ...]:
    """The order of dimensions that brings the last one to `axis`."""
    order = list(range(rank - 1))
    order.insert(axis, rank - 1)
    return tuple(order)


def _lower_one_hot(node: OnnxNode, builder: GraphBuilder) -> None:
    parts, depth = Parts(node, builder), int(scalar_of(node.require(1)) or 1)
    data = node.require(2).data
    assert data is not None  # a rule
    off, on = (float(value) for value in data.reshape(-1))
    builder.spend(node, depth * depth)
    table = parts.constant("table", np.where(np.eye(depth, dtype=bool), on, off))
    index = builder.use(node.require(0))
    rank = len(node.require(0).shape) + 1
    made = parts.put("rows", "Embed", table, index)
    perm = _last_to(normal_axis(node.whole("axis", -1), rank), rank)
    parts.put("", "Transpose", made, attributes={"perm": perm}, output=node.outputs[0])


def hard_axis_in_range(node: OnnxNode) -> str | None:
    """axis must be one of the first input's dimensions (negative counts from the last)."""
    rank, axis = len(node.require(0).shape), node.whole("axis", -1)
    return None if -rank <= axis < rank else f"{axis} of {rank} dimensions"


def _lower_hardmax(node: OnnxNode, builder: GraphBuilder) -> None:
    x, parts = node.require(0), Parts(node, builder)
    rank, axis = len(x.shape), normal_axis(node.whole("axis", -1), len(x.shape))
    size = x.shape[axis]
    builder.spend(node, size * size)
    largest = parts.put(
        "largest", "ArgReduce", builder.use(x), attributes={"kind": "max", "axis": axis}
    )
    rest = tuple(k for place, k in enumerate(x.shape) if place != axis)
    index = parts.reshape("index", largest, rest)
    table = parts.constant("table", np.eye(size))
    made = parts.put("rows", "Embed", table, index)
    perm = _last_to(axis, rank)
    parts.put("", "Transpose", made, attributes={"perm": perm}, output=node.outputs[0])


# -- choices among all entries ------------------------------------------------------------------


def _choose(parts: Parts, sources: Sequence[Operand], chosen: Integers) -> None:
    """The node's output: entries `chosen` among those of all sources, one after the other."""
    rows = []
    for operand in sources:
        if operand.data is not None:
            rows.append(parts.constant("row", operand.data.reshape(-1)))
        else:
            size = int(np.prod(operand.shape, dtype=int))
            rows.append(parts.reshape("row", parts.builder.use(operand), (size,)))
    row = rows[0] if len(rows) == 1 else parts.put("both", "Concat", *rows, attributes={"axis": 0})
    flat = tuple(chosen.reshape(-1).tolist())
    taken = parts.put("taken", "Take", row, attributes={"axis": 0, "indices": flat})
    parts.put("", "Reshape", taken, target=chosen.shape, output=parts.node.outputs[0])


def _places(shape: Sequence[int]) -> Integers:
    """The number of each entry of a tensor."""
    return np.arange(int(np.prod(shape, dtype=int)), dtype=np.int64).reshape(shape)


def _indices(node: OnnxNode, position: int = 1) -> Integers | None:
    operand = node.require(position)
    if operand.data is None or operand.data.dtype.kind not in "iu":
        return None
    return operand.data.astype(np.int64)


def entries_are_few(node: OnnxNode) -> str | None:
    """input and result must have at most 1048576 entries."""
    sizes = [int(np.prod(o.shape, dtype=int)) for o in node.inputs if o is not None]
    return str(max(sizes)) if max(sizes) > MAX_CHOSEN else None


def indices_are_constant(node: OnnxNode) -> str | None:
    """the indices must be integer constants."""
    return None if _indices(node) is not None else quoted(node.require(1).name)


def _tuples(index: Integers, shape: Sequence[int]) -> tuple[Integers, ...]:
    """The last dimension of `index` as one array for each leading dimension of `shape`, counted
    from the first entry."""
    return tuple(index[..., k] % size for k, size in enumerate(shape[: index.shape[-1]]))


def _outside(index: Integers, shape: Sequence[int]) -> str | None:
    for k, size in enumerate(shape[: index.shape[-1]]):
        wrong = index[..., k][(index[..., k] < -size) | (index[..., k] >= size)]
        if wrong.size:
            return f"{wrong[0]} of {size} entries"
    return None


def gathered_tuples_fit(node: OnnxNode) -> str | None:
    """batch_dims must be dimensions that data and indices share, and each row of indices name
    entries of the dimensions that follow (negative counts from the end)."""
    shape, index, batch = node.require(0).shape, _indices(node), node.whole("batch_dims", 0)
    if index is None or index.ndim < 1:
        return "a scalar"
    fits = 0 <= batch < min(len(shape), index.ndim) and shape[:batch] == index.shape[:batch]
    if not fits or not 1 <= index.shape[-1] <= len(shape) - batch:
        return f"{batch} of {shape_text(shape)} and {shape_text(index.shape)}"
    return _outside(index, shape[batch:])


def _lower_gather_nd(node: OnnxNode, builder: GraphBuilder) -> None:
    x, batch, index = node.require(0), node.whole("batch_dims", 0), _indices(node)
    assert index is not None  # a rule
    count = int(np.prod(x.shape[:batch], dtype=int))
    places = _places((count, *x.shape[batch:]))
    rows = index.reshape(count, *index.shape[batch:])
    found = [each[_tuples(row, each.shape)] for each, row in zip(places, rows, strict=True)]
    chosen = np.stack(found).reshape((*x.shape[:batch], *found[0].shape))
    _choose(Parts(node, builder), [x], chosen)


def nothing_is_reduced(node: OnnxNode) -> str | None:
    """reduction must be 'none'."""
    word = node.word("reduction", "none")
    return None if word == "none" else quoted(word)


def scattered_tuples_fit(node: OnnxNode) -> str | None:
    """each row of indices must name entries of the first dimensions (negative counts from the end),
    and updates have a slice for each."""
    shape, index, updates = node.require(0).shape, _indices(node), node.require(2).shape
    if index is None or index.ndim < 1 or not 1 <= index.shape[-1] <= len(shape):
        return shape_text(node.require(1).shape)
    if updates != (*index.shape[:-1], *shape[index.shape[-1] :]):
        return f"updates {shape_text(updates)} for {shape_text(index.shape)}"
    return _outside(index, shape)


def _lower_scatter_nd(node: OnnxNode, builder: GraphBuilder) -> None:
    """The data with the updates behind them; each place takes its own entry or an update."""
    shape, index = node.require(0).shape, _indices(node)
    assert index is not None  # a rule
    places = _places(shape)
    new = _places(node.require(2).shape) + places.size
    places[_tuples(index, shape)] = new
    _choose(Parts(node, builder), [node.require(0), node.require(2)], places)


def scattered_elements_fit(node: OnnxNode) -> str | None:
    """indices and updates must have one shape, no larger than the first input but along axis, and
    be within the axis (negative counts from the end)."""
    shape, index = node.require(0).shape, _indices(node)
    axis = normal_axis(node.whole("axis", 0), len(shape))
    if index is None or index.shape != node.require(2).shape or index.ndim != len(shape):
        return f"{shape_text(node.require(1).shape)} and {shape_text(node.require(2).shape)}"
    sizes = zip(index.shape, shape, strict=True)
    if any(have > size for place, (have, size) in enumerate(sizes) if place != axis):
        return f"{shape_text(index.shape)} of {shape_text(shape)}"
    wrong = index[(index < -shape[axis]) | (index >= shape[axis])]
    return f"{wrong[0]} of {shape[axis]} entries" if wrong.size else None


def _lower_scatter_elements(node: OnnxNode, builder: GraphBuilder) -> None:
    shape, index = node.require(0).shape, _indices(node)
    assert index is not None  # a rule
    axis = normal_axis(node.whole("axis", 0), len(shape))
    places = _places(shape)
    at: list[Any] = list(np.indices(index.shape))
    at[axis] = index % shape[axis]
    places[tuple(at)] = _places(index.shape) + places.size
    _choose(Parts(node, builder), [node.require(0), node.require(2)], places)


def float_data_and_updates(node: OnnxNode) -> str | None:
    """data and updates must be float tensors."""
    for operand in (node.require(0), node.require(2)):
        is_float = operand.data is None or operand.data.dtype.kind == "f"
        if operand.is_index or operand.root or operand.is_truth or not is_float:
            return quoted(operand.name)
    return None


def reversed_lengths_fit(node: OnnxNode) -> str | None:
    """batch_axis and time_axis must be 0 and 1 in some order, and sequence_lens 0 to all steps for
    each sequence."""
    shape, lengths = node.require(0).shape, _indices(node)
    batch, time = node.whole("batch_axis", 1), node.whole("time_axis", 0)
    if {batch, time} != {0, 1} or len(shape) < 2:
        return f"batch_axis {batch}, time_axis {time} of {len(shape)} dimensions"
    if lengths is None or lengths.shape != (shape[batch],):
        return f"{shape_text(node.require(1).shape)} for {shape[batch]} sequences"
    wrong = lengths[(lengths < 0) | (lengths > shape[time])]
    return f"{wrong[0]} of {shape[time]} steps" if wrong.size else None


def _lower_reverse_sequence(node: OnnxNode, builder: GraphBuilder) -> None:
    x, lengths = node.require(0), _indices(node)
    assert lengths is not None  # a rule
    places = np.swapaxes(_places(x.shape), 0, node.whole("batch_axis", 1))
    turned = places.copy()
    for row, old, length in zip(turned, places, lengths, strict=True):
        row[:length] = old[:length][::-1]
    chosen = np.swapaxes(turned, 0, node.whole("batch_axis", 1))
    _choose(Parts(node, builder), [x], chosen)


_CHOSEN = "Reshape, Take, Reshape"
_SCATTER_RULES = (
    float_data_and_updates,
    indices_are_constant,
    nothing_is_reduced,
    entries_are_few,
)

SUPPORT = (
    Support(
        "OneHot",
        "Embed of a table (and Transpose)",
        (indices_are_rows, depth_is_a_number, values_are_two, one_hot_axis_in_range),
        _lower_one_hot,
    ),
    Support(
        "Hardmax",
        "ArgReduce, Embed of a table (and Transpose)",
        (float_inputs, float_data, hard_axis_in_range),
        _lower_hardmax,
    ),
    Support(
        "GatherND",
        _CHOSEN,
        (float_data, indices_are_constant, entries_are_few, gathered_tuples_fit),
        _lower_gather_nd,
    ),
    Support(
        "ScatterND",
        f"Concat, {_CHOSEN}",
        (*_SCATTER_RULES, scattered_tuples_fit),
        _lower_scatter_nd,
    ),
    Support(
        "ScatterElements",
        f"Concat, {_CHOSEN}",
        (*_SCATTER_RULES, axis_in_range, scattered_elements_fit),
        _lower_scatter_elements,
    ),
    Support(
        "ReverseSequence",
        _CHOSEN,
        (float_data, constant_parameters, entries_are_few, reversed_lengths_fit),
        _lower_reverse_sequence,
    ),
)
