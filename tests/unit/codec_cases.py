"""Weights, tiles and decoder calls shared by the tests of the weight stream."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from azsim_kernels import bitmap, decode
from azsim_kernels.crc import CRC_START, crc32c_tile
from azsim_kernels.reference import bitmap as bitmap_reference
from azsim_kernels.reference import decode as decode_reference
from azsim_kernels.table_slots import TableSlots, empty_slots
from azsim_kernels.tile_format import GROUP_WEIGHTS, MAX_BEATS, PROFILE_BITMAP, max_tile_words

Words = NDArray[np.uint64]
Weights = NDArray[np.int8]


@st.composite
def tiles(draw: st.DrawFn, most_groups: int = 3) -> Weights:
    """Draw the weights of a tile: a width, a share of zeros, and a seed for the rest."""
    groups = draw(st.integers(1, most_groups))
    width = draw(st.integers(1, 8))
    share = draw(st.sampled_from([0.0, 0.02, 0.1, 0.5, 0.9, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = groups * GROUP_WEIGHTS
    half = 1 << (width - 1)
    weights = rng.integers(-half, half, size) * (rng.random(size) < share)
    return weights.astype(np.int8)


def bitmap_tile(weights: Weights, tile_index: int = 0) -> Words:
    """Return the words of a tile from the kernel."""
    out = np.zeros(max_tile_words(weights.size), np.uint64)
    return out[: bitmap.encode_bitmap_tile(weights, tile_index, out)].copy()


def bitmap_tile_reference(weights: Weights, tile_index: int = 0) -> Words:
    """Return the words of a tile from the reference."""
    out = np.zeros(max_tile_words(weights.size), np.uint64)
    return out[: bitmap_reference.encode_bitmap_tile(weights, tile_index, out)].copy()


def reseal(words: Words, tile_index: int = 0, table_crc: int = 0) -> Words:
    """Return the words with a CRC that fits them."""
    sealed = words.copy()
    crc = int(crc32c_tile(words, CRC_START ^ tile_index ^ table_crc))
    sealed[0] = (int(words[0]) & 0xFFFFFFFF) | crc << 32
    return sealed


def header(**fields: int) -> int:
    """Return bits 31:0 of word 0 with the named fields (lower case names of the format)."""
    place = {"mask": 0, "val": 2, "pal": 3, "width": 4, "slot": 7, "bit9": 9, "ng": 10, "len": 18}
    return sum(value << place[name] for name, value in fields.items())


Decoded = tuple[int, Weights, NDArray[np.uint16]]


def decode_both(
    words: Words,
    groups: int,
    tile_index: int = 0,
    profile: int = PROFILE_BITMAP,
    slots: TableSlots | None = None,
) -> Decoded:
    """Decode with kernel and reference, check that they agree; return (status, weights, beats)."""
    results: list[Decoded] = []
    for module in (decode, decode_reference):
        out = np.full(groups * GROUP_WEIGHTS, 77, np.int8)
        beats = np.zeros(MAX_BEATS, np.uint16)
        status, count = module.decode_tile_beats(
            words, tile_index, groups, profile, slots or empty_slots(), out, beats
        )
        assert not beats[count:].any()
        results.append((int(status), out, beats[:count]))
    (status, out, beats), (other_status, other_out, other_beats) = results
    assert status == other_status
    np.testing.assert_array_equal(out, other_out)
    np.testing.assert_array_equal(beats, other_beats)
    return status, out, beats
