"""The fast engine: one step of a program from event to event (docs/timing_model.md).

A cycle is looked at only if something can happen in it: a burst becomes visible, a command is
free, a credit that a channel waits for is back, or the sequencer moves. All four phases of such
a cycle are done in order. Words and beats of the decoders are timed ahead in closed form
(`machine_decode`), the MAC array by its recursion (`lanes`), VECTOR commands before the step.
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.isa import (
    BLOCKED,
    BUSY,
    DATA,
    DEADLOCK,
    DONE,
    IDLE,
    SEMAPHORE_OVERFLOW,
    SPACE,
    STARVED,
    WAITING,
)
from azsim_kernels.machine_decode import uncount_after
from azsim_kernels.machine_dma import issue_dma_a, issue_dma_w, take_arrivals
from azsim_kernels.machine_effects import count_command, take_effect
from azsim_kernels.machine_start import start_command
from azsim_kernels.machine_tiles import show_tile
from azsim_kernels.machine_types import (
    COUNT_UNITS,
    COUNTS_PER_UNIT,
    DECODING,
    FAR,
    FETCHING,
    Blocks,
    Ints,
    Plan,
    Records,
    Scratch,
    Storage,
    Trace,
)
from azsim_kernels.memory_simple import next_completion

RUNNING = -1  # status while the step goes on
WATCHDOG = -2  # the step did not end within the cycles allowed


@kernel
def _close_span(blocks: Blocks, trace: Trace, number: int, stall: int, now: int) -> None:
    """Give the cycles of an engine's open span to its class and open one of class `stall`."""
    engine = blocks.engines[number]
    if engine["stall"] != stall:
        if engine["stall"] < DECODING:
            trace.stalls[number, engine["stall"]] += now - engine["since"]
        engine["stall"] = stall
        engine["since"] = now


@kernel
def _close_decoding(unit: Records, stalls: Ints, end: int, pipeline: int) -> None:
    """Split the cycles of a DECODE command until `end` into busy and starved."""
    busy = unit["beats"] + unit["extra"]
    if unit["run_words"] > 0:  # complete: the pipeline drains
        busy += min(pipeline, max(0, end - unit["last_fire"] - 1))
    stalls[BUSY] += busy
    stalls[STARVED] += end - unit["start"] - busy


@kernel
def _fail(blocks: Blocks, command: int, status: int, code: int) -> int:
    clock = blocks.clock[0]
    clock["error_command"] = command
    clock["error_code"] = code
    return status


@kernel
def _give(params: Records, planned: Records, semaphores: Ints) -> int:
    """Give the signals of a command; return the first semaphore above the maximum, else -1."""
    for k in range(planned["n_signal"]):
        semaphore = planned["signal"][k]
        semaphores[semaphore] += planned["signal_count"][k]
        if semaphores[semaphore] > params["semaphore_max"]:
            return semaphore  # type: ignore[no-any-return]
    return -1


@kernel
def _finish_commands(
    params: Records, plan: Plan, blocks: Blocks, storage: Storage, trace: Trace, wanted: int
) -> int:
    """Phase 1: commands that are free now take effect and give their signals."""
    clock = blocks.clock[0]
    now = clock["now"]
    units = params["units"]
    earliest = FAR
    for number in range(blocks.engines.size):
        engine = blocks.engines[number]
        if engine["free_at"] <= now:
            command = engine["running"]
            planned = plan.commands[command]
            status, code = take_effect(params, plan, blocks, storage, command, wanted)
            if status != DONE:
                return _fail(blocks, command, status, code)
            semaphore = _give(params, planned, blocks.semaphores)
            if semaphore >= 0:
                return _fail(blocks, command, SEMAPHORE_OVERFLOW, semaphore)
            count_command(planned, plan.args[command], trace.counters)
            if units < number <= 2 * units:
                unit = blocks.units[number - units - 1]
                pipeline = params["decoder_pipeline_cycles"]
                _close_decoding(unit, trace.stalls[number], now, pipeline)
                _close_span(blocks, trace, number, IDLE, now)
            engine["running"] = -1
            engine["free_at"] = FAR
            trace.free[command] = now
            clock["freed"] += 1
            clock["last_event"] = now
            clock["recheck"] = now
        earliest = min(earliest, engine["free_at"])
    clock["next_free"] = earliest
    return RUNNING


