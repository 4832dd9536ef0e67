"""Errors of the decoder: each condition by hand, and damaged tiles against the reference."""

from __future__ import annotations

import numpy as np
import pytest
from codec_cases import Weights, Words, bitmap_tile, decode_both, header, reseal, tiles
from hypothesis import given, settings
from hypothesis import strategies as st

from azsim_kernels import tile_errors as codes
from azsim_kernels.tile_format import PROFILE_ANS, PROFILE_BITMAP

pytestmark = pytest.mark.small

RAW = np.where(np.arange(512) % 5 == 0, 3, 0).astype(np.int8)
"""103 non-zeros of 3 bits: a RAW tile of two groups."""


def with_header(words: Words, value: int) -> Words:
    """Return the words with bits 31:0 of word 0 replaced, and a CRC that fits."""
    changed = words.copy()
    changed[0] = value
    return reseal(changed)


def low(words: Words) -> int:
    """Return bits 31:0 of word 0."""
    return int(words[0]) & 0xFFFFFFFF


def status_of(words: Words, groups: int = 2, profile: int = PROFILE_BITMAP) -> int:
    """Return the status both decoders give; on an error nothing may be delivered."""
    status, out, _ = decode_both(words, groups, profile=profile)
    assert status == codes.OK or not out.any()
    return status


def test_names_follow_the_numbers() -> None:
    assert len(codes.NAMES) == len(codes.MEANINGS) == 10
    for number, name in enumerate(codes.NAMES):
        assert getattr(codes, name) == number


def test_good_tile() -> None:
    status, out, _ = decode_both(bitmap_tile(RAW), 2)
    assert status == codes.OK
    np.testing.assert_array_equal(out, RAW)


@pytest.mark.parametrize(
    "change",
    [
        header(bit9=1),
        header(slot=1),
        header(slot=2),
        header(val=1),  # CODED values with WIDTH not 0
    ],
)
@pytest.mark.parametrize("profile", [PROFILE_BITMAP, PROFILE_ANS])
def test_illegal_bits_of_a_raw_tile(change: int, profile: int) -> None:
    words = bitmap_tile(RAW)
    assert status_of(with_header(words, low(words) | change), profile=profile) == codes.BAD_HEADER


@pytest.mark.parametrize(
    "fields",
    [
        {"mask": 3, "ng": 1, "len": 0},
        {"mask": 3, "ng": 1, "len": 2},
        {"mask": 3, "ng": 1, "len": 1, "pal": 1},
        {"mask": 3, "ng": 1, "len": 1, "width": 1},
        {"mask": 3, "ng": 1, "len": 1, "slot": 3},
        {"mask": 3, "ng": 1, "len": 1, "bit9": 1},
        {"mask": 0, "ng": 1, "len": 9, "width": 1},  # 512 weights of 2 bits need 1 + 16 words
        {"mask": 0, "ng": 1, "len": 18, "width": 1},
        {"mask": 1, "ng": 1, "len": 0, "width": 1},
        {"mask": 3, "val": 1, "ng": 1, "len": 21},  # TABLE records have NG = 0
        {"mask": 3, "val": 1, "len": 25},
        {"mask": 3, "val": 1, "pal": 1, "len": 21},
        {"mask": 3, "val": 1, "width": 1, "len": 21},
    ],
)
@pytest.mark.parametrize("profile", [PROFILE_BITMAP, PROFILE_ANS])
def test_illegal_headers(fields: dict[str, int], profile: int) -> None:
    words = np.zeros(max(1, fields["len"]), np.uint64)
    assert status_of(with_header(words, header(**fields)), profile=profile) == codes.BAD_HEADER


@pytest.mark.parametrize(
    "fields",
    [
        {"mask": 0, "ng": 1, "len": 17, "width": 1, "pal": 1},
        {"mask": 0, "ng": 1, "len": 17, "val": 1},
        {"mask": 1, "ng": 1, "len": 17, "val": 1, "slot": 2},
        {"mask": 2, "ng": 1, "len": 17, "width": 7},
        {"mask": 2, "ng": 1, "len": 17, "val": 1, "pal": 1},
    ],
)
def test_modes_that_need_a_table(fields: dict[str, int]) -> None:
    words = with_header(np.zeros(17, np.uint64), header(**fields))
    assert status_of(words, profile=PROFILE_BITMAP) == codes.UNSUPPORTED
    assert status_of(words, profile=PROFILE_ANS) == codes.NO_TABLE


