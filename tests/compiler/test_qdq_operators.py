"""Quantized operators by themselves: powers of two, 4-bit weights, tables, softmax, movement."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto
from onnx_models import INT64
from qdq_models import (
    LOWEST,
    Grid,
    QdqMaker,
    check_agreement,
    compile_qdq,
    integers_of,
    run_qdq,
)

from azsim.compiler import CompressionPlan, Ranges, compress_weights
from azsim.compiler.cached import compile_cached, graph_key
from azsim.config import load_chip
from azsim.frontend import read_onnx
from azsim.graph.integer import Linear, Requant
from azsim.reference.integers import evaluate_integers

WHOLE = st.integers(0, 2**32 - 1)


def half_away(v: np.ndarray, shift: int) -> np.ndarray:
    """v / 2**shift to nearest, halves away from zero, in Python integers."""
    half = (1 << shift) >> 1
    return np.vectorize(lambda e: (abs(e) + half >> shift) * (1 if e >= 0 else -1))(v)


@settings(max_examples=80, deadline=None)
@given(
    seed=WHOLE,
    x_zero=st.integers(0, 255),
    y_zero=st.integers(0, 255),
    shift=st.integers(0, 10),
    powers=st.tuples(st.integers(-9, 2), st.integers(-9, 2)),
)
def test_gemm_with_power_of_two_scales_is_plain_integers(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    x_zero: int,
    y_zero: int,
    shift: int,
    powers: tuple[int, int],
) -> None:
    rng = np.random.default_rng(seed)
    x_power, w_power = powers
    x = Grid("uint8", 2.0**x_power, x_zero)
    y = Grid("uint8", 2.0 ** (x_power + w_power + shift), y_zero)
    data = x.random(rng, (3, 17))
    weights = rng.integers(-128, 128, (6, 17)).astype(np.int8)
    bias = rng.integers(-(2**20), 2**20, 6).astype(np.int32)
    maker = QdqMaker()
    maker.constant("w", weights, np.float32(2.0**w_power))
    maker.constant("b", bias, np.float32(2.0 ** (x_power + w_power)))
    maker.node("Gemm", [maker.given("x", (3, 17), x), "w", "b"], ["p"], transB=1)
    maker.result("p", y)
    ours = integers_of(maker, maker.save(tmp_path_factory.mktemp("p")), {"x": data})["y"]
    sums = (data.astype(np.int64) - x_zero) @ weights.astype(np.int64).T + bias
    np.testing.assert_array_equal(ours, np.clip(half_away(sums, shift) + y_zero, 0, 255))


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4])
@pytest.mark.parametrize("per_row", [False, True])
def test_4_bit_weights(tmp_path: Path, kind: int, per_row: bool) -> None:
    rng = np.random.default_rng(3)
    zero = 0 if kind == TensorProto.INT4 else 8
    weights = rng.integers(-8, 8, (9, 5))
    weights[0, 0] = -8
    x, y = Grid("int8", 0.03, -7), Grid("uint8", 0.2, 99)
    scale = rng.uniform(0.05, 0.2, 5 if per_row else ()).astype(np.float32)
    maker = QdqMaker()
    given_x = maker.given("x", (4, 9), x)
    maker.int4("w_q", weights + zero, kind)
    maker.tensor("w_s", scale)
    maker.int4("w_z", np.full(scale.shape, zero), kind)
    maker.node("DequantizeLinear", ["w_q", "w_s", "w_z"], ["w"], axis=1)
    maker.node("MatMul", [given_x, "w"], ["p"], name="fc")
    maker.result("p", y)
    path = maker.save(tmp_path)
    data = x.random(rng, (4, 9))
    exact = x.numbers(data) @ (weights * scale.astype(np.float64))
    ours = integers_of(maker, path, {"x": data})["y"]
    check_agreement(ours, run_qdq(path, {"x": data})["y"], exact, y)
    numbers = {"x": x.numbers(data).astype(np.float32)}
    (linear,) = linears(path, numbers, CompressionPlan(bits=8))
    assert linear.bits == 4
    np.testing.assert_array_equal(linear.weights, weights.T)


def linears(path: Path, numbers: dict[str, np.ndarray], plan: CompressionPlan) -> list[Linear]:
    nodes = compile_qdq(path, numbers, plan)[1].integers.nodes
    return [node for node in nodes if isinstance(node, Linear)]


def one_product(weights: np.ndarray, scale: object = np.float32(0.01)) -> QdqMaker:
    maker = QdqMaker()
    given_x = maker.given("x", (2, len(weights)), Grid("int8", 0.02, 3))
    maker.constant("w", weights, scale, axis=1)
    maker.node("MatMul", [given_x, "w"], ["p"], name="fc")
    maker.result("p", Grid("int8", 0.3, 0))
    return maker


def test_fewer_bits_than_the_model_has_are_rounded_again_and_said(tmp_path: Path) -> None:
    weights = np.random.default_rng(0).integers(-127, 128, (6, 3)).astype(np.int8)
    path = one_product(weights).save(tmp_path)
    numbers = {"x": np.ones((2, 6), np.float32)}
    for plan, bits in ((CompressionPlan(bits=4), 4), (CompressionPlan(layer_bits={"fc": 5}), 5)):
        integers = compile_qdq(path, numbers, plan)[1].integers
        (linear,) = (node for node in integers.nodes if isinstance(node, Linear))
        assert linear.bits == bits
        assert np.abs(linear.weights).max() == 2 ** (bits - 1) - 1
        assert integers.metadata["azsim.requantized"] == f"fc: 8 to {bits} bits"
    assert "azsim.requantized" not in compile_qdq(path, numbers)[1].integers.metadata


def test_pruning_takes_the_smallest_of_the_models_integers(tmp_path: Path) -> None:
    weights = (np.arange(1, 25).reshape(4, 6) * 5).astype(np.int8)
    plan = CompressionPlan(sparsity=0.5)
    (linear,) = linears(one_product(weights).save(tmp_path), {"x": np.ones((2, 4), "f4")}, plan)
    np.testing.assert_array_equal(linear.weights.T, np.where(weights > 60, weights, 0))


def test_a_bias_beyond_the_accumulator_is_added_after_rescaling(tmp_path: Path) -> None:
    x, y = Grid("int8", 1e-3, 5), Grid("int8", 2e4, -3)
    maker = QdqMaker()
    given_x = maker.given("x", (1, 3), x)
    maker.constant("w", np.array([[1, -2]] * 3, np.int8), np.float32(1e-4))
    maker.tensor("b", np.array([1e6, -2.5e6], np.float32))
    maker.node("Gemm", [given_x, "w", "b"], ["p"], name="fc")
    maker.result("p", y)
    data = np.array([[1, 2, 3]], np.int8)
    path = maker.save(tmp_path)
    ours = integers_of(maker, path, {"x": data})["y"]
    np.testing.assert_array_equal(ours, [[50 - 3, -125 - 3]])
    np.testing.assert_array_equal(ours, run_qdq(path, {"x": data})["y"])


# -- several readers ----------------------------------------------------------------------------


def test_a_sum_read_by_different_quantizers_is_exact_for_each(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    a, b = Grid("int8", 0.02, 4), Grid("uint8", 0.05, 130)
    maker = QdqMaker()
    maker.node("Add", [maker.given("a", (8, 40), a), maker.given("b", (8, 40), b)], ["s"])
    grids = {"y": Grid("uint8", 0.03, 7), "z": Grid("int8", 0.071, -20)}
    for name, grid in grids.items():
        maker.result("s", grid, name)
    maker.node("Relu", ["s"], ["r"])
    maker.output("r")
    maker.grids["r"] = Grid("int8", 1.0, 0)
    path = maker.save(tmp_path)
    feeds = {"a": a.random(rng, (8, 40)), "b": b.random(rng, (8, 40))}
    exact = a.numbers(feeds["a"]) + b.numbers(feeds["b"])
    ours, theirs = integers_of(maker, path, feeds), run_qdq(path, feeds)
    for name, grid in grids.items():
        check_agreement(ours[name], theirs[name], exact, grid)
    numbers = {n: maker.grids[n].numbers(f).astype(np.float32) for n, f in feeds.items()}
    integers = compile_qdq(path, numbers)[1].integers
    assert integers.tensors["s"].element == "int32"
    r = evaluate_integers(integers, {n: maker.grids[n].stored(f) for n, f in feeds.items()})["r"]
    near = np.abs(r * integers.tensors["r"].scale - np.maximum(exact, 0))
    assert near.max() <= integers.tensors["r"].scale * 0.51


def test_a_product_read_by_different_quantizers_is_exact_for_each(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    x = Grid("int8", 0.02, 4)
    maker = QdqMaker()
    given_x = maker.given("x", (6, 12), x)
    weights = rng.integers(-127, 128, (12, 10)).astype(np.int8)
    bias = rng.normal(size=10).astype(np.float32)
    maker.constant("w", weights, np.float32(0.004))
    maker.node("Gemm", [given_x, "w", maker.tensor("b", bias)], ["p"], name="fc")
    maker.node("Relu", ["p"], ["s"])
    grids = {"y": Grid("uint8", 0.03, 7), "z": Grid("int8", 0.1, 0)}
    for name, grid in grids.items():
        maker.result("s", grid, name)
    maker.node("Mul", ["s", "s"], ["m"])
    maker.result("m", Grid("uint8", 0.1, 0), "q")
    path = maker.save(tmp_path)
    data = x.random(rng, (6, 12))
    exact = np.maximum(x.numbers(data) @ (weights * float(np.float32(0.004))) + bias, 0)
    ours, theirs = integers_of(maker, path, {"x": data}), run_qdq(path, {"x": data})
    for name, grid in grids.items():
        check_agreement(ours[name], theirs[name], exact, grid)
    assert np.abs(ours["q"] - theirs["q"].astype(int)).max() <= 1


# -- tables, softmax, movement ------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    seed=WHOLE,
    element=st.sampled_from(["int8", "uint8"]),
    zero=st.integers(0, 255),
    same=st.booleans(),
)
def test_rows_of_a_quantized_table(
    tmp_path_factory: pytest.TempPathFactory, seed: int, element: str, zero: int, same: bool
) -> None:
    rng = np.random.default_rng(seed)
    grid = Grid(element, 0.013, zero + LOWEST[element])
    y = grid if same else Grid("int8", 0.02, -5)
    maker = QdqMaker()
    maker.input("i", (1, 4), INT64)
    table = grid.random(rng, (11, 6))
    maker.constant("t", table, np.float32(grid.scale), grid.zero_point)
    maker.node("Gather", ["t", "i"], ["e"])
    maker.result("e", y)
    maker.grids["i"] = Grid("int8", 1.0, 0)
    path = maker.save(tmp_path_factory.mktemp("p"))
    index = rng.integers(0, 11, (1, 4))
    theirs = run_qdq(path, {"i": index})["y"]
    _, compiled = compile_qdq(path, {"i": index})
    ours = evaluate_integers(compiled.integers, {"i": index})["y"].astype(np.int64)
    ours += 128 if y.element == "uint8" else 0
    check_agreement(ours, theirs, grid.numbers(table)[index], y)
    if same:
        np.testing.assert_array_equal(ours, table[index])


def test_rows_of_a_table_that_no_quantizer_follows_keep_their_integers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = rng.integers(0, 256, (11, 6)).astype(np.uint8)
    table[0, :2] = 0, 255
    maker = QdqMaker()
    maker.input("i", (1, 4), INT64)
    maker.constant("t", table, np.float32(0.02), 200)
    maker.node("Gather", ["t", "i"], ["e"])
    maker.output("e")
    index = np.array([[0, 3, 10, 3]])
    _, compiled = compile_qdq(maker.save(tmp_path), {"i": index})
    e = compiled.integers.tensors["e"]
    assert (e.element, e.scale, e.zero_point) == ("int8", np.float32(0.02), 72)
    ours = evaluate_integers(compiled.integers, {"i": index})["e"]
    np.testing.assert_array_equal(ours.astype(int) + 128, table[index])


@settings(max_examples=40, deadline=None)
@given(
    seed=WHOLE,
    columns=st.integers(1, 300),
    axis=st.sampled_from([0, 1]),
    scale=st.floats(1e-3, 0.3),
    element=st.sampled_from(["int8", "uint8"]),
    y_scale=st.sampled_from([1 / 256, 1 / 255, 1 / 128]),
)
def test_softmax_keeps_its_bound(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    columns: int,
    axis: int,
    scale: float,
    element: str,
    y_scale: float,
) -> None:
    """The bound of docs/quantized_models.md: the operator's tables decide, not one rounding."""
    rng = np.random.default_rng(seed)
    x, y = Grid(element, scale, LOWEST[element] + 77), Grid(element, y_scale, LOWEST[element])
    shape = (3, columns) if axis else (columns, 3)
    maker = QdqMaker()
    maker.node("Softmax", [maker.given("x", shape, x)], ["p"], axis=axis)
    maker.result("p", y)
    path = maker.save(tmp_path_factory.mktemp("p"))
    data = x.random(rng, shape)
    ours = integers_of(maker, path, {"x": data})["y"]
    powers = np.exp(x.numbers(data) - x.numbers(data).max(axis=axis, keepdims=True))
    p = powers / powers.sum(axis=axis, keepdims=True)
    steps = p / y.step + y.zero_point
    bound = (p * 2.0**-10 + (1.14 * (1 + columns * p) + 1) * 2.0**-15) / y.step
    best = y.limited(steps)
    assert (np.abs(ours - best) <= 0.5 + bound).all()
    clear = np.abs(np.abs(steps - np.rint(steps)) - 0.5) > bound
    np.testing.assert_array_equal(ours[clear], run_qdq(path, {"x": data})["y"][clear])


