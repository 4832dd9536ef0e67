"""Choosing a table: logarithms, classes, frequencies and contexts against exhaustive searches."""

from __future__ import annotations

import numpy as np
import pytest
from codec_cases import ans_table
from hypothesis import given, settings
from hypothesis import strategies as st

from azsim.codec.ans_table import choose_classes, choose_contexts
from azsim_kernels import ans_model as kernel
from azsim_kernels.reference import ans_model as reference

FAR = 1 << 61


@pytest.mark.small
def test_logarithms() -> None:
    for number in [*range(1, 300), 1000, 65535, 65536, 999_999, 2**31 - 1, 2**40 + 12345]:
        exact = reference.log2_q16(number)
        assert exact - 1 <= kernel.log2_q16(number) <= exact
    for power in range(61):
        assert kernel.log2_q16(1 << power) == power << 16


@pytest.mark.small
def test_costs_of_frequencies() -> None:
    assert kernel.symbol_cost_q16(128) == 1 << 16
    assert kernel.symbol_cost_q16(1) == 8 << 16
    assert kernel.symbol_cost_q16(0) == reference.symbol_cost_q16(0) == 1 << 32
    for f in range(1, 256):
        assert 0 <= kernel.symbol_cost_q16(f) - reference.symbol_cost_q16(f) <= 1


@pytest.mark.small
def test_costs_of_symbols_are_the_growth_of_a_lane() -> None:
    """Against the exact mean of what a lane's state grows by, states of density 1 / x."""
    rng = np.random.default_rng(0)
    for used in (2, 5, 16):
        set_of = 1 + rng.multinomial(256 - used, rng.dirichlet(np.ones(used)))
        frequencies = np.pad(set_of, (0, 16 - used)).astype(np.int64)
        mine, other = np.zeros(16, np.int64), np.zeros(16, np.int64)
        kernel.symbol_costs_q16(frequencies, mine)
        reference.symbol_costs_q16(frequencies, other)
        assert np.abs(mine - other).max() <= 4
        assert (mine[used:] == 1 << 32).all()
        for s in range(used):
            f, below = int(frequencies[s]), int(frequencies[:s].sum())
            state = np.arange(f, 256 * f)
            grown = 256 * (state // f) + below + state % f
            share = np.log1p(1 / state) / np.log(256)
            assert mine[s] / 65536 == pytest.approx(share @ np.log2(grown / state), abs=0.04)


def runs_of(counts: np.ndarray, classes: int, sign: int) -> tuple[int, list[tuple[int, int]]]:
    """Return (cost, runs) of the kernel, whose cost must be the reference's to within rounding."""
    starts, bits = np.zeros(16, np.int64), np.zeros(16, np.int64)
    n, cost = kernel.fit_classes(counts, classes, sign, starts, bits)
    other = reference.fit_classes(counts, classes, sign, starts.copy(), bits.copy())[1]
    if other >= FAR:
        assert (n, cost >= FAR) == (0, True)
    else:
        assert 0 <= cost - other <= counts.sum()
    return int(cost), list(zip(starts[:n].tolist(), bits[:n].tolist(), strict=True))


@pytest.mark.small
def test_classes_by_hand() -> None:
    """Two far places take a run each; eight equal neighbours take one run of 8."""
    counts = np.zeros(40, np.int64)
    counts[[3, 30]] = 4
    assert runs_of(counts, 16, 0) == (-2 * 4 * (2 << 16), [(3, 0), (30, 0)])
    assert runs_of(counts, 1, 0)[1] == [(3, 5)]
    counts[:] = 0
    counts[8:16] = 1
    assert runs_of(counts, 1, 0) == (0, [(8, 3)])
    assert runs_of(counts, 0, 0)[0] >= FAR
    assert runs_of(np.zeros(5, np.int64), 3, 1) == (0, [])


@pytest.mark.small
@settings(max_examples=25)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=20), st.integers(1, 5), st.integers(0, 1))
def test_classes_are_optimal(counts: list[int], classes: int, sign: int) -> None:
    array = np.array(counts, np.int64)
    _, runs = runs_of(array, classes, sign)
    covered = np.zeros(600, bool)
    for start, b in runs:
        assert not covered[start : start + 2**b].any()
        covered[start : start + 2**b] = True
    if runs:
        assert covered[np.flatnonzero(array)].all()