def test_table_record_in_a_tiles_place() -> None:
    words = with_header(np.zeros(21, np.uint64), header(mask=3, val=1, len=21))
    assert status_of(words, 1, PROFILE_BITMAP) == codes.UNSUPPORTED
    assert status_of(words, 1, PROFILE_ANS) == codes.BAD_HEADER


def test_number_of_groups() -> None:
    words = bitmap_tile(RAW)
    assert status_of(words, groups=1) == codes.LENGTH
    assert status_of(words, groups=3) == codes.LENGTH


def test_number_of_words() -> None:
    words = bitmap_tile(RAW)
    assert status_of(words[:0]) == codes.LENGTH
    for count in range(1, words.size):
        status, _, beats = decode_both(words[:count], 2)
        assert status == codes.LENGTH
        assert int(beats.sum()) <= 64 * count
    assert status_of(np.append(words, np.uint64(0))) == codes.LENGTH


def test_overrun_in_mask_and_values() -> None:
    words = bitmap_tile(RAW)
    for length in range(1, words.size):
        shorter = (low(words) & 0x3FFFF) | length << 18
        status, _, beats = decode_both(with_header(words[:length], shorter), 2)
        assert status == codes.OVERRUN
        assert int(beats.sum()) <= 64 * length


def test_trailing_word_and_trailing_bit() -> None:
    words = bitmap_tile(RAW)
    longer = (low(words) & 0x3FFFF) | (words.size + 1) << 18
    assert status_of(with_header(np.append(words, np.uint64(0)), longer)) == codes.TRAILING
    set_bit = words.copy()
    set_bit[-1] |= np.uint64(1 << 63)
    assert status_of(set_bit) == codes.BAD_CRC
    assert status_of(reseal(set_bit)) == codes.TRAILING


def test_a_one_in_the_mask_with_a_zero_value_is_legal() -> None:
    weights = np.zeros(256, np.int8)
    weights[[0, 9]] = [2, -1]
    words = bitmap_tile(weights)
    words[5] &= np.uint64(~0b111 & (2**64 - 1))  # the first value becomes 0
    status, out, _ = decode_both(reseal(words), 1)
    assert status == codes.OK
    assert (int(out[0]), int(out[9])) == (0, -1)


def test_place_in_the_container_is_part_of_the_crc() -> None:
    words = bitmap_tile(RAW, 5)
    assert decode_both(words, 2, tile_index=5)[0] == codes.OK
    assert decode_both(words, 2, tile_index=4)[0] == codes.BAD_CRC


@settings(max_examples=40)
@given(tiles(most_groups=2), st.data())
def test_every_flipped_bit_is_caught(weights: Weights, data: st.DataObject) -> None:
    words = bitmap_tile(weights, 3)
    for _ in range(data.draw(st.integers(1, 3))):
        bit = data.draw(st.integers(0, 64 * words.size - 1))
        words[bit // 64] ^= np.uint64(1 << bit % 64)
    status, out, _ = decode_both(words, weights.size // 256, 3)
    changed = not np.array_equal(words, bitmap_tile(weights, 3))
    assert (status != codes.OK) == changed
    assert status == codes.OK or not out.any()


@settings(max_examples=100)
@given(st.data())
def test_hostile_words_never_crash(data: st.DataObject) -> None:
    """Any header over any body, sealed with a fitting CRC or not."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    words = rng.integers(0, 2**64, data.draw(st.integers(1, 40)), dtype=np.uint64)
    fields = {
        "mask": data.draw(st.integers(0, 3)),
        "val": data.draw(st.sampled_from([0, 0, 0, 1])),
        "pal": data.draw(st.sampled_from([0, 0, 0, 1])),
        "width": data.draw(st.integers(0, 7)),
        "slot": data.draw(st.sampled_from([0, 0, 0, 3])),
        "ng": data.draw(st.integers(0, 2)),
        "len": data.draw(st.sampled_from([words.size, words.size - 1, words.size + 1, 16383])),
    }
    words[0] = (int(words[0]) >> 32 << 32) | header(**fields)
    if data.draw(st.booleans()):
        words = reseal(words)
    decode_both(words, data.draw(st.integers(1, 3)), profile=data.draw(st.integers(0, 1)))
