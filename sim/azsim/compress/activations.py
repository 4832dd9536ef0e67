"""Activations: which values get a grid, what was seen of them, and the grid that follows.

Min-max keeps the largest magnitude, percentile all but the largest ten thousandth, mse the range
of least expected squared error: what is cut off against a twelfth of a squared step for all else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from azsim.compiler.fuse import fuse_graph
from azsim.compiler.ranges import masked_values
from azsim.compress.plan import Calibration
from azsim.compress.weights import PERCENTILE
from azsim.graph import Graph, Node, Quantization, ValueKind
from azsim.graph.types import MOVING_OPERATORS

BINS = 2048
_MOST, _WHOLE = 127, 255  # steps of a symmetric grid above zero, and of one without negatives


class ValueRecorder:
    """Histogram of the magnitudes of each value, frame by frame; the range doubles when it must, so
    that one pass over the frames is enough."""

    def __init__(self, names: Iterable[str]) -> None:
        self._counts = {name: np.zeros(BINS, np.int64) for name in names}
        self._reach: dict[str, float] = {}
        self._low: dict[str, float] = {}
        self._peak: dict[str, float] = {}

    def add(self, values: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take one step's values."""
        for name in self._counts:
            array = values[name].astype(np.float64).reshape(-1)
            sizes = np.abs(array)
            peak = float(sizes.max(initial=0.0))
            self._low[name] = min(self._low.get(name, 0.0), float(array.min(initial=0.0)))
            self._peak[name] = max(self._peak.get(name, 0.0), peak)
            if peak > 0.0:
                reach = self._widened(name, peak)
                bins = np.minimum((sizes * (BINS / reach)).astype(np.int64), BINS - 1)
                self._counts[name] += np.bincount(bins, minlength=BINS)

    def _widened(self, name: str, peak: float) -> float:
        """Range of a value's histogram, large enough for `peak`."""
        reach = self._reach.get(name) or 2.0 ** math.ceil(math.log2(peak))
        while reach < peak:
            pairs = self._counts[name].reshape(-1, 2).sum(axis=1)
            self._counts[name] = np.concatenate([pairs, np.zeros(BINS // 2, np.int64)])
            reach *= 2.0
        self._reach[name] = reach
        return reach

    def grid(self, name: str, method: Calibration) -> Quantization:
        """Return the int8 grid of a value: symmetric, or with its zero point at the lower end if
        nothing negative was seen."""
        one_sided = self._low.get(name, 0.0) >= 0.0 and self._peak.get(name, 0.0) > 0.0
        steps = _WHOLE if one_sided else _MOST
        limit = self._limit(name, method, steps)
        scale = float(np.float32(limit / steps)) if limit > 0.0 else 1.0 / _MOST
        return Quantization("int8", scale, -128 if one_sided else 0)

    def _limit(self, name: str, method: Calibration, steps: int) -> float:
        peak = self._peak.get(name, 0.0)
        if method == "minmax" or peak == 0.0:
            return peak
        counts = self._counts[name].astype(np.float64)
        width = self._reach[name] / BINS
        if method == "percentile":
            wanted = PERCENTILE / 100.0 * counts.sum()
            return min(peak, float(width * (1 + np.searchsorted(np.cumsum(counts), wanted))))
        centers = (np.arange(BINS) + 0.5) * width
        limits = np.linspace(peak / 32, peak, 125)
        over = np.maximum(centers[None] - limits[:, None], 0.0)
        cut_off = (counts[None] * over**2).sum(axis=1)
        inside = (counts[None] * (over == 0)).sum(axis=1)
        error = cut_off + inside * (limits / steps) ** 2 / 12.0
        return float(limits[::-1][np.argmin(error[::-1])])


def grid_values(graph: Graph, written: Iterable[str]) -> list[str]:
    """Return the values of `graph`, of those named `written` in the file, that get a grid.

    Not those inside one command (a product before its bias or Relu), those that are only moved
    (they keep the grid of what they come from), the 16-bit states of recurrent cells, masks and
    row numbers.
    """
    skipped = masked_values(graph) | _inside(graph) | _wide_states(graph)
    makers = {name: node for node in graph.nodes for name in node.outputs if name}
    found = []
    for name in written:
        value = graph.values.get(name)
        if value is None or value.is_index or name in skipped or value.quantization is not None:
            continue
        maker = makers.get(name)
        if value.kind is ValueKind.INPUT or (maker is not None and _computes(maker, name)):
            found.append(name)
    return found


def _computes(node: Node, name: str) -> bool:
    if node.operator == "Pool":
        return node.attributes["kind"] != "max"
    if node.operator == "Concat":
        return True
    return node.operator not in (*MOVING_OPERATORS, "TopK", "Quantize")


def _inside(graph: Graph) -> set[str]:
    absorbed = fuse_graph(graph).absorbed
    return {name for n in graph.nodes if n.name in absorbed for name in n.inputs}


def _wide_states(graph: Graph) -> set[str]:
    """Values that the chip holds as int16: c of an LSTM, the last h of a GRU."""
    places = {"LSTM": 2, "GRU": 1}
    return {
        node.outputs[places[node.operator]]
        for node in graph.nodes
        if node.operator in places and len(node.outputs) > places[node.operator]
    }
