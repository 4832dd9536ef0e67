"""Calibration: the largest magnitude of each value over some frames, by the float reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from azsim.graph import Graph
from azsim.graph.types import MOVING_OPERATORS

# A constant of a mask: entries at or below it rule out what they are added to or stand for.
MASKED = -1e4
MASKED_BELOW = 12.0  # a masked entry lies so far below all others: exp(-12) is nothing in 8 bits
MASK_DEPTH = 4.0  # a computed mask's number, in ranges of the sum: below all it can hold


@dataclass(frozen=True)
class Ranges:
    """`peak[value]`: largest |x| seen; `cell_peak[LSTM node]`: largest |c| over all time steps."""

    peak: Mapping[str, float]
    cell_peak: Mapping[str, float]


class RangeRecorder:
    """Collects peaks frame by frame, so that no frame has to be kept."""

    def __init__(self, graph: Graph) -> None:
        self._peak = {
            name: float(np.max(np.abs(value.data)))
            for name, value in graph.values.items()
            if value.data is not None and value.data.dtype == np.float32
        }
        self._computed = {name for name, value in graph.values.items() if value.data is None}
        self._graph = graph
        self._masked = masked_values(graph)
        self._scores = before_softmax(graph)
        self._ruled_out: set[str] = set()  # of those, what held a mask's number in some frame
        self._cells: dict[str, float] = {}
        self._cell_keys = {n.name: f"{n.name}:c_max" for n in graph.nodes if n.operator == "LSTM"}

    def add(self, values: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take one step's values as `azsim.reference.floats` gives them (cells as `NODE:c_max`)."""
        for name, array in values.items():
            if name in self._computed and array.dtype == np.float32:
                if name in self._scores and float(array.min()) <= MASKED:
                    self._ruled_out.add(name)
                masked = name in self._masked or name in self._ruled_out
                peak = _open_peak(array) if masked else np.max(np.abs(array))
                self._peak[name] = max(self._peak.get(name, 0.0), float(peak))
        for node, key in self._cell_keys.items():
            if key in values:
                self._cells[node] = max(self._cells.get(node, 0.0), float(np.max(values[key])))

    def ranges(self) -> Ranges:
        """Return what was seen so far."""
        return Ranges({**self._peak, **self._mask_peaks()}, dict(self._cells))

    def _mask_peaks(self) -> dict[str, float]:
        """Computed masks reach as far as saturates the sums that they go into, and no farther."""
        peaks: dict[str, float] = {}
        for node in self._graph.nodes:
            if node.operator != "Add" or node.outputs[0] not in self._ruled_out:
                continue
            wanted = MASK_DEPTH * self._peak[node.outputs[0]]
            for name in node.inputs:
                for source in self._moved_from(name):
                    peaks[source] = max(peaks.get(source, 0.0), wanted)
        return peaks

    def _moved_from(self, name: str) -> list[str]:
        """`name` and what it was moved from, if it is a mask and no sum with one."""
        makers = {output: node for node in self._graph.nodes for output in node.outputs}
        found: list[str] = []
        while name in self._ruled_out:
            maker = makers.get(name)
            if maker is not None and maker.operator == "Add":
                return []
            found.append(name)
            if maker is None or maker.operator not in MOVING_OPERATORS:
                break
            name = maker.inputs[0]
        return found


def before_softmax(graph: Graph) -> set[str]:
    """Names of the values that go into a Softmax, and of what they are sums and moves of."""
    found: set[str] = set()
    through = ("Add", "Where", *MOVING_OPERATORS)
    for node in reversed(graph.nodes):
        inside = node.operator in through and found & set(node.outputs)
        if node.operator in ("Softmax", "LogSoftmax") or inside:
            found.update(node.inputs[1:] if node.operator == "Where" else node.inputs)
    return found


def masked_values(graph: Graph) -> set[str]:
    """Names of the values that hold a mask: made by Where or Add from a constant with entries at
    or below `MASKED`, or moved from such a value."""
    masked: set[str] = set()
    for node in graph.nodes:
        sources = {"Add": node.inputs, "Where": node.inputs[1:]}.get(node.operator, ())
        moved = node.operator in MOVING_OPERATORS and set(node.inputs) & masked
        if moved or any(_rules_out(graph.constant(name)) for name in sources):
            masked.update(node.outputs)
    return masked


def _rules_out(data: npt.NDArray[np.generic] | None) -> bool:
    return data is not None and data.dtype == np.float32 and float(data.min()) <= MASKED


def _open_peak(array: npt.NDArray[np.generic]) -> float:
    """Largest magnitude of the entries that no mask rules out, and `MASKED_BELOW` beyond."""
    numbers = array.astype(np.float64)
    magnitudes = np.abs(numbers[numbers > MASKED / 2])
    return float(magnitudes.max(initial=0.0)) + MASKED_BELOW
