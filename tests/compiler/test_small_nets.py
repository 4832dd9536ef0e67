"""Whole nets of convolutions: machine and reference equal, and near to the float model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compiled import compile_file, integer_steps, reference_outputs, run_machine
from mobile_models import FRAME, mobile_net, stream_net

from azsim.compiler import CompressionPlan
from azsim.config import ChipConfig, load_chip
from azsim.engine.fast_machine import FastMachine
from azsim.graph.integer import Depthwise, Linear, Pool
from azsim_kernels import isa

IMAGE = (1, 3, 32, 32)


def check_net(path: Path, feeds: dict[str, np.ndarray], chip: ChipConfig, floor_db: float) -> None:
    """Run all frames; every integer must be the reference's, the noise below the floor."""
    count = len(feeds["x"])
    compiled, floats = compile_file(path, feeds, chip, CompressionPlan())
    steps = integer_steps(compiled.program, feeds, count)
    outputs, results = run_machine(FastMachine, compiled.program, chip, steps)
    wanted = reference_outputs(compiled, steps)
    scale = compiled.integers.tensors["y"].scale
    signal = noise = 0.0
    for got, want, real in zip(outputs, wanted, floats, strict=True):
        np.testing.assert_array_equal(got["y"], want["y"])
        signal += float((real["y"] ** 2).sum())
        noise += float(((want["y"] * scale - real["y"]) ** 2).sum())
    assert all(result.status == isa.DONE for result in results)
    assert 10 * np.log10(signal / noise) >= floor_db


@pytest.mark.parametrize(
    ("name", "changes"),
    [("az1", []), ("tiny", ["abuf.capacity_kb=12", "sequencer.semaphores=32"])],
)
def test_a_net_of_inverted_residuals(tmp_path: Path, name: str, changes: list[str]) -> None:
    """On tiny most activations lie in DRAM; on az1 none does."""
    feeds = {"x": np.random.default_rng(5).normal(size=(1, *IMAGE)).astype(np.float32)}
    check_net(mobile_net(tmp_path, IMAGE[2]), feeds, load_chip(name, changes), 28.0)


def test_the_net_uses_array_and_vector_unit(tmp_path: Path) -> None:
    feeds = {"x": np.random.default_rng(5).normal(size=(1, *IMAGE)).astype(np.float32)}
    path = mobile_net(tmp_path, IMAGE[2])
    compiled, _ = compile_file(path, feeds, load_chip("az1"), CompressionPlan())
    kinds = [type(node) for node in compiled.integers.nodes]
    assert (kinds.count(Depthwise), kinds.count(Pool)) == (5, 1)
    assert kinds.count(Linear) == 1 + 4 + 5 + 1 + 1  # stem, expansions, projections, head, scores


def test_a_streaming_net_of_causal_convolutions(tmp_path: Path) -> None:
    frames = np.random.default_rng(5).normal(size=(12, 1, FRAME, 1)).astype(np.float32)
    chip = load_chip("tiny", ["sequencer.semaphores=32"])
    check_net(stream_net(tmp_path), {"x": frames}, chip, 28.0)
