"""What the encoder of profile `ans` knows of one table, and its scratch space for one tile."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from azsim_kernels.tile_format import (
    GROUP_WEIGHTS,
    MASK_CODED,
    MASK_DENSE,
    MASK_RAW,
    MASK_SPECIAL,
    PAL_BIT,
    SECTION_GROUPS,
    VAL_BIT,
)

_VAL = 1 << VAL_BIT
_PAL = 1 << PAL_BIT

MODE_BITS = (
    MASK_SPECIAL,
    MASK_DENSE,
    MASK_RAW,
    MASK_DENSE | _PAL,
    MASK_RAW | _PAL,
    MASK_DENSE | _VAL,
    MASK_RAW | _VAL,
    MASK_CODED,
    MASK_CODED | _PAL,
    MASK_CODED | _VAL,
)
"""Bits 3:0 of the header of each mode the encoder weighs; of equal sizes the first is taken.

PAL of modes with CODED values is set if the classes count palette indices.
"""

MODES = len(MODE_BITS)
MODE_EMPTY = 0
LAST_BITMAP_MODE = 2
MODE_DENSE_CODED = 5
MODE_RAW_CODED = 6
FIRST_CODED_MASK_MODE = 7
PALETTE_MODES = (3, 4, 8)
"""Modes that need a palette whatever the classes count."""

IMPOSSIBLE_BITS = 1 << 40
"""Size of a mode that cannot hold the tile; above every real size."""


class EncoderTables(NamedTuple):
    """One table as the encoder needs it; the first index of (2, 4, 16) is 0 mask, 1 value.

    frequency, below  (2, 4, 16) int64: frequency and CUM of each context and symbol
    reciprocal        (2, 4, 16) int64: ceil(2**24 / frequency), which divides any state exactly
    cost_q16          (2, 4, 16) int64: bits of a symbol times 2**16
    value_class       (256,) int64: class of the weight with this unsigned byte, -1 if it has none
    value_extra       (256,) int64: its extra bits
    class_bits        (16,) int64: NB of each class
    palette_index     (256,) int64: place of the weight in the palette, -1 if it has none
    """

    frequency: NDArray[np.int64]
    below: NDArray[np.int64]
    reciprocal: NDArray[np.int64]
    cost_q16: NDArray[np.int64]
    value_class: NDArray[np.int64]
    value_extra: NDArray[np.int64]
    class_bits: NDArray[np.int64]
    palette_index: NDArray[np.int64]


class TileScratch(NamedTuple):
    """Symbols of one tile of up to N weights; group g's values start at 256 * g.

    nibbles   (N / 4,) uint8: mask symbols
    counts    (N / 256,) int64: values of each group
    values    (N,) uint8: the values as unsigned bytes
    select    (N / 1024,) int64: context of each section
    mask_bytes, value_bytes  (N / 4,), (N,) int16: byte emitted with each symbol, -1 if none
    """

    nibbles: NDArray[np.uint8]
    counts: NDArray[np.int64]
    values: NDArray[np.uint8]
    select: NDArray[np.int64]
    mask_bytes: NDArray[np.int16]
    value_bytes: NDArray[np.int16]


def tile_scratch(weights: int) -> TileScratch:
    """Return scratch space for tiles of up to `weights` weights (a multiple of 256)."""
    groups = weights // GROUP_WEIGHTS
    return TileScratch(
        nibbles=np.zeros(weights // 4, np.uint8),
        counts=np.zeros(groups, np.int64),
        values=np.zeros(weights, np.uint8),
        select=np.zeros(-(-groups // SECTION_GROUPS), np.int64),
        mask_bytes=np.zeros(weights // 4, np.int16),
        value_bytes=np.zeros(weights, np.int16),
    )
