"""Weights, tiles and decoder calls shared by the tests of the weight stream."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from azsim.codec.ans_table import (
    ValueClasses,
    choose_classes,
    choose_contexts,
    encoder_tables,
    palette_order,
    table_record,
)
from azsim_kernels import bitmap, decode
from azsim_kernels.ans_encode import encode_ans_tile
from azsim_kernels.ans_types import EncoderTables, tile_scratch
from azsim_kernels.crc import CRC_START, crc32c_tile
from azsim_kernels.reference import bitmap as bitmap_reference
from azsim_kernels.reference import decode as decode_reference
from azsim_kernels.table_record import load_table
from azsim_kernels.table_slots import TableSlots, empty_slots
from azsim_kernels.tile_format import (
    GROUP_WEIGHTS,
    MAX_BEATS,
    PALETTE_ENTRIES,
    PROFILE_ANS,
    PROFILE_BITMAP,
    max_tile_words,
)

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


@dataclass(frozen=True, eq=False)
class AnsTable:
    """A table fitted to some weights."""

    classes: ValueClasses
    tables: EncoderTables
    palette: NDArray[np.int64]

    def record(self, slot: int, palette: bool = True) -> Words:
        """Return the TABLE record for `slot`, with the palette if there is one and it is wanted."""
        wanted = self.palette if palette and self.palette.size else None
        return table_record(self.classes, self.tables, wanted, slot)

    def slots(self, slot: int) -> TableSlots:
        """Return slots of which only `slot` is written."""
        slots = empty_slots()
        assert load_table(self.record(slot), PROFILE_ANS, slots) == 0
        return slots


def ans_table(weights: Weights, dense: bool) -> AnsTable:
    """Return a table that holds all modes of `weights`; zeros have a class only if `dense`."""
    counts = np.bincount(weights.view(np.uint8), minlength=256).astype(np.int64)
    if not dense:
        counts[0] = 0
    classes = choose_classes(counts)
    sections = []
    for start in range(0, weights.size, 1024):
        part = weights[start : start + 1024]
        nibbles = (part != 0).reshape(-1, 4) @ np.array([1, 2, 4, 8])
        values = part if dense else part[part != 0]
        owners = classes.value_class[values.view(np.uint8)]
        row = [np.bincount(nibbles, minlength=16), np.bincount(owners, minlength=16)]
        sections.append(np.concatenate(row))
    frequencies = choose_contexts(np.array(sections, np.int64))
    palette = palette_order(counts)
    if palette.size > PALETTE_ENTRIES:
        palette = palette[:0]
    return AnsTable(classes, encoder_tables(classes, frequencies, palette), palette)


def ans_tile(
    weights: Weights, mode: int, table: AnsTable, tile_index: int = 0, slot: int = 0
) -> Words:
    """Return the words of a tile in the mode of header bits 3:0, from the kernel."""
    out = np.zeros(2 * max_tile_words(weights.size) + 8, np.uint64)
    crc = int(table.record(slot)[0]) >> 32
    length = encode_ans_tile(
        weights, tile_index, mode, table.tables, slot, crc, tile_scratch(weights.size), out
    )
    return out[:length].copy()
