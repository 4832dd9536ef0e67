"""Words from a recording: the trained net `tiny_rnnt` on the simulated chip, symbol by symbol.

    python examples/recognize_speech.py [RECORDING.wav]

Encoder, prediction and joint net run as three programs on `az1` (an assumed chip); each step's
input is made of what the chip gave before, so that the words are those of its integers. The net
knows 128 words of synthetic voices and is no measure of real speech (docs/training.md).
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from azsim import ChipConfig, CompressionPlan, Graph, compile_graph, load_chip, read_onnx
from azsim.compiler import RangeRecorder
from azsim.engine import Machine
from azsim.frontend.audio import log_mel, read_wav
from azsim.reference.floats import evaluate_floats, initial_states
from azsim.zoo import build_zoo, save_onnx

Array = npt.NDArray[Any]
RECORDING = Path(__file__).parent / "speech_command" / "set_timer.wav"
BITS, SPARSITY = 5, 0.5
PARTS = ("encoder", "prediction", "joint")
FRAMES_PER_STEP, STEP_MS = 6, 60  # of 10 ms
MOST_SYMBOLS_PER_STEP = 3
BLANK = 0


class Part(Protocol):
    """One of the three nets; its states go on from step to step."""

    def step(self, **inputs: Array) -> Array:
        """Take numbers by name, give the net's result."""
        ...


class FloatPart:
    """A net in floats; remembers how large its values become, for the scales of the integers."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.recorder = graph, RangeRecorder(graph)
        self._states: Mapping[str, Array] = initial_states(graph)

    def step(self, **inputs: Array) -> Array:
        values, self._states = evaluate_floats(self.graph, inputs, self._states)
        self.recorder.add(values)
        return values[self.graph.outputs[0]]


class ChipPart:
    """The same net compiled for a chip, in its integers; counts cycles."""

    def __init__(self, calibrated: FloatPart, chip: ChipConfig) -> None:
        plan = CompressionPlan.from_json(calibrated.graph.metadata["azsim.compression"])
        ranges = calibrated.recorder.ranges()
        self.program = compile_graph(calibrated.graph, chip, ranges, plan).program
        self._machine = Machine(self.program, chip)
        self.cycles = 0

    def step(self, **inputs: Array) -> Array:
        integers = {}
        for port in self.program.inputs:
            steps = inputs[port.name] / (1.0 if port.index_rows else port.scale)
            limits = np.iinfo(port.element)
            integers[port.name] = np.clip(np.rint(steps), limits.min, limits.max).astype(
                port.element
            )
        outputs, counted = self._machine.step(integers)
        self.cycles += counted.cycles
        (port,) = self.program.outputs
        return outputs[port.name] * port.scale


def recognize(parts: Mapping[str, Part], features: Array) -> list[int]:
    """Return the symbols in (frames, 64) log-mel features: in each step the likeliest symbol, and
    the next, until that is the blank."""
    symbols: list[int] = []
    predicted = parts["prediction"].step(token=np.array([[BLANK]]))
    steps = len(features) // FRAMES_PER_STEP
    for frames in features[: steps * FRAMES_PER_STEP].reshape(steps, 2, 1, -1):
        encoded = parts["encoder"].step(features=frames)
        for _ in range(MOST_SYMBOLS_PER_STEP):
            best = int(parts["joint"].step(encoded=encoded, predicted=predicted).argmax())
            if best == BLANK:
                break
            symbols.append(best)
            predicted = parts["prediction"].step(token=np.array([[best]]))
    return symbols


def read_part(part: str) -> Graph:
    """Return one of the three nets."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        save_onnx(build_zoo("tiny_rnnt", part, BITS, SPARSITY, seed=1), path)
        return read_onnx(path)


def main(recording: Path) -> None:
    """Recognize in floats, which sets the scales, and then on the chip."""
    features = log_mel(read_wav(recording))
    floats = {name: FloatPart(read_part(name)) for name in PARTS}
    words = json.loads(floats["joint"].graph.metadata["azsim.symbols"])
    symbols = recognize(floats, features)
    print("floats:", " ".join(words[symbol] for symbol in symbols))
    chip = load_chip("az1")
    parts = {name: ChipPart(floats[name], chip) for name in PARTS}
    symbols = recognize(parts, features)
    print("az1:   ", " ".join(words[symbol] for symbol in symbols))
    cycles = {name: part.cycles for name, part in parts.items()}
    print("cycles:", ", ".join(f"{name} {count:,}" for name, count in cycles.items()))
    seconds = sum(cycles.values()) / (chip.core.clock_mhz * 1e6)
    spoken = len(features) // FRAMES_PER_STEP * STEP_MS / 1000
    print(f"{1e3 * seconds:.2f} ms of the chip's time for {spoken:.1f} s of speech")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else RECORDING)
