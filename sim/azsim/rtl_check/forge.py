"""Tiles and TABLE records of every mode, made from random content, for testing decoders.

The codec's encoder picks the smallest mode; a decoder must take them all. So content is drawn from
the table (any symbol with a frequency, any extra bits) and the weights are what follows from it.
Plain integers, no compiled code, shared with no decoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import numpy as np

from azsim_kernels.reference.crc import crc32c_tile
from azsim_kernels.tile_format import (
    CONTEXTS,
    GROUP_WEIGHTS,
    GROUPS_SHIFT,
    LANES,
    LENGTH_SHIFT,
    MASK_BEATS,
    MASK_CODED,
    MASK_DENSE,
    MASK_RAW,
    MASK_SPECIAL,
    PAL_BIT,
    PALETTE_ENTRIES,
    SECTION_GROUPS,
    SLOT_SHIFT,
    STATE_LOW,
    SYMBOLS,
    VAL_BIT,
    WIDTH_SHIFT,
)

FREQUENCY_SUM = 256


class BitWriter:
    """Appends fields, least significant bit first."""

    def __init__(self) -> None:
        self.value = 0
        self.size = 0

    def put(self, value: int, width: int) -> None:
        """Append the low `width` bits of `value`."""
        self.value |= (value & ((1 << width) - 1)) << self.size
        self.size += width

    def words(self) -> list[int]:
        """Return the bits as 64-bit words, the last one padded with zeros."""
        count = -(-self.size // 64)
        return [self.value >> 64 * k & ((1 << 64) - 1) for k in range(count)]


@dataclass(frozen=True)
class TableRecord:
    """Content of a TABLE record.

    masks, values  per context 16 frequencies that sum to 256
    classes        (BASE, NB, SG) of 16 classes
    palette        32 bytes, or nothing
    """

    masks: list[list[int]]
    values: list[list[int]]
    classes: list[tuple[int, int, int]]
    palette: list[int] = field(default_factory=list)

    def words(self, slot: int) -> list[int]:
        """Return the record's words for `slot`."""
        writer = BitWriter()
        for frequencies in (*self.masks, *self.values):
            for frequency in frequencies:
                writer.put(frequency, 8)
        for base, bits, signed in self.classes:
            writer.put(base | bits << 8 | signed << 12, 16)
        for entry in self.palette:
            writer.put(entry, 8)
        header = MASK_SPECIAL | 1 << VAL_BIT | slot << SLOT_SHIFT
        header |= (1 << PAL_BIT) if self.palette else 0
        return seal(header, 1, writer.words())


@dataclass(frozen=True)
class Mode:
    """Mode of a tile, as its header has it."""

    mask: int
    coded_values: bool = False
    palette: bool = False
    width: int = 8
    slot: int = 0

    @property
    def coded(self) -> bool:
        """Lane states follow the header."""
        return self.mask == MASK_CODED or self.coded_values

    @property
    def uses_table(self) -> bool:
        """The tile needs the table of its slot."""
        return self.coded or self.palette

    @property
    def header(self) -> int:
        """Bits 9:0 of word 0."""
        width = 0 if self.coded_values else self.width - 1
        slot = self.slot if self.uses_table else 0
        value = self.coded_values << VAL_BIT | self.palette << PAL_BIT
        return self.mask | value | width << WIDTH_SHIFT | slot << SLOT_SHIFT

    @property
    def name(self) -> str:
        """Such as CODED+FIXED3+PAL."""
        value = "CODED" if self.coded_values else f"FIXED{self.width}"
        palette = "+PAL" if self.palette else ""
        return f"{('DENSE', 'RAW', 'CODED')[self.mask]}+{value}{palette}"


@dataclass(frozen=True)
class Tile:
    """A good tile: its words and the weights they stand for."""

    words: list[int]
    weights: list[int]


def seal(header: int, groups: int, body: Sequence[int], start: int = 0xFFFFFFFF) -> list[int]:
    """Return word 0, with sizes and CRC, and the body."""
    word = header | (groups - 1) << GROUPS_SHIFT | (1 + len(body)) << LENGTH_SHIFT
    return reseal([word, *body], start)


def reseal(words: Sequence[int], start: int) -> list[int]:
    """Return the words with the CRC that fits them, started from `start`."""
    low = words[0] & 0xFFFFFFFF
    crc = crc32c_tile(np.array([low, *words[1:]], np.uint64), start)
    return [low | crc << 32, *words[1:]]


def empty_tile(groups: int, tile_index: int) -> Tile:
    """Return an EMPTY tile."""
    words = seal(MASK_SPECIAL, groups, [], 0xFFFFFFFF ^ tile_index)
    return Tile(words, [0] * (GROUP_WEIGHTS * groups))


def forge_tile(
    random: Random,
    mode: Mode,
    groups: int,
    tile_index: int,
    table: TableRecord | None = None,
    table_crc: int = 0,
    ones: Sequence[int] = (),
) -> Tile:
    """Return a tile of `mode` with random content.

    table, table_crc  the record in the tile's slot and its CRC field, if the mode uses a table
    ones              wanted non-zeros of the groups with a RAW mask, repeated as needed
    """
    content = _Content(random, mode, groups, table, ones)
    start = 0xFFFFFFFF ^ tile_index ^ (table_crc if mode.uses_table else 0)
    return Tile(seal(mode.header, groups, content.body(), start), content.weights)


@dataclass
class _Beat:
    """A beat before it is written: per lane a symbol to code, and plain bits after the bytes."""

    frequencies: list[int] = field(default_factory=list)
    symbols: list[int] = field(default_factory=list)
    plain: list[tuple[int, int]] = field(default_factory=list)
    taken: dict[int, int] = field(default_factory=dict)  # lane: byte


