"""Numbers for the open dimensions of a model's inputs."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from azsim.errors import ModelError
from azsim.graph.text import quoted

Dimension = onnx.TensorShapeProto.Dimension


def bind_dimensions(model: onnx.ModelProto, sizes: Mapping[str, int]) -> None:
    """Give open dimensions of the graph inputs their sizes, in place.

    A name of `sizes` is that of a dimension, which may stand in several inputs, or INPUT:AXIS.
    Raises ModelError for a size below 1 and for a name that no open dimension has.
    """
    for name, size in sizes.items():
        if size < 1:
            raise ModelError(f"dimension {quoted(name)} must be 1 or more, not {size}")
    used: set[str] = set()
    names: list[str] = []
    for label, dimension in _open_dimensions(model.graph):
        names.append(dimension.dim_param or label)
        for name in (dimension.dim_param, label):
            if name in sizes:
                used.add(name)
                dimension.dim_value = sizes[name]
                break
    for name in sizes:
        if name not in used:
            known = ", ".join(quoted(known) for known in dict.fromkeys(names)) or "none"
            raise ModelError(f"dimension {quoted(name)} must be an open one of an input: {known}")


def _open_dimensions(graph: onnx.GraphProto) -> list[tuple[str, Dimension]]:
    """(INPUT:AXIS, dimension) of each that has no number."""
    stored = {tensor.name for tensor in graph.initializer}
    return [
        (f"{value.name}:{axis}", dimension)
        for value in graph.input
        if value.name not in stored
        for axis, dimension in enumerate(value.type.tensor_type.shape.dim)
        if dimension.WhichOneof("value") != "dim_value"
    ]


def check_sizes(value: onnx.ValueInfoProto) -> tuple[int, ...]:
    """Return the shape of a graph input; ModelError says how to bind a dimension left open."""
    for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
        if dimension.WhichOneof("value") != "dim_value":
            label = quoted(dimension.dim_param) if dimension.dim_param else str(axis)
            word = dimension.dim_param or f"{value.name}:{axis}"
            raise ModelError(
                f"dimension {label} of input {quoted(value.name)} must be a number:"
                f" give it one with --dim {quoted(f'{word}=N')[1:-1]}"
            )
    return tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
