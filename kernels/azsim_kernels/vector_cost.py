"""Beats, bank conflicts and elements of a VECTOR command (section 8 of docs/timing_model.md)."""

from __future__ import annotations

import numpy as np

from azsim_kernels._jit import kernel
from azsim_kernels.isa import (
    ADD,
    COPY,
    FLAG_ADDEND,
    INT8,
    INT32,
    LSTM_CELL,
    LUT,
    MUL,
    REQUANT,
    RESCALE,
    SOFTMAX,
)
from azsim_kernels.machine_types import Ints, Records

MAX_STREAMS = 7  # LSTM_CELL


@kernel
def _types_fit(opcode: int, arg: Ints) -> bool:
    """Are the element types of the operands INT8, INT16 or INT32?"""
    low = INT8
    high = INT8
    if opcode == RESCALE:
        low = high = arg[7]
    elif opcode == REQUANT:
        low, high = min(arg[2], arg[4]), max(arg[2], arg[4])
    elif opcode == LUT:
        low, high = min(arg[1], arg[4]), max(arg[1], arg[4])
    elif opcode in (ADD, MUL):
        low, high = min(arg[1], arg[3], arg[5]), max(arg[1], arg[3], arg[5])
    return low >= INT8 and high <= INT32


@kernel
def _shape(opcode: int, arg: Ints, shape: Ints) -> None:
    """Write the four extents of an operation to `shape` (4,): beats run along the last one."""
    shape[:] = 1
    if opcode == RESCALE:
        shape[2], shape[3] = arg[2], arg[0]
    elif opcode == COPY:
        shape[:] = arg[3:7]
    elif opcode == REQUANT:
        shape[3] = arg[1]
    elif opcode in (ADD, MUL):
        shape[3] = arg[6]
    elif opcode == LUT:
        shape[3] = arg[2]
    elif opcode == LSTM_CELL:
        shape[3] = arg[4]
    elif opcode == SOFTMAX:
        shape[2], shape[3] = arg[1], arg[2]


@kernel
def vector_elements(opcode: int, arg: Ints, abuf_bytes: int, shape: Ints) -> int:
    """Return the elements of an operation and their extents in `shape` (4,), 0 if a count is
    below 1, the elements are more than `abuf_bytes` or a type is unknown.
    """
    _shape(opcode, arg, shape)
    elements = 1
    for d in range(4):
        if shape[d] < 1 or shape[d] > abuf_bytes:
            return 0
        elements *= shape[d]
        if elements > abuf_bytes:
            return 0
    if opcode in (ADD, MUL) and arg[14] < 1:
        return 0
    return elements if _types_fit(opcode, arg) else 0


@kernel
def _copy_addresses(arg: Ints, index: Ints, out: Ints) -> int:
    """COPY: first source and destination byte of the beat at `index` (4,)."""
    out[0] = arg[0]
    out[1] = arg[1]
    for d in range(4):
        out[0] += index[d] * arg[7 + d]
        out[1] += index[d] * arg[11 + d]
    return 2


@kernel
def _rescale_addresses(arg: Ints, m: int, i: int, out: Ints) -> int:
    """RESCALE: parameters, destination and addend of element `i` of column `m`."""
    rows, parameters = arg[0], arg[4]
    out[0] = parameters + 4 * i
    out[1] = parameters + 4 * rows + 4 * i
    out[2] = parameters + 8 * rows + i
    out[3] = arg[5] + m * arg[6] + (i << arg[7])
    if arg[9] & FLAG_ADDEND == 0:
        return 4
    out[4] = arg[10] + m * arg[11] + 4 * i
    return 5


@kernel
def stream_addresses(opcode: int, arg: Ints, index: Ints, out: Ints) -> int:
    """Write the byte address of each stream of the beat at `index` (4,) to `out`; return how
    many there are.
    """
    m = index[2]
    i = index[3]
    if opcode == COPY:
        return _copy_addresses(arg, index, out)
    if opcode == RESCALE:
        return _rescale_addresses(arg, m, i, out)
    if opcode == REQUANT:
        out[0] = arg[0] + (i << arg[2])
        out[1] = arg[3] + (i << arg[4])
        return 2
    if opcode == LUT:
        out[0] = arg[0] + (i << arg[1])
        out[1] = arg[3] + (i << arg[4])
        return 2
    if opcode in (ADD, MUL):
        out[0] = arg[0] + (i << arg[1])
        out[1] = arg[2] + ((i % arg[14]) << arg[3])
        out[2] = arg[4] + (i << arg[5])
        return 3
    if opcode == LSTM_CELL:
        for k in range(4):
            out[k] = arg[0] + 2 * (k * arg[4] + i)
        out[4] = arg[1] + 2 * i
        out[5] = arg[2] + 2 * i
        out[6] = arg[3] + i
        return 7
    out[0] = arg[0] + m * arg[2] + i  # SOFTMAX
    out[1] = arg[3] + m * arg[2] + i
    return 2


@kernel
def beat_conflicts(addresses: Ints, bank_bytes: int, banks: int, ports: int) -> int:
    """Return the cycles by which a beat with accesses at `addresses` is longer than one."""
    busiest = 0
    for i in range(addresses.size):
        bank = addresses[i] // bank_bytes % banks
        same = 0
        for j in range(addresses.size):
            same += addresses[j] // bank_bytes % banks == bank
        busiest = max(busiest, same)
    return (busiest + ports - 1) // ports - 1


@kernel
def vector_cost(opcode: int, arg: Ints, params: Records, abuf_bytes: int) -> tuple[int, int, int]:
    """Return (beats, conflict cycles, elements) of a VECTOR command, all 0 if its counts or
    types are not legal. `params` is one PARAMS record.
    """
    shape = np.empty(4, np.int64)
    elements = vector_elements(opcode, arg, abuf_bytes, shape)
    if elements == 0:
        return 0, 0, 0
    lanes = params["vector_lanes"]
    index = np.zeros(4, np.int64)
    addresses = np.empty(MAX_STREAMS, np.int64)
    beats = 0
    conflicts = 0
    for row in range(shape[0] * shape[1] * shape[2]):
        index[0] = row // shape[2] // shape[1]
        index[1] = row // shape[2] % shape[1]
        index[2] = row % shape[2]
        for i in range(0, shape[3], lanes):
            index[3] = i
            streams = stream_addresses(opcode, arg, index, addresses)
            conflicts += beat_conflicts(
                addresses[:streams],
                params["abuf_bank_bytes"],
                params["abuf_banks"],
                params["abuf_ports_per_bank"],
            )
            beats += 1
    return beats, conflicts, elements
