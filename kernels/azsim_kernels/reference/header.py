"""Word 0 of a tile as text of 64 binary digits, and its rules as a list of truths."""

from __future__ import annotations

from dataclasses import dataclass

from azsim_kernels import tile_errors as codes
from azsim_kernels.table_slots import TableSlots
from azsim_kernels.tile_format import PROFILE_BITMAP


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
