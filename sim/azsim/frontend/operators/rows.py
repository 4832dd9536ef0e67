"""Softmax, reductions, selections and norms: operators that look at whole rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode, Operand
from azsim.frontend.operators.functions import two_valued
from azsim.frontend.parts import Parts
from azsim.frontend.rules import (
    Support,
    axis_in_range,
    constant_integers,
    constant_parameters,
    float_data,
    float_inputs,
    normal_axis,
)
from azsim.graph.formulas import number_word
from azsim.graph.shapes import element_count
from azsim.graph.text import quoted, shape_text
from azsim.graph.types import Attribute

Floats = npt.NDArray[np.float64]
KINDS = {"ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "max", "ReduceMin": "min"}


# -- rules --------------------------------------------------------------------------------------


def _axes(node: OnnxNode) -> tuple[int, ...] | None:
    """Return the reduced axes counted from the first, None if one lies outside."""
    rank = len(node.require(0).shape)
    given = node.wholes("axes") if "axes" in node.attributes else constant_integers(node, 1)
    if not given:
        return () if node.whole("noop_with_empty_axes", 0) else tuple(range(rank))
    if any(not -rank <= axis < rank for axis in given):
        return None
    return tuple(sorted({normal_axis(axis, rank) for axis in given}))


def axes_in_range(node: OnnxNode) -> str | None:
    """axes must be dimensions of the first input (negative counts from the last)."""
    if _axes(node) is not None:
        return None
    given = node.wholes("axes") or constant_integers(node, 1) or ()
    return f"{shape_text(given)} of {len(node.require(0).shape)} dimensions"


def first_of_equals(node: OnnxNode) -> str | None:
    """select_last_index must be 0."""
    return str(node.whole("select_last_index", 0)) if node.whole("select_last_index", 0) else None


def top_axis_in_range(node: OnnxNode) -> str | None:
    """axis must be one of the first input's dimensions (negative counts from the last)."""
    rank, axis = len(node.require(0).shape), node.whole("axis", -1)
    return None if -rank <= axis < rank else f"{axis} of {rank} dimensions"


def k_fits(node: OnnxNode) -> str | None:
    """K must be 1 or more and at most the size of the axis."""
    shape = node.require(0).shape
    k, size = (constant_integers(node, 1) or (0,))[0], shape[node.whole("axis", -1)]
    return None if 1 <= k <= size else f"{k} of {size}"


def norm_axis_in_range(node: OnnxNode) -> str | None:
    """axis must be one of the first input's dimensions (negative counts from the last)."""
    rank, axis = len(node.require(0).shape), node.whole("axis", -1)
    return None if -rank <= axis < rank else f"{axis} of {rank} dimensions"


def norm_has_one_output(node: OnnxNode) -> str | None:
    """only the first output may be used."""
    more = [name for name in node.outputs[1:] if name]
    return quoted(more[0]) if more else None


def scale_fits_normalized(node: OnnxNode) -> str | None:
    """scale and bias must broadcast to the normalized dimensions."""
    x = node.require(0).shape
    tail = x[normal_axis(node.whole("axis", -1), len(x)) :]
    for operand in node.inputs[1:]:
        if operand is not None and not _broadcasts(operand.shape, tail):
            return f"{shape_text(operand.shape)} to {shape_text(tail)}"
    return None


def _broadcasts(shape: tuple[int, ...], tail: tuple[int, ...]) -> bool:
    while len(shape) > len(tail) and shape[0] == 1:
        shape = shape[1:]
    if len(shape) > len(tail):
        return False
    return all(have in (1, want) for have, want in zip(shape[::-1], tail[::-1], strict=False))


def inference_only(node: OnnxNode) -> str | None:
    """training_mode must be 0."""
    return str(node.whole("training_mode", 0)) if node.whole("training_mode", 0) else None


def one_number_per_channel(node: OnnxNode) -> str | None:
    """the first input must have channels in dimension 1, and each parameter a number for each."""
    shape = node.require(0).shape
    if len(shape) < 2:
        return f"shape {shape_text(shape)}"
    for position in range(1, 5):
        if node.require(position).shape != (shape[1],):
            return f"{shape_text(node.require(position).shape)} for {shape[1]} channels"
    return None


# -- lowering -----------------------------------------------------------------------------------


