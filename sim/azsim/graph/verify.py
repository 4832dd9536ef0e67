"""What every float graph must fulfil; run after reading and after each pass that rewrites it."""

from __future__ import annotations

import numpy as np

from azsim.errors import ModelError
from azsim.graph.shapes import element_count, one_operator, output_shapes
from azsim.graph.text import quoted, shape_text
from azsim.graph.types import (
    DEFAULT_OPERATORS,
    MOVING_OPERATORS,
    Graph,
    Node,
    Value,
    ValueKind,
)

MAX_ELEMENTS = 1 << 26  # of one value: 256 MiB as float32
MAX_COMPUTED_ELEMENTS = 1 << 27  # of all values that a step computes
MAX_RANK = 8

# operator -> input positions that must be constants
CONSTANT_INPUTS: dict[str, tuple[int, ...]] = {
    "MatMul": (1,),
    "Conv": (1, 2),
    "LSTM": (1, 2, 3),
    "Embed": (0,),
    "GRU": (1, 2, 3),
    "Norm": (1, 2),
    "Where": (0,),
}
INDEX_MOVERS = ("Reshape", "Slice", "Take", "Transpose", "Expand")
# operator -> outputs that are row numbers
INDEX_OUTPUTS: dict[str, tuple[int, ...]] = {"ArgReduce": (0,), "TopK": (1,)}


def check_size(what: str, shape: tuple[int, ...]) -> None:
    """Refuse a shape with an empty or negative dimension, too many dimensions or elements."""
    if any(size < 1 for size in shape):
        raise ModelError(f"{what} must have dimensions of 1 or more, not {shape_text(shape)}")
    if len(shape) > MAX_RANK:
        raise ModelError(f"{what} must have at most {MAX_RANK} dimensions, not {len(shape)}")
    if element_count(shape) > MAX_ELEMENTS:
        raise ModelError(
            f"{what} must hold at most {MAX_ELEMENTS} elements, not {element_count(shape)}"
        )


def _check_constant(value: Value) -> None:
    what = f"constant {quoted(value.name)}"
    if value.data is None:
        raise ModelError(f"{what} must have data")
    if value.data.dtype not in (np.float32, np.int64):
        raise ModelError(f"{what} must be float32 or int64, not {value.data.dtype}")
    if value.data.shape != value.shape:
        raise ModelError(
            f"{what} must have shape {shape_text(value.shape)}, not {shape_text(value.data.shape)}"
        )
    # min and max are NaN or infinite if any element is, and need no temporary array
    if value.data.dtype == np.float32 and not (
        np.isfinite(value.data.min()) and np.isfinite(value.data.max())
    ):
        raise ModelError(f"{what} must be finite, not NaN or infinite")


def _check_values(graph: Graph) -> None:
    for name, value in graph.values.items():
        if not name or name != value.name:
            raise ModelError(f"value {quoted(name)} must carry its own name")
        check_size(f"value {quoted(name)}", value.shape)
        if value.kind is ValueKind.CONSTANT:
            _check_constant(value)
        elif value.data is not None:
            raise ModelError(f"value {quoted(name)} must have no data, it is no constant")
        if value.is_index and value.kind not in (ValueKind.INPUT, ValueKind.NODE):
            raise ModelError(f"value {quoted(name)} must be given or computed to be an index")
        _check_quantization(value)


def _check_quantization(value: Value) -> None:
    """Check the grid of a value and the integers of a constant, as far as one value shows."""
    grid, stored = value.quantization, value.stored
    if grid is not None and (not grid.is_sound() or value.data is not None or value.is_index):
        raise ModelError(
            f"value {quoted(value.name)} must be computed or given as int8 or uint8 with a positive"
            f" scale and a zero point of its type, not {grid.text()}"
        )
    if stored is None:
        return
    if value.data is None or stored.integers.shape != value.shape:
        raise ModelError(f"constant {quoted(value.name)} must hold one integer for each number")
    if stored.scale.ndim != len(value.shape) or not (
        np.isfinite(stored.scale).all() and (stored.scale > 0).all()
    ):
        raise ModelError(f"constant {quoted(value.name)} must have positive, finite scales")
    wide = [axis for axis, size in enumerate(stored.scale.shape) if size != 1]
    if len(wide) > 1 or any(stored.scale.shape[k] != value.shape[k] for k in wide):
        raise ModelError(f"constant {quoted(value.name)} must have scales along one dimension")


