"""Beats, bank conflicts and elements of a VECTOR command (section 8 of docs/timing_model.md).

Plain numpy over all beats of a command at once: it runs once per command, before any step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from azsim_kernels import isa
from azsim_kernels.machine_types import Ints


class VectorCost(NamedTuple):
    """What a VECTOR command costs; all 0 if its counts or types are not legal."""

    elements: int
    beats: int
    conflict_cycles: int


def vector_cost(opcode: int, arg: Ints, params: isa.MachineParams, abuf_bytes: int) -> VectorCost:
    """Return the cost of the VECTOR command `opcode` with the operands `arg` (16,)."""
    operands = dict(zip(isa.OPCODE_ARGS[opcode], map(int, arg), strict=False))
    shape = _shape(opcode, operands)
    elements = 1
    for extent in shape:
        if extent < 1:
            return VectorCost(0, 0, 0)
        elements *= extent
    if elements > abuf_bytes or not _legal(operands):
        return VectorCost(0, 0, 0)
    outer = np.indices(shape[:3]).reshape(3, -1)
    inner = np.arange(0, shape[3], params.vector_lanes)
    beats = outer.shape[1] * inner.size
    index = [np.repeat(axis, inner.size) for axis in outer]
    index.append(np.tile(inner, outer.shape[1]))
    streams = np.stack([np.broadcast_to(s, beats) for s in _streams(opcode, operands, index)])
    return VectorCost(elements, beats, _conflicts(streams, params))


def _legal(operands: dict[str, int]) -> bool:
    """Are the element types known and the period of b at least 1?"""
    types = [operands[n] for n in ("src_type", "a_type", "b_type", "dst_type") if n in operands]
    return set(types) <= {isa.INT8, isa.INT16, isa.INT32} and operands.get("b_period", 1) >= 1


def _shape(opcode: int, operands: dict[str, int]) -> tuple[int, int, int, int]:
    """Return the extents of an operation; beats run along the last one."""
    if opcode == isa.COPY:
        return tuple(operands[f"shape{d}"] for d in range(4))  # type: ignore[return-value]
    if opcode == isa.RESCALE:
        return 1, 1, operands["columns"], operands["rows"]
    if opcode == isa.SOFTMAX:
        return 1, 1, operands["rows"], operands["columns"]
    return 1, 1, 1, operands["hidden" if opcode == isa.LSTM_CELL else "elements"]


def _streams(opcode: int, operands: dict[str, int], index: list[Ints]) -> list[Ints]:
    """Return the byte address of each stream of every beat; `index` holds the beats' places."""
    o, m, i = operands, index[2], index[3]
    if opcode == isa.COPY:
        return [
            o[side] + sum(index[d] * o[f"{side}_stride{d}"] for d in range(4))  # type: ignore[misc]
            for side in ("src", "dst")
        ]
    if opcode == isa.RESCALE:
        return _rescale_streams(o, m, i)
    if opcode == isa.SOFTMAX:
        offset = m * o["columns"] + i
        return [o["src"] + offset, o["dst"] + offset]
    if opcode == isa.LSTM_CELL:
        gates = [o["gates"] + 2 * (k * o["hidden"] + i) for k in range(4)]
        return [*gates, o["c_in"] + 2 * i, o["c_out"] + 2 * i, o["h_out"] + i]
    if opcode in (isa.ADD, isa.MUL):
        j = i % o["b_period"]
        operand_b = o["b"] + (j << o["b_type"])
        return [o["a"] + (i << o["a_type"]), operand_b, o["dst"] + (i << o["dst_type"])]
    return [o["src"] + (i << o["src_type"]), o["dst"] + (i << o["dst_type"])]  # REQUANT, LUT


def _rescale_streams(o: dict[str, int], m: Ints, i: Ints) -> list[Ints]:
    parameters, rows = o["param_address"], o["rows"]
    streams = [parameters + 4 * i, parameters + 4 * rows + 4 * i, parameters + 8 * rows + i]
    streams.append(o["dst"] + m * o["dst_stride_bytes"] + (i << o["dst_type"]))
    if o["flags"] & isa.FLAG_ADDEND:
        streams.append(o["addend"] + m * o["addend_stride_bytes"] + 4 * i)
    return streams


def _conflicts(streams: Ints, params: isa.MachineParams) -> int:
    """Return the cycles by which beats at these addresses (streams, beats) exceed one."""
    banks = streams // params.abuf_bank_bytes % params.abuf_banks
    busiest = np.zeros(banks.shape[1], np.int64)
    for bank in banks:
        np.maximum(busiest, (banks == bank).sum(axis=0), out=busiest)
    return int((-(-busiest // params.abuf_ports_per_bank) - 1).sum())
