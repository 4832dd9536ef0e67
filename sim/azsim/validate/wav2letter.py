"""wav2letter on a machine with the rates of Ethos-U55: a whole net of 1-D convolutions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from azsim.compiler import CompressionPlan, RangeRecorder, compile_graph
from azsim.config import load_chip
from azsim.engine import simulate
from azsim.graph import Graph, Node, Value, ValueKind, verify_graph
from azsim.graph.types import Attribute
from azsim.reference.floats import run_floats
from azsim.units import BITS_PER_BYTE
from azsim.validate.published import (
    U55_BITS_PER_WEIGHT,
    U55_CYCLES,
    U55_SOURCE,
    U55_TOLERANCE,
    WAV2LETTER,
    WAV2LETTER_FRAMES,
    WAV2LETTER_MEGA_MACS,
    WAV2LETTER_MEGA_WEIGHTS,
    WAV2LETTER_SPARSITY,
    ConvLayer,
)
from azsim.validate.tables import Check, Context, Table
from azsim.zoo.weights import grid_weights

CHIP = "u55_128"
SEED = 1
WEIGHT_BITS = 8
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Wav2LetterRun:
    """What the machine did with the net, and what its weights became."""

    cycles: int
    macs: int
    weights: int
    zeros: int
    stream_bytes: int

    @property
    def bits_per_weight(self) -> float:
        """Bits of the compressed stream per weight, zeros included."""
        return self.stream_bytes * BITS_PER_BYTE / self.weights


def wav2letter_graph(layers: tuple[ConvLayer, ...] = WAV2LETTER, seed: int = SEED) -> Graph:
    """The net with seeded, pruned weights: convolutions over time with SAME padding and Relu.

    Weights are Laplace distributed by row and pruned by magnitude, as those of the zoo; the
    published net's own are not shipped here.
    """
    rng = np.random.default_rng(seed)
    features = layers[0].channels
    values = {"x": Value("x", (1, features, WAV2LETTER_FRAMES), ValueKind.INPUT)}
    nodes: list[Node] = []
    x = "x"
    for layer in layers:
        for node, made in _layer(layer, x, values, rng):
            nodes.append(node)
            for value in made:
                values[value.name] = value
            x = node.outputs[0]
    graph = Graph("wav2letter", tuple(nodes), values, ("x",), (x,))
    verify_graph(graph)
    return graph


def _layer(
    layer: ConvLayer, x: str, values: dict[str, Value], rng: np.random.Generator
) -> Iterator[tuple[Node, list[Value]]]:
    """Convolution and Relu (the last layer gives scores and has none)."""
    frames = values[x].shape[2]
    outputs = -(-frames // layer.stride)
    total = max(0, (outputs - 1) * layer.stride + layer.kernel - frames)
    columns = layer.channels * layer.kernel
    matrix = grid_weights(
        rng, layer.outputs, columns, columns**-0.5, WEIGHT_BITS, WAV2LETTER_SPARSITY
    )
    data: FloatArray = matrix.reshape(layer.outputs, layer.channels, layer.kernel)
    weight = Value(f"{layer.name}.W", data.shape, ValueKind.CONSTANT, data)
    shape = (1, layer.outputs, outputs)
    result = f"{layer.name}.sum" if layer.relu else layer.name
    attributes: dict[str, Attribute] = {
        "strides": (layer.stride,),
        "dilations": (1,),
        "pads": (total // 2, total - total // 2),
        "group": 1,
    }
    node = Node(layer.name, "Conv", (x, weight.name), (result,), attributes)
    yield node, [weight, Value(result, shape, ValueKind.NODE)]
    if layer.relu:
        relu = Node(f"{layer.name}.relu", "Relu", (result,), (layer.name,))
        yield relu, [Value(layer.name, shape, ValueKind.NODE)]


@cache
def run_wav2letter() -> Wav2LetterRun:
    """Compile and time one inference of the net."""
    chip = load_chip(CHIP)
    graph = wav2letter_graph()
    shape = (1, *graph.values["x"].shape)
    frames = np.random.default_rng(SEED).standard_normal(shape, dtype=np.float32)
    recorder = RangeRecorder(graph)
    for values in run_floats(graph, {"x": frames}):
        recorder.add(values)
    plan = CompressionPlan(bits=WEIGHT_BITS)
    program = compile_graph(graph, chip, recorder.ranges(), plan).program
    (port,) = program.inputs
    step = {"x": np.clip(np.rint(frames[0] / port.scale), -128, 127).astype(np.int8)}
    counters = simulate(program, chip, [step], timing_only=True).counters
    layers = program.layers
    weights = sum(layer.weights for layer in layers)
    return Wav2LetterRun(
        cycles=counters.cycles,
        macs=sum(layer.weights * layer.activation_columns for layer in layers),
        weights=weights,
        zeros=weights - sum(layer.nonzeros for layer in layers),
        stream_bytes=sum(layer.stream_bytes for layer in layers),
    )


@cache
def u55_table() -> Table:
    """Return the rows of wav2letter, simulated."""
    run = run_wav2letter()
    cycles = run.cycles / 1e6
    least, most = U55_CYCLES
    return Table(
        name=CHIP,
        title="Ethos-U55 with 128 MACs per cycle, wav2letter pruned to 50 %",
        quantity="million cycles of one inference, bits per weight",
        source=U55_SOURCE,
        method=(
            f"The net's shapes with seeded weights, {WAV2LETTER_SPARSITY:.0%} of them zero, 8 bits,"
            " one inference, weights from flash in this project's format (profile ans)."
        ),
        checks=(
            Check(
                "million cycles",
                min(max(cycles, least), most),
                cycles,
                U55_TOLERANCE,
                (Context("least", least, cycles), Context("most", most, cycles)),
            ),
            Check(
                "bits per weight",
                U55_BITS_PER_WEIGHT,
                run.bits_per_weight,
                0.0,
                (
                    Context("M weights", WAV2LETTER_MEGA_WEIGHTS, run.weights / 1e6),
                    Context("M MACs", WAV2LETTER_MEGA_MACS, run.macs / 1e6),
                ),
                at_most=True,
            ),
        ),
    )
