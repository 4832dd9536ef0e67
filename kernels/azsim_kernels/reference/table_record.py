"""TABLE records read as bytes: whole arrays at once, with the first fault found by its word."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels import tile_errors as codes
from azsim_kernels.reference.crc import crc32c_tile
from azsim_kernels.reference.header import header_rules, parse_header
from azsim_kernels.table_slots import TableSlots
from azsim_kernels.tile_format import CONTEXTS, PROFILE_BITMAP, SYMBOLS


def _legal_words(body: bytes) -> bool:
    """Return whether every set and class that is wholly in `body` (after word 0) is legal."""
    sets = len(body) // SYMBOLS
    for number in range(min(sets, 2 * CONTEXTS)):
        if sum(body[number * SYMBOLS : (number + 1) * SYMBOLS]) != 256:
            return False
    classes = body[128 : 128 + 32]
    entries = np.frombuffer(classes[: len(classes) // 8 * 8], "<u2").astype(int)
    extra, sign, rest = entries >> 8 & 15, entries >> 12 & 1, entries >> 13
    return not ((extra > 8) | (rest != 0) | ((sign == 1) & (extra == 0))).any()


def _clear(slot: int, slots: TableSlots) -> None:
    """Mark a slot as never written."""
    slots.written[slot] = 0
    slots.has_palette[slot] = 0


def _write(body: bytes, slot: int, slots: TableSlots) -> None:
    """Fill a slot from the bytes after word 0."""
    sets = np.frombuffer(body[:128], np.uint8).reshape(2, CONTEXTS, SYMBOLS).astype(np.int64)
    for kind, context in np.ndindex(2, CONTEXTS):
        frequencies = sets[kind, context]
        symbol = np.repeat(np.arange(SYMBOLS), frequencies)
        first = np.repeat(np.cumsum(frequencies) - frequencies, frequencies)
        packed = symbol + (frequencies[symbol] << 8) + ((np.arange(256) - first) << 16)
        slots.steps[slot, kind, context] = packed
    entries = np.frombuffer(body[128:160], "<u2")
    slots.base[slot] = entries & 0xFF
    slots.extra_bits[slot] = entries >> 8 & 0xF
    slots.signed[slot] = entries >> 12
    palette = body[160:192].ljust(32, b"\0")
    slots.palette[slot] = np.frombuffer(palette, np.uint8)
    slots.has_palette[slot] = len(body) > 160


def load_table(words: NDArray[np.uint64], profile: int, slots: TableSlots) -> int:
    """Load a TABLE record (n,) into its slot; return its status code."""
    if words.size == 0:
        return codes.LENGTH
    h = parse_header(int(words[0]))
    if not all(header_rules(h)):
        return codes.BAD_HEADER
    if profile == PROFILE_BITMAP:
        return codes.UNSUPPORTED
    if not h.is_table:
        return codes.BAD_HEADER
    _clear(h.slot, slots)
    body = words[1 : h.length].astype("<u8").tobytes()
    if not _legal_words(body):
        return codes.BAD_TABLE
    if words.size != h.length:
        return codes.LENGTH
    if crc32c_tile(words, 0xFFFFFFFF) != h.crc:
        return codes.BAD_CRC
    _write(body, h.slot, slots)
    slots.crc[h.slot] = h.crc
    slots.written[h.slot] = 1
    return codes.OK
