"""Phase 1 of a cycle: commands that are free take effect and give their signals."""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.isa import (
    BAD_OPERAND,
    BAD_TILE,
    IDLE,
    PACK,
    PRODUCT,
    SEMAPHORE_OVERFLOW,
    STORE,
    TABLE,
)
from azsim_kernels.machine_spans import close_decoding, close_span
from azsim_kernels.machine_start import fail
from azsim_kernels.machine_tiles import PACKED, cover_packed, fill_slot, point_slot
from azsim_kernels.machine_types import (
    COUNT_BEATS,
    COUNT_CONFLICTS,
    COUNT_ELEMENTS,
    COUNT_MAC_DONE,
    COUNT_MAC_ITEMS,
    COUNT_MAC_SKIPPED,
    COUNT_UNITS,
    COUNTS_PER_UNIT,
    FAR,
    FIRST_DECODE,
    FIRST_MOVE,
    FIRST_VECTOR,
    FREE,
    LAST_DECODE,
    LAST_MOVE,
    ORDER,
    RUNNING,
    VECTOR_CLASS,
    WANTS,
    Ints,
    Records,
    Storage,
    Tables,
    typed,
)

_IDLE = typed(IDLE)


@kernel
def _give(core: Records, planned: Records, maximum: int) -> int:
    """Give the signals of a command; return the first semaphore above the maximum, else -1."""
    for k in range(planned["n_signal"]):
        semaphore = planned["signal"][k]
        core["semaphores"][0, semaphore] += planned["signal_count"][k]
        if core["semaphores"][0, semaphore] > maximum:
            return semaphore  # type: ignore[no-any-return]
    return -1


@kernel
def _asks_for(core: Records, opcode: int) -> bool:
    """Must the effects of a command be done before the step goes on?"""
    if FIRST_MOVE <= opcode <= LAST_MOVE and opcode != STORE:
        return core["ask_moves"] == 1  # type: ignore[no-any-return]
    return core["ask_results"] == 1 and (opcode == STORE or opcode >= PRODUCT)


@kernel
def _count_command(core: Records, planned: Records) -> None:
    """Count what a command did."""
    opcode = planned["opcode"]
    counters = core["counters"]
    if FIRST_DECODE <= opcode <= LAST_DECODE and opcode != TABLE:
        counters[COUNT_UNITS + COUNTS_PER_UNIT * planned["unit"] + 2] += 1
    elif opcode == PRODUCT:
        arg = planned["arg"]
        done = planned["mac_done"]
        counters[COUNT_MAC_DONE] += arg[4] * done
        counters[COUNT_MAC_SKIPPED] += arg[4] * (arg[1] * arg[2] - done)
        counters[COUNT_MAC_ITEMS] += arg[4] * planned["mac_items"]
    elif opcode > PRODUCT:
        kind = VECTOR_CLASS[opcode]
        counters[COUNT_ELEMENTS + kind] += planned["elements"]
        counters[COUNT_BEATS + kind] += planned["beats"]
        counters[COUNT_CONFLICTS] += planned["conflicts"]


@kernel
def _note_order(core: Records, times: Ints, command: int, opcode: int) -> None:
    """Note that a command took effect."""
    times[ORDER, core["effects"]] = command
    core["effects"] += 1
    moves = FIRST_MOVE <= opcode <= LAST_MOVE and opcode != STORE
    if moves or opcode >= FIRST_VECTOR:
        core["abuf_writes"] += 1


@kernel
def _take_effect(core: Records, planned: Records, command: int, slots: Records) -> int:
    """Begin phase 1 of a command that is free: return RUNNING, or WANTS if its effects must be
    done first, or why the step ends.
    """
    opcode = planned["opcode"]
    if command == core["failed"]:
        return fail(core, command, BAD_OPERAND, 0)
    if command != core["answered"] and _asks_for(core, opcode):
        core["asked"] = command
        return WANTS
    if FIRST_DECODE <= opcode <= LAST_DECODE:
        unit = core["units"][planned["unit"]]
        if unit["status"] != 0:
            return fail(core, command, BAD_TILE, unit["status"])
        if opcode != TABLE and core["fills"] == 0:
            slot = slots[planned["arg"][0]]
            point_slot(slot, unit["pool"], unit["size"], unit["version"])
    return RUNNING


@kernel
def _free_engine(
    params: Records, core: Records, planned: Records, command: int, times: Ints
) -> int:
    """End phase 1 of a command: its signals, its counts; its engine is free. Return RUNNING, or
    why the step ends.
    """
    _note_order(core, times, command, planned["opcode"])
    semaphore = _give(core, planned, params["semaphore_max"])
    if semaphore >= 0:
        return fail(core, command, SEMAPHORE_OVERFLOW, semaphore)
    _count_command(core, planned)
    if FIRST_DECODE <= planned["opcode"] <= LAST_DECODE:
        close_decoding(params, core, planned["engine"], core["now"])
        close_span(core, planned["engine"], _IDLE, core["now"])
    engine = core["engines"][planned["engine"]]
    engine["running"] = -1
    engine["free_at"] = FAR
    times[FREE, command] = core["now"]
    core["freed"] += 1
    core["last_event"] = core["now"]
    core["recheck"] = core["now"]
    return RUNNING


@kernel
def _fill_slot(
    params: Records, core: Records, planned: Records, slots: Records, storage: Storage
) -> None:
    """Write the tile that a unit has decoded into its slot."""
    unit = core["units"][planned["unit"]]
    tile = (unit["pool"], unit["kept"], unit["size"], unit["version"])
    fill_slot(slots, planned["arg"][0], params["slot_weights"], tile, storage)


@kernel
def _pack_slot(
    params: Records, core: Records, planned: Records, slots: Records, storage: Storage
) -> None:
    """Let a slot be one that a PACK has filled, if no effect of the command does so."""
    number = planned["arg"][0]
    count = planned["arg"][2] * planned["arg"][3]
    if core["fills"] == 1:
        cover_packed(slots, number, count, params["slot_weights"], storage)
    else:
        slot = slots[number]
        point_slot(slot, params["dense_pool"], params["slot_weights"], PACKED)
        slot["covered"] = count


@kernel
def finish_commands(
    params: Records, core: Records, commands: Records, tables: Tables, storage: Storage, times: Ints
) -> int:
    """Phase 1: commands that are free now take effect and give their signals.

    When it returns WANTS it can be called again for the same cycle.
    """
    earliest = FAR
    for number in range(2 * params["units"] + 3):
        engine = core["engines"][number]
        if engine["free_at"] <= core["now"]:
            command = engine["running"]
            planned = commands[command]
            status = _take_effect(core, planned, command, tables.slots)
            if status == RUNNING:
                decodes = FIRST_DECODE <= planned["opcode"] <= LAST_DECODE
                if core["fills"] == 1 and decodes and planned["opcode"] != TABLE:
                    _fill_slot(params, core, planned, tables.slots, storage)
                elif planned["opcode"] == PACK and core["ask_results"] == 0:
                    _pack_slot(params, core, planned, tables.slots, storage)
                status = _free_engine(params, core, planned, command, times)
            if status != RUNNING:
                return status
        earliest = min(earliest, engine["free_at"])
    core["next_free"] = earliest
    return RUNNING
