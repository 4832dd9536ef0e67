"""What a command does to the memories when it is free, and what it counts."""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.execute import execute_vector, mac_accumulate
from azsim_kernels.isa import (
    BAD_OPERAND,
    BAD_TILE,
    DONE,
    FETCH,
    GATHER,
    LOAD,
    PRODUCT,
    RAW,
    STORE,
    TABLE,
    TILE,
)
from azsim_kernels.machine_tiles import fill_slot, slot_weights_at
from azsim_kernels.machine_types import (
    COUNT_BEATS,
    COUNT_CONFLICTS,
    COUNT_ELEMENTS,
    COUNT_MAC_DONE,
    COUNT_MAC_ITEMS,
    COUNT_MAC_SKIPPED,
    COUNT_UNITS,
    COUNTS_PER_UNIT,
    VECTOR_CLASS,
    Blocks,
    Ints,
    Plan,
    Records,
    Storage,
)

# How much of the effects is wanted.
FULL = 0
TIMING = 1  # no result is needed, only what times depend on: tiles, and indices loaded from DRAM


@kernel
def _move(opcode: int, arg: Ints, blocks: Blocks, storage: Storage) -> None:
    """LOAD, STORE and GATHER."""
    if opcode == LOAD:
        storage.abuf[arg[1] : arg[1] + arg[2]] = storage.dram[arg[0] : arg[0] + arg[2]]
    elif opcode == STORE:
        storage.dram[arg[0] : arg[0] + arg[2]] = storage.abuf[arg[1] : arg[1] + arg[2]]
    else:
        size = arg[2]
        for i in range(arg[4]):
            at = arg[0] + blocks.rows[i] * size
            to = arg[1] + i * size
            storage.abuf[to : to + size] = storage.dram[at : at + size]


@kernel
def _product(params: Records, planned: Records, arg: Ints, blocks: Blocks, storage: Storage) -> int:
    place, size = slot_weights_at(blocks, arg[0], arg[1] * arg[2], params["slot_weights"], storage)
    weights = storage.pool[place : place + size]
    return mac_accumulate(arg, weights, storage.abuf, storage.accumulators)


@kernel
def take_effect(
    params: Records, plan: Plan, blocks: Blocks, storage: Storage, command: int, wanted: int
) -> tuple[int, int]:
    """Write the results of `command`; return (status, code)."""
    planned = plan.commands[command]
    arg = plan.args[command]
    opcode = planned["opcode"]
    if opcode == FETCH:
        return DONE, 0
    if opcode in (TILE, RAW, TABLE):
        unit = blocks.units[planned["unit"]]
        if unit["status"] != 0:
            return BAD_TILE, unit["status"]
        if opcode != TABLE:
            fill_slot(blocks.slots, arg[0], params["slot_weights"], unit, storage)
        return DONE, 0
    if opcode in (LOAD, STORE, GATHER):
        if wanted == FULL or opcode != STORE:
            _move(opcode, arg, blocks, storage)
        return DONE, 0
    if wanted != FULL:
        return DONE, 0
    if opcode == PRODUCT:
        status = _product(params, planned, arg, blocks, storage)
    else:
        status = execute_vector(opcode, arg, storage.abuf, storage.accumulators)
    return (DONE, 0) if status == DONE else (BAD_OPERAND, 0)


@kernel
def count_command(planned: Records, arg: Ints, counters: Ints) -> None:
    """Count what `command` did."""
    opcode = planned["opcode"]
    if opcode in (TILE, RAW):
        counters[COUNT_UNITS + COUNTS_PER_UNIT * planned["unit"] + 2] += 1
    elif opcode == PRODUCT:
        columns = arg[4]
        done = planned["mac_done"]
        counters[COUNT_MAC_DONE] += columns * done
        counters[COUNT_MAC_SKIPPED] += columns * (arg[1] * arg[2] - done)
        counters[COUNT_MAC_ITEMS] += columns * planned["mac_items"]
    elif opcode > PRODUCT:
        kind = VECTOR_CLASS[opcode]
        counters[COUNT_ELEMENTS + kind] += planned["elements"]
        counters[COUNT_BEATS + kind] += planned["beats"]
        counters[COUNT_CONFLICTS] += planned["conflicts"]
