"""What the lanes of the MAC array did during each PRODUCT, by the recursion of the array itself
(section 7 of docs/timing_model.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim_kernels import isa
from azsim_kernels.lanes import broadcast_item

Ints = npt.NDArray[np.int64]
BUSY, STARVED, LATE = range(3)  # of a lane; LATE: it has ended, another lane or the fill has not
MULTIPLIED = 3  # multipliers with a product, of all lanes together


@dataclass(frozen=True)
class ProductLanes:
    """One PRODUCT. `starts`, `ends` (items, lanes): cycles from the start of an activation column;
    `multiplied` (items, lanes): multipliers with a product, summed over the item's cycles.
    """

    starts: Ints
    ends: Ints
    multiplied: Ints
    columns: int  # activation columns, one after the other
    macs_per_lane: int

    @property
    def column_cycles(self) -> int:
        """Cycles of one activation column, without the fill."""
        return int(self.ends.max(initial=0))

    @property
    def last_ends(self) -> Ints:
        """End of each lane in an activation column, int64 (lanes,)."""
        none = np.zeros(self.ends.shape[1], np.int64)
        return self.ends[-1] if len(self.ends) else none

    def until(self, cycle: int) -> Ints:
        """Lane cycles BUSY, STARVED and LATE and the multiplier cycles MULTIPLIED before `cycle`
        (from the start of the command), int64 (4,)."""
        whole = min(self.columns, cycle // self.column_cycles) if self.column_cycles else 0
        counted = whole * self._column(self.column_cycles)
        if whole < self.columns:
            counted = counted + self._column(cycle - whole * self.column_cycles)
        counted[LATE] = cycle * self.ends.shape[1] - counted[BUSY] - counted[STARVED]
        return counted

    def _column(self, cycle: int) -> Ints:
        """The same of one activation column, LATE left out."""
        worked = np.clip(cycle - self.starts, 0, self.ends - self.starts)
        multiplied = np.minimum(self.multiplied, worked * self.macs_per_lane)
        busy = int(worked.sum())
        here = int(np.minimum(self.last_ends, cycle).sum())
        return np.array([busy, here - busy, 0, int(multiplied.sum())], np.int64)


class LaneClock:
    """Times the products of one chip."""

    def __init__(self, params: isa.MachineParams) -> None:
        self._params = params

    def product(
        self, arg: Ints, weights: npt.NDArray[Any], activations: npt.NDArray[np.uint8] | None
    ) -> ProductLanes:
        """Return the lanes' times for a PRODUCT with operands `arg` and `weights` (rows, columns).

        activations  (columns,) bytes, None if times do not depend on them
        """
        p, columns = self._params, int(arg[4])
        work = self._work(weights, self._live(arg, activations) if columns == 1 else None)
        per_mac = p.products_per_mac[int(arg[9]) - 1]
        rate = p.macs_per_lane * per_mac
        timing = (
            p.broadcast_interval_cycles, p.queue_turnaround_cycles, p.min_item_cycles, rate,
        )  # fmt: skip
        ends = np.zeros((len(work), p.lanes), np.int64)
        lanes, queue = np.zeros(p.lanes, np.int64), np.zeros(p.lane_queue, np.int64)
        broadcast = 0
        for item, row in enumerate(work):
            broadcast = broadcast_item(item, broadcast, row, lanes, queue, timing)
            ends[item] = lanes
        took = np.maximum(p.min_item_cycles, -(-work // rate))
        return ProductLanes(ends - took, ends, -(-work // per_mac), columns, p.macs_per_lane)

    def _live(
        self, arg: Ints, activations: npt.NDArray[np.uint8] | None
    ) -> npt.NDArray[np.bool_] | None:
        if activations is None:
            return None
        live: npt.NDArray[np.bool_] = activations.view(np.int8) != arg[10]
        return live

    def _work(self, weights: npt.NDArray[Any], live: npt.NDArray[np.bool_] | None) -> Ints:
        """Products of each lane in each item that is broadcast, int64 (items, lanes)."""
        p = self._params
        rows, columns = weights.shape
        looks = p.skip in (isa.SKIP_WEIGHT, isa.SKIP_BOTH)
        counted = weights != 0 if looks else np.ones(weights.shape, np.bool_)
        if live is not None:
            counted = counted & live
        borders = np.arange(0, columns, p.item_columns)
        per_block = np.add.reduceat(counted.view(np.uint8), borders, axis=1, dtype=np.int64)
        rows_per_lane = p.item_rows_per_lane or -(-rows // p.lanes)
        groups = -(-rows // (p.lanes * rows_per_lane))
        whole = np.zeros((groups * rows_per_lane * p.lanes, len(borders)), np.int64)
        whole[:rows] = per_block
        work = whole.reshape(groups, rows_per_lane, p.lanes, len(borders)).sum(axis=1)
        if live is not None:
            work = work[:, :, np.logical_or.reduceat(live, borders)]
        items: Ints = np.ascontiguousarray(work.transpose(0, 2, 1)).reshape(-1, p.lanes)
        return items
