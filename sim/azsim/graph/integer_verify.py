"""What every integer graph must fulfil; run after the quantize pass."""

from __future__ import annotations

from collections.abc import Mapping

from azsim.errors import CompileError
from azsim.graph.integer import (
    ArgReduce,
    Depthwise,
    Elementwise,
    Extreme,
    GruCell,
    IntegerGraph,
    IntegerKind,
    IntegerNode,
    Linear,
    LstmCell,
    MatmulRows,
    Move,
    Norm,
    Pool,
    Reduce,
    Select,
    Table8,
    View,
    node_inputs,
    node_outputs,
)
from azsim.graph.integer_window import Window

ELEMENTS = ("int8", "int16", "int32")


def verify_integer_graph(graph: IntegerGraph) -> None:
    """Check names, order, element types and sizes of every tensor and node.

    Raises:
        CompileError: the first broken rule, with the node's name.
    """
    for tensor in graph.tensors.values():
        if tensor.element not in ELEMENTS or tensor.scale <= 0.0:
            raise CompileError(f"tensor '{tensor.name}': must be int8/16/32 with a positive scale")
    known = {n for n, t in graph.tensors.items() if t.kind is not IntegerKind.NODE}
    for node in graph.nodes:
        for name in node_inputs(node):
            _require(node, name in known, f"input '{name}' must be computed before")
        for name in node_outputs(node):
            _require(node, name in graph.tensors, f"output '{name}' must be a tensor")
            _require(node, name not in known, f"output '{name}' must be computed once")
            known.add(name)
        _verify_node(graph, node)
    for name in graph.outputs:
        if name not in known:
            raise CompileError(f"output '{name}': must be computed")
    for state in graph.states:
        source, result = graph.tensors[state.source], graph.tensors[state.result]
        same = (source.element, source.scale, source.size) == (
            result.element,
            result.scale,
            result.size,
        )
        if not same:
            raise CompileError(f"state '{state.source}': result must have the same format and size")


def _require(node: IntegerNode, holds: bool, rule: str) -> None:
    if not holds:
        raise CompileError(f"node '{node.name}' ({type(node).__name__}): {rule}")


def _verify_node(graph: IntegerGraph, node: IntegerNode) -> None:
    size = {name: graph.tensors[name].size for name in (*node_inputs(node), *node_outputs(node))}
    match node:
        case Linear():
            rows, columns = node.weights.shape
            _require(node, graph.tensors[node.x].element == "int8", "x must be int8")
            if node.window is None:
                _require(node, size[node.x] % columns == 0, "x must have whole rows of weights")
                want = size[node.x] // columns * rows
            else:
                _verify_window(node, node.window, size[node.x])
                want = node.window.positions * rows
            _require(node, size[node.y] == want, f"y must have {want} elements")
            _require(node, not node.addend or size[node.addend] == want, "addend must match y")
            counts = {len(a) for a in (node.multiplier, node.shift, node.bias)}
            _require(node, counts == {rows}, "each row must have multiplier, shift and bias")
        case LstmCell():
            gates = 3 if node.couple else 4
            whole = size[node.gates] == gates * size[node.h_out]
            _require(node, whole, f"gates must be {gates} x hidden")
            _require(node, size[node.c_in] == size[node.c_out], "c must keep its size")
        case Elementwise():
            _require(node, size[node.a] == size[node.y], "a must have y's size")
            _require(node, size[node.y] % size[node.b] == 0, "b must repeat evenly")
        case Depthwise() | Pool():
            made = node.channels * sum(grid.outputs for grid in node.grids)
            _require(node, made == size[node.y], "grids must fill y exactly")
            last = max(grid.last for grid in node.grids) + node.channels
            _require(node, last <= size[node.x], "windows must lie inside x")
            kinds = {graph.tensors[name].element for name in (node.x, node.y)}
            _require(node, kinds == {"int8"}, "x and y must be int8")
        case Move():
            copied = sum(_piece_size(piece.shape) for piece in node.pieces)
            _require(node, copied == size[node.y], "pieces must fill y exactly")
        case View():
            inside = node.offset >= 0 and node.offset + size[node.y] <= size[node.x]
            _require(node, inside, "view must lie inside its input")
        case _:
            _verify_rows(graph, node, size)


def _verify_rows(graph: IntegerGraph, node: IntegerNode, size: Mapping[str, int]) -> None:
    """The nodes of `azsim.graph.integer_rows`."""
    element = {name: graph.tensors[name].element for name in size}
    match node:
        case Table8():
            _require(node, size[node.table] == 256, "table must have 256 entries")
            _require(node, size[node.x] == size[node.y], "x must have y's size")
            kinds = {element[name] for name in (node.x, node.y, node.table)}
            _require(node, kinds == {"int8"}, "x, y and table must be int8")
        case Extreme():
            _require(node, size[node.a] == size[node.y], "a must have y's size")
            _require(node, size[node.y] % size[node.b] == 0, "b must repeat evenly")
        case Select():
            parts = (node.condition, node.a, node.b)
            even = all(size[node.y] % size[part] == 0 for part in parts)
            _require(node, even, "operands must repeat evenly")
            kinds = {element[name] for name in (node.a, node.b, node.y)}
            _require(node, len(kinds) == 1, "a, b and y must have one type")
        case Reduce(sizes=sizes):
            kept = sizes[0] * sizes[2] * sizes[4]
            whole = kept * sizes[1] * sizes[3]
            _require(node, (size[node.x], size[node.y]) == (whole, kept), "sizes must fit x and y")
        case ArgReduce():
            rows = size[node.x] // graph.tensors[node.x].shape[-1]
            _require(node, size[node.y] == rows * node.k, "y must have k entries per row")
        case Norm():
            columns = graph.tensors[node.x].shape[-1]
            _require(node, size[node.parameters] == 2 * columns, "parameters must fit the rows")
        case MatmulRows():
            made = len(node.batches) * node.rows * node.outputs
            _require(node, size[node.y] == made, f"y must have {made} elements")
        case GruCell():
            sizes_ = {size[name] for name in (*node.reads, *node.writes)}
            _require(node, len(sizes_) == 1, "gates, h and y must have one size")
        case _:
            pass


def _verify_window(node: Linear, window: Window, size: int) -> None:
    rows, columns = node.weights.shape
    is_even = rows % window.groups == 0 and columns % len(window.segments) == 0
    _require(node, is_even, "groups must divide the rows, segments the columns")
    last = int(window.starts()[-1]) + (window.groups - 1) * window.group_step
    last += max(window.segments) + columns // len(window.segments)
    _require(node, min(window.segments) >= 0 and last <= size, "window must lie inside x")


def _piece_size(shape: tuple[int, ...]) -> int:
    total = 1
    for extent in shape:
        total *= extent
    return total
