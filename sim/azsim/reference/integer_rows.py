"""Tables, selections, reductions, norms, products of two computed tensors and GRU cells, in plain
numpy."""

from __future__ import annotations

import numpy as np

from azsim.graph.integer import (
    ArgReduce,
    Extreme,
    GruCell,
    LogSoftmaxRows,
    MatmulRows,
    Norm,
    Reduce,
    Select,
    Table8,
)
from azsim.reference.integer_values import Evaluators, Integers, Values
from azsim_kernels import isa
from azsim_kernels.reference import arith, arith_rows

EXTREMES = {"min": isa.EXTREME_MIN, "max": isa.EXTREME_MAX}
ARGS = {"min": isa.ARG_SMALLEST, "max": isa.ARG_LARGEST}
NORMS = {"layer": isa.NORM_LAYER, "rms": isa.NORM_RMS}


def _table(node: Table8, values: Values) -> None:
    entries = values.raw(node.table).ravel()
    values.put_raw(node.y, entries[values.raw(node.x) + 128])


def _extreme(node: Extreme, values: Values) -> None:
    a, b = values.real(node.a), values.real(node.b)
    factors = (node.multiplier_a, node.multiplier_b)
    b = np.resize(b, a.shape)
    values.put(node.y, arith_rows.extreme(a, b, factors, node.shift, EXTREMES[node.kind]))


def _select(node: Select, values: Values) -> None:
    shape = values.tensors[node.y].shape
    condition, a, b = (
        np.resize(values.raw(name), shape) for name in (node.condition, node.a, node.b)
    )
    values.put_raw(node.y, np.where(condition != 0, a, b))


def _reduce(node: Reduce, values: Values) -> None:
    x = values.real(node.x).reshape(node.sizes)
    if node.kind == "sum":
        found = x.sum(axis=(1, 3))
    else:
        found = x.max(axis=(1, 3)) if node.kind == "max" else x.min(axis=(1, 3))
    values.put(node.y, arith.rescale(found, node.multiplier, node.shift))


def _arg_reduce(node: ArgReduce, values: Values) -> None:
    x = values.raw(node.x)
    places = arith_rows.arg_reduce(x, ARGS[node.kind], node.k)
    values.put_raw(node.y, places)
    if node.values:
        values.put_raw(node.values, np.take_along_axis(x, places, axis=-1))


def _norm(node: Norm, values: Values) -> None:
    gamma, beta = values.raw(node.parameters)
    parameters = (gamma, beta)
    d = values.real(node.x)
    y = arith_rows.normalize(d, NORMS[node.kind], node.epsilon, parameters, node.shift)
    values.put(node.y, y)


def _log_softmax(node: LogSoftmaxRows, values: Values) -> None:
    scale_out = (node.out_multiplier, node.out_shift)
    x = values.raw(node.x)
    y = arith_rows.log_softmax(x, (node.in_multiplier, node.in_shift), scale_out)
    values.put(node.y, y)


def _matmul(node: MatmulRows, values: Values) -> None:
    """Each product by itself, from flat tensors."""
    a, b = values.real(node.a).ravel(), values.real(node.b).ravel()
    y = np.zeros(values.tensors[node.y].size, np.int64)
    place = (
        np.arange(node.outputs)[:, None] * node.b_row_stride
        + np.arange(node.columns) * node.b_column_stride
    )
    for a_offset, b_offset, y_offset in node.batches:
        left = a[a_offset : a_offset + node.rows * node.columns].reshape(node.rows, node.columns)
        total = left @ b[b_offset + place].T
        end = y_offset + node.rows * node.outputs
        y[y_offset:end] = arith.rescale(total, node.multiplier, node.shift).ravel()
    values.put(node.y, y)


def _gru_cell(node: GruCell, values: Values) -> None:
    reset: tuple[Integers, Integers] | None = None
    if node.reset:
        reset = (values.raw(node.r), values.raw(node.n_h))
    h = arith.gru_cell(values.raw(node.z), values.raw(node.n_x), values.raw(node.h_in), reset)
    values.put_raw(node.h_out, h)
    values.put(node.y, arith.rescale(h, node.y_multiplier, node.y_shift))


EVALUATORS: Evaluators = {
    Table8: _table,
    Extreme: _extreme,
    Select: _select,
    Reduce: _reduce,
    ArgReduce: _arg_reduce,
    Norm: _norm,
    LogSoftmaxRows: _log_softmax,
    MatmulRows: _matmul,
    GruCell: _gru_cell,
}
