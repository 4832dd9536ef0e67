"""The Pareto front: the points that no other point beats in every objective."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def pareto_front(values: npt.ArrayLike, maximize: Sequence[bool] = ()) -> npt.NDArray[np.bool_]:
    """Return which rows of `values` (points, objectives) are not dominated.

    A row dominates another if it is nowhere worse and somewhere better; equal rows are all kept.
    Rows with a NaN are never on the front. `maximize` says which objectives are better if larger.
    """
    costs = np.array(values, dtype=np.float64, ndmin=2)
    costs[:, np.flatnonzero(np.array(maximize, dtype=np.bool_))] *= -1
    on_front: npt.NDArray[np.bool_] = np.logical_not(np.isnan(costs).any(axis=1))
    order = np.flatnonzero(on_front)
    order = order[np.lexsort(costs[order].T[::-1])]
    kept = np.empty((0, costs.shape[1]))
    for row in order:  # in rising order of the first objective: only earlier rows can dominate
        no_worse = (kept <= costs[row]).all(axis=1)
        if (no_worse & (kept < costs[row]).any(axis=1)).any():
            on_front[row] = False
        else:
            kept = np.vstack((kept, costs[row]))
    return on_front
