"""Float meaning of convolution, pooling and linear resizing, in ONNX's layout (N, C, ...)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from azsim.graph import Node
from azsim.graph.attributes import integer, integers
from azsim.graph.window_shapes import WindowForm, pool_form, window_counts, window_form

Array = npt.NDArray[np.generic]
Float32Array = npt.NDArray[np.float32]


def conv(node: Node, operands: list[Array | None]) -> tuple[Array, ...]:
    """Convolution as a sum over the taps of the kernel, each a product of channels."""
    x, weight = (np.asarray(a, dtype=np.float32) for a in operands[:2])
    form = window_form(weight.shape[2:], node.attributes)
    group = integer(node.attributes, "group")
    outputs, each = weight.shape[0], weight.shape[1]
    padded = padded_with(x, form, 0.0)
    y: Float32Array | None = None
    for tap, seen in taps(padded, form):
        columns = seen.reshape(x.shape[0], group, each, -1)
        matrix = np.moveaxis(weight, (0, 1), (-2, -1))[tap].reshape(group, outputs // group, each)
        part = np.matmul(matrix, columns)
        y = part if y is None else y + part
    assert y is not None  # a kernel has one tap or more
    y = y.reshape(x.shape[0], outputs, *form.outputs(x.shape[2:]))
    if len(operands) > 2 and operands[2] is not None:
        bias = np.asarray(operands[2], dtype=np.float32)
        y = y + bias.reshape(-1, *(1,) * len(form.kernel))
    return (y,)


def padded_with(x: Float32Array, form: WindowForm, value: float) -> Float32Array:
    """x with its padding."""
    pads = [(0, 0), (0, 0), *zip(form.before, form.behind, strict=True)]
    return np.pad(x, pads, constant_values=np.float32(value))


def taps(padded: Float32Array, form: WindowForm) -> Iterator[tuple[tuple[int, ...], Float32Array]]:
    """Each tap of the kernel with what all positions see through it, (N, C, positions ...)."""
    spatial = tuple(
        size - b - e for size, b, e in zip(padded.shape[2:], form.before, form.behind, strict=True)
    )
    positions = form.outputs(spatial)
    for tap in np.ndindex(*form.kernel):
        cut = tuple(
            slice(k * d, k * d + s * (n - 1) + 1, s)
            for k, d, s, n in zip(tap, form.dilations, form.strides, positions, strict=True)
        )
        yield tap, padded[(slice(None), slice(None), *cut)]


def pool(node: Node, operands: list[Array | None]) -> tuple[Array, ...]:
    """Largest, or sum by what each output counts, of the window."""
    x = np.asarray(operands[0], dtype=np.float32)
    form = pool_form(node.attributes)
    is_max = node.attributes["kind"] == "max"
    padded = padded_with(x, form, -np.inf if is_max else 0.0)
    y: Float32Array | None = None
    for _, seen in taps(padded, form):
        joined = seen if y is None else np.maximum(y, seen) if is_max else y + seen
        y = np.asarray(joined, dtype=np.float32)
    assert y is not None  # a kernel has one tap or more
    if not is_max:
        counts = window_counts(node.attributes, y.shape[-1]).astype(np.float32)
        y = y / counts.reshape(y.shape[2:])
    return (y,)


def blend(node: Node, operands: list[Array | None]) -> tuple[Array, ...]:
    """Weighted mean of two entries of an axis."""
    x, axis = np.asarray(operands[0], dtype=np.float32), integer(node.attributes, "axis")
    low, high = (
        np.take(x, np.array(integers(node.attributes, name)), axis=axis) for name in ("low", "high")
    )
    weights = np.array(node.attributes["weights"], dtype=np.float32)
    shape = [1] * x.ndim
    shape[axis] = len(weights)
    weights = weights.reshape(shape)
    return (low * (1 - weights) + high * weights,)
