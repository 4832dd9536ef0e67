"""Choosing a table: value classes, frequencies of 1/256, four contexts.

All in integers: logarithms are fixed point with 16 fractional bits, so that the same weights give
the same stream on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.tile_format import CONTEXTS, SYMBOLS

_FAR = 1 << 62
LATE_Q16 = 15937
"""Bits, times 2**16, that a symbol at the very end of the 256 costs more than one at their start.

A lane's state is 256 * q + CUM + r after a symbol, q at least 1 and small as often as large: with a
high CUM it has grown more. The mean over x = q * f + r in f..256 * f - 1, of density 1 / x, of what
log2 of the state grows by beyond 8 - log2(f) is, to first order in 1 / q,
0.2432 * ((CUM + (f - 1) / 2) / 256 - (f - 1) / (2 * f)).
"""

_WHOLE = CONTEXTS - 1  # the context that has every symbol, so that any tile can be coded


@kernel
def log2_q16(number: int) -> int:
    """Return floor(2**16 * log2(number)) of 1 <= number < 2**62, to within one unit below."""
    exponent = 0
    while number >> (exponent + 1):
        exponent += 1
    # mantissa in [2**30, 2**31): squaring doubles the logarithm, whose next bit is the carry
    mantissa = number >> (exponent - 30) if exponent > 30 else number << (30 - exponent)
    result = exponent
    for _ in range(16):
        mantissa = mantissa * mantissa >> 30
        result <<= 1
        if mantissa >> 31:
            mantissa >>= 1
            result |= 1
    return result


@kernel
def symbol_cost_q16(frequency: int) -> int:
    """Return the bits, times 2**16, of a symbol with this frequency of 256; far too many for 0."""
    if frequency == 0:
        return 1 << 32
    return (8 << 16) - log2_q16(frequency)


@kernel
def own_cost_q16(frequency: int) -> int:
    """Return what of a symbol's bits, times 2**16, depends on its frequency 1..255 alone."""
    return (8 << 16) - log2_q16(frequency) + (LATE_Q16 // frequency - LATE_Q16) // 2


@kernel
def symbol_costs_q16(frequencies: NDArray[np.int64], costs: NDArray[np.int64]) -> None:
    """Write to `costs` (16,) the bits, times 2**16, of the symbols of a set (16,): those of its
    frequency, and of its place among the 256."""
    below = 0
    for s in range(SYMBOLS):
        frequency = frequencies[s]
        costs[s] = symbol_cost_q16(0)
        if frequency > 0:
            costs[s] = own_cost_q16(frequency) + (LATE_Q16 * (2 * below + frequency) >> 9)
        below += frequency


@kernel
def fit_classes(
    counts: NDArray[np.int64],
    classes: int,
    sign_bits: int,
    starts: NDArray[np.int64],
    bits: NDArray[np.int64],
) -> tuple[int, int]:
    """Cover the places of `counts` (L,) that occur with at most `classes` runs of 2**b places.

    A run costs count * (b + sign_bits) - count * log2(count); places that do not occur may be left
    out. `starts` and `bits` (16,) receive the first place and b of each run, in ascending order.
    Returns (runs, cost in bits times 2**16). 2**b is at most 2**(8 - sign_bits).
    """
    length = counts.size
    sums = np.zeros(length + 1, np.int64)
    for i in range(length):
        sums[i + 1] = sums[i] + counts[i]
    best = np.full((classes + 1, length + 1), _FAR, np.int64)
    choice = np.full((classes + 1, length + 1), -1, np.int64)
    best[:, length] = 0
    for place in range(length - 1, -1, -1):
        if counts[place] == 0:
            best[:, place] = best[:, place + 1]
            continue
        for b in range(9 - sign_bits):
            end = min(length, place + (1 << b))
            count = sums[end] - sums[place]
            cost = count * ((b + sign_bits) * (1 << 16) - log2_q16(count))
            for left in range(1, classes + 1):
                rest = best[left - 1, end]
                if rest < _FAR and cost + rest < best[left, place]:
                    best[left, place] = cost + rest
                    choice[left, place] = b
            if end == length:
                break
    left = classes
    place = 0
    runs = 0
    while place < length:
        if counts[place] == 0:
            place += 1
            continue
        if choice[left, place] < 0:
            return 0, _FAR
        starts[runs] = place
        bits[runs] = choice[left, place]
        place = min(length, place + (1 << bits[runs]))
        runs += 1
        left -= 1
    return runs, best[classes, 0]


@kernel
def _best_step(
    counts: NDArray[np.int64], used: NDArray[np.uint8], out: NDArray[np.int64], step: int
) -> tuple[int, int]:
    """Return (symbol, change of cost) of the best step of +-1 that keeps it in 1..255, or -1.

    A unit more for a symbol moves the middle of its own place by half a unit, and by a whole one
    the places of the symbols above it.
    """
    chosen = -1
    change = _FAR
    above = 0
    for s in range(SYMBOLS - 1, -1, -1):
        moved = counts[s] + 2 * above
        above += counts[s]
        if used[s] != 0 and 1 <= out[s] + step <= 255:
            extra = counts[s] * (own_cost_q16(out[s] + step) - own_cost_q16(out[s]))
            extra += step * (LATE_Q16 * moved >> 9)
            if extra < change:
                change = extra
                chosen = s
    return chosen, change


@kernel
def quantize_frequencies(
    counts: NDArray[np.int64], used: NDArray[np.uint8], out: NDArray[np.int64]
) -> None:
    """Write to `out` (16,) frequencies of sum 256 that code `counts` (16,) best.

    Each symbol with `used` (16,) gets at least 1. A single used symbol gets 255 and the next one 1,
    because a byte cannot hold 256. Nothing used gives 16 to each.
    """
    total = 0
    symbols = 0
    for s in range(SYMBOLS):
        total += counts[s]
        symbols += used[s] != 0
    if symbols == 0:
        out[:] = 256 // SYMBOLS
        return
    rest = 256
    for s in range(SYMBOLS):
        out[s] = 0
        if used[s] != 0:
            share = counts[s] * 256 // total if total > 0 else 256 // symbols
            out[s] = max(1, share)
        rest -= out[s]
    if symbols == 1:
        for s in range(SYMBOLS):
            if used[s] != 0:
                out[s] = 255
                out[(s + 1) % SYMBOLS] = 1
        return
    while rest != 0:
        step = 1 if rest > 0 else -1
        chosen, _ = _best_step(counts, used, out, step)
        out[chosen] += step
        rest -= step
    while True:  # costs are convex: no exchange of one unit helps only at the optimum
        up, gain = _best_step(counts, used, out, 1)
        down, loss = _best_step(counts, used, out, -1)
        if up < 0 or down < 0 or gain + loss >= 0:
            return
        out[up] += 1
        out[down] -= 1


@kernel
def _assign(
    sections: NDArray[np.int64], costs: NDArray[np.int64], context: NDArray[np.int64]
) -> int:
    """Give each section its cheapest context; return the cost of all, times 2**16."""
    total = 0
    for i in range(sections.shape[0]):
        least = _FAR
        for c in range(CONTEXTS):
            cost = 0
            for s in range(2 * SYMBOLS):
                cost += sections[i, s] * costs[c, s]
            if cost < least:
                least = cost
                context[i] = c
        total += least
    return total


@kernel
def _reestimate(
    sections: NDArray[np.int64],
    context: NDArray[np.int64],
    used: NDArray[np.uint8],
    frequencies: NDArray[np.int64],
    costs: NDArray[np.int64],
) -> None:
    """Fit the frequencies of each context to its sections; one without sections stays as it is.

    A symbol that no section of a context has takes none of its 256 units, but for the last context:
    for a rare symbol 1/256 is too much.
    """
    sums = np.zeros((CONTEXTS, 2 * SYMBOLS), np.int64)
    members = np.zeros(CONTEXTS, np.int64)
    for i in range(sections.shape[0]):
        members[context[i]] += 1
        for s in range(2 * SYMBOLS):
            sums[context[i], s] += sections[i, s]
    for c in range(CONTEXTS):
        if members[c] == 0:
            continue
        for part in range(0, 2 * SYMBOLS, SYMBOLS):
            end = part + SYMBOLS
            wanted = used[part:end]
            if c != _WHOLE and np.any(sums[c, part:end]):
                wanted = (sums[c, part:end] > 0).astype(np.uint8)
            quantize_frequencies(sums[c, part:end], wanted, frequencies[c, part:end])
            symbol_costs_q16(frequencies[c, part:end], costs[c, part:end])


@kernel
def fit_contexts(
    sections: NDArray[np.int64],
    order: NDArray[np.int64],
    used: NDArray[np.uint8],
    rounds: int,
    frequencies: NDArray[np.int64],
) -> int:
    """Fit four contexts to `sections` (S, 32) by k-means on code length; return bits times 2**16.

    sections     counts of the 16 mask symbols, then of the 16 classes
    order        (S,) the sections sorted by a similarity; its quarters are the first contexts
    used         (32,) 1 for each symbol that any tile may need
    frequencies  (4, 32) receives the frequencies: any section can be coded with one of them;
                 contexts without sections repeat context 0, if it has every symbol used
    """
    count = sections.shape[0]
    context = np.zeros(count, np.int64)
    for rank in range(count):
        context[order[rank]] = rank * CONTEXTS // count
    costs = np.zeros((CONTEXTS, 2 * SYMBOLS), np.int64)
    frequencies[:] = 0
    for c in range(CONTEXTS):
        for part in range(0, 2 * SYMBOLS, SYMBOLS):
            end = part + SYMBOLS
            nothing = np.zeros(SYMBOLS, np.int64)
            quantize_frequencies(nothing, used[part:end], frequencies[c, part:end])
    _reestimate(sections, context, used, frequencies, costs)
    for c in range(CONTEXTS):
        for part in range(0, 2 * SYMBOLS, SYMBOLS):
            end = part + SYMBOLS
            symbol_costs_q16(frequencies[c, part:end], costs[c, part:end])
    total = _assign(sections, costs, context)
    for _ in range(rounds):
        _reestimate(sections, context, used, frequencies, costs)
        before = total
        total = _assign(sections, costs, context)
        if total >= before:
            break
    _repeat_first(context, frequencies)
    if not np.any(context == _WHOLE) and np.any((used > 0) & (frequencies[0] == 0)):
        for part in range(0, 2 * SYMBOLS, SYMBOLS):
            end = part + SYMBOLS
            every = sections[:, part:end].sum(axis=0)
            quantize_frequencies(every, used[part:end], frequencies[_WHOLE, part:end])
    return total


@kernel
def _repeat_first(context: NDArray[np.int64], frequencies: NDArray[np.int64]) -> None:
    """Move a context with sections to place 0 and copy it over those without."""
    members = np.zeros(CONTEXTS, np.int64)
    for i in range(context.size):
        members[context[i]] += 1
    first = 0
    while first < CONTEXTS - 1 and members[first] == 0:
        first += 1
    if members[0] == 0:
        frequencies[0] = frequencies[first]
    for c in range(1, CONTEXTS):
        if members[c] == 0:
            frequencies[c] = frequencies[0]
