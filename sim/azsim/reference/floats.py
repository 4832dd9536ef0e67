"""What a float graph means: one step in plain numpy, float32 throughout.

It says nothing about integers, time or energy. The compiler uses it to calibrate activation ranges
and the reports use it as the float side of the signal-to-noise figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from azsim.errors import ModelError
from azsim.graph import Graph, Node, Quantization
from azsim.graph.attributes import integer, integers
from azsim.graph.text import quoted, shape_text
from azsim.reference import float_rows, float_windows
from azsim.reference.float_rows import sigmoid

Array = npt.NDArray[np.generic]
Float32Array = npt.NDArray[np.float32]
Evaluator = Callable[[Node, list[Array | None]], tuple[Array, ...]]

C_MAX_SUFFIX = ":c_max"


def _lstm_cell(
    gates: Float32Array, c: Float32Array, hidden: int, coupled: bool
) -> tuple[Float32Array, Float32Array]:
    """Return (h, c) from the gate sums (batch, 4H) in ONNX order i, o, f, c and the old c.

    `coupled`: the forget gate is 1 - i, its own sum is not looked at (as ONNX Runtime does).
    """
    i, o, f = (sigmoid(gates[:, k * hidden : (k + 1) * hidden]) for k in range(3))
    if coupled:
        f = np.float32(1) - i
    candidate = np.tanh(gates[:, 3 * hidden :])
    new_c = f * c + i * candidate
    return o * np.tanh(new_c), new_c


def _lstm(node: Node, operands: list[Array | None]) -> tuple[Array, ...]:
    """Return (Y, Y_h, Y_c, largest |c| over all steps): X (T, B, I) and the rest as ONNX has it."""
    x, weight = (np.asarray(a, dtype=np.float32) for a in operands[:2])
    recurrent = None if operands[2] is None else np.asarray(operands[2], dtype=np.float32)
    bias, first_h, first_c = operands[3:]
    hidden = integer(node.attributes, "hidden_size")
    coupled = bool(node.attributes.get("input_forget", 0))
    steps, batch, _ = x.shape
    zeros = np.zeros((1, batch, hidden), dtype=np.float32)
    h = np.asarray(zeros if first_h is None else first_h, dtype=np.float32)[0]
    c = np.asarray(zeros if first_c is None else first_c, dtype=np.float32)[0]
    both = np.zeros(4 * hidden, dtype=np.float32)
    if bias is not None:
        halves = np.asarray(bias, dtype=np.float32).reshape(2, 4 * hidden)
        both = halves[0] + halves[1]
    y = np.empty((steps, 1, batch, hidden), dtype=np.float32)
    largest = np.float32(0)
    for step in range(steps):
        gates = x[step] @ weight[0].T
        if recurrent is not None:
            gates = gates + h @ recurrent[0].T
        gates = gates + both
        h, c = _lstm_cell(gates, c, hidden, coupled)
        y[step, 0] = h
        largest = np.maximum(largest, np.abs(c).max())
    return y, h[np.newaxis], c[np.newaxis], np.asarray(largest, dtype=np.float32)


def _operands(values: list[Array | None], count: int) -> list[Array]:
    found = [value for value in values if value is not None]
    if len(found) < count:
        raise ModelError(f"must have {count} inputs, not {len(found)}")
    return found


def _softmax(node: Node, operands: list[Array | None]) -> tuple[Array, ...]:
    x = np.asarray(operands[0], dtype=np.float32)
    axis = integer(node.attributes, "axis")
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    return (powers / powers.sum(axis=axis, keepdims=True),)


def _slice(node: Node, operands: list[Array | None]) -> tuple[Array, ...]:
    (x,) = _operands(operands, 1)
    bounds = [integers(node.attributes, name) for name in ("starts", "ends", "steps")]
    return (x[tuple(slice(a, b, s) for a, b, s in zip(*bounds, strict=True))],)


def _embed(node: Node, operands: list[Array | None]) -> tuple[Array, ...]:
    table, index = _operands(operands, 2)
    rows = index.astype(np.int64)
    if rows.min() < 0 or rows.max() >= len(table):
        raise ModelError(
            f"index must be from 0 to {len(table) - 1}, not {rows.min()}..{rows.max()}"
        )
    return (table[rows],)


def _concat(node: Node, operands: list[Array | None]) -> tuple[Array, ...]:
    return (np.concatenate(_operands(operands, 1), axis=integer(node.attributes, "axis")),)


def _take(node: Node, operands: list[Array | None]) -> tuple[Array, ...]:
    indices = np.asarray(integers(node.attributes, "indices"), dtype=np.int64)
    axis = integer(node.attributes, "axis")
    return (np.take(_operands(operands, 1)[0], indices, axis=axis),)


def _unary(function: Callable[[Float32Array], Float32Array]) -> Evaluator:
    def evaluate(node: Node, operands: list[Array | None]) -> tuple[Array, ...]:
        return (function(np.asarray(operands[0], dtype=np.float32)),)

    return evaluate


def _binary(function: Callable[[Float32Array, Float32Array], Float32Array]) -> Evaluator:
    def evaluate(node: Node, operands: list[Array | None]) -> tuple[Array, ...]:
        a, b = (np.asarray(operand, dtype=np.float32) for operand in _operands(operands, 2))
        return (function(a, b),)

    return evaluate


def _moved(node: Node, operands: list[Array | None]) -> tuple[Array, ...]:
    return (_operands(operands, 1)[0],)  # the caller knows the shape


def _transpose(node: Node, operands: list[Array | None]) -> tuple[Array, ...]:
    return (np.transpose(_operands(operands, 1)[0], integers(node.attributes, "perm")),)


_EVALUATORS: dict[str, Evaluator] = {
    "MatMul": _binary(lambda x, weight: np.matmul(x, weight)),
    "Conv": float_windows.conv,
    "Pool": float_windows.pool,
    "Blend": float_windows.blend,
    "LSTM": _lstm,
    "Add": _binary(lambda a, b: a + b),
    "Sub": _binary(lambda a, b: a - b),
    "Mul": _binary(lambda a, b: a * b),
    "Min": _binary(lambda a, b: np.minimum(a, b)),
    "Max": _binary(lambda a, b: np.maximum(a, b)),
    "Relu": _unary(lambda x: np.maximum(x, np.float32(0))),
    "Sigmoid": _unary(sigmoid),
    "Tanh": _unary(lambda x: np.tanh(x)),
    "Softmax": _softmax,
    "Concat": _concat,
    "Slice": _slice,
    "Take": _take,
    "Embed": _embed,
    "Reshape": _moved,
    "Expand": _moved,
    "Transpose": _transpose,
    **float_rows.EVALUATORS,
}


def fake_quantize(x: Array, grid: Quantization) -> Float32Array:
    """Return `x` moved to the numbers that `grid` has, as QuantizeLinear and DequantizeLinear do.

    Computed in float32 as ONNX defines it: x / scale rounded to nearest, halves to even, plus zero
    point, saturated to the type; then (integer - zero_point) * scale.
    """
    scale, (low, high) = np.float32(grid.scale), grid.limits
    with np.errstate(over="ignore"):  # what divides to infinity saturates
        steps = np.rint(np.asarray(x, dtype=np.float32) / scale)
    zero = np.float32(grid.zero_point)
    return np.asarray(np.clip(steps, low - zero, high - zero) * scale, dtype=np.float32)


def _evaluate(graph: Graph, node: Node, operands: list[Array | None]) -> tuple[Array, ...]:
    grid = graph.values[node.outputs[0]].quantization if node.operator == "Quantize" else None
    if grid is not None:
        return (fake_quantize(_operands(operands, 1)[0], grid),)
    return _EVALUATORS[node.operator](node, operands)


def _finite(array: Array) -> bool:
    return bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _shaped(node: Node, result: Array, shape: tuple[int, ...]) -> Array:
    if node.operator == "Expand":
        return np.broadcast_to(result, shape).copy()
    return result.reshape(shape)


def _evaluate_node(graph: Graph, node: Node, values: dict[str, Array]) -> None:
    operands = [values[name] if name else None for name in node.inputs]
    try:
        with np.errstate(all="ignore"):  # a value that overflows is refused below
            results = _evaluate(graph, node, operands)
        if node.operator == "LSTM":
            values[node.name + C_MAX_SUFFIX] = results[3]
        for name, result in zip(node.outputs, results, strict=False):
            if not name:
                continue
            kind = np.int64 if graph.values[name].is_index else np.float32
            values[name] = _shaped(node, np.asarray(result, dtype=kind), graph.values[name].shape)
            if not _finite(values[name]):
                raise ModelError(f"output {quoted(name)} must be finite, not NaN or infinite")
    except ModelError as error:
        raise ModelError(f"node {quoted(node.name)} ({node.operator}): {error}") from None


def _given(graph: Graph, names: tuple[str, ...], arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of graph inputs or states `names`, refusing absent and misshapen ones."""
    given: dict[str, Array] = {}
    for name in names:
        value = graph.values[name]
        if name not in arrays:
            raise ModelError(f"input {quoted(name)} must be given")
        array = np.asarray(arrays[name])
        if array.shape != value.shape:
            raise ModelError(
                f"input {quoted(name)} must have shape {shape_text(value.shape)},"
                f" not {shape_text(array.shape)}"
            )
        if value.is_index and not np.issubdtype(array.dtype, np.integer):
            raise ModelError(f"input {quoted(name)} must be integer, not {array.dtype}")
        with np.errstate(over="ignore"):  # too large for float32 is refused just below
            given[name] = array.astype(np.int64 if value.is_index else np.float32)
        if not _finite(given[name]):
            raise ModelError(f"input {quoted(name)} must be finite, not NaN or infinite")
        if value.quantization is not None:  # the model takes integers here
            given[name] = fake_quantize(given[name], value.quantization)
    return given


