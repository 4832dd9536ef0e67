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
from azsim_kernels.isa import DEADLOCK, DONE
from azsim_kernels.machine_decode import advance_decoder
from azsim_kernels.machine_dma import (
    NOTHING,
    issue_dma_a,
    issue_dma_w,
    next_dma_a,
    take_arrival,
)
from azsim_kernels.machine_finish import finish_commands
from azsim_kernels.machine_memory import end_memory, next_in_memory, run_host
from azsim_kernels.machine_sequencer import dispatch, next_start, resume_starts, start_commands
from azsim_kernels.machine_spans import attribute_channels, end_spans
from azsim_kernels.machine_start import close_tile
from azsim_kernels.machine_types import (
    FAR,
    KEPT_SPANS,
    RUNNING,
    WANTS,
    WATCHDOG,
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

_FIRST = typed(0)  # engine number


@kernel
def _last_event(core: Records, units: int) -> int:
    """Return the last cycle with an event, words and beats included."""
    last = core["last_event"]
    for number in range(units):
        unit = core["units"][number]
        last = max(last, unit["last_accept"], unit["last_fire"])
    return last  # type: ignore[no-any-return]


@kernel
def _move_clock(params: Records, core: Records, lp: Ints, following: int) -> int:
    """Move `now` to the next cycle in which something can happen; return RUNNING, or DEADLOCK if
    there is none. `following` is the next cycle in which DMA-W may have something to do.
    """
    core["visited"] += 1
    following = min(following, core["next_free"])
    following = min(following, next_dma_a(params, core))
    following = min(following, next_completion(core))
    if core["recheck"] > core["now"]:
        following = min(following, core["recheck"])
    if lp.size > 0:
        following = next_in_memory(core, lp, following)
    if following == FAR:
        core["now"] = _last_event(core, params["units"]) + 1
        return DEADLOCK
    core["now"] = following
    return RUNNING


@kernel
def run_step(
    params: Records,
    core: Records,
    lp: Ints,
    plan: Plan,
    tables: Tables,
    storage: Storage,
    scratch: Scratch,
    times: Ints,
    max_cycles: int,
) -> int:
    """Run the program once; return its status, WATCHDOG after `max_cycles` or when `spans` is full
    (the caller takes them and sets `kept_spans` to 0), or WANTS.

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
        if core["now"] > max_cycles or core["kept_spans"] >= KEPT_SPANS:
            return WATCHDOG
        if core["resume"] == 1:
            core["resume"] = 0
            resume_starts(params, core, plan, tables, storage, scratch)
        else:
            number = take_arrival(params, core, lp)
            while number != NOTHING:
                if number >= 0 and advance_decoder(core, number, schedule, room):
                    close_tile(params, core, commands, order, schedule, number)
                number = take_arrival(params, core, lp)
            if core["next_free"] <= core["now"]:
                status = finish_commands(params, core, commands, tables, storage, times)
                if status == WANTS:
                    return WANTS
                if status == RUNNING and core["freed"] == commands.size:
                    status = DONE
            if status == RUNNING and core["recheck"] == core["now"]:
                dispatch(params, core, commands, times)
                number = next_start(params, core, commands, order, times, _FIRST)
                if number < 2 * params["units"] + 3:
                    status = start_commands(
                        params, core, plan, tables, storage, scratch, times, number
                    )
            if status == RUNNING and (core["product"] >= 0 or core["tiles"] > 0):
                core["resume"] = 1
                return WANTS
        if status == RUNNING:
            if core["dma_a"][0]["at"] < core["dma_a"][0]["end"]:
                issue_dma_a(params, core, lp, rows)
            following = issue_dma_w(params, core, lp)
            run_host(core, lp)
            attribute_channels(core, params["units"])
            status = _move_clock(params, core, lp, following)
    end_spans(params, core)
    end_memory(core, lp)
    return status
