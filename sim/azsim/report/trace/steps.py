"""Values that change now and then, from intervals: how many are open, and what each is worth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def open_at(begin: Ints, end: Ints) -> tuple[Ints, Ints]:
    """Return (time, how many of the intervals `begin <= t < end` are open from then on), int64
    (changes,) each, with one entry per time at which the number changes.
    """
    steps = np.concatenate([np.ones(len(begin), np.int64), np.full(len(end), -1, np.int64)])
    time, place = np.unique(np.concatenate([begin, end]), return_inverse=True)
    change = np.zeros(len(time), np.int64)
    np.add.at(change, place, steps)
    kept = change != 0
    return time[kept], np.cumsum(change)[kept]


def changes(time: Ints, values: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    """Say which entries of `values`, ascending in `time`, differ from the one before."""
    if not len(time):
        return np.zeros(0, np.bool_)
    return np.append(True, values[1:] != values[:-1])


def slot_intervals(opcode: Ints, slot: Ints, start: Ints, free: Ints, fills: Ints) -> Ints:
    """Return from when to when slots hold a tile, int64 (tiles, 2): from the start of the command
    that fills one to the end of its last PRODUCT, or its own end if there is none.

    opcode, slot, start, free  (n,) commands that fill or read a slot, in program order
    fills                      opcodes of those that fill
    """
    order = np.lexsort((np.arange(len(slot)), slot))
    filling = np.isin(opcode[order], fills)
    group = np.cumsum(filling) - 1
    known = group >= 0
    begin = start[order][filling]
    end = np.zeros(len(begin), np.int64)
    np.maximum.at(end, group[known], free[order][known])
    return np.stack([begin, end], axis=1)
