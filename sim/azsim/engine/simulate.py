"""Runs a program for some steps: inputs in, integer outputs and counters out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.config import ChipConfig
from azsim.config.host_traffic import TrafficPattern
from azsim.counters import TRAFFIC_NAMES, CommandTrace, Counters, LayerCounters, Traffic, WeightPath
from azsim.counters.recording import Recordings, RecordPlan, StepRecording
from azsim.engine.machine import Machine
from azsim.engine.traffic import command_traffic
from azsim.program import Program
from azsim_kernels import isa

_LONGEST = isa.FIXED_COUNTERS.index("host_longest_wait_cycles")  # a maximum, no sum

Array = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class SimulationResult:
    """Counters, and the integer outputs by name: arrays (steps, *shape); empty when timing only.

    `weight_path`: where the first step's time went, `recordings`: what the chosen steps did, if
    asked for. `seconds`: the host's time for all steps.
    """

    counters: Counters
    outputs: Mapping[str, Array]
    weight_path: WeightPath | None = None
    seconds: float = 0.0
    recordings: Recordings | None = None


def simulate(
    program: Program,
    chip: ChipConfig,
    steps: Sequence[Mapping[str, Array]],
    *,
    timing_only: bool = False,
    explain: bool = False,
    host_traffic: Sequence[TrafficPattern] | None = None,
    record: RecordPlan | None = None,
    progress: Callable[[int], None] | None = None,
) -> SimulationResult:
    """Run `program` once per entry of `steps` (graph inputs as integers), states carried on.

    `host_traffic`: see `Machine`. `explain`: run the first step some times more to find the
    `weight_path`. `record`: steps to record event by event. `progress(n)` is called after step n.
    Memory does not grow with cycles; outputs and recordings are kept per step.

    Raises:
        SimulationError: a deadlock, an overflow or a damaged tile, naming the command.
    """
    began = time.perf_counter()
    machine = Machine(program, chip, timing_only, host_traffic, records=record is not None)
    chosen = None if record is None else ChosenSteps(record, len(steps))
    recorded: list[tuple[int, StepRecording]] = []
    tally = Tally(program, chip)
    outputs: dict[str, list[Array]] = {port.name: [] for port in program.outputs}
    for number, inputs in enumerate(steps):
        if chosen is not None and chosen.wants(number):
            result, counted, recording = machine.recorded_step(inputs, chosen.max_bytes)
            chosen.spend(recording.trace_bytes)
            recorded.append((number, recording))
        else:
            result, counted = machine.step(inputs)
        tally.add(counted, machine.command_products)
        if not timing_only:
            for name, array in result.items():
                outputs[name].append(array)
        if progress is not None:
            progress(number + 1)
    stacked = {} if timing_only else {n: np.stack(arrays) for n, arrays in outputs.items()}
    counters = tally.counters(machine.command_beats)
    seconds = time.perf_counter() - began
    path = machine.weight_path(steps[0], counters.trace.free) if explain and len(steps) else None
    recordings = None if record is None else Recordings(record, tuple(recorded))
    return SimulationResult(counters, stacked, path, seconds, recordings)


class ChosenSteps:
    """Which steps are recorded: evenly chosen by the size of the first."""

    def __init__(self, plan: RecordPlan, steps: int) -> None:
        self._plan, self._end = plan, min(plan.end, steps)
        self._stride = 1
        self._any = False
        self.max_bytes = plan.max_bytes

    def wants(self, number: int) -> bool:
        """Say whether step `number` is to be recorded, with at most `max_bytes`."""
        inside = self._plan.first <= number < self._end
        return inside and (number - self._plan.first) % self._stride == 0 and self.max_bytes > 0

    def spend(self, trace_bytes: int) -> None:
        """Take it that a step has been recorded, in so many bytes of a trace."""
        if not self._any:
            fit = max(self._plan.max_bytes // max(trace_bytes, 1), 1)
            self._stride = -(-(self._end - self._plan.first) // fit)
        self._any = True
        self.max_bytes -= trace_bytes


class Tally:
    """Sums step results without keeping them."""

    def __init__(self, program: Program, chip: ChipConfig) -> None:
        self._program, self._chip = program, chip
        self._cycles: list[int] = []
        self._stalls: npt.NDArray[np.int64] | None = None
        self._counts: npt.NDArray[np.int64] | None = None
        self._trace: CommandTrace | None = None
        rows = len(program.layers) + 1  # the last row takes commands of no layer
        self._layers = program.commands["layer"].astype(np.int64) % rows
        self._spans = np.zeros(rows, np.int64)
        self._work = {engine: np.zeros(rows, np.int64) for engine in (isa.MAC, isa.VECTOR)}
        self._products = np.zeros(rows, np.int64)
        self._last: tuple[Any, ...] = ()

    def add(self, result: isa.StepResult, products: npt.NDArray[np.int64]) -> None:
        """Take one step, and what each command multiplied in it (commands,)."""
        self._cycles.append(result.cycles)
        if self._stalls is None or self._counts is None:
            self._stalls, self._counts = result.stalls.copy(), result.counters.copy()
            self._trace = CommandTrace(
                result.dispatch.copy(), result.start.copy(), result.free.copy()
            )
        else:
            self._stalls += result.stalls
            longest = max(self._counts[_LONGEST], result.counters[_LONGEST])
            self._counts += result.counters
            self._counts[_LONGEST] = longest
        if self._last and self._last[0] is result.free:  # a step that reused its timing
            spans, work, done = self._last[1:]
        else:
            spans, work = self._spans_of(result), self._work_of(result)
            done = np.zeros(len(self._spans), np.int64)
            np.add.at(done, self._layers, products)
            self._last = (result.free, spans, work, done)
        self._spans += spans
        self._products += done
        for engine, cycles in work.items():
            self._work[engine] += cycles

    def _spans_of(self, result: isa.StepResult) -> npt.NDArray[np.int64]:
        """Cycles from the end of the layers before to the end of each layer; they sum to the
        step."""
        ends = np.zeros(len(self._spans), np.int64)
        np.maximum.at(ends, self._layers, result.free)
        return np.diff(np.maximum.accumulate(ends), prepend=0)

    def _work_of(self, result: isa.StepResult) -> dict[int, npt.NDArray[np.int64]]:
        engines = self._program.commands["engine"]
        work = {}
        for engine in (isa.MAC, isa.VECTOR):
            mine = engines == engine
            cycles = np.zeros(len(self._spans), np.int64)
            np.add.at(cycles, self._layers[mine], (result.free - result.start)[mine])
            work[engine] = cycles
        return work

    def counters(self, beats: npt.NDArray[np.int64]) -> Counters:
        """Return the sums; `beats` of each VECTOR command (commands,)."""
        units = self._chip.decoder.units
        engines = isa.engine_names(units)
        stalls = self._stalls if self._stalls is not None else np.zeros((len(engines), 5), np.int64)
        names = isa.counter_names(units)
        counts = self._counts if self._counts is not None else np.zeros(len(names), np.int64)
        empty = np.zeros(0, np.int64)
        return Counters(
            len(self._cycles),
            np.array(self._cycles, np.int64),
            {
                engine: dict(zip(isa.STALL_CLASS_NAMES, map(int, row), strict=True))
                for engine, row in zip(engines, stalls, strict=True)
            },
            {name: int(count) for name, count in zip(names, counts, strict=True)},
            self._layer_counters(beats),
            self._trace or CommandTrace(empty, empty, empty),
        )

    def _layer_counters(self, beats: npt.NDArray[np.int64]) -> tuple[LayerCounters, ...]:
        static = _StaticWork(self._program, self._chip, self._layers, len(self._spans), beats)
        steps = len(self._cycles)
        rows = []
        for number, layer in enumerate(self._program.layers):
            traffic = static.traffic(number, steps)
            rows.append(
                LayerCounters(
                    layer.name,
                    int(self._spans[number]),
                    _bus_cycles(traffic.dram_bytes, self._chip),
                    int(static.decode_cycles[number]) * steps,
                    int(self._work[isa.MAC][number]),
                    int(self._work[isa.VECTOR][number]),
                    traffic.dram_bytes,
                    int(static.stream_bytes[number]) * steps,
                    int(static.commands[number]) * steps,
                    traffic,
                    int(self._products[number]),
                    static.vector_beats(number, steps),
                )
            )
        return tuple(rows)


def _bus_cycles(moved: int, chip: ChipConfig) -> int:
    peak_bytes, per_cycles = chip.memory_peak
    return -(-moved * per_cycles // peak_bytes)


class _StaticWork:
    """What each layer asks for in one step, from the commands alone."""

    def __init__(
        self,
        program: Program,
        chip: ChipConfig,
        layers: npt.NDArray[np.int64],
        rows: int,
        beats: npt.NDArray[np.int64],
    ) -> None:
        commands = program.commands
        fetch = commands["opcode"] == isa.FETCH
        self.stream_bytes = np.zeros(rows, np.int64)
        np.add.at(self.stream_bytes, layers[fetch], commands["arg"][fetch, 1])
        self.decode_cycles = np.zeros(rows, np.int64)
        np.add.at(self.decode_cycles, layers, _decode_cycles(program))
        self.commands = np.bincount(layers, minlength=rows)
        self._bytes = {name: np.zeros(rows, np.int64) for name in TRAFFIC_NAMES}
        for name, numbers, moved in command_traffic(program, chip):
            np.add.at(self._bytes[name], layers[numbers], moved)
        self._beats = np.zeros((rows, len(isa.VECTOR_CLASSES)), np.int64)
        for opcode, kind in isa.OPCODE_VECTOR_CLASS.items():
            mine = commands["opcode"] == opcode
            np.add.at(self._beats[:, kind], layers[mine], beats[mine])

    def vector_beats(self, layer: int, steps: int) -> dict[str, int]:
        """Beats of a layer's VECTOR commands in `steps` steps, by class."""
        counts = self._beats[layer] * steps
        return {name: int(n) for name, n in zip(isa.VECTOR_CLASSES, counts, strict=True) if n}

    def traffic(self, layer: int, steps: int) -> Traffic:
        """Bytes that a layer moves in `steps` steps."""
        return Traffic(**{name: int(moved[layer]) * steps for name, moved in self._bytes.items()})


def _decode_cycles(program: Program) -> npt.NDArray[np.int64]:
    """Decoder cycles of each FETCH command's tile (0 for other commands)."""
    cycles = np.zeros(len(program.commands), np.int64)
    tiles = program.tiles
    keys = {
        (int(tile["source"]), int(tile["address"])): int(tile["decode_cycles"]) for tile in tiles
    }
    fetches = np.flatnonzero(program.commands["opcode"] == isa.FETCH)
    arg = program.commands["arg"]
    for number in fetches:
        cycles[number] = keys.get((int(arg[number, 2]), int(arg[number, 0])), 0)
    return cycles
