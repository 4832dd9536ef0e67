"""Which TABLE record each tile of a program finds in its unit's table slots (profile `ans`).

Table slots are empty at the start of a step and a TABLE command names the slot it fills, so that
the program alone says which record is in which slot at each tile. Which slot a tile uses stands in
its header, in memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from azsim_kernels import isa
from azsim_kernels.tile_format import MASK_SPECIAL, SLOT_SHIFT, SLOTS

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NO_RECORD = -1  # the slot is empty
SEVERAL_RECORDS = -2  # not the same record wherever the program uses the tile
TILE_KEY = ("source", "address", "bytes", "opcode", "groups", "index", "capture", "table_slot")
HEADER_BYTES = 2  # bits 15:0 of word 0 say whether a tile uses a table, and which


def records_in_slots(found: npt.NDArray[Any], units: Ints) -> Ints:
    """Return for each tile of `found` (k,) what is in the four slots when it is decoded.

    found   TILE records in the order in which each unit decodes them, units one after the other
    units   (k,) their units
    Returns (k, 4) numbers in `found`, of equal TABLE records always the same one, or NO_RECORD.
    """
    is_table = found["opcode"] == isa.TABLE
    number = np.arange(len(found), dtype=np.int64)
    equal = number.copy()
    if is_table.any():
        keys = np.stack([found[name][is_table] for name in TILE_KEY], axis=1)
        _, first, row = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        equal[is_table] = number[is_table][first][row.reshape(-1)]
    begin = np.searchsorted(units, units)  # first tile of the same unit
    slots = np.full((len(found), SLOTS), NO_RECORD, np.int64)
    for slot in range(SLOTS):
        fills = is_table & (found["table_slot"] == slot + 1)
        last = np.maximum.accumulate(np.where(fills, number, -1)) if len(found) else number
        inside = ~is_table & (last >= begin)
        slots[inside, slot] = equal[last[inside]]
    return slots


def record_in_use(found: npt.NDArray[Any], memories: tuple[Bytes, Bytes]) -> Ints:
    """Return (k,) the record that each tile uses by the header that is in memory now."""
    used = np.full(len(found), NO_RECORD, np.int64)
    for number in np.flatnonzero((found["tables"] >= 0).any(axis=1)).tolist():
        tile = found[number]
        begin = int(tile["address"])
        memory = memories[int(tile["source"])]
        header = int.from_bytes(memory[begin : begin + HEADER_BYTES].tobytes(), "little")
        slot = table_slot_of(header)
        if tile["opcode"] == isa.TILE and slot >= 0:
            used[number] = tile["tables"][slot]
    return used


def table_slot_of(header: int) -> int:
    """Return the table slot that a tile with this word 0 uses, -1 if it uses none."""
    if header & 3 == MASK_SPECIAL or (header & 3 <= 1 and header & 12 == 0):
        return -1
    return header >> SLOT_SHIFT & 3


def uses_captured(found: npt.NDArray[Any], row: Ints, tiles: int) -> Bools:
    """Say of each of `tiles` distinct tiles whether a record in its slots is written by the program
    itself; `row` (k,): the distinct tile of each of `found`.
    """
    records = found["tables"]
    captured = (records >= 0) & (found["capture"][np.maximum(records, 0)] >= 0)
    varying = np.zeros(tiles, bool)
    np.logical_or.at(varying, row, captured.any(axis=1))
    return varying


def merged_records(found: npt.NDArray[Any], row: Ints, tiles: int) -> Ints:
    """Return (tiles, 4): what the slots hold at each distinct tile, as distinct tile numbers."""
    records = found["tables"]
    records = np.where(records >= 0, row[np.maximum(records, 0)], NO_RECORD)
    least = np.full((tiles, SLOTS), len(found), np.int64)
    most = np.full((tiles, SLOTS), NO_RECORD, np.int64)
    np.minimum.at(least, row, records)
    np.maximum.at(most, row, records)
    return np.where(least == most, most, SEVERAL_RECORDS)
