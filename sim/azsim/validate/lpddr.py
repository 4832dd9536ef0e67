"""LPDDR parts: does the memory reach exactly what the clocks of its part allow?

The closed forms are what the standard's clocks permit in patterns where nothing else is in the way.
Without refresh they must hold to the clock; with all-bank refresh within 1 % (docs/memory.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from azsim.config.lpddr_control import LpddrControl, lpddr_params
from azsim.config.memory_part import MemoryPart, load_part
from azsim.config.memory_rules import longest_gap
from azsim.engine.lpddr_api import read_clocks
from azsim.validate.tables import Check, Table
from azsim_kernels.lpddr_params import LpddrParams

STREAM_BYTES = 16 << 20
REFRESH_TOLERANCE = 0.01
IN_FLIGHT = 16
PAUSE_CLOCKS = 100_000  # between requests to an idle memory: longer than any constraint


def lpddr_table(name_or_path: str | Path) -> Table:
    """Return the closed forms of the part `name_or_path` beside what the memory does.

    Raises:
        ConfigError: the part cannot be taken.
    """
    part = load_part(name_or_path)
    forms = _Forms(part)
    plain = lpddr_params(_control(part, "none"), (IN_FLIGHT,))
    hit, closed, conflict = _idle_clocks(plain)
    rates = [
        ("row hits, GB/s", forms.hit_clocks, _row_hits(plain)),
        ("random rows over all banks, GB/s", forms.rows_clocks, _rows(plain)),
        ("one bank, a conflict every burst, GB/s", forms.bank_clocks, _one_bank(plain)),
    ]
    waits = [
        ("idle read, row hit, ns", forms.read_clocks, hit),
        ("idle read, bank closed, ns", forms.closed_clocks, closed),
        ("idle read, row conflict, ns", forms.conflict_clocks, conflict),
    ]
    checks = [Check(name, forms.rate(c), _rate(plain, bursts), 0.0) for name, c, bursts in rates]
    checks += [Check(name, forms.ns(c), forms.ns(clocks), 0.0) for name, c, clocks in waits]
    refreshed = lpddr_params(_control(part, "all_bank"), (IN_FLIGHT,))
    checks.append(
        Check(
            "stream with all-bank refresh, GB/s",
            forms.rate(forms.hit_clocks) * forms.share_between_refreshes,
            _stream_rate(refreshed),
            REFRESH_TOLERANCE,
        )
    )
    return Table(
        name=part.name,
        title=part.description,
        quantity="rates of one channel and latencies of reads",
        source=f"[C] closed forms of the clocks of the part file; these: {part.source}.",
        method="The memory model alone, requests as fast as it takes them.",
        checks=tuple(checks),
    )


def _control(part: MemoryPart, refresh: str) -> LpddrControl:
    """The controller that docs/memory.md recommends, one channel of one device."""
    return LpddrControl.model_validate(
        {
            "part": part,
            "channels": 1,
            "devices_per_channel": 1,
            "mapping": "row-bank-column-group-channel",
            "bank_xor_row": False,
            "window_bursts": 32,
            "bypass_limit": 16,
            "refresh": refresh,
            "refresh_batch": 4,
            "host_outstanding": 1,
            "path_cycles": 0,
        }
    )


@dataclass(frozen=True)
class _Forms:
    """What the clocks of a part allow, in clocks (per burst where it is a rate)."""

    part: MemoryPart

    def _gap(self, scope: str, first: str, then: str) -> int:
        found = longest_gap(self.part, scope, first, then)
        return 0 if found is None else found[1].clocks

    def rate(self, clocks_per_burst: float) -> float:
        """GB/s of one burst each so many clocks."""
        return self.part.burst_bytes * 1000 / (clocks_per_burst * self.part.clock_ps)

    def ns(self, clocks: int) -> float:
        """Nanoseconds of so many clocks."""
        return clocks * self.part.clock_ps / 1000

    @property
    def hit_clocks(self) -> float:
        """tCCD; where groups have a longer one of their own, they take turns."""
        own_group = self._gap("group", "RD", "RD") / self.part.geometry.groups
        return max(self._gap("channel", "RD", "RD"), own_group)

    @property
    def bank_clocks(self) -> int:
        """tRC, or the way round through RD and PRE if that takes longer."""
        opened = self._gap("bank", "ACT", "RD") + self._gap("bank", "RD", "PRE")
        closed = max(opened, self._gap("bank", "ACT", "PRE")) + self._gap("bank", "PRE", "ACT")
        return max(self._gap("bank", "ACT", "ACT"), closed)

    @property
    def rows_clocks(self) -> float:
        """tFAW for so many ACT as it counts, or tRRD, tCCD, tRC of all banks if that is longer."""
        windows = [
            row.clocks / row.count
            for row in self.part.constraints
            if row.scope == "channel" and "ACT" in row.first and "ACT" in row.then
        ]
        banks = self.part.geometry.groups * self.part.geometry.banks_per_group
        return max(*windows, self.hit_clocks, self.bank_clocks / banks)

    @property
    def read_clocks(self) -> int:
        """RL, tDQSCK and the data."""
        latency = self.part.latency
        return latency.read_clocks + latency.strobe_clocks + latency.burst_clocks

    @property
    def closed_clocks(self) -> int:
        """tRCD before."""
        return self.read_clocks + self._gap("bank", "ACT", "RD")

    @property
    def conflict_clocks(self) -> int:
        """tRP before that."""
        return self.closed_clocks + self._gap("bank", "PRE", "ACT")

    @property
    def share_between_refreshes(self) -> float:
        """1 - tRFCab / tREFI."""
        interval = self.part.refresh.all_bank_interval_clocks
        return 1 - self._gap("channel", "REFA", "ACT") / interval


def _row_hits(params: LpddrParams) -> list[int]:
    """The same open rows, one in each group, again and again."""
    return [burst % params.groups for burst in range(64 * params.groups)]


def _rows(params: LpddrParams) -> list[int]:
    """Every visit to a bank, the groups and their banks in turn, needs another row."""
    page = params.columns * params.groups  # bursts of the same row of a bank in each group
    return [
        (visit * params.banks_per_group + bank) * page + group
        for visit in range(20)
        for bank in range(params.banks_per_group)
        for group in range(params.groups)
    ]


def _one_bank(params: LpddrParams) -> list[int]:
    """Another row of one bank each time."""
    row = params.columns * params.banks
    return [visit * row for visit in range(64)]


def _rate(params: LpddrParams, bursts: Sequence[int]) -> float:
    """GB/s between a quarter and three quarters of the reads, away from begin and end."""
    size = params.burst_bytes
    clocks = read_clocks(params, [(burst * size, size) for burst in bursts])
    quarter = len(bursts) // 4
    taken = clocks[3 * quarter] - clocks[quarter]
    return size * 1000 / (taken / (2 * quarter) * params.clock_ps)


def _idle_clocks(params: LpddrParams) -> tuple[int, int, int]:
    """Clocks of a read from an idle memory: row open, bank closed, another row open."""
    other_row = params.columns * params.banks * params.burst_bytes
    reads = [(address, params.burst_bytes) for address in (0, 0, other_row)]
    ends = read_clocks(params, reads, PAUSE_CLOCKS)
    closed, hit, conflict = (end - number * PAUSE_CLOCKS for number, end in enumerate(ends))
    return hit, closed, conflict


def _stream_rate(params: LpddrParams) -> float:
    """GB/s of one stream through many rows."""
    size = min(STREAM_BYTES, params.capacity_bytes)
    (clocks,) = read_clocks(params, [(0, size)])
    return size * 1000 / (clocks * params.clock_ps)
