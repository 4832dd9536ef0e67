"""Greedy recognition with the three parts of the net as azsim computes them: in floats, which also
calibrates, and in the chip's integers, bit for bit."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from azsim.compiler import CompressionPlan, RangeRecorder, compress_weights
from azsim.frontend import read_onnx
from azsim.graph import Graph
from azsim.graph.integer import IntegerGraph
from azsim.reference.floats import evaluate_floats, initial_states
from azsim.reference.integers import evaluate_integers, next_states
from azsim.zoo import find_entry, save_onnx
from azsim.zoo.entries import build_entry
from azsim.zoo.trained import TrainedWeights
from tiny_rnnt.grammar import BLANK

Array = npt.NDArray[Any]
NET = "tiny_rnnt"
PARTS = ("encoder", "prediction", "joint")
FRAMES_PER_STEP = 6
MOST_SYMBOLS_PER_FRAME = 3


def read_parts(weights: TrainedWeights, bits: int, sparsity: float) -> dict[str, Graph]:
    """Return the float graphs of the three parts with these weights."""
    graphs = {}
    with tempfile.TemporaryDirectory() as folder:
        for part in PARTS:
            entry, path = find_entry(NET, part), Path(folder) / f"{part}.onnx"
            save_onnx(build_entry(entry, bits, sparsity, 1, weights), path)
            graphs[part] = read_onnx(path)
    return graphs


class Part(Protocol):
    """One part of the net, run step by step with states of its own."""

    def reset(self) -> None:
        """Take the states back to the start of an utterance."""
        ...

    def step(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Take float (or index) inputs by name, give float outputs by name."""
        ...


@dataclass
class FloatPart:
    """A part in float32; `recorder` sees every value."""

    graph: Graph
    recorder: RangeRecorder = field(init=False)
    states: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.recorder = RangeRecorder(self.graph)

    def reset(self) -> None:
        self.states = dict(initial_states(self.graph))

    def step(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        values, states = evaluate_floats(self.graph, inputs, self.states)
        self.states = dict(states)
        self.recorder.add(values)
        return {name: values[name] for name in self.graph.outputs}


@dataclass
class IntegerPart:
    """A part in the chip's integers: the reference that the simulated chip equals bit for bit."""

    integers: IntegerGraph
    states: dict[str, Array] = field(default_factory=dict)

    def reset(self) -> None:
        self.states = {}

    def step(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        given = {name: self._quantized(name, array) for name, array in inputs.items()}
        values = evaluate_integers(self.integers, given | self.states)
        self.states = next_states(self.integers, values)
        return {name: self._number(name, values[name]) for name in self.integers.outputs}

    def _quantized(self, name: str, array: Array) -> Array:
        tensor = self.integers.tensors[name]
        if tensor.element == "int32":  # a row of the embedding
            return array.astype(np.int32)
        steps = np.rint(array.astype(np.float64) / tensor.scale) + tensor.zero_point
        return np.clip(steps, -128, 127).astype(np.int8)

    def _number(self, name: str, array: Array) -> Array:
        tensor = self.integers.tensors[name]
        return (array.astype(np.float64) - tensor.zero_point) * tensor.scale


def steps_of(features: Array) -> Array:
    """(frames, 64) -> the encoder's steps (T, 2, 1, 192); an incomplete rest is left out."""
    steps = len(features) // FRAMES_PER_STEP
    return features[: steps * FRAMES_PER_STEP].reshape(steps, 2, 1, 192)


def recognize(parts: Mapping[str, Part], features: Array) -> list[int]:
    """Return the symbols said in (frames, 64) log-mel features."""
    for part in parts.values():
        part.reset()
    said: list[int] = []
    predicted = _predict(parts, BLANK)
    for step in steps_of(features):
        encoded = parts["encoder"].step({"features": step})["encoded"]
        for _ in range(MOST_SYMBOLS_PER_FRAME):
            joined = parts["joint"].step({"encoded": encoded, "predicted": predicted})
            best = int(joined["logits"].argmax())
            if best == BLANK:
                break
            said.append(best)
            predicted = _predict(parts, best)
    return said


def _predict(parts: Mapping[str, Part], symbol: int) -> Array:
    token = np.full((1, 1), symbol, dtype=np.int64)
    return parts["prediction"].step({"token": token})["predicted"]


def float_parts(graphs: Mapping[str, Graph]) -> dict[str, FloatPart]:
    """Return the parts in floats."""
    return {name: FloatPart(graph) for name, graph in graphs.items()}


def integer_parts(floats: Mapping[str, FloatPart]) -> dict[str, IntegerPart]:
    """Return the parts in integers, scales from all that the float parts have computed so far."""
    parts = {}
    for name, part in floats.items():
        plan = CompressionPlan.from_json(part.graph.metadata["azsim.compression"])
        parts[name] = IntegerPart(compress_weights(part.graph, part.recorder.ranges(), plan))
    return parts


def calibrated(graphs: Mapping[str, Graph], examples: Iterable[Array]) -> dict[str, IntegerPart]:
    """Return the parts in integers after recognizing the `examples` in floats."""
    floats = float_parts(graphs)
    for features in examples:
        recognize(floats, features)
    return integer_parts(floats)
