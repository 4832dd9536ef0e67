"""How fast `mac_accumulate` reads weights: one activation column, tiles of 16,384 weights.

Run: python benchmarks/mac_speed.py. One core; the loop over tiles is itself a kernel, as in the
engine, and the weights (39 MB) do not fit the caches.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from azsim_kernels._jit import kernel
from azsim_kernels.execute import mac_accumulate

TILE_WEIGHTS = 16384
TILES = 2400
LANES = 8


@kernel
def run_tiles(
    arg: npt.NDArray[np.int64],
    weights: npt.NDArray[np.int8],
    abuf: npt.NDArray[np.uint8],
    accumulators: npt.NDArray[np.int32],
) -> int:
    """Run the same PRODUCT on every tile of `weights`; return the worst status."""
    size = arg[1] * arg[2]
    worst = 0
    for t in range(weights.size // size):
        tile = weights[t * size : (t + 1) * size]
        worst = max(worst, mac_accumulate(arg, tile, abuf, accumulators))
    return worst


def measure(columns: int, activation_columns: int) -> float:
    """Return GB of weights read per second, the best of five runs."""
    rng = np.random.default_rng(7)
    weights = rng.integers(-15, 16, TILES * TILE_WEIGHTS, dtype=np.int8)
    abuf = rng.integers(0, 256, columns * activation_columns, dtype=np.uint8)
    rows = TILE_WEIGHTS // columns
    depth = rows // LANES
    accumulators = np.zeros((LANES, depth * activation_columns), np.int32)
    arg = np.zeros(16, np.int64)
    arg[1], arg[2], arg[4], arg[5], arg[7] = rows, columns, activation_columns, columns, depth
    best = float("inf")
    for _ in range(6):  # the first one compiles
        start = time.perf_counter()
        if run_tiles(arg, weights, abuf, accumulators) != 0:
            raise RuntimeError("a PRODUCT was refused")
        best = min(best, time.perf_counter() - start)
    return weights.size / best / 1e9


def main() -> None:
    """Print one line per tile shape."""
    print("columns  activation columns  weights GB/s  products G/s")
    for columns in (2048, 512, 128):
        for activation_columns in (1, 8):
            speed = measure(columns, activation_columns)
            products = speed * activation_columns
            print(f"{columns:7d}  {activation_columns:18d}  {speed:12.1f}  {products:12.1f}")


if __name__ == "__main__":
    main()
