"""The stream FIFO between a DMA-W channel and its decoder (section 5 of the timing model)."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class StreamTile(NamedTuple):
    """The bytes that one FETCH moves."""

    bytes: NDArray[np.uint8]


class StreamFifo:
    """Port words on their way to the decoder, and the credits of the words that still fit.

    A credit is taken when the request is issued, so words in flight have their place already.
    """

    def __init__(self, fifo_words: int) -> None:
        self.credits = fifo_words
        self.words: deque[StreamTile] = (
            deque()
        )  # one entry per visible word: the tile it belongs to
        self.returned = 0  # credits of words accepted in the cycle before

    def give_back(self) -> None:
        """Begin a cycle: the words accepted in the cycle before leave their places."""
        self.credits += self.returned
        self.returned = 0

    def push(self, tile: StreamTile, words: int) -> None:
        """Put `words` visible words of `tile` in."""
        self.words.extend([tile] * words)

    def pop(self) -> StreamTile:
        """Take the first word out; its credit comes back in the next cycle."""
        self.returned += 1
        return self.words.popleft()
