"""A node restricted to a range of its output's elements: what it needs of each input, and the node
that computes just that. One function per node type; a type without one cannot be divided."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from azsim.graph.integer import (
    Depthwise,
    Elementwise,
    Extreme,
    IntegerGraph,
    IntegerNode,
    Linear,
    LogSoftmaxRows,
    LookUp,
    Move,
    Norm,
    Piece,
    Pool,
    Requant,
    Select,
    SoftmaxRows,
    Table8,
)
from azsim.graph.integer_window import Grid, plain_window

_Rows = SoftmaxRows | LogSoftmaxRows | Norm
Range = tuple[int, int]  # elements [begin, end)
ALIGNED_ELEMENTS = 64


@dataclass(frozen=True)
class Block:
    """`node` computes output elements `made` (offsets within it count from its begin) from
    `needs[k]`, a range of each of its inputs that lies in DRAM or is given whole.

    `node` still names the whole tensors; its offsets into an input k count from `needs[k]`.
    """

    node: IntegerNode
    made: Range
    needs: Mapping[str, Range]


def unit_elements(graph: IntegerGraph, node: IntegerNode) -> int | None:
    """Elements of the output that belong together (a row of the image, a period of an operand);
    None if the node cannot be divided."""
    rule = _UNITS.get(type(node))
    return None if rule is None else rule(graph, node)


def block_of(graph: IntegerGraph, node: IntegerNode, begin: int, end: int) -> Block:
    """The node restricted to output elements [begin, end), both multiples of its unit."""
    needs, made = _CUTS[type(node)](graph, node, begin, end)
    return Block(made, (begin, end), needs)


_Cut = tuple[dict[str, Range], IntegerNode]


# -- element by element -------------------------------------------------------------------------


def _cut_plain(graph: IntegerGraph, node: Any, begin: int, end: int) -> _Cut:
    return {node.x: (begin, end)}, node


def _cut_table(graph: IntegerGraph, node: Table8, begin: int, end: int) -> _Cut:
    return {node.x: (begin, end), node.table: (0, graph.tensors[node.table].size)}, node


def _elementwise_unit(graph: IntegerGraph, node: Elementwise | Extreme) -> int:
    size = graph.tensors[node.b].size
    return 1 if size == graph.tensors[node.y].size else size


def _cut_elementwise(
    graph: IntegerGraph, node: Elementwise | Extreme, begin: int, end: int
) -> _Cut:
    whole = graph.tensors[node.y].size
    repeats = graph.tensors[node.b].size != whole
    needs = {node.a: (begin, end)}
    needs[node.b] = (0, graph.tensors[node.b].size) if repeats else (begin, end)
    return needs, node


# -- rows ---------------------------------------------------------------------------------------


def _row_unit(graph: IntegerGraph, node: _Rows) -> int:
    return graph.tensors[node.x].shape[-1]


def _cut_rows(graph: IntegerGraph, node: _Rows, begin: int, end: int) -> _Cut:
    needs = {node.x: (begin, end)}
    if isinstance(node, Norm):
        needs[node.parameters] = (0, graph.tensors[node.parameters].size)
    return needs, node


def _select_unit(graph: IntegerGraph, node: Select) -> int:
    """The longest of the operands that repeat: the shorter ones are its last dimensions."""
    whole = graph.tensors[node.y].size
    sizes = [graph.tensors[name].size for name in node.reads]
    return max((size for size in sizes if size != whole), default=1)


def _cut_select(graph: IntegerGraph, node: Select, begin: int, end: int) -> _Cut:
    whole = graph.tensors[node.y].size
    needs: dict[str, Range] = {}
    for name in node.reads:
        size = graph.tensors[name].size
        needs[name] = (begin, end) if size == whole else (0, size)
    return needs, node


# -- products -----------------------------------------------------------------------------------


def _linear_unit(graph: IntegerGraph, node: Linear) -> int | None:
    if node.addend:
        return None
    rows, window = len(node.weights), node.window
    if window is None or (window.out_h == 1 and window.batch == 1):
        return rows
    return rows * window.out_w


def _cut_linear(graph: IntegerGraph, node: Linear, begin: int, end: int) -> _Cut:
    rows, columns = node.weights.shape
    whole = node.window or plain_window(graph.tensors[node.x].size // columns, columns)
    first, last = begin // rows, end // rows  # positions
    if whole.out_h == 1 and whole.batch == 1:
        source = first * whole.step_w
        window = replace(whole, out_w=last - first)
    else:
        image, row = divmod(first // whole.out_w, whole.out_h)
        source = image * whole.batch_step + row * whole.step_h
        window = replace(whole, batch=1, batch_step=0, out_h=(last - first) // whole.out_w)
    reach = int(window.starts()[-1]) + (window.groups - 1) * window.group_step
    reach += max(window.segments) + columns // len(window.segments)
    return {node.x: (source, source + reach)}, replace(node, window=window)


# -- windows of the vector unit -----------------------------------------------------------------


def _grid_unit(graph: IntegerGraph, node: Depthwise | Pool) -> int:
    return node.channels * node.grids[0].out_w if _is_whole(node) else 0


def _is_whole(node: Depthwise | Pool) -> bool:
    """True if each image is one grid (a mean with uneven counts has several)."""
    return all(grid.out_w == node.grids[0].out_w for grid in node.grids)


def _cut_grids(graph: IntegerGraph, node: Depthwise | Pool, begin: int, end: int) -> _Cut:
    picked: list[tuple[int, Grid]] = []
    for number, grid in enumerate(node.grids):
        row = grid.out_w * node.channels
        first = max(begin, grid.target)
        last = min(end, grid.target + grid.out_h * row)
        if first < last:
            skip = (first - grid.target) // row
            part = replace(
                grid,
                source=grid.source + skip * grid.step_h,
                target=first - begin,
                out_h=(last - first) // row,
            )
            picked.append((number, part))
    low = min(grid.source for _, grid in picked)
    high = max(grid.last for _, grid in picked) + node.channels
    grids = tuple(replace(grid, source=grid.source - low) for _, grid in picked)
    made: IntegerNode = replace(node, grids=grids)
    if isinstance(node, Pool):
        made = replace(node, grids=grids, factors=tuple(node.factors[n] for n, _ in picked))
    needs = {node.x: (low, high)}
    if isinstance(node, Depthwise):
        for name in (node.weights, node.parameters):
            needs[name] = (0, graph.tensors[name].size)
    return needs, made


# -- moves --------------------------------------------------------------------------------------


def _move_unit(graph: IntegerGraph, node: Move) -> int | None:
    """The largest layer of the target, up to a row of pixels, along which all pieces can be cut;
    None if the pieces do not fill the target: the rest of it was fetched (fetch_join.py)."""
    if sum(math.prod(piece.shape) for piece in node.pieces) != graph.tensors[node.y].size:
        return None
    shape = graph.tensors[node.y].shape or (1,)
    units = [1]
    for size in reversed(shape[-2:] if len(shape) > 3 else shape[-1:]):
        units.append(units[-1] * size)
    return next((u for u in reversed(units) if all(_fits(piece, u) for piece in node.pieces)), None)


def _fits(piece: Piece, unit: int) -> bool:
    """True if the piece falls into layers of `unit` target elements: its dimensions are steps of
    whole layers, or lie inside one."""
    inside = piece.target_offset % unit
    for size, stride in zip(piece.shape, piece.target_strides, strict=True):
        if stride < 0:
            return False
        if stride % unit:
            inside += (size - 1) * stride
    return inside < unit


def _cut_move(graph: IntegerGraph, node: Move, begin: int, end: int) -> _Cut:
    unit = _move_unit(graph, node)
    assert unit is not None  # the caller asked before
    pieces = [p for piece in node.pieces for p in _cut_piece(piece, unit, begin, end)]
    needs: dict[str, Range] = {}
    for number, name in enumerate(node.inputs):
        mine = [_source_range(piece) for piece in pieces if piece.source == number]
        if mine:
            needs[name] = (min(low for low, _ in mine), max(high for _, high in mine))
    names = tuple(needs)
    made = tuple(
        replace(
            piece,
            source=names.index(node.inputs[piece.source]),
            source_offset=piece.source_offset - needs[node.inputs[piece.source]][0],
        )
        for piece in pieces
    )
    return needs, replace(node, inputs=names, pieces=made)


def _cut_piece(piece: Piece, unit: int, begin: int, end: int) -> list[Piece]:
    """The parts of a piece whose target lies in [begin, end), target offsets from begin."""
    outer = [k for k, stride in enumerate(piece.target_strides) if stride % unit == 0 and stride]
    outer = [k for k in outer if piece.shape[k] > 1]
    if not outer:
        is_inside = begin <= piece.target_offset < end
        moved = replace(piece, target_offset=piece.target_offset - begin)
        return [moved] if is_inside else []
    k = max(outer, key=lambda axis: piece.target_strides[axis])
    stride, found = piece.target_strides[k], list[Piece]()
    rest = [axis for axis in outer if axis != k]
    if rest:  # several dimensions of layers: one piece per entry of the slowest
        for entry in range(piece.shape[k]):
            one = _one_of(piece, k, entry)
            found += _cut_piece(one, unit, begin, end)
        return found
    first = max(0, -(-(begin - piece.target_offset) // stride))
    last = min(piece.shape[k], -(-(end - piece.target_offset) // stride))
    if first >= last:
        return []
    shape = tuple(last - first if axis == k else n for axis, n in enumerate(piece.shape))
    return [
        replace(
            piece,
            shape=shape,
            source_offset=piece.source_offset + first * piece.source_strides[k],
            target_offset=piece.target_offset + first * stride - begin,
        )
    ]


def _one_of(piece: Piece, axis: int, entry: int) -> Piece:
    """One entry of a dimension."""
    shape = tuple(1 if k == axis else n for k, n in enumerate(piece.shape))
    return replace(
        piece,
        shape=shape,
        source_offset=piece.source_offset + entry * piece.source_strides[axis],
        target_offset=piece.target_offset + entry * piece.target_strides[axis],
    )


def _source_range(piece: Piece) -> Range:
    low = high = piece.source_offset
    for size, stride in zip(piece.shape, piece.source_strides, strict=True):
        step = (size - 1) * stride
        low, high = low + min(step, 0), high + max(step, 0)
    return low, high + 1


def _one(graph: IntegerGraph, node: IntegerNode) -> int:
    return 1


_UNITS: dict[type[Any], Callable[[IntegerGraph, Any], int | None]] = {
    Requant: _one,
    LookUp: _one,
    Table8: _one,
    Elementwise: _elementwise_unit,
    Extreme: _elementwise_unit,
    Select: _select_unit,
    SoftmaxRows: _row_unit,
    LogSoftmaxRows: _row_unit,
    Norm: _row_unit,
    Linear: _linear_unit,
    Depthwise: _grid_unit,
    Pool: _grid_unit,
    Move: _move_unit,
}
_CUTS: dict[type[Any], Callable[[IntegerGraph, Any, int, int], _Cut]] = {
    Requant: _cut_plain,
    LookUp: _cut_plain,
    Table8: _cut_table,
    Elementwise: _cut_elementwise,
    Extreme: _cut_elementwise,
    Select: _cut_select,
    SoftmaxRows: _cut_rows,
    LogSoftmaxRows: _cut_rows,
    Norm: _cut_rows,
    Linear: _cut_linear,
    Depthwise: _cut_grids,
    Pool: _cut_grids,
    Move: _cut_move,
}


def cut_edges(graph: IntegerGraph, node: IntegerNode, unit: int, most: int) -> list[Range]:
    """Ranges of output elements, multiples of `unit`, of about `most` elements each; none goes over
    the end of an image."""
    (y,) = node.writes
    whole = graph.tensors[y].size
    images = whole
    if isinstance(node, Linear) and node.window is not None and node.window.batch > 1:
        images = whole // node.window.batch
    step = max(1, most // unit) * unit
    if unit == 1 and step > ALIGNED_ELEMENTS:
        step -= step % ALIGNED_ELEMENTS
    return [
        (begin, min(begin + step, first + images))
        for first in range(0, whole, images)
        for begin in range(first, first + images, step)
    ]
