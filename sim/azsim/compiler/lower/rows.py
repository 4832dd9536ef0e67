"""Operators on rows: Reduce, ArgReduce, TopK, Norm, LogSoftmax, Where, products of two computed
tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from azsim.compiler.context import LoweringContext, constant_in, exact_data, node_where
from azsim.compiler.formats import Format
from azsim.compiler.lower.moves import add_transposed, broadcast_to, is_suffix
from azsim.errors import CompileError
from azsim.graph import Node
from azsim.graph.integer import (
    ArgReduce,
    IntegerKind,
    IntegerTensor,
    MatmulRows,
    Norm,
    Reduce,
    Select,
    View,
)

Floats = npt.NDArray[np.float64]

MAX_EPSILON = 2**60
NORMALIZED_BITS = 16
MAX_GAMMA_BITS = 46  # the shift of a norm is 16 more and at most 62
MAX_NORM_COLUMNS = 32768
MAX_PRODUCTS = 32767  # four sums of so many products of int8 stay within int32


# -- reductions ---------------------------------------------------------------------------------


def lower_reduce(node: Node, context: LoweringContext) -> None:
    """Mean, sum, largest or smallest over some axes."""
    x = context.int8(node.inputs[0])
    y = context.declare(node.outputs[0])
    axes = _ints(node, "axes")
    kind = str(node.attributes["kind"])
    sizes = five_sizes(x.shape, axes)
    if sizes is None:
        kept = [axis for axis in range(len(x.shape)) if axis not in axes]
        x = add_transposed(context, f"{node.name}/turn", x, [*kept, *axes])
        sizes = five_sizes(x.shape, range(len(kept), len(x.shape)))
    if sizes is None or y.element != "int8":
        raise CompileError(f"{node_where(node)}: output must be int8, not {y.element}")
    share = math.prod(sizes[1::2]) if kind == "mean" else 1
    multiplier, shift = context.multiplier(node.name, x.scale / y.scale / share)
    how = "sum" if kind == "mean" else kind
    context.add(Reduce(node.name, x.name, y.name, how, sizes, multiplier, shift))


def five_sizes(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, int, int, int, int] | None:
    """Return a shape as (outer, reduced, middle, reduced, inner); None if more than two groups of
    neighbouring dimensions are reduced."""
    runs: list[tuple[bool, int]] = []  # (reduced, size) of neighbours
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        if runs and runs[-1][0] == (axis in axes):
            runs[-1] = (runs[-1][0], runs[-1][1] * size)
        else:
            runs.append((axis in axes, size))
    if runs and runs[0][0]:
        runs.insert(0, (False, 1))
    if runs and runs[-1][0]:
        runs.append((False, 1))
    sizes = [size for _, size in runs]
    if len(sizes) == 5:
        return sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
    if len(sizes) == 3:
        return 1, 1, sizes[0], sizes[1], sizes[2]
    return (1, 1, sizes[0] if sizes else 1, 1, 1) if len(sizes) <= 1 else None


def lower_arg_reduce(node: Node, context: LoweringContext) -> None:
    """Place of the largest or smallest entry along an axis."""
    x = context.int8(node.inputs[0])
    axis = _ints(node, "axis")[0]
    if axis != len(x.shape) - 1 and math.prod(x.shape[axis + 1 :]) != 1:
        rest = [k for k in range(len(x.shape)) if k != axis]
        x = add_transposed(context, f"{node.name}/turn", x, [*rest, axis])
    elif axis != len(x.shape) - 1:
        x = _viewed(context, f"{node.name}/row", x, (*x.shape[:axis], 1, x.shape[axis]))
    y = context.declare(node.outputs[0])
    context.add(ArgReduce(node.name, x.name, y.name, str(node.attributes["kind"]), 1))


def _viewed(
    context: LoweringContext, name: str, x: IntegerTensor, shape: tuple[int, ...]
) -> IntegerTensor:
    y = context.new_tensor(name, shape, Format(x.element, x.scale, x.zero_point))
    context.add(View(f"{name}_view", x.name, y.name))
    return y


def lower_top_k(node: Node, context: LoweringContext) -> None:
    """The k largest entries of each row and their places."""
    x = context.int8(node.inputs[0])
    outputs = (*node.outputs, "")[:2]
    k = _ints(node, "k")[0]
    shape = (*x.shape[:-1], k)
    if outputs[1]:
        places = context.declare(outputs[1])
    else:
        places = context.new_tensor(f"{node.name}/places", shape, Format("int32", 1.0))
    if not outputs[0]:
        context.add(ArgReduce(node.name, x.name, places.name, "max", k))
        return
    form = Format(x.element, x.scale, x.zero_point)
    found = context.new_tensor(f"{node.name}/values", shape, form)
    context.add(ArgReduce(node.name, x.name, places.name, "max", k, found.name))
    source = context.convert(found.name, context.formats[outputs[0]])
    context.add(View(f"{node.name}/result", source, context.declare(outputs[0]).name))


# -- norms --------------------------------------------------------------------------------------


def lower_norm(node: Node, context: LoweringContext) -> None:
    """Layer norm or RMS norm of int8 or int16 rows; gamma and beta in fine steps of the result."""
    x = context.at_most_int16(node.inputs[0])
    y = context.declare(node.outputs[0])
    columns = x.shape[-1]
    where = node_where(node)
    if columns > MAX_NORM_COLUMNS or y.element == "int32":
        raise CompileError(f"{where}: must have at most {MAX_NORM_COLUMNS} columns, not {columns}")
    epsilon = columns**2 * float(str(node.attributes["epsilon"])) / x.scale**2
    if not epsilon <= MAX_EPSILON:
        raise CompileError(f"{where}: epsilon must be at most 2**60 steps, not {epsilon:.6g}")
    gamma = _parameter(node, context, 1, np.ones(columns)) / y.scale
    beta = _parameter(node, context, 2, np.zeros(columns)) / y.scale
    bits = _gamma_bits(where, max(float(np.abs(gamma).max()), float(np.abs(beta).max())))
    table = np.stack([np.rint(np.ldexp(part, bits)) for part in (gamma, beta)]).astype(np.int32)
    name = f"{node.name}/parameters"
    context.tensors[name] = IntegerTensor(
        name, table.shape, "int32", y.scale * 2.0**-bits, 0, IntegerKind.CONSTANT, table
    )
    kind, shift = str(node.attributes["kind"]), NORMALIZED_BITS + bits
    context.add(Norm(node.name, x.name, y.name, kind, name, round(epsilon), shift))


def _parameter(node: Node, context: LoweringContext, position: int, absent: Floats) -> Floats:
    name = node.inputs[position]
    return exact_data(context.graph.values[name]) if name else absent


def _gamma_bits(where: str, peak: float) -> int:
    """Most fraction bits at which a parameter of `peak` steps of the result fits int32."""
    if not peak < 2.0**30:
        raise CompileError(f"{where}: scale and bias must be below 2**30 steps, not {peak:.6g}")
    return min(MAX_GAMMA_BITS, 30 - math.frexp(peak)[1]) if peak > 0.0 else 0


# -- selection ----------------------------------------------------------------------------------


def lower_where(node: Node, context: LoweringContext) -> None:
    """a where a constant condition holds, else b; both in the result's format first."""
    form = context.formats[node.outputs[0]]
    y_shape = context.graph.values[node.outputs[0]].shape
    parts = []
    for role, name in zip(("a", "b"), node.inputs[1:], strict=True):
        part = context.tensor(context.convert(name, form))
        if not is_suffix(part.shape, y_shape):
            part = broadcast_to(context, part, y_shape, f"{node.name}/{role}")
        parts.append(part.name)
    condition = _condition(node, context, y_shape)
    y = context.declare(node.outputs[0])
    context.add(Select(node.name, condition, parts[0], parts[1], y.name))


