"""Rounding, rescaling and saturation against exact rational arithmetic, at the extremes too."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from azsim_kernels import arith
from azsim_kernels.reference import arith as reference

pytestmark = pytest.mark.small

BOTH = pytest.mark.parametrize("module", [arith, reference], ids=["kernel", "reference"])
factors = st.sampled_from([0, 1, 2**30, 2**31 - 1]) | st.integers(0, 2**31 - 1)
shifts = st.integers(0, 62)
sums = st.sampled_from([-(2**32), -(2**31), -1, 0, 1, 2**31 - 1, 2**32 - 1, 2**32]) | st.integers(
    -(2**32), 2**32
)


def half_away(exact: Fraction) -> int:
    """Nearest integer, halves away from zero."""
    magnitude = math.floor(abs(exact) + Fraction(1, 2))
    return magnitude if exact >= 0 else -magnitude


@BOTH
def test_rescale_is_the_exact_quotient_rounded_once(module):
    @settings(deadline=None, max_examples=300)
    @given(sums, factors, shifts)
    @example(-(2**32), 2**31 - 1, 62)
    @example(2**32, 2**31 - 1, 62)
    @example(2**32, 2**31 - 1, 0)
    @example(-3, 2**30, 31)
    def check(x, m, s):
        assert int(module.rescale(x, m, s)) == half_away(Fraction(x * m, 2**s))

    check()


@BOTH
def test_rounded_shift_of_large_numbers(module):
    @settings(deadline=None, max_examples=300)
    @given(st.integers(-(2**63) + 1, 2**63 - 1), shifts)
    @example(2**63 - 1, 62)
    @example(-(2**63) + 1, 1)
    def check(v, s):
        assert int(module.rounded_shift(v, s)) == half_away(Fraction(v, 2**s))

    check()


@settings(deadline=None, max_examples=300)
@given(st.integers(-(2**20), 2**20), factors, shifts)
@example(1, 2**30, 31)
def test_round_half_even_differs_only_at_exact_halves_and_by_one(x, m, s):
    exact = Fraction(x * m, 2**s)
    difference = int(reference.rescale(x, m, s)) - round(exact)  # Python rounds halves to even
    if (2 * exact).denominator == 1 and exact.denominator == 2:
        assert difference in (0, 1 if exact > 0 else -1)
    else:
        assert difference == 0


@BOTH
@pytest.mark.parametrize(("name", "bits"), [("sat8", 8), ("sat16", 16), ("sat32", 32)])
def test_saturation(module, name, bits):
    saturate, top = getattr(module, name), 2 ** (bits - 1)
    for v, want in [
        (top - 1, top - 1), (top, top - 1), (-top, -top), (-top - 1, -top), (0, 0),
        (2**62, top - 1), (-(2**62), -top),
    ]:  # fmt: skip
        assert int(saturate(v)) == want


@settings(deadline=None, max_examples=500)
@given(
    st.floats(2.0**-32, 2.0**31 - 1, exclude_max=True)
    | st.integers(-32, 30).map(lambda e: math.ldexp(1 - 2**-40, e))
)
def test_a_multiplier_has_31_bits_and_is_the_nearest(real):
    m, s = reference.quantize_multiplier(real)
    assert 2**30 <= m < 2**31
    assert 0 <= s <= 62
    assert abs(Fraction(m, 2**s) - Fraction(real)) <= Fraction(1, 2 ** (s + 1))


@settings(deadline=None)
@given(st.floats(0, 2.0**-32))
def test_tiny_factors_keep_the_largest_shift(real):
    m, s = reference.quantize_multiplier(real)
    assert s == (0 if real == 0 else 62)
    assert abs(Fraction(m, 2**s) - Fraction(real)) <= Fraction(1, 2**63)


@pytest.mark.parametrize("real", [-1e-9, -0.5, 2.0**31, 2.0**31 - 2**-30, 1e30])
def test_factors_out_of_range_are_refused(real):
    message = rf"^rescale factor must be at least 0 and below 2\*\*31, not {real}$".replace(
        "+", r"\+"
    )
    with pytest.raises(ValueError, match=message):
        reference.quantize_multiplier(real)


@pytest.mark.parametrize("real", [math.inf, math.nan])
def test_factors_that_are_no_numbers_are_refused(real):
    message = rf"^rescale factor must be at least 0 and below 2\*\*31, not {real}$"
    with pytest.raises(ValueError, match=message):
        reference.quantize_multiplier(real)


def test_a_vector_of_factors():
    m, s = reference.quantize_multipliers(np.array([0.35, 0.0, 1.0]))
    assert (m.dtype, s.dtype) == (np.int32, np.int8)
    assert m.tolist() == [1503238554, 0, 2**30]
    assert s.tolist() == [32, 0, 30]


def test_reference_broadcasts_rows_of_multipliers():
    x = np.array([[100, -7], [50, 3]])
    got = reference.rescale(x, np.array([2**30, 2**30]), np.array([30, 31]))
    assert got.tolist() == [[100, -4], [50, 2]]
