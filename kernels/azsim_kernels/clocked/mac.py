"""The MAC array (section 7 of the timing model): broadcast items, lane queues, lanes that work
cycle by cycle.

The array is a clocked circuit: `tick` does the work of a cycle and then what happens at the edge
to the next one (lanes become free and take a waiting item, an item is broadcast). The closed
recursion of the timing model is not used here.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from azsim_kernels import isa
from azsim_kernels.clocked.command import BAD_OPERAND, Command, Fault, inside
from azsim_kernels.clocked.engine import Engine
from azsim_kernels.clocked.mac_items import MacWork, list_items
from azsim_kernels.clocked.memory import Counters, Storage
from azsim_kernels.reference.execute import mac_accumulate


class MacLane:
    """One lane: a queue of waiting items and the item it works on.

    An item holds its queue place from the broadcast until `turnaround` cycles after the lane took
    it.
    """

    def __init__(self, params: isa.MachineParams, rate: int) -> None:
        self.params = params
        self.rate = rate
        self.waiting: deque[int] = deque()  # products of each waiting item
        self.leaving: deque[int] = deque()  # cycles in which places become free again
        self.busy = False
        self.products_left = 0
        self.worked_cycles = 0

    def has_place(self, cycle: int) -> bool:
        """Say whether another item can be broadcast to this lane in `cycle`."""
        while self.leaving and self.leaving[0] <= cycle:
            self.leaving.popleft()
        return len(self.waiting) + len(self.leaving) < self.params.lane_queue

    def take(self, cycle: int) -> bool:
        """Take the next waiting item if the lane is free; say whether it did."""
        if self.busy or not self.waiting:
            return False
        self.products_left = self.waiting.popleft()
        self.worked_cycles = 0
        self.leaving.append(cycle + self.params.queue_turnaround_cycles)
        self.busy = not self._item_done()  # an item of no products may take no cycle at all
        return True

    def work(self) -> None:
        """Work for one cycle."""
        if self.busy:
            self.products_left -= self.rate
            self.worked_cycles += 1
            self.busy = not self._item_done()

    def _item_done(self) -> bool:
        return self.products_left <= 0 and self.worked_cycles >= self.params.min_item_cycles


class MacArray(Engine):
    """Lanes fed by a broadcast; runs the items of a tile once per activation column."""

    def __init__(self, params: isa.MachineParams, storage: Storage, counters: Counters) -> None:
        super().__init__()
        self.params = params
        self.storage = storage
        self.counters = counters
        self.work = MacWork([], 0, 0)
        self.columns_left = 0
        self.lanes: list[MacLane] = []
        self.items: deque[list[int]] = deque()  # still to be broadcast in this activation column
        self.next_broadcast = 0  # cycle from which the broadcast interval allows another item
        self.rate = 1
        self.free_cycle: int | None = None

    def begin(self, command: Command, cycle: int) -> Fault | None:
        """Check the operands, list the items, and do what happens at the edge to the start
        cycle.
        """
        self.running = command
        if not self._operands_fit(command):
            return BAD_OPERAND
        arg = command.operands()
        self.work = list_items(self.params, arg, self.storage)
        self.columns_left = arg["activation_columns"]
        self.rate = self.params.macs_per_lane * self.params.products_per_mac[arg["weight_bits"] - 1]
        self.free_cycle = None
        self._begin_column(cycle)
        self._edge(cycle)
        return None

    def _operands_fit(self, command: Command) -> bool:
        arg = command.operands()
        rows, columns, m = arg["rows"], arg["columns"], arg["activation_columns"]
        if min(rows, columns, m) < 1 or not 1 <= arg["weight_bits"] <= 8:
            return False
        if (
            not 0 <= arg["slot"] < self.params.tile_slots
            or rows * columns > self.params.slot_weights
        ):
            return False
        stride, acc_stride = arg["activation_stride_bytes"], arg["acc_stride"]
        per_lane = -(-rows // self.params.lanes)
        if m > 1 and (stride < 0 or acc_stride < per_lane):
            return False
        last_activations = arg["activation_address"] + (m - 1) * stride
        first, last = arg["acc_base"], arg["acc_base"] + (m - 1) * acc_stride
        if not inside(arg["activation_address"], columns, self.storage.abuf):
            return False
        if not inside(last_activations, columns, self.storage.abuf):
            return False
        return first >= 0 and last + per_lane <= self.params.accumulators_per_lane

    def _begin_column(self, cycle: int) -> None:
        """Begin an activation column with empty lanes."""
        self.items = deque(self.work.items)
        self.lanes = [MacLane(self.params, self.rate) for _ in range(self.params.lanes)]
        self.next_broadcast = cycle

    def _edge(self, cycle: int) -> None:
        """Do what happens at the edge to `cycle`, until nothing moves any more within it."""
        moving = True
        while moving:
            moving = self._broadcast(cycle)
            for lane in self.lanes:
                moving = lane.take(cycle) or moving
            if not moving and self.columns_left and self._column_done():
                self.columns_left -= 1
                moving = self.columns_left > 0
                if moving:
                    self._begin_column(cycle)
                else:
                    self.free_cycle = cycle + self.params.fill_cycles

    def _broadcast(self, cycle: int) -> bool:
        """Broadcast the next item to all lanes if each has a place and the interval has passed."""
        if not self.items or cycle < self.next_broadcast:
            return False
        if not all(lane.has_place(cycle) for lane in self.lanes):
            return False
        for lane, products in zip(self.lanes, self.items.popleft(), strict=True):
            lane.waiting.append(products)
        self.next_broadcast = cycle + self.params.broadcast_interval_cycles
        return True

    def _column_done(self) -> bool:
        return not self.items and not any(lane.busy or lane.waiting for lane in self.lanes)

    def tick(self, cycle: int) -> bool:
        """Let the lanes work for a cycle, then do what happens at the edge to the next."""
        if self.running is not None and self.free_cycle is None:
            for lane in self.lanes:
                lane.work()
            self._edge(cycle + 1)
        return False

    def is_free(self, cycle: int) -> bool:
        """Free when the last lane is done and the pipeline has drained (asked after the start
        cycle).
        """
        return self.free_cycle is not None and cycle >= self.free_cycle

    def finish(self) -> Fault | None:
        """Add the products to the accumulators."""
        assert self.running is not None
        weights = self.storage.wbuf[self.running.arg[0]]
        arg = np.array(self.running.arg, np.int64)
        status = mac_accumulate(arg, weights, self.storage.abuf, self.storage.accumulators)
        return BAD_OPERAND if status != isa.DONE else None

    def count(self) -> None:
        """Count products and items."""
        assert self.running is not None
        columns = self.running.operands()["activation_columns"]
        self.counters.add("mac_products_done", columns * self.work.products_done)
        self.counters.add("mac_products_skipped", columns * self.work.products_skipped)
        self.counters.add("mac_items", columns * len(self.work.items))

    def under_way(self) -> bool:
        """A running command comes to its end by itself."""
        return self.running is not None
