"""The weight decoder's function on a bit array, beat by beat.

Every way to fail is a Python exception. The order of judgement is that of docs/decoder.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels import tile_errors as codes
from azsim_kernels.reference.crc import crc32c_tile
from azsim_kernels.reference.header import Header, TileFaultError, judge_header
from azsim_kernels.table_slots import TableSlots
from azsim_kernels.tile_format import GROUP_WEIGHTS, LANES, STATE_BITS


class BitReader:
    """Hands out a tile's bits beat by beat and remembers how many each beat took."""

    def __init__(self, words: NDArray[np.uint64], beats: NDArray[np.uint16]) -> None:
        self.bits = np.unpackbits(words.astype("<u8").view(np.uint8), bitorder="little")
        self.position = 0
        self.beats = beats
        self.n_beats = 0

    def beat(self, size: int) -> NDArray[np.uint8]:
        """Return the `size` bits of the next beat, or raise OVERRUN if they are not all there."""
        if self.position + size > self.bits.size:
            raise TileFaultError(codes.OVERRUN)
        if self.beats.size:
            self.beats[self.n_beats] = size
        self.n_beats += 1
        self.position += size
        return self.bits[self.position - size : self.position]


def number(bits: NDArray[np.uint8]) -> int:
    """Return `bits`, least significant first, as an unsigned number."""
    return int("".join(map(str, reversed(bits.tolist()))) or "0", 2)


class Lanes:
    """The sixteen rANS lanes; symbols are found by searching the cumulated frequencies."""

    def __init__(self, states: NDArray[np.uint8], slots: TableSlots, slot: int) -> None:
        self.states = [number(states[16 * lane : 16 * lane + 16]) for lane in range(LANES)]
        if min(self.states) < 256:
            raise TileFaultError(codes.BAD_STATE)
        symbols = slots.steps[slot].astype(np.int64) & 0xFF
        self.frequencies = (symbols[..., None] == np.arange(16)).sum(axis=2)

    def step(self, kind: int, context: int, active: int) -> tuple[list[int], list[int]]:
        """Return the symbols of the first `active` lanes and the lanes that now need a byte."""
        frequency = self.frequencies[kind, context].tolist()
        below = [sum(frequency[:s]) for s in range(16)]
        found = []
        for lane in range(active):
            high, low = divmod(self.states[lane], 256)
            symbol = max(s for s in range(16) if below[s] <= low and frequency[s] > 0)
            self.states[lane] = frequency[symbol] * high + low - below[symbol]
            found.append(symbol)
        return found, [lane for lane in range(active) if self.states[lane] < 256]

    def feed(self, needy: list[int], bits: NDArray[np.uint8]) -> None:
        """Hand the bytes of `bits` to the needy lanes in order."""
        for k, lane in enumerate(needy):
            self.states[lane] = 256 * self.states[lane] + number(bits[8 * k : 8 * k + 8])


