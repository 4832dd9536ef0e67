"""Word error rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def edits(said: Sequence[int], meant: Sequence[int]) -> int:
    """Return the fewest substitutions, insertions and deletions that make `said` of `meant`."""
    row = list(range(len(said) + 1))
    for i, word in enumerate(meant, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(said, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def word_error_rate(said: Sequence[Sequence[int]], meant: Sequence[Sequence[int]]) -> float:
    """Return all edits per word of `meant`."""
    return sum(map(edits, said, meant)) / sum(map(len, meant))


def spread(
    said: Sequence[Sequence[int]], meant: Sequence[Sequence[int]], seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % interval of the word error rate: 1000 draws of as many utterances (bootstrap;
    it says how much the choice of utterances matters, not how much the training's seed does)."""
    errors = np.array(list(map(edits, said, meant)))
    words = np.array(list(map(len, meant)))
    drawn = np.random.default_rng(seed).integers(len(errors), size=(1000, len(errors)))
    low, high = np.percentile(errors[drawn].sum(axis=1) / words[drawn].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)
