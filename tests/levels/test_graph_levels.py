"""A compiled model gives the integer reference's numbers on the clocked model, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from compiled import compile_file, integer_steps, reference_outputs, run_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx_models import ModelMaker, lstm_tensors
from random_nets import RandomNet, random_nets

from azsim.compiler import CompressionPlan
from azsim.config import load_chip
from azsim_kernels import isa
from azsim_kernels.clocked import ClockedMachine

CHIPS = [
    (),
    ("decoder.units=1", "wbuf.tile_slots=3", "mac_array.lanes=8", "vector.lanes=3"),
    ("decoder.units=3", "mac_array.item_rows_per_lane=2", "mac_array.accumulators_per_lane=6"),
    ("mac_array.skip=both", "wbuf.slot_weights=256", "sequencer.semaphores=20"),
    ("mac_array.skip=activation", "sequencer.queue_depth=1", "memory.access_bytes=16"),
    ("mac_array.skip=none", "decoder.port_bits=128", "mac_array.lanes=1"),
    ("decoder.profile=ans", "decoder.table_slots=2", "wbuf.slot_weights=2048"),
]


def check(path: Path, feeds: dict[str, np.ndarray], overrides: tuple[str, ...], bits: int) -> None:
    chip = load_chip("tiny", overrides)
    compiled, _ = compile_file(path, feeds, chip, CompressionPlan(bits=bits, sparsity=0.3))
    steps = integer_steps(compiled.program, feeds, len(next(iter(feeds.values()))))
    outputs, results = run_machine(ClockedMachine, compiled.program, chip, steps)
    for step, want in enumerate(reference_outputs(compiled, steps)):
        assert results[step].status == isa.DONE
        for name, array in want.items():
            np.testing.assert_array_equal(outputs[step][name], array, f"step {step}, {name}")


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(net=random_nets(), chip=st.sampled_from(CHIPS), bits=st.sampled_from([8, 5, 2]))
def test_random_graphs(
    tmp_path_factory: pytest.TempPathFactory, net: RandomNet, chip: tuple[str, ...], bits: int
) -> None:
    if len(net.live) < 2:
        return
    for name, shape in net.live[1:]:
        net.maker.output(name, shape)
    path = net.maker.save(tmp_path_factory.mktemp("net"))
    check(path, {"x": np.stack([net.feeds["x"], -net.feeds["x"]])}, chip, bits)


@pytest.mark.parametrize("overrides", CHIPS, ids=lambda chip: ",".join(chip) or "tiny")
@pytest.mark.parametrize(("length", "batch"), [(1, 1), (2, 1), (3, 2)])
def test_lstm_with_carried_state(
    tmp_path: Path, overrides: tuple[str, ...], length: int, batch: int
) -> None:
    rng = np.random.default_rng(length * 10 + batch)
    maker = ModelMaker()
    maker.input("x", (length, batch, 7))
    maker.input("h", (1, batch, 11))
    maker.input("c", (1, batch, 11))
    weights = lstm_tensors(maker, rng, 7, 11)
    maker.node("LSTM", ["x", *weights, "", "h", "c"], ["Y", "h2", "c2"], hidden_size=11)
    maker.tensor("axes", [1], np.int64)
    maker.node("Squeeze", ["Y", "axes"], ["flat"])
    maker.tensor("w", rng.normal(size=(5, 11)))
    maker.tensor("b", rng.normal(size=5))
    maker.tensor("rows", [length * batch, 11], np.int64)
    maker.node("Reshape", ["flat", "rows"], ["all_rows"])
    maker.node("Gemm", ["all_rows", "w", "b"], ["y"], transB=1)
    for name in ("y", "h2", "c2"):
        maker.output(name)
    maker.metadata["azsim.state"] = json.dumps({"h": "h2", "c": "c2"})
    feeds = {"x": rng.normal(size=(3, length, batch, 7)).astype(np.float32)}
    check(maker.save(tmp_path), feeds, overrides, 6)


def test_states_that_pass_old_values_on(tmp_path: Path) -> None:
    """A delay line: each state takes over the old value of the one before, and two swap."""
    maker = ModelMaker()
    maker.input("x", (1, 5))
    for name in ("d1", "d2", "p", "q"):
        maker.input(name, (1, 5))
    maker.node("Add", ["d2", "x"], ["y"])
    maker.node("Add", ["p", "x"], ["p2"])
    maker.node("Identity", ["x"], ["x1"])
    maker.node("Relu", ["x1"], ["new"])
    maker.node("Add", ["q", "d1"], ["z"])
    maker.output("y")
    maker.output("z")
    maker.node("Identity", ["d1"], ["d1_old"])
    maker.node("Identity", ["q"], ["q_old"])
    for name in ("new", "p2", "d1_old", "q_old"):
        maker.output(name)
    pairs = {"d1": "new", "d2": "d1_old", "p": "q_old", "q": "p2"}
    maker.metadata["azsim.state"] = json.dumps(pairs)
    rng = np.random.default_rng(4)
    feeds = {"x": rng.normal(size=(6, 1, 5)).astype(np.float32)}
    check(maker.save(tmp_path), feeds, (), 8)


def test_tables_of_several_matrices_in_one_slot(tmp_path: Path) -> None:
    """Matrices large enough for tables, more of them than table slots."""
    rng = np.random.default_rng(5)
    maker = ModelMaker()
    maker.input("x", (1, 96))
    name = "x"
    for k in range(3):
        maker.tensor(f"w{k}", rng.laplace(size=(96, 96)))
        maker.tensor(f"b{k}", rng.normal(size=96))
        maker.node("Gemm", [name, f"w{k}", f"b{k}"], [f"y{k}"], transB=1)
        name = f"y{k}"
    maker.output(name)
    path = maker.save(tmp_path)
    feeds = {"x": rng.normal(size=(2, 1, 96)).astype(np.float32)}
    overrides = ("decoder.profile=ans", "decoder.table_slots=2", "wbuf.slot_weights=2048")
    compiled, _ = compile_file(
        path, feeds, load_chip("tiny", overrides), CompressionPlan(bits=6, sparsity=0.3)
    )
    assert (compiled.program.commands["opcode"] == isa.TABLE).sum() >= 3
    check(path, feeds, overrides, 6)
