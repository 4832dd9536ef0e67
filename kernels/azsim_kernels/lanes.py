"""The MAC array's time for one tile: work per lane and item, and the lanes' recursion.

Section 7 of docs/timing_model.md. Masks are uint64 words, bit i of word k stands for element
64 k + i.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.machine_types import Ints

_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
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
def mask_bits(mask: NDArray[np.uint64], position: int, width: int) -> np.uint64:
    """Return the `width` (1..64) bits of `mask` from bit `position` on, which must exist."""
    index = position >> 6
    shift = position & 63
    bits: np.uint64 = mask[index] >> np.uint64(shift)
    if shift + width > 64:
        bits |= mask[index + 1] << np.uint64(64 - shift)
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
def count_work(
    weights: NDArray[np.uint64],
    first: int,
    activations: NDArray[np.uint64],
    column: int,
    columns: int,
) -> int:
    """Return how many of `columns` products are work.

    weights, first       mask whose bits from `first` on count; first < 0: all weights count
    activations, column  mask whose bits from `column` on count; column < 0: all activations count
    """
    if first < 0 and column < 0:
        return columns
    total = 0
    done = 0
    while done < columns:
        width = min(64, columns - done)
        if first < 0:
            bits = mask_bits(activations, column + done, width)
        else:
            bits = mask_bits(weights, first + done, width)
            if column >= 0:
                bits &= mask_bits(activations, column + done, width)
        total += popcount(bits)
        done += width
    return total


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
        ends[lane] = start + max(least, (work[lane] + rate - 1) // rate)
    queue[place] = latest
    return broadcast


@kernel
def lane_cycles(work: Ints, ends: Ints, queue: Ints, timing: tuple[int, int, int, int]) -> int:
    """Return the cycles from the first broadcast until the last lane has ended, 0 without items.

    work  (items, lanes); the other arguments as in `broadcast_item`, whose content is overwritten.
    """
    ends[:] = 0
    broadcast = 0
    for item in range(work.shape[0]):
        broadcast = broadcast_item(item, broadcast, work[item], ends, queue, timing)
    return ends.max() if work.shape[0] > 0 else 0  # type: ignore[no-any-return]


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
    """
    rows, columns, item_columns, item_rows = shape
    work = lanes[0]
    ends = lanes[1]
    ends[:] = 0
    group_rows = work.size * item_rows if item_rows > 0 else rows
    broadcast = 0
    items = 0
    total = 0
    for group in range(0, rows, group_rows):
        for column in range(0, columns, item_columns):
            width = min(item_columns, columns - column)
            if looks and count_work(weights, -1, activations, column, width) == 0:
                continue
            work[:] = 0
            lane = 0
            for row in range(group, min(group + group_rows, rows)):
                at = first + row * columns + column if first >= 0 else -1
                count = count_work(weights, at, activations, column if looks else -1, width)
                work[lane] += count
                total += count
                lane = lane + 1 if lane + 1 < work.size else 0
            broadcast = broadcast_item(items, broadcast, work, ends, queue, timing)
            items += 1
    return ends.max(), total, items
