"""Frozen types of the float graph.

A graph computes one step (one frame, or several frames at once) of a streaming net. All shapes are
static.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

Attribute = int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...]


class ValueKind(Enum):
    """Where a value comes from."""

    INPUT = "input"  # given anew at each step
    STATE = "state"  # zero before the first step, afterwards what the paired output was
    CONSTANT = "constant"  # float32 (or int64 for indices) data of the model
    NODE = "node"  # computed by a node


@dataclass(frozen=True)
class Value:
    """One tensor of the graph.

    `data` is present exactly for constants: float32, or int64 where a node takes indices.
    `is_index` marks an int32/int64 graph input that a Gather uses as row numbers.
    """

    name: str
    shape: tuple[int, ...]
    kind: ValueKind
    data: npt.NDArray[np.generic] | None = None
    is_index: bool = False

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class Node:
    """One operator. `inputs`, `outputs` are value names; an absent optional one is ''."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class StatePair:
    """A recurrent state: input `source` of the next step is output `result` of this one."""

    source: str
    result: str


@dataclass(frozen=True)
class Graph:
    """One step of a net. `nodes` are in execution order; `values` holds every name used, by name.

    `outputs` lists the non-state outputs in file order; `metadata` holds the model's `azsim.*`
    properties.
    """

    name: str
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    inputs: tuple[str, ...]  # non-state inputs, in file order
    outputs: tuple[str, ...]  # non-state outputs, in file order
    states: tuple[StatePair, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)

    def constant(self, name: str) -> npt.NDArray[np.generic] | None:
        """Return the data of constant `name`, or None if it is computed or given."""
        value = self.values.get(name)
        return None if value is None else value.data


# Operators a Graph may hold after reading. The reader folds Constant, Shape and constant Cast away
# and drops Identity; Squeeze, Unsqueeze, Reshape and Flatten all become "Reshape" (target = the
# output's shape); Split becomes one "Slice" per output; Gemm becomes MatMul (+ Add); Slice and
# constant Gather keep plain attributes; see azsim.frontend for each form.
DEFAULT_OPERATORS: dict[str, str] = {
    "MatMul": "inputs (x, W): x (..., K) computed, W (K, N) constant; output (..., N)",
    "LSTM": "inputs (X, W, R, B, initial_h, initial_c), '' where absent; outputs (Y, Y_h, Y_c), ''"
    " where unused; ONNX shapes and gate order iofc; attribute hidden_size; direction forward,"
    " default activations",
    "Add": "inputs (a, b), numpy broadcasting; at most one constant",
    "Mul": "inputs (a, b), numpy broadcasting; at most one constant",
    "Relu": "input x",
    "Sigmoid": "input x",
    "Tanh": "input x",
    "Softmax": "input x; attribute axis (>= 0)",
    "Concat": "inputs computed (or constant) tensors; attribute axis (>= 0)",
    "Slice": "input x; attributes starts, ends, steps: one entry per dimension, 0 <= start,"
    " step >= 1",
    "Take": "input x; attributes axis, indices (>= 0): Gather with constant indices; output keeps"
    " the axis (a scalar index is followed by a Reshape)",
    "Embed": "inputs (table, index): table constant (V, D), index a graph input of row numbers;"
    " output index.shape + (D,)",
    "Reshape": "input x; the output's shape says the rest",
    "Transpose": "input x; attribute perm",
}
