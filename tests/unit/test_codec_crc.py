"""CRC-32C: published check values, kernel against the bit-by-bit reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azsim_kernels import crc
from azsim_kernels.reference import crc as reference

pytestmark = pytest.mark.small

INITIALS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),  # this and the next three: RFC 3720, appendix B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"", 0),
    ],
)
def test_published_values(data: bytes, expected: int) -> None:
    array = np.frombuffer(data, np.uint8)
    assert crc.crc32c(array, crc.CRC_START) == expected
    assert reference.crc32c(array, crc.CRC_START) == expected


@settings(max_examples=50)
@given(st.binary(max_size=70), INITIALS)
def test_bytes_match_the_reference(data: bytes, initial: int) -> None:
    array = np.frombuffer(data, np.uint8)
    assert crc.crc32c(array, initial) == reference.crc32c(array, initial)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=9), INITIALS)
def test_words_match_bytes_and_the_reference(values: list[int], initial: int) -> None:
    words = np.array(values, np.uint64)
    found = crc.crc32c_words(words, initial)
    assert found == reference.crc32c_words(words, initial)
    assert found == crc.crc32c(words.astype("<u8").view(np.uint8), initial)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=9), INITIALS)
def test_a_tiles_crc_ignores_its_crc_field(values: list[int], initial: int) -> None:
    words = np.array(values, np.uint64)
    found = crc.crc32c_tile(words, initial)
    assert found == reference.crc32c_tile(words, initial)
    words[0] &= np.uint64(0xFFFFFFFF)
    assert found == crc.crc32c_words(words, initial)
