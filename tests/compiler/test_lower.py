"""Parts of the lowering by themselves: factors of Add, widths of stored weights, conversions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qdq_models import Grid, QdqMaker, compile_qdq

from azsim.compiler.lower.elementwise import add_multipliers, is_suffix
from azsim.compiler.lower.moves import even_runs
from azsim.compiler.lower.weights import quantize_rows, stored_rows
from azsim.errors import CompileError
from azsim.graph.integer import IntegerKind, Linear, Move, Requant, Table8

pytestmark = pytest.mark.small

FACTORS = st.floats(-70, 29.99).map(lambda power: 2.0**power)


@given(a=FACTORS, b=FACTORS)
def test_the_larger_factor_of_add_fills_30_bits(a: float, b: float) -> None:
    m_a, m_b, shift = add_multipliers("node 'n' (Add)", a, b)
    assert 0 <= shift <= 62
    assert max(m_a, m_b) < 2**30
    assert max(m_a, m_b) >= 2**29 or shift in (0, 62)
    for real, m in ((a, m_a), (b, m_b)):
        assert abs(m / 2.0**shift - real) <= 2.0 ** (-shift - 1)


def test_a_factor_that_rounds_up_to_30_bits_loses_one() -> None:
    assert add_multipliers("n", 1 - 2.0**-40, 0.5) == (2**29, 2**28, 29)
    assert add_multipliers("n", 2.0**30 - 1, 0.0) == (2**30 - 1, 0, 0)


@pytest.mark.parametrize("factor", [2.0**30, 1e300, float("inf"), float("nan")])
def test_a_factor_beyond_30_bits_is_refused(factor: float) -> None:
    with pytest.raises(CompileError) as caught:
        add_multipliers("node 'n' (Add)", factor, 1.0)
    assert str(caught.value) == (
        f"node 'n' (Add): rescale factor must be at most 2**30 - 1, not {factor:.6g}"
    )


def test_suffixes_repeat_as_they_are() -> None:
    assert is_suffix((1, 4), (3, 4))
    assert is_suffix((1, 1), (3, 4))
    assert is_suffix((3, 4), (3, 4))
    assert not is_suffix((3, 1), (3, 4))
    assert not is_suffix((2, 3, 4), (3, 4))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20))
def test_even_runs_cover_all_indices_in_order(indices: list[int]) -> None:
    found: list[int] = []
    for place, first, step, count in even_runs(indices):
        assert place == len(found)
        assert count >= 1
        found += [first + k * step for k in range(count)]
    assert found == indices


@pytest.mark.parametrize(
    ("low", "high", "bits", "width"),
    [
        (-8, 7, 4, 4),
        (0, 0, 4, 4),
        (-15, 0, 4, 5),
        (0, 15, 4, 5),
        (-128, 127, 8, 8),
        (0, 0, 8, 8),
        (-3, 3, 32, 8),
        (0, 40, 4, 8),
        (0, 31, 4, 6),
    ],
)
def test_widths_of_stored_weights(low: int, high: int, bits: int, width: int) -> None:
    made = stored_rows(np.array([[low, high]] * 3, np.int16), np.array([0.5]), bits)
    assert (made.bits, made.integers.dtype) == (width, np.int8)
    np.testing.assert_array_equal(made.scales, [0.5] * 3)


def test_rounding_rows_to_fewer_bits_keeps_signs_and_peaks() -> None:
    made = quantize_rows(np.array([[7.0, -7.0, 0.9]]), 4)
    np.testing.assert_array_equal(made.integers, [[7, -7, 1]])


def joined(folder: Path, constant: np.ndarray) -> list[object]:
    maker = QdqMaker()
    x = Grid("int8", 0.5, 2)
    maker.tensor("t", constant)
    maker.node("Concat", [maker.given("x", (1, 2), x), "t"], ["c"], axis=1)
    maker.result("c", x)
    _, compiled = compile_qdq(maker.save(folder), {"x": np.zeros((1, 2), np.float32)})
    tensors = compiled.integers.tensors.values()
    data = [t.data for t in tensors if t.kind is IntegerKind.CONSTANT]
    assert isinstance(compiled.integers.nodes[0], Move)
    assert not any(isinstance(node, Requant) for node in compiled.integers.nodes)
    return data


def test_a_joined_constant_is_rounded_once_when_compiling(tmp_path: Path) -> None:
    (data,) = joined(tmp_path, np.array([[1.0, -0.26, 1e9]], np.float32))
    np.testing.assert_array_equal(data, [[4, 1, 127]])  # -0.52 steps: -1, plus 2


def test_weights_of_two_nodes_stay_one_matrix(tmp_path: Path) -> None:
    maker = QdqMaker()
    given_x = maker.given("x", (1, 2), Grid("int8", 0.5, 2))
    maker.constant("w", np.array([[3, -4], [5, 6]], np.int8), np.float32(0.1))
    for k in range(2):
        maker.node("MatMul", [given_x, "w"], [f"p{k}"], name=f"fc{k}")
        maker.result(f"p{k}", Grid("int8", 0.5 + k, 0), f"y{k}")
    _, compiled = compile_qdq(maker.save(tmp_path), {"x": np.zeros((1, 2), np.float32)})
    first, second = (n for n in compiled.integers.nodes if isinstance(n, Linear))
    assert first.weights is second.weights


@pytest.mark.parametrize("operator", ["Sigmoid", "Tanh"])
def test_a_function_between_two_grids_is_a_table_of_256(tmp_path: Path, operator: str) -> None:
    maker = QdqMaker()
    x, y = Grid("uint8", 0.05, 100), Grid("int8", 1 / 120, 5)
    maker.node(operator, [maker.given("x", (1, 2), x)], ["p"], name="f")
    maker.result("p", y)
    _, compiled = compile_qdq(maker.save(tmp_path), {"x": np.zeros((1, 2), np.float32)})
    node = compiled.integers.nodes[0]
    assert isinstance(node, Table8)
    table = compiled.integers.tensors[node.table].data
    real = x.numbers(np.arange(256))
    exact = np.tanh(real) if operator == "Tanh" else 1 / (1 + np.exp(-real))
    want = np.clip(np.rint(exact / y.step) + 5, -128, 127)
    np.testing.assert_array_equal(table, want)
