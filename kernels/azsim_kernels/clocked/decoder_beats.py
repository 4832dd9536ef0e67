"""The beats of a tile or TABLE record as the stand-alone decoder meets them: how many bits the next
one consumes, what it delivers, and what is wrong with it. Times are `decoder_rtl`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from azsim_kernels import tile_errors
from azsim_kernels.tile_format import (
    CONTEXTS,
    LANES,
    MASK_BEATS,
    MAX_EXTRA_BITS,
    PROFILE_BITMAP,
    SLOTS,
    STATE_LOW,
    SYMBOLS,
    TABLE_PALETTE_WORDS,
    TABLE_WORDS,
)

KIND_NONE, KIND_MASK, KIND_PACKED, KIND_DENSE = range(4)

Set = tuple[int, ...]  # CUM[0..16]


@dataclass(frozen=True)
class Header:
    """Fields of word 0."""

    word: int

    def _bits(self, low: int, width: int) -> int:
        return self.word >> low & ((1 << width) - 1)

    @property
    def mask(self) -> int:
        """0 DENSE, 1 RAW, 2 CODED, 3 SPECIAL."""
        return self._bits(0, 2)

    @property
    def special(self) -> bool:
        """EMPTY tile or TABLE record."""
        return self.mask == 3

    @property
    def coded_values(self) -> bool:
        """Values are classes with extra bits."""
        return not self.special and self._bits(2, 1) == 1

    @property
    def is_table(self) -> bool:
        """TABLE record."""
        return self.special and self._bits(2, 1) == 1

    @property
    def palette(self) -> bool:
        """Values are palette indices, or the record has a palette."""
        return self._bits(3, 1) == 1

    @property
    def width(self) -> int:
        """Bits of a FIXED value."""
        return self._bits(4, 3) + 1

    @property
    def slot(self) -> int:
        """Table slot."""
        return self._bits(7, 2)

    @property
    def groups(self) -> int:
        """Groups of 256 weights."""
        return self._bits(10, 8) + 1

    @property
    def length(self) -> int:
        """LEN in words."""
        return self._bits(18, 14)

    @property
    def crc(self) -> int:
        """CRC field."""
        return self._bits(32, 32)

    @property
    def coded(self) -> bool:
        """Lane states follow."""
        return self.mask == 2 or self.coded_values

    @property
    def uses_table(self) -> bool:
        """Needs the table of its slot."""
        return self.coded or (self.palette and not self.special)

    def legal(self) -> bool:
        """Whether no rule of BAD_HEADER is broken."""
        if self._bits(9, 1) or self.length == 0:
            return False
        if (self.special or self.coded_values) and self.width != 1:
            return False
        if self.is_table:
            words = TABLE_PALETTE_WORDS if self.palette else TABLE_WORDS
            return self.groups == 1 and self.length == words
        if not self.uses_table and self.slot != 0:
            return False
        if self.special:
            return not self.palette and self.length == 1
        dense = self.mask == 0 and not self.coded_values
        return not dense or self.length == 1 + 4 * self.groups * self.width


@dataclass
class Slot:
    """One table slot; `record` holds the words after the header."""

    written: bool = False
    palette: bool = False
    crc: int = 0
    record: list[int] = field(default_factory=list)

    def byte(self, index: int) -> int:
        """Return byte `index` of the record."""
        return self.record[index >> 3] >> 8 * (index & 7) & 255

    def sets(self) -> list[Set]:
        """Return CUM of MF[0..3], then of VF[0..3]."""
        sets = []
        for number in range(2 * CONTEXTS):
            cum = [0]
            for symbol in range(SYMBOLS):
                cum.append(cum[-1] + self.byte(SYMBOLS * number + symbol))
            sets.append(tuple(cum))
        return sets

    def classes(self) -> list[tuple[int, int, int]]:
        """Return (BASE, NB, SG) of each class."""
        first = 2 * CONTEXTS * SYMBOLS
        entries = [(self.byte(first + 2 * k), self.byte(first + 2 * k + 1)) for k in range(SYMBOLS)]
        return [(base, upper & 15, upper >> 4 & 1) for base, upper in entries]

    def colours(self) -> list[int]:
        """Return the 32 palette bytes, or nothing."""
        return [self.byte(160 + i) for i in range(32)] if self.palette else []


@dataclass(frozen=True)
class Beat:
    """One beat: bits it consumes, what leaves the port, whether it ends the tile, its error."""

    bits: int
    kind: int = KIND_NONE
    data: int = 0
    count: int = 0
    last: bool = False
    error: int = tile_errors.OK


class Window:
    """The bits accepted and not consumed yet, bit 0 next."""

    def __init__(self) -> None:
        self.value = 0
        self.fill = 0

    def put(self, word: int, bits: int) -> None:
        """Append the low `bits` bits of `word`."""
        self.value |= (word & ((1 << bits) - 1)) << self.fill
        self.fill += bits

    def take(self, bits: int) -> None:
        """Drop the next `bits` bits."""
        self.value >>= bits
        self.fill -= bits

    def field(self, low: int, width: int) -> int:
        """Return `width` bits from bit `low` on; bits beyond the fill are 0."""
        return self.value >> low & ((1 << width) - 1)


class TileBeats:
    """Makes the beats of one tile or record in order, each from the window as it stands then."""

    def __init__(
        self,
        header: Header,
        expect_table: bool,
        expected_groups: int,
        profile: int,
        slots: list[Slot],
        window: Window,
    ) -> None:
        self.header = header
        self.expect_table = expect_table
        self.expected_groups = expected_groups
        self.profile = profile
        self.slots = slots
        self.window = window
        self.states = [STATE_LOW] * LANES
        self.contexts: list[int] = []

    def __iter__(self) -> Iterator[Beat]:
        """Yield the beats; the consumer takes their bits from the window in between."""
        h = self.header
        error = self._judge_header()
        yield Beat(64, last=h.special and not h.is_table, error=error)
        if h.is_table:
            yield from self._record()
            return
        if h.coded:
            states = [self.window.field(16 * lane, 16) for lane in range(LANES)]
            bad = min(states) < STATE_LOW
            yield Beat(256, error=tile_errors.BAD_STATE if bad else tile_errors.OK)
            self.states = states
            sections = (h.groups + 3) // 4
            self.contexts = [self.window.field(2 * k, 2) for k in range(sections)]
            yield Beat(2 * sections)
        yield from self._groups()

    def _judge_header(self) -> int:
        h = self.header
        if not h.legal():
            return tile_errors.BAD_HEADER
        if self.profile == PROFILE_BITMAP and (self.expect_table or h.is_table or h.uses_table):
            return tile_errors.UNSUPPORTED
        if h.is_table != self.expect_table:
            return tile_errors.BAD_HEADER
        if h.is_table:
            return tile_errors.OK
        if h.groups != self.expected_groups:
            return tile_errors.LENGTH
        slot = self.slots[h.slot]
        if h.uses_table and not (slot.written and (slot.palette or not h.palette)):
            return tile_errors.NO_TABLE
        return tile_errors.OK

    def _record(self) -> Iterator[Beat]:
        words = self.header.length - 1
        slot = self.slots[self.header.slot]
        record: list[int] = []
        for index in range(words):
            record.append(self.window.field(0, 64))
            error = tile_errors.BAD_TABLE if _bad_record_word(record) else tile_errors.OK
            slot.record = record
            yield Beat(64, last=index == words - 1, error=error)

    def _groups(self) -> Iterator[Beat]:
        h = self.header
        slot = self.slots[h.slot]
        sets = slot.sets() if h.coded else []
        classes = slot.classes() if h.coded_values else []
        colours = slot.colours() if h.palette else []
        for group in range(h.groups):
            final = group == h.groups - 1
            context = self.contexts[group // 4] if h.coded else 0
            count = 256
            if h.mask != 0:
                count = 0
                for quarter in range(MASK_BEATS):
                    beat = self._mask_beat(sets[context] if h.mask == 2 else None)
                    count += beat.data.bit_count()
                    ends = final and quarter == MASK_BEATS - 1 and count == 0
                    yield Beat(beat.bits, KIND_MASK, beat.data, last=ends)
            while count > 0:
                active = min(LANES, count)
                count -= active
                if h.coded_values:
                    beat = self._coded_values(sets[CONTEXTS + context], classes, colours, active)
                else:
                    beat = self._fixed_values(colours, active)
                kind = KIND_PACKED if h.mask else KIND_DENSE
                yield Beat(beat.bits, kind, beat.data, active, last=final and count == 0)

    def _mask_beat(self, cum: Set | None) -> Beat:
        if cum is None:
            return Beat(64, data=self.window.field(0, 64))
        symbols, taken = self._step(cum, LANES)
        return Beat(taken, data=sum(symbol << 4 * lane for lane, symbol in enumerate(symbols)))

    def _step(self, cum: Set, active: int) -> tuple[list[int], int]:
        """Step the first `active` lanes; return (symbols, bits of the bytes they took)."""
        symbols = []
        taken = 0
        for lane in range(active):
            state = self.states[lane]
            low = state & 255
            symbol = max(s for s in range(SYMBOLS) if cum[s] <= low)
            state = (cum[symbol + 1] - cum[symbol]) * (state >> 8) + low - cum[symbol]
            if state < STATE_LOW:
                state = state << 8 | self.window.field(taken, 8)
                taken += 8
            self.states[lane] = state
            symbols.append(symbol)
        return symbols, taken

    def _coded_values(
        self, cum: Set, classes: list[tuple[int, int, int]], colours: list[int], active: int
    ) -> Beat:
        symbols, place = self._step(cum, active)
        data = 0
        for lane, symbol in enumerate(symbols):
            base, bits, signed = classes[symbol]
            extra = self.window.field(place, bits)
            place += bits
            value = base + (extra >> signed)
            if signed and extra & 1:
                value = -value
            data |= _colour(value, colours) << 8 * lane
        return Beat(place, data=data)

    def _fixed_values(self, colours: list[int], active: int) -> Beat:
        width = self.header.width
        data = 0
        for lane in range(active):
            value = self.window.field(lane * width, width)
            if not colours and value >> (width - 1):
                value -= 1 << width
            data |= _colour(value, colours) << 8 * lane
        return Beat(active * width, data=data)


def empty_slots() -> list[Slot]:
    """Return the slots as after reset."""
    return [Slot() for _ in range(SLOTS)]


def _colour(value: int, colours: list[int]) -> int:
    """Return the byte of a value, or of the palette entry it stands for."""
    return colours[value & 31] if colours else value & 255


def _bad_record_word(record: list[int]) -> bool:
    """Return whether the word that came last completes something illegal."""
    index = len(record) - 1
    if index < 4 * CONTEXTS:
        both = record[index & ~1 :]
        total = sum(sum(word.to_bytes(8, "little")) for word in both)
        return index % 2 == 1 and total != 256
    if index >= 4 * CONTEXTS + 4:
        return False
    for entry in (record[index] >> shift & 0xFFFF for shift in (0, 16, 32, 48)):
        bits = entry >> 8 & 15
        if bits > MAX_EXTRA_BITS or entry >> 13 or (entry >> 12 & 1 and bits == 0):
            return True
    return False
