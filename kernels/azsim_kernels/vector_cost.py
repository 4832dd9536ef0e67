"""Beats, bank conflicts and elements of a VECTOR command (section 8 of docs/timing_model.md).

Plain numpy over many beats of a command at once: it runs once per command, before any step. The
phases of each command stand in `azsim_kernels.vector_phases`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from azsim_kernels import isa
from azsim_kernels.machine_types import Ints
from azsim_kernels.vector_phases import Phase, vector_phases

CHUNK_BEATS = 1 << 18  # beats looked at together, so that no command fills the host's memory
PERIODS = ("b_period", "a_period", "cond_period")
TYPES = ("src_type", "a_type", "b_type", "dst_type")
WINDOW = ("channels", "out_h", "out_w", "kernel_h", "kernel_w")
EXTENTS = {
    isa.RESCALE: ("columns", "rows"),
    isa.COPY: ("shape0", "shape1", "shape2", "shape3"),
    isa.LSTM_CELL: ("hidden",),
    isa.SOFTMAX: ("rows", "columns"),
    isa.REDUCE: WINDOW,
    isa.ARGREDUCE: ("rows", "columns", "k"),
    isa.NORM: ("rows", "columns"),
    isa.LOG_SOFTMAX: ("rows", "columns"),
    isa.DEPTHWISE: WINDOW,
    isa.PACK: ("rows", "columns"),
    isa.GRU_CELL: ("hidden",),
}  # all others: elements
MANY_PASSES = (isa.REDUCE, isa.ARGREDUCE, isa.DEPTHWISE)


class VectorCost(NamedTuple):
    """What a VECTOR command costs; all 0 if its counts or types are not legal."""

    elements: int
    beats: int
    conflict_cycles: int


def vector_cost(opcode: int, arg: Ints, params: isa.MachineParams, abuf_bytes: int) -> VectorCost:
    """Return the cost of the VECTOR command `opcode` with the operands `arg` (16,)."""
    operands = dict(zip(isa.OPCODE_ARGS[opcode], map(int, arg), strict=False))
    elements = 1
    for name in EXTENTS.get(opcode, ("elements",)):
        if operands[name] < 1:
            return VectorCost(0, 0, 0)
        elements *= operands[name]
    most = isa.MAX_WORK if opcode in MANY_PASSES else abuf_bytes
    if elements > most or not _legal(opcode, operands, params):
        return VectorCost(0, 0, 0)
    beats = conflicts = 0
    for phase in vector_phases(opcode, operands, params.vector_lanes):
        count = math.prod(phase.extents)
        beats += count
        for first in range(0, count, CHUNK_BEATS):
            conflicts += _conflicts(phase, range(first, min(count, first + CHUNK_BEATS)), params)
    return VectorCost(elements, beats, conflicts)


def _legal(opcode: int, operands: dict[str, int], params: isa.MachineParams) -> bool:
    """Are the element types known, the periods at least 1, and a slot there that is big enough?"""
    types = [operands[name] for name in TYPES if name in operands]
    if not set(types) <= {isa.INT8, isa.INT16, isa.INT32}:
        return False
    if opcode == isa.PACK:
        slot, weights = operands["slot"], operands["rows"] * operands["columns"]
        return 0 <= slot < params.tile_slots and weights <= params.slot_weights
    return all(operands.get(name, 1) >= 1 for name in PERIODS)


def _conflicts(phase: Phase, beats: range, params: isa.MachineParams) -> int:
    """Return the cycles by which these beats of a phase exceed one."""
    index = np.unravel_index(np.arange(beats.start, beats.stop), phase.extents)
    streams = phase.streams(index)
    banks = [
        np.broadcast_to(s // params.abuf_bank_bytes % params.abuf_banks, len(beats))
        for s in streams
    ]
    busiest = np.zeros(len(beats), np.int64)
    for bank in banks:
        same = np.zeros(len(beats), np.int64)
        for other in banks:
            same += bank == other
        np.maximum(busiest, same, out=busiest)
    return int((-(-busiest // params.abuf_ports_per_bank) - 1).sum())