class _Content:
    """Draws the content of a tile beat by beat, then codes it backwards."""

    def __init__(
        self,
        random: Random,
        mode: Mode,
        groups: int,
        table: TableRecord | None,
        ones: Sequence[int],
    ) -> None:
        self.random = random
        self.mode = mode
        self.table = table or TableRecord([], [], [])
        self.contexts = [random.randrange(CONTEXTS) for _ in range(-(-groups // SECTION_GROUPS))]
        self.beats: list[_Beat] = []
        self.weights: list[int] = []
        for group in range(groups):
            wanted = ones[group % len(ones)] if ones else None
            self._group(self.contexts[group // SECTION_GROUPS], wanted)

    def _group(self, context: int, wanted: int | None) -> None:
        mask = self._mask(context, wanted)
        places = [i for i in range(GROUP_WEIGHTS) if mask >> i & 1]
        weights = [0] * GROUP_WEIGHTS
        for start in range(0, len(places), LANES):
            beat = _Beat()
            for place in places[start : start + LANES]:
                weights[place] = self._value(beat, context)
            self.beats.append(beat)
        self.weights += weights

    def _mask(self, context: int, wanted: int | None) -> int:
        if self.mode.mask == MASK_DENSE:
            return (1 << GROUP_WEIGHTS) - 1
        if self.mode.mask == MASK_RAW:
            return self._raw_mask(wanted)
        mask = 0
        frequencies = self.table.masks[context]
        for quarter in range(MASK_BEATS):
            symbols = draw_symbols(self.random, frequencies, LANES)
            self.beats.append(_Beat(frequencies, symbols))
            for lane, symbol in enumerate(symbols):
                mask |= symbol << (64 * quarter + 4 * lane)
        return mask

    def _raw_mask(self, wanted: int | None) -> int:
        count = self.random.randrange(GROUP_WEIGHTS + 1) if wanted is None else wanted
        mask = sum(1 << i for i in self.random.sample(range(GROUP_WEIGHTS), count))
        for quarter in range(MASK_BEATS):
            self.beats.append(_Beat(plain=[(mask >> 64 * quarter & ((1 << 64) - 1), 64)]))
        return mask

    def _value(self, beat: _Beat, context: int) -> int:
        if self.mode.coded_values:
            beat.frequencies = self.table.values[context]
            (symbol,) = draw_symbols(self.random, beat.frequencies, 1)
            beat.symbols.append(symbol)
            base, bits, signed = self.table.classes[symbol]
            extra = self.random.getrandbits(bits) if bits else 0
            beat.plain.append((extra, bits))
            value = base + (extra >> 1 if signed else extra)
            value = -value if signed and extra & 1 else value
        else:
            value = self.random.getrandbits(self.mode.width)
            beat.plain.append((value, self.mode.width))
            if not self.mode.palette and value >> (self.mode.width - 1):
                value -= 1 << self.mode.width
        if self.mode.palette:
            value = self.table.palette[value & (PALETTE_ENTRIES - 1)]
        return (value + 128) % 256 - 128

    def body(self) -> list[int]:
        """Return the words after word 0."""
        states = self._code()
        writer = BitWriter()
        if self.mode.coded:
            for state in states:
                writer.put(state, 16)
            for context in self.contexts:
                writer.put(context, 2)
        for beat in self.beats:
            for lane in sorted(beat.taken):
                writer.put(beat.taken[lane], 8)
            for value, width in beat.plain:
                writer.put(value, width)
        return writer.words()

    def _code(self) -> list[int]:
        """Code the symbols backwards; note the byte each step takes; return the first states."""
        states = [STATE_LOW] * LANES
        for beat in reversed(self.beats):
            for lane, symbol in enumerate(beat.symbols):
                frequency = beat.frequencies[symbol]
                if states[lane] >= 256 * frequency:
                    beat.taken[lane] = states[lane] & 255
                    states[lane] >>= 8
                quotient, rest = divmod(states[lane], frequency)
                states[lane] = 256 * quotient + sum(beat.frequencies[:symbol]) + rest
        return states


def draw_symbols(random: Random, frequencies: Sequence[int], count: int) -> list[int]:
    """Return `count` symbols with a frequency; half of the time all are as likely."""
    symbols = [s for s in range(SYMBOLS) if frequencies[s]]
    if random.random() < 0.5:
        return random.choices(symbols, k=count)
    return random.choices(range(SYMBOLS), frequencies, k=count)


def draw_frequencies(random: Random, symbols: int) -> list[int]:
    """Return frequencies of `symbols` (2..16) random symbols that sum to 256."""
    cuts = sorted(random.sample(range(1, FREQUENCY_SUM), symbols - 1))
    parts = [high - low for low, high in zip([0, *cuts], [*cuts, FREQUENCY_SUM], strict=True)]
    frequencies = [0] * SYMBOLS
    for symbol, part in zip(random.sample(range(SYMBOLS), symbols), parts, strict=True):
        frequencies[symbol] = part
    return frequencies


def draw_table(random: Random, palette: bool) -> TableRecord:
    """Return a legal random record: sets of 2 to 16 symbols, classes of every size."""
    sets = [draw_frequencies(random, random.choice((2, 3, 5, 9, 16, 16))) for _ in range(8)]
    if random.random() < 0.3:
        sets[random.randrange(8)] = random.sample([255, 1] + [0] * 14, 16)
    classes = []
    for _ in range(SYMBOLS):
        bits = random.randrange(9)
        classes.append((random.randrange(256), bits, random.randrange(2) if bits else 0))
    colours = [random.randrange(256) for _ in range(PALETTE_ENTRIES)] if palette else []
    return TableRecord(sets[:CONTEXTS], sets[CONTEXTS:], classes, colours)
