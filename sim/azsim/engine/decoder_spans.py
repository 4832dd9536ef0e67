"""When a decoder was busy and when it lacked words, from the times of its words and beats.

The attribution of a DECODE command (section 9 of docs/timing_model.md), cycle by cycle and not as
sums: busy where a beat fires, a word is accepted or a hold lasts, and after the last beat.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from azsim_kernels import isa

Ints = npt.NDArray[np.int64]


class UnitTimes(NamedTuple):
    """Words of one unit that are known, in order; int64 arrays (words,).

    accept  cycle in which it was accepted
    fire    cycle of the last beat up to it
    beats   beats that it set free, the last of them in `fire`
    """

    accept: Ints
    fire: Ints
    beats: Ints


def decoder_spans(times: UnitTimes, sizes: Ints, start: Ints, free: Ints, hold: Ints) -> Ints:
    """Return the spans of one unit while DECODE commands run, int64 (n, 3): class, first cycle,
    end; ascending.

    sizes        (tiles,) words of each tile
    start, free  (tiles,) of its DECODE command
    hold         (tiles,) cycles that it waits for its table behind its first beat
    """
    tile = np.repeat(np.arange(len(sizes)), sizes)[: len(times.accept)]
    times = UnitTimes(*(column[: len(tile)] for column in times))  # no command takes the others
    return _with_gaps(_busy(times, tile, sizes, start, free, hold), start, free)


def _busy(times: UnitTimes, tile: Ints, sizes: Ints, start: Ints, free: Ints, hold: Ints) -> Ints:
    """Return the busy spans, int64 (n, 2); `tile` of each word."""
    fires = np.flatnonzero(times.beats > 0)
    if not len(fires):
        return np.zeros((0, 2), np.int64)
    fired_tile, first = np.unique(tile[fires], return_index=True)
    header = times.fire[fires[first]]
    final = times.fire[fires[np.append(first[1:], len(fires)) - 1]]
    complete = np.bincount(tile, minlength=len(sizes)) == sizes
    after = np.maximum(final, header + hold[fired_tile]) + 1
    after = np.where(complete[fired_tile], after, free[fired_tile])
    begins = [times.fire[fires] - times.beats[fires] + 1, times.accept, header + 1, after]
    ends = [
        times.fire[fires] + 1, times.accept + 1, header + 1 + hold[fired_tile], free[fired_tile],
    ]  # fmt: skip
    tiles = [tile[fires], tile, fired_tile, fired_tile]
    of = np.concatenate(tiles)
    begin = np.maximum(np.concatenate(begins), start[of])
    end = np.minimum(np.concatenate(ends), free[of])
    return merged(begin[begin < end], end[begin < end])


def merged(begin: Ints, end: Ints) -> Ints:
    """Return the union of intervals `begin <= t < end` (none empty) as disjoint ones that do not
    touch, int64 (n, 2), ascending.
    """
    if not len(begin):
        return np.zeros((0, 2), np.int64)
    order = np.argsort(begin, kind="stable")
    begin, reach = begin[order], np.maximum.accumulate(end[order])
    new = np.append(True, begin[1:] > reach[:-1])
    last = np.append(np.flatnonzero(new)[1:], len(begin)) - 1
    return np.stack([begin[new], reach[last]], axis=1)


def _with_gaps(busy: Ints, start: Ints, free: Ints) -> Ints:
    """Add what lies between the busy spans while a command runs, as starved."""
    running = merged(start[start < free], free[start < free])
    edges = np.unique(np.concatenate([busy.ravel(), running.ravel()]))
    begin, end = edges[:-1], edges[1:]
    runs = _inside(running, begin)
    kind = np.where(_inside(busy, begin), isa.BUSY, isa.STARVED)
    return np.stack([kind, begin, end], axis=1)[runs]


def _inside(intervals: Ints, at: Ints) -> npt.NDArray[np.bool_]:
    """Say of each cycle of `at` whether it is in one of disjoint ascending intervals."""
    if not len(intervals):
        return np.zeros(len(at), np.bool_)
    place = np.searchsorted(intervals[:, 0], at, side="right") - 1
    inside: npt.NDArray[np.bool_] = (place >= 0) & (at < intervals[place, 1])
    return inside
