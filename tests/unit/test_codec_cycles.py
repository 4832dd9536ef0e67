"""The decoder's cycle law: hand-counted tiles, and the stepped law against arrival times."""

from __future__ import annotations

import numpy as np
import pytest
from codec_cases import Weights, bitmap_tile, decode_both, tiles
from hypothesis import given, settings
from hypothesis import strategies as st

from azsim_kernels import decoder_cycles
from azsim_kernels.reference import decoder_cycles as reference
from azsim_kernels.table_slots import empty_slots
from azsim_kernels.tile_format import MAX_BEATS


def both(beats: list[int], words: int, port_bits: int, table_load_cycles: int = 0) -> int:
    """Return the cycles, which kernel and reference must agree on."""
    array = np.array(beats, np.uint16)
    found = int(decoder_cycles.decode_tile_cycles(array, words, port_bits, table_load_cycles))
    assert found == reference.decode_tile_cycles(array, words, port_bits, table_load_cycles)
    return found


@pytest.mark.small
@pytest.mark.parametrize("port_bits", [64, 128])
def test_empty_tile_takes_two_cycles(port_bits: int) -> None:
    """The word enters in cycle 0, the header beat fires in cycle 1."""
    assert both([64], 1, port_bits) == 2


@pytest.mark.small
def test_raw_tile_of_six_words_by_hand() -> None:
    """64-bit port: 4 words enter in cycles 0..3, then a beat fires in every cycle 4..9."""
    assert both([64, 64, 64, 64, 64, 9], 6, 64) == 10
    assert both([64, 64, 64, 64, 64, 9], 6, 128) == 8


@pytest.mark.small
def test_dense_8_bit_is_bound_by_a_64_bit_port() -> None:
    """33 words enter in cycles 0..32; the last 192 bits fire in the two cycles after that."""
    assert both([64] + [128] * 16, 33, 64) == 35
    assert both([64] + [128] * 16, 33, 128) == 19


@pytest.mark.small
def test_golden_beats() -> None:
    beats = [64, 256, 2, 16, 64, 48, 40, 72, 56, 16, 4]
    assert (both(beats, 10, 64), both(beats, 10, 128)) == (18, 14)
    assert both(beats, 10, 64, 20) == 4 + 1 + 20 + 10


@pytest.mark.small
@pytest.mark.parametrize(("words", "port_bits", "cycles"), [(21, 64, 25), (21, 128, 23)])
def test_table_record(words: int, port_bits: int, cycles: int) -> None:
    assert both([64] * words, words, port_bits) == cycles


@pytest.mark.small
@settings(max_examples=100)
@given(
    st.lists(st.integers(1, 256), min_size=1, max_size=40),
    st.sampled_from([64, 128]),
    st.integers(0, 24),
)
def test_stepped_law_equals_arrival_times(beats: list[int], port_bits: int, load: int) -> None:
    both(beats, -(-sum(beats) // 64), port_bits, load)


@pytest.mark.small
@settings(max_examples=20)
@given(tiles())
def test_bounds_of_the_law(weights: Weights) -> None:
    words = bitmap_tile(weights)
    beats = decode_both(words, weights.size // 256)[2]
    for port_bits in (64, 128):
        cycles = both(beats.tolist(), words.size, port_bits)
        bits = 64 * words.size
        first = -(-min(256, bits) // port_bits)
        assert cycles >= max(beats.size + first, -(-bits // port_bits) + 1)


@settings(max_examples=20)
@given(tiles(most_groups=64), st.booleans())
def test_large_tiles_keep_pace(weights: Weights, wide: bool) -> None:
    weights = np.resize(weights, 65536)
    port_bits = 128 if wide else 64
    words = bitmap_tile(weights)
    beats = decode_both(words, 256)[2]
    most = max(beats.size, 64 * words.size / port_bits)
    assert both(beats.tolist(), words.size, port_bits) <= 1.02 * most + 5


@pytest.mark.small
def test_tile_beats_equals_the_decoders() -> None:
    weights = np.arange(512).astype(np.int8) * (np.arange(512) % 3 == 0)
    words = bitmap_tile(weights.astype(np.int8), 5)
    beats = np.zeros(MAX_BEATS, np.uint16)
    status, count = decoder_cycles.tile_beats(words, 5, 2, 0, empty_slots(), beats)
    assert status == 0
    np.testing.assert_array_equal(beats[:count], decode_both(words, 2, 5)[2])
