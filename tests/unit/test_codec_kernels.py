"""Kernels on whole matrices against their references."""

from __future__ import annotations

import numpy as np
import pytest
from codec_cases import ans_table, ans_tile
from hypothesis import given, settings
from hypothesis import strategies as st

from azsim_kernels import ans_tensor, tensor, tiles
from azsim_kernels.ans_types import IMPOSSIBLE_BITS, MODE_BITS, MODE_EMPTY, MODES, tile_scratch
from azsim_kernels.reference import ans_tensor as ans_reference
from azsim_kernels.reference import tensor as tensor_reference
from azsim_kernels.reference import tiles as tiles_reference
from azsim_kernels.table_slots import empty_slots
from azsim_kernels.tile_errors import BAD_CRC, OK

pytestmark = pytest.mark.small


@st.composite
def cuts(draw: st.DrawFn) -> tuple[np.ndarray, int, int, bool, int]:
    """Draw (matrix, tile rows, tile columns, column-major, tiles)."""
    rows, columns = draw(st.integers(1, 12)), draw(st.integers(1, 90))
    tile_rows, tile_columns = draw(st.integers(1, rows)), draw(st.integers(1, columns))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    share = draw(st.sampled_from([0.0, 0.3, 0.8, 1.0]))
    matrix = rng.integers(-9, 9, (rows, columns)) * (rng.random((rows, columns)) < share)
    count = -(-rows // tile_rows) * -(-columns // tile_columns)
    return matrix.astype(np.int8), tile_rows, tile_columns, draw(st.booleans()), count


@settings(max_examples=40)
@given(cuts())
def test_tiles_are_cut_and_put_back_alike(cut: tuple[np.ndarray, int, int, bool, int]) -> None:
    matrix, tile_rows, tile_columns, column_major, count = cut
    rows, columns = matrix.shape
    shape = (rows, columns, tile_rows, tile_columns)
    back, other_back = np.zeros_like(matrix), np.zeros_like(matrix)
    for tile in range(count):
        assert tiles.tile_box(tile, *shape) == tiles_reference.tile_box(tile, *shape)
        mine = np.full(tiles.padded_weights(tile_rows * tile_columns), 99, np.int8)
        theirs = mine.copy()
        arguments = (tile, tile_rows, tile_columns, column_major)
        size = tiles.gather_tile(matrix, *arguments, mine)
        assert size == tiles_reference.gather_tile(matrix, *arguments, theirs)
        np.testing.assert_array_equal(mine, theirs)
        tiles.scatter_tile(mine, *arguments, back)
        tiles_reference.scatter_tile(theirs, *arguments, other_back)
    np.testing.assert_array_equal(back, matrix)
    np.testing.assert_array_equal(other_back, matrix)


@settings(max_examples=15)
@given(cuts(), st.integers(0, 5))
def test_bitmap_matrices(cut: tuple[np.ndarray, int, int, bool, int], damage: int) -> None:
    matrix, tile_rows, tile_columns, column_major, count = cut
    arguments = (tile_rows, tile_columns, column_major)
    found = []
    for module in (tensor, tensor_reference):
        out = np.zeros(count * 34 * (1 + tile_rows * tile_columns // 256), np.uint64)
        offsets = np.zeros(count + 1, np.int64)
        end = module.encode_bitmap_matrix(matrix, *arguments, out, offsets)
        found.append((out[:end], offsets))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])
    words, offsets = found[0]
    bad = min(damage, count - 1)
    for wrong in (False, True):
        if wrong:
            words = words.copy()
            words[offsets[bad]] ^= np.uint64(1 << 63)
        for module in (tensor, tensor_reference):
            back = np.zeros_like(matrix)
            status, tile = module.decode_matrix(words, offsets, *arguments, 0, empty_slots(), back)
            assert (status, tile) == ((BAD_CRC, bad) if wrong else (OK, count))
            assert wrong or np.array_equal(back, matrix)


@settings(max_examples=20)
@given(cuts(), st.sampled_from([0, 28, 101]))
def test_statistics(cut: tuple[np.ndarray, int, int, bool, int], dense_percent: int) -> None:
    matrix, tile_rows, tile_columns, column_major, count = cut
    arguments = (matrix, tile_rows, tile_columns, column_major)
    found = []
    for module in (ans_tensor, ans_reference):
        dense = np.zeros(count, np.uint8)
        counts = np.zeros(256, np.int64)
        module.tile_histograms(*arguments, dense_percent, dense, counts)
        sections = np.zeros((count * (1 + tile_rows * tile_columns // 1024), 32), np.int64)
        value_class = np.arange(256) % 16
        used = module.section_counts(*arguments, dense, value_class, sections)
        found.append((dense, counts, sections, used))
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_sizes_of_all_modes_are_those_of_the_tiles() -> None:
    rng = np.random.default_rng(0)
    matrix = rng.integers(-4, 5, (4, 512)) * (rng.random((4, 512)) < 0.5)
    matrix[3] = 0
    matrix = matrix.astype(np.int8)
    table = ans_table(matrix.ravel(), dense=True)
    sizes = np.zeros((4, MODES), np.int64)
    zeros = np.zeros(4, np.int64)
    ans_tensor.ans_mode_sizes(matrix, 1, 512, False, table.tables, tile_scratch(512), sizes, zeros)
    assert zeros.tolist() == [int((row == 0).sum()) * 65536 // 512 for row in matrix]
    for tile in range(3):
        assert sizes[tile, MODE_EMPTY] == IMPOSSIBLE_BITS
        for mode in range(1, MODES):
            words = ans_tile(matrix[tile], MODE_BITS[mode], table)
            assert words.size == -(-int(sizes[tile, mode]) // 64)
    assert sizes[3].tolist() == [64] + [IMPOSSIBLE_BITS] * (MODES - 1)
