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
from azsim_kernels.machine_dma import issue_dma_a, issue_dma_w, take_arrivals
from azsim_kernels.machine_spans import attribute_channels, close_decoding, close_span, end_step
from azsim_kernels.machine_start import resume_starts, start_command
from azsim_kernels.machine_tiles import fill_slot, point_slot
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
    Rings,
    Scratch,
    Storage,
    Trace,
)
from azsim_kernels.memory_simple import next_completion

RUNNING = -1  # status while the step goes on
WATCHDOG = -2  # the step did not end within the cycles allowed
WANTS = -3  # the caller must do something, see `run_step`


@kernel
def _fail(core: Records, command: int, status: int, code: int) -> int:
    """Note which command ended the step; return `status`."""
    core["error_command"] = command
    core["error_code"] = code
    return status


@kernel
def _give(planned: Records, semaphores: Ints, maximum: int) -> int:
    """Give the signals of a command; return the first semaphore above the maximum, else -1."""
    for k in range(planned["n_signal"]):
        semaphore = planned["signal"][k]
        semaphores[0, semaphore] += planned["signal_count"][k]
        if semaphores[0, semaphore] > maximum:
            return semaphore  # type: ignore[no-any-return]
    return -1


@kernel
def _asks_for(core: Records, opcode: int) -> bool:
    """Must the effects of a command be done before the step goes on?"""
    if opcode in (LOAD, GATHER):
        return core["ask_moves"] == 1  # type: ignore[no-any-return]
    return core["ask_results"] == 1 and (opcode == STORE or opcode >= PRODUCT)


@kernel
def _end_decoding(
    params: Records, planned: Records, slot: int, core: Records, slots: Records, storage: Storage
) -> int:
    """Give the slot its tile; return the tile's error."""
    unit = core["units"][planned["unit"]]
    if unit["status"] == 0 and planned["opcode"] != TABLE:
        if core["fills"] == 1:
            tile = (unit["pool"], unit["kept"], unit["size"], unit["version"])
            fill_slot(slots, slot, params["slot_weights"], tile, storage)
        else:
            point_slot(slots[slot], unit["pool"], unit["size"], unit["version"])
    return unit["status"]  # type: ignore[no-any-return]


@kernel
def count_command(planned: Records, arg: Ints, counters: Ints) -> None:
    """Count what a command did."""
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


@kernel
def _note_order(core: Records, times: Ints, command: int, opcode: int) -> None:
    """Note that a command took effect."""
    times[ORDER, core["effects"]] = command
    core["effects"] += 1
    if opcode in (LOAD, GATHER) or opcode > PRODUCT:
        core["abuf_writes"] += 1


@kernel
def _finish_commands(
    params: Records, plan: Plan, core: Records, rings: Rings, storage: Storage, trace: Trace
) -> int:
    """Phase 1: commands that are free now take effect and give their signals.

    When it returns WANTS it can be called again for the same cycle.
    """
    now = core["now"]
    units = params["units"]
    earliest = FAR
    for number in range(trace.stalls.shape[0]):
        engine = core["engines"][number]
        if engine["free_at"] <= now:
            command = engine["running"]
            planned = plan.commands[command]
            opcode = planned["opcode"]
            decodes = units < number <= 2 * units
            if command == core["failed"]:
                return _fail(core, command, BAD_OPERAND, 0)
            if command != core["answered"] and _asks_for(core, opcode):
                core["asked"] = command
                return WANTS
            if decodes:
                slot = plan.args[command, 0]
                code = _end_decoding(params, planned, slot, core, rings.slots, storage)
                if code != 0:
                    return _fail(core, command, BAD_TILE, code)
            _note_order(core, trace.times, command, opcode)
            semaphore = _give(planned, rings.semaphores, params["semaphore_max"])
            if semaphore >= 0:
                return _fail(core, command, SEMAPHORE_OVERFLOW, semaphore)
            count_command(planned, plan.args[command], trace.counters)
            if decodes:
                unit = core["units"][number - units - 1]
                pipeline = params["decoder_pipeline_cycles"]
                close_decoding(unit, trace.stalls[number], now, pipeline)
                close_span(engine, trace.stalls[number], IDLE, now)
            engine["running"] = -1
            engine["free_at"] = FAR
            trace.times[FREE, command] = now
            core["freed"] += 1
            core["last_event"] = now
            core["recheck"] = now
        earliest = min(earliest, engine["free_at"])
    core["next_free"] = earliest
    return RUNNING


@kernel
def _dispatch(params: Records, plan: Plan, core: Records, times: Ints, now: int) -> None:
    """Phase 2: the next command enters the queue of its engine if there is a place."""
    command = core["next_command"]
    if command < plan.commands.size:
        engine = core["engines"][plan.commands[command]["engine"]]
        if engine["dispatched"] - engine["started"] < params["queue_depth"]:
            engine["dispatched"] += 1
            times[DISPATCH, command] = now
            core["next_command"] = command + 1
            core["last_event"] = now
            core["recheck"] = now + 1


