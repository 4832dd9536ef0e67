"""The decoder's cycle law as arrival times: when each word enters and when each beat fires.

The kernel steps cycle by cycle; here each event time is the latest of its causes plus one (a max-
plus recursion).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels.tile_format import FIRE_BITS, WINDOW_BITS


def decode_tile_cycles(
    beats: NDArray[np.uint16], len_words: int, port_bits: int, table_load_cycles: int = 0
) -> int:
    """Return the cycles from the first word on the port to the last beat, word and output never
    waiting.
    """
    total_bits = 64 * len_words
    n_words = -(-total_bits // port_bits)
    used = np.concatenate([[0], np.cumsum(beats, dtype=np.int64)])
    accepted: list[int] = []
    fired: list[int] = []

    def accept_next() -> None:
        """Word k enters once so many beats have fired that it fits the window."""
        k = len(accepted)
        space_beat = int(np.searchsorted(used, (k + 1) * port_bits - WINDOW_BITS))
        previous = accepted[-1] if accepted else -1
        accepted.append(1 + max(previous, fired[space_beat - 1] if space_beat else -1))

    for beat in range(len(beats)):
        needed = min(n_words, -(-(FIRE_BITS + int(used[beat])) // port_bits))
        while len(accepted) < needed:
            accept_next()
        previous = fired[-1] + (table_load_cycles if beat == 1 else 0) if fired else -1
        fired.append(1 + max(previous, accepted[needed - 1]))
    return fired[-1] + 1 if fired else 0
