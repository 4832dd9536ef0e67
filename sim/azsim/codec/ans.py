"""Encoder of profile `ans`: choose a table for the tensor and a mode for each tile.

Steps: value classes from the histogram; four contexts from the counts of each section; exact size
of every tile in every mode; the table is kept only if it pays for itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from azsim.codec.ans_table import (
    ValueClasses,
    choose_classes,
    choose_contexts,
    encoder_tables,
    palette_order,
    table_record,
)
from azsim.codec.geometry import TileGrid
from azsim_kernels.ans_tensor import (
    ans_mode_sizes,
    encode_ans_matrix,
    section_counts,
    tile_histograms,
)
from azsim_kernels.ans_types import (
    FIRST_CODED_MASK_MODE,
    IMPOSSIBLE_BITS,
    LAST_BITMAP_MODE,
    MODE_BITS,
    MODE_DENSE_CODED,
    MODE_RAW_CODED,
    MODES,
    PALETTE_MODES,
    EncoderTables,
    TileScratch,
    tile_scratch,
)
from azsim_kernels.tile_format import (
    CRC_SHIFT,
    PAL_BIT,
    PALETTE_ENTRIES,
    SYMBOLS,
    TABLE_PALETTE_WORDS,
    TABLE_WORDS,
    VAL_BIT,
)

DENSE_PERCENT = 28
"""Below this share of zeros a mask costs beats: 4 + nnz/16 against 16 per group."""

SPEED_PERMILLE = 15
"""A coded mask is taken over DENSE + CODED if it makes the tile at most this much longer."""

_ALL_DENSE = 101


def choose_modes(
    sizes: NDArray[np.int64], zeros: NDArray[np.int64], prefer_speed: bool
) -> NDArray[np.int64]:
    """Return the mode of each tile: the shortest in words, the first of equal ones.

    sizes (tiles, MODES) bits; zeros (tiles,) share of zeros in 1/65536. With `prefer_speed` a tile
    with few zeros takes no mask if it can be coded without, and other tiles take a coded mask
    instead of none where that is nearly as short.
    """
    words = -(-sizes // 64)
    if prefer_speed:
        few = (zeros * 100 < DENSE_PERCENT * 65536) & (sizes[:, MODE_DENSE_CODED] < IMPOSSIBLE_BITS)
        words[np.ix_(few, np.arange(MODE_RAW_CODED, MODES))] = IMPOSSIBLE_BITS
    modes: NDArray[np.int64] = np.argmin(words, axis=1)
    if prefer_speed:
        masked = FIRST_CODED_MASK_MODE + np.argmin(words[:, FIRST_CODED_MASK_MODE:], axis=1)
        tiles = np.arange(modes.size)
        limit = words[tiles, modes] * (1000 + SPEED_PERMILLE)
        faster = (modes == MODE_DENSE_CODED) & (words[tiles, masked] * 1000 <= limit)
        modes = np.where(faster, masked, modes)
    return modes


@dataclass(frozen=True, eq=False)
class AnsPlan:
    """Everything decided about a tensor before its tiles are written.

    modes   (tiles,) int64
    sizes   (tiles,) int64: bits of each tile in its mode
    record  (n,) uint64: the TABLE record, empty if no tile needs one
    """

    classes: ValueClasses
    tables: EncoderTables
    modes: NDArray[np.int64]
    sizes: NDArray[np.int64]
    record: NDArray[np.uint64]

    @property
    def words(self) -> int:
        """Length of the stream in words."""
        return int((-(-self.sizes // 64)).sum()) + self.record.size

    @property
    def headers(self) -> NDArray[np.int64]:
        """Bits 3:0 of each tile's header (tiles,)."""
        headers = np.array(MODE_BITS, np.int64)[self.modes]
        coded = headers >> VAL_BIT & 1
        return headers | (coded * self.classes.indexed) << PAL_BIT


