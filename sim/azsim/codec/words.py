"""The compiled decoder on bare words, without a container: for those who damage them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from azsim_kernels.decode import decode_tile
from azsim_kernels.table_record import load_table
from azsim_kernels.table_slots import empty_slots
from azsim_kernels.tile_format import GROUP_WEIGHTS


class WordDecoder:
    """Tiles and TABLE records as 64-bit words, and the table slots they share.

    `profile` is PROFILE_BITMAP or PROFILE_ANS of `azsim_kernels.tile_format`; every method's status
    is a code of `azsim_kernels.tile_errors`.
    """

    def __init__(self, profile: int) -> None:
        self._profile = profile
        self._slots = empty_slots()

    def load_record(self, words: Sequence[int]) -> int:
        """Load a TABLE record into the slot it names; return its status."""
        return int(load_table(np.array(words, np.uint64), self._profile, self._slots))

    def decode(
        self, words: Sequence[int], tile_index: int, groups: int
    ) -> tuple[int, NDArray[np.int8]]:
        """Return (status, int8 weights (groups x 256,)) of one tile."""
        out = np.zeros(groups * GROUP_WEIGHTS, np.int8)
        array = np.array(words, np.uint64)
        return int(decode_tile(array, tile_index, groups, self._profile, self._slots, out)), out
