"""How fast the LPDDR kernels are: sequential streams, by row and by burst, and random bursts.

Run: python benchmarks/lpddr_speed.py. One core, compiled beforehand; the best of five runs.
`bus` is the simulated rate as a share of the peak, refresh included.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from azsim.config.lpddr_control import LpddrControl, lpddr_params
from azsim.config.memory_part import load_part, part_names
from azsim_kernels._jit import kernel
from azsim_kernels.lpddr import advance, new_lpddr, pop_completion, put_request
from azsim_kernels.lpddr_params import COMMAND_NAMES
from azsim_kernels.lpddr_types import FAR, Lpddr

STREAM_BYTES = 16 << 20


@kernel
def run_requests(lp: Lpddr, addresses: npt.NDArray[np.int64], size: int) -> int:
    """Read `size` bytes from each address through port W, as many in flight as it allows; return
    the time in ps of the last completion.
    """
    now = 0
    asked = 0
    done = 0
    while done < addresses.size:
        while asked < addresses.size:
            if put_request(lp, 0, asked, addresses[asked], size, False, now) != 0:
                break
            asked += 1
        now = advance(lp, FAR, False)
        while pop_completion(lp, now) >= 0:
            done += 1
    return now


def control(part: str) -> LpddrControl:
    """Return the controller that docs/memory.md recommends, one channel wide."""
    return LpddrControl(
        part=load_part(part),
        channels=1,
        devices_per_channel=1,
        mapping=("row", "bank", "column", "group", "channel"),
        bank_xor_row=False,
        window_bursts=32,
        bypass_limit=16,
        refresh="all_bank",
        refresh_batch=4,
        host_outstanding=8,
        path_cycles=0,
    )


def measure(part: str, addresses: npt.NDArray[np.int64], size: int, by_row: bool) -> str:
    """Return time of the run in ms, requests per second and simulated rate, as columns."""
    params = lpddr_params(control(part), (16, 8, 8))
    best = float("inf")
    end = 1
    for _ in range(6):  # the first one compiles
        lp = new_lpddr(params, by_row)
        start = time.process_time()
        end = run_requests(lp, addresses, size)
        best = min(best, time.process_time() - start)
    read = COMMAND_NAMES.index("RD")
    burst_clocks = min(row.clocks for row in params.constraints if row.first == row.then == (read,))
    peak = params.burst_bytes / (burst_clocks * params.clock_ps)
    rate = addresses.size * size / end / peak
    return f"{best * 1e3:8.2f} {addresses.size / best / 1e6:10.2f} {rate * 100:7.1f}"


def main() -> None:
    """Print one line per part and pattern."""
    rng = np.random.default_rng(7)
    print("part          pattern                            ms  M request/s   bus %")
    for part in part_names():
        for size in (STREAM_BYTES, 4096, 128):
            addresses = np.arange(0, STREAM_BYTES, size, dtype=np.int64)
            for by_row in (True, False):
                how = "by row" if by_row else "by burst"
                name = f"16 MB in requests of {size} bytes, {how}"
                print(f"{part:13s} {name:45s} {measure(part, addresses, size, by_row)}")
        scattered = rng.integers(0, STREAM_BYTES >> 5, 100_000) << 5
        print(f"{part:13s} {'100,000 random bursts':45s} {measure(part, scattered, 32, True)}")


if __name__ == "__main__":
    main()
