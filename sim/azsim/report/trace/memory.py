"""The LPDDR memory in a trace: a track per bank with its open rows, and one for refreshes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from azsim.counters.recording import StepRecording
from azsim.report.trace.clock import PassTimes, TraceClock
from azsim.report.trace.packets import PacketWriter
from azsim.units import cycles_to_ps
from azsim_kernels.lpddr_params import (
    ACT,
    BANK,
    CHANNEL,
    PRE,
    PREA,
    READ,
    REFA,
    REFP,
    WRITE,
    LpddrMemory,
)

Ints = npt.NDArray[np.int64]

_CLOCK, _CHANNEL, _COMMAND, _BANK, _ROW = range(5)  # columns of the memory's commands


@dataclass(frozen=True)
class _Rows:
    """Rows of one bank, or refreshes, as intervals of memory clocks."""

    begin: Ints
    end: Ints
    row: Ints
    reads: Ints
    writes: Ints


class MemoryTracks:
    """Defines the tracks of all channels below `parent`; `write` fills them for one pass."""

    def __init__(self, writer: PacketWriter, parent: int, memory: LpddrMemory) -> None:
        self._writer, self._params = writer, memory.params
        self._mhz = memory.core_mhz
        self._refresh: list[int] = []
        self._banks: list[list[int]] = []
        for channel in range(self._params.channels):
            top = writer.track(f"channel {channel}", parent)
            self._refresh.append(writer.track("refresh of all banks", top))
            self._banks.append(self._define_banks(top))

    def _define_banks(self, top: int) -> list[int]:
        tracks = []
        for group in range(self._params.groups):
            below = self._writer.track(f"bank group {group}", top)
            for bank in range(self._params.banks_per_group):
                tracks.append(self._writer.track(f"bank {bank}", below))
        return tracks

    def write(self, clock: TraceClock, times: PassTimes, recording: StepRecording) -> None:
        """Write the open rows and the refreshes of a pass."""
        end = self._last_clock(recording)
        for channel, banks in enumerate(self._banks):
            mine = recording.memory_commands[:, _CHANNEL] == channel
            commands = recording.memory_commands[mine]
            refreshes = self._refreshes(commands[commands[:, _COMMAND] == REFA], REFA, end)
            self._put(clock, times, recording, self._refresh[channel], refreshes)
            for bank, track in enumerate(banks):
                rows = self._rows(commands, bank, end)
                self._put(clock, times, recording, track, rows)

    def _last_clock(self, recording: StepRecording) -> int:
        """The memory clock at which the recording ends."""
        cycles = recording.cut if recording.cut >= 0 else recording.cycles
        time_ps = cycles_to_ps(recording.memory_cycle + cycles, self._mhz)
        return time_ps // self._params.clock_ps

    def _rows(self, commands: Ints, bank: int, end: int) -> _Rows:
        """Return open rows and per-bank refreshes of a bank; a row that the pass did not open
        itself is left out."""
        kind, of = commands[:, _COMMAND], commands[:, _BANK]
        mine = of == bank
        opened = commands[mine & (kind == ACT)]
        closes = commands[(mine & (kind == PRE)) | (kind == PREA), _CLOCK]
        place = np.searchsorted(closes, opened[:, _CLOCK], side="right")
        closed = np.append(closes, end)[place]
        counts = [
            np.searchsorted(moved, closed) - np.searchsorted(moved, opened[:, _CLOCK])
            for moved in (commands[mine & (kind == what), _CLOCK] for what in (READ, WRITE))
        ]
        rows = _Rows(opened[:, _CLOCK], closed, opened[:, _ROW], counts[0], counts[1])
        refreshed = self._refreshes(commands[mine & (kind == REFP)], REFP, end)
        both = [np.concatenate(pair) for pair in zip(_parts(rows), _parts(refreshed), strict=True)]
        order = np.argsort(both[0], kind="stable")
        return _Rows(*(part[order] for part in both))

    def _refreshes(self, commands: Ints, command: int, end: int) -> _Rows:
        """Each lasts until a row may be opened again."""
        gaps = [
            row.clocks
            for row in self._params.constraints
            if row.scope in (BANK, CHANNEL) and command in row.first and ACT in row.then
        ]
        begin = commands[:, _CLOCK]
        zero = np.zeros(len(begin), np.int64)
        last = np.minimum(begin + max(gaps, default=1), end)
        return _Rows(begin, last, zero - 1, zero, zero)

    def _put(
        self,
        clock: TraceClock,
        times: PassTimes,
        recording: StepRecording,
        track: int,
        rows: _Rows,
    ) -> None:
        zero_ps = cycles_to_ps(recording.memory_cycle, self._mhz)
        period = self._params.clock_ps
        begin = clock.behind(times.start, np.maximum(rows.begin * period - zero_ps, 0))
        end = clock.behind(times.start, np.maximum(rows.end * period - zero_ps, 0))
        size = self._params.burst_bytes
        for k, row in enumerate(rows.row.tolist()):
            if row < 0:
                self._writer.slice(begin[k], end[k], track, "refresh")
                continue
            read, written = int(rows.reads[k]) * size, int(rows.writes[k]) * size
            self._writer.slice(
                begin[k], end[k], track, "row open", row=row, read_bytes=read, written_bytes=written
            )


def _parts(rows: _Rows) -> tuple[Ints, ...]:
    return rows.begin, rows.end, rows.row, rows.reads, rows.writes
