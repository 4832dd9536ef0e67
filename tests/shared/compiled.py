"""From a model file to the integer reference and any machine: what the level tests share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from azsim.compiler import CompiledGraph, CompressionPlan, RangeRecorder, compile_graph
from azsim.config import ChipConfig
from azsim.engine import machine_params
from azsim.frontend import read_onnx
from azsim.program import Program
from azsim.reference.floats import run_floats
from azsim.reference.integers import run_integers
from azsim_kernels import isa

Steps = list[dict[str, np.ndarray]]


def compile_file(
    path: Path, feeds: Mapping[str, np.ndarray], chip: ChipConfig, plan: CompressionPlan
) -> tuple[CompiledGraph, list[dict[str, np.ndarray]]]:
    """Compile a model calibrated on `feeds` (steps, *shape); return it and the float values per
    step."""
    graph = read_onnx(path)
    recorder = RangeRecorder(graph)
    floats = []
    for values in run_floats(graph, feeds):
        recorder.add(values)
        floats.append(values)
    return compile_graph(graph, chip, recorder.ranges(), plan), floats


def integer_steps(program: Program, feeds: Mapping[str, np.ndarray], count: int) -> Steps:
    """The frames as the program's integers."""
    steps: Steps = []
    for step in range(count):
        step_inputs = {}
        for port in program.inputs:
            array = feeds[port.name][step]
            if port.element == "int8":
                array = np.clip(np.rint(array / port.scale), -128, 127)
            step_inputs[port.name] = array.astype(port.element)
        steps.append(step_inputs)
    return steps


def run_machine(
    make: Callable[..., Any], program: Program, chip: ChipConfig, steps: Steps
) -> tuple[list[dict[str, np.ndarray]], list[isa.StepResult]]:
    """Run steps on a machine level (ClockedMachine or the fast one); return outputs and results."""
    dram = np.zeros(program.dram_bytes, np.uint8)
    dram[: len(program.dram)] = program.dram
    machine = make(
        machine_params(chip),
        program.commands,
        program.semaphore_kinds,
        program.semaphore_initial,
        dram=dram,
        store=program.store.copy(),
        abuf=np.zeros(chip.abuf.capacity_kb * 1024, np.uint8),
    )
    outputs, results = [], []
    for inputs in steps:
        for port in program.inputs:
            raw = np.ascontiguousarray(inputs[port.name]).reshape(-1).view(np.uint8)
            dram[port.address : port.address + port.bytes] = raw
        results.append(machine.run_step())
        outputs.append(
            {
                port.name: dram[port.address : port.address + port.bytes]
                .view(port.element)
                .reshape(port.shape)
                .copy()
                for port in program.outputs
            }
        )
    return outputs, results


def reference_outputs(compiled: CompiledGraph, steps: Steps) -> list[dict[str, np.ndarray]]:
    """Outputs of the integer reference, step by step."""
    names = [port.name for port in compiled.program.outputs]
    return [{n: values[n] for n in names} for values in run_integers(compiled.integers, steps)]


def noise_db(exact: np.ndarray, ours: np.ndarray) -> float:
    """Power of the exact values over that of the difference."""
    return float(10 * np.log10((exact**2).sum() / ((exact - ours) ** 2).sum()))
