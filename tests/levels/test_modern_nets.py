"""Nets with attention, norms, GRU and coupled LSTM: fast machine and clocked model give the integer
reference's bits and the same cycles; the integers stay near the floats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compiled import compile_file, integer_steps, noise_db, reference_outputs, run_machine
from modern_nets import conformer_block, gru_net, projected_lstm
from onnx_models import ModelMaker

from azsim.compiler import CompressionPlan
from azsim.config import load_chip
from azsim.engine.fast_machine import FastMachine
from azsim_kernels.clocked import ClockedMachine

STEPS = 6
FLOORS_DB = {"conformer": 30.0, "gru": 42.0, "gru early": 42.0, "lstm": 33.0}
NETS: dict[str, Callable[[], ModelMaker]] = {
    "conformer": conformer_block,
    "gru": lambda: gru_net(1),
    "gru early": lambda: gru_net(0),
    "lstm": projected_lstm,
}


@pytest.mark.parametrize("name", sorted(NETS))
@pytest.mark.parametrize("machine", ["clocked", "fast"])
def test_net(tmp_path: Path, name: str, machine: str) -> None:
    maker = NETS[name]()
    rng = np.random.default_rng(3)
    shape = next(i for i in maker.inputs if i.name == "x").type.tensor_type.shape
    size = tuple(dim.dim_value for dim in shape.dim)
    feeds = {"x": rng.normal(size=(STEPS, *size)).astype(np.float32)}
    chip = load_chip("tiny", ["abuf.capacity_kb=256", "sequencer.semaphores=32"])
    compiled, floats = compile_file(maker.save(tmp_path), feeds, chip, CompressionPlan())
    steps = integer_steps(compiled.program, feeds, STEPS)
    wanted = reference_outputs(compiled, steps)
    make = ClockedMachine if machine == "clocked" else FastMachine
    count = 2 if machine == "clocked" else STEPS
    outputs, results = run_machine(make, compiled.program, chip, steps[:count])
    assert all(result.status == 0 for result in results)
    for ours, reference in zip(outputs, wanted, strict=False):
        for port in ours:
            np.testing.assert_array_equal(ours[port], reference[port])
    scale = compiled.integers.tensors["y"].scale
    exact = np.stack([values["y"] for values in floats])
    assert noise_db(exact, np.stack([w["y"] for w in wanted]) * scale) > FLOORS_DB[name]
