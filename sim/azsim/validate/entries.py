"""EIE's weight entries: what each processing element has to do in a column.

An entry is a weight with the number of zeros before it in 4 bits; where 16 or more zeros stand
before a weight, a padding entry of value zero takes 16 positions. Runs begin anew in each column.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ZERO_RUN = 16  # positions that one padding entry stands for: 15 zeros and itself
Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def lane_entries(nonzero: Mask, lanes: int) -> tuple[Ints, int]:
    """Return (entries of each lane (columns, lanes), how many of all entries are padding).

    nonzero  (columns, rows), at least one row: True where a weight is not zero; row r belongs to
             lane r mod lanes
    """
    columns, rows = nonzero.shape
    lane_rows = -(-rows // lanes)
    whole = np.zeros((columns, lane_rows * lanes), np.bool_)
    whole[:, :rows] = nonzero
    by_lane = whole.reshape(columns, lane_rows, lanes).transpose(0, 2, 1)
    at = np.flatnonzero(np.ascontiguousarray(by_lane))
    owner = at // lane_rows  # lane of a column, counted through all columns
    begin = owner * lane_rows  # first position that the zeros before each weight can take
    begin[1:] = np.where(owner[1:] == owner[:-1], at[:-1] + 1, begin[1:])
    padding = (at - begin) // ZERO_RUN
    entries = np.bincount(owner, minlength=columns * lanes)
    entries += np.bincount(np.repeat(owner, padding), minlength=columns * lanes)
    return entries.reshape(columns, lanes), int(padding.sum())
