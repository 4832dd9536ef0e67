"""Random LPDDR memories behind small chips, and random traffic of their hosts."""

from __future__ import annotations

from choosing import Choose, chance, pick
from lpddr_bench import PARTS, lpddr

from azsim_kernels import isa
from azsim_kernels.lpddr_params import HostPattern, LpddrMemory

_MAPPINGS = (
    ["row", "bank", "column", "group", "channel"],
    ["row", "column", "bank", "group", "channel"],
    ["channel", "row", "bank", "column", "group"],
)


def random_lpddr(choose: Choose, params: isa.MachineParams) -> LpddrMemory:
    """Return a memory for the chip `params`: often with small pages or much refresh."""
    c = choose
    memory = lpddr(
        pick(c, PARTS),
        (params.dma_w_outstanding, params.dma_a_outstanding, c.integer(1, 4)),
        channels=pick(c, [1, 1, 2]),
        mapping=pick(c, _MAPPINGS),
        bank_xor_row=chance(c, 20),
        window_bursts=pick(c, [1, 4, 32]),
        bypass_limit=pick(c, [0, 2, 16]),
        refresh=pick(c, ["none", "all_bank", "per_bank"]),
        refresh_batch=pick(c, [1, 2, 4]),
    )
    memory = memory._replace(burst_bytes=params.access_bytes)
    if chance(c, 50):
        memory = memory._replace(refresh_interval_clocks=pick(c, [700, 900, 1300]))
    if chance(c, 50):
        memory = memory._replace(columns=pick(c, [2, 4, 16]))
    return LpddrMemory(memory, pick(c, [100, 300, 500, 800, 2133]), c.integer(0, 40))


def random_traffic(choose: Choose, memory: LpddrMemory) -> tuple[HostPattern, ...]:
    """Return up to three patterns, often more than the memory can carry."""
    return tuple(
        HostPattern(
            period_ns=pick(choose, [20, 100, 333, 5000]),
            requests=choose.integer(1, 6),
            request_bytes=memory.params.burst_bytes * pick(choose, [1, 2, 4]),
            address=4096 * choose.integer(0, 3),
            places=choose.integer(1, 300),
            is_random=chance(choose, 50),
            read_share_percent=pick(choose, [0, 30, 100]),
            priority=choose.integer(0, 3),
        )
        for _ in range(choose.integer(0, 3))
    )
