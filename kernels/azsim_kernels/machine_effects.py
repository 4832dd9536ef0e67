"""What commands do to the memories when they are free."""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.execute_basic import execute_basic
from azsim_kernels.execute_mac import mac_accumulate
from azsim_kernels.execute_operands import Accumulators
from azsim_kernels.isa import DONE, LOAD, LUT8, PRODUCT, STORE, TABLE
from azsim_kernels.machine_tiles import fill_slot, slot_place
from azsim_kernels.machine_types import (
    FIRST_DECODE,
    FIRST_MOVE,
    LAST_DECODE,
    LAST_MOVE,
    Ints,
    Plan,
    Records,
    Storage,
)


@kernel
def _move(opcode: int, arg: Ints, rows: Ints, storage: Storage) -> None:
    """LOAD, STORE and GATHER."""
    if opcode == LOAD:
        storage.abuf[arg[1] : arg[1] + arg[2]] = storage.dram[arg[0] : arg[0] + arg[2]]
    elif opcode == STORE:
        storage.dram[arg[0] : arg[0] + arg[2]] = storage.abuf[arg[1] : arg[1] + arg[2]]
    else:
        size = arg[2]
        for i in range(arg[4]):
            at = arg[0] + rows[i] * size
            to = arg[1] + i * size
            storage.abuf[to : to + size] = storage.dram[at : at + size]


@kernel
def apply_effects(
    plan: Plan,
    order: Ints,
    tiles: Records,
    slots: Records,
    slot_weights: int,
    rows: Ints,
    storage: Storage,
    accumulators: Accumulators,
) -> int:
    """Let the commands take effect in `order`; return how many did: all, or those before the
    first one with a bad operand or of an opcode after SOFTMAX (`machine_more` does those, each
    with kernels of its own, so that this one stays quick to compile).

    slots  SLOT records to fill and read
    rows   row numbers of a GATHER in `order`, of which there may be one
    """
    for i in range(order.size):
        planned = plan.commands[order[i]]
        arg = plan.args[order[i]]
        opcode = planned["opcode"]
        status = DONE
        if FIRST_DECODE <= opcode <= LAST_DECODE and opcode != TABLE:
            tile = tiles[planned["tile"]]
            shown = (tile["pool"], 1, tile["size"], tile["version"])
            fill_slot(slots, arg[0], slot_weights, shown, storage)
        elif FIRST_MOVE <= opcode <= LAST_MOVE:
            _move(opcode, arg, rows, storage)
        elif opcode == PRODUCT:
            place, size = slot_place(slots, arg[0], arg[1] * arg[2], slot_weights, storage)
            weights = storage.pool[place : place + size]
            status = mac_accumulate(arg, weights, storage.abuf, accumulators)
        elif opcode >= LUT8:
            return i
        elif opcode > PRODUCT:
            status = execute_basic(opcode, arg, storage.abuf, accumulators)
        if status != DONE:
            return i
    return order.size