@kernel
def _dispatch(params: Records, plan: Plan, blocks: Blocks, trace: Trace, now: int) -> None:
    """Phase 2: the next command enters the queue of its engine if there is a place."""
    clock = blocks.clock[0]
    command = clock["next_command"]
    if command < plan.commands.size:
        engine = blocks.engines[plan.commands[command]["engine"]]
        if engine["dispatched"] - engine["started"] < params["queue_depth"]:
            engine["dispatched"] += 1
            trace.dispatch[command] = now
            clock["next_command"] = command + 1
            clock["last_event"] = now
            clock["recheck"] = now + 1


@kernel
def _missing_kinds(plan: Plan, planned: Records, semaphores: Ints) -> int:
    """Return the kinds of the semaphores that a command lacks, as bits 1 << kind."""
    missing = 0
    for k in range(planned["n_wait"]):
        semaphore = planned["wait"][k]
        if semaphores[semaphore] < planned["wait_count"][k]:
            missing |= 1 << plan.kinds[semaphore]
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
def _running_class(params: Records, number: int) -> int:
    units = params["units"]
    if number < units:
        return FETCHING
    return DECODING if units < number <= 2 * units else BUSY


@kernel
def _start_commands(
    params: Records,
    plan: Plan,
    blocks: Blocks,
    storage: Storage,
    scratch: Scratch,
    trace: Trace,
    now: int,
) -> int:
    """Phase 3: each free engine takes the head of its queue if its semaphores are available."""
    clock = blocks.clock[0]
    for number in range(blocks.engines.size):
        engine = blocks.engines[number]
        stall = _running_class(params, number)
        if engine["running"] < 0:
            missing = 0
            if engine["started"] < engine["dispatched"]:
                command = plan.order[engine["first"] + engine["started"]]
                if trace.dispatch[command] < now:
                    planned = plan.commands[command]
                    missing = _missing_kinds(plan, planned, blocks.semaphores)
                    if missing == 0:
                        for k in range(planned["n_wait"]):
                            blocks.semaphores[planned["wait"][k]] -= planned["wait_count"][k]
                        engine["started"] += 1
                        engine["running"] = command
                        trace.start[command] = now
                        clock["last_event"] = now
                        clock["recheck"] = now + 1
                        status, code = start_command(
                            params, plan, blocks, storage, scratch, command, now
                        )
                        if status != DONE:
                            return _fail(blocks, command, status, code)
                        clock["next_free"] = min(clock["next_free"], engine["free_at"])
            if engine["running"] < 0:
                stall = _waiting_class(missing, engine["count"] - engine["started"])
        if number < params["units"]:
            blocks.channels[number]["base"] = stall  # bursts in flight come first
        else:
            _close_span(blocks, trace, number, stall, now)
    return RUNNING


@kernel
def _attribute_channels(params: Records, blocks: Blocks, trace: Trace, now: int) -> None:
    """Classes of the DMA-W channels from `now` on, after phase 4."""
    for number in range(params["units"]):
        channel = blocks.channels[number]
        stall = channel["base"]
        if channel["head"] < channel["tail"]:
            stall = BUSY
        elif stall == FETCHING:
            stall = BLOCKED if channel["ready"] > now else WAITING
        _close_span(blocks, trace, number, stall, now)


