"""Output shapes of the graph's operators, each computed from input shapes and plain attributes.

The rules say what `azsim.graph.types.DEFAULT_OPERATORS` says. A rule raises `ModelError` whose text
lacks the node; `output_shapes` puts it in front.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from azsim.errors import ModelError
from azsim.graph import row_shapes
from azsim.graph.attributes import (
    Attributes,
    Shape,
    Shapes,
    axis_of,
    broadcast,
    expect,
    integer,
    integers,
    present,
)
from azsim.graph.text import quoted, shape_text
from azsim.graph.types import Node, Value
from azsim.graph.window_shapes import blend_shape, conv_shape, pool_shape

Rule = Callable[[Shapes, Attributes], tuple[Shape, ...]]


def _matmul(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    x, weight = present(shapes, 2)
    if len(weight) != 2:
        raise ModelError(f"weights must have 2 dimensions, not {len(weight)}")
    if not x or x[-1] != weight[0]:
        raise ModelError(
            f"the last dimension of input {shape_text(x)} must be {weight[0]},"
            f" the rows of weights {shape_text(weight)}"
        )
    return ((*x[:-1], weight[1]),)


def _lstm(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    if len(shapes) != 6:
        raise ModelError(f"must have 6 inputs ('' where absent), not {len(shapes)}")
    x, weight = present(shapes[:2], 2)
    hidden = integer(attributes, "hidden_size")
    if hidden < 1:
        raise ModelError(f"hidden_size must be 1 or more, not {hidden}")
    if len(x) != 3:
        raise ModelError(f"X must have 3 dimensions (steps, batch, features), not {len(x)}")
    steps, batch, features = x
    expect("W", weight, (1, 4 * hidden, features))
    expect("R", shapes[2], (1, 4 * hidden, hidden))
    expect("B", shapes[3], (1, 8 * hidden))
    expect("initial_h", shapes[4], (1, batch, hidden))
    expect("initial_c", shapes[5], (1, batch, hidden))
    return (steps, 1, batch, hidden), (1, batch, hidden), (1, batch, hidden)


def _elementwise(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    a, b = present(shapes, 2)
    return (broadcast(a, b),)


def _same(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    return (present(shapes, 1)[0],)


def _softmax(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    (x,) = present(shapes, 1)
    axis_of(attributes, len(x))
    return (x,)


def _concat(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    parts = present(shapes, max(1, len(shapes)))
    axis = axis_of(attributes, len(parts[0]))
    for part in parts[1:]:
        same_rank = len(part) == len(parts[0])
        if not same_rank or part[:axis] + part[axis + 1 :] != (
            parts[0][:axis] + parts[0][axis + 1 :]
        ):
            raise ModelError(
                f"inputs must agree in all dimensions but {axis}:"
                f" {shape_text(parts[0])} and {shape_text(part)}"
            )
    total = sum(part[axis] for part in parts)
    return ((*parts[0][:axis], total, *parts[0][axis + 1 :]),)


def _slice(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    (x,) = present(shapes, 1)
    bounds = [integers(attributes, name) for name in ("starts", "ends", "steps")]
    if any(len(bound) != len(x) for bound in bounds):
        raise ModelError(f"starts, ends and steps must each have {len(x)} entries")
    for start, end, step, size in zip(*bounds, x, strict=True):
        if not (0 <= start < end <= size and step >= 1):
            raise ModelError(
                f"start {start}, end {end}, step {step} must select one or more of {size} entries"
            )
    return (tuple(-(-(end - start) // step) for start, end, step in zip(*bounds, strict=True)),)


def _take(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    (x,) = present(shapes, 1)
    axis = axis_of(attributes, len(x))
    indices = integers(attributes, "indices")
    if not indices:
        raise ModelError("indices must not be empty")
    for index in indices:
        if not 0 <= index < x[axis]:
            raise ModelError(f"indices must be from 0 to {x[axis] - 1}, not {index}")
    return ((*x[:axis], len(indices), *x[axis + 1 :]),)


def _embed(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    table, index = present(shapes, 2)
    if len(table) != 2:
        raise ModelError(f"the table must have 2 dimensions, not {len(table)}")
    return ((*index, table[1]),)


def _transpose(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    (x,) = present(shapes, 1)
    perm = integers(attributes, "perm")
    if sorted(perm) != list(range(len(x))):
        raise ModelError(f"perm must hold each of {len(x)} dimensions once, not {shape_text(perm)}")
    return (tuple(x[axis] for axis in perm),)


_RULES: dict[str, Rule] = {
    "MatMul": _matmul,
    "Conv": conv_shape,
    "Pool": pool_shape,
    "Blend": blend_shape,
    "LSTM": _lstm,
    "Add": _elementwise,
    "Sub": _elementwise,
    "Mul": _elementwise,
    "Div": _elementwise,
    "Min": _elementwise,
    "Max": _elementwise,
    "Relu": _same,
    "Sigmoid": _same,
    "Tanh": _same,
    "Softmax": _softmax,
    "Concat": _concat,
    "Slice": _slice,
    "Take": _take,
    "Embed": _embed,
    "Transpose": _transpose,
    "Quantize": _same,
    **row_shapes.RULES,
}


def element_count(shape: Shape) -> int:
    """Return the number of elements as a Python integer (never overflows)."""
    count = 1
    for size in shape:
        count *= size
    return count


def _reshape(node: Node, values: Mapping[str, Value]) -> tuple[Shape, ...]:
    (x,) = present([values[name].shape for name in node.inputs], 1)
    target = values[node.outputs[0]].shape
    if element_count(x) != element_count(target):
        raise ModelError(
            f"shape {shape_text(target)} must hold the {element_count(x)} elements"
            f" of {shape_text(x)}"
        )
    return (target,)


def _expand(node: Node, values: Mapping[str, Value]) -> tuple[Shape, ...]:
    (x,) = present([values[name].shape for name in node.inputs], 1)
    target = values[node.outputs[0]].shape
    if broadcast(x, target) != target:
        raise ModelError(f"shape {shape_text(x)} must broadcast to {shape_text(target)}")
    return (target,)


_SHAPED = ("Reshape", "Expand")  # operators whose result's shape is their only attribute


def output_shapes(node: Node, values: Mapping[str, Value]) -> tuple[Shape, ...]:
    """Return the shape of each output of `node` from the shapes of its inputs in `values`.

    For Reshape and Expand the target is the output's own entry in `values`. Raises ModelError
    naming the node and what must hold.
    """
    try:
        if node.operator == "Reshape":
            return _reshape(node, values)
        if node.operator == "Expand":
            return _expand(node, values)
        if node.operator not in _RULES:
            raise ModelError(f"operator must be one of {', '.join(sorted([*_RULES, *_SHAPED]))}")
        shapes = [values[name].shape if name else None for name in node.inputs]
        return _RULES[node.operator](shapes, node.attributes)
    except ModelError as error:
        where = f"node {quoted(node.name)} ({one_operator(node)})"
        raise ModelError(f"{where}: {error}") from None


def one_operator(node: Node) -> str:
    """Return the operator's name as it may stand in a message."""
    return quoted(node.operator)[1:-1]
