"""Where a product finds its columns: the window of a convolution over a tensor, in elements.

The K columns of a weight matrix fall into segments of equal length; a segment's columns are
neighbours in x. Position p of the output sees segment s from element
`start(p) + segments[s]` on. A plain matrix product is a window of one segment whose positions lie
one behind the other.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Window:
    """Positions (batch, out_h, out_w), row-major, each `batch_step`, `step_h`, `step_w` elements of
    x behind the one before in its dimension.

    `segments`: offset of each segment from a position's start. With `groups` above 1, output row n
    of N belongs to group g = n // (N / groups), whose columns lie `g * group_step` elements
    further on.
    """

    batch: int
    out_h: int
    out_w: int
    batch_step: int
    step_h: int
    step_w: int
    segments: tuple[int, ...] = (0,)
    groups: int = 1
    group_step: int = 0

    @property
    def positions(self) -> int:
        """Number of outputs per row of weights."""
        return self.batch * self.out_h * self.out_w

    def starts(self) -> npt.NDArray[np.int64]:
        """First element of x that each position sees, (positions,)."""
        batch = np.arange(self.batch) * self.batch_step
        rows = np.arange(self.out_h) * self.step_h
        columns = np.arange(self.out_w) * self.step_w
        whole = batch[:, None, None] + rows[:, None] + columns
        return whole.reshape(-1)

    def runs(self, begin: int, end: int) -> list[tuple[int, int, int]]:
        """Split positions [begin, end) into runs (first, count, start) of even steps `step_w`."""
        width = self.out_w
        found = []
        while begin < end:
            image, place = divmod(begin, self.out_h * width)
            row, column = divmod(place, width)
            count = min(end - begin, width - column)
            start = image * self.batch_step + row * self.step_h + column * self.step_w
            found.append((begin, count, start))
            begin += count
        return found


def plain_window(positions: int, columns: int) -> Window:
    """The window of a matrix product of `positions` rows of x with `columns` elements each."""
    return Window(1, 1, positions, 0, 0, columns)


def merged_window(window: Window, length: int) -> tuple[Window, int]:
    """Return the same window with as few segments and rows as its elements allow, and the new
    length of a segment.

    Segments that lie one behind the other become one; so do rows of positions that go on evenly.
    """
    segments = window.segments
    step = segments[1] - segments[0] if len(segments) > 1 else 0
    if step == length and all(b - a == length for a, b in itertools.pairwise(segments)):
        length, segments = length * len(segments), segments[:1]
    batch, out_h, out_w = window.batch, window.out_h, window.out_w
    step_h, step_w = window.step_h, window.step_w
    if out_h > 1 and (out_w == 1 or step_h == out_w * step_w):
        step_w = step_h if out_w == 1 else step_w
        out_h, out_w, step_h = 1, out_h * out_w, 0
    if batch > 1 and out_h == 1 and (out_w == 1 or window.batch_step == out_w * step_w):
        step_w = window.batch_step if out_w == 1 else step_w
        batch, out_w = 1, batch * out_w
    made = Window(
        batch, out_h, out_w, window.batch_step if batch > 1 else 0, step_h, step_w, segments,
        window.groups, window.group_step,
    )  # fmt: skip
    return made, length


@dataclass(frozen=True)
class Grid:
    """A dense block of outputs (out_h, out_w) of a window over channels-last bytes.

    Output (h, w) is element `target + (h * out_w + w) * channels` of y; its tap (i, j) is element
    `source + h * step_h + w * step_w + i * tap_h + j * tap_w` of x, and the channels behind it.
    """

    source: int
    target: int
    out_h: int
    out_w: int
    kernel_h: int
    kernel_w: int
    step_h: int
    step_w: int
    tap_h: int
    tap_w: int

    @property
    def outputs(self) -> int:
        """Number of outputs per channel."""
        return self.out_h * self.out_w

    @property
    def taps(self) -> int:
        """Number of taps of an output."""
        return self.kernel_h * self.kernel_w

    @property
    def last(self) -> int:
        """The last element of x that is the first channel of a tap."""
        steps = (self.out_h - 1) * self.step_h + (self.out_w - 1) * self.step_w
        taps = (self.kernel_h - 1) * self.tap_h + (self.kernel_w - 1) * self.tap_w
        return self.source + steps + taps
