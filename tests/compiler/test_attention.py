"""Attention with masks and positions as exporters write it stays near onnxruntime in integers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from attention_nets import FRAMES, HEADS, NETS, WIDTH, hidden_row
from compiled import compile_file, integer_steps, noise_db, reference_outputs, run_machine
from onnx import TensorProto
from onnx_models import ModelMaker

from azsim.compiler import CompressionPlan
from azsim.config import load_chip
from azsim.engine.fast_machine import FastMachine

STEPS = 6
FLOOR_DB = 28.5  # two under the worst of all, and its noise is that of a memory of 8 bits
CHIP = load_chip("tiny", ["abuf.capacity_kb=256", "sequencer.semaphores=32"])


def _mask(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """True where allowed: each row to and before itself, in odd steps one less, never none."""
    rows, columns = shape[-2:]
    steps = [np.tril(np.ones((rows, columns)), columns - rows - k % 2) > 0 for k in range(STEPS)]
    if rows == 1:
        steps = [np.arange(columns)[None] < columns - k % 3 for k in range(STEPS)]
    allowed = np.stack([np.broadcast_to(step, shape) for step in steps])
    allowed[..., 0] = True
    numbers = {"mask": np.where(allowed, 0.0, -10000.0), "kept": allowed.astype(float)}
    return numbers.get(name, allowed)


def _feeds(maker: ModelMaker, states: dict[str, str]) -> dict[str, np.ndarray]:
    rng, feeds = np.random.default_rng(3), {}
    for value in maker.inputs:
        shape = tuple(size.dim_value for size in value.type.tensor_type.shape.dim)
        if value.name == "x":
            feeds["x"] = rng.normal(size=(STEPS, *shape)).astype(np.float32)
        elif value.name not in states:
            is_bool = value.type.tensor_type.elem_type == TensorProto.BOOL
            mask = _mask("" if is_bool else value.name, shape)
            feeds[value.name] = mask.astype(np.bool_ if is_bool else np.float32)
    return feeds


def _exact(path: Path, feeds: dict[str, np.ndarray], states: dict[str, str]) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    shapes = {value.name: value.shape for value in session.get_inputs()}
    carried = {name: np.zeros(shapes[name], np.float32) for name in states}
    results = []
    for step in range(STEPS):
        given = {name: array[step] for name, array in feeds.items()}
        y, *after = session.run(["y", *states.values()], given | carried)
        carried = dict(zip(states, after, strict=True))
        results.append(y)
    return np.stack(results)


@pytest.mark.parametrize("name", sorted(NETS))
def test_attention(tmp_path: Path, name: str) -> None:
    maker = NETS[name]()
    path = maker.save(tmp_path)
    states = json.loads(maker.metadata.get("azsim.state", "{}"))
    feeds = _feeds(maker, states)
    exact = _exact(path, feeds, states)
    compiled, floats = compile_file(path, feeds, CHIP, CompressionPlan())
    np.testing.assert_allclose(np.stack([f["y"] for f in floats]), exact, rtol=2e-4, atol=2e-5)
    steps = integer_steps(compiled.program, feeds, STEPS)
    wanted = reference_outputs(compiled, steps)
    ours = np.stack([w["y"] for w in wanted]) * compiled.integers.tensors["y"].scale
    assert noise_db(exact, ours) > FLOOR_DB
    outputs, _ = run_machine(FastMachine, compiled.program, CHIP, steps[:2])
    for port, reference in zip(outputs, wanted, strict=False):
        np.testing.assert_array_equal(port["y"], reference["y"])


def test_rows_that_are_masked_as_a_whole_are_zero(tmp_path: Path) -> None:
    """As the operator says, and as onnxruntime has it."""
    path = hidden_row().save(tmp_path)
    allowed = np.random.default_rng(5).random((STEPS, 1, HEADS, FRAMES, FRAMES)) > 0.4
    allowed[:, :, 1:, 2] = False
    x = np.random.default_rng(6).normal(size=(STEPS, 1, FRAMES, WIDTH))
    feeds = {"x": x.astype(np.float32), "allowed": allowed}
    exact = _exact(path, feeds, {})
    compiled, floats = compile_file(path, feeds, CHIP, CompressionPlan())
    np.testing.assert_allclose(np.stack([f["y"] for f in floats]), exact, rtol=2e-4, atol=2e-5)
    wanted = reference_outputs(compiled, integer_steps(compiled.program, feeds, STEPS))
    ours = np.stack([w["y"] for w in wanted]) * compiled.integers.tensors["y"].scale
    assert noise_db(exact, ours) > FLOOR_DB
    heads = ours.reshape(STEPS, FRAMES, HEADS, -1)
    assert not heads[:, 2, 1:].any()
    assert heads[:, 2, 0].any()


@pytest.mark.parametrize("name", ["float mask", "bool mask", "computed mask"])
def test_what_is_masked_has_no_part_at_all(tmp_path: Path, name: str) -> None:
    """However large: shares are integers of 0 there, in every row."""
    maker = NETS[name]()
    feeds = _feeds(maker, {})
    compiled, _ = compile_file(maker.save(tmp_path), feeds, CHIP, CompressionPlan())
    steps = integer_steps(compiled.program, feeds, STEPS)
    changed = [dict(step) for step in steps]
    for step in changed:
        step["x"] = step["x"].copy()
        step["x"][0, -1] = 127 - step["x"][0, -1].clip(0)  # the last frame only
    before, after = (reference_outputs(compiled, given) for given in (steps, changed))
    rows = slice(None) if name == "computed mask" else slice(0, -1)  # those that may not see it
    hidden = [k for k in range(STEPS) if name != "computed mask" or k % 3]
    assert hidden
    for k in hidden:
        mine = slice(0, -1) if name == "computed mask" else rows
        np.testing.assert_array_equal(before[k]["y"][0, mine], after[k]["y"][0, mine])
        assert (before[k]["y"][0, -1] != after[k]["y"][0, -1]).any()
