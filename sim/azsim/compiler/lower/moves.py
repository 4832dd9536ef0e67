"""Data movement: views where the bytes already lie right, strided copies else. No rounding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from azsim.compiler.context import LoweringContext, constant_in, node_where
from azsim.compiler.formats import Format
from azsim.errors import CompileError
from azsim.graph import Node
from azsim.graph.integer import EmbedRows, IntegerTensor, Move, Piece, View

MAX_DIMENSIONS = 4  # of one strided copy command


def lower_reshape(node: Node, context: LoweringContext) -> None:
    """Reshape, Squeeze, Unsqueeze, Flatten: the same bytes under another shape."""
    x, y = _same_format(node, context)
    context.add(View(node.name, x.name, y.name))


def _same_format(node: Node, context: LoweringContext) -> tuple[IntegerTensor, IntegerTensor]:
    """Input and output of a mover, the input converted where assign_formats kept them apart."""
    name = node.outputs[0]
    x = context.tensor(context.convert(node.inputs[0], context.formats[name]))
    return x, context.declare(name)


def lower_expand(node: Node, context: LoweringContext) -> None:
    """Expand: numpy broadcasting written out."""
    x, y = _same_format(node, context)
    aligned = _aligned(x.shape, len(y.shape))
    strides = [
        0 if size == 1 else stride
        for size, stride in zip(aligned, strides_of(aligned), strict=True)
    ]
    _add_boxes(context, node.name, x, y, [(y.shape, 0, strides, 0, strides_of(y.shape))])


def lower_slice(node: Node, context: LoweringContext) -> None:
    """Slice with step >= 1."""
    x, y = _same_format(node, context)
    starts, steps = _ints(node, "starts"), _ints(node, "steps")
    strides = strides_of(x.shape)
    offset = sum(start * stride for start, stride in zip(starts, strides, strict=True))
    picked = [step * stride for step, stride in zip(steps, strides, strict=True)]
    _add_boxes(context, node.name, x, y, [(y.shape, offset, picked, 0, strides_of(y.shape))])


def lower_transpose(node: Node, context: LoweringContext) -> None:
    """Transpose by `perm`."""
    x, y = _same_format(node, context)
    add_transposed(context, node.name, x, _ints(node, "perm"), y)


def add_transposed(
    context: LoweringContext,
    name: str,
    x: IntegerTensor,
    perm: Sequence[int],
    y: IntegerTensor | None = None,
) -> IntegerTensor:
    """Append a transposition of x into `y` (a new tensor if None) and return y."""
    strides = strides_of(x.shape)
    if y is None:
        shape = tuple(x.shape[axis] for axis in perm)
        y = context.new_tensor(f"{name}_result", shape, Format(x.element, x.scale, x.zero_point))
    picked = [strides[axis] for axis in perm]
    _add_boxes(context, name, x, y, [(y.shape, 0, picked, 0, strides_of(y.shape))])
    return y


def lower_take(node: Node, context: LoweringContext) -> None:
    """Gather with constant indices: one box per run of evenly spaced indices."""
    x, y = _same_format(node, context)
    axis = _ints(node, "axis")[0]
    x_strides, y_strides = strides_of(x.shape), strides_of(y.shape)
    boxes: list[Box] = []
    for place, first, step, count in even_runs(_ints(node, "indices")):
        shape = (*y.shape[:axis], count, *y.shape[axis + 1 :])
        picked = list(x_strides)
        picked[axis] *= step
        boxes.append((shape, first * x_strides[axis], picked, place * y_strides[axis], y_strides))
    _add_boxes(context, node.name, x, y, boxes)


def even_runs(indices: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Split indices into runs (place, first, step, count) of even spacing."""
    runs: list[tuple[int, int, int, int]] = []
    place = 0
    while place < len(indices):
        end = place + 1
        step = indices[end] - indices[place] if end < len(indices) else 1
        while end < len(indices) and indices[end] - indices[end - 1] == step:
            end += 1
        runs.append((place, indices[place], step, end - place))
        place = end
    return runs


def lower_concat(node: Node, context: LoweringContext) -> None:
    """Concat: every input in the output's format, then one copy each."""
    form = context.formats[node.outputs[0]]
    names = [context.convert(name, form) for name in node.inputs]
    y = context.declare(node.outputs[0])
    tensors = [context.tensor(name) for name in names]
    add_move_concat(context, node.name, tensors, y, _ints(node, "axis")[0])


