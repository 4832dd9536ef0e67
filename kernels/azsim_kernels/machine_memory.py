"""The memory behind the DMA engines of the fast engine: the simple one, or LPDDR in its own clock
(section 3 of docs/timing_model.md, docs/memory.md). `lp` is empty on chips with the simple memory.
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.lpddr import advance, core_cycle, core_time_ps
from azsim_kernels.lpddr import pop_completion as pop_lpddr
from azsim_kernels.lpddr import put_request as put_lpddr
from azsim_kernels.lpddr_host import HOST_TICKET, issue_host, note_host
from azsim_kernels.lpddr_requests import first_done
from azsim_kernels.lpddr_types import (
    BEGIN,
    CLOCK_PS,
    CORE_MHZ,
    PATH_CYCLES,
    PATTERNS,
    REACTION_CLOCKS,
    READ_CLOCKS,
    WRITE_CLOCKS,
    Lpddr,
)
from azsim_kernels.lpddr_types import FAR as MEMORY_FAR
from azsim_kernels.machine_types import FAR, Records, typed
from azsim_kernels.memory_simple import pop_completion, put_request

_MEMORY = typed(0)  # bus number
OF_HOST = HOST_TICKET  # tickets from here on are not the chip's


@kernel
def _edge_ps(lp: Lpddr, cycle: int) -> int:
    """Return the first picosecond that is not before the edge of cycle `cycle` of the step."""
    return core_time_ps(lp[BEGIN] + cycle, lp[CORE_MHZ])


@kernel
def put_memory_request(
    core: Records,
    lp: Lpddr,
    port: int,
    address: int,
    size: int,
    moved_bytes: int,
    is_write: bool,
    ticket: int,
) -> None:
    """Put the request of `port` for [address, address + size), which moves `moved_bytes`, now."""
    if lp.size == 0:
        put_request(core, _MEMORY, moved_bytes, ticket)
    else:
        put_lpddr(lp, port, ticket, address, size, is_write, _edge_ps(lp, core["now"]))


@kernel
def _visible(lp: Lpddr, time_ps: int) -> int:
    """Return the cycle of the step in which the chip sees what is done at `time_ps`, or FAR."""
    if time_ps == MEMORY_FAR:
        return FAR
    return core_cycle(time_ps, lp[CORE_MHZ]) + lp[PATH_CYCLES] - lp[BEGIN]  # type: ignore[no-any-return]


@kernel
def _look(core: Records, lp: Lpddr, until: int) -> None:
    """Let the memory go on to cycle `until`, or to its first completion, and note what is known:
    the cycle in which the first completion is visible, and the one before which none can be that
    is not known yet. No command before the place where the memory stopped is missing, and a burst
    takes its time after its command.
    """
    until_ps = MEMORY_FAR if until == FAR else _edge_ps(lp, until)
    first_ps = advance(lp, until_ps, False)
    core["memory_next"] = _visible(lp, first_ps)
    stopped_ps = min(until_ps, first_ps + lp[REACTION_CLOCKS] * lp[CLOCK_PS])
    burst_ps = min(lp[READ_CLOCKS], lp[WRITE_CLOCKS]) * lp[CLOCK_PS]
    core["memory_horizon"] = FAR
    if stopped_ps < MEMORY_FAR:
        core["memory_horizon"] = _visible(lp, stopped_ps + burst_ps)


@kernel
def next_in_memory(core: Records, lp: Lpddr, following: int) -> int:
    """Return the next cycle in which something is visible or the host may issue, if it is before
    `following`, the chip's next event.

    The memory is left behind as long as nothing that it does can be seen: many requests at once are
    quicker than one by one.
    """
    if lp[PATTERNS] > 0:
        if following == FAR and core["w_in_flight"] == 0 and core["dma_a"][0]["in_flight"] == 0:
            return FAR  # the host alone brings the chip no further
        following = min(following, core["host_next"])
    if min(following, core["memory_next"]) >= core["memory_horizon"]:
        _look(core, lp, following)
    return min(following, core["memory_next"])  # type: ignore[no-any-return]


@kernel
def pop_ticket(core: Records, lp: Lpddr) -> int:
    """Remove a completion that is visible now and return its ticket, -1 if there is none."""
    ticket = pop_completion(core)
    if ticket < 0 and lp.size > 0 and core["memory_next"] <= core["now"]:
        ticket = pop_lpddr(lp, MEMORY_FAR)
        if ticket >= OF_HOST:
            note_host(lp, ticket, lp[BEGIN] + core["now"])
        clock = first_done(lp)
        first_ps = MEMORY_FAR if clock == MEMORY_FAR else clock * lp[CLOCK_PS]
        core["memory_next"] = _visible(lp, first_ps)
        if core["memory_horizon"] <= core["now"]:
            _look(core, lp, core["now"])
    return ticket


@kernel
def run_host(core: Records, lp: Lpddr) -> None:
    """Phase 4 of the host, if there is one."""
    if lp.size > 0 and lp[PATTERNS] > 0:
        cycle = lp[BEGIN] + core["now"]
        following = issue_host(lp, cycle, _edge_ps(lp, core["now"]))
        core["host_next"] = FAR if following == MEMORY_FAR else following - lp[BEGIN]


@kernel
def end_memory(core: Records, lp: Lpddr) -> None:
    """Let the memory go on to the end of the step, for its counters."""
    if lp.size > 0:
        advance(lp, _edge_ps(lp, core["now"]), True)
