"""A model with external data is read without holding its weights twice."""

from __future__ import annotations

import importlib.util
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_external_weights_are_held_once() -> None:
    path = REPOSITORY / "benchmarks" / "large_model.py"
    spec = importlib.util.spec_from_file_location("large_model_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    assert 0.9 < benchmark.held_share(128) < 1.3
