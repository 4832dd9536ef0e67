"""The encoder of simple recurrent units: its sizes, its function in plain numpy, its integers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from azsim.api import run
from azsim.frontend import Inputs, read_onnx
from azsim.zoo import find_entry, save_onnx
from azsim.zoo.model import NetMaker
from azsim.zoo.sru import sru_layer

HIDDEN, FEATURES, PROJECTION, STEPS = 24, 10, 12, 9


@pytest.mark.small
def test_sizes_are_those_of_the_layer_list() -> None:
    """Four matrices and biases on the input alone, a projection without bias."""

    def weights(features: int) -> int:
        return 4 * 2048 * features + 2048 * 640

    fast = weights(512) + weights(640)
    slow = weights(1280) + 5 * weights(640)
    for part, macs, layers, period in (("fast", fast, 2, 30), ("slow", slow, 6, 60)):
        entry = find_entry("rnnt_google_edge_sru", f"encoder_{part}")
        assert (entry.macs, entry.parameters) == (macs, macs + layers * 4 * 2048)
        assert (entry.frame_ms, entry.bits, entry.sparsity) == (period, 8, 0.7)
        assert entry.label == "reconstruction"
    lstm = sum(
        find_entry("rnnt_google_edge", f"encoder_{part}").parameters for part in ("fast", "slow")
    )
    assert 0.57 < (fast + slow) / lstm < 0.58


def net(folder: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Two layers, small, and their constants."""
    maker = NetMaker("small", 8, 0.0, seed=5, stream=0)
    x = maker.input("x", (1, FEATURES))
    x = sru_layer(maker, "one", x, FEATURES, HIDDEN, PROJECTION)
    x = sru_layer(maker, "two", x, PROJECTION, HIDDEN, PROJECTION)
    maker.operator("Identity", "end", [x], "y")
    maker.output("y", (1, PROJECTION))
    model = maker.build("", {"azsim.frame_ms": "30"})
    onnx.checker.check_model(model, full_check=True)
    save_onnx(model, folder / "net.onnx")
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    return folder / "net.onnx", arrays


def frames() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((STEPS, 1, FEATURES)).astype(np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def all_steps(x: np.ndarray, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """A layer at a time: the products of all steps at once, then the sums of each unit."""
    for name in ("one", "two"):
        sums = x @ arrays[f"{name}.gates.W"].T + arrays[f"{name}.gates.b"]
        candidate, resized, forget, reset = np.split(sums, 4, axis=1)
        keep = sigmoid(forget)
        cells = np.zeros_like(candidate)
        for step in range(len(x)):
            # the weight of an old candidate is what all later gates kept of it
            for old in range(step + 1):
                kept = np.prod(keep[old + 1 : step + 1], axis=0)
                cells[step] += kept * (1 - keep[old]) * candidate[old]
        share = sigmoid(reset)
        x = (share * np.tanh(cells) + (1 - share) * resized) @ arrays[f"{name}.projection.W"].T
    return x


def test_steps_with_states_are_the_sums_over_all_steps(tmp_path: Path) -> None:
    path, arrays = net(tmp_path)
    session = onnxruntime.InferenceSession(path)
    states = {pair.source: pair.result for pair in read_onnx(path).states}
    held = {name: np.zeros((1, HIDDEN), np.float32) for name in states}
    found = []
    for x in frames():
        y, *new = session.run(["y", *states.values()], {"x": x, **held})
        held = dict(zip(states, new, strict=True))
        found.append(np.asarray(y).reshape(-1))
    want = all_steps(frames()[:, 0].astype(np.float64), arrays)
    np.testing.assert_allclose(np.array(found), want, atol=1e-5)


@pytest.mark.parametrize("chip", ["az1", "az2"])
def test_runs_bit_for_bit(tmp_path: Path, chip: str) -> None:
    graph = read_onnx(net(tmp_path)[0])
    record = run(graph, input=Inputs({"x": frames()}, ""), chip=chip, verify=True, cache=False)
    assert record.verification is not None
    assert (record.verification.exact, record.verification.first_difference) == (STEPS, "")
