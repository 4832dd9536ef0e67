"""Calibration: the largest magnitude of each value over some frames, by the float reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from azsim.graph import Graph


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
        self._cells: dict[str, float] = {}
        self._cell_keys = {n.name: f"{n.name}:c_max" for n in graph.nodes if n.operator == "LSTM"}

    def add(self, values: Mapping[str, npt.NDArray[np.generic]]) -> None:
        """Take one step's values as `azsim.reference.floats` gives them (cells as `NODE:c_max`)."""
        for name, array in values.items():
            if name in self._computed and array.dtype == np.float32:
                self._peak[name] = max(self._peak.get(name, 0.0), float(np.max(np.abs(array))))
        for node, key in self._cell_keys.items():
            if key in values:
                self._cells[node] = max(self._cells.get(node, 0.0), float(np.max(values[key])))

    def ranges(self) -> Ranges:
        """Return what was seen so far."""
        return Ranges(dict(self._peak), dict(self._cells))
