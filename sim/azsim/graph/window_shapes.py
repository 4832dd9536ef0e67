"""Output shapes of operators that slide a window over one or two spatial dimensions.

Attributes of all: `strides`, `dilations` (one entry per spatial dimension) and `pads` (all begins,
then all ends). `channels_last` 1 says that input and output have their channels in the last
dimension, as the layout pass of the compiler arranges them; else they have ONNX's (N, C, ...).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from azsim.errors import ModelError
from azsim.graph.text import shape_text
from azsim.graph.types import Attribute

Shape = tuple[int, ...]
Shapes = Sequence[Shape | None]
Attributes = Mapping[str, Attribute]


@dataclass(frozen=True)
class WindowForm:
    """A window's geometry, one entry per spatial dimension."""

    kernel: Shape
    strides: Shape
    dilations: Shape
    before: Shape  # padding in front
    behind: Shape

    def outputs(self, spatial: Shape) -> Shape:
        """Number of positions per dimension; below 1 where the window does not fit."""
        return tuple(
            (size + b + e - d * (k - 1) - 1) // s + 1
            for size, k, s, d, b, e in zip(
                spatial, self.kernel, self.strides, self.dilations, self.before, self.behind,
                strict=True,
            )
        )  # fmt: skip

    def outputs_of_padded(self, spatial: Shape) -> Shape:
        """Number of positions over an input that holds what the window reads of its padding."""
        return tuple(
            (size - d * (k - 1) - 1) // s + 1
            for size, k, s, d in zip(
                spatial, self.kernel, self.strides, self.dilations, strict=True
            )
        )

    def needed_behind(self, spatial: Shape) -> Shape:
        """Padding behind that some position really reads."""
        return tuple(
            max(0, (n - 1) * s + d * (k - 1) + 1 - size - b)
            for n, size, k, s, d, b in zip(
                self.outputs(spatial), spatial, self.kernel, self.strides, self.dilations,
                self.before, strict=True,
            )
        )  # fmt: skip


def is_channels_last(attributes: Attributes) -> bool:
    """True if the layout pass put the channels last."""
    return bool(attributes.get("channels_last", 0))


def spatial_of(shape: Shape, attributes: Attributes) -> Shape:
    """Spatial sizes of a shape."""
    return shape[1:-1] if is_channels_last(attributes) else shape[2:]


def channels_of(shape: Shape, attributes: Attributes) -> int:
    """Number of channels of a shape."""
    return shape[-1] if is_channels_last(attributes) else shape[1]


def whole_shape(batch: int, channels: int, spatial: Shape, attributes: Attributes) -> Shape:
    """A shape from its parts, in the layout that `attributes` say."""
    if is_channels_last(attributes):
        return (batch, *spatial, channels)
    return (batch, channels, *spatial)


def window_form(kernel: Shape, attributes: Attributes) -> WindowForm:
    """Return the geometry of a node whose kernel has these sizes, or raise ModelError."""
    rank = len(kernel)
    strides = _entries(attributes, "strides", rank, 1)
    dilations = _entries(attributes, "dilations", rank, 1)
    pads = _entries(attributes, "pads", 2 * rank, 0)
    if min(kernel) < 1:
        raise ModelError(f"kernel sizes must be 1 or more, not {shape_text(kernel)}")
    return WindowForm(kernel, strides, dilations, pads[:rank], pads[rank:])


def _entries(attributes: Attributes, name: str, count: int, least: int) -> Shape:
    value = attributes.get(name)
    entries = value if isinstance(value, tuple) else ()
    whole = tuple(entry for entry in entries if isinstance(entry, int))
    if len(whole) != count or len(entries) != count or any(e < least for e in whole):
        raise ModelError(f"{name} must be {count} integers of {least} or more")
    return whole


