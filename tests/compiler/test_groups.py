"""Convolutions of many groups: neighbouring groups share a matrix, results stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compiled import compile_file, integer_steps, reference_outputs, run_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx_models import ModelMaker

from azsim.compiler import CompressionPlan
from azsim.compiler.groups import join_groups, joined_weights
from azsim.config import load_chip
from azsim.engine.fast_machine import FastMachine
from azsim.graph.integer import Linear
from azsim.graph.integer_window import Window

Shape = tuple[int, int, int, int, int]  # groups, inputs and outputs of each, kernel, length


def grouped(folder: Path, shape: Shape) -> tuple[Path, dict[str, np.ndarray]]:
    """A 1-D convolution."""
    groups, inputs, outputs, kernel, length = shape
    rng = np.random.default_rng(7)
    maker = ModelMaker()
    maker.input("x", (1, groups * inputs, length))
    maker.tensor("w", rng.normal(size=(groups * outputs, inputs, kernel)))
    maker.tensor("b", rng.normal(size=groups * outputs))
    maker.node("Conv", ["x", "w", "b"], ["y"], name="conv", group=groups)
    maker.output("y")
    feeds = {"x": rng.normal(size=(2, 1, groups * inputs, length)).astype(np.float32)}
    return maker.save(folder), feeds


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    shape=st.tuples(
        st.sampled_from([2, 3, 4, 6, 12]), st.integers(2, 4), st.integers(1, 3),
        st.integers(1, 3), st.integers(3, 6),
    ),
    skip=st.sampled_from(["weight", "none", "both"]),
)  # fmt: skip
def test_joined_groups_give_the_same_integers(
    tmp_path_factory: pytest.TempPathFactory, shape: Shape, skip: str
) -> None:
    path, feeds = grouped(tmp_path_factory.mktemp("net"), shape)
    chip = load_chip("tiny", [f"mac_array.skip={skip}"])
    compiled, _ = compile_file(path, feeds, chip, CompressionPlan(bits=5))
    steps = integer_steps(compiled.program, feeds, 2)
    outputs, _ = run_machine(FastMachine, compiled.program, chip, steps)
    for got, want in zip(outputs, reference_outputs(compiled, steps), strict=True):
        np.testing.assert_array_equal(got["y"], want["y"])


def test_many_small_groups_become_few_tiles(tmp_path: Path) -> None:
    path, feeds = grouped(tmp_path, (64, 4, 4, 2, 2))
    chip = load_chip("az1")
    compiled, _ = compile_file(path, feeds, chip, CompressionPlan())
    (before,) = (n for n in compiled.integers.nodes if isinstance(n, Linear))
    (node,) = (n for n in join_groups(compiled.integers, chip).nodes if isinstance(n, Linear))
    assert node.window is not None
    assert node.window.groups < 16
    assert np.count_nonzero(node.weights) == np.count_nonzero(before.weights) > 0
    assert len(compiled.program.tiles) < 32


def test_a_net_without_groups_stays_as_it_is(tmp_path: Path) -> None:
    path, feeds = grouped(tmp_path, (1, 4, 4, 2, 4))
    chip = load_chip("az1")
    compiled, _ = compile_file(path, feeds, chip, CompressionPlan())
    assert join_groups(compiled.integers, chip) is compiled.integers


@pytest.mark.small
def test_weights_stand_on_the_diagonal() -> None:
    weights = np.array([[1, 2], [3, 4], [5, 6], [7, 8]], np.int8)  # 4 groups of one row, 2 taps
    window = Window(1, 1, 3, 0, 0, 4, (0, 4), 4, 1)
    want = [[1, 0, 2, 0], [0, 3, 0, 4], [5, 0, 6, 0], [0, 7, 0, 8]]
    assert joined_weights(weights, window, 2).tolist() == want