def _lower_softmax(node: OnnxNode, builder: GraphBuilder) -> None:
    x = node.require(0)
    axis = normal_axis(node.whole("axis", -1), len(x.shape))
    builder.emit(node.name, node.operator, (builder.use(x),), node.outputs, {"axis": axis})


def _keep_or_drop(
    node: OnnxNode, builder: GraphBuilder, emit: Callable[[str, str], None], axes: tuple[int, ...]
) -> None:
    """Emit a node that keeps its axes as size 1, and a Reshape where the file drops them."""
    if node.whole("keepdims", 1):
        emit(node.name, node.outputs[0])
        return
    kept = builder.fresh_value(f"{node.name}.kept")
    emit(builder.fresh_node(f"{node.name}.kept"), kept)
    shape = builder.values[kept].shape
    target = tuple(size for axis, size in enumerate(shape) if axis not in axes)
    builder.emit(node.name, "Reshape", (kept,), node.outputs, target=target)


def _lower_reduce(node: OnnxNode, builder: GraphBuilder) -> None:
    x, axes = node.require(0), _axes(node) or ()
    if not axes:
        builder.drop(node, x)
        return

    def emit(name: str, output: str) -> None:
        kind = KINDS[node.operator]
        if x.name in builder.of_truth and kind in ("max", "min"):
            _reduce_truth(node, builder, x, name, output, kind, axes)
            return
        attributes: dict[str, Attribute] = {"kind": kind, "axes": axes}
        builder.emit(name, "Reduce", (builder.use(x),), (output,), attributes)

    _keep_or_drop(node, builder, emit, axes)


def _reduce_truth(
    node: OnnxNode,
    builder: GraphBuilder,
    x: Operand,
    name: str,
    output: str,
    kind: str,
    axes: tuple[int, ...],
) -> None:
    """Reduce the truth and not the numbers made of it: no mask's number is rounded."""
    truth, at_0, at_1 = builder.of_truth[x.name]
    if at_1 < at_0:
        kind = "min" if kind == "max" else "max"
    reduced = builder.fresh_value(f"{node.name}.truth")
    attributes: dict[str, Attribute] = {"kind": kind, "axes": axes}
    builder.emit(
        builder.fresh_node(f"{node.name}.truth"), "Reduce", (truth,), (reduced,), attributes
    )
    builder.emit(name, "Function", (reduced,), (output,), {"formula": two_valued(at_0, at_1)})
    builder.of_truth[output] = (reduced, at_0, at_1)


def _lower_arg(node: OnnxNode, builder: GraphBuilder) -> None:
    x = node.require(0)
    axis = normal_axis(node.whole("axis", 0), len(x.shape))

    def emit(name: str, output: str) -> None:
        kind = "max" if node.operator == "ArgMax" else "min"
        attributes: dict[str, Attribute] = {"kind": kind, "axis": axis}
        builder.emit(name, "ArgReduce", (builder.use(x),), (output,), attributes)

    _keep_or_drop(node, builder, emit, (axis,))


def _lower_top_k(node: OnnxNode, builder: GraphBuilder) -> None:
    """The largest of the last axis; another axis is brought there, the smallest are negated."""
    x, smallest = node.require(0), not node.whole("largest", 1)
    axis, last = normal_axis(node.whole("axis", -1), len(x.shape)), len(x.shape) - 1
    perm = [*range(last), last]
    perm[axis], perm[last] = perm[last], perm[axis]
    attributes: dict[str, Attribute] = {"k": (constant_integers(node, 1) or (1,))[0]}
    before: list[tuple[str, dict[str, Attribute]]] = []
    if axis != last:
        before.append(("Transpose", {"perm": tuple(perm)}))
    if smallest:
        before.append(("Function", {"formula": ("x", "Neg")}))
    source = builder.use(x)
    for operator, how in before:
        output = builder.fresh_value(f"{node.name}.{operator.lower()}")
        name = builder.fresh_node(f"{node.name}.{operator.lower()}")
        builder.emit(name, operator, (source,), (output,), how)
        source = output
    made = [
        builder.fresh_value(f"{node.name}.{part}") if name and before else name
        for part, name in zip(("values", "indices"), node.outputs, strict=False)
    ]
    builder.emit(node.name, "TopK", (source,), tuple(made), attributes)
    for part, (found, output) in enumerate(zip(made, node.outputs, strict=True)):
        _put_back(node, builder, (found, output), [*before[::-1]] if part == 0 else before[:1])


