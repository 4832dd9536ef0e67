"""Attributes of a node and shapes of its inputs, checked: what the shape rules share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from azsim.errors import ModelError
from azsim.graph.text import quoted, shape_text
from azsim.graph.types import Attribute

Shape = tuple[int, ...]
Shapes = Sequence[Shape | None]  # None: an absent optional input
Attributes = Mapping[str, Attribute]


def integer(attributes: Attributes, name: str) -> int:
    """Return integer attribute `name`, or raise ModelError."""
    value = attributes.get(name)
    if not isinstance(value, int):
        raise ModelError(f"attribute {quoted(name)} must be an integer")
    return value


def integers(attributes: Attributes, name: str) -> tuple[int, ...]:
    """Return integer list attribute `name`, or raise ModelError."""
    value = attributes.get(name)
    if not isinstance(value, tuple):
        raise ModelError(f"attribute {quoted(name)} must be a list of integers")
    whole = tuple(entry for entry in value if isinstance(entry, int))
    if len(whole) != len(value):
        raise ModelError(f"attribute {quoted(name)} must be a list of integers")
    return whole


def present(shapes: Shapes, count: int) -> list[Shape]:
    """Return `count` shapes, or raise ModelError if there are more, fewer or absent ones."""
    found = [shape for shape in shapes if shape is not None]
    if len(shapes) != count or len(found) != count:
        raise ModelError(f"must have {count} inputs, not {len(found)}")
    return found


def axis_of(attributes: Attributes, rank: int) -> int:
    """Return attribute axis, one of `rank` dimensions, or raise ModelError."""
    axis = integer(attributes, "axis")
    if not 0 <= axis < rank:
        raise ModelError(f"axis must be from 0 to {rank - 1}, not {axis}")
    return axis


def broadcast(a: Shape, b: Shape) -> Shape:
    """Return the numpy broadcast of two shapes, or raise ModelError naming both."""
    rank = max(len(a), len(b))
    left = (1,) * (rank - len(a)) + a
    right = (1,) * (rank - len(b)) + b
    if any(m != n and 1 not in (m, n) for m, n in zip(left, right, strict=True)):
        raise ModelError(f"shapes {shape_text(a)} and {shape_text(b)} must broadcast")
    return tuple(n if m == 1 else m for m, n in zip(left, right, strict=True))


def expect(what: str, shape: Shape | None, want: Shape) -> None:
    """Refuse a shape, if there is one, that is not `want`."""
    if shape is not None and shape != want:
        raise ModelError(f"{what} must have shape {shape_text(want)}, not {shape_text(shape)}")
