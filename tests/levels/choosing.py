"""One source of choices for generated cases: hypothesis (shrinks) or a seed (fast, for volume)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Choose(Protocol):
    """Chooses integers; everything else is built on that."""

    def integer(self, low: int, high: int) -> int:
        """Return an integer in low..high."""


class DrawChoose:
    """Choices drawn from hypothesis."""

    def __init__(self, draw: Callable[[st.SearchStrategy[int]], int]) -> None:
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        """Return an integer in low..high."""
        return self._draw(st.integers(low, high))


class SeedChoose:
    """Choices from a seed, the same in every run."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        """Return an integer in low..high."""
        return self._random.randint(low, high)


def pick(choose: Choose, options: Sequence[T]) -> T:
    """Return one of `options`."""
    return options[choose.integer(0, len(options) - 1)]


def chance(choose: Choose, percent: int) -> bool:
    """Return true in `percent` of all cases (shrinks to false)."""
    return choose.integer(1, 100) > 100 - percent
