"""Effects of the VECTOR commands after SOFTMAX, one call per command."""

from __future__ import annotations

import numpy as np

from azsim_kernels.execute import execute_vector
from azsim_kernels.execute_operands import Accumulators
from azsim_kernels.execute_pack import pack_matrix
from azsim_kernels.isa import DONE, PACK
from azsim_kernels.machine_tiles import cover_packed
from azsim_kernels.machine_types import Ints, Records, Storage


def apply_more(
    opcode: int,
    arg: Ints,
    slots: Records,
    slot_weights: int,
    storage: Storage,
    accumulators: Accumulators,
) -> int:
    """Let one command take effect; return DONE, or BAD_OPERAND with nothing changed."""
    if opcode != PACK:
        return execute_vector(opcode, arg, storage.abuf, accumulators)
    number = int(arg[0])
    held = np.empty(slot_weights, np.int8)
    status = int(pack_matrix(arg, held, storage.abuf))
    if status == DONE:
        count = int(arg[2] * arg[3])
        cover_packed(slots, number, count, slot_weights, storage)
        first = number * slot_weights
        storage.pool[first : first + count] = held[:count]
    return status
