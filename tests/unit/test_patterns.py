"""What exporters write with many nodes becomes one; what only looks like it stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx_models import ModelMaker, run_onnxruntime

from azsim.frontend import read_onnx
from azsim.reference.floats import evaluate_floats

pytestmark = pytest.mark.small

RNG = np.random.default_rng(6)
X, Z = (RNG.normal(size=(1, 3, 6)).astype(np.float32) for _ in range(2))
Build = Callable[[ModelMaker], None]


def operators(folder: Path, build: Build) -> list[str]:
    """The operators left, after checking that the numbers are those of the file."""
    maker = ModelMaker(17)
    build(maker)
    path = maker.save(folder)
    given = {"x": X, "z": Z, "i": RNG.normal(size=(1, 4, 5, 5)).astype(np.float32)}
    feeds = {value.name: given[value.name] for value in maker.inputs}
    graph = read_onnx(path)
    values, _ = evaluate_floats(graph, feeds, {})
    for name, wanted in run_onnxruntime(path, feeds).items():
        np.testing.assert_allclose(values[name], wanted, rtol=2e-4, atol=2e-5)
    return [node.operator for node in graph.nodes]


def norm(**changes: str) -> Build:
    """Layer norm in nodes; `changes` say what is different."""

    def build(maker: ModelMaker) -> None:
        maker.input("x", (1, 3, 6))
        for name, number in (("two", 2.0), ("epsilon", 1e-3)):
            maker.tensor(name, number)
        gamma = RNG.uniform(0.5, 2.0, (3, 1) if "gamma" in changes else 6)
        maker.tensor("gamma", gamma)
        maker.tensor("beta", RNG.normal(size=6))
        axis = int(changes.get("axis", "-1"))
        top = "x" if changes.get("kind") == "rms" else "d"
        if top == "d":
            maker.node("ReduceMean", ["x"], ["mean"], axes=[axis])
            maker.node("Sub", ["x", "mean"], ["d"])
        if "square" in changes:
            maker.node("Mul", [top, changes["square"] or top], ["p"])
        else:
            maker.node("Pow", [top, "two"], ["p"])
        maker.node("ReduceMean", ["p"], ["v"], axes=[axis])
        # first the constant only where onnxruntime does not fuse: its own fusion then loses it
        swapped = "reciprocal" in changes
        maker.node("Add", ["epsilon", "v"] if swapped else ["v", "epsilon"], ["e"])
        maker.node("Sqrt", ["e"], ["s"])
        if "reciprocal" in changes:
            maker.node("Reciprocal", ["s"], ["r"])
            maker.node("Mul", ["r", top], ["n"])
        else:
            maker.node("Div", [top, "s"], ["n"])
        maker.node("Mul", ["n", "gamma"], ["h"])
        maker.node("Add", ["h", "beta"], ["y"])
        for name in ("y", *filter(None, [changes.get("seen")])):
            maker.output(name)

    return build


@pytest.mark.parametrize(
    "build",
    [
        norm(),
        norm(square=""),
        norm(reciprocal="yes"),
        norm(kind="rms"),
        norm(kind="rms", square="", reciprocal="yes"),
    ],
)
def test_a_norm_is_one_node(tmp_path: Path, build: Build) -> None:
    assert operators(tmp_path, build) == ["Norm"]


@pytest.mark.parametrize(
    ("build", "left"),
    [
        (norm(axis="1"), {"Reduce", "Sub", "Mul", "Add"}),  # not over the last axis
        (norm(square="x"), {"Reduce", "Sub", "Mul", "Add"}),  # d * x is no square
        (norm(gamma="rows"), {"Norm", "Mul", "Add"}),  # a factor per row stays behind
    ],
)
def test_what_is_no_norm_stays(tmp_path: Path, build: Build, left: set[str]) -> None:
    found = operators(tmp_path, build)
    assert left <= set(found)
    assert ("Norm" in found) == ("Norm" in left)


def test_a_norm_whose_middle_is_an_output_keeps_it(tmp_path: Path) -> None:
    found = operators(tmp_path, norm(seen="n"))
    assert found.count("Norm") == 1
    assert "Add" in found


def formula(*steps: tuple[str, list[str], str], outputs: tuple[str, ...] = ("y",)) -> Build:
    def build(maker: ModelMaker) -> None:
        maker.input("x", (1, 3, 6))
        maker.input("z", (1, 3, 6))
        for name, number in (("half", 0.5), ("one", 1.0), ("root", 2**0.5), ("three", 3.0)):
            maker.tensor(name, number)
        maker.tensor("row", np.arange(6.0) + 1)
        for operator, inputs, output in steps:
            maker.node(operator, inputs, [output])
        maker.node("Neg", ["z"], ["other"])
        for name in (*outputs, "other"):
            maker.output(name)

    return build


SILU = (("Sigmoid", ["x"], "s"), ("Mul", ["x", "s"], "y"))
GELU = (
    ("Div", ["x", "root"], "d"),
    ("Erf", ["d"], "e"),
    ("Add", ["e", "one"], "a"),
    ("Mul", ["x", "a"], "m"),
    ("Mul", ["m", "half"], "y"),
)


@pytest.mark.parametrize("steps", [SILU, GELU])
def test_a_chain_on_one_tensor_is_one_function(tmp_path: Path, steps: tuple) -> None:
    assert sorted(operators(tmp_path, formula(*steps))) == ["Function", "Function"]


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        ((("Sigmoid", ["z"], "s"), ("Mul", ["x", "s"], "y")), ["Function", "Mul", "Sigmoid"]),
        ((("Sigmoid", ["x"], "s"), ("Mul", ["row", "s"], "y")), ["Function", "Mul", "Sigmoid"]),
    ],
)
def test_two_tensors_are_no_chain(tmp_path: Path, steps: tuple, left: list[str]) -> None:
    assert sorted(operators(tmp_path, formula(*steps))) == left


def test_a_chain_goes_on_behind_an_output(tmp_path: Path) -> None:
    """s is an output of the net: it stays, and y is a function of x all the same."""
    found = operators(tmp_path, formula(*SILU, outputs=("s", "y")))
    assert sorted(found) == ["Function", "Function", "Sigmoid"]


def conv(*steps: tuple[str, list[str], str]) -> Build:
    def build(maker: ModelMaker) -> None:
        maker.input("i", (1, 4, 5, 5))
        maker.tensor("w", RNG.normal(size=(3, 4, 3, 3)))
        maker.tensor("b", RNG.normal(size=3))
        maker.tensor("f", RNG.uniform(0.5, 2, (3, 1, 1)))
        maker.tensor("o", RNG.normal(size=(3, 1, 1)))
        maker.tensor("columns", RNG.uniform(0.5, 2, 3))  # per column of the image, not per channel
        maker.node("Conv", ["i", "w", "b"], ["c"])
        for operator, inputs, output in steps:
            maker.node(operator, inputs, [output])
        maker.output("y")

    return build


def test_factors_and_offsets_per_output_go_into_the_product(tmp_path: Path) -> None:
    steps = (("Mul", ["c", "f"], "m"), ("Add", ["m", "o"], "y"))
    assert operators(tmp_path, conv(*steps)) == ["Conv"]


def test_a_factor_per_column_stays(tmp_path: Path) -> None:
    assert operators(tmp_path, conv(("Mul", ["c", "columns"], "y"))) == ["Conv", "Mul"]


def test_a_product_that_somebody_else_reads_keeps_its_weights(tmp_path: Path) -> None:
    found = operators(tmp_path, conv(("Mul", ["c", "f"], "m"), ("Add", ["m", "c"], "y")))
    assert found == ["Conv", "Mul", "Add"]


@pytest.mark.parametrize(("operator", "number"), [("Mul", 0.25), ("Div", 4.0)])
def test_a_number_joins_the_product_of_two_tensors(
    tmp_path: Path, operator: str, number: float
) -> None:
    def build(maker: ModelMaker) -> None:
        maker.input("x", (1, 3, 6))
        maker.input("z", (1, 3, 6))
        maker.tensor("number", number)
        maker.node("Transpose", ["z"], ["t"], perm=[0, 2, 1])
        maker.node("MatMul", ["x", "t"], ["p"])
        maker.node(operator, ["p", "number"], ["y"])
        maker.output("y")

    assert operators(tmp_path, build) == ["Transpose", "MatMulRows"]


def test_a_quotient_is_a_product_with_reciprocals(tmp_path: Path) -> None:
    steps = (("Abs", ["z"], "a"), ("Add", ["a", "one"], "d"), ("Div", ["x", "d"], "y"))
    found = operators(tmp_path, formula(*steps))
    assert found.count("Mul") == 1
    assert "Div" not in found