def initial_states(graph: Graph) -> dict[str, Float32Array]:
    """Return the states before the first step: zeros of each state's shape."""
    return {p.source: np.zeros(graph.values[p.source].shape, np.float32) for p in graph.states}


def evaluate_floats(
    graph: Graph, inputs: Mapping[str, Array], states: Mapping[str, Array]
) -> tuple[dict[str, Array], dict[str, Float32Array]]:
    """Evaluate one step.

    `inputs` holds one array per graph input (float32, or integers for an index), `states` one per
    state (see `initial_states`), each of the value's shape. Returns every value by name (constants
    excepted; float32, index inputs int64), for each LSTM node also `"<node name>:c_max"`, the
    largest |c| over its time steps (scalar float32), and the states of the next step. Raises
    ModelError (one line, node and value) if an input is absent, misshapen or not finite, an index
    is outside its table, or a value becomes infinite or NaN.
    """
    given = _given(graph, graph.inputs, inputs)
    given.update(_given(graph, tuple(p.source for p in graph.states), states))
    constants = {name: value.data for name, value in graph.values.items() if value.data is not None}
    values: dict[str, Array] = {**constants, **given}
    for node in graph.nodes:
        _evaluate_node(graph, node, values)
    carried = {p.source: values[p.result].astype(np.float32) for p in graph.states}
    return {name: a for name, a in values.items() if name not in constants}, carried


def run_floats(graph: Graph, frames: Mapping[str, Array]) -> Iterator[dict[str, Array]]:
    """Yield every value of each step, states carried on from zero.

    `frames` holds for each graph input an array (steps, *shape); all have the same number of steps.
    """
    lengths = {name: len(frames[name]) for name in graph.inputs if name in frames}
    if len(lengths) != len(graph.inputs) or len(set(lengths.values())) > 1:
        raise ModelError(
            f"each of {len(graph.inputs)} inputs must be given for the same number of steps, not"
            f" {', '.join(f'{quoted(n)}: {k}' for n, k in lengths.items()) or 'none'}"
        )
    states = initial_states(graph)
    for step in range(min(lengths.values(), default=0)):
        values, states = evaluate_floats(graph, {n: frames[n][step] for n in graph.inputs}, states)
        yield values