def _condition(node: Node, context: LoweringContext, y_shape: tuple[int, ...]) -> str:
    """The condition as a constant of bytes, written out where it does not repeat by itself."""
    value = context.graph.values[node.inputs[0]]
    assert value.data is not None  # the verifier made sure
    data = (value.data != 0).astype(np.int8)
    if not is_suffix(data.shape, y_shape):
        data = np.ascontiguousarray(np.broadcast_to(data, y_shape))
    name = f"{node.name}/condition"
    context.tensors[name] = IntegerTensor(
        name, data.shape, "int8", 1.0, 0, IntegerKind.CONSTANT, data
    )
    return name


# -- products of two computed tensors -------------------------------------------------------------


def lower_mat_mul_rows(node: Node, context: LoweringContext) -> None:
    """a (..., M, K) times b (..., K, N), both int8: one product per pair of matrices."""
    a, b = (_operand(node, context, name) for name in node.inputs)
    y = context.declare(node.outputs[0])
    if y.element != "int8":
        raise CompileError(f"{node_where(node)}: output must be int8, not {y.element}")
    rows, columns, outputs = a.shape[-2], a.shape[-1], b.shape[-1]
    if columns > MAX_PRODUCTS:
        raise CompileError(
            f"{node_where(node)}: must sum at most {MAX_PRODUCTS} products, not {columns}"
        )
    scale = float(str(node.attributes.get("scale", 1.0)))
    multiplier, shift = context.multiplier(node.name, a.scale * b.scale * scale / y.scale)
    batches = tuple(
        (p * rows * columns, q * columns * outputs, place * rows * outputs)
        for place, (p, q) in enumerate(_pairs(a.shape[:-2], b.shape[:-2], y.shape[:-2]))
    )
    context.add(
        MatmulRows(
            node.name, a.name, b.name, y.name, rows, columns, outputs, 1, outputs, batches,
            multiplier, shift, _zero_constants(node, context, "a", a, columns),
            _zero_constants(node, context, "b", b, 1),
        )
    )  # fmt: skip