@kernel
def _end_step(params: Records, blocks: Blocks, trace: Trace, end: int) -> None:
    """Close all spans at `end` and count words and beats up to there."""
    units = params["units"]
    for number in range(units):
        unit = blocks.units[number]
        uncount_after(unit, blocks.accepts[number], blocks.fires[number], blocks.runs[number], end)
        first = COUNT_UNITS + COUNTS_PER_UNIT * number
        trace.counters[first] = unit["accepted"]
        trace.counters[first + 1] = unit["fired"]
    for number in range(blocks.engines.size):
        if blocks.engines[number]["stall"] == DECODING:
            unit = blocks.units[number - units - 1]
            _close_decoding(unit, trace.stalls[number], end, params["decoder_pipeline_cycles"])
        _close_span(blocks, trace, number, FETCHING, end)


@kernel
def _last_event(blocks: Blocks) -> int:
    """Return the last cycle with an event, words and beats included."""
    last = blocks.clock[0]["last_event"]
    for number in range(blocks.units.size):
        unit = blocks.units[number]
        last = max(last, unit["last_accept"], unit["last_fire"])
    return last  # type: ignore[no-any-return]


@kernel
def _visit(
    params: Records,
    plan: Plan,
    blocks: Blocks,
    storage: Storage,
    scratch: Scratch,
    trace: Trace,
    wanted: int,
) -> int:
    """Do the four phases of the cycle `now` and move `now` to the next one with an event.

    Returns RUNNING, or the status of the step if it ended; its length is `now` then.
    """
    clock = blocks.clock[0]
    now = clock["now"]
    take_arrivals(params, plan, blocks, storage, now)
    if clock["next_free"] <= now:
        status = _finish_commands(params, plan, blocks, storage, trace, wanted)
        if status != RUNNING:
            return status
        if clock["freed"] == plan.commands.size:
            return DONE
    if clock["recheck"] == now:
        _dispatch(params, plan, blocks, trace, now)
        status = _start_commands(params, plan, blocks, storage, scratch, trace, now)
        if status != RUNNING:
            return status
    next_a = issue_dma_a(params, blocks, trace.counters, now)
    next_w = issue_dma_w(params, blocks, trace.counters, now)
    _attribute_channels(params, blocks, trace, now)
    following = min(next_a, next_w, clock["next_free"])
    following = min(following, next_completion(blocks.buses, blocks.completions))
    if clock["recheck"] > now:
        following = min(following, clock["recheck"])
    if following == FAR:
        clock["now"] = _last_event(blocks) + 1
        return _fail(blocks, -1, DEADLOCK, 0)
    clock["now"] = following
    return RUNNING


@kernel
def run_step(
    params: Records,
    plan: Plan,
    blocks: Blocks,
    storage: Storage,
    scratch: Scratch,
    trace: Trace,
    wanted: int,
    max_cycles: int,
) -> int:
    """Run the program once from reset; return its status, or WATCHDOG after `max_cycles`.

    The length of the step is `blocks.clock[0]["now"]`; `trace` holds the rest of the result.
    """
    clock = blocks.clock[0]
    status = DONE if plan.commands.size == 0 else RUNNING
    while status == RUNNING:
        clock["visited"] += 1
        status = _visit(params, plan, blocks, storage, scratch, trace, wanted)
        if clock["now"] > max_cycles:
            return WATCHDOG
    _end_step(params, blocks, trace, clock["now"])
    return status


@kernel
def repeat_effects(
    params: Records, plan: Plan, blocks: Blocks, storage: Storage, order: Ints, wanted: int
) -> int:
    """Let the commands take effect in `order`, for a step whose times are known already."""
    for i in range(order.size):
        command = order[i]
        planned = plan.commands[command]
        if planned["tile"] >= 0:
            tile = blocks.tiles[planned["tile"]]
            show_tile(tile, blocks.units[planned["unit"]])
        status, code = take_effect(params, plan, blocks, storage, command, wanted)
        if status != DONE:
            return _fail(blocks, command, status, code)
    return DONE
