"""Points per second of a sweep: 1,000 points of the end-pointer, on one worker and on several.

    python benchmarks/sweep.py [--points 1000] [--workers 2] [--json]

Each round sweeps the same points with one worker and with all of them, with empty journals and
empty caches; what counts is the ratio within a round, because machines are shared.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from azsim.engine.warm import Warming
from azsim.sweep import Workers, run_sweep
from azsim.sweep.local import available_cores

PLAN = """
model: zoo:ep_final:acoustic
frames: 4
axes:
  decoder.units: [1, 2, 4, 8]
  mac_array.lanes: [4, 8, 16, 32]
  memory.lpddr.part: [lpddr4_3200, lpddr4x_4266, lpddr5_6400]
  bits: [8, 6, 5, 4]
  sparsity: {{from: 0.0, to: 0.9}}
sampling: {{method: random, points: {points}, seed: 1}}
"""


def seconds(plan: Path, folder: Path, workers: int) -> float:
    """Time of a sweep from nothing, start of the workers included."""
    with tempfile.TemporaryDirectory(dir=folder) as empty:
        os.environ["AZSIM_CACHE_DIR"] = f"{empty}/cache"
        began = time.perf_counter()
        run_sweep(plan, Path(empty) / "out", Workers(count=workers))
        return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with Warming() as warming:  # kernels are compiled once per version: no part of a sweep
        warming.wait()
    with tempfile.TemporaryDirectory(prefix="azsim-bench-") as name:
        folder = Path(name)
        plan = folder / "plan.yaml"
        plan.write_text(PLAN.format(points=options.points), encoding="utf-8")
        load = os.getloadavg()[0]
        one = seconds(plan, folder, 1)
        many = seconds(plan, folder, options.workers)
    figures = {
        "points": options.points,
        "workers": options.workers,
        "load_average": round(load, 1),
        "seconds_one_worker": round(one, 1),
        "seconds_all_workers": round(many, 1),
        "speedup": round(one / many, 2),
        "points_per_second": round(options.points / many, 1),
    }
    if options.json:
        print(json.dumps(figures, indent=2))
    else:
        print(", ".join(f"{name} {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
