"""Is folding of constants bounded in size, and refused in one line beyond?"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto
from onnx_models import ModelMaker
from refusals import model_refusal as refusal

pytestmark = pytest.mark.small

MIB = 1 << 20


def bomb(operator: str, *tensors: np.ndarray) -> Callable[[ModelMaker], None]:
    def fill(maker: ModelMaker) -> None:
        names = [maker.tensor(f"t{k}", data, data.dtype) for k, data in enumerate(tensors)]
        maker.node(operator, names, ["big"], name="bomb")

    return fill


LONG = np.ones(1 << 13, dtype=np.float32)


@pytest.mark.parametrize(
    ("fill", "elements"),
    [
        (bomb("ConstantOfShape", np.array([2**31, 2**31])), 2**62),
        (bomb("Expand", np.ones(1, np.float32), np.array([2**40, 7])), 7 * 2**40),
        (bomb("Tile", np.ones(3, np.float32), np.array([2**40])), 3 * 2**40),
        (bomb("Range", np.array(0), np.array(2**62), np.array(1)), 2**62),
        (bomb("Add", LONG[:, np.newaxis], LONG[np.newaxis]), 2**26),
        (bomb("MatMul", LONG[:, np.newaxis], LONG[np.newaxis]), 2**26),
        (
            bomb("Gather", LONG[np.newaxis].repeat(2, 0), np.zeros((1 << 12), np.int64)),
            2**25,
        ),
    ],
    ids=["ConstantOfShape", "Expand", "Tile", "Range", "Add", "MatMul", "Gather"],
)
def test_folding_bombs(tmp_path: Path, fill: Callable[[ModelMaker], None], elements: int) -> None:
    maker = ModelMaker()
    maker.input("x", (1,))
    fill(maker)
    maker.node("Add", ["x", "big"], ["y"])
    maker.output("y")
    path = maker.save(tmp_path)
    tracemalloc.start()
    text = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert text.startswith("node 'bomb' (")
    assert "): folding constants must make at most " in text
    assert text.endswith(f" elements, not {elements}")
    assert peak < 8 * MIB


def test_many_small_bombs_share_one_budget(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (1,))
    maker.tensor("size", [1 << 22], np.int64)
    for k in range(6):
        maker.node("ConstantOfShape", ["size"], [f"z{k}"], name=f"fill{k}")
    maker.node("Concat", [f"z{k}" for k in range(6)], ["all"], axis=0)
    maker.node("Add", ["x", "all"], ["y"])
    maker.output("y")
    text = refusal(maker.save(tmp_path))
    assert text.startswith("node 'fill4' (ConstantOfShape): folding constants must make at most")


def test_constants_that_do_not_fit_the_folded_operator(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (1,))
    maker.tensor("a", [1.0, 2.0])
    maker.tensor("b", [1.0, 2.0, 3.0])
    maker.node("Add", ["a", "b"], ["c"], name="sum")
    maker.node("Add", ["x", "c"], ["y"])
    maker.output("y")
    assert refusal(maker.save(tmp_path)).startswith(
        "node 'sum' (Add): constant inputs must fit the operator"
    )


def test_tensor_attribute_of_a_folded_node_must_be_what_it_says(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (1,))
    maker.tensor("size", [2], np.int64)
    value = TensorProto(data_type=1, dims=[2**30])
    maker.node("ConstantOfShape", ["size"], ["z"], name="fill", value=value)
    maker.node("Add", ["x", "z"], ["y"])
    maker.output("y")
    assert refusal(maker.save(tmp_path)) == (
        "tensor 'fill.value': all tensors together must hold at most 536870912 elements"
    )
    value.dims[0] = 1
    value.data_location = TensorProto.EXTERNAL
    maker.nodes[0].attribute[0].t.CopyFrom(value)
    assert refusal(maker.save(tmp_path)) == (
        "node 'fill' (ConstantOfShape): attribute 'value' must be stored in the model file"
    )


def test_step_that_would_compute_too_much(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (1 << 13, 1))
    maker.input("z", (1, 1 << 13))
    for k in range(3):
        maker.node("Add", ["x", "z"], [f"y{k}"])
        maker.output(f"y{k}")
    assert refusal(maker.save(tmp_path)) == (
        f"one step must compute at most {1 << 27} elements, not {3 << 26}"
    )
