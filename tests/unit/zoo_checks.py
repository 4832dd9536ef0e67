"""What the tests of the shipped nets check of a graph: grid and zeros of its weights, activity."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

from azsim.compiler import CompressionPlan
from azsim.compiler.prune import WEIGHT_INPUTS
from azsim.graph import Graph
from azsim.reference.floats import run_floats


def grid_counts(weights: np.ndarray, bits: int) -> np.ndarray:
    """Return the integers q of weights = q * scale per row, checking that they are integers."""
    top = (1 << (bits - 1)) - 1
    scale = np.abs(weights).max(axis=1, keepdims=True) / top
    counts = weights / scale
    assert np.abs(counts - np.rint(counts)).max() < 1e-3
    return np.rint(counts).astype(np.int64)


def plan_of(graph: Graph) -> CompressionPlan:
    """Return the compression that the model states."""
    return CompressionPlan(**json.loads(graph.metadata["azsim.compression"]))


def matrices(graph: Graph) -> dict[str, list[np.ndarray]]:
    """Return the weight matrices (rows, columns) of each node that has some."""
    found: dict[str, list[np.ndarray]] = {}
    for node in graph.nodes:
        for position in WEIGHT_INPUTS.get(node.operator, ()):
            data = graph.constant(node.inputs[position])
            assert data is not None
            found.setdefault(node.name, []).append(data[0] if data.ndim == 3 else data.T)
    return found


def check_weights(graph: Graph) -> None:
    """Every matrix has the bits and the exact share of zeros that the model states."""
    plan = plan_of(graph)
    plan.check_layers(set(matrices(graph)))
    for name, weights in matrices(graph).items():
        for rows in weights:
            counts = grid_counts(rows, plan.bits_of(name))
            zeros = np.count_nonzero(counts == 0)
            assert zeros == round(plan.sparsity_of(name) * counts.size), name


def assert_lively(graph: Graph, frames: Mapping[str, np.ndarray], settled: int) -> None:
    """Each LSTM's output is neither dying nor saturated, and moves, once it has settled."""
    names = [p.result for p in graph.states if p.result.endswith("h_next")]
    assert names
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for values in run_floats(graph, dict(frames)):
        for name in names:
            found[name].append(values[name].reshape(-1))
        assert all(float(v) < 32 for name, v in values.items() if name.endswith(":c_max"))
    for name, rows in found.items():
        late = np.array(rows[settled:])
        assert 0.1 < float(np.sqrt((late**2).mean())) < 0.6, name
        assert float((np.abs(late) > 0.95).mean()) < 0.05, name
        assert float(late.std(axis=0).mean()) > 0.05, name
