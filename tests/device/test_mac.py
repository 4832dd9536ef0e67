"""Gates of the MAC array, worked by hand, and the ticked lanes against the closed recursion."""

from __future__ import annotations

import numpy as np
import pytest
from bench import Bench, counter, stalls
from hypothesis import given
from hypothesis import strategies as st

from azsim_kernels import isa

pytestmark = pytest.mark.small

# Two rows of four blocks of four columns; lane 0 has 4, 1, 1, 1 non-zero weights, lane 1 has
# 1, 1, 1, 4.
WEIGHTS = np.array(
    [
        [3, 3, 3, 3, 3, 0, 0, 0, 0, 3, 0, 0, 0, 0, 3, 0],
        [0, 5, 0, 0, 5, 0, 0, 0, 0, 0, 0, 5, 5, 5, 5, 5],
    ],
    np.int8,
)


def run_product(
    bench: Bench,
    weights: np.ndarray,
    activations: np.ndarray,
    *,
    weight_bits: int = 8,
    zero_point: int = 0,
) -> tuple[isa.StepResult, np.ndarray]:
    """Run one PRODUCT of (rows, columns) weights with (M, columns) activations.

    Returns the result and the accumulators by row and activation column.
    """
    rows, columns = weights.shape
    m = activations.shape[0]
    lanes = bench.params.lanes
    per_lane = -(-rows // lanes)
    bench.abuf[100 : 100 + activations.size] = activations.astype(np.int8).ravel().view(np.uint8)
    arg = [1, rows, columns, 100, m, columns, 2, per_lane, 1, weight_bits, zero_point, 1]
    bench.add(isa.PRODUCT, arg)
    machine = bench.machine()
    machine.wbuf[1, : weights.size] = weights.ravel()
    machine.accumulators[:] = 1000  # `clear` is set: not to be seen
    result = machine.run_step()
    sums = [
        [machine.accumulators[r % lanes, 2 + k * per_lane + r // lanes] for k in range(m)]
        for r in range(rows)
    ]
    return result, np.array(sums)


def duration(result: isa.StepResult) -> int:
    """Return the cycles of the only command."""
    return int(result.free[0] - result.start[0])


@pytest.mark.parametrize(
    ("fields", "cycles"),
    [
        # Queue 2, turnaround 1: b = 0, 1, 2, then b3 = max(3, s[0,1] + 1 = 5) = 5.
        # Lane 0: 0-4, 4-5, 5-6, 6-7. Lane 1: 0-1, 1-2, 2-3, 5-9.
        ({}, 9 + 2),
        # Queue 1: b2 = s[0,1] + 1 = 5, b3 = s[.,2] + 1 = 6; lane 1 ends with 6-10.
        ({"lane_queue": 1}, 10 + 2),
        # Queue 3: b3 = max(3, s[.,0] + 1) = 3; lane 1: 3-7; lane 0: 4, 5, 6, 7.
        ({"lane_queue": 3}, 7 + 2),
        # Turnaround 2: b3 = s[0,1] + 2 = 6; lane 1: 6-10.
        ({"queue_turnaround_cycles": 2}, 10 + 2),
        # Turnaround 0: b3 = 4; lane 1: 4-8.
        ({"queue_turnaround_cycles": 0}, 8 + 2),
        # Interval 3: b = 0, 3, 6, 9; lane 1: 9-13.
        ({"lane_queue": 4, "broadcast_interval_cycles": 3}, 13 + 2),
        # Interval 0: all are broadcast at 0; lane 0: 4, 5, 6, 7; lane 1: 1, 2, 3, 7.
        ({"lane_queue": 4, "broadcast_interval_cycles": 0}, 7 + 2),
        # Two cycles at least: lane 0: 4, 6, 8, 10; lane 1: 2, 4, 6, 6-10.
        ({"lane_queue": 4, "min_item_cycles": 2}, 10 + 2),
        # Two products per cycle: lane 0: 2, 3, 4, 5; lane 1: 1, 2, 3, 3-5.
        ({"lane_queue": 4, "macs_per_lane": 2}, 5 + 2),
        # Three: 4 products still take two cycles.
        ({"lane_queue": 4, "macs_per_lane": 3}, 5 + 2),
        ({"lane_queue": 4, "macs_per_lane": 4}, 4 + 2),
        ({"fill_cycles": 0}, 9),
        # Nothing skipped: four products per lane and item. b3 = s[.,1] + 1 = 5; 4, 8, 12, 16.
        ({"skip": isa.SKIP_NONE}, 16 + 2),
        # One item of all 16 columns: 7 products in both lanes.
        ({"item_columns": 16}, 7 + 2),
        # A third lane has no products, and still takes every item for a cycle.
        ({"lanes": 3}, 9 + 2),
    ],
)
def test_a_tile_by_hand(fields: dict[str, int], cycles: int) -> None:
    bench = Bench(**fields)
    result, sums = run_product(bench, WEIGHTS, np.ones((1, 16), np.int8))
    assert duration(result) == cycles
    assert sums.tolist() == [[3 * 7], [5 * 7]]
    done = 32 if bench.params.skip == isa.SKIP_NONE else 14
    assert counter(result, "mac_products_done") == done
    assert counter(result, "mac_products_skipped") == 32 - done
    assert stalls(result, "mac") == {"waiting": 1, "busy": cycles}


@pytest.mark.parametrize(
    ("weight_bits", "cycles"),
    # 3 products per cycle at up to 2 bits, 2 at up to 4, else 1. Items of 16 columns: 7 products.
    [(1, 3), (2, 3), (3, 4), (4, 4), (5, 7), (8, 7)],
)
def test_products_per_mac_by_weight_width(weight_bits: int, cycles: int) -> None:
    bench = Bench(item_columns=16, products_per_mac=(3, 3, 2, 2, 1, 1, 1, 1))
    result, _ = run_product(bench, WEIGHTS, np.ones((1, 16)), weight_bits=weight_bits)
    assert duration(result) == cycles + 2


def test_activation_columns_repeat_the_tile() -> None:
    bench = Bench()
    activations = np.arange(48).reshape(3, 16)
    result, sums = run_product(bench, WEIGHTS, activations)
    assert duration(result) == 3 * 9 + 2
    assert counter(result, "mac_items") == 3 * 4
    assert counter(result, "mac_products_done") == 3 * 14
    assert counter(result, "mac_products_skipped") == 3 * 18
    assert sums.tolist() == (WEIGHTS.astype(int) @ activations.T).tolist()


# Block 1 holds zero points only; blocks 0, 2 and 3 have 3, 1 and 2 others.
ACTIVATIONS = np.array([[1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 2, 2]])


@pytest.mark.parametrize(
    ("skip", "cycles", "done"),
    [
        # Three items of 3, 1, 2 products in both lanes: 0-3, 3-4, 4-6.
        (isa.SKIP_ACTIVATION, 6, 12),
        # Lane 0: 3, 0, 1 products: 0-3, 3-4, 4-5. Lane 1: 1, 1, 2: 0-1, 1-2, and 2-4.
        (isa.SKIP_BOTH, 5, 8),
        # The weights' zeros only: as above.
        (isa.SKIP_WEIGHT, 9, 14),
    ],
)
@pytest.mark.parametrize("zero_point", [0, -7])
def test_zero_activations(skip: int, cycles: int, done: int, zero_point: int) -> None:
    bench = Bench(skip=skip)
    activations = ACTIVATIONS + zero_point
    result, sums = run_product(bench, WEIGHTS, activations, zero_point=zero_point)
    assert duration(result) == cycles + 2
    assert counter(result, "mac_products_done") == done
    assert counter(result, "mac_products_skipped") == 32 - done
    assert counter(result, "mac_items") == (4 if skip == isa.SKIP_WEIGHT else 3)
    # Skipping changes no sum: the zero point's share is not left out.
    assert sums.tolist() == (WEIGHTS.astype(int) @ activations.T).tolist()


@pytest.mark.parametrize(
    ("skip", "like"),
    [(isa.SKIP_ACTIVATION, isa.SKIP_NONE), (isa.SKIP_BOTH, isa.SKIP_WEIGHT)],
)
def test_several_activation_columns_count_as_dense(skip: int, like: int) -> None:
    zeros = np.zeros((2, 16), np.int8)
    skipping, _ = run_product(Bench(skip=skip), WEIGHTS, zeros)
    dense, _ = run_product(Bench(skip=like), WEIGHTS, zeros)
    assert duration(skipping) == duration(dense)
    assert skipping.counters.tolist() == dense.counters.tolist()


@pytest.mark.parametrize(("fill", "cycles"), [(3, 3), (1, 1), (0, 1)])
def test_a_tile_without_items_takes_the_fill_and_a_cycle_at_least(fill: int, cycles: int) -> None:
    bench = Bench(skip=isa.SKIP_BOTH, fill_cycles=fill)
    result, sums = run_product(bench, WEIGHTS, np.zeros((1, 16)))
    assert duration(result) == cycles
    assert counter(result, "mac_items") == 0
    assert counter(result, "mac_products_skipped") == 32
    assert sums.tolist() == [[0], [0]]


def test_items_of_no_products_may_take_no_time() -> None:
    # Nothing to do in any item, and nothing takes a minimum: all within the start cycle.
    bench = Bench(min_item_cycles=0, broadcast_interval_cycles=0, queue_turnaround_cycles=0)
    result, _ = run_product(bench, np.zeros((2, 16), np.int8), np.ones((1, 16)))
    assert duration(result) == 2
    # With an interval of 3 the fourth item is broadcast at 9 and done at once.
    bench = Bench(min_item_cycles=0, broadcast_interval_cycles=3, fill_cycles=0)
    result, _ = run_product(bench, np.zeros((2, 16), np.int8), np.ones((1, 16)))
    assert duration(result) == 9
    assert counter(result, "mac_items") == 4


@pytest.mark.parametrize(
    ("rows_per_lane", "items", "cycles"),
    [
        # Three row groups of 2, 2 and 1 rows, two blocks each, all with four (last block: one)
        # products per row: 4, 1, 4, 1, 4, 1 in lane 0. b3 = s[.,1] + 1 = 5, so nothing is held up.
        (1, 6, 4 + 1 + 4 + 1 + 4 + 1),
        # Groups of 4 and 1 rows: 8, 2, 4, 1 in lane 0.
        (2, 4, 8 + 2 + 4 + 1),
        # One group: 12, 3.
        (0, 2, 12 + 3),
    ],
)
def test_row_groups(rows_per_lane: int, items: int, cycles: int) -> None:
    bench = Bench(item_rows_per_lane=rows_per_lane)
    weights = np.arange(1, 26).reshape(5, 5).astype(np.int8)
    result, sums = run_product(bench, weights, np.ones((1, 5)))
    assert counter(result, "mac_items") == items
    assert duration(result) == cycles + 2
    assert sums[:, 0].tolist() == weights.sum(axis=1).tolist()


def recursion(work: np.ndarray, p: isa.MachineParams, rate: int) -> int:
    """Return max f of section 7's recursion for `work` (lanes, items)."""
    lanes, items = work.shape
    b = 0
    s = np.zeros((lanes, items), np.int64)
    f = np.zeros(lanes, np.int64)
    for i in range(items):
        if i > 0:
            b += p.broadcast_interval_cycles
        if i >= p.lane_queue:
            b = max(b, int(s[:, i - p.lane_queue].max()) + p.queue_turnaround_cycles)
        s[:, i] = np.maximum(f, b)
        f = s[:, i] + np.maximum(p.min_item_cycles, -(-work[:, i] // rate))
    return int(f.max(initial=0))


@given(st.data())
def test_ticked_lanes_equal_the_recursion(data: st.DataObject) -> None:
    def small(low: int, high: int) -> int:
        return data.draw(st.integers(low, high))

    bench = Bench(
        lanes=small(1, 4),
        macs_per_lane=small(1, 3),
        item_columns=small(1, 6),
        item_rows_per_lane=small(0, 2),
        lane_queue=small(1, 4),
        queue_turnaround_cycles=small(0, 3),
        broadcast_interval_cycles=small(0, 3),
        min_item_cycles=small(0, 3),
        fill_cycles=small(0, 3),
        skip=small(0, 3),
        accumulators_per_lane=32,
    )
    p = bench.params
    rows, columns, m = small(1, 7), small(1, 20), small(1, 2)
    rng = np.random.default_rng(small(0, 999))
    weights = rng.integers(-1, 2, (rows, columns)).astype(np.int8)
    activations = rng.integers(0, 2, (m, columns)) * rng.integers(0, 2, columns)
    skip = p.skip if m == 1 else {0: 0, 1: 1, 2: 0, 3: 1}[p.skip]
    group = p.lanes * p.item_rows_per_lane or rows
    work = []
    for r0 in range(0, rows, group):
        for c0 in range(0, columns, p.item_columns):
            cells = [
                (r, c)
                for r in range(r0, min(rows, r0 + group))
                for c in range(c0, min(columns, c0 + p.item_columns))
            ]
            if skip >= isa.SKIP_ACTIVATION and not any(activations[0, c] for _, c in cells):
                continue
            item = [0] * p.lanes
            for r, c in cells:
                weight_counts = skip in (isa.SKIP_NONE, isa.SKIP_ACTIVATION) or weights[r, c] != 0
                activation_counts = skip < isa.SKIP_ACTIVATION or activations[0, c] != 0
                item[r % p.lanes] += bool(weight_counts and activation_counts)
            work.append(item)
    array = np.array(work, np.int64).reshape(-1, p.lanes).T
    result, sums = run_product(bench, weights, activations)
    expected = m * recursion(array, p, p.macs_per_lane) + p.fill_cycles
    assert duration(result) == max(1, expected)
    assert counter(result, "mac_products_done") == m * array.sum()
    assert counter(result, "mac_items") == m * array.shape[1]
    assert sums.tolist() == (weights.astype(int) @ activations.T).tolist()


def test_accumulators_are_written_when_the_command_is_free() -> None:
    bench = Bench()
    bench.add(isa.PRODUCT, [0, 1, 1, 0, 1, 0, 0, 0, 1, 8, 0, 1])
    bench.abuf[0] = 6
    machine = bench.machine()
    machine.wbuf[0, 0] = 7
    step = machine.new_step()
    for cycle in range(4):  # start 1, one product, two cycles of fill: free at 4
        assert step.tick(cycle) is None
        assert machine.accumulators[0, 0] == 0
    result = step.tick(4)
    assert result is not None
    assert machine.accumulators[0, 0] == 42


def test_without_clear_the_sums_go_on() -> None:
    bench = Bench()
    for clear in (1, 0, 0):
        bench.add(isa.PRODUCT, [0, 1, 1, 0, 1, 0, 3, 0, clear, 8, 0, 1])
    bench.abuf[0] = 6
    machine = bench.machine()
    machine.wbuf[0, 0] = 7
    machine.run_step()
    assert machine.accumulators[0, 3] == 3 * 42
    machine.run_step()  # the first command clears again
    assert machine.accumulators[0, 3] == 3 * 42