def _slid(x: Shape, channels: int, form: WindowForm, attributes: Attributes) -> Shape:
    spatial = spatial_of(x, attributes)
    positions = form.outputs(spatial)
    if min(positions) < 1:
        raise ModelError(
            f"the window {shape_text(form.kernel)} must fit the padded input {shape_text(spatial)}"
        )
    return whole_shape(x[0], channels, positions, attributes)


def _windowed_input(shapes: Shapes) -> Shape:
    x = shapes[0] if shapes else None
    if x is None or len(x) not in (3, 4):
        raise ModelError(
            "the first input must have 3 or 4 dimensions (batch, channels, one or two more)"
        )
    return x


def conv_shape(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    """(x, W) or (x, W, B): W (outputs, channels / group, kernel ...), B (outputs,)."""
    x = _windowed_input(shapes)
    weight = shapes[1] if len(shapes) in (2, 3) else None
    group = attributes.get("group")
    if weight is None or len(weight) != len(x) or not isinstance(group, int) or group < 1:
        raise ModelError(f"must have weights of {len(x)} dimensions and a group of 1 or more")
    channels = channels_of(x, attributes)
    if weight[1] * group != channels or weight[0] % group:
        raise ModelError(
            f"weights {shape_text(weight)} in {group} groups must fit {channels} channels"
        )
    if len(shapes) == 3 and shapes[2] != (weight[0],):
        raise ModelError(f"bias must have shape ({weight[0]})")
    return (_slid(x, weight[0], window_form(weight[2:], attributes), attributes),)


def pool_form(attributes: Attributes) -> WindowForm:
    """Return the geometry of a Pool node, or raise ModelError."""
    kernel = attributes.get("kernel")
    sizes = kernel if isinstance(kernel, tuple) else ()
    return window_form(tuple(size for size in sizes if isinstance(size, int)), attributes)


def pool_shape(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    """One input; attribute kernel beside those of a window; kind max, or mean with `counts`."""
    x, form = _windowed_input(shapes), pool_form(attributes)
    if len(shapes) != 1 or len(form.kernel) != len(x) - 2:
        raise ModelError("must have 1 input with one spatial dimension per entry of kernel")
    y = _slid(x, channels_of(x, attributes), form, attributes)
    kind, counts = attributes.get("kind"), attributes.get("counts")
    if kind not in ("max", "mean"):
        raise ModelError("kind must be max or mean")
    positions = sum(spatial_of(y, attributes))
    if kind == "mean" and (not isinstance(counts, tuple) or len(counts) != positions):
        raise ModelError(f"counts must be {positions} integers")
    return (y,)


def window_counts(attributes: Attributes, columns: int) -> npt.NDArray[np.int64]:
    """How many elements each output of a mean counts, (rows, columns): the product of what it
    counts in each dimension; a single row where there is one dimension."""
    counts = attributes["counts"]
    assert isinstance(counts, tuple)  # the verifier made sure
    whole = np.array(counts, np.int64)
    rows = len(whole) - columns
    first = whole[:rows] if rows else np.ones(1, np.int64)
    return np.multiply.outer(first, whole[rows:])


def blend_shape(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    """One input; attributes axis, low, high and weights, one entry per output along the axis."""
    x, axis = shapes[0] if shapes else None, attributes.get("axis")
    if len(shapes) != 1 or x is None or not isinstance(axis, int) or not 0 <= axis < len(x):
        raise ModelError("must have 1 input and an axis of it")
    lists = [attributes.get(name) for name in ("low", "high", "weights")]
    sizes = {len(entries) if isinstance(entries, tuple) else 0 for entries in lists}
    if len(sizes) != 1 or 0 in sizes:
        raise ModelError("low, high and weights must have one entry per output")
    for entries in lists[:2]:
        assert isinstance(entries, tuple)  # just looked
        if any(not isinstance(e, int) or not 0 <= e < x[axis] for e in entries):
            raise ModelError(f"low and high must be from 0 to {x[axis] - 1}")
    return ((*x[:axis], *sizes, *x[axis + 1 :]),)
