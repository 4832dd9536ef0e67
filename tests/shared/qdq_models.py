"""Models of one operator between DequantizeLinear and QuantizeLinear, and the rule of agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper
from onnx_models import ModelMaker

from azsim.compiler import CompiledGraph, CompressionPlan, RangeRecorder, compile_graph
from azsim.config import load_chip
from azsim.frontend import read_onnx
from azsim.graph import Graph
from azsim.reference.floats import evaluate_floats, initial_states
from azsim.reference.integers import evaluate_integers

NEAR_A_HALF = 1e-3  # steps
KINDS = {"int8": TensorProto.INT8, "uint8": TensorProto.UINT8}
LOWEST = {"int8": -128, "uint8": 0}


@dataclass(frozen=True)
class Grid:
    """Quantization of one tensor as a test chooses it; `scale` is rounded to float32."""

    element: str
    scale: float
    zero_point: int

    @property
    def step(self) -> float:
        return float(np.float32(self.scale))

    def numbers(self, integers: np.ndarray) -> np.ndarray:
        """The real numbers, exact in float64."""
        return (integers.astype(np.float64) - self.zero_point) * self.step

    def limited(self, steps: np.ndarray) -> np.ndarray:
        low = LOWEST[self.element]
        return np.clip(steps, low, low + 255)

    def stored(self, integers: np.ndarray) -> np.ndarray:
        """The machine's int8 for the model's integers."""
        return (integers.astype(np.int64) + (-128 - LOWEST[self.element])).astype(np.int8)

    def random(self, rng: np.random.Generator, shape: Sequence[int]) -> np.ndarray:
        low = LOWEST[self.element]
        return rng.integers(low, low + 256, shape).astype(self.element)


class QdqMaker(ModelMaker):
    """ModelMaker with quantizers."""

    def __init__(self, opset: int = 21) -> None:
        super().__init__(opset)
        self.grids: dict[str, Grid] = {}

    def parameters(self, name: str, grid: Grid) -> list[str]:
        """Scale and zero point tensors of `name`."""
        if name not in self.grids:
            self.grids[name] = grid
            self.tensor(f"{name}_s", np.float32(grid.scale))
            self.tensor(f"{name}_z", grid.zero_point, grid.element)
        return [f"{name}_s", f"{name}_z"]

    def given(self, name: str, shape: Sequence[int], grid: Grid) -> str:
        """An integer graph input; returns the name of its numbers."""
        self.input(name, shape, KINDS[grid.element])
        self.node("DequantizeLinear", [name, *self.parameters(name, grid)], [f"{name}_d"])
        return f"{name}_d"

    def quantized(self, source: str, name: str, grid: Grid) -> str:
        """QuantizeLinear to integers `name`, DequantizeLinear; returns the numbers."""
        self.node("QuantizeLinear", [source, *self.parameters(name, grid)], [name])
        self.node("DequantizeLinear", [name, *self.parameters(name, grid)], [f"{name}_d"])
        return f"{name}_d"

    def result(self, source: str, grid: Grid, name: str = "y") -> None:
        """The integer graph output."""
        self.node("QuantizeLinear", [source, *self.parameters(name, grid)], [name])
        self.output(name, None, KINDS[grid.element])

    def constant(
        self, name: str, integers: np.ndarray, scale: object, zero: object = None, axis: int = 0
    ) -> str:
        """A dequantized constant; a list of scales lies along `axis`."""
        self.tensor(f"{name}_q", integers, integers.dtype)
        inputs = [f"{name}_q", self.tensor(f"{name}_cs", scale)]
        if zero is not None:
            inputs.append(self.tensor(f"{name}_cz", zero, integers.dtype))
        self.node("DequantizeLinear", inputs, [name], axis=axis)
        return name

    def int4(self, name: str, integers: np.ndarray, kind: int = TensorProto.INT4) -> str:
        """A packed 4-bit tensor."""
        flat = [int(entry) for entry in integers.reshape(-1)]
        self.tensors.append(helper.make_tensor(name, kind, integers.shape, flat))
        return name


def run_qdq(path: Path, feeds: Mapping[str, np.ndarray], optimized: bool = False) -> dict:
    """Outputs of ONNX Runtime; unoptimized, QDQ nodes are computed as they are written."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def compile_qdq(
    path: Path, numbers: Mapping[str, np.ndarray], plan: CompressionPlan | None = None
) -> tuple[Graph, CompiledGraph]:
    """Read and compile for chip tiny, calibrated on one step of numbers."""
    graph = read_onnx(path)
    recorder = RangeRecorder(graph)
    recorder.add(evaluate_floats(graph, numbers, initial_states(graph))[0])
    chip = load_chip("tiny", ["abuf.capacity_kb=256", "sequencer.semaphores=32"])
    return graph, compile_graph(graph, chip, recorder.ranges(), plan)


def integers_of(maker: QdqMaker, path: Path, feeds: Mapping[str, np.ndarray]) -> dict:
    """The compiled model's outputs for integer feeds, in the model's own integers (int64)."""
    numbers = {name: maker.grids[name].numbers(array) for name, array in feeds.items()}
    _, compiled = compile_qdq(path, {n: a.astype(np.float32) for n, a in numbers.items()})
    stored = {name: maker.grids[name].stored(array) for name, array in feeds.items()}
    values = evaluate_integers(compiled.integers, stored)
    offset = {name: 128 + LOWEST[maker.grids[name].element] for name in compiled.integers.outputs}
    return {name: values[name].astype(np.int64) + o for name, o in offset.items()}


def check_agreement(ours: np.ndarray, theirs: np.ndarray, exact: np.ndarray, grid: Grid) -> None:
    """Assert equality except within `NEAR_A_HALF` of a half, there at most one step apart.

    `exact` holds the operator's exact results as real numbers.
    """
    steps = exact / grid.step + grid.zero_point
    near = np.abs(np.abs(steps - np.rint(steps)) - 0.5) <= NEAR_A_HALF
    apart = np.abs(ours.astype(np.int64) - theirs.astype(np.int64))
    assert ours.shape == theirs.shape
    assert apart.max(initial=0) <= 1
    wrong = (apart > 0) & ~near
    assert not wrong.any(), f"{ours[wrong]} for {theirs[wrong]}, exactly {steps[wrong]}"
    best = grid.limited(np.rint(steps))
    assert np.abs(ours - best)[~near].max(initial=0) == 0
