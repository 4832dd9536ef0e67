"""Whole quantized nets, made by ONNX Runtime's quantizer and by hand: noise, states, machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from compiled import reference_outputs, run_machine
from onnx_models import ModelMaker, lstm_tensors
from qdq_models import Grid, QdqMaker, run_qdq

from azsim import api
from azsim.compiler import (
    CompiledGraph,
    CompressionPlan,
    RangeRecorder,
    batch_graph,
    compile_graph,
)
from azsim.config import load_chip
from azsim.frontend import read_onnx
from azsim.graph import Graph
from azsim.reference.floats import run_floats
from azsim.reference.integers import run_integers
from azsim_kernels import isa
from azsim_kernels.clocked import ClockedMachine

STEPS = 24
FLOOR_DB = 28.0  # of a net against ONNX Runtime; measured: docs/quantized_models.md


def decibels(signal: np.ndarray, other: np.ndarray) -> float:
    noise = float(np.sum((signal.astype(np.float64) - other) ** 2))
    return 10 * np.log10(float(np.sum(signal.astype(np.float64) ** 2)) / max(noise, 1e-300))


# -- nets ---------------------------------------------------------------------------------------


def speech_net() -> ModelMaker:
    """Dense layer, LSTM with carried state, gated branch with a residual, softmax."""
    rng = np.random.default_rng(0)
    maker = ModelMaker(opset=21)
    maker.input("x", (4, 1, 24))
    maker.input("h", (1, 1, 16))
    maker.input("c", (1, 1, 16))
    for name, shape in (("w1", (24, 32)), ("w3", (16, 20)), ("w4", (20, 9)), ("w5", (16, 20))):
        maker.tensor(name, rng.normal(size=shape) * 0.35)
    for name, size in (("b1", 32), ("b3", 20)):
        maker.tensor(name, rng.normal(size=size) * 0.1)
    maker.tensor("rows", [4, 16], np.int64)
    maker.node("MatMul", ["x", "w1"], ["p1"])
    maker.node("Add", ["p1", "b1"], ["a1"])
    maker.node("Relu", ["a1"], ["r1"])
    lstm = ["r1", *lstm_tensors(maker, rng, 32, 16), "", "h", "c"]
    maker.node("LSTM", lstm, ["Y", "h2", "c2"], hidden_size=16)
    maker.node("Reshape", ["Y", "rows"], ["f"])
    maker.node("Gemm", ["f", "w3", "b3"], ["g"])
    maker.node("Tanh", ["g"], ["t"])
    maker.node("MatMul", ["f", "w5"], ["g5"])
    maker.node("Sigmoid", ["g5"], ["s"])
    maker.node("Mul", ["t", "s"], ["m"])
    maker.node("Add", ["m", "g5"], ["sum"])
    maker.node("MatMul", ["sum", "w4"], ["o"])
    maker.node("Softmax", ["o"], ["y"], axis=-1)
    maker.output("y", (4, 9))
    for name in ("h2", "c2"):
        maker.output(name, (1, 1, 16))
    maker.metadata["azsim.state"] = json.dumps({"h": "h2", "c": "c2"})
    return maker


def feeds_of(seed: int, steps: int = STEPS) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(steps, 4, 1, 24)).astype(np.float32)


class Frames:
    """Calibration data as ONNX Runtime's quantizer asks for it."""

    def __init__(self) -> None:
        rng = np.random.default_rng(7)
        state = (rng.normal(size=(2, 1, 1, 16)) * 0.3).astype(np.float32)
        self._left: Iterator[dict[str, np.ndarray]] = iter(
            [{"x": x, "h": state[0], "c": state[1]} for x in feeds_of(7, 10)]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._left, None)


