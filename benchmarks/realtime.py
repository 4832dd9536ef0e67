"""How fast azsim simulates the flagship encoder, beside onnxruntime on the same frames.

Both run on one thread, in turn, several rounds; what counts is the ratio within a round, because
machines are shared and their speed drifts. Bit-exact: every output integer is computed. Timing
only: cycles are counted, no outputs; `first_step` is a step that reuses nothing.

    python benchmarks/realtime.py [--json] [--frames 40] [--rounds 5] [--net rnnt_alexa_l:encoder]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import onnxruntime

from azsim.api import PlanWishes
from azsim.config import ChipConfig, load_chip
from azsim.engine import Machine
from azsim.frontend import read_frame_ms, read_onnx
from azsim.graph import Graph
from azsim.preparing import calibrate_graph, compile_calibrated, quantize_inputs
from azsim.program import Program
from azsim.zoo import build_zoo, save_onnx

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """One net, compiled, with its frames as floats and as integers."""

    path: Path
    inputs: Path
    graph: Graph
    chip: ChipConfig
    program: Program
    floats: list[dict[str, np.ndarray]]
    integers: list[Arrays]
    frame_ms: float


def make_case(folder: Path, net: str, chip_name: str, frames: int) -> Case:
    """Build and compile `net`, W5 with 50 % zeros, for random frames."""
    name, _, part = net.partition(":")
    path = folder / "model.onnx"
    save_onnx(build_zoo(name, part or None, 5, 0.5, 1), path)
    graph = read_onnx(path)
    rng = np.random.default_rng(0)
    arrays = {
        n: rng.normal(size=(frames, *graph.values[n].shape)).astype(np.float32)
        for n in graph.inputs
    }
    inputs = folder / "frames.npz"
    np.savez(inputs, **arrays)
    chip = load_chip(chip_name)
    calibrated = calibrate_graph(
        graph, inputs, None, PlanWishes(), None, _silent, want_outputs=False, cache=False
    )
    prepared = compile_calibrated(calibrated, chip, _silent)
    floats = [{n: a[k] for n, a in arrays.items()} for k in range(frames)]
    integers = list(quantize_inputs(prepared.program.inputs, prepared.inputs))
    frame_ms = read_frame_ms(graph) or 30.0
    return Case(path, inputs, graph, chip, prepared.program, floats, integers, frame_ms)


def _silent(stage: str, done: int, total: int) -> None:
    """No progress bar inside a measurement."""


class OnnxRuntime:
    """The float32 model in onnxruntime, one thread, states carried."""

    def __init__(self, case: Case) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(case.path), options, providers=["CPUExecutionProvider"]
        )
        self._case = case
        self._names = [output.name for output in self._session.get_outputs()]

    def seconds(self) -> float:
        """Time for all frames."""
        graph = self._case.graph
        states = {
            s.source: np.zeros(graph.values[s.source].shape, np.float32) for s in graph.states
        }
        began = time.perf_counter()
        for frame in self._case.floats:
            results = dict(
                zip(self._names, self._session.run(self._names, {**frame, **states}), strict=True)
            )
            states = {s.source: results[s.result] for s in graph.states}
        return time.perf_counter() - began


class Simulation:
    """The compiled program on the simulated chip."""

    def __init__(self, case: Case, timing_only: bool) -> None:
        self._case = case
        began = time.perf_counter()
        self._machine = Machine(case.program, case.chip, timing_only=timing_only)
        self.cycles = self._machine.step(case.integers[0])[1].cycles
        self.first_seconds = time.perf_counter() - began

    def seconds(self) -> float:
        """Time for all frames."""
        began = time.perf_counter()
        for frame in self._case.integers:
            self._machine.step(frame)
        return time.perf_counter() - began


# A run of its own, as `azsim run` makes it: what it holds at most, and what the bare imports do.
# (The kernel's own high-water mark: `ru_maxrss` would begin with that of the process before.)
_ONE_RUN = """
import sys
import azsim.api, azsim.cli.app
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
before = peak()
azsim.api.run(sys.argv[1], input=sys.argv[2], chip=sys.argv[3], cache=sys.argv[4] == "cache")
print(peak(), before)
"""


def measure_memory(case: Case, weights: int) -> dict[str, float]:
    """Peak resident memory of a run in MB, and above the imports as a multiple of the weights as
    int8: of a run that compiles its program, and of one that finds it in the cache."""
    command = [sys.executable, "-c", _ONE_RUN, str(case.path), str(case.inputs), case.chip.name]
    runs = []
    for mode in ("no cache", "cache", "cache"):  # the second fills the cache
        done = subprocess.run([*command, mode], stdout=subprocess.PIPE, text=True, check=True)
        runs.append([float(word) for word in done.stdout.split()])
    (peak, bare), _, (cached, cached_bare) = runs
    mega = weights / 2**20
    return {
        "peak_memory_mb": peak,
        "peak_over_int8_weights": (peak - bare) / mega,
        "peak_memory_cached_mb": cached,
        "peak_over_int8_weights_cached": (cached - cached_bare) / mega,
    }


def measure(case: Case, rounds: int) -> dict[str, Any]:
    """Run both in turn and return the figures (seconds are per frame)."""
    frames = len(case.floats)
    reference = OnnxRuntime(case)
    Simulation(case, timing_only=False)  # compiles the kernels, outside the measurement
    exact, timing = Simulation(case, timing_only=False), Simulation(case, timing_only=True)
    first = [Simulation(case, timing_only=True).first_seconds for _ in range(3)]
    reference.seconds()
    rows = [
        (exact.seconds() / frames, reference.seconds() / frames, timing.seconds() / frames)
        for _ in range(rounds)
    ]
    ratios = [a / b for a, b, _ in rows]
    audio = case.frame_ms / 1000
    weights = sum(layer.weights for layer in case.program.layers)
    return {
        "ratio_vs_onnxruntime": statistics.median(ratios),
        "spread": {"ratio_min": min(ratios), "ratio_max": max(ratios), "rounds": rounds},
        "timing_only_x_real_time": audio / statistics.median(t for _, _, t in rows),
        "timing_only_first_step_x_real_time": audio / statistics.median(first),
        "bit_exact_x_real_time": audio / statistics.median(a for a, _, _ in rows),
        "bit_exact_ms_per_frame": 1000 * statistics.median(a for a, _, _ in rows),
        "onnxruntime_ms_per_frame": 1000 * statistics.median(b for _, b, _ in rows),
        "timing_only_ms_per_frame": 1000 * statistics.median(t for _, _, t in rows),
        "frames_per_second": 1 / statistics.median(a for a, _, _ in rows),
        "simulated_cycles_per_second": exact.cycles / statistics.median(a for a, _, _ in rows),
        **measure_memory(case, weights),
        "weights": weights,
        "load_average": os.getloadavg()[0],
    }


def main() -> None:
    """Parse options, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--net", default="rnnt_alexa_l:encoder")
    parser.add_argument("--chip", default="az1")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="azsim-bench-") as folder:
        case = make_case(Path(folder), options.net, options.chip, options.frames)
        figures = {"net": options.net, "chip": options.chip, **measure(case, options.rounds)}
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for key, value in figures.items():
        text = f"{value:,.3f}" if isinstance(value, float) else value
        print(f"{key:36s} {text}")


if __name__ == "__main__":
    main()
