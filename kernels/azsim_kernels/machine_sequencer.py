"""Phases 2 and 3 of a cycle: commands enter the queues of their engines and are started."""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.isa import (
    BAD_OPERAND,
    BLOCKED,
    BUSY,
    DATA,
    DONE,
    FETCH,
    IDLE,
    PRODUCT,
    SPACE,
    STARVED,
    WAITING,
)
from azsim_kernels.machine_product import BAD, TIME_LATER, TIME_NOW, start_product, time_product
from azsim_kernels.machine_spans import close_span
from azsim_kernels.machine_start import deliver_words, start_decode, start_dma_a, start_fetch
from azsim_kernels.machine_tiles import capture_tile, show_tile
from azsim_kernels.machine_types import (
    DECODING,
    DISPATCH,
    FETCHING,
    FIRST_DECODE,
    FIRST_MOVE,
    LAST_DECODE,
    LAST_MOVE,
    RUNNING,
    START,
    Ints,
    Plan,
    Records,
    Scratch,
    Storage,
    Tables,
)


@kernel
def dispatch(params: Records, core: Records, commands: Records, times: Ints) -> None:
    """Phase 2: the next command enters the queue of its engine if there is a place."""
    command = core["next_command"]
    if command < commands.size:
        engine = core["engines"][commands[command]["engine"]]
        if engine["dispatched"] - engine["started"] < params["queue_depth"]:
            engine["dispatched"] += 1
            times[DISPATCH, command] = core["now"]
            core["next_command"] = command + 1
            core["last_event"] = core["now"]
            core["recheck"] = core["now"] + 1


@kernel
def _missing_kinds(core: Records, planned: Records) -> int:
    """Return the kinds of the semaphores that a command lacks, as bits 1 << kind."""
    missing = 0
    for k in range(planned["n_wait"]):
        semaphore = planned["wait"][k]
        if core["semaphores"][0, semaphore] < planned["wait_count"][k]:
            missing |= 1 << core["semaphores"][1, semaphore]
    return missing


@kernel
def _waiting_class(missing: int, left: int) -> int:
    """Return the class of an engine without a command: by what its queue head lacks, or by
    whether commands of it are left in the program.
    """
    if missing & (1 << DATA):
        return STARVED
    if missing & (1 << SPACE):
        return BLOCKED
    return WAITING if missing > 0 or left > 0 else IDLE


@kernel
def _running_class(units: int, number: int) -> int:
    if number < units:
        return FETCHING
    return DECODING if units < number <= 2 * units else BUSY


@kernel
def _attribute(core: Records, units: int, number: int, stall: int) -> None:
    """Give engine `number` its class from now on."""
    if number < units:
        core["channels"][number]["base"] = stall  # bursts in flight come first
    else:
        close_span(core, number, stall, core["now"])


@kernel
def _take(core: Records, planned: Records, times: Ints, command: int) -> None:
    """Let the engine of `command`, the head of its queue, take it and its semaphores."""
    for k in range(planned["n_wait"]):
        core["semaphores"][0, planned["wait"][k]] -= planned["wait_count"][k]
    engine = core["engines"][planned["engine"]]
    engine["started"] += 1
    engine["running"] = command
    times[START, command] = core["now"]
    core["last_event"] = core["now"]
    core["recheck"] = core["now"] + 1


@kernel
def next_start(
    params: Records, core: Records, commands: Records, order: Ints, times: Ints, first: int
) -> int:
    """Go on with phase 3 from engine `first` to the next one that takes the head of its queue;
    return its number, or the number of engines. Passed engines get their class.
    """
    units = params["units"]
    for number in range(first, 2 * units + 3):
        engine = core["engines"][number]
        stall = _running_class(units, number)
        if engine["running"] < 0:
            missing = 0
            if engine["started"] < engine["dispatched"]:
                command = order[engine["first"] + engine["started"]]
                if times[DISPATCH, command] < core["now"]:
                    missing = _missing_kinds(core, commands[command])
                    if missing == 0:
                        _take(core, commands[command], times, command)  # pyright: ignore
                        return number
            stall = _waiting_class(missing, engine["count"] - engine["started"])
        _attribute(core, units, number, stall)
    return 2 * units + 3  # type: ignore[no-any-return]


@kernel
def _start_dma_a(
    params: Records, core: Records, planned: Records, tables: Tables, storage: Storage
) -> int:
    return start_dma_a(params, core, planned, storage.abuf, tables.rows)


@kernel
def _capture(planned: Records, tables: Tables, storage: Storage) -> None:
    capture_tile(tables.tiles[planned["tile"]], storage)


@kernel
def start_commands(
    params: Records,
    core: Records,
    plan: Plan,
    tables: Tables,
    storage: Storage,
    scratch: Scratch,
    times: Ints,
    number: int,
) -> int:
    """Phase 3: engine `number` has taken a command; start it and go on with the next engines."""
    commands, order, tiles, slots = plan.commands, plan.order, tables.tiles, tables.slots
    units = params["units"]
    while number < 2 * units + 3:
        engine = core["engines"][number]
        planned = commands[engine["running"]]
        opcode = planned["opcode"]
        status = DONE
        if opcode == FETCH:
            if not start_fetch(params, core, planned, tiles):
                status = BAD_OPERAND
            elif planned["tile"] >= 0 and tiles[planned["tile"]]["capture"] >= 0:
                _capture(planned, tables, storage)
        elif FIRST_DECODE <= opcode <= LAST_DECODE:
            if not start_decode(params, core, planned, tiles):
                status = BAD_OPERAND
            elif core["units"][planned["unit"]]["ready"] == 1:
                unit = planned["unit"]
                deliver_words(params, core, commands, order, storage.schedule, unit)
        elif FIRST_MOVE <= opcode <= LAST_MOVE:
            status = _start_dma_a(params, core, planned, tables, storage)
        elif opcode == PRODUCT:
            said = start_product(params, core, planned, slots)
            if said == BAD:
                status = BAD_OPERAND
            elif said == TIME_NOW:
                time_product(params, core, planned, slots, storage, scratch)
            elif said == TIME_LATER:
                core["product"] = engine["running"]
        elif planned["fits"] == 0:
            status = BAD_OPERAND
        else:
            engine["free_at"] = core["now"] + planned["duration"]
        if status != DONE:
            core["error_command"] = engine["running"]
            return status
        core["next_free"] = min(core["next_free"], engine["free_at"])
        _attribute(core, units, number, _running_class(units, number))
        number = next_start(params, core, commands, order, times, number + 1)
    return RUNNING


@kernel
def resume_starts(
    params: Records,
    core: Records,
    plan: Plan,
    tables: Tables,
    storage: Storage,
    scratch: Scratch,
) -> None:
    """Go on after phase 3 with what had to wait for the caller: prepared tiles, effects."""
    if core["product"] >= 0:
        planned = plan.commands[core["product"]]
        time_product(params, core, planned, tables.slots, storage, scratch)
        core["product"] = -1
    for number in range(params["units"]):
        unit = core["units"][number]
        if unit["wanting"] > 0:
            show_tile(tables.tiles[unit["wanting"] - 1], unit)
            unit["wanting"] = 0
            unit["ready"] = 1
            deliver_words(params, core, plan.commands, plan.order, storage.schedule, number)
    core["tiles"] = 0
