"""Starting a command: its operands are checked, its end becomes known or its engine goes to work.

Section 11 of docs/timing_model.md says what a bad operand is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.isa import (
    BAD_INDEX,
    BAD_OPERAND,
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
from azsim_kernels.machine_dma import deliver_words, next_row
from azsim_kernels.machine_product import end_product, inside, start_product, time_product
from azsim_kernels.machine_tiles import capture_tile, show_tile
from azsim_kernels.machine_types import Ints, Plan, Records, Rings, Scratch, Storage
from azsim_kernels.tile_format import GROUP_WEIGHTS, SLOTS


@kernel
def _ready_tile(plan: Plan, core: Records, tiles: Records, command: int) -> None:
    """Let the decoder fire the beats of the tile of a DECODE (or FETCH) command from now on, or
    once the caller has prepared it.
    """
    planned = plan.commands[command]
    unit = core["units"][planned["unit"]]
    tile = tiles[planned["tile"]]
    if tile["valid"] == 1:
        show_tile(tile, unit)
        unit["ready"] = 1
    else:
        unit["wanting"] = planned["tile"] + 1
        core["tiles"] += 1


@kernel
def _start_fetch(
    params: Records, plan: Plan, core: Records, rings: Rings, storage: Storage, command: int
) -> tuple[int, int]:
    arg = plan.args[command]
    address, size, source = arg[0], arg[1], arg[2]
    if size <= 0 or size % 8 != 0 or source < 0 or source > 1:
        return BAD_OPERAND, 0
    if not inside(address, size, storage.store.size if source == 1 else storage.dram.size):
        return BAD_OPERAND, 0
    planned = plan.commands[command]
    channel = core["channels"][planned["unit"]]
    channel["begin"] = address
    channel["at"] = address
    channel["end"] = address + size
    burst = params["dma_w_burst_bytes"]
    channel["border"] = (address // burst + 1) * burst
    channel["source"] = source
    unit = core["units"][planned["unit"]]
    if planned["tile"] >= 0:
        capture_tile(rings.tiles[planned["tile"]], storage)
    if unit["tile"] == unit["known"]:
        unit["words"] = planned["words"]
        if unit["running"] == unit["known"]:  # its DECODE command has started already
            _ready_tile(plan, core, rings.tiles, command)
    unit["known"] += 1
    return DONE, 0


@kernel
def _start_dma_a(
    params: Records, plan: Plan, core: Records, rings: Rings, storage: Storage, command: int
) -> tuple[int, int]:
    """LOAD and STORE: one row of the whole range; GATHER: a row per index."""
    arg = plan.args[command]
    opcode = plan.commands[command]["opcode"]
    dma = core["dma_a"][0]
    if opcode == GATHER:
        status, code = _read_indices(arg, rings.rows, storage.abuf, storage.dram.size)
        if status != DONE:
            return status, code
        dma["rows"] = arg[4]
    else:
        in_dram = inside(arg[0], arg[2], storage.dram.size)
        if not in_dram or not inside(arg[1], arg[2], storage.abuf.size):
            return BAD_OPERAND, 0
        rings.rows[0] = 0
        dma["rows"] = 1
    dma["table"] = arg[0]
    dma["row_bytes"] = arg[2]
    dma["writes"] = 1 if opcode == STORE else 0
    dma["row"] = 0
    dma["at"] = 0
    dma["end"] = 0
    next_row(dma, rings.rows, params["dma_a_burst_bytes"])
    if dma["at"] == dma["end"]:
        core["engines"][params["units"]]["free_at"] = core["now"] + 1
    return DONE, 0


@kernel
def _read_indices(
    arg: Ints, rows: Ints, abuf: NDArray[np.uint8], dram_bytes: int
) -> tuple[int, int]:
    """Check a GATHER and read its row numbers to `rows`."""
    row_bytes, index_address, count, table_rows = arg[2], arg[3], arg[4], arg[5]
    abuf_bytes = abuf.size
    if min(row_bytes, count, table_rows) < 0 or index_address % 4 != 0:
        return BAD_OPERAND, 0
    if row_bytes > 0:
        if table_rows > dram_bytes // row_bytes or count > abuf_bytes // row_bytes:
            return BAD_OPERAND, 0
    if not inside(arg[0], table_rows * row_bytes, dram_bytes):
        return BAD_OPERAND, 0
    if not inside(arg[1], count * row_bytes, abuf_bytes) or count > abuf_bytes // 4:
        return BAD_OPERAND, 0
    if not inside(index_address, 4 * count, abuf_bytes):
        return BAD_OPERAND, 0
    indices = abuf[index_address : index_address + 4 * count].view(np.int32)
    for i in range(count):
        if indices[i] < 0 or indices[i] >= table_rows:
            return BAD_INDEX, i
        rows[i] = indices[i]
    return DONE, 0


@kernel
def _start_decode(
    params: Records, plan: Plan, core: Records, rings: Rings, storage: Storage, command: int
) -> tuple[int, int]:
    planned = plan.commands[command]
    arg = plan.args[command]
    if planned["opcode"] == TABLE:
        if arg[0] < 0 or arg[0] >= SLOTS:
            return BAD_OPERAND, 0
    else:
        if arg[0] < 0 or arg[0] >= params["tile_slots"]:
            return BAD_OPERAND, 0
        if arg[1] < 1 or arg[1] > params["slot_weights"] // GROUP_WEIGHTS:
            return BAD_OPERAND, 0
    unit = core["units"][planned["unit"]]
    unit["running"] += 1
    unit["start"] = core["now"]
    unit["last_fire"] = core["now"] - 1
    unit["beats"] = 0
    unit["extra"] = 0
    unit["run_words"] = 0
    if unit["running"] < unit["known"]:
        _ready_tile(plan, core, rings.tiles, command)
        if unit["ready"] == 1:
            deliver_words(params, plan, core, rings, storage, planned["unit"])
    return DONE, 0


@kernel
def resume_starts(
    params: Records, plan: Plan, core: Records, rings: Rings, storage: Storage, scratch: Scratch
) -> None:
    """Go on after phase 3 with what had to wait for the caller: prepared tiles, effects."""
    if core["product"] >= 0:
        command = core["product"]
        time_product(params, plan, core, rings.slots, storage, scratch, command)
        plan.commands[command]["mac_version"] = -1
        end_product(params, plan, core, command)
        core["product"] = -1
    for number in range(params["units"]):
        unit = core["units"][number]
        if unit["wanting"] > 0:
            show_tile(rings.tiles[unit["wanting"] - 1], unit)
            unit["wanting"] = 0
            unit["ready"] = 1
            deliver_words(params, plan, core, rings, storage, number)
    core["tiles"] = 0


@kernel
def start_command(
    params: Records,
    plan: Plan,
    core: Records,
    rings: Rings,
    storage: Storage,
    scratch: Scratch,
    command: int,
) -> tuple[int, int]:
    """Start `command` now; return (status, code)."""
    planned = plan.commands[command]
    opcode = planned["opcode"]
    if opcode == FETCH:
        return _start_fetch(params, plan, core, rings, storage, command)
    if opcode in (TILE, RAW, TABLE):
        return _start_decode(params, plan, core, rings, storage, command)
    if opcode in (LOAD, STORE, GATHER):
        return _start_dma_a(params, plan, core, rings, storage, command)
    if opcode == PRODUCT:
        return start_product(params, plan, core, rings.slots, storage, scratch, command)
    if planned["fits"] == 0:
        return BAD_OPERAND, 0
    core["engines"][planned["engine"]]["free_at"] = core["now"] + planned["duration"]
    return DONE, 0
