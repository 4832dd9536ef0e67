"""Pad: constants on both sides are joined, edges and reflections are entries taken again."""

from __future__ import annotations

import math

import numpy as np

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode
from azsim.frontend.operators.functions import scalar_of
from azsim.frontend.rules import (
    Support,
    constant_integers,
    constant_parameters,
    float_data,
    normal_axis,
)
from azsim.graph.shapes import element_count
from azsim.graph.text import quoted, shape_text

MODES = ("constant", "edge", "reflect", "wrap")
DATA, PADS, VALUE, AXES = range(4)
MAX_PADDED = 1 << 26  # elements of the result, as of any value
Sides = tuple[int, int, int]  # axis, entries in front, entries behind (negative: dropped)


# -- rules --------------------------------------------------------------------------------------


def pad_data_is_float(node: OnnxNode) -> str | None:
    """integers must go through DequantizeLinear before they are padded."""
    first = node.require(DATA)
    return f"the {first.element} tensor {quoted(first.name)}" if first.root else None


def mode_is_known(node: OnnxNode) -> str | None:
    """mode must be constant, edge, reflect or wrap."""
    mode = node.word("mode", "constant")
    return None if mode in MODES else quoted(mode)


def value_is_a_number(node: OnnxNode) -> str | None:
    """the value must be one finite number."""
    operand = node.operand(VALUE)
    if operand is None:
        return None
    value = scalar_of(operand)
    if value is None:
        return f"of shape {shape_text(operand.shape)}"
    return None if math.isfinite(value) else f"{value:g}"


def pads_fit(node: OnnxNode) -> str | None:
    """pads must name the entries in front of and behind each axis (or each of axes), and leave one
    or more; a reflection must be shorter than its axis."""
    if _sides(node) is not None:
        return None
    pads = constant_integers(node, PADS) or ()
    return f"{shape_text(pads)} of {shape_text(node.require(DATA).shape)}"


def _sides(node: OnnxNode) -> list[Sides] | None:
    """The axes that change; None if the pads do not work out."""
    shape = node.require(DATA).shape
    pads = constant_integers(node, PADS) or ()
    axes = constant_integers(node, AXES)
    axes = tuple(range(len(shape))) if axes is None else axes
    if any(not -len(shape) <= axis < len(shape) for axis in axes) or len(pads) != 2 * len(axes):
        return None
    normal = [normal_axis(axis, len(shape)) for axis in axes]
    if len(set(normal)) != len(normal):
        return None
    found = list(zip(normal, pads, pads[len(axes) :], strict=False))
    result = list(shape)
    for axis, before, behind in found:
        result[axis] += before + behind
        reflected = node.word("mode", "constant") == "reflect"
        if result[axis] < 1 or (reflected and max(before, behind) >= shape[axis]):
            return None
        if max(-before, 0) + max(-behind, 0) >= shape[axis]:
            return None
    if element_count(tuple(result)) > MAX_PADDED:
        return None
    return [sides for sides in found if sides[1:] != (0, 0)]


# -- lowering -----------------------------------------------------------------------------------


def _lower_pad(node: OnnxNode, builder: GraphBuilder) -> None:
    changed = _sides(node) or []
    if not changed:
        builder.drop(node, node.require(DATA))
        return
    value = scalar_of(node.operand(VALUE)) or 0.0
    x = builder.use(node.require(DATA))
    for count, sides in enumerate(changed, 1):
        is_last = count == len(changed)
        y = node.outputs[0] if is_last else builder.fresh_value(f"{node.name}.axis{sides[0]}")
        name = node.name if is_last else builder.fresh_node(f"{node.name}.axis{sides[0]}")
        if node.word("mode", "constant") == "constant":
            _join_constants(node, builder, (name, x, y), sides, value)
        else:
            indices = _taken(builder.values[x].shape[sides[0]], sides, node.word("mode", ""))
            builder.emit(name, "Take", (x,), (y,), {"axis": sides[0], "indices": indices})
        x = y
    if node.require(DATA).is_truth:
        builder.mark_truth(node.outputs[0])


def _taken(size: int, sides: Sides, mode: str) -> tuple[int, ...]:
    """Which entry of the axis stands at each place of the result."""
    _, before, behind = sides
    places = np.arange(-before, size + behind)
    if mode == "edge":
        places = places.clip(0, size - 1)
    elif mode == "wrap":
        places = places % size
    else:  # reflect: there and back without the ends twice
        period = max(1, 2 * (size - 1))
        places = np.abs((places + size - 1) % period - (size - 1)) if size > 1 else places * 0
    return tuple(int(place) for place in places)


def _join_constants(
    node: OnnxNode, builder: GraphBuilder, names: tuple[str, str, str], sides: Sides, value: float
) -> None:
    """One axis: entries of the value in front and behind, after what is dropped."""
    (name, x, y), (axis, before, behind) = names, sides
    shape = builder.values[x].shape
    if min(before, behind) < 0:
        starts, ends = [0] * len(shape), list(shape)
        starts[axis] = max(0, -before)
        ends[axis] -= max(0, -behind)
        bounds = {"starts": tuple(starts), "ends": tuple(ends), "steps": (1,) * len(shape)}
        kept = y if max(before, behind) <= 0 else builder.fresh_value(f"{node.name}.kept{axis}")
        slicer = name if kept == y else builder.fresh_node(f"{node.name}.kept{axis}")
        builder.emit(slicer, "Slice", (x,), (kept,), dict(bounds))
        if kept == y:
            return
        x = kept
    parts = [x]
    for size, place in ((behind, 1), (before, 0)):
        if size > 0:
            block = (*shape[:axis], size, *shape[axis + 1 :])
            builder.spend(node, element_count(block))
            filled = np.full(block, value, np.float32)
            parts.insert(place, builder.derived(node, f"value{axis}.{place}", filled))
    builder.emit(name, "Concat", tuple(parts), (y,), {"axis": axis})


SUPPORT = (
    Support(
        "Pad",
        "Concat with constants, Slice (into the padding of a Conv behind it); Take",
        (
            float_data,
            pad_data_is_float,
            constant_parameters,
            mode_is_known,
            value_is_a_number,
            pads_fit,
        ),
        _lower_pad,
    ),
)
