"""The fast engine: one step of a program from event to event (docs/timing_model.md).

A cycle is looked at only if something can happen in it: a burst becomes visible, a command is
free, a credit that a channel waits for is back, or the sequencer moves. All four phases of such
a cycle are done in order. Words and beats of the decoders are timed ahead in closed form
(`machine_decode`), the MAC array by its recursion (`lanes`), VECTOR commands before the step.

Results and decoding are not done here: `run_step` returns to its caller where a time depends on
them, and goes on when it is called again.
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.isa import (
    BAD_OPERAND,
    BAD_TILE,
    BLOCKED,
    BUSY,
    DATA,
    DEADLOCK,
    DONE,
    FETCH,
    GATHER,
    IDLE,
    LOAD,
    PRODUCT,
    RAW,
    SEMAPHORE_OVERFLOW,
    SPACE,
    STARVED,
    STORE,
    TABLE,
    TILE,
    WAITING,
)
from azsim_kernels.machine_decode import advance_decoder
from azsim_kernels.machine_dma import (
    NOTHING,
    issue_dma_a,
    issue_dma_w,
    next_dma_a,
    take_arrival,
)
from azsim_kernels.machine_product import BAD, TIME_LATER, TIME_NOW, start_product, time_product
from azsim_kernels.machine_spans import attribute_channels, close_decoding, close_span, end_spans
from azsim_kernels.machine_start import (
    close_tile,
    deliver_words,
    fail,
    start_decode,
    start_dma_a,
    start_fetch,
)
from azsim_kernels.machine_tiles import capture_tile, fill_slot, point_slot, show_tile
from azsim_kernels.machine_types import (
    COUNT_BEATS,
    COUNT_CONFLICTS,
    COUNT_ELEMENTS,
    COUNT_MAC_DONE,
    COUNT_MAC_ITEMS,
    COUNT_MAC_SKIPPED,
    COUNT_UNITS,
    COUNTS_PER_UNIT,
    DECODING,
    DISPATCH,
    FAR,
    FETCHING,
    FREE,
    ORDER,
    START,
    VECTOR_CLASS,
    Ints,
    Plan,
    Records,
    Scratch,
    Storage,
    Tables,
    typed,
)
from azsim_kernels.memory_simple import next_completion
from azsim_kernels.tile_format import WINDOW_BITS

RUNNING = -1  # status while the step goes on
WATCHDOG = -2  # the step did not end within the cycles allowed
WANTS = -3  # the caller must do something, see `run_step`

_FIRST = typed(0)  # engine number
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
    if opcode in (LOAD, GATHER):
        return core["ask_moves"] == 1  # type: ignore[no-any-return]
    return core["ask_results"] == 1 and (opcode == STORE or opcode >= PRODUCT)


@kernel
def _count_command(core: Records, planned: Records) -> None:
    """Count what a command did."""
    opcode = planned["opcode"]
    counters = core["counters"]
    if opcode in (TILE, RAW):
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
    if opcode in (LOAD, GATHER) or opcode > PRODUCT:
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
    if opcode in (TILE, RAW, TABLE):
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
    if planned["opcode"] in (TILE, RAW, TABLE):
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
def _finish_commands(
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
                if core["fills"] == 1 and planned["opcode"] in (TILE, RAW):
                    _fill_slot(params, core, planned, tables.slots, storage)
                status = _free_engine(params, core, planned, command, times)
            if status != RUNNING:
                return status
        earliest = min(earliest, engine["free_at"])
    core["next_free"] = earliest
    return RUNNING


@kernel
def _dispatch(params: Records, core: Records, commands: Records, times: Ints) -> None:
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
def _next_start(
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
                        _take(core, commands[command], times, command)
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
def _start_commands(
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
        elif opcode in (TILE, RAW, TABLE):
            if not start_decode(params, core, planned, tiles):
                status = BAD_OPERAND
            elif core["units"][planned["unit"]]["ready"] == 1:
                unit = planned["unit"]
                deliver_words(params, core, commands, order, storage.schedule, unit)
        elif opcode in (LOAD, STORE, GATHER):
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
        number = _next_start(params, core, commands, order, times, number + 1)
    return RUNNING


@kernel
def _resume_starts(
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


@kernel
def _last_event(core: Records, units: int) -> int:
    """Return the last cycle with an event, words and beats included."""
    last = core["last_event"]
    for number in range(units):
        unit = core["units"][number]
        last = max(last, unit["last_accept"], unit["last_fire"])
    return last  # type: ignore[no-any-return]


@kernel
def _move_clock(params: Records, core: Records, following: int) -> int:
    """Move `now` to the next cycle in which something can happen; return RUNNING, or DEADLOCK if
    there is none. `following` is the next cycle in which DMA-W may have something to do.
    """
    core["visited"] += 1
    following = min(following, core["next_free"])
    following = min(following, next_dma_a(params, core))
    following = min(following, next_completion(core))
    if core["recheck"] > core["now"]:
        following = min(following, core["recheck"])
    if following == FAR:
        core["now"] = _last_event(core, params["units"]) + 1
        return DEADLOCK
    core["now"] = following
    return RUNNING


@kernel
def run_step(
    params: Records,
    core: Records,
    plan: Plan,
    tables: Tables,
    storage: Storage,
    scratch: Scratch,
    times: Ints,
    max_cycles: int,
) -> int:
    """Run the program once; return its status, WATCHDOG after `max_cycles`, or WANTS.

    The length of the step is `core["now"]`; the rest of the result stands in `times`
    (4, commands) and in `core`. On WANTS the caller does what these fields of `core` say and
    calls again:

    asked >= 0    let this command take effect, set `answered` to it and `asked` to -1; if it has a
                  bad operand set `failed` to it as well
    product >= 0  let all commands of `times[ORDER]` take effect that have not yet, set
                  `abuf_writes` to 0; if `uncovered` is 1 fill the slots from now on
    tiles > 0     prepare tile number `wanting` - 1 of each unit where `wanting` is above 0
    """
    # Taken out of their groups once: each access to a group costs counts of references.
    commands, order, schedule, rows = plan.commands, plan.order, storage.schedule, tables.rows
    room = WINDOW_BITS // params["port_bits"]
    status = DONE if commands.size == 0 else RUNNING
    while status == RUNNING:
        if core["now"] > max_cycles:
            return WATCHDOG
        if core["resume"] == 1:
            core["resume"] = 0
            _resume_starts(params, core, plan, tables, storage, scratch)
        else:
            number = take_arrival(params, core)
            while number != NOTHING:
                if number >= 0 and advance_decoder(core, number, schedule, room):
                    close_tile(params, core, commands, order, schedule, number)
                number = take_arrival(params, core)
            if core["next_free"] <= core["now"]:
                status = _finish_commands(params, core, commands, tables, storage, times)
                if status == WANTS:
                    return WANTS
                if status == RUNNING and core["freed"] == commands.size:
                    status = DONE
            if status == RUNNING and core["recheck"] == core["now"]:
                _dispatch(params, core, commands, times)
                number = _next_start(params, core, commands, order, times, _FIRST)
                if number < 2 * params["units"] + 3:
                    status = _start_commands(
                        params, core, plan, tables, storage, scratch, times, number
                    )
            if status == RUNNING and (core["product"] >= 0 or core["tiles"] > 0):
                core["resume"] = 1
                return WANTS
        if status == RUNNING:
            if core["dma_a"][0]["at"] < core["dma_a"][0]["end"]:
                issue_dma_a(params, core, rows)
            following = issue_dma_w(params, core)
            attribute_channels(core, params["units"])
            status = _move_clock(params, core, following)
    end_spans(params, core)
    return status