@pytest.fixture(params=["int8", "uint8", "int8 per channel", "uint8 per channel"])
def quantized(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The speech net as ONNX Runtime's static quantizer writes it."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    kind = QuantType.QUInt8 if request.param.startswith("u") else QuantType.QInt8
    path = tmp_path / "quantized.onnx"
    quantize_static(
        str(speech_net().save(tmp_path)),
        str(path),
        Frames(),
        quant_format=QuantFormat.QDQ,
        per_channel="per channel" in request.param,
        activation_type=kind,
        weight_type=QuantType.QInt8,
    )
    return path


def run_onnxruntime_steps(path: Path, graph: Graph, feeds: dict[str, np.ndarray]) -> np.ndarray:
    """Output y of each step, states carried."""
    states = {}
    for pair in graph.states:
        value = graph.values[pair.source]
        grid = value.quantization
        kind = np.float32 if grid is None else np.dtype(grid.element)
        states[pair.source] = np.full(value.shape, 0 if grid is None else grid.zero_point, kind)
    results = []
    for step in range(len(next(iter(feeds.values())))):
        values = run_qdq(path, {**{n: a[step] for n, a in feeds.items()}, **states})
        states = {pair.source: values[pair.result] for pair in graph.states}
        results.append(values["y"])
    return np.stack(results)


def compiled_of(graph: Graph, feeds: dict[str, np.ndarray], chip: str = "az1") -> CompiledGraph:
    recorder = RangeRecorder(graph)
    for values in run_floats(graph, feeds):
        recorder.add(values)
    return compile_graph(graph, load_chip(chip, ()), recorder.ranges(), CompressionPlan())


def steps_of(compiled: CompiledGraph, feeds: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
    """Frames as the program's integers."""
    return [
        {
            port.name: np.clip(
                np.rint(feeds[port.name][step] / port.scale) + port.zero_point, -128, 127
            ).astype(np.int8)
            for port in compiled.program.inputs
        }
        for step in range(len(next(iter(feeds.values()))))
    ]


def result_of(compiled: CompiledGraph, feeds: dict[str, np.ndarray]) -> np.ndarray:
    (port,) = compiled.program.outputs
    steps = run_integers(compiled.integers, steps_of(compiled, feeds))
    return np.stack([(v[port.name].astype(float) - port.zero_point) * port.scale for v in steps])


# -- what they must fulfil ----------------------------------------------------------------------


def test_floats_are_onnxruntimes_and_integers_near(quantized: Path) -> None:
    graph, feeds = read_onnx(quantized), {"x": feeds_of(1)}
    theirs = run_onnxruntime_steps(quantized, graph, feeds)
    floats = np.stack([values["y"] for values in run_floats(graph, feeds)])
    assert decibels(theirs, floats) > 45  # single halves of a step may fall the other way
    assert decibels(theirs, result_of(compiled_of(graph, feeds), feeds)) > FLOOR_DB


def test_a_run_verifies_and_says_its_noise(quantized: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=feeds_of(1, 3))
    record = api.run(quantized, input=tmp_path / "x.npz", verify=True)
    assert record.verification is not None
    assert (record.verification.steps, record.verification.exact) == (3, 3)
    assert record.sqnr_db["y"] is not None
    assert record.sqnr_db["y"] > FLOOR_DB


def integer_lstm(h: Grid, y: Grid) -> QdqMaker:
    """LSTM whose x, h, weights and bias are integers; its result goes through 4-bit weights."""
    rng = np.random.default_rng(3)
    maker = QdqMaker()
    x = maker.given("x", (2, 1, 10), Grid("uint8", 0.03, 110))
    first_h = maker.given("h", (1, 1, 8), h)
    maker.input("c", (1, 1, 8))
    for name, columns in (("W", 10), ("R", 8)):
        integers = rng.integers(-127, 128, (1, 32, columns)).astype(np.int8)
        maker.constant(name, integers, rng.uniform(0.002, 0.008, 32), axis=1)
    maker.constant("B", rng.integers(-3000, 3000, (1, 64)).astype(np.int32), np.float32(1e-4))
    inputs = [x, "W", "R", "B", "", first_h, "c"]
    maker.node("LSTM", inputs, ["Y", "Y_h", "c2"], hidden_size=8)
    maker.result("Y_h", h, "h2")
    maker.tensor("rows", [2, 8], np.int64)
    maker.node("Reshape", ["Y", "rows"], ["f"])
    maker.int4("v_q", rng.integers(-8, 8, (8, 6)))
    maker.node("DequantizeLinear", ["v_q", maker.tensor("v_s", np.float32(0.1))], ["v"])
    maker.node("MatMul", [maker.quantized("f", "fq", Grid("uint8", 1 / 127, 128)), "v"], ["p"])
    maker.result("p", y)
    maker.output("c2")
    maker.metadata["azsim.state"] = json.dumps({"h": "h2", "c": "c2"})
    return maker


H_GRIDS = [Grid("uint8", 1 / 127, 128), Grid("uint8", 0.009, 117), Grid("int8", 0.01, -20)]


@pytest.mark.parametrize("h", H_GRIDS, ids=["centred", "uint8", "int8"])
def test_lstm_with_integer_state(tmp_path: Path, h: Grid) -> None:
    y = Grid("int8", 0.03, -9)
    path = integer_lstm(h, y).save(tmp_path)
    graph = read_onnx(path)
    integers = np.random.default_rng(0).integers(0, 256, (STEPS, 2, 1, 10)).astype(np.uint8)
    numbers = {"x": ((integers.astype(float) - 110) * np.float32(0.03)).astype(np.float32)}
    theirs = run_onnxruntime_steps(path, graph, {"x": integers})
    compiled = compiled_of(graph, numbers)
    real = (theirs.astype(float) + 9) * y.step
    assert decibels(real, result_of(compiled, numbers)) > FLOOR_DB
    held = {pair.source for pair in compiled.integers.states}
    assert held == ({"h", "c"} if h.zero_point == 128 else {"h@held", "c"})
    for pair in compiled.integers.states:  # 0 before the first step, as bytes too
        assert compiled.integers.tensors[pair.source].zero_point == 0


CHIPS = [(), ("mac_array.skip=both",), ("mac_array.skip=activation", "decoder.units=1")]


@pytest.mark.parametrize("overrides", CHIPS, ids=["tiny", "skip both", "skip activation"])
def test_integer_state_on_the_clocked_machine(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    graph = read_onnx(integer_lstm(H_GRIDS[1], Grid("uint8", 0.03, 100)).save(tmp_path))
    rng = np.random.default_rng(0)
    numbers = {"x": (rng.normal(size=(3, 2, 1, 10))).astype(np.float32)}
    recorder = RangeRecorder(graph)
    for values in run_floats(graph, numbers):
        recorder.add(values)
    chip = load_chip("tiny", overrides)
    compiled = compile_graph(graph, chip, recorder.ranges(), CompressionPlan())
    steps = steps_of(compiled, numbers)
    outputs, results = run_machine(ClockedMachine, compiled.program, chip, steps)
    for step, want in enumerate(reference_outputs(compiled, steps)):
        assert results[step].status == isa.DONE
        np.testing.assert_array_equal(outputs[step]["y"], want["y"])


def test_a_quantized_net_on_the_clocked_machine(quantized: Path) -> None:
    graph, feeds = read_onnx(quantized), {"x": feeds_of(1, 2)}
    compiled = compiled_of(graph, feeds, "tiny")
    steps = steps_of(compiled, feeds)
    chip = load_chip("tiny", ())
    outputs, results = run_machine(ClockedMachine, compiled.program, chip, steps)
    for step, want in enumerate(reference_outputs(compiled, steps)):
        assert results[step].status == isa.DONE
        np.testing.assert_array_equal(outputs[step]["y"], want["y"])


def test_several_frames_per_pass_give_the_integers_of_single_frames(tmp_path: Path) -> None:
    graph = read_onnx(integer_lstm(H_GRIDS[2], Grid("uint8", 0.03, 100)).save(tmp_path))
    rng = np.random.default_rng(0)
    numbers = {"x": (rng.normal(size=(6, 2, 1, 10))).astype(np.float32)}
    recorder = RangeRecorder(graph)
    for values in run_floats(graph, numbers):
        recorder.add(values)
    chip = load_chip("az1", ())
    single = compile_graph(graph, chip, recorder.ranges(), CompressionPlan())
    batched = compile_graph(batch_graph(graph, 3), chip, recorder.ranges(), CompressionPlan())
    whole = {"x": numbers["x"].reshape(2, 3, 2, 1, 10)}
    ours = [v["y"] for v in run_integers(single.integers, steps_of(single, numbers))]
    together = [v["y"] for v in run_integers(batched.integers, steps_of(batched, whole))]
    np.testing.assert_array_equal(np.stack(ours), np.concatenate(together))
