"""Pooling and linear resizing, channels last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from azsim.compiler.context import LoweringContext
from azsim.compiler.formats import Format
from azsim.compiler.lower.elementwise import add_multipliers
from azsim.compiler.lower.images import four_dimensional, image_grid, padded, two_dimensional
from azsim.compiler.lower.moves import even_runs, pieces_of, strides_of
from azsim.graph import Node
from azsim.graph.attributes import integer, integers
from azsim.graph.integer import (
    Elementwise,
    IntegerTensor,
    Move,
    Piece,
    Pool,
)
from azsim.graph.integer_window import Grid
from azsim.graph.types import Attribute
from azsim.graph.window_shapes import pool_form, window_counts

Ints = npt.NDArray[np.int64]
LEAST_INT8 = -128


def lower_pool(node: Node, context: LoweringContext) -> None:
    """Largest or mean of each window; a mean counts the elements that the model counts."""
    source = context.int8(node.inputs[0])
    form = two_dimensional(pool_form(node.attributes))
    is_max = node.attributes["kind"] == "max"
    x = padded(context, node.name, source, form, LEAST_INT8 if is_max else None)
    y = context.declare(node.outputs[0])
    shape = four_dimensional(x.shape)
    whole = [image_grid(shape, form, image) for image in range(shape[0])]
    counts = np.ones((whole[0].out_h, whole[0].out_w), np.int64)
    if not is_max:
        counts = window_counts(node.attributes, whole[0].out_w)
    parts = [part for grid in whole for part in _evenly_counted(grid, counts, shape[3])]
    factors = tuple(
        context.multiplier(node.name, x.scale / (y.scale * count)) for _, count in parts
    )
    kind = "max" if is_max else "sum"
    grids = tuple(grid for grid, _ in parts)
    context.add(Pool(node.name, x.name, y.name, kind, shape[3], grids, factors))


def _evenly_counted(grid: Grid, counts: Ints, channels: int) -> list[tuple[Grid, int]]:
    """Split a block of outputs into ones that count equally many elements: all of it if it can be,
    else runs within a row (an output block must be dense)."""
    if (counts == counts[0, 0]).all():
        return [(grid, int(counts[0, 0]))]
    found = []
    for row, of_row in enumerate(counts):
        edges = [0, *(np.flatnonzero(np.diff(of_row)) + 1).tolist(), grid.out_w]
        for first, end in pairwise(edges):
            source = grid.source + row * grid.step_h + first * grid.step_w
            target = grid.target + (row * grid.out_w + first) * channels
            part = replace(grid, source=source, target=target, out_h=1, out_w=end - first)
            found.append((part, int(of_row[first])))
    return found


# -- linear resizing ----------------------------------------------------------------------------


def lower_blend(node: Node, context: LoweringContext) -> None:
    """y[o] = (1 - w[o]) x[low[o]] + w[o] x[high[o]] along an axis: per distinct weight the two
    operands are gathered, added with their factors and put in their places."""
    x, y = context.tensor(node.inputs[0]), context.declare(node.outputs[0])
    axis = integer(node.attributes, "axis")
    low, high = integers(node.attributes, "low"), integers(node.attributes, "high")
    weights = _reals(node.attributes["weights"])
    pieces: list[Piece] = []
    sources: list[str] = []
    for number, weight in enumerate(sorted(set(weights))):
        places = [place for place, w in enumerate(weights) if w == weight]
        name = f"{node.name}/{number}"
        pair = [
            _gathered(context, f"{name}/{side}", x, axis, [index[p] for p in places])
            for side, index in (("low", low), ("high", high))
        ]
        shape = (*x.shape[:axis], len(places), *x.shape[axis + 1 :])
        part = context.new_tensor(name, shape, Format(y.element, y.scale, y.zero_point))
        factor = x.scale / y.scale
        m_a, m_b, shift = add_multipliers(name, (1.0 - weight) * factor, weight * factor)
        context.add(
            Elementwise(f"{name}/add", "Add", pair[0].name, pair[1].name, name, m_a, m_b, shift)
        )
        pieces += _scattered(len(sources), part, y, axis, places)
        sources.append(name)
    context.add(Move(node.name, tuple(sources), y.name, tuple(pieces)))


def _reals(value: Attribute) -> tuple[float, ...]:
    return tuple(float(entry) for entry in value) if isinstance(value, tuple) else ()


def _gathered(
    context: LoweringContext, name: str, x: IntegerTensor, axis: int, indices: Sequence[int]
) -> IntegerTensor:
    """x at `indices` of an axis, as a tensor of its own."""
    shape = (*x.shape[:axis], len(indices), *x.shape[axis + 1 :])
    y = context.new_tensor(name, shape, Format(x.element, x.scale, x.zero_point))
    strides, targets = strides_of(x.shape), strides_of(shape)
    pieces: list[Piece] = []
    for place, first, step, count in even_runs(indices):
        picked = [*strides[:axis], step * strides[axis], *strides[axis + 1 :]]
        box = (*shape[:axis], count, *shape[axis + 1 :])
        source, target = first * strides[axis], place * targets[axis]
        pieces += pieces_of(0, (box, source, picked, target, targets))
    context.add(Move(f"{name}/gather", (x.name,), y.name, tuple(pieces)))
    return y


def _scattered(
    source: int, part: IntegerTensor, y: IntegerTensor, axis: int, places: Sequence[int]
) -> list[Piece]:
    """Copies of `part` to `places` of an axis of y."""
    strides, sources = strides_of(y.shape), strides_of(part.shape)
    pieces: list[Piece] = []
    for begin, first, step, count in even_runs(places):
        picked = [*strides[:axis], step * strides[axis], *strides[axis + 1 :]]
        box = (*y.shape[:axis], count, *y.shape[axis + 1 :])
        offset, target = begin * sources[axis], first * strides[axis]
        pieces += pieces_of(source, (box, offset, sources, target, picked))
    return pieces