def _check_grids(graph: Graph, node: Node) -> None:
    """Outputs lie on a grid exactly if the node puts or keeps them there."""
    where = f"node {quoted(node.name)} ({one_operator(node)})"
    output = graph.values[node.outputs[0]] if node.outputs[0] else None
    if node.operator == "Quantize":
        if output is None or output.quantization is None:
            raise ModelError(f"{where}: output must have a quantization")
        return
    inputs = {graph.values[name].quantization for name in node.inputs if name}
    kept = node.operator in MOVING_OPERATORS and len(inputs) == 1
    for name in node.outputs:
        grid = graph.values[name].quantization if name else None
        if grid is not None and not (kept and grid in inputs):
            raise ModelError(
                f"{where}: output {quoted(name)} must not have a quantization of its own"
            )


def _check_computed_size(graph: Graph) -> None:
    computed = [v for v in graph.values.values() if v.kind is ValueKind.NODE]
    total = sum(element_count(value.shape) for value in computed)
    if total > MAX_COMPUTED_ELEMENTS:
        raise ModelError(
            f"one step must compute at most {MAX_COMPUTED_ELEMENTS} elements, not {total}"
        )


def _check_kind(graph: Graph, names: tuple[str, ...], kind: ValueKind, what: str) -> None:
    if len(set(names)) != len(names):
        raise ModelError(f"{what} names must be unique")
    for name in names:
        if name not in graph.values or graph.values[name].kind is not kind:
            raise ModelError(f"{what} {quoted(name)} must be a value of kind '{kind.value}'")
    listed = set(names)
    for value in graph.values.values():
        if value.kind is kind and value.name not in listed:
            raise ModelError(f"value {quoted(value.name)} must be listed as {what}")


def _check_inputs(graph: Graph, node: Node, known: set[str]) -> None:
    where = f"node {quoted(node.name)} ({one_operator(node)})"
    for name in node.inputs:
        if name and name not in known:
            raise ModelError(f"{where}: input {quoted(name)} must be known before the node")
        is_index = name in known and graph.values[name].is_index
        chosen = node.operator == "Embed" and node.inputs[1:] == (name,)
        if is_index and not (chosen or node.operator in INDEX_MOVERS):
            raise ModelError(f"{where}: index {quoted(name)} may only choose rows of an Embed")
    for position in CONSTANT_INPUTS.get(node.operator, ()):
        name = node.inputs[position] if position < len(node.inputs) else ""
        if name and graph.values[name].data is None:
            raise ModelError(f"{where}: input {quoted(name)} must be a constant")
    constants = [n for n in node.inputs if n and graph.values[n].data is not None]
    if len(constants) == len([n for n in node.inputs if n]):
        raise ModelError(f"{where}: one or more inputs must be computed")
    for name in constants:
        if graph.values[name].data.dtype != np.float32:  # type: ignore[union-attr]
            raise ModelError(f"{where}: constant {quoted(name)} must be float32")


