"""The MAC array's law of lanes for work that does not come from a program: published machines.

The kernels are the ones that time every PRODUCT command (docs/timing_model.md, section 7); only
the numbers of the chip file differ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from azsim.config import MacArray
from azsim_kernels.lanes import broadcast_item, mark_other, tile_cycles

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class LaneTimes:
    """What the lanes did with a sequence of items; cycles are core cycles.

    cycles                  from the first broadcast until the last lane has ended, and the fill
    items                   broadcasts
    products                products of all lanes together
    idle_item_slots         pairs of lane and item without a product
    broadcast_stall_cycles  cycles that broadcasts came late because a lane's queue was full
    """

    cycles: int
    items: int
    products: int
    idle_item_slots: int
    broadcast_stall_cycles: int


def lane_cycles_of(
    blocks: Iterable[tuple[Ints, Ints]], mac: MacArray, weight_bits: int = 8
) -> LaneTimes:
    """Pass items, in order, through the lanes of `mac`.

    blocks  (work, gaps) of the next items: work (items, lanes) products of each lane, gaps (items,)
            cycles without a broadcast between the item before and this one, beyond the broadcast
            interval. The gap of the very first item counts for nothing: its broadcast is cycle 0.

    Blocks let a caller with many columns keep few of them in memory.
    """
    ends = np.zeros(mac.lanes, np.int64)
    queue = np.zeros(mac.lane_queue, np.int64)
    timing = _timing(mac, weight_bits)
    items = products = idle = broadcast = gap_cycles = 0
    for work, gaps in blocks:
        if work.ndim != 2 or work.shape[1] != mac.lanes or gaps.shape != work.shape[:1]:
            raise ValueError(
                f"work must be (items, {mac.lanes}) with a gap per item, "
                f"not {work.shape} with {gaps.shape}"
            )
        for row, gap in zip(np.ascontiguousarray(work, np.int64), gaps.tolist(), strict=True):
            wait = gap if items else 0
            gap_cycles += wait
            broadcast = int(broadcast_item(items, broadcast + wait, row, ends, queue, timing))
            items += 1
        products += int(work.sum())
        idle += int(np.count_nonzero(work == 0))
    unhindered = max(0, items - 1) * mac.broadcast_interval_cycles + gap_cycles
    return LaneTimes(
        cycles=int(ends.max()) + mac.fill_cycles,
        items=items,
        products=products,
        idle_item_slots=idle,
        broadcast_stall_cycles=broadcast - unhindered,
    )


def masked_cycles_of(weights: Mask, activations: Mask, mac: MacArray) -> LaneTimes:
    """Multiply one tile with activation columns one after the other, each as a product of its own.

    weights      (rows, columns), True where a weight is not zero
    activations  (vectors, columns), True where an activation is not zero

    Each vector takes what a PRODUCT command without fill takes; the fill is added once. What is
    skipped is what `mac.skip` says. `idle_item_slots` and `broadcast_stall_cycles` are not counted
    by the machine's own kernel and are 0 here.
    """
    rows, columns = weights.shape
    if activations.ndim != 2 or activations.shape[1] != columns:
        raise ValueError(f"activations must be (vectors, {columns}), not {activations.shape}")
    looks_at_weights = mac.skip in ("weight", "both")
    looks = mac.skip in ("activation", "both")
    bits = _words(weights)
    row_bits = np.zeros((columns + 63) // 64 + 1, np.uint64)
    shape = (rows, columns, mac.item_columns, mac.item_rows_per_lane)
    lanes = np.zeros((2, mac.lanes), np.int64)
    queue = np.zeros(mac.lane_queue, np.int64)
    timing = _timing(mac, 8)
    cycles = products = items = 0
    for vector in np.ascontiguousarray(activations).view(np.uint8):
        mark_other(vector, 0, row_bits, 0)
        first = 0 if looks_at_weights else -1
        took, done, sent = tile_cycles(bits, first, row_bits, looks, shape, timing, lanes, queue)
        cycles += int(took)
        products += int(done)
        items += int(sent)
    return LaneTimes(cycles + mac.fill_cycles, items, products, 0, 0)


def _timing(mac: MacArray, weight_bits: int) -> tuple[int, int, int, int]:
    """Return the four numbers of `broadcast_item`."""
    return (
        mac.broadcast_interval_cycles,
        mac.queue_turnaround_cycles,
        mac.min_item_cycles,
        mac.products_per_cycle(weight_bits),
    )


def _words(mask: Mask) -> npt.NDArray[np.uint64]:
    """Return a mask, row-major, as words (bit i of word k: element 64 k + i) and one more."""
    words = np.zeros(mask.size // 64 + 2, np.uint64)
    mark_other(np.ascontiguousarray(mask).reshape(-1).view(np.uint8), 0, words, 0)
    return words
