"""Status codes of the weight decoder, shared by kernels, references, clocked model and RTL.

The numbers follow the table of errors in docs/decoder.md; 0 means the tile is good.
"""

from __future__ import annotations

OK = 0
BAD_HEADER = 1
BAD_TABLE = 2
NO_TABLE = 3
BAD_STATE = 4
OVERRUN = 5
TRAILING = 6
LENGTH = 7
UNSUPPORTED = 8
BAD_CRC = 9

NAMES: tuple[str, ...] = (
    "OK",
    "BAD_HEADER",
    "BAD_TABLE",
    "NO_TABLE",
    "BAD_STATE",
    "OVERRUN",
    "TRAILING",
    "LENGTH",
    "UNSUPPORTED",
    "BAD_CRC",
)
"""Name of each status code, indexed by the code."""

MEANINGS: tuple[str, ...] = (
    "good",
    "illegal header",
    "illegal table record",
    "table slot was never written",
    "lane state out of range",
    "a beat needs bits beyond the tile",
    "bits left after the last beat",
    "number of words or groups is not what it must be",
    "mode outside the decoder's profile",
    "checksum mismatch",
)
"""Cause of each status code in plain words, indexed by the code."""