def _put_back(
    node: OnnxNode,
    builder: GraphBuilder,
    names: tuple[str, str],
    steps: list[tuple[str, dict[str, Attribute]]],
) -> None:
    """Undo what was done in front; row numbers are moved, not negated."""
    source, output = names
    if not output or source == output:
        return
    steps = [step for step in steps if not (step[0] == "Function" and _is_index(builder, source))]
    for count, (operator, how) in enumerate(steps or [("Reshape", {})], 1):
        is_last = count == len(steps or [()])
        y = output if is_last else builder.fresh_value(f"{output}.{operator.lower()}")
        name = builder.fresh_node(f"{node.name}.{output}.{operator.lower()}")
        target = builder.values[source].shape if operator == "Reshape" else None
        builder.emit(name, operator, (source,), (y,), how, target)
        source = y


def _is_index(builder: GraphBuilder, name: str) -> bool:
    return builder.values[name].is_index


def _row_of(operand: Operand | None, tail: tuple[int, ...]) -> Floats | None:
    if operand is None or operand.data is None:
        return None
    # dimensions of 1 in front of those that are normalized say nothing
    data = operand.data.astype(np.float64).reshape(operand.shape[-len(tail) :])
    return np.broadcast_to(data, tail).reshape(-1)


def _lower_norm(node: OnnxNode, builder: GraphBuilder) -> None:
    """LayerNormalization, RMSNormalization: several last axes become one for the norm."""
    x = node.require(0)
    tail = x.shape[normal_axis(node.whole("axis", -1), len(x.shape)) :]
    rows = [_row_of(node.operand(position), tail) for position in (1, 2)]
    names = [
        "" if row is None else builder.derived(node, role, row)
        for role, row in zip(("gamma", "beta"), rows, strict=True)
    ]
    kind = "layer" if node.operator == "LayerNormalization" else "rms"
    attributes: dict[str, Attribute] = {"kind": kind, "epsilon": node.real("epsilon", 1e-5)}
    source = builder.use(x)
    if len(tail) == 1:
        builder.emit(node.name, "Norm", (source, *names), node.outputs[:1], attributes)
        return
    flat = builder.fresh_value(f"{node.name}.flat")
    result = builder.fresh_value(f"{node.name}.result")
    target = (*x.shape[: len(x.shape) - len(tail)], element_count(tail))
    name = builder.fresh_node(f"{node.name}.flat")
    builder.emit(name, "Reshape", (source,), (flat,), target=target)
    builder.emit(node.name, "Norm", (flat, *names), (result,), attributes)
    name = builder.fresh_node(f"{node.name}.shape")
    builder.emit(name, "Reshape", (result,), node.outputs[:1], target=x.shape)


def _lower_layer_norm(node: OnnxNode, builder: GraphBuilder) -> None:
    """The norm; where a model uses them, the mean and the reciprocal of the deviation beside it."""
    _lower_norm(node, builder)
    mean, deviation = (*node.outputs, "", "")[1:3]
    if not mean and not deviation:
        return
    x, parts = node.require(0), Parts(node, builder)
    first = normal_axis(node.whole("axis", -1), len(x.shape))
    attributes: dict[str, Attribute] = {"kind": "mean", "axes": tuple(range(first, len(x.shape)))}
    found = parts.put("mean", "Reduce", x.name, attributes=attributes, output=mean)
    if deviation:
        apart = parts.put("apart", "Sub", x.name, found)
        squares = parts.function("squares", apart, ("x", "x", "Mul"))
        variance = parts.put("variance", "Reduce", squares, attributes=attributes)
        epsilon = number_word(node.real("epsilon", 1e-5))
        formula = ("x", epsilon, "Add", "Sqrt", "Reciprocal")
        parts.function("deviation", variance, formula, deviation)


