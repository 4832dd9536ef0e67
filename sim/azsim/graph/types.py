"""Frozen types of the float graph.

A graph computes one step (one frame, or several frames at once) of a streaming net. All shapes are
static.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

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
class Quantization:
    """The grid of a tensor of 8-bit integers in a model: real = (integer - zero_point) * scale.

    `element` is the model's own type, int8 or uint8; `zero_point` is one of its values; `scale` is
    positive and finite, one for the whole tensor. A machine of int8 holds a uint8 u as u - 128,
    with the zero point lowered alike (`stored_zero_point`): the real numbers are the same.
    """

    element: str
    scale: float
    zero_point: int = 0

    @property
    def limits(self) -> tuple[int, int]:
        """Smallest and largest integer of the model's type."""
        return (0, 255) if self.element == "uint8" else (-128, 127)

    @property
    def stored_zero_point(self) -> int:
        """The zero point of the same numbers held as int8."""
        return self.zero_point - 128 if self.element == "uint8" else self.zero_point

    def is_sound(self) -> bool:
        """True if type, scale and zero point are what the class says."""
        low, high = self.limits
        return (
            self.element in ("int8", "uint8")
            and 0.0 < self.scale < math.inf
            and low <= self.zero_point <= high
        )

    def text(self) -> str:
        """`uint8 in steps of 0.01 from 3`."""
        return f"{self.element} in steps of {self.scale:.6g} from {self.zero_point}"


@dataclass(frozen=True)
class StoredIntegers:
    """What a model file holds of a constant that it stores quantized: data = integers * scale.

    `integers` has the constant's shape, its zero point taken off already; `scale` (float64,
    positive) has as many dimensions, all of size 1 but the one along which the scales differ, if
    they do; `bits` is the width of the file's type (4, 8, 16, 32).
    """

    integers: npt.NDArray[np.integer[Any]]
    scale: npt.NDArray[np.float64]
    bits: int


@dataclass(frozen=True)
class Value:
    """One tensor of the graph.

    `data` is present exactly for constants: float32, or int64 where a node takes indices; `stored`
    if the model holds such a constant as integers with a scale. `is_index` marks row numbers: an
    int32/int64 graph input that a Gather uses, or what ArgReduce and TopK find. `quantization` says
    that the model holds the value as 8-bit integers: a graph input, a state, the output of
    Quantize, or what a moving operator made of these. `is_truth`: a graph input or
    state that is bool in the file, 0.0 or 1.0 here.
    """

    name: str
    shape: tuple[int, ...]
    kind: ValueKind
    data: npt.NDArray[np.generic] | None = None
    is_index: bool = False
    quantization: Quantization | None = None
    stored: StoredIntegers | None = None
    is_truth: bool = False

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
    "Conv": "inputs (x, W) or (x, W, B): x (N, C, H, W) or (N, C, T) computed, W and B constant as"
    " ONNX has them; attributes strides, dilations, pads (begins, then ends), group; channels_last:"
    " 1 in graphs that the compiler has laid out, x and output (N, ..., C)",
    "Pool": "input x (N, C, H, W) or (N, C, T); attributes kind (max or mean), kernel, strides,"
    " dilations, pads, channels_last as Conv; for mean counts: what each output row, then each"
    " column, counts, whose product is the divisor",
    "Blend": "input x; attributes axis, low, high, weights, one entry per output: output o is"
    " (1 - weights[o]) times entry low[o] plus weights[o] times entry high[o] of the axis",
    "LSTM": "inputs (X, W, R, B, initial_h, initial_c), '' where absent; outputs (Y, Y_h, Y_c), ''"
    " where unused; ONNX shapes and gate order iofc; R absent: nothing is fed back; attributes"
    " hidden_size, and input_forget 1 if the input gate is one less the forget gate; direction"
    " forward, default activations",
    "Add": "inputs (a, b), numpy broadcasting; at most one constant",
    "Sub": "inputs (a, b): a - b, numpy broadcasting; at most one constant",
    "Mul": "inputs (a, b), numpy broadcasting; at most one constant",
    "Min": "inputs (a, b), numpy broadcasting; at most one constant",
    "Max": "inputs (a, b), numpy broadcasting; at most one constant",
    "Function": "input x; attribute formula: words in postfix order (azsim.graph.formulas)",
    "Where": "inputs (condition, a, b), numpy broadcasting: a where the condition, a constant of 0"
    " and 1, is 1; one or two more may be constants",
    "Reduce": "input x; attributes kind (mean, sum, max, min), axes (>= 0); the axes stay, of size"
    " 1",
    "ArgReduce": "input x; attributes kind (max, min), axis (>= 0), which stays, of size 1; output"
    " is an index (the first of equals)",
    "TopK": "input x; attribute k; outputs (values, indices, an index) along the last axis, largest"
    " first, of equals the first first",
    "Norm": "inputs (x, gamma, beta), constants (columns,) or ''; attributes kind (layer, rms),"
    " epsilon; over the last axis",
    "MatMulRows": "inputs (a, b), one or both computed: matrix product with broadcasting over the"
    " leading axes, times attribute scale (1 if absent)",
    "GRU": "inputs (X, W, R, B, initial_h), '' where absent; outputs (Y, Y_h), '' where unused;"
    " ONNX shapes and gate order zrh; attributes hidden_size, linear_before_reset",
    "LogSoftmax": "input x; attribute axis (>= 0)",
    "Expand": "input x; the output's shape says the rest (numpy broadcasting)",
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
    "Quantize": "input x; the output's `quantization` says the grid: round(x / scale), halves to"
    " even, plus zero point, saturated; as a number again (QuantizeLinear and DequantizeLinear)",
}

# Operators that change no number: what they make of a quantized value lies on the same grid.
MOVING_OPERATORS = ("Reshape", "Slice", "Take", "Transpose", "Concat", "Expand")
