"""Concat, Split, Slice, Gather and Transpose: elements are chosen and moved, not changed."""

from __future__ import annotations

import numpy as np

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode, Operand, present
from azsim.frontend.rules import (
    Support,
    axis_in_range,
    constant_integers,
    constant_parameters,
    float_data,
    float_inputs,
    normal_axis,
)
from azsim.graph.text import quoted, shape_text
from azsim.graph.types import Attribute


def float_or_quantized(node: OnnxNode) -> str | None:
    """inputs must be float tensors, all bool, or all computed tensors of integers."""
    given = present(node.inputs)
    if all(operand.root for operand in given) or all(map(_is_bool, given)):
        return None
    return float_inputs(node)


def _is_bool(operand: Operand) -> bool:
    return operand.is_truth or (operand.data is not None and operand.data.dtype == np.bool_)


def _check_one_grid(node: OnnxNode, builder: GraphBuilder) -> None:
    """Integers may be joined only if they all mean the same."""
    roots = {operand.root: operand for operand in present(node.inputs) if operand.root}
    grids = {builder.grids.get(root) for root in roots}
    if len(roots) > 1 and (len(grids) > 1 or None in grids):
        names = ", ".join(quoted(operand.name) for operand in list(roots.values())[:4])
        raise node.refusal(f"integers of {names} must have one type, scale and zero point")


def _lower_concat(node: OnnxNode, builder: GraphBuilder) -> None:
    _check_one_grid(node, builder)
    axis = normal_axis(node.whole("axis", 0), len(node.require(0).shape))
    parts = [operand for operand in present(node.inputs) if 0 not in operand.shape]
    if len(parts) == 1:
        builder.drop(node, parts[0])
        return
    inputs = tuple(_use_float(node, builder, operand) for operand in parts)
    builder.emit(node.name, "Concat", inputs, node.outputs, {"axis": axis})
    if any(operand.is_truth for operand in present(node.inputs)):
        builder.mark_truth(node.outputs[0])


def _use_float(node: OnnxNode, builder: GraphBuilder, operand: Operand) -> str:
    """A value name; a constant of truth values becomes 0 and 1."""
    if operand.data is not None and operand.data.dtype == np.bool_:
        return builder.derived(node, "truth", operand.data.astype(np.float32))
    return builder.use(operand)


