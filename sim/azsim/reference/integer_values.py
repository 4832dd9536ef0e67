"""The tensors of one step as the evaluators of integer nodes read and write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.graph.integer import IntegerGraph
from azsim_kernels.reference import arith

Array = npt.NDArray[np.generic]
Integers = npt.NDArray[np.int64]

SATURATE: dict[str, Callable[[Integers], Integers]] = {
    "int8": arith.sat8,
    "int16": arith.sat16,
    "int32": arith.sat32,
}


class Values:
    """Tensors of one step: `real` reads less the zero point, `put` adds it and saturates."""

    def __init__(self, graph: IntegerGraph) -> None:
        self.tensors = graph.tensors
        self.arrays: dict[str, Array] = {
            t.name: t.data for t in graph.tensors.values() if t.data is not None
        }

    def raw(self, name: str) -> Integers:
        """Integers of a tensor as they are stored."""
        return self.arrays[name].astype(np.int64)

    def real(self, name: str) -> Integers:
        """Integers of a tensor less its zero point: proportional to the real value."""
        return self.raw(name) - self.tensors[name].zero_point

    def put(self, name: str, value: Integers, relu: bool = False) -> None:
        """Store value + zero point, saturated to the tensor's type, in its shape."""
        tensor = self.tensors[name]
        value = SATURATE[tensor.element](
            np.maximum(value, 0) + tensor.zero_point if relu else value + tensor.zero_point
        )
        self.arrays[name] = value.astype(tensor.element).reshape(tensor.shape)

    def put_raw(self, name: str, array: Array) -> None:
        """Store elements of another tensor under this name and shape, unchanged."""
        tensor = self.tensors[name]
        self.arrays[name] = array.astype(tensor.element).reshape(tensor.shape)


Evaluators = Mapping[type[Any], Callable[[Any, Values], None]]  # by node type
