"""The MAC array's time for one tile: work per lane and item, and the lanes' recursion.

Section 7 of docs/timing_model.md. Masks are uint64 words, bit i of word k stands for element
64 k + i.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.machine_types import Ints, typed

_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_WORD = typed(64)
_ZERO = typed(0)
_NONE = np.uint64(0)
_PAIRS = np.uint64(0x5555555555555555)
_QUADS = np.uint64(0x3333333333333333)
_BYTES = np.uint64(0x0F0F0F0F0F0F0F0F)
_ONE, _TWO, _FOUR = np.uint64(1), np.uint64(2), np.uint64(4)
_EIGHT, _SIXTEEN, _HALF = np.uint64(8), np.uint64(16), np.uint64(32)
_COUNT = np.uint64(0x7F)


@kernel
def popcount(word: np.uint64) -> int:
    """Return the number of ones in `word`."""
    x = word - ((word >> _ONE) & _PAIRS)
    x = (x & _QUADS) + ((x >> _TWO) & _QUADS)
    x = (x + (x >> _FOUR)) & _BYTES
    x = x + (x >> _EIGHT)
    x = x + (x >> _SIXTEEN)
    return np.int64((x + (x >> _HALF)) & _COUNT)  # type: ignore[return-value]


@kernel
def window_bits(low: np.uint64, high: np.uint64, shift: int, width: int) -> np.uint64:
    """Return `width` (1..64) bits from bit `shift` (0..63) of the words `low`, `high` on."""
    bits = low >> np.uint64(shift)
    if shift > 0:
        bits |= high << np.uint64(64 - shift)
    return bits & (_ALL >> np.uint64(64 - width))


@kernel
def mark_other(values: NDArray[np.uint8], value: int, mask: NDArray[np.uint64], first: int) -> None:
    """Set bit i of `mask`, from its word `first` on, where values[i] != value; the bits behind
    the last value in its word become 0.
    """
    for k in range((values.size + 63) // 64):
        word = np.uint64(0)
        for i in range(min(64, values.size - 64 * k)):
            word |= np.uint64(values[64 * k + i] != value) << np.uint64(i)
        mask[first + k] = word


@kernel
def item_cycles(work: int, least: int, rate: int) -> int:
    """Return the cycles a lane works on an item of `work` products."""
    if work == 0:
        return least
    return max(least, (work + rate - 1) // rate)


@kernel
def broadcast_item(
    item: int,
    broadcast: int,
    work: Ints,
    ends: Ints,
    queue: Ints,
    timing: tuple[int, int, int, int],
) -> int:
    """Pass item number `item` through the lanes; return the cycle in which it is broadcast.

    broadcast  cycle of the broadcast of the item before
    work       (lanes,) products of each lane in this item
    ends       (lanes,) cycle in which each lane has done the items before; updated
    queue      (lane_queue,) latest start in any lane of each of the last items; updated
    timing     broadcast_interval_cycles, queue_turnaround_cycles, min_item_cycles, rate
    """
    interval, turnaround, least, rate = timing
    if item > 0:
        broadcast += interval
    place = item % queue.size
    if item >= queue.size:
        broadcast = max(broadcast, queue[place] + turnaround)
    latest = 0
    for lane in range(work.size):
        start = max(ends[lane], broadcast)
        latest = max(latest, start)
        ends[lane] = start + item_cycles(work[lane], least, rate)
    queue[place] = latest
    return broadcast


@kernel
def lane_cycles(work: Ints, ends: Ints, queue: Ints, timing: tuple[int, int, int, int]) -> int:
    """Return the cycles from the first broadcast until the last lane has ended, 0 without items.

    work  (items, lanes); the other arguments as in `broadcast_item`, whose content is overwritten.
    """
    for lane in range(ends.size):
        ends[lane] = 0
    broadcast = _ZERO
    for item in range(work.shape[0]):
        broadcast = broadcast_item(item, broadcast, work[item], ends, queue, timing)
    last = 0
    for lane in range(ends.size):
        last = max(last, ends[lane])
    return last


@kernel
def tile_cycles(
    weights: NDArray[np.uint64],
    first: int,
    activations: NDArray[np.uint64],
    looks: bool,
    shape: tuple[int, int, int, int],
    timing: tuple[int, int, int, int],
    lanes: Ints,
    queue: Ints,
) -> tuple[int, int, int]:
    """Return (cycles without the fill, products that are work, items) of one activation column.

    weights, first      mask of the tile's weights, row-major from bit `first` on; < 0: all count
    activations, looks  mask of the column's activations; not looks: all count. With looks a
                        column block without any is not broadcast
    shape               rows, columns, item_columns, item_rows_per_lane (0: all rows one group)
    timing              as in `broadcast_item`
    lanes               (2, lanes) working space: work, ends

    Masks are followed by one more word. The row loop stands here and not in a function of its
    own, since each array handed over would cost as much as the row itself.
    """
    rows, columns, item_columns, item_rows = shape
    n_lanes = lanes.shape[1]
    for lane in range(n_lanes):
        lanes[1, lane] = 0
    group_rows = n_lanes * item_rows if item_rows > 0 else rows
    broadcast = _ZERO
    items = _ZERO
    total = 0
    for group in range(0, rows, group_rows):
        behind = min(group + group_rows, rows)
        for column in range(0, columns, item_columns):
            width = min(item_columns, columns - column)
            for lane in range(n_lanes):
                lanes[0, lane] = 0
            live = not looks
            for start in range(column, column + width, 64):
                bits = min(64, column + width - start)
                wanted = _ALL >> np.uint64(64 - bits)
                if looks:
                    word, shift = start >> 6, start & 63
                    wanted = window_bits(activations[word], activations[word + 1], shift, bits)
                    if wanted == _NONE:
                        continue
                    live = True
                lane = 0
                ones = popcount(wanted)
                for row in range(group, behind):
                    if first >= 0:
                        at = first + row * columns + start
                        low, high = weights[at >> 6], weights[(at >> 6) + 1]
                        ones = popcount(window_bits(low, high, at & 63, _WORD) & wanted)
                    lanes[0, lane] += ones
                    total += ones
                    lane = lane + 1 if lane + 1 < n_lanes else 0
            if live:
                broadcast = broadcast_item(items, broadcast, lanes[0], lanes[1], queue, timing)
                items += 1
    last = 0
    for lane in range(n_lanes):
        last = max(last, lanes[1, lane])
    return last, total, items
