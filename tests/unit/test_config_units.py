"""Integer arithmetic of units."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azsim import units

pytestmark = pytest.mark.small

WHOLE = st.integers(min_value=-(10**18), max_value=10**18)
POSITIVE = st.integers(min_value=1, max_value=10**9)


@given(WHOLE, POSITIVE)
def test_ceil_div_is_the_exact_quotient_rounded_up(value: int, divisor: int) -> None:
    assert units.ceil_div(value, divisor) == ceil(Fraction(value, divisor))


@given(WHOLE, POSITIVE)
def test_rounding_brackets_the_value(value: int, step: int) -> None:
    down, up = units.round_down(value, step), units.round_up(value, step)
    assert down <= value <= up
    assert down % step == up % step == 0
    assert up - down in (0, step)


@pytest.mark.parametrize("divisor", [0, -1])
def test_a_divisor_must_be_positive(divisor: int) -> None:
    with pytest.raises(ValueError, match=rf"^divisor must be positive, not {divisor}$"):
        units.ceil_div(1, divisor)
    with pytest.raises(ValueError, match=rf"^step must be positive, not {divisor}$"):
        units.round_down(1, divisor)


def test_powers_of_two() -> None:
    assert [n for n in range(-4, 20) if units.is_power_of_two(n)] == [1, 2, 4, 8, 16]


@given(st.integers(min_value=0, max_value=10**12), st.integers(min_value=1, max_value=10_000))
def test_an_edge_in_picoseconds_is_that_edge_again(cycles: int, clock_mhz: int) -> None:
    assert units.ps_to_cycles(units.cycles_to_ps(cycles, clock_mhz), clock_mhz) in (
        cycles,
        cycles + 1,
    )


def test_times_by_hand() -> None:
    assert units.cycles_to_ps(3, 500) == 6000
    assert units.cycles_to_ps(1, 300) == 3334  # 3333.3 ps: the edge has not come before
    assert units.ps_to_cycles(6000, 500) == 3
    assert units.ps_to_cycles(6001, 500) == 4
    assert units.cycles_to_ms(500_000, 500) == 1.0
    assert units.bytes_to_kb(1536) == 1.5
