"""Reshape, Squeeze, Unsqueeze, Flatten, Identity and Cast: the elements stay where they are; Expand
and Tile repeat them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx

from azsim.errors import ModelError
from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode
from azsim.frontend.operators.functions import emit_function
from azsim.frontend.rules import (
    Support,
    axis_in_range,
    constant_integers,
    constant_parameters,
    float_data,
    normal_axis,
)
from azsim.frontend.tensors import kind_name
from azsim.graph.attributes import broadcast
from azsim.graph.shapes import element_count
from azsim.graph.text import quoted, shape_text

Shape = tuple[int, ...]


def _emit(node: OnnxNode, builder: GraphBuilder, target: Shape) -> None:
    source = builder.use(node.require(0))
    builder.emit(node.name, "Reshape", (source,), node.outputs, target=target)


def _reshape_target(node: OnnxNode) -> Shape | None:
    """Return the target with 0 (copy) and -1 (the rest) put in; None where they do not work out."""
    x = node.require(0).shape
    wish = list(constant_integers(node, 1) or ())
    if not node.whole("allowzero", 0):
        if any(size == 0 and axis >= len(x) for axis, size in enumerate(wish)):
            return None
        wish = [x[axis] if size == 0 else size for axis, size in enumerate(wish)]
    if wish.count(-1) > 1 or any(size < -1 for size in wish):
        return None
    known = element_count(tuple(size for size in wish if size != -1))
    if -1 in wish:
        if known == 0 or element_count(x) % known:
            return None
        wish[wish.index(-1)] = element_count(x) // known
    return tuple(wish) if element_count(tuple(wish)) == element_count(x) else None


def reshape_keeps_elements(node: OnnxNode) -> str | None:
    """shape must hold as many elements as the input (0 copies a size, one -1 takes the rest)."""
    if _reshape_target(node) is not None:
        return None
    wish = constant_integers(node, 1) or ()
    return f"{shape_text(wish)} of {shape_text(node.require(0).shape)}"


def _lower_reshape(node: OnnxNode, builder: GraphBuilder) -> None:
    _emit(node, builder, _reshape_target(node) or ())


def _squeezed(node: OnnxNode) -> Shape | None:
    x = node.require(0).shape
    axes = constant_integers(node, 1)
    if axes is None:
        return tuple(size for size in x if size != 1)
    if any(not -len(x) <= axis < len(x) for axis in axes):
        return None
    normal = {normal_axis(axis, len(x)) for axis in axes}
    if any(x[axis] != 1 for axis in normal):
        return None
    return tuple(size for axis, size in enumerate(x) if axis not in normal)


def squeezed_axes_are_one(node: OnnxNode) -> str | None:
    """axes must be dimensions of size 1."""
    if _squeezed(node) is not None:
        return None
    axes = constant_integers(node, 1) or ()
    return f"{shape_text(axes)} of {shape_text(node.require(0).shape)}"


def _lower_squeeze(node: OnnxNode, builder: GraphBuilder) -> None:
    _emit(node, builder, _squeezed(node) or ())


def _unsqueezed(node: OnnxNode) -> Shape | None:
    x = node.require(0).shape
    axes = constant_integers(node, 1) or ()
    rank = len(x) + len(axes)
    if rank > 32 or any(not -rank <= axis < rank for axis in axes):
        return None
    normal = {normal_axis(axis, rank) for axis in axes}
    if len(normal) != len(axes):
        return None
    rest = iter(x)
    return tuple(1 if axis in normal else next(rest) for axis in range(rank))


def unsqueezed_axes_are_new(node: OnnxNode) -> str | None:
    """axes must be different dimensions of the result."""
    if _unsqueezed(node) is not None:
        return None
    return shape_text(constant_integers(node, 1) or ())


def _lower_unsqueeze(node: OnnxNode, builder: GraphBuilder) -> None:
    _emit(node, builder, _unsqueezed(node) or ())


def _lower_flatten(node: OnnxNode, builder: GraphBuilder) -> None:
    x = node.require(0).shape
    axis = normal_axis(node.whole("axis", 1), len(x))
    _emit(node, builder, (element_count(x[:axis]), element_count(x[axis:])))


def _lower_drop(node: OnnxNode, builder: GraphBuilder) -> None:
    builder.drop(node, node.require(0))


def cast_is_known(node: OnnxNode) -> str | None:
    """a computed tensor must be cast to float32, float16, float64 or bool, an integer graph input
    to int32 or int64."""
    kinds = onnx.TensorProto
    first = node.require(0)
    to = node.whole("to", 0)
    if first.root:
        return None if kind_name(to) == first.element else f"{first.element} to {kind_name(to)}"
    computed = (kinds.FLOAT, kinds.FLOAT16, kinds.DOUBLE, kinds.BOOL)
    allowed = (kinds.INT32, kinds.INT64) if first.is_index else computed
    return None if to in allowed else kind_name(to)


def _lower_cast(node: OnnxNode, builder: GraphBuilder) -> None:
    first, to_bool = node.require(0), node.whole("to", 0) == onnx.TensorProto.BOOL
    if to_bool and not first.is_truth:
        emit_function(node, builder, first, ("x", "Sign", "Abs"))
        builder.mark_truth(node.outputs[0])
        return
    builder.drop(node, replace(first, is_truth=to_bool))
    if to_bool and node.outputs[0] in builder.values:
        builder.mark_truth(node.outputs[0])


def _expanded(node: OnnxNode) -> Shape | None:
    x, wish = node.require(0).shape, constant_integers(node, 1) or ()
    if any(size < 1 for size in wish):
        return None
    try:
        return broadcast(x, tuple(wish))
    except ModelError:
        return None


def shape_broadcasts(node: OnnxNode) -> str | None:
    """shape must broadcast with the input's shape."""
    if _expanded(node) is not None:
        return None
    wish = constant_integers(node, 1) or ()
    return f"{shape_text(wish)} with {shape_text(node.require(0).shape)}"


