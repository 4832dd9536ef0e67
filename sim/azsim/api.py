"""One call from a model file to a run's record: what `azsim run` does, for Python."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.compiler import (
    CompiledGraph,
    CompressionPlan,
    RangeRecorder,
    Ranges,
    compile_graph,
)
from azsim.config import ChipConfig, load_chip
from azsim.engine import simulate
from azsim.errors import ConfigError
from azsim.frontend import Inputs, load_inputs, read_frame_ms, read_onnx
from azsim.graph import Graph
from azsim.program import Program
from azsim.reference.floats import run_floats
from azsim.reference.integers import run_integers
from azsim.report.files import write_run
from azsim.report.record import RunRecord, Verification

Progress = Callable[[str, int, int], None]
IntegerArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.float32]

DEFAULT_FRAME_MS = 30.0


def azsim_version() -> str:
    """Version of the installed package."""
    try:
        return version("azsim")
    except PackageNotFoundError:  # a checkout on the path, not installed
        return "0+unknown"


@dataclass(frozen=True)
class Calibration:
    """Ranges seen on some frames, and the float outputs of the run's own frames (None if not computed)."""

    ranges: Ranges
    outputs: Mapping[str, FloatArray] | None
    text: str


@dataclass(frozen=True)
class Prepared:
    """A graph with its inputs, calibrated and compiled for a chip."""

    graph: Graph
    inputs: Inputs
    calibration: Calibration
    compiled: CompiledGraph


