"""Starting a command: its operands are checked, its end becomes known or its engine goes to work.

Section 11 of docs/timing_model.md says what a bad operand is.
"""

from __future__ import annotations

import numpy as np

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
    SKIP_ACTIVATION,
    SKIP_BOTH,
    SKIP_WEIGHT,
    STORE,
    TABLE,
    TILE,
)
from azsim_kernels.lanes import mark_other, tile_cycles
from azsim_kernels.machine_dma import deliver_words, next_row
from azsim_kernels.machine_tiles import capture_tile, prepare_tile, slot_weights_at
from azsim_kernels.machine_types import Blocks, Ints, Plan, Records, Scratch, Storage
from azsim_kernels.tile_format import GROUP_WEIGHTS, SLOTS


@kernel
def _inside(address: int, size: int, end: int) -> bool:
    """Does [address, address + size) lie in [0, end)?"""
    return address >= 0 and size >= 0 and address <= end and size <= end - address


@kernel
def _start_fetch(
    params: Records,
    plan: Plan,
    blocks: Blocks,
    storage: Storage,
    scratch: Scratch,
    command: int,
) -> tuple[int, int]:
    arg = plan.args[command]
    address, size, source = arg[0], arg[1], arg[2]
    if size <= 0 or size % 8 != 0 or source < 0 or source > 1:
        return BAD_OPERAND, 0
    if not _inside(address, size, storage.store.size if source == 1 else storage.dram.size):
        return BAD_OPERAND, 0
    planned = plan.commands[command]
    number = planned["unit"]
    channel = blocks.channels[number]
    channel["begin"] = address
    channel["at"] = address
    channel["end"] = address + size
    burst = params["dma_w_burst_bytes"]
    channel["border"] = (address // burst + 1) * burst
    channel["source"] = source
    unit = blocks.units[number]
    if planned["tile"] >= 0:
        capture_tile(blocks.tiles[planned["tile"]], storage)
    if unit["tile"] == unit["known"]:
        unit["words"] = planned["words"]
        if unit["running"] == unit["known"]:  # its DECODE command has started already
            tile = blocks.tiles[planned["tile"]]
            prepare_tile(tile, unit, params["port_bits"], blocks, storage, scratch)
            unit["ready"] = 1
    unit["known"] += 1
    return DONE, 0


@kernel
def _start_dma_a(
    params: Records, plan: Plan, blocks: Blocks, storage: Storage, command: int, now: int
) -> tuple[int, int]:
    """LOAD and STORE: one row of the whole range; GATHER: a row per index."""
    arg = plan.args[command]
    opcode = plan.commands[command]["opcode"]
    dma = blocks.dma_a[0]
    if opcode == GATHER:
        status, code = _read_indices(arg, blocks, storage)
        if status != DONE:
            return status, code
        dma["rows"] = arg[4]
    else:
        in_dram = _inside(arg[0], arg[2], storage.dram.size)
        if not in_dram or not _inside(arg[1], arg[2], storage.abuf.size):
            return BAD_OPERAND, 0
        blocks.rows[0] = 0
        dma["rows"] = 1
    dma["table"] = arg[0]
    dma["row_bytes"] = arg[2]
    dma["writes"] = 1 if opcode == STORE else 0
    dma["row"] = 0
    dma["at"] = 0
    dma["end"] = 0
    next_row(dma, blocks.rows, params["dma_a_burst_bytes"])
    if dma["at"] == dma["end"]:
        blocks.engines[params["units"]]["free_at"] = now + 1
    return DONE, 0


@kernel
def _read_indices(arg: Ints, blocks: Blocks, storage: Storage) -> tuple[int, int]:
    """Check a GATHER and read its row numbers."""
    row_bytes, index_address, count, table_rows = arg[2], arg[3], arg[4], arg[5]
    abuf_bytes = storage.abuf.size
    if min(row_bytes, count, table_rows) < 0 or index_address % 4 != 0:
        return BAD_OPERAND, 0
    if row_bytes > 0:
        if table_rows > storage.dram.size // row_bytes or count > abuf_bytes // row_bytes:
            return BAD_OPERAND, 0
    if not _inside(arg[0], table_rows * row_bytes, storage.dram.size):
        return BAD_OPERAND, 0
    if not _inside(arg[1], count * row_bytes, abuf_bytes) or count > abuf_bytes // 4:
        return BAD_OPERAND, 0
    if not _inside(index_address, 4 * count, abuf_bytes):
        return BAD_OPERAND, 0
    indices = storage.abuf[index_address : index_address + 4 * count].view(np.int32)
    for i in range(count):
        if indices[i] < 0 or indices[i] >= table_rows:
            return BAD_INDEX, i
        blocks.rows[i] = indices[i]
    return DONE, 0


@kernel
def _start_decode(
    params: Records,
    plan: Plan,
    blocks: Blocks,
    storage: Storage,
    scratch: Scratch,
    command: int,
    now: int,
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
    unit = blocks.units[planned["unit"]]
    unit["running"] += 1
    unit["start"] = now
    unit["last_fire"] = now - 1
    unit["beats"] = 0
    unit["extra"] = 0
    unit["run_words"] = 0
    if unit["running"] < unit["known"]:
        tile = blocks.tiles[planned["tile"]]
        prepare_tile(tile, unit, params["port_bits"], blocks, storage, scratch)
        unit["ready"] = 1
        deliver_words(params, plan, blocks, storage, planned["unit"], now)
    return DONE, 0


@kernel
def _product_fits(params: Records, arg: Ints, abuf_bytes: int) -> bool:
    """Check the operands of a PRODUCT."""
    rows, columns, m = arg[1], arg[2], arg[4]
    if min(rows, columns, m) < 1 or arg[9] < 1 or arg[9] > 8:
        return False
    if arg[0] < 0 or arg[0] >= params["tile_slots"]:
        return False
    if rows > params["slot_weights"] or columns > params["slot_weights"] // rows:
        return False
    per_lane = (rows + params["lanes"] - 1) // params["lanes"]
    depth = params["accumulators_per_lane"]
    if arg[6] < 0 or arg[6] > depth - per_lane:
        return False
    if not _inside(arg[3], columns, abuf_bytes):
        return False
    if m == 1:
        return True
    if arg[7] < per_lane or m - 1 > (depth - per_lane - arg[6]) // arg[7] or arg[5] < 0:
        return False
    return arg[5] == 0 or m - 1 <= (abuf_bytes - columns - arg[3]) // arg[5]


@kernel
def _start_product(
    params: Records,
    plan: Plan,
    blocks: Blocks,
    storage: Storage,
    scratch: Scratch,
    command: int,
    now: int,
) -> tuple[int, int]:
    planned = plan.commands[command]
    arg = plan.args[command]
    if not _product_fits(params, arg, storage.abuf.size):
        return BAD_OPERAND, 0
    skip = params["skip"]
    if arg[4] > 1 and skip == SKIP_ACTIVATION:
        skip = 0
    elif arg[4] > 1 and skip == SKIP_BOTH:
        skip = SKIP_WEIGHT
    slot = blocks.slots[arg[0]]
    uses_weights = skip in (SKIP_WEIGHT, SKIP_BOTH)
    version = slot["version"] if uses_weights else 0
    covered = not uses_weights or slot["covered"] >= arg[1] * arg[2]
    if not covered:
        blocks.clock[0]["uncovered"] = 1
    if skip >= SKIP_ACTIVATION or not covered or planned["mac_version"] != version:
        _time_product(params, planned, arg, skip, blocks, storage, scratch)
        planned["mac_version"] = version if covered and skip < SKIP_ACTIVATION else -1
    free = now + max(1, arg[4] * planned["mac_duration"] + params["fill_cycles"])
    blocks.engines[planned["engine"]]["free_at"] = free
    return DONE, 0


@kernel
def _time_product(
    params: Records,
    planned: Records,
    arg: Ints,
    skip: int,
    blocks: Blocks,
    storage: Storage,
    scratch: Scratch,
) -> None:
    """Set duration (without the fill), products and items of one activation column."""
    rows, columns = arg[1], arg[2]
    place = 0
    weights = storage.mask[:0]
    if skip in (SKIP_WEIGHT, SKIP_BOTH):
        place, _ = slot_weights_at(blocks, arg[0], rows * columns, params["slot_weights"], storage)
        weights = storage.mask[place >> 6 :]
    activations = scratch.activations[:0]
    if skip >= SKIP_ACTIVATION:
        activations = scratch.activations
        values = storage.abuf[arg[3] : arg[3] + columns].view(np.int8)
        mark_other(values, arg[10], activations)
    timing = (
        params["broadcast_interval_cycles"],
        params["queue_turnaround_cycles"],
        params["min_item_cycles"],
        params["macs_per_lane"] * params["products_per_mac"][arg[9] - 1],
    )
    cycles, done, items = tile_cycles(
        weights,
        activations,
        (rows, columns),
        (params["item_columns"], params["item_rows_per_lane"]),
        timing,
        scratch.lanes,
        scratch.queue,
    )
    planned["mac_duration"] = cycles
    planned["mac_done"] = done
    planned["mac_items"] = items


@kernel
def start_command(
    params: Records,
    plan: Plan,
    blocks: Blocks,
    storage: Storage,
    scratch: Scratch,
    command: int,
    now: int,
) -> tuple[int, int]:
    """Start `command` in cycle `now`; return (status, code)."""
    planned = plan.commands[command]
    opcode = planned["opcode"]
    if opcode == FETCH:
        return _start_fetch(params, plan, blocks, storage, scratch, command)
    if opcode in (TILE, RAW, TABLE):
        return _start_decode(params, plan, blocks, storage, scratch, command, now)
    if opcode in (LOAD, STORE, GATHER):
        return _start_dma_a(params, plan, blocks, storage, command, now)
    if opcode == PRODUCT:
        return _start_product(params, plan, blocks, storage, scratch, command, now)
    if planned["fits"] == 0:
        return BAD_OPERAND, 0
    blocks.engines[planned["engine"]]["free_at"] = now + planned["duration"]
    return DONE, 0
