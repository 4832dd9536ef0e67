"""Choosing the table of a tensor: value classes, contexts, palette, and their record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from azsim_kernels.ans_model import fit_classes, fit_contexts, symbol_cost_q16, symbol_costs_q16
from azsim_kernels.ans_types import EncoderTables
from azsim_kernels.crc import CRC_START, crc32c_tile
from azsim_kernels.tile_format import (
    CONTEXTS,
    CRC_SHIFT,
    LENGTH_SHIFT,
    MASK_SPECIAL,
    PAL_BIT,
    PALETTE_ENTRIES,
    SLOT_SHIFT,
    SYMBOLS,
    TABLE_PALETTE_WORDS,
    TABLE_WORDS,
    VAL_BIT,
)

_ROUNDS = 8
"""Most rounds of k-means."""


@dataclass(frozen=True, eq=False)
class ValueClasses:
    """Up to 16 classes and the values they hold.

    base, bits, signed  (16,) int64: BASE, NB and SG
    indexed             whether classes count palette indices instead of values
    value_class, value_extra  (256,) int64 by unsigned byte, -1 and 0 without class
    """

    base: NDArray[np.int64]
    bits: NDArray[np.int64]
    signed: NDArray[np.int64]
    indexed: bool
    value_class: NDArray[np.int64]
    value_extra: NDArray[np.int64]


def _runs(
    counts: NDArray[np.int64], classes: int, sign_bits: int
) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """Return (cost, starts, bits) of the best runs over `counts`."""
    starts = np.zeros(SYMBOLS, np.int64)
    bits = np.zeros(SYMBOLS, np.int64)
    runs, cost = fit_classes(counts, classes, sign_bits, starts, bits)
    return int(cost), starts[:runs], bits[:runs]


def _classes(
    base: NDArray[np.int64],
    bits: NDArray[np.int64],
    signed: NDArray[np.int64],
    place: NDArray[np.int64],
    negative: NDArray[np.bool_],
    present: NDArray[np.bool_],
    indexed: bool,
) -> ValueClasses:
    """Give every present byte its class: the last run that starts at or below its place."""
    order = np.argsort(base, kind="stable")
    owner = np.searchsorted(base[order], place, side="right") - 1
    owner = np.where(present, owner, -1)
    fill = (0, SYMBOLS - base.size)
    base, bits, signed = (np.pad(part[order], fill) for part in (base, bits, signed))
    offset = place - base[owner]
    extra = np.where(signed[owner] == 1, 2 * offset + negative, offset)
    return ValueClasses(base & 255, bits, signed, indexed, owner, np.where(present, extra, 0))


def _lonely_cost(counts: NDArray[np.int64], classes: int) -> int:
    """Return the bits, times 2**16, of a class that is the only one: it has 255 of 256."""
    return int(counts.sum()) * symbol_cost_q16(255) if classes == 1 else 0


def palette_order(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the bytes that occur in `counts` (256,), the most frequent first, then by value."""
    order = np.argsort(-counts, kind="stable")
    return order[: np.count_nonzero(counts)]


def choose_classes(counts: NDArray[np.int64]) -> ValueClasses:
    """Return the cheapest classes for values that occur `counts` (256,) times, by unsigned byte."""
    value = np.arange(256).astype(np.uint8).view(np.int8).astype(np.int64)
    present = counts > 0
    magnitude = np.abs(value)
    folded = np.bincount(magnitude, counts, 129).astype(np.int64)
    zero = int(present[0])
    zero_cost = -_runs(counts[:1], 1, 0)[0] if zero else 0
    cost_a, starts, bits = _runs(folded[1:], SYMBOLS - zero, 1)
    cost_a += _lonely_cost(counts, starts.size + zero) - zero_cost
    extra_zero = np.zeros(zero, np.int64)
    one = np.ones(starts.size, np.int64)
    best = _classes(
        np.concatenate([extra_zero, starts + 1]),
        np.concatenate([extra_zero, bits + 1]),
        np.concatenate([extra_zero, one]),
        magnitude,
        value < 0,
        present,
        False,
    )
    cost_b, starts, bits = _runs(np.roll(counts, 128), SYMBOLS, 0)
    cost_b += _lonely_cost(counts, starts.size)
    none = np.zeros(starts.size, np.int64)
    if cost_b < cost_a:
        best = _classes(starts - 128, bits, none, value, value < -128, present, False)
    palette = palette_order(counts)
    if SYMBOLS < palette.size <= PALETTE_ENTRIES:
        cost_c, starts, bits = _runs(counts[palette], SYMBOLS, 0)
        if cost_c < min(cost_a, cost_b):
            index = np.zeros(256, np.int64)
            index[palette] = np.arange(palette.size)
            none = np.zeros(starts.size, np.int64)
            best = _classes(starts, bits, none, index, value < -128, present, True)
    return best


