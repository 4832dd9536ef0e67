"""Prune, row quantization, fusion, residency: one pass at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import ModelMaker

from azsim.compiler.compress import CompressedTensor
from azsim.compiler.fuse import fuse_graph
from azsim.compiler.lower.weights import quantize_rows
from azsim.compiler.plan import CompressionPlan
from azsim.compiler.prune import prune_array, zero_shares
from azsim.compiler.residency import choose_resident
from azsim.errors import ConfigError
from azsim.frontend import read_onnx

pytestmark = pytest.mark.small


@given(
    size=st.integers(1, 60),
    share=st.floats(0.0, 0.99),
    seed=st.integers(0, 99),
    zeros=st.integers(0, 60),
)
def test_pruning_keeps_the_largest(size: int, share: float, seed: int, zeros: int) -> None:
    weights = np.random.default_rng(seed).normal(size=size).astype(np.float32)
    weights[:zeros] = 0.0
    before = int((weights == 0).sum())
    pruned = prune_array(weights, share)
    removed = (pruned == 0) & (weights != 0)
    assert int((pruned == 0).sum()) == max(before, round(share * size))
    assert np.array_equal(pruned[~removed], weights[~removed])
    if removed.any() and (pruned != 0).any():
        assert np.abs(weights[removed]).max() <= np.abs(pruned[pruned != 0]).min()


def test_only_weight_matrices_are_pruned(tmp_path: Path) -> None:
    maker = ModelMaker()
    maker.input("x", (1, 4))
    maker.tensor("w", np.arange(1, 17).reshape(4, 4))
    maker.tensor("b", [0.1, 0.2, 0.3, 0.4])
    maker.node("MatMul", ["x", "w"], ["p"])
    maker.node("Add", ["p", "b"], ["y"])
    maker.output("y")
    graph = read_onnx(maker.save(tmp_path))
    assert zero_shares(graph, CompressionPlan(sparsity=0.5)) == {"w": 0.5}


def test_of_equal_magnitudes_the_later_go_first() -> None:
    weights = np.array([[2.0, -1.0, 1.0], [3.0, -1.0, 0.5]], np.float32)
    assert prune_array(weights, 1 / 3).tolist() == [[2, -1, 1], [3, 0, 0]]
    assert prune_array(weights, 1 / 2).tolist() == [[2, -1, 0], [3, 0, 0]]


@given(bits=st.sampled_from([8, 6, 5, 4, 3, 2]), seed=st.integers(0, 50))
def test_rows_use_their_whole_range(bits: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = (rng.normal(size=(7, 9)) * rng.uniform(0.01, 10, (7, 1))).astype(np.float32)
    weights[3] = 0.0
    made = quantize_rows(weights, bits)
    most = 2 ** (bits - 1) - 1
    peaks = np.abs(made.integers.astype(int)).max(axis=1)
    assert list(peaks) == [most, most, most, 0, most, most, most]
    error = np.abs(made.integers * made.scales[:, None] - weights)
    assert (error <= made.scales[:, None] / 2 * 1.0001 + 1e-12).all()


def test_weights_on_the_grid_come_back_exactly() -> None:
    rng = np.random.default_rng(1)
    for bits in (8, 6, 5, 4, 3, 2):
        most = 2 ** (bits - 1) - 1
        integers = rng.integers(-most, most + 1, (40, 33)).astype(np.int8)
        integers[:, 0] = most
        scales = rng.uniform(1e-4, 1.0, (40, 1)).astype(np.float32)
        assert np.array_equal(quantize_rows(integers * scales, bits).integers, integers)


def fused(tmp_path: Path, second_user: bool) -> tuple[object, frozenset[str]]:
    maker = ModelMaker()
    maker.input("x", (2, 3))
    maker.tensor("w", np.ones((3, 5)))
    maker.tensor("b", np.ones(5))
    maker.node("MatMul", ["x", "w"], ["p"], name="product")
    maker.node("Add", ["b", "p"], ["s"], name="bias")
    maker.node("Relu", ["s"], ["y"], name="bound")
    maker.output("y")
    if second_user:
        maker.node("Tanh", ["p"], ["z"], name="other")
        maker.output("z")
    fusion = fuse_graph(read_onnx(maker.save(tmp_path)))
    return fusion.products["product"], fusion.absorbed


def test_product_bias_and_relu_become_one(tmp_path: Path) -> None:
    product, absorbed = fused(tmp_path, second_user=False)
    assert (product.bias, product.relu, product.result) == ("b", True, "y")  # type: ignore[attr-defined]
    assert absorbed == {"bias", "bound"}


def test_a_value_used_twice_is_not_fused_away(tmp_path: Path) -> None:
    product, absorbed = fused(tmp_path, second_user=True)
    assert (product.bias, product.relu, product.result) == ("", False, "p")  # type: ignore[attr-defined]
    assert absorbed == {"bound"}  # by the Add, whose sum is used once


def tensor(name: str, sizes: list[int], uses: int) -> CompressedTensor:
    ones = np.ones(len(sizes), np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    words = np.zeros(int(offsets[-1]), np.uint64)
    return CompressedTensor(
        name, words, offsets, (), ones, ones, ones * 256, ones, 0, uses, 1, 1, None
    )


def test_what_is_fetched_more_often_stays_on_the_chip() -> None:
    tensors = [tensor("once", [10] * 4, 1), tensor("thrice", [10] * 4, 3)]
    once, thrice = choose_resident(tensors, 4 * 80)
    assert not once.any()
    assert thrice.all()


def test_equal_tiles_are_spread_evenly() -> None:
    tensors = [tensor("a", [10] * 8, 1), tensor("b", [10] * 8, 1)]
    first, second = choose_resident(tensors, 4 * 80)
    assert [list(np.flatnonzero(mask)) for mask in (first, second)] == [[3, 7], [3, 7]]


@given(
    sizes=st.lists(st.lists(st.integers(1, 90), min_size=1, max_size=9), min_size=1, max_size=5),
    uses=st.lists(st.integers(1, 3), min_size=5, max_size=5),
    capacity=st.integers(0, 5000),
)
def test_residents_never_exceed_the_store(
    sizes: list[list[int]], uses: list[int], capacity: int
) -> None:
    tensors = [tensor(str(k), row, uses[k]) for k, row in enumerate(sizes)]
    masks = choose_resident(tensors, capacity)
    used = sum(int(t.tile_bytes[m].sum()) for t, m in zip(tensors, masks, strict=True))
    assert used <= capacity
    if capacity >= sum(int(t.tile_bytes.sum()) for t in tensors):
        assert all(mask.all() for mask in masks)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "property 'azsim.compression': must be a JSON object of bits, sparsity,"),
        ('{"bit": 5}', "property 'azsim.compression': must be a JSON object of bits, sparsity,"),
        ('{"bits": 7}', "bits: weight bits must be one of 8, 6, 5, 4, 3, 2, not 7"),
        ('{"sparsity": 1}', "sparsity: share of zeros must be 0 or more and below 1, not 1.0"),
    ],
)
def test_a_models_own_plan_is_checked(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        CompressionPlan.from_json(text)
    assert str(caught.value).startswith(message)


def test_a_plan_names_only_layers_that_exist() -> None:
    plan = CompressionPlan(layer_bits={"encoder.9": 4})
    message = r"^layer 'encoder\.9' must be one of the layers with weights: encoder\.0$"
    with pytest.raises(ConfigError, match=message):
        plan.check_layers({"encoder.0"})