@settings(max_examples=30, deadline=None)
@given(seed=WHOLE, other=st.booleans(), x_element=st.sampled_from(["int8", "uint8"]))
def test_moving_is_exact_and_another_scale_costs_one_rounding(
    tmp_path_factory: pytest.TempPathFactory, seed: int, other: bool, x_element: str
) -> None:
    rng = np.random.default_rng(seed)
    x = Grid(x_element, 0.04, LOWEST[x_element] + 30)
    y = Grid("int8", 0.03, 9) if other else x
    maker = QdqMaker()
    for name, data in (("starts", [1, 0]), ("ends", [5, 6]), ("steps", [2, 1]), ("to", [-1])):
        maker.tensor(name, data, np.int64)
    maker.tensor("pick", [3, 0, 0], np.int64)
    given_x = maker.given("x", (6, 7), x)
    maker.node("Slice", [given_x, "starts", "ends", "", "steps"], ["s"])
    maker.node("Transpose", ["s"], ["t"])
    maker.node("Gather", ["t", "pick"], ["g"], axis=0)
    maker.node("Reshape", ["g", "to"], ["f"])
    maker.result("f", y)
    path = maker.save(tmp_path_factory.mktemp("p"))
    data = x.random(rng, (6, 7))
    exact = x.numbers(data)[1:5:2, :6].T[[3, 0, 0]].reshape(-1)
    ours = integers_of(maker, path, {"x": data})["y"]
    check_agreement(ours, run_qdq(path, {"x": data})["y"], exact, y)
    numbers = {"x": x.numbers(data).astype(np.float32)}
    nodes = compile_qdq(path, numbers)[1].integers.nodes
    assert sum(isinstance(node, Requant) for node in nodes) == int(other)


