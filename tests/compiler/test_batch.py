"""Several frames per step give the integers of single frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx_models import ModelMaker, lstm_tensors

from azsim.compiler import CompressionPlan, RangeRecorder, batch_graph, compile_graph
from azsim.config import load_chip
from azsim.errors import CompileError, ConfigError
from azsim.frontend import read_onnx
from azsim.reference.floats import run_floats
from azsim.reference.integers import run_integers

STEPS, FRAMES = 6, 3


def packed_net(length: int, hidden: int = 5) -> ModelMaker:
    """Two LSTM layers whose states are slices of one tensor each, as exporters write them; Gemm."""
    rng = np.random.default_rng(length)
    maker = ModelMaker()
    maker.input("x", (length, 1, 7))
    maker.input("h0", (2, 1, hidden))
    maker.input("c0", (2, 1, hidden))
    maker.tensor("zero", [0], np.int64)
    maker.tensor("one", [1], np.int64)
    maker.tensor("two", [2], np.int64)
    value, width = "x", 7
    for layer, (begin, end) in enumerate([("zero", "one"), ("one", "two")]):
        weights = lstm_tensors(maker, rng, width, hidden, f"l{layer}.")
        for state in "hc":
            maker.node("Slice", [f"{state}0", begin, end, "zero"], [f"{state}_in{layer}"])
        names = [f"y{layer}", f"h_out{layer}", f"c_out{layer}"]
        states = [f"h_in{layer}", f"c_in{layer}"]
        maker.node("LSTM", [value, *weights, "", *states], names, hidden_size=hidden)
        maker.node("Squeeze", [f"y{layer}", "one"], [f"flat{layer}"])
        value, width = f"flat{layer}", hidden
    for state in "hc":
        maker.node("Concat", [f"{state}_out0", f"{state}_out1"], [f"{state}_new"], axis=0)
        maker.output(f"{state}_new")
    maker.tensor("w", rng.normal(size=(hidden, 3)))
    maker.tensor("b", rng.normal(size=3))
    maker.node("MatMul", [value, "w"], ["product"])
    maker.node("Add", ["product", "b"], ["logits"])
    maker.node("Softmax", ["logits"], ["y"], axis=-1)
    maker.node("Transpose", ["y"], ["turned"], perm=[2, 0, 1])
    maker.output("y")
    maker.output("turned")
    maker.metadata["azsim.state"] = json.dumps({"h0": "h_new", "c0": "c_new"})
    return maker


@pytest.mark.small
@pytest.mark.parametrize("length", [1, 2])
def test_integers_equal_those_of_single_frames(tmp_path: Path, length: int) -> None:
    graph = read_onnx(packed_net(length).save(tmp_path))
    frames = np.random.default_rng(0).normal(size=(STEPS, length, 1, 7)).astype(np.float32)
    recorder = RangeRecorder(graph)
    for values in run_floats(graph, {"x": frames}):
        recorder.add(values)
    chip, plan = load_chip("tiny"), CompressionPlan(bits=6)
    single = compile_graph(graph, chip, recorder.ranges(), plan).integers
    batched = compile_graph(batch_graph(graph, FRAMES), chip, recorder.ranges(), plan).integers
    scale = single.tensors["x"].scale
    assert batched.tensors["x"].scale == scale
    integers = np.clip(np.rint(frames / scale), -128, 127).astype(np.int8)
    want = list(run_integers(single, [{"x": x} for x in integers]))
    passes = integers.reshape(STEPS // FRAMES, FRAMES, length, 1, 7)
    got = list(run_integers(batched, [{"x": x} for x in passes]))
    for name in ("y", "turned"):
        stacked = np.concatenate([values[name] for values in got])
        np.testing.assert_array_equal(stacked, np.stack([values[name] for values in want]))


@pytest.mark.small
def test_one_frame_is_the_graph_itself(tmp_path: Path) -> None:
    graph = read_onnx(packed_net(1).save(tmp_path))
    assert batch_graph(graph, 1) is graph


@pytest.mark.small
def test_a_state_outside_an_lstm_is_refused(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (1, 4))
    maker.input("s", (1, 4))
    maker.node("Add", ["x", "s"], ["new"])
    maker.output("new")
    maker.node("Relu", ["new"], ["y"])
    maker.output("y")
    maker.metadata["azsim.state"] = json.dumps({"s": "new"})
    graph = read_onnx(maker.save(tmp_path))
    with pytest.raises(CompileError, match=r"^input 'x': must not become a state for several"):
        batch_graph(graph, 2)
    with pytest.raises(ConfigError, match=r"^--frames-per-pass: must be 1 or more, not 0$"):
        batch_graph(graph, 0)
