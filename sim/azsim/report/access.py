"""DETAILED_ACCESS_REPORT.csv and BANDWIDTH_REPORT.csv: bytes and cycles of the first step.

When a layer reads and writes each memory follows from the commands: an access lasts from the first
cycle of the first command that moves such bytes to the last cycle of the last one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from azsim.counters import TRAFFIC_NAMES
from azsim.engine.traffic import command_traffic, has_masks
from azsim.program import LayerInfo
from azsim.report.record import RunRecord
from azsim.report.table import Row, quotient, write_table
from azsim_kernels import isa

Ints = npt.NDArray[np.int64]

# Source of both headers: github.com/scalesim-project/SCALE-Sim, scalesim/simulator.py,
# generate_reports().
DETAILED_HEADER = (
    "LayerID, "
    "SRAM IFMAP Start Cycle, SRAM IFMAP Stop Cycle, SRAM IFMAP Reads, "
    "SRAM Filter Start Cycle, SRAM Filter Stop Cycle, SRAM Filter Reads, "
    "SRAM OFMAP Start Cycle, SRAM OFMAP Stop Cycle, SRAM OFMAP Writes, "
    "DRAM IFMAP Start Cycle, DRAM IFMAP Stop Cycle, DRAM IFMAP Reads, "
    "DRAM Filter Start Cycle, DRAM Filter Stop Cycle, DRAM Filter Reads, "
    "DRAM OFMAP Start Cycle, DRAM OFMAP Stop Cycle, DRAM OFMAP Writes,"
)
BANDWIDTH_HEADER = (
    "LayerID, Avg IFMAP SRAM BW, Avg FILTER SRAM BW, {}Avg OFMAP SRAM BW, "
    "Avg IFMAP DRAM BW, Avg FILTER DRAM BW, Avg OFMAP DRAM BW,"
)
METADATA_COLUMN = "Avg FILTER Metadata SRAM BW, "
Fields = tuple[str, ...]  # of azsim.counters.Traffic
SRAM_IFMAP: Fields = ("abuf_mac_read_bytes", "abuf_vector_read_bytes")
SRAM_FILTER: Fields = ("wbuf_weight_read_bytes",)
SRAM_METADATA: Fields = ("wbuf_mask_read_bytes",)
SRAM_OFMAP: Fields = ("abuf_vector_write_bytes",)
DRAM_IFMAP: Fields = ("dram_activation_read_bytes",)
DRAM_FILTER: Fields = ("dram_weight_read_bytes",)
DRAM_OFMAP: Fields = ("dram_write_bytes",)
DRAM_PARAMETER: Fields = ("dram_parameter_read_bytes",)
WEIGHT_STORE: Fields = ("store_read_bytes",)
WBUF_FILL: Fields = ("wbuf_weight_write_bytes",)
LEADING = (SRAM_IFMAP, SRAM_FILTER, SRAM_OFMAP, DRAM_IFMAP, DRAM_FILTER, DRAM_OFMAP)
TIMED = {  # our columns with start and stop
    "Weight Store": WEIGHT_STORE,
    "DRAM Parameter": DRAM_PARAMETER,
    "WBUF Fill": WBUF_FILL,
}
COUNTED = {  # our columns without
    "SRAM Mask Reads": "wbuf_mask_read_bytes",
    "SRAM Mask Writes": "wbuf_mask_write_bytes",
    "SRAM Parameter Reads": "abuf_parameter_read_bytes",
    "SRAM DMA Reads": "abuf_dma_read_bytes",
    "SRAM DMA Writes": "abuf_dma_write_bytes",
    "Accumulator Reads": "accumulator_read_bytes",
    "Accumulator Writes": "accumulator_write_bytes",
}
BANDWIDTHS = {
    "Avg Weight Store BW": WEIGHT_STORE,
    "Avg PARAMETER DRAM BW": DRAM_PARAMETER,
    "Avg WBUF Fill BW": WBUF_FILL,
}


@dataclass(frozen=True)
class Access:
    """`bytes` moved in cycles `start` <= t <= `stop` of the first step; both -1 if none moved."""

    start: int = -1
    stop: int = -1
    bytes: int = 0

    @property
    def cycles(self) -> int:
        """Cycles from start to stop, both included."""
        return self.stop - self.start + 1 if self.bytes else 0

    def joined(self, other: Access) -> Access:
        """Return both as one access."""
        if not (self.bytes and other.bytes):
            return self if self.bytes else other
        start, stop = min(self.start, other.start), max(self.stop, other.stop)
        return Access(start, stop, self.bytes + other.bytes)


class LayerAccesses:
    """Accesses of one layer by fields of `azsim.counters.Traffic`."""

    def __init__(self, by_field: Mapping[str, Access]) -> None:
        self._by_field = by_field

    def of(self, fields: Fields) -> Access:
        """Return the access that these fields make together."""
        whole = Access()
        for name in fields:
            whole = whole.joined(self._by_field[name])
        return whole


def layer_accesses(record: RunRecord) -> tuple[LayerAccesses, ...]:
    """Return the accesses of each layer in the first step; nothing moved if no step ran."""
    rows = len(record.program.layers) + 1  # the last row takes commands of no layer
    layers = record.program.commands["layer"].astype(np.int64) % rows
    start, free = record.counters.trace.start, _ends(record)
    tallies = {name: _Tally(rows) for name in TRAFFIC_NAMES}
    for name, numbers, size in command_traffic(record.program, record.chip):
        ran = (size > 0) & (numbers < len(start))
        chosen = numbers[ran]
        tallies[name].add(layers[chosen], size[ran], start[chosen], free[chosen])
    return tuple(
        LayerAccesses({name: tally.access(row) for name, tally in tallies.items()})
        for row in range(rows - 1)
    )


class _Tally:
    """Bytes, first and last cycle of one kind of access, by layer."""

    def __init__(self, rows: int) -> None:
        self._bytes = np.zeros(rows, np.int64)
        self._start = np.full(rows, np.iinfo(np.int64).max)
        self._free = np.zeros(rows, np.int64)

    def add(self, layers: Ints, size: Ints, start: Ints, free: Ints) -> None:
        """Take commands: the layer, the bytes and the cycles of each."""
        np.add.at(self._bytes, layers, size)
        np.minimum.at(self._start, layers, start)
        np.maximum.at(self._free, layers, free)

    def access(self, row: int) -> Access:
        """Return what the commands of layer `row` make together."""
        if not self._bytes[row]:
            return Access()
        return Access(int(self._start[row]), int(self._free[row]) - 1, int(self._bytes[row]))


def _ends(record: RunRecord) -> Ints:
    """Cycle after the last of each command. A FETCH is free when it has sent its last request, its
    words come later: it lasts until its decoder has taken them."""
    free = record.counters.trace.free.copy()
    commands = record.program.commands[: len(free)]
    fetches = commands["opcode"] == isa.FETCH
    decodes = commands["engine"] == isa.DECODE
    for unit in range(record.chip.decoder.units):
        takes = np.flatnonzero(decodes & (commands["unit"] == unit))
        gives = np.flatnonzero(fetches & (commands["unit"] == unit))[: len(takes)]
        free[gives] = np.maximum(free[gives], free[takes[: len(gives)]])
    return free


def write_access_report(record: RunRecord, path: Path) -> None:
    """Write DETAILED_ACCESS_REPORT.csv to `path`. Raises ConfigError if it cannot be written."""
    ours = ["Name", "Operator"]
    for name in TIMED:
        kind = "Writes" if name == "WBUF Fill" else "Reads"
        ours += [f"{name} Start Cycle", f"{name} Stop Cycle", f"{name} {kind}"]
    write_table(path, DETAILED_HEADER, [*ours, *COUNTED], _access_rows(record))


def _access_rows(record: RunRecord) -> Iterator[Row]:
    for number, (info, accesses) in enumerate(_layers(record)):
        leading = [str(number)]
        for fields in LEADING:
            leading += _cells(accesses.of(fields))
        ours: list[object] = [info.name, info.operator]
        for fields in TIMED.values():
            ours += _cells(accesses.of(fields))
        ours += [accesses.of((name,)).bytes for name in COUNTED.values()]
        yield leading, ours


def _layers(record: RunRecord) -> Iterator[tuple[LayerInfo, LayerAccesses]]:
    return zip(record.program.layers, layer_accesses(record), strict=True)


def _cells(access: Access) -> list[str]:
    """Start, stop and bytes; what never happened has no cycles."""
    if not access.bytes:
        return ["", "", "0"]
    return [str(access.start), str(access.stop), str(access.bytes)]


def write_bandwidth_report(record: RunRecord, path: Path) -> None:
    """Write BANDWIDTH_REPORT.csv to `path`. Raises ConfigError if it cannot be written."""
    masked = has_masks(record.chip)
    columns: list[Fields] = list(LEADING)
    if masked:
        columns.insert(2, SRAM_METADATA)
    header = BANDWIDTH_HEADER.format(METADATA_COLUMN if masked else "")
    rows = _bandwidth_rows(record, columns)
    write_table(path, header, ["Name", "Operator", *BANDWIDTHS], rows)


def _bandwidth_rows(record: RunRecord, columns: list[Fields]) -> Iterator[Row]:
    for number, (info, accesses) in enumerate(_layers(record)):
        leading = [str(number), *(bandwidth(accesses.of(fields)) for fields in columns)]
        ours = [bandwidth(accesses.of(fields)) for fields in BANDWIDTHS.values()]
        yield leading, [info.name, info.operator, *ours]


def bandwidth(access: Access) -> str:
    """Return bytes per cycle from the first to the last cycle of an access; 0 if none moved."""
    return quotient(access.bytes, access.cycles)
