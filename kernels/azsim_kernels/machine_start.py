"""Starting a command: its operands are checked, its end becomes known or its engine goes to work.

Section 11 of docs/timing_model.md says what a bad operand is. Everything here is called once per
command; what a command needs is passed in pieces, since each array passed costs time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.isa import BAD_INDEX, BAD_OPERAND, DONE, GATHER, STORE, TABLE
from azsim_kernels.machine_decode import advance_decoder, end_tile
from azsim_kernels.machine_dma import next_row
from azsim_kernels.machine_tiles import show_tile
from azsim_kernels.machine_types import Ints, Records, Schedule
from azsim_kernels.tile_format import GROUP_WEIGHTS, SLOTS, WINDOW_BITS


@kernel
def inside(address: int, size: int, end: int) -> bool:
    """Does [address, address + size) lie in [0, end)?"""
    return address >= 0 and size >= 0 and address <= end and size <= end - address


@kernel
def deliver_words(
    params: Records, core: Records, commands: Records, order: Ints, schedule: Schedule, number: int
) -> None:
    """Advance the decoder of unit `number` as far as its words and commands allow."""
    if advance_decoder(core, number, schedule, WINDOW_BITS // params["port_bits"]):
        close_tile(params, core, commands, order, schedule, number)


@kernel
def close_tile(
    params: Records, core: Records, commands: Records, order: Ints, schedule: Schedule, number: int
) -> None:
    """Note the end of the DECODE command whose last beat has been timed, and let the window take
    the words of the next tile.
    """
    unit = core["units"][number]
    end_tile(unit)
    free = unit["last_fire"] + 1 + params["decoder_pipeline_cycles"]
    core["engines"][params["units"] + 1 + number]["free_at"] = free
    core["next_free"] = min(core["next_free"], free)
    if unit["tile"] < unit["known"]:
        fetch = order[core["engines"][number]["first"] + unit["tile"]]
        unit["words"] = commands[fetch]["words"]
        advance_decoder(core, number, schedule, WINDOW_BITS // params["port_bits"])


@kernel
def fail(core: Records, command: int, status: int, code: int) -> int:
    """Note which command ends the step, and why; return `status`."""
    core["error_command"] = command
    core["error_code"] = code
    return status


@kernel
def _ready_tile(core: Records, planned: Records, tiles: Records) -> None:
    """Let the decoder fire the beats of the tile of a DECODE (or FETCH) command from now on, or
    once the caller has prepared it.
    """
    unit = core["units"][planned["unit"]]
    tile = tiles[planned["tile"]]
    if tile["valid"] == 1:
        show_tile(tile, unit)
        unit["ready"] = 1
    else:
        unit["wanting"] = planned["tile"] + 1
        core["tiles"] += 1


@kernel
def start_fetch(params: Records, core: Records, planned: Records, tiles: Records) -> bool:
    """Start a FETCH; return whether its operands are good."""
    arg = planned["arg"]
    address, size, source = arg[0], arg[1], arg[2]
    if size <= 0 or size % 8 != 0 or source < 0 or source > 1:
        return False
    if not inside(address, size, params["store_size"] if source == 1 else params["dram_size"]):
        return False
    channel = core["channels"][planned["unit"]]
    channel["begin"] = address
    channel["at"] = address
    channel["end"] = address + size
    burst = params["dma_w_burst_bytes"]
    channel["border"] = (address // burst + 1) * burst
    channel["source"] = source
    unit = core["units"][planned["unit"]]
    if unit["tile"] == unit["known"]:
        unit["words"] = planned["words"]
        if unit["running"] == unit["known"]:  # its DECODE command has started already
            _ready_tile(core, planned, tiles)
    unit["known"] += 1
    return True


@kernel
def start_decode(params: Records, core: Records, planned: Records, tiles: Records) -> bool:
    """Start a TILE, RAW or TABLE; return whether its operands are good."""
    slot, groups = planned["arg"][0], planned["arg"][1]
    if planned["opcode"] == TABLE:
        if slot < 0 or slot >= SLOTS:
            return False
    else:
        if slot < 0 or slot >= params["tile_slots"]:
            return False
        if groups < 1 or groups > params["slot_weights"] // GROUP_WEIGHTS:
            return False
    unit = core["units"][planned["unit"]]
    unit["running"] += 1
    unit["start"] = core["now"]
    unit["last_fire"] = core["now"] - 1
    unit["beats"] = 0
    unit["extra"] = 0
    unit["run_words"] = 0
    if unit["running"] < unit["known"]:
        _ready_tile(core, planned, tiles)
    return True


@kernel
def start_dma_a(
    params: Records, core: Records, planned: Records, abuf: NDArray[np.uint8], rows: Ints
) -> int:
    """Start a LOAD or STORE (one row, the whole range) or a GATHER (a row per index); return DONE,
    or why it failed: then the error's code is noted.
    """
    arg = planned["arg"]
    dma = core["dma_a"][0]
    if planned["opcode"] == GATHER:
        status = _read_indices(core, planned, rows, abuf, params["dram_size"])
        if status != DONE:
            return status
        dma["rows"] = arg[4]
    else:
        in_dram = inside(arg[0], arg[2], params["dram_size"])
        if not in_dram or not inside(arg[1], arg[2], params["abuf_size"]):
            return BAD_OPERAND
        rows[0] = 0
        dma["rows"] = 1
    dma["table"] = arg[0]
    dma["row_bytes"] = arg[2]
    dma["writes"] = 1 if planned["opcode"] == STORE else 0
    dma["row"] = 0
    dma["at"] = 0
    dma["end"] = 0
    next_row(dma, rows, params["dma_a_burst_bytes"])
    if dma["at"] == dma["end"]:
        core["engines"][params["units"]]["free_at"] = core["now"] + 1
    return DONE


@kernel
def _read_indices(
    core: Records, planned: Records, rows: Ints, abuf: NDArray[np.uint8], dram_size: int
) -> int:
    """Check a GATHER and read its row numbers to `rows`; return DONE or why it failed."""
    arg = planned["arg"]
    row_bytes, index_address, count, table_rows = arg[2], arg[3], arg[4], arg[5]
    if min(row_bytes, count, table_rows) < 0 or index_address % 4 != 0:
        return BAD_OPERAND
    if row_bytes > 0:
        if table_rows > dram_size // row_bytes or count > abuf.size // row_bytes:
            return BAD_OPERAND
    if not inside(arg[0], table_rows * row_bytes, dram_size):
        return BAD_OPERAND
    if not inside(arg[1], count * row_bytes, abuf.size) or count > abuf.size // 4:
        return BAD_OPERAND
    if not inside(index_address, 4 * count, abuf.size):
        return BAD_OPERAND
    for i in range(count):
        row = 0
        for byte in range(4):
            row |= int(abuf[index_address + 4 * i + byte]) << (8 * byte)
        if row >= table_rows:  # a negative index is above 2^31 here
            core["error_code"] = i
            return BAD_INDEX
        rows[i] = row
    return DONE
