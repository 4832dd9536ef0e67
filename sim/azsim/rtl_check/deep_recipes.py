"""Named scenarios that reach what short tiles do not: large counts, each rule of a record, two
errors at once, resets while tables are in use.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from azsim.rtl_check.cases import Case, CaseMaker
from azsim.rtl_check.forge import Mode, TableRecord, draw_table
from azsim_kernels.reference.decode import decode_tile_beats
from azsim_kernels.reference.table_record import load_table
from azsim_kernels.table_slots import TableSlots, empty_slots
from azsim_kernels.tile_format import (
    CONTEXTS,
    FIRE_BITS,
    GROUP_WEIGHTS,
    LENGTH_SHIFT,
    MASK_CODED,
    MASK_DENSE,
    MASK_RAW,
    MAX_BEATS,
    PROFILE_ANS,
)

LENGTH_BITS, GROUP_BITS = 14, 8
MASKS_WORD, VALUES_WORD, CLASSES_WORD = 1, 9, 17  # of a record, header counted


def large_tiles(maker: CaseMaker) -> None:
    """All 256 groups, more words than ten bits count."""
    maker.good(Mode(MASK_RAW, width=1), 256, ones=[0] * 20 + [3])
    maker.good(Mode(MASK_DENSE, width=1), 17)
    maker.empty(256)


def large_lengths(maker: CaseMaker) -> None:
    """LEN wrong by each of its bits, words as before: all bits of LEN must count."""
    tile = maker.good(Mode(MASK_RAW, width=2), ones=[17])
    for bit in range(LENGTH_BITS):
        words = [tile.words[0] ^ 1 << (LENGTH_SHIFT + bit), *tile.words[1:]]
        maker.resealed(tile, f"LEN bit {bit}", words)
    every = (1 << LENGTH_BITS) - 1
    for length in (0, every):  # only a masked tile has no other rule about its LEN
        head = tile.words[0] & ~(every << LENGTH_SHIFT) | length << LENGTH_SHIFT
        maker.resealed(tile, f"LEN {length}", [head, *tile.words[1:]])
    maker.add(tile)


def group_numbers(maker: CaseMaker) -> None:
    """Groups asked for that differ from NG in each bit."""
    tile = maker.empty(maker.random.randint(1, 256))
    for bit in range(GROUP_BITS):
        maker.announced(tile, f"groups bit {bit}", groups=((tile.groups - 1) ^ 1 << bit) + 1)
    maker.add(tile)


def tile_numbers(maker: CaseMaker) -> None:
    """The number of the tile differs in each of its bits."""
    tile = maker.empty(2)
    for bit in range(32):
        maker.announced(tile, f"index bit {bit}", tile_index=tile.tile_index ^ 1 << bit)
    maker.add(tile)


def dense_sizes(maker: CaseMaker) -> None:
    """Headers of DENSE tiles of every width, LEN right and wrong; the words end at once."""
    for groups in (1, 2, 3, 64, 129, 255, 256):
        width = maker.random.randint(1, 8)
        for bits, by in ((8, 0), (width, 0), (width, 1), (width, -1), (width, 4 * width)):
            length = 1 + 4 * groups * bits + by
            header = (bits - 1) << 4 | (groups - 1) << 10 | length << LENGTH_SHIFT
            case = Case(f"DENSE {bits} bit x{groups}, LEN {by:+d}", (header,), 0, groups)
            maker.resealed(case, "cut to a header", case.words)


def two_errors(maker: CaseMaker) -> None:
    """Two things wrong at once: the first of the order counts."""
    tile = maker.good(Mode(MASK_RAW, width=3), ones=[11])
    head = tile.words[0]
    for what, bits in {"bit 9 and NG": 1 << 9 | 1 << 10, "SLOT and NG": 3 << 7 | 1 << 12}.items():
        maker.resealed(tile, what, [head ^ bits, *tile.words[1:]])
    other = replace(tile, groups=7)
    maker.announced(other, "a record of other groups", table=True)
    wrong = list(tile.words)
    wrong[-1] ^= 1 << 63  # a one after the last value
    maker.add(tile.damaged("TRAILING without a CRC", wrong))
    maker.add(tile.damaged("too long, TRAILING", [*wrong, 5]))
    sealed = maker.resealed(tile, "TRAILING", wrong)
    maker.add(replace(sealed, name="TRAILING, too long", words=(*sealed.words, 0)))
    maker.announced(sealed, "TRAILING of another index", tile_index=tile.tile_index ^ 4)
    short = maker.lengthened(tile, -2)
    maker.truncated(short, len(short.words) - 1)
    maker.extended(short, 2)
    maker.add(tile)


def two_header_errors(maker: CaseMaker) -> None:
    """Coded tiles whose headers break two rules; profile bitmap must name UNSUPPORTED first."""
    maker.table(0, palette=True)
    for mode in (
        Mode(MASK_CODED, True),
        Mode(MASK_DENSE, True),
        Mode(MASK_RAW, palette=True, width=3),
    ):
        tile = maker.good(mode)
        maker.announced(tile, "other groups", groups=2)
        maker.announced(tile, "as a record", table=True)
        maker.announced(tile, "as a record of other groups", table=True, groups=9)
        maker.resealed(tile, "bit 9", [tile.words[0] | 1 << 9, *tile.words[1:]])
        slot = maker.resealed(tile, "empty slot", [tile.words[0] ^ 2 << 7, *tile.words[1:]])
        maker.announced(slot, "other groups", groups=129)
        maker.announced(slot, "as a record", table=True)
    maker.good(Mode(MASK_DENSE, width=1))


def two_coded_errors(maker: CaseMaker) -> None:
    """End states, CRC, bits left over and words in every pair."""
    maker.table(3)
    tile = maker.good(Mode(MASK_CODED, width=2, slot=3))
    bad_end = maker.flip(tile, 64 + 16 * 5 + 3, seal=True)
    maker.add(bad_end.damaged("and too long", [*bad_end.words, 1]))
    maker.announced(bad_end, "and another index", tile_index=tile.tile_index ^ 1)
    longer = maker.lengthened(tile, 1)
    words = list(longer.words)
    words[1] ^= 1 << 13
    maker.resealed(longer, "and another state", words)
    low = list(tile.words)
    low[4] &= (1 << 56) - 1
    cut = maker.resealed(tile, "state 15 below 256", low)
    for count in (2, 3, 4, 5, 6):
        maker.truncated(cut, count)
    maker.add(tile)


def many_sections(maker: CaseMaker) -> None:
    """64 sections with a context each, 256 groups of coded masks."""
    masks = [[0] * 16 for _ in range(CONTEXTS)]
    for context, frequencies in enumerate(masks):
        frequencies[0], frequencies[1 << context] = 200, 56
    drawn = draw_table(maker.random, False)
    maker.table(2, record=TableRecord(masks, drawn.values, drawn.classes))
    maker.good(Mode(MASK_CODED, width=1, slot=2), 256)


def words_left_only(maker: CaseMaker) -> None:
    """Beats of nearly 256 bits: the last one empties the window while words are still to come."""
    rare = [1] * 15 + [241]
    classes = [(maker.random.randrange(256), 8, 1)] * 16
    maker.table(1, record=TableRecord([rare] * CONTEXTS, [rare] * CONTEXTS, classes))
    slots = empty_slots()
    load_table(np.array(maker.cases[0].words, np.uint64), PROFILE_ANS, slots)
    found = 0
    for _ in range(100):
        tile = maker.good(Mode(MASK_RAW, True, slot=1), ones=[32])
        if found < 4 and _last_beat_takes_all(tile, slots):
            found += 1
            maker.lengthened(tile, 3 * found)
        else:
            maker.cases.pop()


def _last_beat_takes_all(tile: Case, slots: TableSlots) -> bool:
    """Whether the last beat and the unused bits after it are the 256 that let it fire."""
    words, beats = np.array(tile.words, np.uint64), np.zeros(MAX_BEATS, np.uint16)
    out = np.zeros(GROUP_WEIGHTS * tile.groups, np.int8)
    _, count = decode_tile_beats(
        words, tile.tile_index, tile.groups, PROFILE_ANS, slots, out, beats
    )
    unused = 64 * words.size - int(beats[:count].sum())
    return int(beats[count - 1]) + unused >= FIRE_BITS


def rules_of_records(maker: CaseMaker) -> None:
    """Each set with a wrong sum, each class with a wrong entry, one record each."""
    record = maker.table(1, palette=True)
    for part, first in (("MF", MASKS_WORD), ("VF", VALUES_WORD)):
        for context in range(CONTEXTS):
            words = list(record.words)
            half = first + 2 * context + maker.random.randrange(2)
            words[half] ^= 1 << 8 * maker.random.randrange(8)
            maker.resealed(record, f"sum of {part}[{context}]", words)
    for number in range(16):
        words = list(record.words)
        shift = 16 * (number % 4)
        entry = (0x2000, 0x4000, 0x8000, 0x1000, 0x0900, 0x0F00)[number % 6]
        word = words[CLASSES_WORD + number // 4] & ~(0xFFFF << shift)
        words[CLASSES_WORD + number // 4] = word | entry << shift
        maker.resealed(record, f"class {number} {entry:04x}", words)
    maker.add(record)
    maker.good(Mode(MASK_DENSE, True, True, slot=1))


def table_resets(maker: CaseMaker) -> None:
    """Records and tiles that use them, again and again; resets take the tables away."""
    for _ in range(6):
        slot = maker.random.randrange(4)
        maker.table(slot, palette=maker.random.random() < 0.5)
        for _ in range(2):
            tile = maker.good(Mode(MASK_CODED, width=1, slot=slot))
        maker.lengthened(tile, 12)
