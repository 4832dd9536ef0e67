"""Cases: tiles and TABLE records, good and damaged, as a decoder's port is offered them.

A case says nothing of what must come out: the clocked model and the software decoder do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from azsim.rtl_check.forge import (
    Mode,
    TableRecord,
    Tile,
    draw_table,
    empty_tile,
    forge_tile,
    reseal,
)
from azsim_kernels.tile_format import LENGTH_SHIFT, MASK_CODED, MASK_DENSE, MASK_RAW, SLOTS

WORD_MASK = (1 << 64) - 1
LENGTH_MASK = ((1 << 14) - 1) << LENGTH_SHIFT


@dataclass(frozen=True)
class Case:
    """What is sent for one tile or record.

    words   64-bit words, in_last with the last
    groups  groups of 256 weights asked for
    table   announced as a TABLE record
    """

    name: str
    words: tuple[int, ...]
    tile_index: int = 0
    groups: int = 1
    table: bool = False

    def damaged(self, what: str, words: Sequence[int]) -> Case:
        """Return this case with other words."""
        return replace(self, name=f"{self.name}, {what}", words=tuple(words))


@dataclass(frozen=True)
class Loaded:
    """A record that was sent: what a tile for its slot is made with."""

    record: TableRecord
    crc: int


class CaseMaker:
    """Makes cases one after the other; knows the records it sent."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.tables: dict[int, Loaded] = {}
        self.cases: list[Case] = []

    def add(self, case: Case) -> Case:
        """Append a case."""
        self.cases.append(case)
        return case

    # ---- good ones ----

    def table(self, slot: int, palette: bool = False, record: TableRecord | None = None) -> Case:
        """Append a good TABLE record for `slot`."""
        record = record or draw_table(self.random, palette)
        words = record.words(slot)
        self.tables[slot] = Loaded(record, words[0] >> 32)
        name = f"table slot {slot}" + (" with palette" if record.palette else "")
        return self.add(Case(name, tuple(words), table=True))

    def good(self, mode: Mode, groups: int = 1, ones: Sequence[int] = ()) -> Case:
        """Append a good tile of `mode`; its slot must have been written if it uses one."""
        index = self.random.randrange(1 << self.random.choice((1, 8, 32)))
        tile = self._forge(mode, groups, index, ones)
        return self.add(Case(f"{mode.name} x{groups}", tuple(tile.words), index, groups))

    def _forge(self, mode: Mode, groups: int, index: int, ones: Sequence[int] = ()) -> Tile:
        loaded = self.tables.get(mode.slot) if mode.uses_table else None
        if loaded is None:
            return forge_tile(self.random, mode, groups, index, ones=ones)
        return forge_tile(self.random, mode, groups, index, loaded.record, loaded.crc, ones)

    def empty(self, groups: int = 1) -> Case:
        """Append an EMPTY tile."""
        index = self.random.randrange(1 << 16)
        tile = empty_tile(groups, index)
        return self.add(Case(f"EMPTY x{groups}", tuple(tile.words), index, groups))

    def random_mode(self, ans: bool) -> Mode:
        """Return a mode that the records sent so far allow."""
        width = self.random.randint(1, 8)
        slots = sorted(self.tables)
        if not ans or not slots or self.random.random() < 0.15:
            return Mode(self.random.choice((MASK_DENSE, MASK_RAW)), width=width)
        slot = self.random.choice(slots)
        palette = bool(self.tables[slot].record.palette) and self.random.random() < 0.5
        mask = self.random.choice((MASK_DENSE, MASK_RAW, MASK_CODED))
        return Mode(mask, self.random.random() < 0.5, palette, width, slot)

    def random_good(self, ans: bool) -> Case:
        """Append a good record or tile of any kind."""
        if ans and self.random.random() < 0.2:
            return self.table(self.random.randrange(SLOTS), self.random.random() < 0.5)
        if self.random.random() < 0.05:
            return self.empty(self.random.randint(1, 256))
        groups = self.random.choice((1, 1, 1, 2, 3, 4, 5))
        return self.good(self.random_mode(ans), groups)

    # ---- damaged ones ----

    def start_of(self, case: Case) -> int:
        """Return what the CRC of `case` starts from, as far as it can be known."""
        if case.table:
            return WORD_MASK >> 32
        start = WORD_MASK >> 32 ^ case.tile_index
        header = case.words[0]
        special = header & 3 == 3
        loaded = self.tables.get(header >> 7 & 3)
        if not special and (header & 3 == MASK_CODED or header & 0xC) and loaded is not None:
            start ^= loaded.crc
        return start

    def resealed(self, case: Case, what: str, words: Sequence[int]) -> Case:
        """Append `case` with other words and a CRC that fits them."""
        return self.add(case.damaged(what, reseal(words, self.start_of(case))))

    def flip(self, case: Case, bit: int, seal: bool = False) -> Case:
        """Append `case` with one bit flipped, with a CRC that fits if `seal`."""
        words = list(case.words)
        words[bit // 64] ^= 1 << bit % 64
        what = f"bit {bit} flipped"
        if seal:
            return self.resealed(case, f"{what} and sealed", words)
        return self.add(case.damaged(what, words))

    def truncated(self, case: Case, count: int) -> Case:
        """Append the first `count` words of `case`."""
        return self.add(case.damaged(f"cut to {count} words", case.words[:count]))

    def extended(self, case: Case, count: int) -> Case:
        """Append `case` with `count` words more than its LEN."""
        extra = [self.random.getrandbits(64) for _ in range(count)]
        return self.add(case.damaged(f"{count} words too many", [*case.words, *extra]))

    def lengthened(self, case: Case, by: int) -> Case:
        """Append `case` with a LEN `by` more (or less) and as many words, CRC fitting."""
        words = [*case.words, *[0] * by][: len(case.words) + by]
        words[0] = words[0] & ~LENGTH_MASK & WORD_MASK | len(words) << LENGTH_SHIFT
        return self.resealed(case, f"LEN {by:+d}", words)

    def swapped(self, case: Case) -> Case:
        """Append `case` with two of its words exchanged."""
        words = list(case.words)
        if len(words) > 2:
            first, second = self.random.sample(range(1, len(words)), 2)
            words[first], words[second] = words[second], words[first]
        return self.add(case.damaged("words swapped", words))

    def announced(self, case: Case, what: str, **sidebands: Any) -> Case:
        """Append `case` with other words beside it: tile_index, groups or table."""
        return self.add(replace(case, name=f"{case.name}, {what}", **sidebands))

    def damage(self, case: Case) -> Case:
        """Append `case` with a random damage; records that are damaged count as not sent."""
        count = len(case.words)
        bit = self.random.randrange(64 * count)
        choices = (
            lambda: self.flip(case, bit),
            lambda: self.flip(case, bit, seal=True),
            lambda: self.flip(case, self.random.randrange(32), seal=True),
            lambda: self.truncated(case, self.random.randint(1, max(1, count - 1))),
            lambda: self.extended(case, self.random.randint(1, 4)),
            lambda: self.lengthened(case, self.random.choice((-2, -1, 1, 2)) if count > 3 else 1),
            lambda: self.swapped(case),
            lambda: self.announced(case, "other index", tile_index=case.tile_index ^ 1),
            lambda: self.announced(case, "other groups", groups=case.groups % 256 + 1),
            lambda: self.announced(case, "other kind", table=not case.table),
        )  # fmt: skip
        if case.table:
            self.tables.pop(case.words[0] >> 7 & 3, None)
        return self.random.choice(choices)()
