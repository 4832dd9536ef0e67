"""Products with constant weights and recurrent cells, in plain numpy."""

from __future__ import annotations

import numpy as np

from azsim.errors import SimulationError
from azsim.graph.integer import Linear, LstmCell
from azsim.graph.integer_window import Window
from azsim.reference.integer_values import Evaluators, Integers, Values
from azsim_kernels.reference import arith

INT32_LIMIT = 2**31


def _linear(node: Linear, values: Values) -> None:
    """Matrix product with constant weights; the zero point of x is folded into the bias."""
    rows, columns = node.weights.shape
    if node.window is not None:
        total = _windowed(node, node.window, values)
    else:
        x = values.arrays[node.x].reshape(-1, columns).astype(np.int8)
        total = np.einsum("mk,nk->mn", x, node.weights.astype(np.int8, copy=False), dtype=np.int64)
    largest = int(np.abs(total).max(initial=0))
    if largest >= INT32_LIMIT:
        raise SimulationError(
            f"node '{node.name}': product sum must fit int32, not be {largest} in magnitude"
        )
    bias, multiplier, shift = (
        part.astype(np.int64) for part in (node.bias, node.multiplier, node.shift)
    )
    if node.bias_after:
        y = arith.rescale(total, multiplier, shift) + bias
    else:
        y = arith.rescale(total + bias, multiplier, shift)
    if node.addend:
        y += values.raw(node.addend).reshape(-1, rows)
    values.put(node.y, y, node.relu)


def _windowed(node: Linear, window: Window, values: Values) -> Integers:
    """Product sums (positions, N): every element that a position sees is looked up by its index.

    Sums of fewer than 2^39 products of int8 are exact in float64.
    """
    rows, columns = node.weights.shape
    x = values.arrays[node.x].reshape(-1).astype(np.float64)
    length = columns // len(window.segments)
    seen = np.add.outer(np.array(window.segments), np.arange(length)).reshape(-1)
    weights = node.weights.reshape(window.groups, rows // window.groups, columns)
    parts = []
    for group in range(window.groups):
        index = np.add.outer(window.starts() + group * window.group_step, seen)
        parts.append(x[index] @ weights[group].T.astype(np.float64))
    total: Integers = np.concatenate(parts, axis=1).astype(np.int64)
    return total


def _lstm_cell(node: LstmCell, values: Values) -> None:
    """One time step's cell of every batch row."""
    scale = (node.h_multiplier, node.h_shift)
    gates, c = values.raw(node.gates), values.raw(node.c_in)
    c_next, h = arith.lstm_cell(gates, c, node.c_fraction_bits, scale, node.couple)
    values.put_raw(node.c_out, c_next)
    values.put(node.h_out, h)


EVALUATORS: Evaluators = {Linear: _linear, LstmCell: _lstm_cell}
