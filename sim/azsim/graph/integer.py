"""Frozen types of the integer graph: what the compressed net computes, bit for bit.

Made from the float graph by the compiler's quantize pass, evaluated by `azsim.reference.integers`
and lowered to commands by the compiler's emit pass. Arithmetic: docs/arithmetic.md. Scales are only
for people and for turning results into floats: no integer depends on them after this graph is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.graph.types import StatePair

IntArray = npt.NDArray[np.integer[Any]]
WeightArray = npt.NDArray[np.int8]


class IntegerKind(Enum):
    """Where an integer tensor comes from."""

    INPUT = "input"
    STATE = "state"  # all zero points before the first step
    CONSTANT = "constant"
    NODE = "node"


@dataclass(frozen=True)
class IntegerTensor:
    """One tensor: real value = (integer - zero_point) * scale.

    `element` is int8, int16 or int32. `data` (of that type) is present exactly for constants.
    """

    name: str
    shape: tuple[int, ...]
    element: str
    scale: float
    zero_point: int = 0
    kind: IntegerKind = IntegerKind.NODE
    data: IntArray | None = None

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class Linear:
    """y[m, n] = out(rescale(sum_k x[m, k] * weights[n, k] ...)): a matrix product with constant
    weights.

    x is int8 of shape (..., K), read as (M, K); y has shape (..., N). Per output row n:
    `multiplier`, `shift`, `bias`. bias_after False: bias joins the int32 sum before rescaling (the
    input's zero point is already folded into it); True: it is added after rescaling, in the
    output's steps. `addend`: an int32 tensor with y's shape (or one broadcast over no axis), added
    after rescaling. relu: y is at least the output's zero point.
    """

    name: str
    x: str
    y: str
    weights: WeightArray  # int8 (N, K)
    bits: int  # 2..8: weight width in the stream
    multiplier: IntArray  # int32 (N,)
    shift: IntArray  # int8 (N,)
    bias: IntArray  # int32 (N,)
    bias_after: bool = False
    addend: str = ""
    relu: bool = False


@dataclass(frozen=True)
class LstmCell:
    """One time step's cell: gates int16 Q3.12 (batch, 4H) in order i, o, f, c; c int16 (batch, H);
    h int8 (batch, H)."""

    name: str
    gates: str
    c_in: str
    c_out: str
    h_out: str
    c_fraction_bits: int
    h_multiplier: int
    h_shift: int


@dataclass(frozen=True)
class Requant:
    """y = saturate(rescale(x - zx, multiplier, shift) + zy); relu: at least zy. Same shape."""

    name: str
    x: str
    y: str
    multiplier: int
    shift: int
    relu: bool = False


@dataclass(frozen=True)
class Elementwise:
    """Add: y = saturate(round((a-za)*multiplier_a + (b-zb)*multiplier_b, shift) + zy); Mul:
    (a-za)*(b-zb)*multiplier_a.

    a has y's shape; b has y's shape, or is a suffix of it (b's elements repeat with period b.size).
    """

    name: str
    operator: str  # "Add" or "Mul"
    a: str
    b: str
    y: str
    multiplier_a: int
    multiplier_b: int
    shift: int
    relu: bool = False


@dataclass(frozen=True)
class LookUp:
    """y = saturate(rescale(table(sat16(rescale(x - zx, in_...))), out_...) + zy); table: "sigmoid"
    or "tanh"."""

    name: str
    table: str
    x: str
    y: str
    in_multiplier: int
    in_shift: int
    out_multiplier: int
    out_shift: int


@dataclass(frozen=True)
class SoftmaxRows:
    """Softmax over the last axis of int8 x, int8 y (docs/arithmetic.md)."""

    name: str
    x: str
    y: str
    in_multiplier: int
    in_shift: int
    out_multiplier: int
    out_shift: int


@dataclass(frozen=True)
class Piece:
    """A strided box copied from one input to the output; offsets and strides in elements; up to 4
    dimensions."""

    source: int  # index into Move.inputs
    shape: tuple[int, ...]
    source_offset: int
    source_strides: tuple[int, ...]
    target_offset: int
    target_strides: tuple[int, ...]


@dataclass(frozen=True)
class Move:
    """Data movement: y is assembled from boxes of the inputs (Concat, Slice, Take, Transpose,
    broadcasting). No arithmetic."""

    name: str
    inputs: tuple[str, ...]
    y: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class View:
    """y is the same bytes as x from element `offset` on, under another shape (Reshape, contiguous
    Slice). No cost."""

    name: str
    x: str
    y: str
    offset: int = 0


@dataclass(frozen=True)
class EmbedRows:
    """y[...] = table[index[...]]: rows of a constant int8 table (V, D) by an int32 index tensor."""

    name: str
    table: IntArray  # int8 (V, D)
    index: str
    y: str


IntegerNode = (
    Linear | LstmCell | Requant | Elementwise | LookUp | SoftmaxRows | Move | View | EmbedRows
)


@dataclass(frozen=True)
class IntegerGraph:
    """One step of the compressed net. `nodes` in execution order; `tensors` by name.

    `inputs`/`outputs`: non-state graph inputs/outputs by name; `states`: pairs of equal shape,
    element and scale.
    """

    name: str
    nodes: tuple[IntegerNode, ...]
    tensors: Mapping[str, IntegerTensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    states: tuple[StatePair, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


def node_inputs(node: IntegerNode) -> tuple[str, ...]:
    """Names of the tensors a node reads."""
    match node:
        case Linear(x=x, addend=addend):
            return (x, addend) if addend else (x,)
        case LstmCell(gates=gates, c_in=c_in):
            return (gates, c_in)
        case Elementwise(a=a, b=b):
            return (a, b)
        case Move(inputs=inputs):
            return inputs
        case EmbedRows(index=index):
            return (index,)
        case Requant(x=x) | LookUp(x=x) | SoftmaxRows(x=x) | View(x=x):
            return (x,)


def node_outputs(node: IntegerNode) -> tuple[str, ...]:
    """Names of the tensors a node writes."""
    if isinstance(node, LstmCell):
        return (node.c_out, node.h_out)
    return (node.y,)
