"""The memory behind the DMA engines of the fast engine: the simple one, or LPDDR in its own clock
(section 3 of docs/timing_model.md, docs/memory.md). `lp` is empty on chips with the simple memory.
"""

from __future__ import annotations

from azsim_kernels._jit import kernel
from azsim_kernels.lpddr import advance, core_cycle, core_time_ps
from azsim_kernels.lpddr import pop_completion as pop_lpddr
from azsim_kernels.lpddr import put_request as put_lpddr
from azsim_kernels.lpddr_host import HOST_TICKET, issue_host, note_host
from azsim_kernels.lpddr_types import BEGIN, CORE_MHZ, PATH_CYCLES, PATTERNS, Lpddr
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
def _look(lp: Lpddr, until: int) -> int:
    """Let the memory go on to cycle `until`, or to its first completion; return the cycle in which
    the first completion known is visible, FAR if there is none.
    """
    until_ps = MEMORY_FAR if until == FAR else _edge_ps(lp, until)
    first_ps = advance(lp, until_ps, False)
    if first_ps == MEMORY_FAR:
        return FAR
    return core_cycle(first_ps, lp[CORE_MHZ]) + lp[PATH_CYCLES] - lp[BEGIN]  # type: ignore[no-any-return]


@kernel
def next_in_memory(core: Records, lp: Lpddr, following: int) -> int:
    """Return the next cycle in which something is visible or the host may issue, if it is before
    `following`, the chip's next event.
    """
    if lp[PATTERNS] > 0:
        if following == FAR and core["w_in_flight"] == 0 and core["dma_a"][0]["in_flight"] == 0:
            return FAR  # the host alone brings the chip no further
        following = min(following, core["host_next"])
    core["memory_next"] = _look(lp, following)
    return min(following, core["memory_next"])  # type: ignore[no-any-return]


@kernel
def pop_ticket(core: Records, lp: Lpddr) -> int:
    """Remove a completion that is visible now and return its ticket, -1 if there is none."""
    ticket = pop_completion(core)
    if ticket < 0 and lp.size > 0 and core["memory_next"] <= core["now"]:
        ticket = pop_lpddr(lp, MEMORY_FAR)
        if ticket >= OF_HOST:
            note_host(lp, ticket, lp[BEGIN] + core["now"])
        core["memory_next"] = _look(lp, core["now"])
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
