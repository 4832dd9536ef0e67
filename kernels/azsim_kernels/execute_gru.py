"""GRU_CELL: one time step of a GRU from its gates."""

from __future__ import annotations

import numpy as np

from azsim_kernels._jit import kernel
from azsim_kernels.arith import rescale, rounded_shift, sat8, sat16, sigmoid, tanh
from azsim_kernels.execute_operands import (
    NO_FLOOR,
    Bytes,
    Operands,
    load_elements,
    point_ok,
    scale_ok,
    span_ok,
    store_elements,
)
from azsim_kernels.isa import BAD_OPERAND, DONE, INT8, INT16


@kernel
def _gru_ok(arg: Operands, size: int) -> bool:
    """Check the operands of GRU_CELL; r and n_h only if they are read."""
    hidden, reset = arg[7], arg[8]
    if reset != 0 and reset != 1:
        return False
    for k in range(6):
        read = reset == 1 or (k != 1 and k != 3)
        if read and not span_ok(arg[k], hidden, INT16, size):
            return False
    return (
        span_ok(arg[6], hidden, INT8, size)
        and scale_ok(arg[9], arg[10])
        and point_ok(arg[11], INT8)
    )


@kernel
def execute_gru_cell(arg: Operands, abuf: Bytes) -> int:
    """GRU_CELL: writes h_out, then y_out."""
    if not _gru_ok(arg, abuf.size):
        return BAD_OPERAND
    hidden, reset = arg[7], arg[8]
    z = load_elements(abuf, arg[0], hidden, INT16)
    n = load_elements(abuf, arg[2], hidden, INT16)
    h = load_elements(abuf, arg[4], hidden, INT16)
    if reset == 1:
        r = load_elements(abuf, arg[1], hidden, INT16)
        n_h = load_elements(abuf, arg[3], hidden, INT16)
        for u in range(hidden):
            n[u] = sat16(n[u] + rounded_shift(sigmoid(int(r[u])) * n_h[u], 15))
    y = np.empty(hidden, np.int64)
    for u in range(hidden):
        keep = sigmoid(int(z[u]))
        h[u] = sat16(rounded_shift(keep * h[u] + (32768 - keep) * tanh(int(n[u])), 15))
        y[u] = sat8(rescale(h[u], arg[9], arg[10]) + arg[11])
    store_elements(abuf, arg[5], INT16, h, NO_FLOOR)
    store_elements(abuf, arg[6], INT8, y, NO_FLOOR)
    return DONE