def _zero_constants(
    node: Node, context: LoweringContext, side: str, x: IntegerTensor, count: int
) -> tuple[str, ...]:
    """Constants of `count` equal entries each that add up to minus the zero point of x."""
    zero = x.zero_point
    terms = () if zero == 0 else (64, 64) if zero == -128 else (-zero,)
    names = []
    for place, term in enumerate(terms):
        name = f"{node.name}/{side}_zero{place}"
        data = np.full(count, term, np.int8)
        context.tensors[name] = IntegerTensor(
            name, (count,), "int8", 1.0, 0, IntegerKind.CONSTANT, data
        )
        names.append(name)
    return tuple(names)


def _operand(node: Node, context: LoweringContext, name: str) -> IntegerTensor:
    """An operand as int8; a constant, which has no other home, in its own int8 scale."""
    value = context.graph.values[name]
    if value.data is None:
        return context.int8(name)
    peak = float(np.abs(value.data).max())
    form = Format("int8", peak / 127 if peak > 0 else 1 / 127)
    own = value.stored
    if own is not None and own.scale.size == 1 and own.integers.dtype == np.int8:
        form = Format("int8", float(own.scale.item()))
    label = f"{name}@int8.{node.name}"
    context.tensors[label] = constant_in(label, value, form)
    return context.tensors[label]


def _pairs(a: tuple[int, ...], b: tuple[int, ...], y: tuple[int, ...]) -> list[tuple[int, int]]:
    """Which matrix of a and which of b each product takes, in the order of y."""
    indices = []
    for shape in (a, b):
        aligned = (1,) * (len(y) - len(shape)) + shape
        numbers = np.arange(math.prod(shape)).reshape(aligned)
        indices.append(np.broadcast_to(numbers, y).reshape(-1).tolist())
    return list(zip(*indices, strict=True))


def _ints(node: Node, attribute: str) -> tuple[int, ...]:
    value = node.attributes[attribute]
    entries = value if isinstance(value, tuple) else (value,)
    return tuple(int(entry) for entry in entries)