def _lower_expand(node: OnnxNode, builder: GraphBuilder) -> None:
    target = _expanded(node) or ()
    if target == node.require(0).shape:
        builder.drop(node, node.require(0))
        return
    source = builder.use(node.require(0))
    builder.emit(node.name, "Expand", (source,), node.outputs, target=target)


def repeats_fit(node: OnnxNode) -> str | None:
    """repeats must be 1 or more, one for each dimension."""
    repeats = constant_integers(node, 1) or ()
    rank = len(node.require(0).shape)
    fits = len(repeats) == rank and rank <= 4 and all(count >= 1 for count in repeats)
    return None if fits else f"{shape_text(repeats)} for {rank} dimensions"


def _lower_tile(node: OnnxNode, builder: GraphBuilder) -> None:
    """x (a, b) repeated (r, s) times: (1, a, 1, b) expanded to (r, a, s, b), read as (ra, sb)."""
    x, repeats = node.require(0).shape, constant_integers(node, 1) or ()
    split, repeated = (builder.fresh_value(f"{node.name}.{part}") for part in ("split", "repeated"))
    apart = tuple(size for pair in zip([1] * len(x), x, strict=True) for size in pair)
    wide = tuple(size for pair in zip(repeats, x, strict=True) for size in pair)
    target = tuple(count * size for count, size in zip(repeats, x, strict=True))
    name = builder.fresh_node(f"{node.name}.split")
    builder.emit(name, "Reshape", (builder.use(node.require(0)),), (split,), target=apart)
    name = builder.fresh_node(f"{node.name}.repeated")
    builder.emit(name, "Expand", (split,), (repeated,), target=wide)
    builder.emit(node.name, "Reshape", (repeated,), node.outputs, target=target)


def casts_like_float(node: OnnxNode) -> str | None:
    """both inputs must be float."""
    for operand in (node.require(0), node.require(1)):
        is_float = operand.data is None or operand.data.dtype.kind == "f"
        if operand.is_index or operand.root or operand.is_truth or not is_float:
            return f"the integer {quoted(operand.name)}"
    return None


def dropout_drops_nothing(node: OnnxNode) -> str | None:
    """training_mode must be absent or false, and the mask not used."""
    mode = node.operand(2)
    if mode is not None and (mode.data is None or bool(np.any(mode.data))):
        return f"training_mode {quoted(mode.name)}"
    mask = node.outputs[1] if len(node.outputs) > 1 else ""
    return f"the mask {quoted(mask)}" if mask else None


_PARAMETERS = (float_data, constant_parameters)

SUPPORT = (
    Support("Reshape", "Reshape", (*_PARAMETERS, reshape_keeps_elements), _lower_reshape),
    Support("Squeeze", "Reshape", (*_PARAMETERS, squeezed_axes_are_one), _lower_squeeze),
    Support("Unsqueeze", "Reshape", (*_PARAMETERS, unsqueezed_axes_are_new), _lower_unsqueeze),
    Support("Expand", "Expand", (*_PARAMETERS, shape_broadcasts), _lower_expand),
    Support("Tile", "Reshape, Expand, Reshape", (*_PARAMETERS, repeats_fit), _lower_tile),
    Support("Flatten", "Reshape", (float_data, axis_in_range), _lower_flatten),
    Support("Identity", "nothing (dropped)", (), _lower_drop),
    Support("Dropout", "nothing (dropped)", (dropout_drops_nothing,), _lower_drop),
    Support("CastLike", "nothing (dropped)", (casts_like_float,), _lower_drop),
    Support("Cast", "nothing (dropped; to bool: Function)", (cast_is_known,), _lower_cast),
)
