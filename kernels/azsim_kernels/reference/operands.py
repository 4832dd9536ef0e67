"""Operands of MAC and VECTOR commands in the reference: checking, reading, writing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from azsim_kernels import isa
from azsim_kernels.reference import arith

Bytes = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.int8]
Accumulators = npt.NDArray[np.int32]
Operands = npt.NDArray[np.int64]
Integers = npt.NDArray[np.int64]

ELEMENT_TYPES = (np.dtype(np.int8), np.dtype(np.int16), np.dtype(np.int32))
MAX_COUNT = 2**31  # columns of a command; no chip comes near it


class BadOperandError(Exception):
    """An operand of the command at hand cannot be."""


def require(condition: bool) -> None:
    if not condition:
        raise BadOperandError


def named(opcode: int, arg: Operands) -> dict[str, int]:
    """Operands by name, as unbounded Python integers, so that no check can overflow."""
    return dict(zip(isa.OPCODE_ARGS[opcode], (int(v) for v in arg), strict=False))


def element_dtype(element: int) -> np.dtype[np.signedinteger]:
    """Type of element code 0..2."""
    require(element in range(len(ELEMENT_TYPES)))
    return ELEMENT_TYPES[element]


def span(abuf: Bytes, address: int, count: int, element: int) -> npt.NDArray[np.signedinteger]:
    """View of `count` >= 1 aligned elements of ABUF."""
    dtype = element_dtype(element)
    end = address + count * dtype.itemsize
    require(count >= 1 and address >= 0 and address % dtype.itemsize == 0 and end <= abuf.size)
    return abuf[address:end].view(dtype)


def rows_of(
    abuf: Bytes, address: int, count: int, stride: int, columns: int, element: int, least: int
) -> list[npt.NDArray[np.signedinteger]]:
    """Views of `columns` spans, `stride` >= `least` bytes apart (not looked at for one column)."""
    require(1 <= columns <= MAX_COUNT)
    if columns > 1:
        require(least <= stride <= abuf.size)
    span(abuf, address + (columns - 1) * stride, count, element)  # the last one, before the list
    return [span(abuf, address + m * stride, count, element) for m in range(columns)]


def check_scale(multiplier: int, shift: int) -> None:
    require(0 <= multiplier < 2**31 and 0 <= shift <= 62)


def check_point(zero_point: int, element: int) -> None:
    limits = np.iinfo(element_dtype(element))
    require(int(limits.min) <= zero_point <= int(limits.max))


def write_result(
    view: npt.NDArray[np.signedinteger], values: Integers, zero_point: int, flags: int
) -> None:
    """Write values, saturated to the view's type; with ReLU at least the zero point."""
    floored = np.maximum(values, zero_point) if flags & isa.FLAG_RELU else values
    saturate = {1: arith.sat8, 2: arith.sat16, 4: arith.sat32}[view.itemsize]
    view[...] = saturate(floored)
