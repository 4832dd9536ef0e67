"""Intervals of the first step: engines, tiles, and how amounts are spread over time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_cases import COMMANDS, LAYERS, make_commands, make_record, without_steps

from azsim.counters import CommandTrace
from azsim.program import LayerInfo
from azsim.report.intervals import (
    NO_TILE,
    StepIntervals,
    spread,
    step_intervals,
    tile_numbers,
    unit_use,
)
from azsim.report.layer_groups import GREY, NO_GROUP, PALETTE, layer_groups
from azsim_kernels import isa

pytestmark = pytest.mark.small


def intervals(*times: tuple[int, int]) -> StepIntervals:
    start = np.array([begin for begin, _ in times], np.int64)
    free = np.array([end for _, end in times], np.int64)
    zeros = np.zeros(len(times), np.int64)
    return StepIntervals(("one",), zeros, zeros, zeros, zeros, zeros, start, free)


def test_each_command_is_on_its_engine() -> None:
    steps = step_intervals(make_record())
    assert [steps.names[number] for number in steps.engine] == [
        "dma_a", "dma_w0", "dma_w1", "decode0", "decode1", "mac", "mac", "vector", "vector",
        "dma_a",
    ]  # fmt: skip
    assert steps.start.tolist() == [row[5] for row in COMMANDS]
    assert steps.cycles == 1000


def test_commands_that_did_not_end_and_runs_without_steps_are_left_out() -> None:
    record = make_record()
    trace = record.counters.trace
    free = trace.free.copy()
    free[4:] = -1
    cut = replace(record.counters, trace=CommandTrace(trace.dispatch, trace.start, free))
    assert step_intervals(replace(record, counters=cut)).command.tolist() == [0, 1, 2, 3]
    none = step_intervals(without_steps(record))
    assert len(none.command) == 0
    assert none.cycles == 1


def test_a_tile_keeps_its_number_on_its_way() -> None:
    _ = NO_TILE
    assert tile_numbers(make_commands(COMMANDS)).tolist() == [_, 0, 1, 0, 1, 0, 1, _, _, _]


def test_slots_are_used_again_and_tables_are_no_tiles() -> None:
    rows = [
        (isa.DECODE, isa.TABLE, 0, 0, (2,), 0, 0),
        (isa.DECODE, isa.TILE, 0, 0, (5, 1, 0), 0, 0),
        (isa.MAC, isa.PRODUCT, 0, 0, (5,), 0, 0),
        (isa.DECODE, isa.TILE, 0, 0, (5, 1, 1), 0, 0),
        (isa.DMA_W, isa.FETCH, 0, 0, (0, 8, 0), 0, 0),  # the table
        (isa.DMA_W, isa.FETCH, 0, 0, (8, 8, 0), 0, 0),
        (isa.DMA_W, isa.FETCH, 0, 0, (16, 8, 0), 0, 0),
        (isa.MAC, isa.PRODUCT, 0, 0, (5,), 0, 0),
        (isa.MAC, isa.PRODUCT, 0, 0, (4,), 0, 0),  # an empty slot
    ]
    _ = NO_TILE
    assert tile_numbers(make_commands(rows)).tolist() == [_, 0, 0, 1, _, 0, 1, 1, _]


def test_spread_by_hand() -> None:
    steps = intervals((0, 10), (5, 15), (20, 20))
    edges = np.array([0.0, 5.0, 10.0, 20.0, 30.0])
    got = spread(steps, np.array([10.0, 20.0, 3.0]), edges)
    np.testing.assert_allclose(got, [5, 15, 10, 3])


@given(
    st.lists(st.tuples(st.integers(0, 90), st.integers(0, 60), st.integers(0, 100)), max_size=12),
    st.integers(1, 40),
)
def test_spread_is_the_sum_of_the_overlaps(commands: list[tuple[int, int, int]], bins: int) -> None:
    steps = intervals(*((start, start + length) for start, length, _ in commands))
    amounts = np.array([float(amount) for _, _, amount in commands])
    edges = np.linspace(0, 160, bins + 1)
    got = spread(steps, amounts, edges)
    expected = np.zeros(bins)
    for start, length, amount in commands:
        end = start + max(length, 1)
        inside = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
        expected += amount * np.maximum(inside, 0) / (end - start)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert got.sum() == pytest.approx(amounts.sum())


def test_use_by_hand() -> None:
    record = make_record()
    edges = np.array([0.0, 100.0, 1000.0])
    use = unit_use(record, step_intervals(record), edges)
    # until 100: 32 + 64 + 32 B at 12.8 B per cycle; after: 16 B less the part before 160 (none)
    np.testing.assert_allclose(use["DRAM bus"], [128 / 1280, 16 / 12.8 / 900])
    # law: 20 cycles in 3..100 and 40 in 4..120, of two units
    before = 20 + 40 * 96 / 116
    np.testing.assert_allclose(use["decoders"], [before / 200, (60 - before) / 1800])
    np.testing.assert_allclose(use["MAC array"], [0, 20 / 900])


def test_indexed_rows_and_the_weight_store() -> None:
    rows = [
        (isa.DMA_A, isa.GATHER, 0, 0, (0, 0, 64, 0, 2, 9), 0, 10),  # 2 rows of 64 B
        (isa.DMA_W, isa.FETCH, 0, 0, (0, 1000, 1), 0, 10),  # from the store
    ]
    record = make_record()
    times = np.array([row[5:] for row in rows], np.int64)
    counters = replace(record.counters, trace=CommandTrace(times[:, 0], times[:, 0], times[:, 1]))
    program = replace(record.program, commands=make_commands(rows))
    record = replace(record, program=program, counters=counters)
    use = unit_use(record, step_intervals(record), np.array([0.0, 20.0]))
    np.testing.assert_allclose(use["DRAM bus"], [0.5])  # 128 B of 256


def test_layers_of_one_recurrent_node_are_one_group() -> None:
    infos = tuple(
        LayerInfo(name, operator)
        for name, operator in [
            ("a/b/x", "Linear"), ("a/b/h", "Linear"), ("a/b/cell", "LstmCell"), ("dense", "Linear"),
            ("a/b/again", "Linear"), ("input and output", "DMA"),
        ]
    )  # fmt: skip
    groups = layer_groups(infos)
    assert groups.names == ("a/b", "dense", "a/b")
    assert groups.of_layer.tolist() == [0, 0, 0, 1, 2, NO_GROUP, NO_GROUP]
    colours = [(*PALETTE, GREY)[number] for number in groups.colour_numbers()]
    assert colours == [*[PALETTE[0]] * 3, PALETTE[1], PALETTE[2], GREY, GREY]
    assert groups.colour(7) == PALETTE[1]
    assert layer_groups(LAYERS).names == ("enc",)
