"""Choosing a table, by other algorithms than the kernels: exact logarithms, exhaustive searches.

Logarithms here are exact where the kernel's may be one unit lower, so that results agree in cost to
within that, not always in every choice.
"""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

_FAR = 1 << 62

LATE_Q16 = 15937
"""Bits, times 2**16, by which the end of the 256 costs more than the start: the kernel's figure."""


@lru_cache(maxsize=100_000)
def log2_q16(number: int) -> int:
    """Return floor(2**16 * log2(number)) of number >= 1, from the length of its 65536th power."""
    return (int(number) ** 65536).bit_length() - 1


def symbol_cost_q16(frequency: int) -> int:
    """Return the bits, times 2**16, of a symbol with this frequency of 256; far too many for 0."""
    return 524288 - log2_q16(frequency) if frequency else 1 << 32


def symbol_costs_q16(frequencies: NDArray[np.int64], costs: NDArray[np.int64]) -> None:
    """Write to `costs` (16,) the bits, times 2**16, of the symbols of a set (16,)."""
    middle = np.cumsum(frequencies) - (frequencies + 1) / 2
    with np.errstate(divide="ignore"):
        late = LATE_Q16 * (middle / 256 - (1 - 1 / frequencies) / 2 + 1 / 512)
    plain = [symbol_cost_q16(int(f)) for f in frequencies]
    costs[:] = np.where(frequencies > 0, plain + np.where(frequencies > 0, late, 0), plain)


def fit_classes(
    counts: NDArray[np.int64],
    classes: int,
    sign_bits: int,
    starts: NDArray[np.int64],
    bits: NDArray[np.int64],
) -> tuple[int, int]:
    """Cover the places of `counts` (L,) with at most `classes` runs, searching from the front."""

    @cache
    def best(place: int, left: int) -> tuple[int, tuple[tuple[int, int], ...]]:
        """Return (cost, runs) of the cheapest cover of all places from `place` on."""
        rest = np.flatnonzero(counts[place:])
        if rest.size == 0:
            return 0, ()
        if left == 0:
            return _FAR, ()
        first = place + int(rest[0])
        options = []
        for b in range(9 - sign_bits):
            count = int(counts[first : first + 2**b].sum())
            cost, runs = best(min(counts.size, first + 2**b), left - 1)
            cost += count * ((b + sign_bits) * 65536 - log2_q16(count))
            options.append((cost, ((first, b), *runs)))
        return min(options, key=lambda option: option[0])

    cost, runs = best(0, classes)
    for k, (start, b) in enumerate(runs):
        starts[k], bits[k] = start, b
    return len(runs), cost


def quantize_frequencies(
    counts: NDArray[np.int64], used: NDArray[np.uint8], out: NDArray[np.int64]
) -> None:
    """Write to `out` (16,) the best frequencies of sum 256, found by trying every sum in turn."""
    symbols = np.flatnonzero(used)
    out[:] = 0
    if symbols.size == 0:
        out[:] = 16
        return
    if symbols.size == 1:
        out[symbols[0]] = 255
        out[(symbols[0] + 1) % 16] = 1
        return
    log = np.array([log2_q16(f) for f in range(1, 256)])
    cost = np.full(257, _FAR)
    cost[0] = 0
    picks = []
    for s in symbols:
        # cost[n]: least cost of the symbols so far with frequencies of sum n
        trial = np.full((256, 257), _FAR)
        moved = int(counts[s] + 2 * counts[s + 1 :].sum())
        for f in range(1, 256):
            late = LATE_Q16 * moved * f // 512 + int(counts[s]) * LATE_Q16 // (2 * f)
            trial[f, f:] = cost[:-f] - int(counts[s]) * log[f - 1] + late
        picks.append(trial[1:].argmin(axis=0) + 1)
        cost = np.minimum(trial[1:].min(axis=0), _FAR)
    left = 256
    for s, pick in zip(symbols[::-1], picks[::-1], strict=True):
        out[s] = pick[left]
        left -= int(pick[left])


def context_cost(sections: NDArray[np.int64], frequencies: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the cost times 2**16 of each section (S, 32) under its cheapest context (4, 32)."""
    costs = np.zeros(frequencies.shape, np.int64)
    for row, part in zip(frequencies, costs, strict=True):
        symbol_costs_q16(row[:16], part[:16])
        symbol_costs_q16(row[16:], part[16:])
    each: NDArray[np.int64] = (sections @ costs.T).min(axis=1)
    return each
