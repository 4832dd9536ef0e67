"""Field positions and sizes of AZW tiles (docs/decoder.md); plain integers, no code.

Everything that reads or writes a tile takes its numbers from here.
"""

from __future__ import annotations

WORD_BITS = 64
LANES = 16
GROUP_WEIGHTS = 256
SECTION_GROUPS = 4
MASK_BEATS = 4
MASK_BEAT_BITS = 64
MAX_GROUPS = 256
MAX_TILE_WEIGHTS = GROUP_WEIGHTS * MAX_GROUPS

HEADER_BITS = 64
VAL_BIT = 2
PAL_BIT = 3
WIDTH_SHIFT = 4
SLOT_SHIFT = 7
RESERVED_BIT = 9
GROUPS_SHIFT = 10
LENGTH_SHIFT = 18
MAX_LENGTH_WORDS = (1 << 14) - 1
CRC_SHIFT = 32

MASK_DENSE = 0
MASK_RAW = 1
MASK_CODED = 2
MASK_SPECIAL = 3

PROFILE_BITMAP = 0
PROFILE_ANS = 1

SLOTS = 4
CONTEXTS = 4
SYMBOLS = 16
PALETTE_ENTRIES = 32
TABLE_WORDS = 21
TABLE_PALETTE_WORDS = 25
MAX_EXTRA_BITS = 8
TABLE_LOAD_CYCLES = 20
TABLE_PALETTE_LOAD_CYCLES = 24

STATE_BITS = 256
STATE_LOW = 256
WINDOW_BITS = 512
FIRE_BITS = 256

MAX_BEATS = 3 + MAX_GROUPS * (MASK_BEATS + GROUP_WEIGHTS // LANES)
"""Header, lane states, contexts, then at most 4 mask and 16 value beats per group."""


def max_tile_words(weights: int) -> int:
    """Return the words that always suffice for a tile of `weights` weights (a multiple of 256)."""
    return 1 + weights // 8