def choose_contexts(sections: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return frequencies (4, 32) fitted to `sections` (S, 32), the best of three starts.

    The third start puts sections together that lack the same rare symbols: a context without a
    symbol does not spend 1/256 on it.
    """
    used = (sections.sum(axis=0) > 0).astype(np.uint8)
    values = sections[:, SYMBOLS:].sum(axis=1)
    mean_class = sections[:, SYMBOLS:] @ np.arange(SYMBOLS) * 65536 // np.maximum(values, 1)
    best = np.zeros((CONTEXTS, 2 * SYMBOLS), np.int64)
    least = None
    orders = (
        np.lexsort((mean_class, values)),
        np.lexsort((values, mean_class)),
        _by_rare(sections),
    )
    for order in orders:
        frequencies = np.zeros_like(best)
        cost = fit_contexts(sections, order, used, _ROUNDS, frequencies)
        if least is None or cost < least:
            best, least = frequencies, cost
    return best


def _by_rare(sections: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return an order of `sections` (S, 32): by the number of rare symbols in each, then by which
    ones. Rare: less than 1/256 of all symbols of the kind."""
    totals = sections.sum(axis=0).reshape(2, SYMBOLS)
    rare = (totals * 256 < totals.sum(axis=1, keepdims=True)).reshape(-1)
    has = (sections > 0) & rare
    return np.lexsort((has @ (1 << np.arange(2 * SYMBOLS)), has.sum(axis=1)))


def encoder_tables(
    classes: ValueClasses, frequencies: NDArray[np.int64], palette: NDArray[np.int64]
) -> EncoderTables:
    """Return what the tile encoder needs of classes, frequencies (4, 32) and palette bytes (n,)."""
    split = np.ascontiguousarray(frequencies.reshape(CONTEXTS, 2, SYMBOLS).swapaxes(0, 1))
    costs = np.zeros_like(split)
    for part in np.ndindex(split.shape[:2]):
        symbol_costs_q16(split[part], costs[part])
    index = np.full(256, -1, np.int64)
    index[palette] = np.arange(palette.size)
    return EncoderTables(
        frequency=split,
        below=np.cumsum(split, axis=2) - split,
        reciprocal=-(-(1 << 24) // np.maximum(split, 1)),
        cost_q16=costs,
        value_class=classes.value_class.astype(np.int64),
        value_extra=classes.value_extra.astype(np.int64),
        class_bits=classes.bits.astype(np.int64),
        palette_index=index,
    )


def table_record(
    classes: ValueClasses, tables: EncoderTables, palette: NDArray[np.int64] | None, slot: int
) -> NDArray[np.uint64]:
    """Return the words of the TABLE record, with the palette bytes (n,) if they are given."""
    entries = classes.base | classes.bits << 8 | classes.signed << 12
    body = tables.frequency.astype(np.uint8).tobytes() + entries.astype("<u2").tobytes()
    length = TABLE_WORDS
    if palette is not None:
        body += np.pad(palette, (0, PALETTE_ENTRIES - palette.size)).astype(np.uint8).tobytes()
        length = TABLE_PALETTE_WORDS
    header = MASK_SPECIAL | 1 << VAL_BIT | int(palette is not None) << PAL_BIT
    header |= slot << SLOT_SHIFT | length << LENGTH_SHIFT
    words = np.frombuffer(header.to_bytes(8, "little") + body, "<u8").astype(np.uint64)
    words[0] |= np.uint64(int(crc32c_tile(words, CRC_START)) << CRC_SHIFT)
    return words