def test_integers_may_be_moved_before_they_become_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    x = Grid("uint8", 0.04, 100)
    maker = QdqMaker()
    maker.input("x", (2, 6), TensorProto.UINT8)
    maker.node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2)
    maker.node("Concat", ["b", "a"], ["c"], axis=0)
    maker.node("Transpose", ["c"], ["t"])
    maker.node("DequantizeLinear", ["t", *maker.parameters("x", x)], ["n"])
    maker.node("Relu", ["n"], ["r"])
    y = Grid("int8", 0.08, -128)
    maker.node("QuantizeLinear", ["r", *maker.parameters("y", y)], ["q"])
    maker.node("Flatten", ["q"], ["y"], axis=0)
    maker.output("y", (1, 12), TensorProto.INT8)
    path = maker.save(tmp_path)
    data = x.random(rng, (2, 6))
    moved = np.concatenate([data[:, 3:], data[:, :3]]).T.reshape(1, 12)
    ours = integers_of(maker, path, {"x": data})["y"]
    theirs = run_qdq(path, {"x": data})["y"]
    check_agreement(ours, theirs, np.maximum(x.numbers(moved), 0), y)


def test_a_constant_without_integers_is_added_exactly(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    x, y = Grid("int8", 0.013, 3), Grid("int8", 0.011, 0)
    numbers = rng.normal(size=(5, 1)).astype(np.float32)
    scales = rng.uniform(1e-3, 2e-2, 5).astype(np.float32)
    integers = rng.integers(-128, 128, (5, 9)).astype(np.int8)
    data = x.random(rng, (5, 9))
    for name, exact in (
        ("numbers", numbers.astype(np.float64)),
        ("per_row", integers * scales.astype(np.float64)[:, None]),
    ):
        maker = QdqMaker()
        given_x = maker.given("x", (5, 9), x)
        maker.tensor("numbers", numbers)
        maker.constant("per_row", integers, scales, axis=0)
        maker.node("Add", [name, given_x], ["p"])
        maker.result("p", y)
        path = maker.save(tmp_path)
        ours = integers_of(maker, path, {"x": data})["y"]
        check_agreement(ours, run_qdq(path, {"x": data})["y"], x.numbers(data) + exact, y)


def test_formats_of_the_ports_are_the_models(tmp_path: Path) -> None:
    maker = QdqMaker()
    x, y = Grid("uint8", 0.04, 100), Grid("uint8", 0.08, 0)
    maker.node("Relu", [maker.given("x", (2, 6), x)], ["r"])
    maker.result("r", y)
    _, compiled = compile_qdq(maker.save(tmp_path), {"x": np.zeros((2, 6), np.float32)})
    for port, grid in ((compiled.program.inputs[0], x), (compiled.program.outputs[0], y)):
        assert (port.element, port.scale) == ("int8", np.float32(grid.scale))
        assert port.zero_point == grid.zero_point - 128


def test_the_program_cache_knows_models_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same numbers and ranges, other integers, scales, widths or zero points: other programs."""
    monkeypatch.setenv("AZSIM_CACHE_DIR", str(tmp_path / "cache"))
    weights = np.array([[100, -50], [20, 10]], np.int8)
    tenth = np.float32(0.1)
    makers = [
        one_product(weights, tenth),
        one_product((weights // 2), 2 * tenth),
        one_product(weights.astype(np.int16), tenth),
    ]
    other = one_product(weights, tenth)
    for tensor in other.tensors:
        if tensor.name == "y_z":
            tensor.raw_data = b"\x07"
    keys = []
    for maker in (*makers, other, makers[0]):
        graph = read_onnx(maker.save(tmp_path))
        ranges = Ranges(dict.fromkeys(graph.values, 1.0), {})
        plan = CompressionPlan()
        integers = partial(compress_weights, graph, ranges, plan)
        compile_cached(load_chip("tiny"), ranges, plan, graph_key(graph), integers)
        keys.append(sorted(path.name for path in (tmp_path / "cache").rglob("*.azp")))
    assert [len(names) for names in keys] == [1, 2, 3, 4, 4]
