"""What each entry of a resized axis takes of the old ones, as a matrix: cubic, antialiased and
cropped resizing. The definitions are those of ONNX's Resize."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Kernel:
    """How far an entry reaches: `mode` linear or cubic, `cubic_a` the cubic's parameter; with
    `antialias` a smaller axis takes all entries that one of its own covers; `inside` says that what
    lies outside is left out, not taken from the rim."""

    mode: str
    cubic_a: float
    antialias: bool
    inside: bool

    def reach(self) -> int:
        """Entries to each side."""
        return 2 if self.mode == "cubic" else 1

    def weight(self, distance: float) -> float:
        """The share of an entry at a distance."""
        x, a = abs(distance), self.cubic_a
        if self.mode == "linear":
            return max(0.0, 1.0 - x)
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0


def entry_weights(
    place: Fraction, entries: int, scale: Fraction, kernel: Kernel
) -> dict[int, float]:
    """Share of each old entry in the one at `place`; they add up to 1."""
    stretch = min(float(scale), 1.0) if kernel.antialias else 1.0
    first = math.floor(-kernel.reach() / stretch) + 1
    base = math.ceil(place) - 1  # the entry in front, also of a place that is one
    offset = float(place - base)
    shares = {base + k: kernel.weight((k - offset) * stretch) for k in range(first, 2 - first)}
    if kernel.inside:
        shares = {k: share for k, share in shares.items() if 0 <= k < entries}
    total = sum(shares.values())
    if not kernel.antialias and not kernel.inside:
        total = 1.0  # so it is, but for rounding
    found: dict[int, float] = {}
    for k, share in shares.items():
        inside = min(max(k, 0), entries - 1)
        found[inside] = found.get(inside, 0.0) + share / total
    return found


def resize_matrix(
    places: Sequence[Fraction | None], entries: int, scale: Fraction, kernel: Kernel
) -> Floats:
    """(entries, results): column k says what result k takes; one at None takes nothing."""
    matrix = np.zeros((entries, len(places)))
    for column, place in enumerate(places):
        if place is not None:
            for entry, share in entry_weights(place, entries, scale, kernel).items():
                matrix[entry, column] = share
    return matrix