def frequencies_of(counts: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return the kernel's frequencies, which must cost no more than the best of all."""
    mine, best = np.zeros(16, np.int64), np.zeros(16, np.int64)
    kernel.quantize_frequencies(counts, used, mine)
    reference.quantize_frequencies(counts, used, best)
    costs = np.zeros((2, 16), np.int64)
    reference.symbol_costs_q16(mine, costs[0])
    reference.symbol_costs_q16(best, costs[1])
    cost = costs @ counts
    assert cost[0] - cost[1] <= 4 * counts.sum()
    assert mine.sum() == 256
    assert mine.max() <= 255
    return mine


@pytest.mark.small
def test_frequencies_by_hand() -> None:
    counts = np.zeros(16, np.int64)
    used = np.zeros(16, np.uint8)
    assert frequencies_of(counts, used).tolist() == [16] * 16
    used[15] = 1
    counts[15] = 9
    assert frequencies_of(counts, used).tolist() == [1, *[0] * 14, 255]
    used[2] = 1
    assert frequencies_of(counts, used).tolist() == [0, 0, 1, *[0] * 12, 255]
    counts[2] = 3
    # 64 and 192 by their shares; the later one is worth 4 units more
    assert frequencies_of(counts, used).tolist() == [0, 0, 60, *[0] * 12, 196]


@settings(max_examples=40)
@given(st.lists(st.integers(0, 5000), min_size=16, max_size=16), st.integers(0, 65535))
def test_frequencies_are_optimal(counts: list[int], also: int) -> None:
    array = np.array(counts, np.int64) * (np.arange(16) % 3 > 0)
    used = ((array > 0) | (also >> np.arange(16) & 1 == 1)).astype(np.uint8)
    found = frequencies_of(array, used)
    if used.sum() > 1:
        assert ((found > 0) == (used > 0)).all()


@pytest.mark.small
def test_four_kinds_of_sections_get_four_contexts() -> None:
    rng = np.random.default_rng(0)
    kinds = rng.integers(1, 60, (4, 32)) * (rng.random((4, 32)) < 0.6) + 1
    sections = np.concatenate([kinds * k for k in range(1, 9)])
    frequencies = choose_contexts(sections)
    assert (frequencies.reshape(4, 2, 16).sum(axis=2) == 256).all()
    one = np.zeros((4, 32), np.int64)
    everything = sections.sum(axis=0)
    used = np.ones(16, np.uint8)
    for part in (slice(0, 16), slice(16, 32)):
        kernel.quantize_frequencies(everything[part], used, one[0, part])
    one[:] = one[0]
    mixed = reference.context_cost(sections, one).sum()
    apart = np.zeros((4, 32), np.int64)
    for k in range(4):
        for part in (slice(0, 16), slice(16, 32)):
            kernel.quantize_frequencies(kinds[k, part], used, apart[k, part])
    ideal = reference.context_cost(sections, apart).sum()
    assert reference.context_cost(sections, frequencies).sum() <= 1.01 * ideal < mixed


@pytest.mark.small
def test_rare_symbols_cost_nothing_where_they_are_not() -> None:
    """A context may lack a symbol, one has all; a floor of 1/256 everywhere would cost more."""
    rng = np.random.default_rng(1)
    sections = np.zeros((40, 32), np.int64)
    sections[:, 0:2] = 200, 40
    sections[:, 16:18] = rng.integers(80, 120, (40, 2))
    sections[rng.permutation(40)[:6], 15] = 1
    frequencies = choose_contexts(sections)
    used = sections.sum(axis=0) > 0
    assert (frequencies[3] > 0)[used].all()
    assert (frequencies[:, 15] == 0).any()
    floor = np.zeros((4, 32), np.int64)
    for part in (slice(0, 16), slice(16, 32)):
        total, every = sections.sum(axis=0)[part], used[part].astype(np.uint8)
        kernel.quantize_frequencies(total, every, floor[0, part])
    floor[:] = floor[0]
    cost = reference.context_cost(sections, frequencies).sum()
    assert cost < 0.999 * reference.context_cost(sections, floor).sum()
    assert cost < 1 << 32  # no section is without a context that has all of its symbols


@pytest.mark.small
def test_contexts_without_sections_repeat_the_first() -> None:
    sections = np.ones((1, 32), np.int64)
    frequencies = choose_contexts(sections)
    assert (frequencies == frequencies[0]).all()
    assert choose_contexts(np.zeros((0, 32), np.int64)).tolist() == [[16] * 32] * 4


@pytest.mark.small
@pytest.mark.parametrize(
    ("values", "indexed"),
    [
        ([0], False),
        ([-128], False),
        ([-3, 0, 3], False),
        (range(-128, 128), False),
        (range(-128, 128, 12), True),  # 22 values far apart
    ],
)
def test_every_value_has_a_class(values: range, indexed: bool) -> None:
    counts = np.zeros(256, np.int64)
    order = list(values)
    for rank, value in enumerate(order):
        counts[value & 255] = 1 + 1000 // (rank + 1)
    classes = choose_classes(counts)
    assert classes.indexed == indexed
    assert ((classes.value_class >= 0) == (counts > 0)).all()
    for value in order:
        k = classes.value_class[value & 255]
        extra = classes.value_extra[value & 255]
        assert 0 <= extra < 1 << classes.bits[k]
        base = classes.base[k]
        if classes.signed[k]:
            found = base + (extra >> 1)
            found = -found if extra & 1 else found
        else:
            found = base + extra
        if not indexed:
            assert found & 255 == value & 255


@pytest.mark.small
def test_records_are_the_same_on_every_run() -> None:
    weights = (np.arange(4096) * 2654435761 % 251 % 23 - 11).astype(np.int8)
    first = ans_table(weights, dense=True).record(0)
    np.testing.assert_array_equal(first, ans_table(weights.copy(), dense=True).record(0))