def _check_outputs(graph: Graph, node: Node, known: set[str]) -> None:
    where = f"node {quoted(node.name)} ({one_operator(node)})"
    if not any(node.outputs):
        raise ModelError(f"{where}: one or more outputs must be named")
    for name in node.outputs:
        if name and (name in known or node.outputs.count(name) > 1):
            raise ModelError(f"{where}: output {quoted(name)} must be given by one node only")
        if name and (name not in graph.values or graph.values[name].kind is not ValueKind.NODE):
            raise ModelError(f"{where}: output {quoted(name)} must be a value of kind 'node'")
    _check_indices(graph, node, where)
    shapes = output_shapes(node, graph.values)
    if len(node.outputs) > len(shapes):
        raise ModelError(f"{where}: must have at most {len(shapes)} outputs")
    for name, shape in zip(node.outputs, shapes, strict=False):
        if name and graph.values[name].shape != shape:
            raise ModelError(
                f"{where}: output {quoted(name)} must have shape {shape_text(shape)},"
                f" not {shape_text(graph.values[name].shape)}"
            )


def _check_indices(graph: Graph, node: Node, where: str) -> None:
    """Outputs are row numbers exactly if the node finds or moves them."""
    moved = node.operator in INDEX_MOVERS and graph.values[node.inputs[0]].is_index
    for position, name in enumerate(node.outputs):
        found = position in INDEX_OUTPUTS.get(node.operator, ())
        if name and graph.values[name].is_index != (found or moved):
            kind = "row numbers" if found or moved else "numbers"
            raise ModelError(f"{where}: output {quoted(name)} must be {kind}")


def _check_nodes(graph: Graph) -> None:
    known = {name for name, value in graph.values.items() if value.kind is not ValueKind.NODE}
    seen: set[str] = set()
    for node in graph.nodes:
        where = f"node {quoted(node.name)} ({one_operator(node)})"
        if not node.name or node.name in seen:
            raise ModelError(f"{where}: node names must be unique and not empty")
        if node.operator not in DEFAULT_OPERATORS:
            raise ModelError(f"{where}: operator must be one of {', '.join(DEFAULT_OPERATORS)}")
        _check_inputs(graph, node, known)
        _check_outputs(graph, node, known)
        _check_grids(graph, node)
        seen.add(node.name)
        known.update(name for name in node.outputs if name)
    for name in graph.values:
        if name not in known:
            raise ModelError(f"value {quoted(name)} must be computed by a node")


def _check_states(graph: Graph) -> None:
    for pair in graph.states:
        result = graph.values.get(pair.result)
        if result is None or result.kind is not ValueKind.NODE:
            raise ModelError(
                f"state {quoted(pair.source)}: result {quoted(pair.result)} must be computed"
            )
        source = graph.values[pair.source]
        grid = source.quantization
        if grid is not None and grid != result.quantization:
            there = "float32" if result.quantization is None else result.quantization.text()
            raise ModelError(
                f"state {quoted(pair.source)}: result {quoted(pair.result)} must be {grid.text()},"
                f" not {there}"
            )
        if source.shape != result.shape:
            raise ModelError(
                f"state {quoted(pair.source)}: result {quoted(pair.result)} must have shape"
                f" {shape_text(source.shape)}, not {shape_text(result.shape)}"
            )


def verify_graph(graph: Graph) -> None:
    """Raise ModelError (one line: node or value name, what must hold) unless the graph is sound.

    Sound means: names unique; nodes in execution order with every input known; operators and
    constant inputs as `DEFAULT_OPERATORS` says; shapes as the operators give them; constants
    finite float32 or int64; grids (`quantization`) sound, and only where a node or the file puts
    them; each state paired with a computed value of the same shape and grid; at least one node and
    one output.
    """
    if not graph.nodes:
        raise ModelError("graph must have one or more nodes")
    if not graph.outputs and not graph.states:
        raise ModelError("graph must have one or more outputs")
    _check_values(graph)
    _check_computed_size(graph)
    _check_kind(graph, graph.inputs, ValueKind.INPUT, "input")
    _check_kind(graph, tuple(p.source for p in graph.states), ValueKind.STATE, "state")
    _check_nodes(graph)
    _check_states(graph)
    for name in graph.outputs:
        if name not in graph.values or graph.values[name].kind is not ValueKind.NODE:
            raise ModelError(f"output {quoted(name)} must be computed by a node")
