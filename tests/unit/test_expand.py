"""Operators that ONNX defines by others: written out in place, or left to be refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx_models import ModelMaker, run_onnxruntime

from azsim.errors import ModelError
from azsim.frontend import expand, read_onnx
from azsim.frontend.support import OPERATORS
from azsim.reference.floats import evaluate_floats

pytestmark = pytest.mark.small


def model(operator: str, *inputs: str, opset: int = 18, **attributes: object) -> onnx.ModelProto:
    maker = ModelMaker(opset)
    maker.input("x", (2, 4, 6))
    maker.tensor("s", np.ones(4))
    maker.tensor("b", np.zeros(4))
    maker.node(operator, inputs or ["x"], ["y"], name="n", **attributes)
    maker.output("y", (2, 4, 6))
    return maker.model()


def names(made: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in made.graph.node]


def test_a_definition_takes_the_place_of_the_node() -> None:
    made = model("GroupNormalization", "x", "s", "b", opset=21, num_groups=2)
    expand.expand_definitions(made, 21, OPERATORS)
    assert "GroupNormalization" not in names(made)
    assert len(names(made)) > 5
    assert made.graph.node[-1].output[0] == "y"


def test_known_operators_and_those_without_definition_stay() -> None:
    for operator in ("Relu", "Det"):
        made = model(operator)
        before = made.SerializeToString()
        expand.expand_definitions(made, 18, OPERATORS)
        assert made.SerializeToString() == before


def test_a_definition_by_a_defined_operator_is_written_out_too() -> None:
    """MeanVarianceNormalization knows only plain operators; forbid one that has a definition."""
    made = model("MeanVarianceNormalization")
    known = set(OPERATORS) - {"ReduceMean"}
    expand.expand_definitions(made, 18, known)
    assert "MeanVarianceNormalization" not in names(made)


def test_large_tensors_are_not_touched() -> None:
    maker = ModelMaker(18)
    maker.input("x", (1, 4))
    maker.tensor("w", np.ones((4, 4000)))
    maker.node("MatMul", ["x", "w"], ["p"])
    maker.node("ReduceL2", ["p", "axes"], ["y"], name="n")
    maker.tensor("axes", [1], np.int64)
    maker.output("y")
    made = maker.model()
    tensors = [tensor.SerializeToString() for tensor in made.graph.initializer]
    expand.expand_definitions(made, 18, OPERATORS)
    assert "ReduceL2" not in names(made)
    assert [tensor.SerializeToString() for tensor in made.graph.initializer] == tensors


def test_too_many_nodes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expand, "MAX_NODES", 4)
    made = model("GroupNormalization", "x", "s", "b", opset=21, num_groups=2)
    with pytest.raises(ModelError, match=r"^graph must have at most 4 nodes, not \d+$"):
        expand.expand_definitions(made, 21, OPERATORS)


def test_absent_inputs_in_the_middle(tmp_path: Path) -> None:
    """The mask is absent and earlier keys are given: no inliner knows the type of nothing."""
    rng = np.random.default_rng(1)
    maker = ModelMaker(23)
    feeds = {}
    for name, frames in (("q", 3), ("k", 2), ("v", 2), ("k0", 4), ("v0", 4)):
        maker.input(name, (1, 2, frames, 4))
        feeds[name] = rng.normal(size=(1, 2, frames, 4)).astype(np.float32)
    maker.node("Attention", ["q", "k", "v", "", "k0", "v0"], ["y", "k1", "v1"], name="n")
    for name in ("y", "k1", "v1"):
        maker.output(name)
    path = maker.save(tmp_path)
    values, _ = evaluate_floats(read_onnx(path), feeds, {})
    for name, wanted in run_onnxruntime(path, feeds).items():
        np.testing.assert_allclose(values[name], wanted, rtol=1e-4, atol=1e-5)


def test_a_definition_that_cannot_be_had_leaves_the_node(tmp_path: Path) -> None:
    maker = ModelMaker(23)
    maker.input("q", (1, 2, 3, 4))
    maker.node("Attention", ["q", "", "q"], ["y"], name="n")
    maker.output("y")
    path = maker.save(tmp_path)
    with pytest.raises(ModelError) as refusal:
        read_onnx(path)
    assert str(refusal.value).startswith(f"{path}: node 'n' (Attention): ")
