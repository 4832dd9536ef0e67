"""States that a step adds to are held in 16 bits, and others are not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from compiled import compile_file, integer_steps, reference_outputs, run_machine
from onnx_models import ModelMaker

from azsim.compiler import CompressionPlan
from azsim.compiler.accumulators import accumulated_values
from azsim.config import load_chip
from azsim.engine.fast_machine import FastMachine
from azsim.frontend import read_onnx
from azsim_kernels.clocked.machine import ClockedMachine

WIDTH = 8


def saved(maker: ModelMaker, folder: Path) -> Path:
    maker.output("new")
    maker.output("y")
    maker.metadata = {"azsim.state": json.dumps({"old": "new"})}
    return maker.save(folder)


def mean_net(folder: Path, share: float = 1 / 64) -> Path:
    """A running mean, old + share * (x - old)."""
    maker = ModelMaker()
    for name in ("x", "old"):
        maker.input(name, (1, WIDTH))
    maker.tensor("share", share)
    maker.node("Sub", ["x", "old"], ["beyond"], name="beyond")
    maker.node("Mul", ["beyond", "share"], ["step"], name="step")
    maker.node("Add", ["old", "step"], ["new"], name="mean")
    maker.node("Tanh", ["new"], ["y"], name="tanh")
    return saved(maker, folder)


def gated_net(folder: Path) -> Path:
    """f * old + x, normalized, the gate from the input; what is shown goes through a function."""
    maker = ModelMaker(17)
    for name in ("x", "old"):
        maker.input(name, (1, WIDTH))
    maker.tensor("gain", np.linspace(0.5, 1.5, WIDTH))
    maker.node("Sigmoid", ["x"], ["gate"], name="gate")
    maker.node("Mul", ["gate", "old"], ["kept"], name="keep")
    maker.node("Add", ["kept", "x"], ["sum"], name="sum")
    maker.node("LayerNormalization", ["sum", "gain"], ["new"], name="norm")
    maker.node("Tanh", ["new"], ["y"], name="tanh")
    return saved(maker, folder)


def delay_net(folder: Path) -> Path:
    maker = ModelMaker()
    for name in ("x", "old"):
        maker.input(name, (1, WIDTH))
    maker.tensor("half", 0.5)
    maker.node("Mul", ["x", "half"], ["new"], name="new")
    maker.node("Add", ["old", "x"], ["y"], name="sum")
    return saved(maker, folder)


def fed_back_net(folder: Path) -> Path:
    """A plain recurrence: what comes back goes through a product and a function."""
    maker = ModelMaker()
    for name in ("x", "old"):
        maker.input(name, (1, WIDTH))
    maker.tensor("w", np.eye(WIDTH) * 0.5)
    maker.node("MatMul", ["old", "w"], ["mixed"], name="fc")
    maker.node("Add", ["mixed", "x"], ["sum"], name="sum")
    maker.node("Tanh", ["sum"], ["new"], name="tanh")
    maker.node("Relu", ["new"], ["y"], name="relu")
    return saved(maker, folder)


def test_what_lies_between_a_state_and_its_result(tmp_path: Path) -> None:
    found = accumulated_values(read_onnx(mean_net(tmp_path)))
    assert [set(names) for names in found] == [{"old", "beyond", "step", "new"}]
    found = accumulated_values(read_onnx(gated_net(tmp_path)))
    assert [set(names) for names in found] == [{"old", "kept", "sum", "new"}]
    for make in (delay_net, fed_back_net):
        assert accumulated_values(read_onnx(make(tmp_path))) == []


def test_a_slow_mean_arrives(tmp_path: Path) -> None:
    """In steps of 1/127 of its range it would stand still as soon as a step is less than half of
    one: 64 / 127 / 2, a quarter of the way, short of the end."""
    path = mean_net(tmp_path)
    feeds = {"x": np.ones((400, 1, WIDTH), np.float32)}
    compiled, floats = compile_file(path, feeds, load_chip("tiny"), CompressionPlan())
    steps = integer_steps(compiled.program, feeds, 400)
    tensor = compiled.integers.tensors["new"]
    assert tensor.element == "int16"
    last = reference_outputs(compiled, steps)[-1]["y"] * compiled.integers.tensors["y"].scale
    np.testing.assert_allclose(last, floats[-1]["y"], atol=0.02)
    assert floats[-1]["y"].min() > np.tanh(0.99)


@pytest.mark.parametrize("make", [mean_net, gated_net])
def test_16_bit_states_are_the_same_on_all_levels(tmp_path: Path, make: object) -> None:
    assert callable(make)
    rng = np.random.default_rng(1)
    feeds = {"x": rng.normal(size=(6, 1, WIDTH)).astype(np.float32)}
    chip = load_chip("tiny")
    compiled, _ = compile_file(make(tmp_path), feeds, chip, CompressionPlan())
    steps = integer_steps(compiled.program, feeds, 6)
    for machine in (FastMachine, ClockedMachine):
        outputs, _ = run_machine(machine, compiled.program, chip, steps)
        for got, want in zip(outputs, reference_outputs(compiled, steps), strict=True):
            np.testing.assert_array_equal(got["y"], want["y"])
