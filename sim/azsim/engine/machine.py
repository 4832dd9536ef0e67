"""A program on a chip: inputs by name in, outputs by name out, step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.config import ChipConfig
from azsim.config.host_traffic import TrafficPattern
from azsim.counters import WeightPath
from azsim.counters.recording import StepRecording
from azsim.engine.cuts import layer_ends
from azsim.engine.fast_machine import DEFAULT_MAX_CYCLES
from azsim.engine.params import machine_params
from azsim.engine.recorder import MEMORY_ROOM
from azsim.engine.trouble import explain
from azsim.engine.weight_path import observe_weight_path
from azsim.engine.what_if import WhatIfMachine, what_if_runs
from azsim.errors import ModelError, SimulationError
from azsim.program import Port, Program
from azsim_kernels import isa

Array = npt.NDArray[np.integer[Any]]
Bytes = npt.NDArray[np.uint8]


class Machine:
    """The modelled chip with `program` in its memories; states live on from step to step.

    `timing_only`: no outputs, the same cycles (on chips that skip zero activations the results
    are computed all the same, since times depend on them). `host_traffic`: patterns of the rest of
    the device on the memory's host port; with it, also if empty, the time of the memory goes on
    from step to step, without it each step begins with an idle memory (docs/memory.md).

    Raises:
        SimulationError: the program is compiled for another chip, or a command is unknown.
    """

    def __init__(
        self,
        program: Program,
        chip: ChipConfig,
        timing_only: bool = False,
        host_traffic: Sequence[TrafficPattern] | None = None,
        records: bool = False,
    ) -> None:
        if program.config_hash != chip.config_hash():
            raise SimulationError(
                f"program '{program.name}': must run on the chip it was compiled for "
                f"({program.chip}, {program.config_hash}), not {chip.name}, {chip.config_hash()}"
            )
        self._program, self._timing_only = program, timing_only
        dram = np.zeros(max(program.dram_bytes, len(program.dram)), np.uint8)
        dram[: len(program.dram)] = program.dram
        self._fast = WhatIfMachine(
            machine_params(chip),
            program.commands,
            program.semaphore_kinds,
            program.semaphore_initial,
            dram=dram,
            store=np.array(program.store, np.uint8),
            abuf=np.zeros(chip.abuf.capacity_kb * 1024, np.uint8),
            timing_only=timing_only,
            host_traffic=None
            if host_traffic is None
            else [pattern.kernel_pattern() for pattern in host_traffic],
            memory_trace=MEMORY_ROOM if records else 0,
        )
        self._fast.cleared = tuple(
            (state.address, state.bytes) for state in program.states if state.memory == "dram"
        )
        self._recorded: tuple[isa.StepResult, StepRecording] | None = None

    def step(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], isa.StepResult]:
        """Run the program once on `inputs` (integers of the ports' shapes); return the outputs by
        name (none when timing only) and what was counted.

        Raises:
            ModelError: an input is missing, unknown, of another shape, or out of range.
            SimulationError: a deadlock, an overflow or a command that failed, in one line.
        """
        self._put_inputs(inputs)
        try:
            result = self._fast.run_step(max_cycles=DEFAULT_MAX_CYCLES)
        except RuntimeError as error:
            raise SimulationError(f"program '{self._program.name}': {error}") from error
        if result.status != isa.DONE:
            raise SimulationError(explain(self._program, result))
        outputs = {} if self._timing_only else {p.name: self._get(p) for p in self._program.outputs}
        return outputs, result

    def recorded_step(
        self, inputs: Mapping[str, Array], max_bytes: int
    ) -> tuple[dict[str, Array], isa.StepResult, StepRecording]:
        """Run the program once as `step`, and record it, up to about `max_bytes` of a trace.

        A step that takes the times of the last one recorded has its recording too.

        Raises:
            ModelError, SimulationError: as `step`.
        """
        known = self._recorded[0] if self._recorded is not None else None
        recorder = self._fast.record(max_bytes, known)
        outputs, result = self.step(inputs)
        self._fast.stop_recording()
        if self._recorded is None or self._recorded[0] is not result:
            self._recorded = (result, recorder.recording(result, self.command_products))
        return outputs, result, self._recorded[1]

    def weight_path(self, inputs: Mapping[str, Array], free: npt.NDArray[np.int64]) -> WeightPath:
        """Run the first step on `inputs` again, from power-on, and tell where its time went. Call
        nothing else afterwards: memories are left as the what-ifs leave them.

        free  (commands,) cycles in which its commands were free the first time

        Raises:
            ModelError, SimulationError: as `step`.
        """
        self._put_inputs(inputs)
        self._fast.power_on()
        rows = len(self._program.layers)
        layers = self._program.commands["layer"].astype(np.int64) % (rows + 1)
        layers = np.minimum(layers, rows - 1)  # what is of no layer comes last
        path = observe_weight_path(self._fast, layers, rows, free)
        what_if = {
            name: np.diff(layer_ends(layers, result.free, rows), prepend=0)
            for name, result in what_if_runs(self._fast).items()
        }
        return replace(path, what_if=what_if)

    def write_dram(self, address: int, data: Bytes) -> None:
        """Write bytes to the modelled DRAM; weights decoded from there are decoded anew.

        Raises:
            SimulationError: the range is not inside the program's DRAM.
        """
        self._fast.write_dram(address, np.ascontiguousarray(data, np.uint8))

    def read_dram(self, address: int, size: int) -> Bytes:
        """Return a copy of `size` bytes of the modelled DRAM from `address` on.

        Raises:
            SimulationError: the range is not inside the program's DRAM.
        """
        return _read("DRAM", self._fast.dram, address, size)

    def read_abuf(self, address: int, size: int) -> Bytes:
        """Return a copy of `size` bytes of the activation buffer from `address` on.

        Raises:
            SimulationError: the range is not inside the activation buffer.
        """
        return _read("ABUF", self._fast.abuf, address, size)

    @property
    def visited_cycles(self) -> int:
        """Cycles the engine has looked at, over all steps."""
        return self._fast.visited_cycles

    @property
    def command_products(self) -> npt.NDArray[np.int64]:
        """Products done by each command in the last step, int64 (commands,)."""
        return self._fast.command_products

    @property
    def command_beats(self) -> npt.NDArray[np.int64]:
        """Beats of each VECTOR command, int64 (commands,)."""
        return self._fast.command_beats

    def _put_inputs(self, inputs: Mapping[str, Array]) -> None:
        names = [port.name for port in self._program.inputs]
        if sorted(inputs) != sorted(names):
            raise ModelError(
                f"program '{self._program.name}': inputs must be {', '.join(names) or 'none'}, "
                f"not {', '.join(inputs) or 'none'}"
            )
        for port in self._program.inputs:
            raw = _port_integers(port, np.asarray(inputs[port.name]))
            self._fast.write_dram(port.address, raw.reshape(-1).view(np.uint8))

    def _get(self, port: Port) -> Array:
        raw = _read("DRAM", self._fast.dram, port.address, port.bytes)
        return raw.view(port.element).reshape(port.shape)


def _read(name: str, memory: Bytes, address: int, size: int) -> Bytes:
    if address < 0 or size < 0 or address + size > memory.size:
        raise SimulationError(
            f"{name} read of {size} bytes at {address}: must be inside 0..{memory.size - 1}"
        )
    return memory[address : address + size].copy()


def _port_integers(port: Port, array: Array) -> Array:
    """Return `array` as the port's integers, checked."""
    if array.shape != port.shape or not np.issubdtype(array.dtype, np.integer):
        raise ModelError(
            f"input '{port.name}': must be integers of shape {port.shape}, "
            f"not {array.dtype} of shape {array.shape}"
        )
    limits = np.iinfo(port.element)
    low, high = int(limits.min), int(limits.max)
    if port.index_rows > 0:
        low, high = 0, port.index_rows - 1
    smallest, largest = int(array.min()), int(array.max())
    if smallest < low or largest > high:
        raise ModelError(
            f"input '{port.name}': must be in {low}..{high}, not {smallest}..{largest}"
        )
    return np.ascontiguousarray(array, port.element)
