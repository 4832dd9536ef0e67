"""Nodes of the integer graph: products, cells, element-wise rules, movement.

Each has a `name`, the names of the tensors it takes and makes, and `reads` and `writes`, the same
names as tuples. Arithmetic: docs/arithmetic.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.graph.integer_ports import OneToOne
from azsim.graph.integer_window import Window

IntArray = npt.NDArray[np.integer[Any]]
WeightArray = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Linear:
    """y[m, n] = out(rescale(sum_k x[m, k] * weights[n, k] ...)): a matrix product with constant
    weights.

    x is int8 of shape (..., K), read as (M, K); y has shape (..., N). Per output row n:
    `multiplier`, `shift`, `bias`. bias_after False: bias joins the int32 sum before rescaling (the
    input's zero point is already folded into it); True: it is added after rescaling, in the
    output's steps. `addend`: an int32 tensor with y's shape (or one broadcast over no axis), added
    after rescaling. relu: y is at least the output's zero point. `window`: the K columns of output
    position m are not row m of x but what the window sees there (convolution); y is (positions, N).
    `rows_apart`: where y is a part of a wider image, positions in a row and elements of y from row
    to row (made by the spill pass); (0, 0): the rows lie together.
    """

    name: str
    x: str
    y: str
    weights: WeightArray  # int8 (N, K), with a window of several groups (N, K of a group)
    bits: int  # 2..8: weight width in the stream
    multiplier: IntArray  # int32 (N,)
    shift: IntArray  # int8 (N,)
    bias: IntArray  # int32 (N,)
    bias_after: bool = False
    addend: str = ""
    relu: bool = False
    window: Window | None = None
    rows_apart: tuple[int, int] = (0, 0)

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return (self.x, self.addend) if self.addend else (self.x,)

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the tensors it writes."""
        return (self.y,)


@dataclass(frozen=True)
class LstmCell:
    """One time step's cell: gates int16 Q3.12 (batch, 4H) in order i, o, f, c; c int16 (batch, H);
    h int8 (batch, H). `couple` (isa.COUPLE_*): gates (batch, 3H) without f = 1 - i, or without
    i = 1 - f."""

    name: str
    gates: str
    c_in: str
    c_out: str
    h_out: str
    c_fraction_bits: int
    h_multiplier: int
    h_shift: int
    couple: int = 0

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return (self.gates, self.c_in)

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the tensors it writes."""
        return (self.c_out, self.h_out)


@dataclass(frozen=True)
class Requant(OneToOne):
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

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return (self.a, self.b)

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the tensors it writes."""
        return (self.y,)


@dataclass(frozen=True)
class LookUp(OneToOne):
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
class SoftmaxRows(OneToOne):
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

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return self.inputs

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the tensors it writes."""
        return (self.y,)


@dataclass(frozen=True)
class View(OneToOne):
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

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return (self.index,)

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the tensors it writes."""
        return (self.y,)
