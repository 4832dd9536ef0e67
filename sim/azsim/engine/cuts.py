"""Sums over intervals of time, cut at given cycles: what the attribution per layer is made of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def before_cuts(begin: Ints, end: Ints, cuts: Ints) -> Ints:
    """Return how many cycles of disjoint intervals, in ascending order, lie before each cut.

    begin, end  intervals `begin <= t < end`, `begin == end` for an empty one
    """
    total = np.concatenate([[0], np.cumsum(end - begin)])
    count = np.searchsorted(begin, cuts, side="left")
    over = np.zeros(len(cuts), np.int64)
    some = count > 0
    over[some] = np.maximum(end[count[some] - 1] - cuts[some], 0)
    sums: Ints = total[count] - over
    return sums


def layer_ends(layers: Ints, free: Ints, rows: int) -> Ints:
    """Return the end of the span of each of `rows` layers: the last result of it or a layer before.

    layers, free  (commands,) row of the layer table, and the cycle in which each command was free
    """
    ends = np.zeros(rows, np.int64)
    np.maximum.at(ends, layers, free)
    up_to: Ints = np.maximum.accumulate(ends)
    return up_to
