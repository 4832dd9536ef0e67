"""Commands of integer nodes on rows: tables, selections, reductions, norms, GRU cells."""

from __future__ import annotations

from azsim.compiler.emit.vector import VectorEmitter, VectorEmitters
from azsim.graph.integer import (
    ArgReduce,
    Extreme,
    GruCell,
    LogSoftmaxRows,
    Norm,
    Reduce,
    Select,
    Table8,
)
from azsim_kernels import isa

KINDS = {"min": isa.EXTREME_MIN, "max": isa.EXTREME_MAX}
REDUCTIONS = {"sum": isa.REDUCE_SUM, "max": isa.REDUCE_MAX, "min": isa.REDUCE_MIN}
ARGS = {"min": isa.ARG_SMALLEST, "max": isa.ARG_LARGEST}
NORMS = {"layer": isa.NORM_LAYER, "rms": isa.NORM_RMS}


def _table(vector: VectorEmitter, node: Table8, layer: int) -> None:
    """LUT8."""
    size = vector.graph.tensors[node.x].size
    arg = (vector.where(node.x), size, vector.where(node.y), vector.where(node.table))
    vector.vector(isa.LUT8, layer, arg, [node.x, node.table], [node.y])


def _extreme(vector: VectorEmitter, node: Extreme, layer: int) -> None:
    """EXTREME."""
    y, b = vector.graph.tensors[node.y], vector.graph.tensors[node.b]
    arg = (
        vector.where(node.a), vector.kind(node.a), vector.where(node.b), vector.kind(node.b),
        vector.where(node.y), vector.kind(node.y), y.size, node.multiplier_a, node.multiplier_b,
        node.shift, vector.zero(node.a), vector.zero(node.b), vector.zero(node.y),
        KINDS[node.kind], b.size,
    )  # fmt: skip
    vector.vector(isa.EXTREME, layer, arg, [node.a, node.b], [node.y])


def _select(vector: VectorEmitter, node: Select, layer: int) -> None:
    """SELECT."""
    tensors = vector.graph.tensors
    y = tensors[node.y]
    arg = (
        vector.where(node.condition), vector.where(node.a), vector.where(node.b),
        vector.where(node.y), y.size, isa.ELEMENT_BYTES[vector.kind(node.y)],
        tensors[node.condition].size, tensors[node.a].size, tensors[node.b].size,
    )  # fmt: skip
    vector.vector(isa.SELECT, layer, arg, [node.condition, node.a, node.b], [node.y])


def _reduce(vector: VectorEmitter, node: Reduce, layer: int) -> None:
    """REDUCE: the kept dimensions are the window's places, the reduced ones its taps."""
    outer, first, middle, second, inner = node.sizes
    arg = (
        vector.where(node.x), vector.where(node.y), inner, outer, middle, first, second,
        first * middle * second * inner, second * inner, middle * second * inner, inner,
        REDUCTIONS[node.kind], node.multiplier, node.shift, vector.zero(node.x),
        vector.zero(node.y),
    )  # fmt: skip
    vector.vector(isa.REDUCE, layer, arg, [node.x], [node.y])


def _arg_reduce(vector: VectorEmitter, node: ArgReduce, layer: int) -> None:
    """ARGREDUCE."""
    x = vector.graph.tensors[node.x]
    columns = x.shape[-1]
    values = vector.where(node.values) if node.values else -1
    arg = (
        vector.where(node.x), x.size // columns, columns, vector.where(node.y), ARGS[node.kind],
        node.k, values,
    )  # fmt: skip
    vector.vector(isa.ARGREDUCE, layer, arg, [node.x], list(node.writes))


def _norm(vector: VectorEmitter, node: Norm, layer: int) -> None:
    """NORM."""
    x = vector.graph.tensors[node.x]
    columns = x.shape[-1]
    arg = (
        vector.where(node.x), vector.kind(node.x), x.size // columns, columns,
        vector.where(node.y), vector.kind(node.y), vector.where(node.parameters),
        NORMS[node.kind], node.epsilon, node.shift, vector.zero(node.x), vector.zero(node.y),
    )  # fmt: skip
    vector.vector(isa.NORM, layer, arg, [node.x, node.parameters], [node.y])


def _log_softmax(vector: VectorEmitter, node: LogSoftmaxRows, layer: int) -> None:
    """LOG_SOFTMAX."""
    x = vector.graph.tensors[node.x]
    columns = x.shape[-1]
    arg = (
        vector.where(node.x), x.size // columns, columns, vector.where(node.y),
        node.in_multiplier, node.in_shift, node.out_multiplier, node.out_shift,
        vector.zero(node.y),
    )  # fmt: skip
    vector.vector(isa.LOG_SOFTMAX, layer, arg, [node.x], [node.y])


def _gru_cell(vector: VectorEmitter, node: GruCell, layer: int) -> None:
    """GRU_CELL: the gates of the whole batch lie one after another, as h does."""
    hidden = vector.graph.tensors[node.h_out].size
    arg = (
        vector.where(node.z), vector.where(node.r) if node.reset else 0, vector.where(node.n_x),
        vector.where(node.n_h) if node.reset else 0, vector.where(node.h_in),
        vector.where(node.h_out), vector.where(node.y), hidden, int(node.reset),
        node.y_multiplier, node.y_shift, vector.zero(node.y),
    )  # fmt: skip
    vector.vector(isa.GRU_CELL, layer, arg, list(node.reads), list(node.writes))


EMITTERS: VectorEmitters = {
    Table8: _table,
    Extreme: _extreme,
    Select: _select,
    Reduce: _reduce,
    ArgReduce: _arg_reduce,
    Norm: _norm,
    LogSoftmaxRows: _log_softmax,
    GruCell: _gru_cell,
}
