"""Zero skipping on both sides: the cycles are the products; and the law of lanes behind it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azsim.config import load_chip
from azsim.engine.lanes_api import lane_cycles_of, masked_cycles_of
from azsim.errors import ModelError
from azsim.validate import run_skip

pytestmark = pytest.mark.small


def test_3_x_4_by_hand() -> None:
    """Weights of channels: 2, 1, 0, 3 rows; the pixels have channels {0, 3}, {2}, {}, {1}."""
    weights = np.array([[1, 0, 0, 1], [1, 1, 0, 1], [0, 0, 0, 1]])
    activations = np.array([[[1, 0, 0, 2], [0, 0, 3, 0]], [[0, 0, 0, 0], [0, 5, 0, 0]]])
    run = run_skip(weights, activations)
    assert (run.cycles, run.products, run.dense_products) == (6, 6, 48)
    assert (run.rows, run.channels, run.vectors) == (3, 4, 4)
    assert (run.weight_density, run.activation_density) == (0.5, 0.25)
    assert run.density_product_estimate == 6
    assert run.counters()["time_us"] == 6 / 200


@settings(max_examples=50)
@given(
    st.integers(1, 20), st.integers(1, 140), st.integers(1, 12), st.integers(0, 2**32),
    st.sampled_from([0.0, 0.1, 0.6, 1.0]),
)  # fmt: skip
def test_cycles_are_the_products(m: int, c: int, n: int, seed: int, dense: float) -> None:
    rng = np.random.default_rng(seed)
    weights, activations = rng.random((m, c)) < dense, rng.random((n, c)) < 0.5
    run = run_skip(weights, activations.astype(np.float32))
    assert run.cycles == run.products == int((activations.astype(int) @ weights.T).sum())


@pytest.mark.parametrize(
    ("weights", "activations", "message"),
    [
        ((4,), (4,), r"^weights must be \(rows, channels\), not 4$"),
        ((2, 0), (0,), r"^weights must be \(rows, channels\), not 2 x 0$"),
        (
            (2, 65537),
            (65537,),
            r"^weights must have at most 65536 channels, not 65537$",
        ),
        (
            (2, 3),
            (3, 4),
            r"^activations must have the 3 channels of the weights last, not 3 x 4$",
        ),
        (
            (2, 3),
            (),
            r"^activations must have the 3 channels of the weights last, not a scalar$",
        ),
        (
            (2, 3),
            (1 << 25, 3),
            r"^activations must be at most 16777216 vectors, not 33554432$",
        ),
        (
            (1 << 20, 64),
            (1 << 16, 64),
            r"^weights and activations must make at most 17179869184 words of 64 products, "
            r"not 68719476736$",
        ),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    weights: tuple[int, ...], activations: tuple[int, ...], message: str
) -> None:
    one = np.int8(1)
    with pytest.raises(ModelError, match=message):
        run_skip(np.broadcast_to(one, weights), np.broadcast_to(one, activations))


@pytest.mark.parametrize(("skip", "products"), [("none", 24), ("weight", 14), ("activation", 9)])
def test_the_chip_says_what_is_skipped(skip: str, products: int) -> None:
    weights = np.array([[1, 0, 0, 1], [1, 1, 0, 1], [0, 1, 0, 1]], bool)
    activations = np.array([[1, 0, 0, 1], [0, 1, 0, 0]], bool)
    array = load_chip("eyeriss_v2_pe").mac_array.model_copy(update={"skip": skip})
    assert masked_cycles_of(weights, activations, array).products == products


def test_arrays_of_another_shape_are_a_programming_error() -> None:
    array = load_chip("eie64").mac_array
    work, gaps = np.zeros((2, 63), np.int64), np.zeros(2, np.int64)
    with pytest.raises(
        ValueError, match=r"^work must be \(items, 64\) with a gap per item, not \(2, 63\) with"
    ):
        lane_cycles_of([(work, gaps)], array)
    with pytest.raises(ValueError, match=r"^activations must be \(vectors, 3\), not \(2, 4\)$"):
        masked_cycles_of(np.ones((2, 3), bool), np.ones((2, 4), bool), array)


def test_gaps_and_widths_by_hand() -> None:
    """Two products per cycle for 4-bit weights: 3 products take 2 cycles; a gap of 4 before b_1.

    b_0 = 0, ends in 2; b_1 = 0 + 1 + 4 = 5, ends in 6; the first gap counts for nothing.
    """
    array = load_chip("eie64").mac_array.model_copy(
        update={"lanes": 1, "fill_cycles": 0, "products_per_mac": {4: 2, 8: 1}}
    )
    work, gaps = np.array([[3], [1]]), np.array([9, 4])
    assert lane_cycles_of([(work, gaps)], array, weight_bits=4).cycles == 6
    assert lane_cycles_of([(work[:1], gaps[:1])], array, weight_bits=8).cycles == 3
