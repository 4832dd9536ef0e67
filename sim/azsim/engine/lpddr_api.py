"""The LPDDR memory alone, without a chip: reads in, clocks out. For validation and measurements."""

from __future__ import annotations

from collections.abc import Sequence

from azsim.errors import SimulationError
from azsim_kernels.lpddr import advance, new_lpddr, pop_completion, put_request
from azsim_kernels.lpddr_params import PORT_FULL, TAKEN, LpddrParams
from azsim_kernels.lpddr_types import FAR


def read_clocks(
    params: LpddrParams, reads: Sequence[tuple[int, int]], pause_clocks: int = 0
) -> list[int]:
    """Read each (address, bytes) through the first port; return the memory clocks in which their
    data were complete, ascending.

    pause_clocks  0: as fast as the memory takes them. Else read k is made at k times so many
                  clocks, by when the one before must be over

    Raises:
        SimulationError: bytes outside of the memory.
    """
    lp = new_lpddr(params)
    clocks: list[int] = []
    asked = now = 0
    while len(clocks) < len(reads):
        while asked < len(reads) and (pause_clocks == 0 or asked == len(clocks)):
            address, size = reads[asked]
            time_ps = max(now, asked * pause_clocks * params.clock_ps)
            answer = put_request(lp, 0, asked, address, size, False, time_ps)
            if answer == PORT_FULL:
                break
            if answer != TAKEN:
                capacity = params.capacity_bytes
                raise SimulationError(f"bytes {address} + {size}: must be in 0..{capacity - 1}")
            asked += 1
        now = int(advance(lp, FAR, False))
        while pop_completion(lp, now) >= 0:
            clocks.append(now // params.clock_ps)
    return clocks
