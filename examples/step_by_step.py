"""What `azsim run` does, one call after the other: read, calibrate, compile, simulate, compare.

    python examples/step_by_step.py

For everything that one call of `azsim.run` does not do: other frames, other reports, programs
looked at or changed before they run.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np

from azsim import CompressionPlan, compile_graph, load_chip, read_onnx, simulate
from azsim.compiler import RangeRecorder
from azsim.program import disassemble
from azsim.reference.floats import run_floats
from azsim.reference.integers import run_integers
from azsim.zoo import build_zoo, save_onnx

FRAMES = 10


def main() -> None:
    """Take the net `tiny_lstm` through every step on the chip `tiny`."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "tiny_lstm.onnx"
        save_onnx(build_zoo("tiny_lstm", None, 5, 0.5, 1), path)
        graph = read_onnx(path)
    print(f"graph: {len(graph.nodes)} nodes, inputs {graph.inputs}, outputs {graph.outputs}")

    (x,) = graph.inputs
    frames = np.random.default_rng(1).normal(size=(FRAMES, *graph.values[x].shape))
    recorder = RangeRecorder(graph)  # the largest magnitudes set the activation scales
    for values in run_floats(graph, {x: frames.astype(np.float32)}):
        recorder.add(values)

    chip = load_chip("tiny", ["mac_array.lanes=8"])
    compiled = compile_graph(graph, chip, recorder.ranges(), CompressionPlan(bits=5, sparsity=0.5))
    program = compiled.program
    print(f"program: {len(program.commands)} commands, {len(program.tiles)} compressed tiles")
    text = [line for line in disassemble(program) if "PRODUCT" in line]
    for line in itertools.islice(text, 2):
        print(line[:100])

    (port,) = program.inputs
    steps = [
        {x: np.clip(np.rint(frame / port.scale), -128, 127).astype(np.int8)} for frame in frames
    ]
    result = simulate(program, chip, steps)
    print(f"cycles of each frame: {result.counters.step_cycles.tolist()}")
    for engine, classes in result.counters.stalls.items():
        busy = classes["busy"] / sum(classes.values())
        print(f"{engine:8s} busy {busy:.0%}")

    (y,) = graph.outputs
    reference = [values[y] for values in run_integers(compiled.integers, steps)]
    equal = sum(map(np.array_equal, result.outputs[y], reference))
    print(f"equal to the integer reference: {equal} of {FRAMES} frames")


if __name__ == "__main__":
    main()
