"""Writes the trace of a run: frames, passes, layers, engines, memory, counters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from azsim._atomic import replaced_file
from azsim.counters.recording import StepRecording
from azsim.engine.cuts import layer_ends
from azsim.engine.params import machine_params
from azsim.errors import ConfigError
from azsim.graph.text import one_line
from azsim.report.intervals import NO_TILE, StepIntervals, command_intervals
from azsim.report.record import RunRecord
from azsim.report.trace.clock import PassTimes, TraceClock, frame_cycle, pass_times
from azsim.report.trace.counters import CounterTracks
from azsim.report.trace.memory import MemoryTracks
from azsim.report.trace.packets import PacketWriter
from azsim.report.trace.wish import MAX_FRAMES
from azsim_kernels import isa

Ints = npt.NDArray[np.int64]

_STATES = tuple(name for name in isa.STALL_CLASS_NAMES if name != "idle")
NO_LAYER = "inputs and outputs"


def write_trace(record: RunRecord, path: Path, unit: str = "ns") -> None:
    """Write the passes that `record` has recorded to `path`, for ui.perfetto.dev. Equal runs give
    equal bytes.

    unit  `ns`, or `cycles`: the viewer's nanosecond then is a core cycle

    Raises:
        ConfigError: the run was not recorded, or the file cannot be written.
    """
    if record.recordings is None:
        raise ConfigError(f"{path}: needs a run that was recorded")
    with replaced_file(path) as part, part.open("wb") as file:
        writer = PacketWriter(file)
        _Trace(record, writer, TraceClock(record.chip.core.clock_mhz, unit)).write()
        writer.flush()


def traced_passes(record: RunRecord) -> str:
    """Say in words which passes of a run were recorded."""
    if record.recordings is None:
        return "nothing recorded"
    numbers = [number for number, _ in record.recordings.passes]
    cut = sum(recording.cut >= 0 for _, recording in record.recordings.passes)
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
        self._names = _command_names(record)

    def write(self) -> None:
        """Write everything, pass by pass."""
        recorded = dict(self._record.recordings.passes) if self._record.recordings else {}
        for times in pass_times(self._record):
            if times.newest >= MAX_FRAMES:
                break
            recording = recorded.get(times.number)
            self._write_pass(times, recording)
            if recording is not None:
                self._write_recording(times, recording)

    def _write_pass(self, times: PassTimes, recording: StepRecording | None) -> None:
        writer, at = self._writer, self._clock.at
        for frame in range(times.oldest, times.newest + 1):
            moment = at(frame_cycle(self._record, frame))
            writer.instant(moment, self._arrivals, f"frame {frame}")
        writer.instant(at(times.deadline), self._deadlines, f"deadline of pass {times.number}")
        known = 0
        if recording is not None:
            known = recording.cut if recording.cut >= 0 else recording.cycles
        writer.slice(
            at(times.start), at(times.end), self._passes, times.name,
            cycles=times.end - times.start, recorded_cycles=known,
        )  # fmt: skip

    def _write_recording(self, times: PassTimes, recording: StepRecording) -> None:
        record = self._record
        steps = command_intervals(
            record.program, record.chip.decoder.units, recording.start, recording.free
        )
        if recording.cut >= 0:
            steps = steps.chosen(steps.start < recording.cut)
        self._write_layers(times, recording)
        self._write_commands(times, steps)
        self._write_states(times, recording.spans)
        if self._memory is not None:
            self._memory.write(self._clock, times, recording)
        self._counters.write(self._clock, times, recording, steps)

    def _write_layers(self, times: PassTimes, recording: StepRecording) -> None:
        """The spans of the layers: each begins where the one before it ended."""
        layers = self._record.program.layers
        rows = self._record.program.commands["layer"].astype(np.int64) % (len(layers) + 1)
        ends = layer_ends(rows, recording.free, len(layers) + 1).tolist()
        begin = 0
        for number, end in enumerate(ends):
            if end > begin:
                name = layers[number].name if number < len(layers) else NO_LAYER
                self._writer.slice(
                    self._clock.at(times.start + begin), self._clock.at(times.start + end),
                    self._layers, one_line(name), cycles=end - begin,
                )  # fmt: skip
                begin = end

    def _write_commands(self, times: PassTimes, steps: StepIntervals) -> None:
        """The commands of each engine, with flows from the FETCH of a tile to its TILE and its
        PRODUCT."""
        begin = self._clock.all_at(times.start + steps.start)
        end = self._clock.all_at(times.start + steps.free)
        last = _last_users(steps)
        for k in np.lexsort((steps.start, steps.engine)).tolist():
            tile = int(steps.tile[k])
            track = self._engines[int(steps.engine[k])]
            name = self._names[int(steps.command[k])]
            if tile == NO_TILE:
                self._writer.begin(begin[k], track, name)
            else:
                flow = [(times.number << 32) + tile + 1]
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


def _command_names(record: RunRecord) -> list[str]:
    """What the viewer shows of each command: its opcode and its layer."""
    layers = [one_line(layer.name) for layer in record.program.layers] + [NO_LAYER]
    commands = record.program.commands
    rows = (commands["layer"].astype(np.int64) % len(layers)).tolist()
    opcodes = commands["opcode"].tolist()
    pairs = zip(opcodes, rows, strict=True)
    return [f"{isa.OPCODE_NAMES[opcode]} {layers[row]}" for opcode, row in pairs]


def _last_users(steps: StepIntervals) -> dict[int, int]:
    """By tile the place of its last command, where its flow ends."""
    return {int(tile): place for place, tile in enumerate(steps.tile.tolist()) if tile != NO_TILE}
