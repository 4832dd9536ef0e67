"""EIE on a caller's own arrays: by hand, and against a machine that is ticked cycle by cycle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azsim.config import load_chip
from azsim.errors import ConfigError, ModelError
from azsim.validate import EieRun, eie_array, run_eie
from azsim.validate.entries import lane_entries

pytestmark = pytest.mark.small

FILL = 8


def matrix(rows: int, columns: int, places: dict[int, list[int]]) -> np.ndarray:
    """Weights with the rows of each column of `places` not zero."""
    weights = np.zeros((rows, columns), np.int8)
    for column, filled in places.items():
        weights[filled, column] = -1
    return weights


def test_8_x_6_by_hand() -> None:
    """Two PEs (even rows, odd rows), queues of 3 that hold 2. Column 3 is not broadcast.

    item (column)  entries  broadcast                starts   ends
    0 (0)          4, 1     0                        0, 0     4, 1
    1 (1)          3, 0     1                        4, 1     7, 2    the empty column costs 1
    2 (2)          2, 1     2 = start 0 + 2          7, 2     9, 3
    3 (4)          1, 4     6 = start of item 1 + 2  9, 6     10, 10
    4 (5)          0, 2     9 = start of item 2 + 2  10, 10   11, 12
    """
    weights = matrix(
        8,
        6,
        {
            0: [0, 2, 4, 6, 3],
            1: [0, 2, 6],
            2: [0, 4, 5],
            3: [0, 1, 2, 3, 4, 5, 6, 7],
            4: [6, 1, 3, 5, 7],
            5: [1, 7],
        },
    )
    run = run_eie(weights, np.array([1.5, -2, 3, 0, 5, 6]), eie_array(2, 3))
    assert run == EieRun(
        pe=2,
        fifo=3,
        clock_mhz=800,
        rows=8,
        columns=6,
        cycles=12 + FILL,
        broadcasts=5,
        entries=18,
        padding=0,
        bubble_cycles=0,
        broadcast_stall_cycles=5,  # the last broadcast is in cycle 9, not 4
        empty_column_slots=2,
    )
    assert run.theoretical_cycles == 9
    assert run.ratio == 20 / 9


def test_bubbles_by_hand() -> None:
    """Activations 3, 70 and 199 stand in groups 0, 1 and 3: broadcasts in cycles 0, 2 and 5."""
    activations = np.zeros(200)
    activations[[3, 70, 199]] = 1
    run = run_eie(np.ones((1, 200)), activations, eie_array(1))
    assert (run.cycles, run.bubble_cycles, run.broadcast_stall_cycles) == (6 + FILL, 3, 0)


def test_empty_groups_before_the_first_activation_cost_nothing() -> None:
    activations = np.zeros(200)
    activations[199] = 1
    run = run_eie(np.ones((1, 200)), activations, eie_array(1))
    assert (run.cycles, run.bubble_cycles) == (1 + FILL, 0)


def test_without_an_activation_only_the_fill_is_left() -> None:
    run = run_eie(np.ones((4, 3)), np.zeros(3), eie_array())
    assert (run.cycles, run.broadcasts, run.entries, run.ratio) == (FILL, 0, 0, None)


@pytest.mark.parametrize(
    ("zeros", "padding"), [(0, 0), (15, 0), (16, 1), (18, 1), (31, 1), (32, 2), (48, 3)]
)
def test_padding_by_hand(zeros: int, padding: int) -> None:
    """A weight after `zeros` zeros, then zeros to the end, which need no entry."""
    column = np.zeros((2, 100), bool)
    column[0, zeros] = True
    column[1, [0, 1 + zeros]] = True
    entries, padded = lane_entries(column, 1)
    assert entries.tolist() == [[1 + padding], [2 + padding]]
    assert padded == 2 * padding


def test_runs_of_zeros_are_those_of_a_lane() -> None:
    """Rows 0 and 32 are the first and the 17th of lane 0 of two: 15 zeros between them."""
    column = np.zeros((1, 40), bool)
    column[0, [0, 32]] = True
    assert lane_entries(column, 2)[0].tolist() == [[2, 0]]
    column[0, [32, 34]] = False, True
    assert lane_entries(column, 2)[0].tolist() == [[3, 0]]


def ticked_cycles(weights: np.ndarray, activations: np.ndarray, pe: int, fifo: int) -> int:
    """EIE in plain Python: entries by counting zeros, time by ticking every cycle."""
    active = [c for c in range(weights.shape[1]) if activations[c] != 0]
    work = [[entries_of(weights[lane::pe, c]) for lane in range(pe)] for c in active]
    starts: list[list[int]] = [[] for _ in range(pe)]
    ends = [0] * pe
    sent: list[int] = []
    cycle = 0
    while any(len(lane) < len(active) for lane in starts):
        number = len(sent)
        if number < len(active):
            crossed = active[number] // 64 - active[number - 1] // 64 if number else 0
            due = sent[-1] + 1 + crossed if sent else 0
            freed = number - (fifo - 1)  # the activation whose place this one takes
            if cycle >= due and (
                freed < 0 or all(freed < len(s) and s[freed] + 2 <= cycle for s in starts)
            ):
                sent.append(cycle)
        for lane in range(pe):
            if len(starts[lane]) < len(sent) and ends[lane] <= cycle:
                ends[lane] = cycle + max(1, work[len(starts[lane])][lane])
                starts[lane].append(cycle)
        cycle += 1
    return max(ends) + FILL


def entries_of(weights: np.ndarray) -> int:
    entries = zeros = 0
    for weight in weights:
        if weight == 0:
            zeros += 1
        else:
            entries += 1 + zeros // 16
            zeros = 0
    return entries


@settings(max_examples=60)
@given(
    st.integers(1, 90),
    st.integers(1, 150),
    st.integers(1, 6),
    st.integers(2, 6),
    st.sampled_from([0.02, 0.2, 0.7]),
    st.sampled_from([0.05, 0.5, 1.0]),
    st.integers(0, 2**32),
)
def test_it_is_exact_to_the_cycle(
    rows: int, columns: int, pe: int, fifo: int, dense: float, active: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    weights = np.where(rng.random((rows, columns)) < dense, rng.normal(size=(rows, columns)), 0)
    activations = (rng.random(columns) < active).astype(np.float32)
    run = run_eie(weights, activations, eie_array(pe, fifo))
    assert run.cycles == ticked_cycles(weights, activations, pe, fifo)


def test_blocks_of_columns_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    weights, activations = rng.random((40, 300)) < 0.3, rng.random(300) < 0.6
    whole = run_eie(weights, activations, eie_array(4))
    monkeypatch.setattr("azsim.validate.eie._BLOCK_WEIGHTS", 40 * 7)
    assert run_eie(weights, activations, eie_array(4)) == whole


def test_the_defaults_are_those_of_the_chip() -> None:
    assert eie_array() == eie_array(64, 8) == load_chip("eie64").mac_array


@pytest.mark.parametrize(
    ("pe", "fifo", "message"),
    [
        (0, 8, r"^--pe: must be 1 to 1024, not 0$"),
        (1025, 8, r"^--pe: must be 1 to 1024, not 1025$"),
        (64, 1, r"^--fifo: must be 2 to 4097, not 1$"),
        (64, 4098, r"^--fifo: must be 2 to 4097, not 4098$"),
    ],
)
def test_numbers_out_of_range_are_refused(pe: int, fifo: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        eie_array(pe, fifo)


@pytest.mark.parametrize(
    ("weights", "activations", "message"),
    [
        ((4,), (4,), r"^weights must be \(rows, columns\), not 4$"),
        ((), (4,), r"^weights must be \(rows, columns\), not a scalar$"),
        ((0, 4), (4,), r"^weights must be \(rows, columns\), not 0 x 4$"),
        ((2, 4), (5,), r"^activations must be one for each of the 4 columns, not 5$"),
        ((2, 4), (1, 4), r"^activations must be one for each of the 4 columns, not 1 x 4$"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    weights: tuple[int, ...], activations: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        run_eie(np.ones(weights), np.ones(activations), eie_array())


def test_too_many_columns_are_refused() -> None:
    columns = (1 << 24) + 1
    weights = np.broadcast_to(np.int8(1), (1, columns))
    message = rf"^weights must have at most {columns - 1} columns, not {columns}$"
    with pytest.raises(ModelError, match=message):
        run_eie(weights, np.broadcast_to(np.int8(1), (columns,)), eie_array())
