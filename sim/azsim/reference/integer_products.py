"""Products with constant weights and recurrent cells, in plain numpy."""

from __future__ import annotations

import numpy as np

from azsim.errors import SimulationError
from azsim.graph.integer import Linear, LstmCell
from azsim.reference.integer_values import Evaluators, Values
from azsim_kernels.reference import arith

INT32_LIMIT = 2**31


def _linear(node: Linear, values: Values) -> None:
    """Matrix product with constant weights; the zero point of x is folded into the bias."""
    rows, columns = node.weights.shape
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


def _lstm_cell(node: LstmCell, values: Values) -> None:
    """One time step's cell of every batch row."""
    scale = (node.h_multiplier, node.h_shift)
    gates, c = values.raw(node.gates), values.raw(node.c_in)
    c_next, h = arith.lstm_cell(gates, c, node.c_fraction_bits, scale)
    values.put_raw(node.c_out, c_next)
    values.put(node.h_out, h)


EVALUATORS: Evaluators = {Linear: _linear, LstmCell: _lstm_cell}
