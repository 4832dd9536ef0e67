"""The weight decoder's function on a bit array, beat by beat, with a Python exception for each
way to fail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from azsim_kernels import tile_errors as codes
from azsim_kernels.reference.crc import crc32c_tile
from azsim_kernels.table_slots import TableSlots
from azsim_kernels.tile_format import GROUP_WEIGHTS, PROFILE_BITMAP


class TileFaultError(Exception):
    """A tile broke a rule; `code` is its status code."""

    def __init__(self, code: int) -> None:
        super().__init__(codes.NAMES[code])
        self.code = code


@dataclass(frozen=True)
class Header:
    """Fields of word 0."""

    mask: str
    coded_values: bool
    palette: bool
    width_field: int
    slot: int
    reserved: int
    groups: int
    length: int
    crc: int

    @property
    def coded(self) -> bool:
        """Whether any part of the tile is entropy coded."""
        return self.mask == "coded" or (self.mask != "special" and self.coded_values)

    @property
    def uses_table(self) -> bool:
        """Whether the tile needs the table of its slot."""
        return self.coded or (self.mask != "special" and self.palette)

    @property
    def is_table(self) -> bool:
        """Whether this is a TABLE record."""
        return self.mask == "special" and self.coded_values


def parse_header(word: int) -> Header:
    """Split word 0 into its fields."""
    text = format(word, "064b")[::-1]  # text[k] is bit k

    def bits(low: int, high: int) -> int:
        return int(text[low : high + 1][::-1], 2)

    return Header(
        mask=("dense", "raw", "coded", "special")[bits(0, 1)],
        coded_values=text[2] == "1",
        palette=text[3] == "1",
        width_field=bits(4, 6),
        slot=bits(7, 8),
        reserved=bits(9, 9),
        groups=bits(10, 17) + 1,
        length=bits(18, 31),
        crc=bits(32, 63),
    )


def header_rules(h: Header) -> list[bool]:
    """Return the rules a legal header meets, all of which must be true."""
    special = h.mask == "special"
    fixed = not special and not h.coded_values
    rules = [
        h.reserved == 0,
        h.length > 0,
        fixed or h.width_field == 0,
        h.uses_table or h.is_table or h.slot == 0,
    ]
    if h.is_table:
        rules += [h.groups == 1, h.length == 21 + 4 * h.palette]
    elif special:
        rules += [not h.palette, h.length == 1]
    elif h.mask == "dense" and fixed:
        rules.append(h.length == 1 + h.groups * 4 * (h.width_field + 1))
    return rules


def judge_header(word: int, expected_groups: int, profile: int, slots: TableSlots) -> Header:
    """Return the fields of word 0, or raise the fault of the header beat."""
    h = parse_header(word)
    faults = [
        (not all(header_rules(h)), codes.BAD_HEADER),
        (profile == PROFILE_BITMAP and (h.is_table or h.uses_table), codes.UNSUPPORTED),
        (h.is_table, codes.BAD_HEADER),
        (h.groups != expected_groups, codes.LENGTH),
        (h.uses_table and not slots.written[h.slot], codes.NO_TABLE),
        (h.palette and not slots.has_palette[h.slot], codes.NO_TABLE),
    ]
    for failed, code in faults:
        if failed:
            raise TileFaultError(code)
    return h


class BitReader:
    """Hands out a tile's bits beat by beat and remembers how many each beat took."""

    def __init__(self, words: NDArray[np.uint64], beats: NDArray[np.uint16]) -> None:
        self.bits = np.unpackbits(words.astype("<u8").view(np.uint8), bitorder="little")
        self.position = 0
        self.beats = beats
        self.n_beats = 0

    def end_beat(self, size: int) -> None:
        """Note a beat of `size` bits, or raise OVERRUN if they are not all there."""
        if self.position + size > self.bits.size:
            raise TileFaultError(codes.OVERRUN)
        if self.beats.size:
            self.beats[self.n_beats] = size
        self.n_beats += 1
        self.position += size

    def beat(self, size: int) -> NDArray[np.uint8]:
        """Return the `size` bits of the next beat."""
        self.end_beat(size)
        return self.bits[self.position - size : self.position]


def signed_fields(bits: NDArray[np.uint8], width: int) -> NDArray[np.int8]:
    """Return the `width`-bit two's complement fields packed in `bits`."""
    fields = bits.reshape(-1, width).astype(np.int64)
    weights = 2 ** np.arange(width)
    weights[-1] = -weights[-1]
    return (fields @ weights).astype(np.int8)


def decode_fixed_group(reader: BitReader, h: Header) -> NDArray[np.int8]:
    """Return the 256 weights of the next group of a tile with FIXED values."""
    mask = np.ones(GROUP_WEIGHTS, bool)
    if h.mask == "raw":
        mask = np.concatenate([reader.beat(64) for _ in range(4)]).astype(bool)
    width = h.width_field + 1
    counts = [min(16, int(mask.sum()) - k) for k in range(0, int(mask.sum()), 16)]
    values = [signed_fields(reader.beat(n * width), width) for n in counts]
    group = np.zeros(GROUP_WEIGHTS, np.int8)
    group[mask] = np.concatenate([np.zeros(0, np.int8), *values])
    return group


def judge_end(words: NDArray[np.uint64], h: Header, reader: BitReader, initial: int) -> None:
    """Raise the fault found when all beats have passed, if there is one."""
    if words.size != h.length:
        raise TileFaultError(codes.LENGTH)
    if crc32c_tile(words, initial) != h.crc:
        raise TileFaultError(codes.BAD_CRC)
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
        groups = range(0 if h.mask == "special" else h.groups)
        weights = [decode_fixed_group(reader, h) for _ in groups]
        judge_end(words, h, reader, 0xFFFFFFFF ^ tile_index)
    except TileFaultError as fault:
        short = reader is not None and words.size < h.length
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
