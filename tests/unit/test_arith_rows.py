"""Square roots, logarithms, norms, GRU steps: bounds of docs/arithmetic.md, and real values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from azsim_kernels import arith, isa
from azsim_kernels.reference import arith as scalars
from azsim_kernels.reference import arith_rows as rows

pytestmark = pytest.mark.small


@settings(deadline=None, max_examples=500)
@given(st.integers(0, 62).flatmap(lambda e: st.integers(1 << e, (2 << e) - 1)))
@example(1)
@example(2**63 - 1)
@example(2**32)
@example(2**32 - 1)
@example(255 * 2**24 - 1)
def test_rsqrt_is_within_the_bound_of_the_page(v: int) -> None:
    r, h = rows.rsqrt(v)
    assert tuple(map(int, arith.rsqrt(v))) == (r, h)
    assert h == -(-v.bit_length() // 2)
    exact = 2.0 ** (24 + h) / np.sqrt(float(v))
    assert exact * (1 - 2.0**-24) - 1 <= r <= exact * (1 + 2.0**-28)


def test_ln_is_within_the_bound_of_the_page_and_never_falls() -> None:
    rng = np.random.default_rng(0)
    totals = np.concatenate([np.arange(32767, 70000), rng.integers(32767, 2**30, 20000)])
    totals.sort()
    got = rows.ln(totals)
    error = np.abs(got - 1024 * np.log(totals / 32768)).max()
    assert 0.55 < error <= 0.57
    assert np.all(np.diff(got) >= 0)
    some = totals[:: len(totals) // 500]
    assert [int(arith.ln(int(v))) for v in some] == rows.ln(some).tolist()


def exact_norm(d: np.ndarray, kind: int, epsilon: float) -> np.ndarray:
    """Normalized rows in float64; epsilon in squared steps of d."""
    mean = d.mean(axis=-1, keepdims=True) if kind == isa.NORM_LAYER else 0.0
    power = ((d - mean) ** 2).mean(axis=-1, keepdims=True)
    return (d - mean) / np.sqrt(power + epsilon)


@settings(deadline=None)
@given(
    st.sampled_from([isa.NORM_LAYER, isa.NORM_RMS]),
    st.sampled_from([2, 7, 64, 1000, 32768]),
    st.sampled_from([127, 32767]),
    st.sampled_from([0.0, 0.01, 3.0]),
    st.integers(0, 999),
)
def test_a_norm_is_the_real_one_rounded_once(
    kind: int, n: int, limit: int, epsilon: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    d = rng.integers(-limit, limit + 1, (2, n))
    d[:, 0] = limit  # never all zero
    d[:, 1] = -limit
    gamma, beta = rng.normal(30, 10, n), rng.normal(0, 20, n)
    scale = 2.0**20
    parameters = (np.rint(gamma * scale).astype(np.int64), np.rint(beta * scale).astype(np.int64))
    got = rows.normalize(d, kind, round(n * n * epsilon), parameters, 36)
    wanted = exact_norm(d, kind, round(n * n * epsilon) / (n * n)) * gamma + beta
    # Half a step for the rounding; t is off by 2^-24 of itself and 2^-17.
    slack = np.abs(wanted - beta) * 2.0**-24 + np.abs(gamma) * 2.0**-17 + 1e-3
    assert np.all(np.abs(got - wanted) <= 0.5 + slack)


def test_rows_without_deviation_give_beta() -> None:
    parameters = (np.full(3, 1 << 20), np.array([0, 5 << 20, -(7 << 20)]))
    for kind, row in ((isa.NORM_LAYER, [9, 9, 9]), (isa.NORM_RMS, [0, 0, 0])):
        for epsilon in (0, 1):
            got = rows.normalize(np.array([row]), kind, epsilon, parameters, 36)
            assert got.tolist() == [[0, 5, -7]]


@settings(deadline=None)
@given(st.integers(1, 400), st.sampled_from([1 / 64, 0.05, 1 / 4]), st.integers(0, 999))
def test_log_softmax_is_close_to_the_real_one(columns: int, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.clip(rng.normal(0, rng.choice([1, 20, 90]), (1, columns)), -128, 127).astype(np.int64)
    x = np.maximum(x, x.max() - int(31 / scale))  # what lies lower counts as -32
    got = rows.log_softmax(x, scalars.quantize_multiplier(scale * 1024), (2**30, 30))
    z = (x - x.max()) * scale
    wanted = z - np.log(np.exp(z).sum())
    # t and ln are rounded to 2^-10, exp to 1.14 x 2^-15 per term of a sum of at least 1.
    assert np.all(np.abs(got / 1024 - wanted) <= 1.1 / 1024 + columns * 1.2 / 32768)


def test_a_gru_step_is_close_to_the_real_one() -> None:
    rng = np.random.default_rng(1)
    z, r, n_x, n_h = (rng.normal(0, 1.5, 2000) for _ in range(4))
    h = rng.uniform(-1, 1, 2000)
    gates = [np.rint(v * 4096).astype(np.int64) for v in (z, r, n_x, n_h)]
    state = np.rint(h * 32767).astype(np.int64)

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x))

    for reset in (True, False):
        new = np.tanh(n_x + sigmoid(r) * n_h if reset else n_x)
        wanted = sigmoid(z) * h + (1 - sigmoid(z)) * new
        pair = (gates[1], gates[3]) if reset else None
        got = scalars.gru_cell(gates[0], gates[2], state, pair)
        assert np.abs(got / 32768 - wanted).max() < 8 / 32768 + 3 / 4096


@pytest.mark.parametrize("couple", [isa.COUPLE_INPUT, isa.COUPLE_FORGET])
def test_coupled_gates_are_one_less_the_other(couple: int) -> None:
    rng = np.random.default_rng(couple)
    gates = rng.integers(-12000, 12000, (4, 50))
    i, o, f, g = gates
    c = rng.integers(-4000, 4000, 50)
    blocks = [o, f, g] if couple == isa.COUPLE_INPUT else [i, o, g]
    got, h = scalars.lstm_cell(np.concatenate(blocks), c, 12, (2**30, 53), couple)
    opened = {name: scalars.sigmoid(gate) for name, gate in (("i", i), ("f", f))}
    if couple == isa.COUPLE_INPUT:
        opened["i"] = 32768 - opened["f"]
    else:
        opened["f"] = 32768 - opened["i"]
    wanted = scalars.rounded_shift(opened["f"] * c, 15)
    wanted = wanted + scalars.rounded_shift(opened["i"] * scalars.tanh(g), 18)
    np.testing.assert_array_equal(got, wanted)
    t = scalars.tanh(scalars.sat16(wanted))
    np.testing.assert_array_equal(h, scalars.rescale(scalars.sigmoid(o) * t, 2**30, 53))


def test_the_best_of_a_row_come_first_and_the_lower_place_of_equals() -> None:
    x = np.array([[3, 9, -2, 9, 3], [0, 0, 0, 0, 0]])
    assert rows.arg_reduce(x, isa.ARG_LARGEST, 4).tolist() == [[1, 3, 0, 4], [0, 1, 2, 3]]
    assert rows.arg_reduce(x, isa.ARG_SMALLEST, 2).tolist() == [[2, 0], [0, 1]]