def _legal_modes(indexed: bool, palette_size: int) -> list[tuple[int, NDArray[np.bool_]]]:
    """Return (words of the TABLE record, legal modes (MODES,)) of each kind of table."""
    modes = np.arange(MODES)
    coded_values = np.array(MODE_BITS) >> VAL_BIT & 1 == 1
    plain = ~np.isin(modes, PALETTE_MODES) & ~(coded_values & indexed)
    kinds = [(0, modes <= LAST_BITMAP_MODE), (TABLE_WORDS, plain)]
    if palette_size > 0:
        kinds.append((TABLE_PALETTE_WORDS, modes >= 0))
    return kinds


def _cheapest(
    kinds: list[tuple[int, NDArray[np.bool_]]],
    sizes: NDArray[np.int64],
    zeros: NDArray[np.int64],
    prefer_speed: bool,
) -> tuple[int, NDArray[np.int64]]:
    """Return (words of the TABLE record, modes of the tiles) of the kind of shortest stream."""
    least = IMPOSSIBLE_BITS
    for table_words, legal in kinds:
        modes = choose_modes(np.where(legal, sizes, IMPOSSIBLE_BITS), zeros, prefer_speed)
        chosen = sizes[np.arange(modes.size), modes]
        words = table_words + int((-(-chosen // 64)).sum())
        if words < least:
            least, best = words, (table_words, modes)
    return best


def plan_tensor(
    matrix: NDArray[np.int8],
    grid: TileGrid,
    scratch: TileScratch,
    slot: int,
    prefer_speed: bool,
    dense_percent: int,
) -> AnsPlan:
    """Choose a table and modes; tiles with less than `dense_percent` % zeros count as dense."""
    tiles = grid.tile_count
    dense = np.zeros(tiles, np.uint8)
    counts = np.zeros(256, np.int64)
    tile_histograms(matrix, *grid.tiling, dense_percent, dense, counts)
    classes = choose_classes(counts)
    sections = np.zeros((tiles * scratch.select.size, 2 * SYMBOLS), np.int64)
    used = section_counts(matrix, *grid.tiling, dense, classes.value_class, sections)
    palette = palette_order(counts)
    if palette.size > PALETTE_ENTRIES:
        palette = palette[:0]
    tables = encoder_tables(classes, choose_contexts(sections[:used]), palette)
    sizes = np.zeros((tiles, MODES), np.int64)
    zeros = np.zeros(tiles, np.int64)
    ans_mode_sizes(matrix, *grid.tiling, tables, scratch, sizes, zeros)
    kinds = _legal_modes(classes.indexed, palette.size)
    table_words, modes = _cheapest(kinds, sizes, zeros, prefer_speed)
    record = np.zeros(0, np.uint64)
    if table_words:
        with_palette = table_words == TABLE_PALETTE_WORDS
        record = table_record(classes, tables, palette if with_palette else None, slot)
    return AnsPlan(classes, tables, modes, sizes[np.arange(tiles), modes], record)


def encode_ans(
    matrix: NDArray[np.int8], grid: TileGrid, slot: int, prefer_speed: bool
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64]]:
    """Encode a matrix (shaped as `grid.cut`); return (words, tile offsets, table offsets)."""
    scratch = tile_scratch(grid.largest_tile_weights)
    limits = (DENSE_PERCENT,) if prefer_speed else (DENSE_PERCENT, _ALL_DENSE)
    plans = [plan_tensor(matrix, grid, scratch, slot, prefer_speed, limit) for limit in limits]
    plan = min(plans, key=lambda p: p.words)
    record = plan.record
    words = np.zeros(plan.words, np.uint64)
    words[: record.size] = record
    offsets = np.zeros(grid.tile_count + 1, np.int64)
    offsets[0] = record.size
    crc = int(record[0]) >> CRC_SHIFT if record.size else 0
    encode_ans_matrix(
        matrix, *grid.tiling, plan.headers, plan.tables, slot, crc, scratch, words, offsets
    )
    tables = [0, record.size] if record.size else [0]
    return words, offsets, np.array(tables, np.int64)
