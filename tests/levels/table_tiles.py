"""Tables and tiles of profile `ans` for generated programs, from the reference encoder.

A table's frequencies are random but give every symbol a share, so that it can hold any tile whose
values it has classes for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from choosing import Choose, pick
from numpy.typing import NDArray

from azsim.codec.ans_table import (
    ValueClasses,
    choose_classes,
    encoder_tables,
    palette_order,
    table_record,
)
from azsim_kernels.ans_types import MODE_BITS, PALETTE_MODES, EncoderTables, tile_scratch
from azsim_kernels.reference.ans_encode import encode_ans_tile
from azsim_kernels.tile_format import CONTEXTS, PAL_BIT, PALETTE_ENTRIES, SYMBOLS, VAL_BIT

Words = NDArray[np.uint64]
Weights = NDArray[np.int8]

_FREQUENCY_SUM = 256


@dataclass(frozen=True, eq=False)
class Table:
    """A table and the record that carries it to `slot`; `palette` (n,) is empty if it has none."""

    slot: int
    classes: ValueClasses
    tables: EncoderTables
    palette: NDArray[np.int64]
    record: Words

    @property
    def crc(self) -> int:
        """CRC field of the record."""
        return int(self.record[0]) >> 32


def random_table(rng: np.random.Generator, weights: Weights, slot: int) -> Table:
    """Return a table for `slot` that has a class for each value of `weights`, and a palette if they
    have few values.
    """
    counts = np.bincount(weights.view(np.uint8), minlength=256).astype(np.int64)
    classes = choose_classes(counts)
    shares = np.full(SYMBOLS, 1 / SYMBOLS)
    sets = rng.multinomial(_FREQUENCY_SUM - SYMBOLS, shares, 2 * CONTEXTS) + 1
    palette = palette_order(counts)
    palette = palette if palette.size <= PALETTE_ENTRIES else palette[:0]
    tables = encoder_tables(classes, sets.reshape(CONTEXTS, 2 * SYMBOLS), palette)
    record = table_record(classes, tables, palette if palette.size else None, slot)
    return Table(slot, classes, tables, palette, record)


def random_mode(choose: Choose, table: Table) -> int:
    """Return bits 3:0 of the header of a tile that uses `table`."""
    without = [mode for mode in MODE_BITS[3:] if not mode >> PAL_BIT & 1]
    palette = [MODE_BITS[mode] for mode in PALETTE_MODES]
    mode = pick(choose, without + (palette if table.palette.size else []))
    if mode >> VAL_BIT & 1 and table.classes.indexed:
        mode |= 1 << PAL_BIT
    return mode


def ans_tile(weights: Weights, mode: int, tile_index: int, table: Table) -> Words:
    """Return the words of a tile in `mode`."""
    out = np.zeros(64 + weights.size // 2, np.uint64)
    length = encode_ans_tile(
        weights,
        tile_index,
        mode,
        table.tables,
        table.slot,
        table.crc,
        tile_scratch(weights.size),
        out,
    )
    return out[:length].copy()