@kernel
def _missing_kinds(planned: Records, semaphores: Ints) -> int:
    """Return the kinds of the semaphores that a command lacks, as bits 1 << kind."""
    missing = 0
    for k in range(planned["n_wait"]):
        semaphore = planned["wait"][k]
        if semaphores[0, semaphore] < planned["wait_count"][k]:
            missing |= 1 << semaphores[1, semaphore]
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
def _take(core: Records, planned: Records, semaphores: Ints, times: Ints, command: int) -> None:
    """Let the engine of `command`, the head of its queue, take it and its semaphores."""
    for k in range(planned["n_wait"]):
        semaphores[0, planned["wait"][k]] -= planned["wait_count"][k]
    engine = core["engines"][planned["engine"]]
    engine["started"] += 1
    engine["running"] = command
    now = core["now"]
    times[START, command] = now
    core["last_event"] = now
    core["recheck"] = now + 1


@kernel
def _start_commands(
    params: Records,
    plan: Plan,
    core: Records,
    rings: Rings,
    storage: Storage,
    scratch: Scratch,
    trace: Trace,
) -> int:
    """Phase 3: each free engine takes the head of its queue if its semaphores are available."""
    now = core["now"]
    units = params["units"]
    for number in range(trace.stalls.shape[0]):
        engine = core["engines"][number]
        missing = 0
        if engine["running"] < 0 and engine["started"] < engine["dispatched"]:
            command = plan.order[engine["first"] + engine["started"]]
            if trace.times[DISPATCH, command] < now:
                planned = plan.commands[command]
                missing = _missing_kinds(planned, rings.semaphores)
                if missing == 0:
                    _take(core, planned, rings.semaphores, trace.times, command)
                    status, code = start_command(
                        params, plan, core, rings, storage, scratch, command
                    )
                    if status != DONE:
                        return _fail(core, command, status, code)
                    core["next_free"] = min(core["next_free"], engine["free_at"])
        if engine["running"] >= 0:
            stall = _running_class(units, number)
        else:
            stall = _waiting_class(missing, engine["count"] - engine["started"])
        if number < units:
            core["channels"][number]["base"] = stall  # bursts in flight come first
        else:
            close_span(engine, trace.stalls[number], stall, now)
    return RUNNING


@kernel
def _last_event(core: Records, units: int) -> int:
    """Return the last cycle with an event, words and beats included."""
    last = core["last_event"]
    for number in range(units):
        unit = core["units"][number]
        last = max(last, unit["last_accept"], unit["last_fire"])
    return last  # type: ignore[no-any-return]


@kernel
def _move_clock(params: Records, core: Records, rings: Rings, trace: Trace) -> int:
    """Phase 4, then move `now` to the next cycle in which something can happen; return RUNNING,
    or DEADLOCK if there is none.
    """
    now = core["now"]
    core["visited"] += 1
    following = issue_dma_a(params, core, rings, trace.counters)
    following = min(following, issue_dma_w(params, core, rings, trace.counters))
    attribute_channels(core, params["units"], trace.stalls, now)
    following = min(following, core["next_free"])
    following = min(following, next_completion(core, rings.completions))
    if core["recheck"] > now:
        following = min(following, core["recheck"])
    if following == FAR:
        core["now"] = _last_event(core, params["units"]) + 1
        return DEADLOCK
    core["now"] = following
    return RUNNING


@kernel
def run_step(
    params: Records,
    plan: Plan,
    core: Records,
    rings: Rings,
    storage: Storage,
    scratch: Scratch,
    trace: Trace,
    max_cycles: int,
) -> int:
    """Run the program once; return its status, WATCHDOG after `max_cycles`, or WANTS.

    The length of the step is `core["now"]`; `trace` holds the rest of the result.
    On WANTS the caller does what these fields of `core` say and calls again:

    asked >= 0    let this command take effect, set `answered` to it and `asked` to -1; if it has a
                  bad operand set `failed` to it as well
    product >= 0  let all commands of `trace.times[ORDER]` take effect that have not yet, set
                  `abuf_writes` to 0; if `uncovered` is 1 fill the slots from now on
    tiles > 0     prepare tile number `wanting` - 1 of each unit where `wanting` is above 0
    """
    status = DONE if plan.commands.size == 0 else RUNNING
    while status == RUNNING:
        now = core["now"]
        if now > max_cycles:
            return WATCHDOG
        if core["resume"] == 1:
            core["resume"] = 0
            resume_starts(params, plan, core, rings, storage, scratch)
        else:
            take_arrivals(params, plan, core, rings, storage)
            if core["next_free"] <= now:
                status = _finish_commands(params, plan, core, rings, storage, trace)
                if status == WANTS:
                    return WANTS
                if status == RUNNING and core["freed"] == plan.commands.size:
                    status = DONE
            if status == RUNNING and core["recheck"] == now:
                _dispatch(params, plan, core, trace.times, now)
                status = _start_commands(params, plan, core, rings, storage, scratch, trace)
            if status == RUNNING and (core["product"] >= 0 or core["tiles"] > 0):
                core["resume"] = 1
                return WANTS
        if status == RUNNING:
            status = _move_clock(params, core, rings, trace)
    end_step(params, core, rings.words, trace, core["now"])
    return status
