"""Sums, extremes and products over windows of channels-last tensors, in plain numpy.

docs/arithmetic.md is the specification; the machine's REDUCE and DEPTHWISE follow it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from azsim_kernels import isa
from azsim_kernels.reference.arith import Integers, rescale

Values = npt.NDArray[np.signedinteger]


class Windows(NamedTuple):
    """Where windows lie in a flat tensor: output (h, w) reads, for each tap (kh, kw), `channels`
    values from h * stride_h + w * stride_w + kh * tap_h + kw * tap_w on.
    """

    channels: int
    out_h: int
    out_w: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    tap_h: int
    tap_w: int

    @property
    def taps(self) -> int:
        """Taps of one output."""
        return self.kernel_h * self.kernel_w

    @property
    def last(self) -> int:
        """The highest place read."""
        steps = (self.out_h - 1) * self.stride_h + (self.out_w - 1) * self.stride_w
        taps = (self.kernel_h - 1) * self.tap_h + (self.kernel_w - 1) * self.tap_w
        return steps + taps + self.channels - 1

    def read(self, x: Values) -> Iterator[Integers]:
        """Yield the values of each tap in order, int64 (out_h, out_w, channels)."""
        rows = np.arange(self.out_h)[:, None, None] * self.stride_h
        places = rows + np.arange(self.out_w)[:, None] * self.stride_w + np.arange(self.channels)
        for kh in range(self.kernel_h):
            for kw in range(self.kernel_w):
                yield x[places + kh * self.tap_h + kw * self.tap_w].astype(np.int64)


def reduce_windows(x: Values, windows: Windows, kind: int, zero_point: int) -> Integers:
    """Sum of (value - zero_point), or largest or smallest value less zero_point, of each window:
    int64 (out_h, out_w, channels).
    """
    join = {isa.REDUCE_SUM: np.add, isa.REDUCE_MAX: np.maximum, isa.REDUCE_MIN: np.minimum}[kind]
    taps = windows.read(x)
    total = next(taps) - zero_point
    for tap in taps:
        join(total, tap - zero_point, out=total)
    return total


def depthwise(
    x: Values,
    windows: Windows,
    weights: Values,
    parameters: tuple[Values, Values, Values],
) -> Integers:
    """Convolution channel by channel, before zero point and saturation: int64 (out_h, out_w, C).

    weights     (taps, channels)
    parameters  multiplier, bias, shift of each channel (channels,)
    """
    multiplier, bias, shift = parameters
    total = np.zeros((windows.out_h, windows.out_w, windows.channels), np.int64) + bias
    for tap, weight in zip(windows.read(x), weights, strict=True):
        total += tap * weight
    return rescale(total, multiplier, shift)
