"""PACK: a matrix of activations becomes the weights of a slot."""

from __future__ import annotations

import numpy as np

from azsim_kernels._jit import kernel
from azsim_kernels.execute_operands import Bytes, Operands, Weights
from azsim_kernels.isa import BAD_OPERAND, DONE


@kernel
def pack_matrix(arg: Operands, weights: Weights, abuf: Bytes) -> int:
    """Write the int8 matrix of a PACK command to the first rows x columns `weights` of its slot,
    row-major; return DONE, or BAD_OPERAND with nothing changed.
    """
    src, rows, columns, size = arg[1], arg[2], arg[3], abuf.size
    if rows < 1 or columns < 1 or rows > weights.size or columns > weights.size // rows:
        return BAD_OPERAND
    if src < 0 or src >= size:
        return BAD_OPERAND
    last = src
    for k in range(2):
        if arg[2 + k] > 1:
            if arg[4 + k] < 0 or arg[4 + k] > size:
                return BAD_OPERAND
            last += (arg[2 + k] - 1) * arg[4 + k]
    if last >= size:
        return BAD_OPERAND
    for r in range(rows):
        for c in range(columns):
            weights[r * columns + c] = np.int8(abuf[src + r * arg[4] + c * arg[5]])
    return DONE