def _split_sizes(node: OnnxNode) -> tuple[int, ...] | None:
    """Return the sizes along the axis, or None where the parts do not come out even."""
    x = node.require(0)
    size = x.shape[normal_axis(node.whole("axis", 0), len(x.shape))]
    given = constant_integers(node, 1)
    if given is not None:
        return given
    parts = node.whole("num_outputs", len(node.outputs))
    if parts < 1 or ("num_outputs" not in node.attributes and size % parts):
        return None
    chunk = -(-size // parts)
    return (*[chunk] * (parts - 1), size - chunk * (parts - 1))


def split_is_complete(node: OnnxNode) -> str | None:
    """the parts must be of size 0 or more, one for each output, and add up to the axis."""
    x = node.require(0)
    size = x.shape[normal_axis(node.whole("axis", 0), len(x.shape))]
    if "num_outputs" in node.attributes and node.whole("num_outputs", 0) != len(node.outputs):
        return f"num_outputs {node.whole('num_outputs', 0)} with {len(node.outputs)} outputs"
    sizes = _split_sizes(node)
    if sizes is None:
        return f"{size} into {len(node.outputs)} equal parts"
    if len(sizes) != len(node.outputs) or any(s < 0 for s in sizes) or sum(sizes) != size:
        return f"parts {shape_text(sizes)} of {size} for {len(node.outputs)} outputs"
    return None


def _lower_split(node: OnnxNode, builder: GraphBuilder) -> None:
    x = node.require(0)
    rank = len(x.shape)
    axis = normal_axis(node.whole("axis", 0), rank)
    start = 0
    for position, size in enumerate(_split_sizes(node) or ()):
        output = node.outputs[position]
        if output and size == 0:  # of no use but to a Concat
            empty = np.zeros((*x.shape[:axis], 0, *x.shape[axis + 1 :]), np.float32)
            builder.operands[output] = Operand(output, empty.shape, empty)
        elif output:
            starts, ends = [0] * rank, list(x.shape)
            starts[axis], ends[axis] = start, start + size
            attributes = {"starts": tuple(starts), "ends": tuple(ends), "steps": (1,) * rank}
            name = builder.fresh_node(f"{node.name}.{position}")
            builder.emit(name, "Slice", (builder.use(x),), (output,), attributes)
        start += size


def _bounds(node: OnnxNode) -> list[tuple[int, int, int, int]] | None:
    """Return (axis, start, end, step) of each sliced axis, clamped as ONNX does; None if the
    lists do not fit together."""
    shape = node.require(0).shape
    rank = len(shape)
    starts, ends = constant_integers(node, 1), constant_integers(node, 2)
    if starts is None or ends is None:
        return None
    axes = constant_integers(node, 3)
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = constant_integers(node, 4)
    steps = (1,) * len(starts) if steps is None else steps
    if not len(starts) == len(ends) == len(axes) == len(steps):
        return None
    if any(not -rank <= axis < rank for axis in axes):
        return None
    normal = [normal_axis(axis, rank) for axis in axes]
    if len(set(normal)) != len(normal):
        return None
    bounds = []
    for axis, start, end, step in zip(normal, starts, ends, steps, strict=True):
        first, last, _ = slice(start, end, step or 1).indices(shape[axis])
        bounds.append((axis, first, last, step))
    return bounds


def slice_lists_fit(node: OnnxNode) -> str | None:
    """starts, ends, axes and steps must be of one length and name each axis at most once."""
    return "" if _bounds(node) is None else None


def slice_steps_move(node: OnnxNode) -> str | None:
    """steps must not be 0."""
    steps = constant_integers(node, 4) or ()
    return shape_text(steps) if 0 in steps else None


def slice_is_not_empty(node: OnnxNode) -> str | None:
    """each axis must keep one or more entries."""
    for axis, start, end, step in _bounds(node) or ():
        if not range(start, end, step or 1):
            return f"{start} to {end} of axis {axis} with {node.require(0).shape[axis]} entries"
    return None


def _lower_slice(node: OnnxNode, builder: GraphBuilder) -> None:
    x = node.require(0)
    source = builder.use(x)
    bounds = _bounds(node) or []
    if any(step < 0 for *_, step in bounds):
        _lower_backwards(node, builder, bounds)
        return
    starts, ends, steps = [0] * len(x.shape), list(x.shape), [1] * len(x.shape)
    for axis, start, end, step in bounds:
        # a step beyond the end selects the first entry only, as does the longest useful step
        starts[axis], ends[axis], steps[axis] = start, end, min(step, end - start)
    attributes = {"starts": tuple(starts), "ends": tuple(ends), "steps": tuple(steps)}
    builder.emit(node.name, "Slice", (source,), node.outputs, attributes)


def _lower_backwards(
    node: OnnxNode, builder: GraphBuilder, bounds: list[tuple[int, int, int, int]]
) -> None:
    """Axes of which one or more go backwards: each is a choice of entries."""
    x = builder.use(node.require(0))
    for count, (axis, start, end, step) in enumerate(bounds, 1):
        is_last = count == len(bounds)
        y = node.outputs[0] if is_last else builder.fresh_value(f"{node.name}.axis{axis}")
        name = node.name if is_last else builder.fresh_node(f"{node.name}.axis{axis}")
        indices = tuple(range(start, end, step))
        builder.emit(name, "Take", (x,), (y,), {"axis": axis, "indices": indices})
        x = y


def gather_has_one_constant(node: OnnxNode) -> str | None:
    """the indices must be constants, or the data a constant table and the indices an integer
    graph input."""
    data, indices = node.require(0), node.require(1)
    if indices.data is not None:
        return f"the integer input {quoted(data.name)}" if data.is_index else None
    if data.data is None or not indices.is_index:
        return f"data {quoted(data.name)} and computed indices {quoted(indices.name)}"
    return None


def gather_rows_of_table(node: OnnxNode) -> str | None:
    """a table must be a float matrix (rows, features) gathered along axis 0."""
    data = node.require(0)
    if data.data is None:
        return None
    if len(data.shape) != 2 or not np.issubdtype(data.data.dtype, np.floating):
        return f"{data.data.dtype} of shape {shape_text(data.shape)}"
    axis = node.whole("axis", 0)
    return None if axis in (0, -2) else f"axis {axis}"


def gather_in_range(node: OnnxNode) -> str | None:
    """constant indices must be within the axis (negative counts from the end)."""
    data, indices = node.require(0), constant_integers(node, 1)
    if indices is None or not -len(data.shape) <= node.whole("axis", 0) < len(data.shape):
        return None
    size = data.shape[node.whole("axis", 0)]
    outside = [index for index in indices if not -size <= index < size]
    return f"{outside[0]} of {size} entries" if outside else None


def _lower_gather(node: OnnxNode, builder: GraphBuilder) -> None:
    data, indices = node.require(0), node.require(1)
    names = (builder.use(data), builder.use(indices)) if indices.data is None else ()
    if names:
        builder.emit(node.name, "Embed", names, node.outputs)
        return
    axis = normal_axis(node.whole("axis", 0), len(data.shape))
    flat = tuple(i % data.shape[axis] for i in constant_integers(node, 1) or ())
    attributes: dict[str, Attribute] = {"axis": axis, "indices": flat}
    source = builder.use(data)
    if len(indices.shape) == 1:
        builder.emit(node.name, "Take", (source,), node.outputs, attributes)
        return
    taken = builder.fresh_value(f"{node.name}.taken")
    builder.emit(node.name, "Take", (source,), (taken,), attributes)
    target = data.shape[:axis] + indices.shape + data.shape[axis + 1 :]
    name = builder.fresh_node(f"{node.name}.reshape")
    builder.emit(name, "Reshape", (taken,), node.outputs, target=target)


def elements_in_range(node: OnnxNode) -> str | None:
    """the indices must be constants with as many dimensions as the first input, none larger but
    along the axis, and within the axis."""
    data, indices = node.require(0).shape, node.require(1)
    axis = normal_axis(node.whole("axis", 0), len(data))
    fits = len(indices.shape) == len(data) and all(
        have <= size
        for k, (have, size) in enumerate(zip(indices.shape, data, strict=True))
        if k != axis
    )
    if not fits:
        return f"{shape_text(indices.shape)} of {shape_text(data)}"
    outside = [i for i in constant_integers(node, 1) or () if not -data[axis] <= i < data[axis]]
    return f"{outside[0]} of {data[axis]} entries" if outside else None


def _lower_gather_elements(node: OnnxNode, builder: GraphBuilder) -> None:
    """One Take of all elements: the positions of the chosen ones are known."""
    data, indices = node.require(0), node.require(1)
    axis = normal_axis(node.whole("axis", 0), len(data.shape))
    places = np.indices(indices.shape)
    chosen = np.asarray(constant_integers(node, 1), np.int64).reshape(indices.shape)
    places[axis] = chosen % data.shape[axis]
    flat = np.ravel_multi_index(tuple(places), data.shape).reshape(-1)
    row, taken = (builder.fresh_value(f"{node.name}.{part}") for part in ("row", "taken"))
    size = int(np.prod(data.shape))
    name = builder.fresh_node(f"{node.name}.row")
    builder.emit(name, "Reshape", (builder.use(data),), (row,), target=(size,))
    name = builder.fresh_node(f"{node.name}.taken")
    attributes: dict[str, Attribute] = {"axis": 0, "indices": tuple(flat.tolist())}
    builder.emit(name, "Take", (row,), (taken,), attributes)
    builder.emit(node.name, "Reshape", (taken,), node.outputs, target=indices.shape)


def perm_is_permutation(node: OnnxNode) -> str | None:
    """perm must hold each dimension once."""
    perm = node.wholes("perm")
    rank = len(node.require(0).shape)
    return None if perm is None or sorted(perm) == list(range(rank)) else shape_text(perm)


def _lower_transpose(node: OnnxNode, builder: GraphBuilder) -> None:
    x = node.require(0)
    perm = node.wholes("perm")
    perm = tuple(reversed(range(len(x.shape)))) if perm is None else perm
    builder.emit(node.name, "Transpose", (builder.use(x),), node.outputs, {"perm": perm})


SUPPORT = (
    Support("Concat", "Concat", (float_or_quantized, axis_in_range), _lower_concat),
    Support(
        "Split",
        "Slice for each used output",
        (float_data, constant_parameters, axis_in_range, split_is_complete),
        _lower_split,
    ),
    Support(
        "Slice",
        "Slice (backwards: Take)",
        (float_data, constant_parameters, slice_lists_fit, slice_steps_move, slice_is_not_empty),
        _lower_slice,
    ),
    Support(
        "Gather",
        "Take (and Reshape), or Embed",
        (gather_has_one_constant, gather_rows_of_table, axis_in_range, gather_in_range),
        _lower_gather,
    ),
    Support(
        "GatherElements",
        "Reshape, Take, Reshape",
        (float_data, constant_parameters, axis_in_range, elements_in_range),
        _lower_gather_elements,
    ),
    Support("Transpose", "Transpose", (float_data, perm_is_permutation), _lower_transpose),
)
