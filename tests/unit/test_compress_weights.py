"""Pruning, grids and codebooks of one matrix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azsim.compress.plan import LayerPlan
from azsim.compress.weights import compress_rows, prune_rows, sqnr_of

pytestmark = pytest.mark.small


def matrix(seed: int, rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_t(5, (rows, columns)).astype(np.float32)


@given(
    st.integers(0, 99), st.integers(1, 9), st.integers(1, 70), st.floats(0, 0.99),
    st.integers(2, 33), st.sampled_from(["magnitude", "balanced"]),
)  # fmt: skip
def test_the_wanted_zeros_are_there(seed, rows, columns, share, bank, way) -> None:
    weights = matrix(seed, rows, columns)
    pruned = prune_rows(weights, LayerPlan(sparsity=share, pruning=way, bank=bank))
    assert np.count_nonzero(pruned == 0) >= round(share * weights.size)
    assert np.array_equal(pruned[pruned != 0], weights[pruned != 0])


def test_balanced_pruning_keeps_the_largest_of_each_bank() -> None:
    weights = matrix(1, 6, 24)
    pruned = prune_rows(weights, LayerPlan(sparsity=0.75, pruning="balanced", bank=8))
    for begin in range(0, 24, 8):
        bank, old = np.abs(pruned[:, begin : begin + 8]), np.abs(weights[:, begin : begin + 8])
        assert (np.count_nonzero(bank, axis=1) == 2).all()
        assert np.allclose(np.sort(bank, axis=1)[:, -2:], np.sort(old, axis=1)[:, -2:])


@pytest.mark.parametrize("bits", [8, 6, 5, 4, 3, 2])
@pytest.mark.parametrize("scales", ["row", "tensor"])
def test_grids_have_their_width_and_scales(bits: int, scales: str) -> None:
    weights = matrix(2, 12, 40)
    made = compress_rows(weights, LayerPlan(bits=bits, scales=scales))
    most = 2 ** (bits - 1) - 1
    assert made.scales.size == (12 if scales == "row" else 1)
    peak = np.abs(made.integers).max(axis=1 if scales == "row" else None)
    assert np.all(peak == most)
    assert np.abs(made.numbers - weights).max() <= 0.5001 * made.scales.max()


def test_mse_is_never_worse_than_minmax_and_better_where_bits_are_few() -> None:
    weights = matrix(3, 16, 256)
    for bits in (8, 4, 3, 2):
        plain = sqnr_of(weights, compress_rows(weights, LayerPlan(bits=bits)).numbers)
        best = compress_rows(weights, LayerPlan(bits=bits, calibration="mse")).numbers
        assert sqnr_of(weights, best) >= plain
        if bits <= 3:
            assert sqnr_of(weights, best) > plain + 2.0


def test_percentile_cuts_off_what_stands_alone() -> None:
    weights = np.full((1, 40000), 0.5, np.float32)
    weights[0, 7] = 100.0
    made = compress_rows(weights, LayerPlan(bits=8, calibration="percentile"))
    assert made.scales[0] == pytest.approx(0.5 / 127, rel=0.02)
    assert made.integers[0, 7] == 127


def test_a_matrix_of_zeros_stays_one() -> None:
    for plan in (LayerPlan(bits=2), LayerPlan(calibration="mse"), LayerPlan(codebook=4)):
        made = compress_rows(np.zeros((3, 5), np.float32), plan)
        assert not made.integers.any()
        assert (made.scales > 0).all()


@given(st.integers(0, 50), st.integers(2, 32), st.booleans())
def test_a_codebook_has_at_most_its_entries(seed: int, entries: int, pruned: bool) -> None:
    plan = LayerPlan(codebook=entries, sparsity=0.5 if pruned else 0.0)
    weights = matrix(seed, 8, 64)
    made = compress_rows(weights, plan)
    assert len(np.unique(made.integers)) <= entries
    assert np.count_nonzero(made.integers == 0) >= (256 if pruned else 0)


@pytest.mark.parametrize("scales", ["row", "tensor"])
def test_lloyd_centroids_beat_the_grid_of_as_many_levels(scales: str) -> None:
    weights = matrix(4, 32, 512)
    for bits in (2, 3, 4):
        levels = 2**bits - 1
        grid = compress_rows(weights, LayerPlan(bits=bits, scales=scales, calibration="mse"))
        book = compress_rows(weights, LayerPlan(codebook=levels, scales=scales))
        gain = sqnr_of(weights, book.numbers) - sqnr_of(weights, grid.numbers)
        # of three levels one is 0: the grid has as many, and a scale of its own for each row
        assert gain > (0.5 if bits > 2 else -0.1)


def test_centroids_of_a_known_density_are_those_of_max() -> None:
    """Four levels of a normal distribution: +-0.4528 and +-1.5104 (J. Max, 1960, table I)."""
    weights = np.random.default_rng(0).standard_normal((1, 400_000)).astype(np.float32)
    made = compress_rows(weights, LayerPlan(codebook=4, scales="tensor"))
    found = np.unique(made.numbers)
    assert np.allclose(found, [-1.5104, -0.4528, 0.4528, 1.5104], atol=0.03)