def _lower_batch_norm(node: OnnxNode, builder: GraphBuilder) -> None:
    """x * factor + offset, a number of each per channel."""
    x = node.require(0)
    scale, bias, mean, variance = (
        _row_of(node.operand(position), (x.shape[1],)) for position in range(1, 5)
    )
    if scale is None or bias is None or mean is None or variance is None:
        raise node.refusal("parameters must be constants")
    factor = scale / np.sqrt(variance + node.real("epsilon", 1e-5))
    form = (x.shape[1], *(1,) * (len(x.shape) - 2))
    scaled = builder.fresh_value(f"{node.name}.scaled")
    inputs = (builder.use(x), builder.derived(node, "factor", factor.reshape(form)))
    builder.emit(builder.fresh_node(f"{node.name}.mul"), "Mul", inputs, (scaled,))
    offset = builder.derived(node, "offset", (bias - mean * factor).reshape(form))
    builder.emit(node.name, "Add", (scaled, offset), node.outputs[:1])


def one_number_per_normalized_channel(node: OnnxNode) -> str | None:
    """the first input must have 3 or more dimensions with channels in dimension 1, and scale and
    bias a number for each."""
    shape = node.require(0).shape
    if len(shape) < 3:
        return f"shape {shape_text(shape)}"
    for position in (1, 2):
        if node.require(position).shape != (shape[1],):
            return f"{shape_text(node.require(position).shape)} for {shape[1]} channels"
    return None


def _lower_instance_norm(node: OnnxNode, builder: GraphBuilder) -> None:
    """Each channel of each image is a row of a norm; then a factor and an offset per channel."""
    x = node.require(0).shape
    names = [builder.fresh_value(f"{node.name}.{part}") for part in ("rows", "norm", "scaled")]
    labels = [builder.fresh_node(f"{node.name}.{part}") for part in ("rows", "norm", "mul")]
    source = builder.use(node.require(0))
    target = (x[0], x[1], element_count(x[2:]))
    builder.emit(labels[0], "Reshape", (source,), (names[0],), target=target)
    attributes: dict[str, Attribute] = {"kind": "layer", "epsilon": node.real("epsilon", 1e-5)}
    builder.emit(labels[1], "Norm", (names[0], "", ""), (names[1],), attributes)
    rows = [_row_of(node.operand(position), (x[1],)) for position in (1, 2)]
    factor, offset = (
        builder.derived(node, role, row.reshape(-1, 1))
        for role, row in zip(("factor", "offset"), rows, strict=True)
        if row is not None
    )
    builder.emit(labels[2], "Mul", (names[1], factor), (names[2],))
    added = builder.fresh_value(f"{node.name}.added")
    builder.emit(builder.fresh_node(f"{node.name}.add"), "Add", (names[2], offset), (added,))
    builder.emit(node.name, "Reshape", (added,), node.outputs, target=x)


_NORM_RULES = (
    float_inputs,
    float_data,
    constant_parameters,
    norm_axis_in_range,
    scale_fits_normalized,
)

SUPPORT = (
    Support("Softmax", "Softmax", (float_inputs, axis_in_range), _lower_softmax),
    Support("LogSoftmax", "LogSoftmax", (float_inputs, axis_in_range), _lower_softmax),
    *(
        Support(
            operator,
            "Reduce (and Reshape)",
            (float_data, constant_parameters, axes_in_range),
            _lower_reduce,
        )
        for operator in KINDS
    ),
    *(
        Support(
            operator,
            "ArgReduce (and Reshape)",
            (float_data, axis_in_range, first_of_equals),
            _lower_arg,
        )
        for operator in ("ArgMax", "ArgMin")
    ),
    Support(
        "TopK",
        "TopK (of another axis between Transposes, of the smallest between Neg)",
        (float_data, constant_parameters, top_axis_in_range, k_fits),
        _lower_top_k,
    ),
    Support(
        "LayerNormalization",
        "Norm (and Reshape; for mean and deviation: Reduce, Sub, Function)",
        _NORM_RULES,
        _lower_layer_norm,
    ),
    Support(
        "InstanceNormalization",
        "Norm, Mul, Add (between Reshapes)",
        (float_inputs, float_data, constant_parameters, one_number_per_normalized_channel),
        _lower_instance_norm,
    ),
    Support("RMSNormalization", "Norm (and Reshape)", _NORM_RULES, _lower_norm),
    Support(
        "BatchNormalization",
        "Mul, Add (folded into a product before it)",
        (
            float_inputs,
            float_data,
            constant_parameters,
            inference_only,
            one_number_per_channel,
            norm_has_one_output,
        ),
        _lower_batch_norm,
    ),
)
