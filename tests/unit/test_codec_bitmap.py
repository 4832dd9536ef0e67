"""Bitmap tiles: bytes computed by hand, kernel against reference, sizes that never grow."""

from __future__ import annotations

import numpy as np
import pytest
from codec_cases import Weights, bitmap_tile, bitmap_tile_reference, decode_both, header, tiles
from hypothesis import given, settings
from hypothesis import strategies as st

from azsim_kernels import bitmap
from azsim_kernels.reference import bitmap as reference
from azsim_kernels.tile_format import MASK_DENSE, MASK_RAW, MASK_SPECIAL

LOW32 = 0xFFFFFFFF


@pytest.mark.small
def test_empty_tile_by_hand() -> None:
    words = bitmap_tile(np.zeros(512, np.int8))
    assert words.size == 1
    assert int(words[0]) & LOW32 == header(mask=MASK_SPECIAL, ng=1, len=1)
    status, out, beats = decode_both(words, 2)
    assert (status, out.any(), beats.tolist()) == (0, False, [64])


@pytest.mark.small
def test_raw_tile_by_hand() -> None:
    """Three non-zeros of 3 bits: mask of 256 bits, then 3, -4, 1 as 011, 100, 001."""
    weights = np.zeros(256, np.int8)
    weights[[0, 65, 255]] = [3, -4, 1]
    words = bitmap_tile(weights)
    assert words.size == 6
    assert int(words[0]) & LOW32 == header(mask=MASK_RAW, width=2, len=6)
    assert [int(w) for w in words[1:]] == [1, 2, 0, 1 << 63, 0b001_100_011]
    assert decode_both(words, 1)[2].tolist() == [64, 64, 64, 64, 64, 9]


@pytest.mark.small
def test_dense_tile_by_hand() -> None:
    """Every weight -128: 8 bits each, 32 words."""
    words = bitmap_tile(np.full(256, -128, np.int8))
    assert words.size == 33
    assert int(words[0]) & LOW32 == header(mask=MASK_DENSE, width=7, len=33)
    assert {int(w) for w in words[1:]} == {0x8080808080808080}
    assert decode_both(words, 1)[2].tolist() == [64] + [128] * 16


@pytest.mark.small
def test_dense_wins_a_tie() -> None:
    """With 128 non-zeros of 2 bits both forms take 512 bits; DENSE needs fewer beats."""
    weights = np.zeros(256, np.int8)
    weights[:128] = -2
    assert int(bitmap_tile(weights)[0]) & 3 == MASK_DENSE
    weights[127] = 0
    assert int(bitmap_tile(weights)[0]) & 3 == MASK_DENSE  # 510 bits still need 8 words
    weights[90:127] = 0
    assert int(bitmap_tile(weights)[0]) & 3 == MASK_RAW


@pytest.mark.small
@settings(max_examples=30)
@given(tiles(), st.integers(0, 2**20))
def test_kernel_equals_reference_and_decodes(weights: Weights, tile_index: int) -> None:
    words = bitmap_tile(weights, tile_index)
    np.testing.assert_array_equal(words, bitmap_tile_reference(weights, tile_index))
    status, out, beats = decode_both(words, weights.size // 256, tile_index)
    assert status == 0
    np.testing.assert_array_equal(out, weights)
    assert 64 * words.size - 64 < int(beats.sum()) <= 64 * words.size


@pytest.mark.small
@pytest.mark.parametrize("non_zeros", [0, 1, 15, 16, 17, 127, 128, 255, 256])
@pytest.mark.parametrize("width", [1, 5, 8])
def test_every_count_of_non_zeros(non_zeros: int, width: int) -> None:
    rng = np.random.default_rng(non_zeros)
    weights = np.zeros(512, np.int8)
    place = rng.permutation(256)[:non_zeros] + 256
    weights[place] = rng.choice([-(1 << (width - 1)), -1], non_zeros)
    words = bitmap_tile(weights)
    np.testing.assert_array_equal(words, bitmap_tile_reference(weights))
    status, out, beats = decode_both(words, 2)
    assert status == 0
    np.testing.assert_array_equal(out, weights)
    raw = int(words[0]) & 3 == MASK_RAW
    if raw:
        assert beats.size == 1 + 8 + -(-non_zeros // 16)


@settings(max_examples=100)
@given(tiles(most_groups=64))
def test_never_above_plain_packing(weights: Weights) -> None:
    width = reference.signed_width(int(weights.min()), int(weights.max()))
    assert bitmap_tile(weights).size <= 1 + weights.size * width // 64


def test_largest_tile_of_the_format() -> None:
    weights = np.random.default_rng(1).integers(-128, 128, 65536).astype(np.int8)
    words = bitmap_tile(weights, 7)
    assert words.size == 8193
    status, out, beats = decode_both(words, 256, 7)
    assert (status, beats.size) == (0, 1 + 4096)
    np.testing.assert_array_equal(out, weights)


@pytest.mark.small
def test_signed_width_of_every_range() -> None:
    for low in range(-128, 1):
        for high in (0, 1, 2, 3, 7, 8, 63, 64, 127):
            width = int(bitmap.signed_width(low, high))
            assert width == reference.signed_width(low, high)
            assert -(1 << (width - 1)) <= low
            assert high < 1 << (width - 1)
            half = 1 << (width - 2) if width > 1 else 0
            assert width == 1 or low < -half or high >= half
