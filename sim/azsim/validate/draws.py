"""Random masks that are the same on every machine: raw words of PCG64, compared as integers.

numpy promises the words of a bit generator, and not what its distributions make of them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
_DRAWS_PER_WORD = 4
_DRAW_RANGE = 1 << 16


def random_words(generator: np.random.PCG64, count: int) -> npt.NDArray[np.uint64]:
    """Return the next `count` words of `generator`."""
    return np.asarray(generator.random_raw(count), np.dtype("<u8"))


def draw_mask(generator: np.random.PCG64, shape: tuple[int, int], percent: float) -> Mask:
    """Return a mask of `shape` in which each element is True with a chance of `percent` %.

    The chance is rounded to 1/65536.
    """
    count = shape[0] * shape[1]
    draws = random_words(generator, -(-count // _DRAWS_PER_WORD)).view("<u2")
    return draws[:count].reshape(shape) < round(percent / 100 * _DRAW_RANGE)


def draw_positions(generator: np.random.PCG64, size: int, count: int) -> npt.NDArray[np.int64]:
    """Return `count` different positions out of 0..size-1, in ascending order."""
    order = np.argsort(random_words(generator, size), kind="stable")
    return np.sort(order[:count])
