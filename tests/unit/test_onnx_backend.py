"""ONNX's own node tests: none fails, and the page says what became of them."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def suite() -> Iterator[ModuleType]:
    """tools/onnx_backend.py, which is no package."""
    path = REPOSITORY / "tools" / "onnx_backend.py"
    spec = importlib.util.spec_from_file_location("onnx_backend_tool", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look there for their types
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def a_case(suite: ModuleType, operator: str, wanted: np.ndarray, **attributes: Any) -> Any:
    x = np.array([[1.0, -2.0, 0.5]], dtype=np.float32)
    node = helper.make_node(operator, ["x"], ["y"], **attributes)
    graph = helper.make_graph(
        [node],
        "case",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, wanted.shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    return suite.Case("test_case", operator, model, [x], [wanted], 1e-3, 1e-7)


def test_a_wrong_result_fails_and_a_right_one_passes(suite: ModuleType, tmp_path: Path) -> None:
    right = np.array([[1.0, 0.0, 0.5]], dtype=np.float32)
    passed = suite.float_outcome(a_case(suite, "Relu", right), tmp_path)
    assert passed.status == "pass"
    assert suite.integer_outcome(passed, tmp_path).status == "pass"
    failed = suite.float_outcome(a_case(suite, "Relu", right + 0.25), tmp_path)
    assert (failed.status, failed.text) == ("fail", "output 'y': off by 0.25")
    misshapen = suite.float_outcome(a_case(suite, "Relu", right[0]), tmp_path)
    text = "value 'y' is stated as (3) but the nodes give (1, 3)"
    assert (misshapen.status, misshapen.text) == ("fail", text)


def test_a_refusal_is_told_by_its_rule(suite: ModuleType, tmp_path: Path) -> None:
    right = np.array([[0.0, 0.0, 1.0]], dtype=np.float32)
    refused = suite.float_outcome(a_case(suite, "Det", right), tmp_path)
    assert refused.status == "refused"
    assert suite.rule_of(refused) == "operator must be one that 'azsim ops' lists"


@pytest.mark.slow
def test_no_node_test_fails_and_the_page_counts_them(suite: ModuleType, tmp_path: Path) -> None:
    cases = suite.load_cases()
    assert len(cases) > 1500
    outcomes = [suite.float_outcome(case, tmp_path) for case in cases]
    assert [(o.case.name, o.text) for o in outcomes if o.status == "fail"] == []
    line = suite.counts_line(Counter(outcome.status for outcome in outcomes))
    assert line in suite.PAGE.read_text(encoding="utf-8").splitlines()
    passed = [outcome for outcome in outcomes if outcome.status == "pass"]
    some = [suite.integer_outcome(outcome, tmp_path) for outcome in passed[::6]]
    assert [(o.case.name, o.text) for o in some if o.status == "fail"] == []