class TileReader:
    """Decodes a tile group by group."""

    def __init__(self, reader: BitReader, h: Header, slots: TableSlots) -> None:
        self.reader = reader
        self.h = h
        self.slots = slots
        self.lanes: Lanes | None = None
        self.contexts = np.zeros(0, np.uint8)

    def start(self) -> None:
        """Read lane states and contexts of a coded tile."""
        if not self.h.coded:
            return
        there = self.reader.bits[self.reader.position :][:STATE_BITS]
        if there.size == STATE_BITS:  # bad states are found in the beat that brings them
            self.lanes = Lanes(there, self.slots, self.h.slot)
        self.reader.beat(STATE_BITS)
        self.contexts = self.reader.beat(2 * -(-self.h.groups // 4))

    def group(self, index: int) -> NDArray[np.int8]:
        """Return the 256 weights of group number `index`."""
        section = index // 4
        context = number(self.contexts[2 * section : 2 * section + 2])
        mask = self.mask(context).astype(bool)
        values: list[int] = []
        for first in range(0, int(mask.sum()), LANES):
            active = min(LANES, int(mask.sum()) - first)
            if self.h.coded_values:
                values += self.coded_values(context, active)
            else:
                values += self.fixed_values(active)
        if self.h.palette:
            values = [int(self.slots.palette[self.h.slot, v % 32]) for v in values]
        weights = np.zeros(GROUP_WEIGHTS, np.int64)
        weights[mask] = values
        return weights.astype(np.uint8).view(np.int8)

    def mask(self, context: int) -> NDArray[np.uint8]:
        """Return a group's mask bits."""
        if self.h.mask == "dense":
            return np.ones(GROUP_WEIGHTS, np.uint8)
        if self.h.mask == "raw":
            return np.concatenate([self.reader.beat(64) for _ in range(4)])
        assert self.lanes is not None
        quarters = []
        for _ in range(4):
            symbols, needy = self.lanes.step(0, context, LANES)
            self.lanes.feed(needy, self.reader.beat(8 * len(needy)))
            nibbles = np.array(symbols, np.uint8)[:, None]
            quarters.append(np.unpackbits(nibbles, axis=1, bitorder="little")[:, :4].ravel())
        return np.concatenate(quarters)

    def coded_values(self, context: int, active: int) -> list[int]:
        """Return the values of a CODED value beat."""
        assert self.lanes is not None
        classes, needy = self.lanes.step(1, context, active)
        widths = [int(self.slots.extra_bits[self.h.slot, k]) for k in classes]
        bits = self.reader.beat(8 * len(needy) + sum(widths))
        self.lanes.feed(needy, bits)
        ends = 8 * len(needy) + np.cumsum(widths)
        values = []
        for k, width, end in zip(classes, widths, ends.tolist(), strict=True):
            extra = number(bits[end - width : end])
            base = int(self.slots.base[self.h.slot, k])
            if self.slots.signed[self.h.slot, k]:
                values.append(base + extra // 2 if extra % 2 == 0 else -base - extra // 2)
            else:
                values.append(base + extra)
        return values

    def fixed_values(self, active: int) -> list[int]:
        """Return the values of a FIXED value beat."""
        width = self.h.width_field + 1
        fields = self.reader.beat(active * width).reshape(active, width)
        values = [number(field) for field in fields]
        if self.h.palette:
            return values
        return [v - (1 << width) if v >> (width - 1) else v for v in values]


def judge_end(words: NDArray[np.uint64], tile: TileReader, initial: int) -> None:
    """Raise the fault found when all beats have passed, if there is one."""
    h, reader = tile.h, tile.reader
    if h.uses_table:
        initial ^= int(tile.slots.crc[h.slot])
    if words.size != h.length:
        raise TileFaultError(codes.LENGTH)
    if crc32c_tile(words, initial) != h.crc:
        raise TileFaultError(codes.BAD_CRC)
    if tile.lanes is not None and set(tile.lanes.states) != {256}:
        raise TileFaultError(codes.BAD_STATE)
    rest = reader.bits[reader.position :]
    if rest.size > 63 or rest.any():
        raise TileFaultError(codes.TRAILING)


def decode_tile_beats(
    words: NDArray[np.uint64],
    tile_index: int,
    expected_groups: int,
    profile: int,
    slots: TableSlots,
    out: NDArray[np.int8],
    beats: NDArray[np.uint16],
) -> tuple[int, int]:
    """Decode one tile and note its beats; return (status code, beats fired)."""
    out[:] = 0
    if words.size == 0:
        return codes.LENGTH, 0
    reader = None
    try:
        h = judge_header(int(words[0]), expected_groups, profile, slots)
        reader = BitReader(words[: h.length], beats)
        reader.beat(64)
        tile = TileReader(reader, h, slots)
        tile.start()
        weights = [tile.group(g) for g in range(0 if h.mask == "special" else h.groups)]
        judge_end(words, tile, 0xFFFFFFFF ^ tile_index)
    except TileFaultError as fault:
        short = fault.code == codes.OVERRUN and words.size < h.length
        return codes.LENGTH if short else fault.code, reader.n_beats if reader else 0
    out[: GROUP_WEIGHTS * len(weights)] = np.concatenate([np.zeros(0, np.int8), *weights])
    return codes.OK, reader.n_beats


def decode_tile(
    words: NDArray[np.uint64],
    tile_index: int,
    expected_groups: int,
    profile: int,
    slots: TableSlots,
    out: NDArray[np.int8],
) -> int:
    """Decode one tile as `decode_tile_beats` does, without noting beats; return its status code."""
    nothing = np.zeros(0, np.uint16)
    return decode_tile_beats(words, tile_index, expected_groups, profile, slots, out, nothing)[0]
