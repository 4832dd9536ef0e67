"""Which tile size a matrix gets when its user names none."""

from __future__ import annotations

import numpy as np
import pytest

from azsim.codec import encode_tensor
from azsim.codec.encode import default_tile

pytestmark = pytest.mark.small


@pytest.mark.parametrize(
    ("profile", "zeros", "weights"),
    [("bitmap", 100, 16384), ("ans", 64, 16384), ("ans", 75, 65536), ("ans", 100, 65536)],
)
def test_sparse_matrices_get_large_tiles_with_ans(profile: str, zeros: int, weights: int) -> None:
    matrix = np.arange(100, dtype=np.int8).reshape(10, 10)
    matrix.reshape(-1)[:zeros] = 0
    assert default_tile(matrix, profile) == weights
    assert encode_tensor(matrix, profile=profile).grid.tile_columns == weights


@pytest.mark.parametrize(
    ("values", "weights"),
    [(5, 65536), (6, 16384)],  # log2 of 5 is 2.32, of 6 it is 2.58
)
def test_matrices_of_few_values_get_large_tiles_with_ans(values: int, weights: int) -> None:
    matrix = (np.arange(600) % values + 1).astype(np.int8).reshape(20, 30)
    assert default_tile(matrix, "ans") == weights
    assert default_tile(matrix, "bitmap") == 16384
    assert default_tile(matrix[:, :0], "ans") == 16384