def add_move_concat(
    context: LoweringContext,
    name: str,
    tensors: Sequence[IntegerTensor],
    y: IntegerTensor,
    axis: int,
) -> None:
    """Append a Move that joins `tensors` along `axis` of y (their rank may lack leading ones)."""
    y_strides = strides_of(y.shape)
    inputs: dict[str, int] = {}
    pieces: list[Piece] = []
    place = 0
    for tensor in tensors:
        shape = _aligned(tensor.shape, len(y.shape))
        source = inputs.setdefault(tensor.name, len(inputs))
        box = (shape, 0, strides_of(shape), place * y_strides[axis], y_strides)
        pieces += pieces_of(source, box)
        place += shape[axis]
    context.add(Move(name, tuple(inputs), y.name, tuple(pieces)))


def _aligned(shape: tuple[int, ...], rank: int) -> tuple[int, ...]:
    return (1,) * (rank - len(shape)) + shape


def broadcast_to(
    context: LoweringContext, x: IntegerTensor, shape: tuple[int, ...], name: str
) -> IntegerTensor:
    """Return x repeated to `shape` (numpy rules); x itself if it already has that many elements."""
    if x.size == int(np.prod(shape, dtype=np.int64)):
        return x
    y = context.new_tensor(f"{name}_broadcast", shape, Format(x.element, x.scale, x.zero_point))
    aligned = _aligned(x.shape, len(shape))
    strides = [
        0 if size == 1 else stride
        for size, stride in zip(aligned, strides_of(aligned), strict=True)
    ]
    context.add(
        Move(
            name, (x.name,), y.name, tuple(pieces_of(0, (shape, 0, strides, 0, strides_of(shape))))
        )
    )
    return y


def is_suffix(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """True if `shape` without its leading ones is the end of `whole`: its data repeats as it is."""
    short = shape
    while short and short[0] == 1:
        short = short[1:]
    return len(short) <= len(whole) and (not short or whole[-len(short) :] == short)


def lower_embed(node: Node, context: LoweringContext) -> None:
    """Gather of table rows by an index input: the table as int8, one scale, stays in DRAM."""
    value = context.graph.values[node.inputs[0]]
    if value.data is None:
        raise CompileError(f"{node_where(node)}: table must be a constant")
    y = context.declare(node.outputs[0])
    if y.element != "int8":
        raise CompileError(f"{node_where(node)}: output must be int8, not a cell state")
    table = constant_in(value.name, value, context.formats[node.outputs[0]]).data
    assert table is not None  # a constant has data
    context.add(EmbedRows(node.name, table, context.tensor(node.inputs[1]).name, y.name))


def strides_of(shape: Sequence[int]) -> list[int]:
    """Strides in elements of a contiguous tensor."""
    strides = [1] * len(shape)
    for axis in range(len(shape) - 2, -1, -1):
        strides[axis] = strides[axis + 1] * shape[axis + 1]
    return strides


Box = tuple[Sequence[int], int, Sequence[int], int, Sequence[int]]
# shape, source offset, source strides, target offset, target strides


def _add_boxes(
    context: LoweringContext, name: str, x: IntegerTensor, y: IntegerTensor, boxes: Sequence[Box]
) -> None:
    pieces = [piece for box in boxes for piece in pieces_of(0, box)]
    if len(pieces) == 1 and _is_contiguous(pieces[0]):
        context.add(View(name, x.name, y.name, pieces[0].source_offset))
    else:
        context.add(Move(name, (x.name,), y.name, tuple(pieces)))


def _is_contiguous(piece: Piece) -> bool:
    return piece.target_offset == 0 and piece.source_strides == (1,) == piece.target_strides


def pieces_of(source: int, box: Box) -> list[Piece]:
    """Copies of a box: dimensions that run on in both tensors merged, cut where more than four
    are left."""
    shape, source_offset, source_strides, target_offset, target_strides = box
    dims = [d for d in zip(shape, source_strides, target_strides, strict=True) if d[0] != 1]
    merged: list[tuple[int, int, int]] = []
    for size, s, t in reversed(dims):
        if merged and s == merged[-1][0] * merged[-1][1] and t == merged[-1][0] * merged[-1][2]:
            merged[-1] = (merged[-1][0] * size, merged[-1][1], merged[-1][2])
        else:
            merged.append((size, s, t))
    merged = merged[::-1] or [(1, 1, 1)]
    if len(merged) > MAX_DIMENSIONS:
        (size, s, t), rest = merged[0], merged[1:]
        inner = [[d[k] for d in rest] for k in range(3)]
        return [
            piece
            for i in range(size)
            for piece in pieces_of(
                source, (inner[0], source_offset + i * s, inner[1], target_offset + i * t, inner[2])
            )
        ]
    columns = [tuple(d[k] for d in merged) for k in range(3)]
    return [Piece(source, columns[0], source_offset, columns[1], target_offset, columns[2])]


def _ints(node: Node, attribute: str) -> tuple[int, ...]:
    value = node.attributes[attribute]
    entries = value if isinstance(value, tuple) else (value,)
    return tuple(int(entry) for entry in entries)
