"""Nodes of the integer graph on whole rows: tables, selections, reductions, norms, products of two
computed tensors, GRU cells.

Each has `reads` and `writes` as those of `azsim.graph.integer_nodes`. Arithmetic:
docs/arithmetic.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from azsim.graph.integer_ports import OneToOne


@dataclass(frozen=True)
class _OneToOne(OneToOne):
    name: str
    x: str
    y: str


@dataclass(frozen=True)
class Table8(_OneToOne):
    """y = table[x + 128], int8 to int8, same shape: any function of one number. `table` names a
    constant int8 tensor of 256 entries."""

    table: str

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return (self.x, self.table)


@dataclass(frozen=True)
class Extreme:
    """y = saturate(min or max(rescale(a - za, multiplier_a, shift), rescale(b - zb, multiplier_b,
    shift)) + zy); kind "min" or "max". Shapes as for Elementwise."""

    name: str
    kind: str
    a: str
    b: str
    y: str
    multiplier_a: int
    multiplier_b: int
    shift: int

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return (self.a, self.b)

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the tensors it writes."""
        return (self.y,)


@dataclass(frozen=True)
class Select:
    """y = a where condition is not 0, else b. condition is int8; a, b and y have one format. Each
    operand has y's shape or a suffix of it."""

    name: str
    condition: str
    a: str
    b: str
    y: str

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return (self.condition, self.a, self.b)

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the tensors it writes."""
        return (self.y,)


@dataclass(frozen=True)
class Reduce(_OneToOne):
    """y = saturate(rescale(sum of (x - zx), or largest or smallest (x - zx)) + zy), int8 to int8.

    x is read as (outer, first, middle, second, inner); `first` and `second` are reduced; kind
    "sum", "max" or "min".
    """

    kind: str
    sizes: tuple[int, int, int, int, int]
    multiplier: int
    shift: int


@dataclass(frozen=True)
class ArgReduce(_OneToOne):
    """y int32 (..., k): places of the k largest (kind "max") or smallest ("min") entries of each
    row of int8 x, best first, of equals the lower first. `values`: int8 tensor (..., k) of the
    entries themselves, or ""."""

    kind: str
    k: int
    values: str = ""

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the tensors it writes."""
        return (self.y, self.values) if self.values else (self.y,)


@dataclass(frozen=True)
class Norm(_OneToOne):
    """Layer norm (kind "layer") or RMS norm ("rms") of the rows of x. `parameters` names a constant
    int32 tensor (2, columns): gamma and beta in steps of y with shift - 16 fraction bits; epsilon
    is in squared steps of x times columns squared."""

    kind: str
    parameters: str
    epsilon: int
    shift: int

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return (self.x, self.parameters)


@dataclass(frozen=True)
class LogSoftmaxRows(_OneToOne):
    """Logarithm of softmax over the last axis of int8 x, int8 y (docs/arithmetic.md)."""

    in_multiplier: int
    in_shift: int
    out_multiplier: int
    out_shift: int


@dataclass(frozen=True)
class MatmulRows:
    """y = saturate(rescale(sum over k of (a[m, k] - za) x (b[n, k] - zb)) + zy), int8.

    a is (batch, M, K) and y (batch, M, N), both flat in that order; b holds N x K entries per batch
    at `b_row_stride` and `b_column_stride` elements. `batches` lists for each product the offsets
    of a, b and y in elements. `a_constants`, `b_constants`: constant int8 tensors, each of K equal
    entries (b: of one), that add up to -za and -zb; none where that is 0.
    """

    name: str
    a: str
    b: str
    y: str
    rows: int  # M
    columns: int  # K
    outputs: int  # N
    b_row_stride: int
    b_column_stride: int
    batches: tuple[tuple[int, int, int], ...]
    multiplier: int
    shift: int
    a_constants: tuple[str, ...] = ()
    b_constants: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return (self.a, self.b, *self.a_constants, *self.b_constants)

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the tensors it writes."""
        return (self.y,)


@dataclass(frozen=True)
class GruCell:
    """One time step: z, r, n_x, n_h int16 Q3.12 (batch, H), h int16 Q0.15, y int8.

    With `reset` new = tanh(n_x + sigmoid(r) x n_h), else tanh(n_x), and r and n_h are "".
    """

    name: str
    z: str
    r: str
    n_x: str
    n_h: str
    h_in: str
    h_out: str
    y: str
    reset: bool
    y_multiplier: int
    y_shift: int

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        gates = (self.z, self.r, self.n_x, self.n_h) if self.reset else (self.z, self.n_x)
        return (*gates, self.h_in)

    @property
    def writes(self) -> tuple[str, ...]:
        """Names of the tensors it writes."""
        return (self.h_out, self.y)
