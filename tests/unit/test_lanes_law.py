"""The law of the MAC array's lanes: worked by hand, and against loops that are plain to read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from azsim_kernels.lanes import (
    item_cycles,
    lane_cycles,
    mark_other,
    popcount,
    tile_cycles,
    window_bits,
)

pytestmark = pytest.mark.small

Timing = tuple[int, int, int, int]  # interval, turnaround, min_item_cycles, rate
words = st.integers(0, (1 << 64) - 1)
timings = st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3), st.integers(1, 5))


def by_definition(work: list[list[int]], queue: int, timing: Timing) -> int:
    """Section 7 of docs/timing_model.md, written down as it stands there."""
    interval, turnaround, least, rate = timing
    if not work:
        return 0
    lanes = range(len(work[0]))
    b: list[int] = []
    s: list[list[int]] = []
    f: list[list[int]] = []
    for i, item in enumerate(work):
        terms = [b[i - 1] + interval] if i else [0]
        if i >= queue:
            terms.append(max(s[i - queue][lane] for lane in lanes) + turnaround)
        b.append(max(terms))
        s.append([max(f[i - 1][lane] if i else 0, b[i]) for lane in lanes])
        f.append([s[i][lane] + max(least, -(-item[lane] // rate)) for lane in lanes])
    return max(f[-1])


def cycles_of(work: list[list[int]], queue: int, timing: Timing) -> int:
    """The kernel on the same."""
    array = np.array(work, np.int64).reshape(len(work), len(work[0]) if work else 1)
    ends, ring = np.zeros(array.shape[1], np.int64), np.zeros(queue, np.int64)
    return int(lane_cycles(array, ends, ring, timing))


def test_two_lanes_by_hand() -> None:
    # Rate 2, at least 1 cycle, a broadcast per cycle, a queue place free 1 cycle after the start.
    # item    0     1     2     3
    # work   6|1   2|2   2|8   0|1  ->  cycles  3|1  1|1  1|4  1|1
    # b       0     1    max(2, s0+1=1)=2   max(3, s1+1=4)=4
    # s      0|0   3|1   4|2   5|6
    # f      3|1   4|2   5|6   6|7
    work = [[6, 1], [2, 2], [2, 8], [0, 1]]
    assert cycles_of(work, 2, (1, 1, 1, 2)) == 7
    # with one place the next item comes a cycle after the last start: b = 0, 1, 4, 5
    # s 0|0 3|1 4|4 5|8 -> f 3|1 4|2 5|8 6|9
    assert cycles_of(work, 1, (1, 1, 1, 2)) == 9


def test_eight_multipliers_gain_nothing_from_items_of_eight_columns() -> None:
    work = [[4, 5, 3, 4]] * 10  # half of eight products left, in one cycle all the same
    assert cycles_of(work, 4, (1, 1, 1, 8)) == cycles_of([[8, 8, 8, 8]] * 10, 4, (1, 1, 1, 8)) == 10


@given(
    work=st.integers(1, 4).flatmap(
        lambda lanes: st.lists(
            st.lists(st.integers(0, 20), min_size=lanes, max_size=lanes), max_size=12
        )
    ),
    queue=st.integers(1, 5),
    timing=timings,
)
def test_the_recursion(work: list[list[int]], queue: int, timing: Timing) -> None:
    assert cycles_of(work, queue, timing) == by_definition(work, queue, timing)


@given(words)
def test_popcount(word: int) -> None:
    assert int(popcount(np.uint64(word))) == word.bit_count()


@given(words, words, st.integers(0, 63), st.integers(1, 64))
def test_window_bits(low: int, high: int, shift: int, width: int) -> None:
    want = ((high << 64 | low) >> shift) & ((1 << width) - 1)
    assert int(window_bits(np.uint64(low), np.uint64(high), shift, width)) == want


@given(st.binary(max_size=150), st.integers(0, 256), st.integers(0, 2))
def test_mark_other(raw: bytes, value: int, first: int) -> None:
    mask = np.full(6, 0xAAAAAAAAAAAAAAAA, np.uint64)
    mark_other(np.frombuffer(raw, np.uint8).copy(), value, mask, first)
    bits = sum(1 << i for i, byte in enumerate(raw) if byte != value)
    words_written = -(-len(raw) // 64)
    for k in range(6):
        inside = first <= k < first + words_written
        want = bits >> 64 * (k - first) & ((1 << 64) - 1) if inside else 0xAAAAAAAAAAAAAAAA
        assert int(mask[k]) == want


def items_of(
    counted: NDArray[np.bool_], live: NDArray[np.bool_], lanes: int, columns: int, per_lane: int
) -> list[list[int]]:
    """The items of a tile: which products each lane has to do."""
    rows = counted.shape[0]
    step = lanes * per_lane or rows
    items = []
    for group in range(0, rows, step):
        for column in range(0, counted.shape[1], columns):
            block = counted[group : min(group + step, rows), column : column + columns]
            if live[column : column + columns].any():
                items.append([int(block[lane::lanes].sum()) for lane in range(lanes)])
    return items


@settings(max_examples=150)
@given(
    data=st.data(),
    rows=st.integers(1, 20),
    columns=st.integers(1, 200),
    lanes=st.integers(1, 5),
    item_columns=st.integers(1, 140),
    per_lane=st.integers(0, 3),
    timing=timings,
)
def test_tiles(
    data: Any, rows: int, columns: int, lanes: int, item_columns: int, per_lane: int, timing: Timing
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 16)))
    weights = rng.random((rows, columns)) < data.draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    activations = rng.random(columns) < data.draw(st.sampled_from([0.0, 0.02, 0.5, 1.0]))
    by_weight, looks = data.draw(st.booleans()), data.draw(st.booleans())
    first = data.draw(st.integers(0, 130))
    counted = np.ones((rows, columns), bool)
    counted &= weights | (not by_weight)
    counted &= activations | (not looks)
    live = activations if looks else np.ones(columns, bool)
    queue = data.draw(st.integers(1, 4))
    items = items_of(counted, live, lanes, item_columns, per_lane)
    want = by_definition(items, queue, timing), int(counted.sum()), len(items)
    got = tile_cycles(
        mask_of(np.concatenate([rng.random(first) < 0.5, weights.reshape(-1)])),
        first if by_weight else -1,
        mask_of(activations),
        looks,
        (rows, columns, item_columns, per_lane),
        timing,
        np.full((2, lanes), 99, np.int64),
        np.full(queue, 99, np.int64),
    )
    assert tuple(map(int, got)) == want


def mask_of(flags: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Bits in words, and the one more word that the kernels may look at."""
    mask = np.zeros(flags.size // 64 + 2, np.uint64)
    mark_other(flags.view(np.uint8), 0, mask, 0)
    return mask


@given(st.integers(0, 100), st.integers(0, 5), st.integers(1, 9))
def test_item_cycles(work: int, least: int, rate: int) -> None:
    assert item_cycles(work, least, rate) == max(least, -(-work // rate))
