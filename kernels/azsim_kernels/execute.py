"""What MAC and VECTOR commands do to ABUF, the accumulators and the slots.

docs/arithmetic.md is the specification; no timing here. `arg` is the int64 (16,) operand vector of
a command as named in `azsim_kernels.isa`; `abuf` is uint8 (bytes,), `accumulators` int32 (lanes,
accumulators per lane). All operands are checked before anything is written: a command that reads or
writes outside its memories, is misaligned or holds an impossible number returns BAD_OPERAND and
changes nothing. All operands are read before the result is written, so overlaps are harmless. The
numpy twins stand in `azsim_kernels.reference.execute`.

The commands fall into families, each of kernels of its own, so that only those are compiled that a
program uses.
"""

from __future__ import annotations

from collections.abc import Callable

from azsim_kernels import isa
from azsim_kernels.execute_basic import execute_basic
from azsim_kernels.execute_gru import execute_gru_cell
from azsim_kernels.execute_mac import mac_accumulate
from azsim_kernels.execute_operands import Accumulators, Bytes, Operands, Weights
from azsim_kernels.execute_pack import pack_matrix
from azsim_kernels.execute_rows import (
    execute_arg_reduce,
    execute_log_softmax,
    execute_norm,
)
from azsim_kernels.execute_tables import execute_extreme, execute_lut8, execute_select
from azsim_kernels.execute_windows import execute_depthwise, execute_reduce

__all__ = [
    "Accumulators",
    "Bytes",
    "Operands",
    "Weights",
    "execute_vector",
    "mac_accumulate",
    "pack_matrix",
]

FAMILIES: dict[int, Callable[[Operands, Bytes], int]] = {
    isa.LUT8: execute_lut8,
    isa.EXTREME: execute_extreme,
    isa.SELECT: execute_select,
    isa.REDUCE: execute_reduce,
    isa.ARGREDUCE: execute_arg_reduce,
    isa.NORM: execute_norm,
    isa.LOG_SOFTMAX: execute_log_softmax,
    isa.DEPTHWISE: execute_depthwise,
    isa.GRU_CELL: execute_gru_cell,
}


def execute_vector(opcode: int, arg: Operands, abuf: Bytes, accumulators: Accumulators) -> int:
    """Execute one VECTOR command other than PACK (`pack_matrix` does that); return DONE, or
    BAD_OPERAND with nothing changed.
    """
    if opcode in FAMILIES:
        return int(FAMILIES[opcode](arg, abuf))
    return int(execute_basic(opcode, arg, abuf, accumulators))
