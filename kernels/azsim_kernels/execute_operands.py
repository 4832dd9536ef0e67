"""Operands of MAC and VECTOR commands: checking them, reading and writing tensors in ABUF.

Each check returns whether a command may go on; it never overflows, whatever int64 it is given.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from azsim_kernels._jit import kernel
from azsim_kernels.isa import FLAG_RELU, INT8, INT16, INT32

Bytes = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.int8]
Accumulators = npt.NDArray[np.int32]
Operands = npt.NDArray[np.int64]

NO_FLOOR = -(1 << 62)  # below every result: no ReLU


@kernel
def element_ok(element: int) -> bool:
    """Is `element` one of INT8, INT16, INT32?"""
    return INT8 <= element <= INT32


@kernel
def span_ok(address: int, count: int, element: int, size: int) -> bool:
    """Do `count` >= 1 elements at `address` lie inside `size` bytes, aligned to their size?"""
    if not element_ok(element):
        return False
    step = 1 << element
    if count < 1 or count > size // step:
        return False
    return address >= 0 and address % step == 0 and address <= size - count * step


@kernel
def rows_ok(
    address: int, count: int, stride: int, columns: int, element: int, size: int, least: int
) -> bool:
    """Do `columns` spans of `count` elements, `stride` >= `least` bytes apart, lie inside?"""
    if not span_ok(address, count, element, size):
        return False
    if columns == 1:
        return True  # the stride is not used
    step = 1 << element
    if columns < 1 or columns > (1 << 31) or stride < least or stride > size or stride % step != 0:
        return False
    return address + (columns - 1) * stride <= size - count * step


@kernel
def accumulators_ok(
    base: int, stride: int, columns: int, rows: int, least: int, shape: tuple[int, int]
) -> bool:
    """Do `columns` groups of `rows` accumulators, `stride` (>= least per group) apart, exist?"""
    lanes, depth = shape
    if rows < 1 or rows > (1 << 31) or base < 0 or base > depth:
        return False
    per_lane = (rows + lanes - 1) // lanes
    if columns == 1:
        return base + per_lane <= depth
    if columns < 1 or columns > (1 << 31) or stride < per_lane * least or stride > depth:
        return False
    return base + (columns - 1) * stride + per_lane <= depth


@kernel
def scale_ok(multiplier: int, shift: int) -> bool:
    """Are multiplier and shift in the range of `rescale`?"""
    return 0 <= multiplier < (1 << 31) and 0 <= shift <= 62


@kernel
def point_ok(zero_point: int, element: int) -> bool:
    """Is the zero point a value of its tensor's type?"""
    limit = 1 << ((8 << element) - 1)
    return -limit <= zero_point < limit


@kernel
def relu_flag_ok(flags: int) -> bool:
    """Are the flags of a command that knows only FLAG_RELU legal?"""
    return flags == 0 or flags == FLAG_RELU


@kernel
def load_elements(abuf: Bytes, address: int, count: int, element: int) -> Operands:
    """Return `count` elements as int64; the span has been checked.

    Bytes are joined one by one (LLVM merges them): typed views and slice assignments would bring
    numba's own error texts along and with them ten seconds of compile time.
    """
    out = np.empty(count, np.int64)
    source = abuf[address : address + (count << element)]
    if element == INT8:
        for i in range(count):
            out[i] = (np.int64(source[i]) ^ 0x80) - 0x80
    elif element == INT16:
        for i in range(count):
            v = np.int64(source[2 * i]) | (np.int64(source[2 * i + 1]) << 8)
            out[i] = (v ^ 0x8000) - 0x8000
    else:
        for i in range(count):
            low = np.int64(source[4 * i]) | (np.int64(source[4 * i + 1]) << 8)
            high = np.int64(source[4 * i + 2]) | (np.int64(source[4 * i + 3]) << 8)
            out[i] = ((low | (high << 16)) ^ 0x80000000) - 0x80000000
    return out


@kernel
def store_elements(abuf: Bytes, address: int, element: int, values: Operands, floor: int) -> None:
    """Write max(value, floor), saturated to the element type; the span has been checked."""
    limit = 1 << ((8 << element) - 1)
    target = abuf[address : address + (values.size << element)]
    if element == INT8:
        for i in range(values.size):
            target[i] = min(max(values[i], floor, -limit), limit - 1) & 0xFF
    elif element == INT16:
        for i in range(values.size):
            v = min(max(values[i], floor, -limit), limit - 1)
            target[2 * i] = v & 0xFF
            target[2 * i + 1] = (v >> 8) & 0xFF
    else:
        for i in range(values.size):
            v = min(max(values[i], floor, -limit), limit - 1)
            target[4 * i] = v & 0xFF
            target[4 * i + 1] = (v >> 8) & 0xFF
            target[4 * i + 2] = (v >> 16) & 0xFF
            target[4 * i + 3] = (v >> 24) & 0xFF


@kernel
def result_floor(flags: int, zero_point: int) -> int:
    """Least result of a command: the output's zero point with ReLU."""
    return zero_point if flags & FLAG_RELU else NO_FLOOR
