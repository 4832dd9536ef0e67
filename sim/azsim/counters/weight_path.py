"""Where the time of a step went along the way of the weights: frozen types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

# Units in the order in which weights pass them.
DRAM_BURST, STREAM_FIFO, DECODER = "dram_burst", "stream_fifo", "decoder"
TILE_SLOT, LANES, MACS = "tile_slot", "lanes", "macs"
WEIGHT_PATH_UNITS = (DRAM_BURST, STREAM_FIFO, DECODER, TILE_SLOT, LANES, MACS)

# What a what-if run has without limit.
WHAT_IF = ("memory", "decoder", "mac", "slots")


@dataclass(frozen=True)
class LaneSpreads:
    """How evenly the lanes ended, one entry per PRODUCT of the step: int64 arrays (products,).

    layer         row of the program's layer table
    cycles        time of all its activation columns on the lanes, without the fill
    column_cycles time of one activation column: the end of the last lane
    spread        cycles from the end of the first lane to the end of the last, in one column
    """

    layer: Ints
    cycles: Ints
    column_cycles: Ints
    spread: Ints


@dataclass(frozen=True)
class WeightPath:
    """Attribution of the first step; docs/reports.md ("Weight path") says what each class is.

    spans    int64 (layers,): cycles of each layer; they sum to the step
    counts   how many there are of each unit
    classes  per unit int64 (layers, 5), in the order of `isa.STALL_CLASS_NAMES`, in cycles of
             single units: each row sums to the layer's span x the unit's count
    what_if  int64 (layers,) by name (`WHAT_IF`): the spans of the same step if one thing had no
             limit; a name is missing if it could not be simulated
    """

    spans: Ints
    counts: Mapping[str, int]
    classes: Mapping[str, Ints]
    lanes: LaneSpreads
    what_if: Mapping[str, Ints]

    @property
    def cycles(self) -> int:
        """Length of the step."""
        return int(self.spans.sum())
