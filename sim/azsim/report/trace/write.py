"""Writes the trace of a run: frames, passes, layers, engines, memory, counters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from azsim._atomic import replaced_file
from azsim.engine.cuts import layer_ends
from azsim.engine.params import machine_params
from azsim.errors import ConfigError
from azsim.graph.text import one_line
from azsim.report.branches import ARBITRATOR
from azsim.report.intervals import NO_TILE, StepIntervals, command_intervals
from azsim.report.record import BranchTrace, RunRecord
from azsim.report.trace.clock import PassTimes, TraceClock, frame_cycle, pass_times
from azsim.report.trace.counters import CounterTracks
from azsim.report.trace.memory import MemoryTracks
from azsim.report.trace.packets import PacketWriter
from azsim.report.trace.played import Turn, Turns, branch_moments
from azsim.report.trace.wish import MAX_FRAMES
from azsim_kernels import isa

Ints = npt.NDArray[np.int64]

_STATES = tuple(name for name in isa.STALL_CLASS_NAMES if name != "idle")
DECISION = "decision"


def write_trace(record: RunRecord, path: Path, unit: str = "ns") -> None:
    """Write the passes that `record` has recorded to `path`, for ui.perfetto.dev. Equal runs give
    equal bytes.

    unit  `ns`, or `cycles`: the viewer's nanosecond then is a core cycle

    Raises:
        ConfigError: the run was not recorded, or the file cannot be written.
    """
    if not Turns(record).asked_for:
        raise ConfigError(f"{path}: needs a run that was recorded")
    with replaced_file(path) as part, part.open("wb") as file:
        writer = PacketWriter(file)
        _Trace(record, writer, TraceClock(record.chip.core.clock_mhz, unit)).write()
        writer.flush()


def traced_passes(record: RunRecord) -> str:
    """Say in words which passes of a run were recorded."""
    recorded = Turns(record).recorded
    if not recorded:
        return "nothing recorded"
    numbers = list(recorded)
    cut = sum(any(one.cut >= 0 for one in parts) for parts in recorded.values())
    shown = ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
    text = f"{len(numbers)} of {record.counters.frames} passes in full: {shown}"
    return f"{text}; {cut} cut short to bound the file" if cut else text


class _Trace:
    """The tracks of a run, and what is written to them."""

    def __init__(self, record: RunRecord, writer: PacketWriter, clock: TraceClock) -> None:
        self._record, self._writer, self._clock = record, writer, clock
        units = record.chip.decoder.units
        top = writer.track(_title(record, clock))
        self._arrivals = writer.track("frames arrive", top)
        self._deadlines = writer.track("deadlines", top)
        self._passes = writer.track("passes", top)
        self._branch, self._parts = 0, 0
        if record.branches is not None:
            self._branch = writer.track("branch of each frame", top)
            self._parts = writer.track("arbitrator, decision, branch", top)
        self._layers = writer.track("layers (recorded passes)", top)
        engines = writer.track("engines", top)
        self._engines, self._states = [], []
        for name in isa.engine_names(units):
            self._engines.append(writer.track(name, engines))
            self._states.append(writer.track(f"{name}: state", engines))
        memory = machine_params(record.chip).lpddr
        self._memory = None
        if memory is not None:
            self._memory = MemoryTracks(writer, writer.track("DRAM", top), memory)
        self._counters = CounterTracks(writer, writer.track("counters", top), record)
        self._turns = Turns(record)

    def write(self) -> None:
        """Write everything, pass by pass."""
        for times in pass_times(self._record):
            if times.newest >= MAX_FRAMES:
                break
            turns = list(self._turns.of(times))
            self._write_pass(times, sum(turn.recorded_cycles for turn in turns))
            if self._record.branches is not None:
                self._write_branch(times, self._record.branches)
            for turn in turns:
                self._write_turn(turn)

    def _write_pass(self, times: PassTimes, recorded_cycles: int) -> None:
        writer, at = self._writer, self._clock.at
        for frame in range(times.oldest, times.newest + 1):
            moment = at(frame_cycle(self._record, frame))
            writer.instant(moment, self._arrivals, f"frame {frame}")
        writer.instant(at(times.deadline), self._deadlines, f"deadline of pass {times.number}")
        writer.slice(
            at(times.start), at(times.end), self._passes, times.name,
            cycles=times.end - times.start, recorded_cycles=recorded_cycles,
        )  # fmt: skip

    def _write_branch(self, times: PassTimes, trace: BranchTrace) -> None:
        """Which branch the frame took, and what came before it."""
        name, at = trace.chosen[times.number], self._clock.at
        decided, begin = branch_moments(trace, times)
        self._writer.slice(
            at(times.start), at(times.end), self._branch, name,
            frame=times.number, cycles=times.end - times.start,
            dram_bytes=int(trace.dram_bytes[times.number]),
        )  # fmt: skip
        for what, first, end in (
            (ARBITRATOR, times.start, decided),
            (DECISION, decided, begin),
            (name, begin, times.end),
        ):
            self._writer.slice(at(first), at(end), self._parts, what, cycles=end - first)

    def _write_turn(self, turn: Turn) -> None:
        record, times, recording = self._record, turn.times, turn.recording
        steps = command_intervals(
            turn.played.program, record.chip.decoder.units, recording.start, recording.free
        )
        if recording.cut >= 0:
            steps = steps.chosen(steps.start < recording.cut)
        self._write_layers(turn)
        self._write_commands(turn, steps)
        self._write_states(times, recording.spans)
        if self._memory is not None:
            self._memory.write(self._clock, times, recording)
        self._counters.write(self._clock, turn, steps)

    def _write_layers(self, turn: Turn) -> None:
        """The spans of the layers: each begins where the one before it ended."""
        names, start = turn.played.layers, turn.times.start
        rows = turn.played.program.commands["layer"].astype(np.int64) % len(names)
        ends = layer_ends(rows, turn.recording.free, len(names)).tolist()
        begin = 0
        for name, end in zip(names, ends, strict=True):
            if end > begin:
                self._writer.slice(
                    self._clock.at(start + begin), self._clock.at(start + end),
                    self._layers, name, cycles=end - begin,
                )  # fmt: skip
                begin = end

    def _write_commands(self, turn: Turn, steps: StepIntervals) -> None:
        """The commands of each engine, with flows from the FETCH of a tile to its TILE and its
        PRODUCT."""
        begin = self._clock.all_at(turn.times.start + steps.start)
        end = self._clock.all_at(turn.times.start + steps.free)
        last = _last_users(steps)
        for k in np.lexsort((steps.start, steps.engine)).tolist():
            tile = int(steps.tile[k])
            track = self._engines[int(steps.engine[k])]
            name = turn.played.commands[int(steps.command[k])]
            if tile == NO_TILE:
                self._writer.begin(begin[k], track, name)
            else:
                flow = [(turn.number << 32) + tile + 1]
                goes_on = [] if last[tile] == k else flow
                ends = flow if last[tile] == k else []
                self._writer.begin(begin[k], track, name, {"tile": tile}, goes_on, ends)
            self._writer.end(end[k], track)

    def _write_states(self, times: PassTimes, spans: Ints) -> None:
        begin = self._clock.all_at(times.start + spans[:, 2])
        end = self._clock.all_at(times.start + spans[:, 3])
        engine, state = spans[:, 0].tolist(), spans[:, 1].tolist()
        for k, kind in enumerate(state):
            self._writer.slice(begin[k], end[k], self._states[engine[k]], _STATES[kind])


def _title(record: RunRecord, clock: TraceClock) -> str:
    chip = record.chip
    unit = "ns" if clock.unit == "ns" else "1 ns here = 1 core cycle"
    model = one_line(record.model)
    return f"azsim: {model} on {chip.name} ({chip.status}), {chip.core.clock_mhz} MHz, time: {unit}"


def _last_users(steps: StepIntervals) -> dict[int, int]:
    """By tile the place of its last command, where its flow ends."""
    return {int(tile): place for place, tile in enumerate(steps.tile.tolist()) if tile != NO_TILE}