def run(
    model: str | Path,
    *,
    input: str | Path,
    chip: str | Path | ChipConfig = "az1",
    overrides: Sequence[str] = (),
    frames: int | None = None,
    bits: int = 8,
    sparsity: float = 0.0,
    calibrate: str | Path | None = None,
    frame_ms: float | None = None,
    timing_only: bool = False,
    verify: bool = False,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> RunRecord:
    """Simulate `model` (ONNX) on `chip` over the frames of `input` (.npz or .wav).

    Args:
        frames: number of steps; None takes all that the input holds.
        bits, sparsity: weight width (8, 6, 5, 4, 3, 2) and share of zeros by magnitude pruning.
        calibrate: frames that set the activation scales; None takes the run's own input.
        frame_ms: audio time of one step; None takes the model's `azsim.frame_ms`, else 30.
        timing_only: count cycles, compute no outputs.
        verify: evaluate the integer reference beside and compare bit for bit.
        out: folder to write the reports to; None writes nothing.
        progress: called as progress(stage, done, total).

    Raises:
        AzsimError: anything the user can mend, in one line.
    """
    if verify and timing_only:
        raise ConfigError("--verify: needs outputs, which --timing-only does not compute")
    chip_config = chip if isinstance(chip, ChipConfig) else load_chip(chip, overrides)
    plan = CompressionPlan(bits=bits, sparsity=sparsity)
    tell = progress or _silent
    prepared = prepare(model, chip_config, input, frames, plan, calibrate, tell, not timing_only)
    period_ms, source = _frame_ms(prepared.graph, frame_ms)
    program = prepared.compiled.program
    steps = quantize_inputs(program, prepared.inputs)
    total = prepared.inputs.steps
    began = time.perf_counter()
    result = simulate(
        program,
        chip_config,
        steps,
        timing_only=timing_only,
        progress=lambda done: tell("simulating", done, total),
    )
    seconds = time.perf_counter() - began
    outputs = result.outputs
    record = RunRecord(
        model=Path(model).name,
        chip=chip_config,
        program=program,
        counters=result.counters,
        frame_ms=period_ms,
        frame_ms_source=source,
        input_source=prepared.inputs.source_text,
        calibration=prepared.calibration.text,
        bits=bits,
        sparsity=sparsity,
        timing_only=timing_only,
        version=azsim_version(),
        integers=outputs,
        sqnr_db=_all_sqnr(program, outputs, prepared.calibration.outputs),
        verification=_verify(prepared.compiled, steps, outputs, tell) if verify else None,
        seeds=_seeds(prepared.graph),
        wall_seconds=seconds,
    )
    if out is not None:
        write_run(record, Path(out))
    return record


def prepare(
    model: str | Path,
    chip: ChipConfig,
    input_path: str | Path,
    frames: int | None,
    plan: CompressionPlan,
    calibrate: str | Path | None,
    progress: Progress,
    want_outputs: bool,
) -> Prepared:
    """Read, calibrate and compile; the float outputs are kept if `want_outputs`."""
    progress("reading", 0, 1)
    graph = read_onnx(model)
    if frames is not None and frames < 1:
        raise ConfigError(f"--frames: must be 1 or more, not {frames}")
    inputs = load_inputs(input_path, graph, frames)
    calibration = _calibrate(graph, inputs, calibrate, progress, want_outputs)
    progress("compiling", 0, 1)
    compiled = compile_graph(graph, chip, calibration.ranges, plan)
    return Prepared(graph, inputs, calibration, compiled)


def _silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def _calibrate(
    graph: Graph,
    inputs: Inputs,
    path: str | Path | None,
    progress: Progress,
    want_outputs: bool,
) -> Calibration:
    if path is None:
        ranges, outputs = _float_pass(graph, inputs, "calibrating", progress)
        return Calibration(ranges, outputs, "the run's own input")
    others = load_inputs(path, graph, None)
    ranges, _ = _float_pass(graph, others, "calibrating", progress)
    text = f"{Path(path).name}, {others.steps} frames"
    if not want_outputs:
        return Calibration(ranges, None, text)
    _, outputs = _float_pass(graph, inputs, "float reference", progress)
    return Calibration(ranges, outputs, text)


def _float_pass(
    graph: Graph, inputs: Inputs, stage: str, progress: Progress
) -> tuple[Ranges, dict[str, FloatArray]]:
    recorder = RangeRecorder(graph)
    outputs: dict[str, list[FloatArray]] = {name: [] for name in graph.outputs}
    for number, values in enumerate(run_floats(graph, inputs.frames)):
        recorder.add(values)
        for name, kept in outputs.items():
            kept.append(values[name].astype(np.float32))
        progress(stage, number + 1, inputs.steps)
    return recorder.ranges(), {name: np.stack(kept) for name, kept in outputs.items()}


def _frame_ms(graph: Graph, given: float | None) -> tuple[float, str]:
    if given is not None:
        if not (math.isfinite(given) and given > 0):
            raise ConfigError(f"--frame-ms: must be a positive number, not {given}")
        return given, "--frame-ms"
    stated = read_frame_ms(graph)
    if stated is not None:
        return stated, "the model's azsim.frame_ms"
    return DEFAULT_FRAME_MS, "the default"


def quantize_inputs(program: Program, inputs: Inputs) -> Sequence[Mapping[str, IntegerArray]]:
    """The frames as the integers the program expects, made step by step when asked for.

    int8: round half to even of value / scale, plus zero point, saturated (as ONNX QuantizeLinear).

    Raises:
        ConfigError: an index outside its table.
    """
    for port in program.inputs:
        array = inputs.frames[port.name]
        if port.index_rows and (array.min() < 0 or array.max() >= port.index_rows):
            raise ConfigError(
                f"input '{port.name}': each index must be 0..{port.index_rows - 1},"
                f" not {int(array.min())}..{int(array.max())}"
            )
    return _IntegerSteps(program, inputs)


class _IntegerSteps(Sequence[Mapping[str, IntegerArray]]):
    """Quantizes one step at a time, so that a long recording is not held twice."""

    def __init__(self, program: Program, inputs: Inputs) -> None:
        self._ports, self._inputs = program.inputs, inputs

    def __len__(self) -> int:
        return self._inputs.steps

    def __getitem__(self, step: Any) -> Any:
        if not 0 <= step < len(self):
            raise IndexError(step)
        return {port.name: self._quantized(port, step) for port in self._ports}

    def __iter__(self) -> Iterator[Mapping[str, IntegerArray]]:
        return (self[step] for step in range(len(self)))

    def _quantized(self, port: Any, step: int) -> IntegerArray:
        array = self._inputs.frames[port.name][step]
        if port.index_rows:
            return array.astype(np.int32)
        limits = np.iinfo(port.element)
        integers = np.rint(array / np.float64(port.scale)) + port.zero_point
        clipped: IntegerArray = np.clip(integers, limits.min, limits.max).astype(port.element)
        return clipped


def _all_sqnr(
    program: Program,
    outputs: Mapping[str, IntegerArray],
    floats: Mapping[str, FloatArray] | None,
) -> dict[str, float | None]:
    if floats is None:
        return {}
    return {
        port.name: sqnr_db(
            floats[port.name],
            (outputs[port.name].astype(np.float64) - port.zero_point) * port.scale,
        )
        for port in program.outputs
        if port.name in outputs
    }


def sqnr_db(signal: npt.NDArray[Any], other: npt.NDArray[Any]) -> float | None:
    """Signal-to-quantization-noise ratio in dB; None if there is no signal or no noise."""
    exact = signal.astype(np.float64)
    power, noise = float(np.sum(exact**2)), float(np.sum((exact - other) ** 2))
    if power == 0.0 or noise == 0.0:
        return None
    return 10.0 * math.log10(power / noise)


def _verify(
    compiled: CompiledGraph,
    steps: Sequence[Mapping[str, IntegerArray]],
    outputs: Mapping[str, IntegerArray],
    progress: Progress,
) -> Verification:
    exact, difference = 0, ""
    for number, values in enumerate(run_integers(compiled.integers, steps)):
        wrong = [n for n, a in outputs.items() if not np.array_equal(a[number], values[n])]
        exact += not wrong
        if wrong and not difference:
            difference = f"step {number}, output '{wrong[0]}'"
        progress("verifying", number + 1, len(steps))
    return Verification(len(steps), exact, difference)


def _seeds(graph: Graph) -> dict[str, int]:
    text = graph.metadata.get("azsim.seed", "")
    return {"weights": int(text)} if text.lstrip("-").isdigit() else {}
