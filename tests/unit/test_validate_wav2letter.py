"""wav2letter on the rates of Ethos-U55: the shapes give the published sums, the rows pass."""

from __future__ import annotations

import math

import numpy as np
import pytest

from azsim.config import load_chip
from azsim.validate import Check
from azsim.validate.published import (
    U55_BITS_PER_WEIGHT,
    U55_CYCLES,
    WAV2LETTER,
    WAV2LETTER_MEGA_MACS,
    WAV2LETTER_MEGA_WEIGHTS,
)
from azsim.validate.wav2letter import run_wav2letter, u55_table, wav2letter_graph


@pytest.mark.small
def test_published_sums_follow_from_the_shapes() -> None:
    weights = [layer.channels * layer.kernel * layer.outputs for layer in WAV2LETTER]
    assert round(sum(weights) / 1e6, 2) == WAV2LETTER_MEGA_WEIGHTS
    assert round(148 * sum(weights) / 1e6) == WAV2LETTER_MEGA_MACS


@pytest.mark.small
def test_the_graph_is_the_published_net() -> None:
    graph = wav2letter_graph(WAV2LETTER[:3])
    assert [graph.values[n.outputs[0]].shape for n in graph.nodes] == [(1, 250, 148)] * 6
    weights = graph.values["conv2.W"].data
    assert weights is not None
    assert np.count_nonzero(weights) == weights.size // 2


@pytest.mark.small
def test_a_one_sided_row_may_be_smaller_only() -> None:
    assert Check("bits", 4.72, 1.0, 0.0, at_most=True).passed
    assert not Check("bits", 4.72, 4.73, 0.0, at_most=True).passed


def test_cycles_are_those_of_the_array() -> None:
    """Every product takes its place in the array: groups of 8 outputs, items of 16 columns."""
    run, array = run_wav2letter(), load_chip("u55_128").mac_array
    items = sum(
        math.ceil(layer.outputs / array.lanes)
        * math.ceil(layer.channels * layer.kernel / array.item_columns)
        for layer in WAV2LETTER
    )
    assert 148 * items < run.cycles < 1.02 * 148 * items
    assert run.macs == 148 * run.weights


def test_the_rows_pass() -> None:
    table = u55_table()
    cycles, bits = table.checks
    assert table.passed
    assert 0.92 * U55_CYCLES[0] <= cycles.simulated <= 1.08 * U55_CYCLES[1]
    assert bits.simulated < U55_BITS_PER_WEIGHT
