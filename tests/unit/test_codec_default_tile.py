"""Which tile size a matrix gets when its user names none."""

from __future__ import annotations

import numpy as np
import pytest

from azsim.codec import encode_tensor
from azsim.codec.encode import default_tile

pytestmark = pytest.mark.small


@pytest.mark.parametrize(
    ("profile", "zeros", "weights"),
    [("bitmap", 100, 16384), ("ans", 74, 16384), ("ans", 75, 65536), ("ans", 100, 65536)],
)
def test_sparse_matrices_get_large_tiles_with_ans(profile: str, zeros: int, weights: int) -> None:
    matrix = np.ones((10, 10), np.int8)
    matrix.reshape(-1)[:zeros] = 0
    assert default_tile(matrix, profile) == weights
    assert encode_tensor(matrix, profile=profile).grid.tile_columns == weights
