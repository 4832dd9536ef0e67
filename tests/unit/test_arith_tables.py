"""The tables: pinned, made twice, and their error over every input."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from azsim_kernels import arith, tables
from azsim_kernels.reference import arith as reference
from azsim_kernels.reference import tables as decimals

pytestmark = pytest.mark.small

CHECKSUMS = {
    "sigmoid_table": (513, 0xF0ACF0E8),
    "tanh_table": (513, 0xDB30CCE1),
    "exp2_table": (129, 0x0C63CBBF),
    "reciprocal_table": (256, 0xD6641EAA),
    "rsqrt_table": (192, 0x961B5C00),
    "log2_table": (129, 0x29AAF03B),
}
INT16 = np.arange(-32768, 32768)


@pytest.mark.parametrize("name", CHECKSUMS)
def test_tables_are_pinned_and_equal_the_decimals(name):
    table = getattr(tables, name)()
    entries, checksum = CHECKSUMS[name]
    assert table.dtype == np.int16
    assert table.shape == (entries,)
    assert zlib.crc32(table.astype("<i2").tobytes()) == checksum
    np.testing.assert_array_equal(table, getattr(decimals, name)())


@pytest.mark.parametrize(
    ("name", "exact", "bound"),
    [("sigmoid", lambda x: 1 / (1 + np.exp(-x)), 1.27), ("tanh", np.tanh, 3.80)],
)
def test_error_over_all_inputs_is_what_the_page_says(name, exact, bound):
    values = getattr(reference, name)(INT16)
    error = np.abs(values - 32768 * exact(INT16 / 4096)).max()
    assert bound - 0.01 < error <= bound
    assert np.all(np.diff(values) >= 0)
    assert values.min() >= -32768
    assert values.max() <= 32767


def test_error_of_exp_over_all_inputs_is_what_the_page_says():
    t = np.arange(-32768, 1)
    error = np.abs(reference.exp(t) - 32768 * np.exp(t / 1024)).max()
    assert 1.13 < error <= 1.14
    assert np.all(np.diff(reference.exp(t)) >= 0)


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "exp"])
def test_kernel_equals_reference_over_all_inputs(name):
    inputs = np.arange(-32768, 1) if name == "exp" else INT16
    kernel = getattr(arith, name)
    got = np.array([kernel(int(v)) for v in inputs])
    np.testing.assert_array_equal(got, getattr(reference, name)(inputs))


@settings(deadline=None, max_examples=500)
@given(st.integers(1, 2**31 - 1) | st.integers(0, 30).map(lambda e: 2**e))
@example(1)
@example(2**31 - 1)
@example(511 * 2**20 - 1)
def test_reciprocal(total):
    r, n = (int(v) for v in reference.reciprocal(total))
    assert tuple(map(int, arith.reciprocal(total))) == (r, n)
    assert n == total.bit_length()
    exact = 2.0 ** (30 + n) / total
    assert exact * (1 - 2.0**-18) - 1 <= r <= exact


def exact_softmax(x: np.ndarray, scale: float) -> np.ndarray:
    """Softmax of int8 rows in float64."""
    e = np.exp((x - x.max(axis=-1, keepdims=True)) * scale)
    return e / e.sum(axis=-1, keepdims=True)


@settings(deadline=None)
@given(st.integers(1, 3000), st.sampled_from([1 / 64, 1 / 16, 0.1, 1 / 4]), st.integers(0, 999))
def test_softmax_error_is_within_the_bound_of_the_page(columns, scale, seed):
    rng = np.random.default_rng(seed)
    x = np.clip(rng.normal(0, rng.choice([1, 20, 90]), columns), -128, 127).astype(np.int64)
    scale_in = reference.quantize_multiplier(scale * 1024)
    got = reference.softmax(x, scale_in, (2**30, 30))
    p = exact_softmax(x, scale)
    assert np.all(np.abs(got - 32768 * p) <= 1.14 * (1 + columns * p) + 1)


def test_softmax_of_a_wide_row_of_small_terms_is_within_the_bound_and_not_better():
    x = np.full(32768, -128)
    x[0] = -128 + 44  # the others weigh exp(-11), 0.55 steps each, and count as one
    got = reference.softmax(x, reference.quantize_multiplier(256.0), (2**30, 30))
    p = exact_softmax(x, 0.25)
    error = np.abs(got - 32768 * p)
    assert np.all(error <= 1.14 * (1 + 32768 * p) + 1)
    assert error[0] > 1000
