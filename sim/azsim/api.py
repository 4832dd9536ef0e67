"""One call from a model file to a run's record: what `azsim run` does, for Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.branch_record import BranchWishes, refuse_with_branches, run_branched
from azsim.calibration import Progress
from azsim.config import ChipConfig, load_chip
from azsim.config.host_traffic import TrafficPattern, load_traffic
from azsim.counters import Counters, WeightPath
from azsim.counters.recording import Recordings, RecordPlan
from azsim.energy import load_rates
from azsim.engine import simulate
from azsim.engine.warm import Warming
from azsim.errors import ConfigError
from azsim.frontend import Inputs, own_inputs, read_model
from azsim.frontend.branches import BranchedModel, read_branches
from azsim.graph import Graph
from azsim.graph.integer import IntegerGraph
from azsim.preparing import (
    Prepared,
    calibrate_graph,
    compile_calibrated,
    quantize_inputs,
)
from azsim.reference.integers import run_integers
from azsim.report.files import check_wishes, write_run
from azsim.report.record import HostTraffic, RunRecord, Verification
from azsim.report.trace import TraceWish, write_trace
from azsim.run_setting import (
    DEFAULT_FRAME_MS,
    PlanWishes,
    all_sqnr,
    azsim_version,
    frame_time,
    seeds_of,
    sqnr_db,
)
from azsim.session import Session

__all__ = [
    "DEFAULT_FRAME_MS",
    "PlanWishes",
    "Prepared",
    "RunRecord",
    "azsim_version",
    "quantize_inputs",
    "run",
    "sqnr_db",
]

IntegerArray = npt.NDArray[np.integer[Any]]


def run(
    model: str | Path | Graph | BranchedModel,
    *,
    input: str | Path | Inputs | None = None,
    chip: str | Path | ChipConfig = "az1",
    overrides: Sequence[str] = (),
    frames: int | None = None,
    frames_per_pass: int = 1,
    bits: int | None = None,
    sparsity: float | None = None,
    layer_bits: Mapping[str, int] | None = None,
    layer_sparsity: Mapping[str, float] | None = None,
    calibrate: str | Path | Inputs | None = None,
    frame_ms: float | None = None,
    timing_only: bool = False,
    verify: bool = False,
    explain: bool = False,
    out: str | Path | None = None,
    cache: bool = True,
    host_traffic: Sequence[str | Path] = (),
    trace: str | Path | TraceWish | None = None,
    figures: str = "png",
    html: bool = False,
    allow_unused_branch: bool = False,
    dims: Mapping[str, int] | None = None,
    progress: Progress | None = None,
    session: Session | None = None,
) -> RunRecord:
    """Simulate `model` (ONNX) on `chip` over the frames of `input` (.npz or .wav).

    A topology file of SCALE-Sim (.csv) needs no `input`: it takes seeded random numbers, `frames`
    times (None: once).

    Args:
        model, input, calibrate: files, or a graph (or `BranchedModel`) and frames that were read
            before.
        frames: number of frames; None takes all that the input holds.
        frames_per_pass: frames computed together on one load of the weights; the last pass is
            padded with its last frame.
        bits, sparsity: weight width (8, 6, 5, 4, 3, 2) and share of zeros by magnitude pruning;
            None takes the model's own plan (`azsim.compression`), else 8 bits and no pruning.
        layer_bits, layer_sparsity: the same for single nodes by name.
        calibrate: frames that set the activation scales; None takes the run's own input.
        frame_ms: audio time of one frame; None takes the model's `azsim.frame_ms`, else 30.
        timing_only: count cycles, compute no outputs.
        verify: evaluate the integer reference beside and compare bit for bit.
        explain: find where the first pass's time went along the weight path, and the what-ifs.
        out: folder to write the reports to; None writes nothing.
        cache: keep compiled programs in the user's cache folder, and use them.
        host_traffic: names or files of patterns that the rest of the device puts on the memory
            (docs/memory.md); the run is timed once more without them.
        trace: file for a trace of the run (docs/traces.md); a `TraceWish` says which frames.
        figures: "png", "pdf" or "both", in `out`.
        html: write `out`/report.html too; needs the extra `report`.
        allow_unused_branch: of a model with an If, take it that no frame goes to one of its
            branches.
        dims: sizes of the dimensions that the model file leaves open, by name (or INPUT:AXIS).
        progress: called as progress(stage, done, total).
        session: what runs on the same graph and frames share; None shares nothing.

    Raises:
        AzsimError: anything the user can mend, in one line.
    """
    if verify and timing_only:
        raise ConfigError("--verify: needs outputs, which --timing-only does not compute")
    check_wishes(figures, html)
    chip_config = chip if isinstance(chip, ChipConfig) else load_chip(chip, overrides)
    load_rates(chip_config)  # a bad energy table is told now, not after the simulation
    patterns = load_traffic(host_traffic, chip_config)
    wish = TraceWish(Path(trace)) if isinstance(trace, str | Path) else trace
    if wish is not None:
        wish.check(chip_config.core.clock_mhz)
    wishes = PlanWishes(bits, sparsity, layer_bits or {}, layer_sparsity or {})
    tell = progress or _silent
    if isinstance(model, str | Path):
        model = read_branches(model, dims) or model
    if isinstance(model, BranchedModel):
        refuse_with_branches(frames_per_pass, patterns)
        wanted = BranchWishes(
            input, frames, wishes, calibrate, frame_ms, timing_only, verify, allow_unused_branch,
            out, figures, html, explain, wish, session,
        )  # fmt: skip
        return run_branched(model, chip_config, wanted, tell)
    with Warming() as warming:  # a first run compiles kernels beside its own work
        tell("reading", 0, 1)
        graph = model if isinstance(model, Graph) else read_model(model, dims)
        frames_of = input if input is not None else own_inputs(graph, frames)
        period_ms, source = frame_time(graph, frame_ms)
        seeds = seeds_of(graph)
        calibrated = calibrate_graph(
            graph, frames_of, frames, wishes, calibrate, tell, frames_per_pass=frames_per_pass,
            want_outputs=not timing_only, cache=cache, session=session,
        )  # fmt: skip
        del graph  # the float weights are most of what a run holds, and not needed for long
        prepared = compile_calibrated(calibrated, chip_config, tell, keep_integers=verify)
        del calibrated
        tell("compiling kernels", 0, 1)
        warming.wait()
        tell("compiling kernels", 1, 1)
    steps = prepared.inputs.steps
    plan = None if wish is None else wish.plan(steps, frames_per_pass)
    modes = _Modes(timing_only, verify, explain, patterns, plan)
    outcome = _simulate(prepared, chip_config, frames_per_pass, modes, tell)
    outputs = _per_frame(outcome.outputs, frames_per_pass, prepared.inputs.steps)
    record = RunRecord(
        model=model.name if isinstance(model, Graph) else Path(model).name,
        chip=chip_config,
        program=prepared.program,
        counters=outcome.counters,
        frame_ms=period_ms,
        frame_ms_source=source,
        input_source=prepared.inputs.source_text,
        calibration=prepared.calibration.text,
        bits=prepared.plan.bits,
        sparsity=prepared.plan.sparsity,
        timing_only=timing_only,
        version=azsim_version(),
        frames=prepared.inputs.steps,
        frames_per_pass=frames_per_pass,
        plan=prepared.plan.to_json(),
        integers=outputs,
        sqnr_db=all_sqnr(prepared.program, outputs, prepared.calibration.outputs),
        verification=outcome.verification,
        seeds=seeds,
        wall_seconds=outcome.seconds,
        weight_path=outcome.weight_path,
        host_traffic=outcome.host_traffic,
        recordings=outcome.recordings,
    )
    if wish is not None:
        write_trace(record, wish.path, wish.unit)
    if out is not None:
        write_run(record, Path(out), figures, html)
    return record


@dataclass(frozen=True)
class _Modes:
    """What is wanted of a simulation besides its counters."""

    timing_only: bool
    verify: bool
    explain: bool
    host_traffic: tuple[TrafficPattern, ...]
    record: RecordPlan | None


@dataclass(frozen=True)
class _Outcome:
    """What the simulated chip did, in passes; `seconds` is the simulation's own time."""

    counters: Counters
    outputs: Mapping[str, IntegerArray]
    verification: Verification | None
    weight_path: WeightPath | None
    seconds: float
    host_traffic: HostTraffic | None
    recordings: Recordings | None


def _simulate(
    prepared: Prepared,
    chip: ChipConfig,
    frames_per_pass: int,
    modes: _Modes,
    tell: Progress,
) -> _Outcome:
    """Run all passes, the integer reference beside if `verify`, and if there is host traffic the
    times without it.
    """
    steps = quantize_inputs(prepared.program.inputs, prepared.inputs, frames_per_pass)
    result = simulate(
        prepared.program,
        chip,
        steps,
        timing_only=modes.timing_only,
        explain=modes.explain,
        host_traffic=modes.host_traffic or None,
        record=modes.record,
        progress=lambda done: tell("simulating", done, len(steps)),
    )
    verification = None
    if modes.verify and prepared.integers is not None:
        verification = _verify(prepared.integers(), steps, result.outputs, tell)
    traffic = None
    if modes.host_traffic:
        alone = simulate(
            prepared.program,
            chip,
            steps,
            timing_only=True,
            host_traffic=(),
            progress=lambda done: tell("simulating without the host", done, len(steps)),
        )
        traffic = HostTraffic(modes.host_traffic, alone.counters.step_cycles)
    return _Outcome(
        result.counters,
        result.outputs,
        verification,
        result.weight_path,
        result.seconds,
        traffic,
        result.recordings,
    )


def _silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def _per_frame(
    outputs: Mapping[str, IntegerArray], frames_per_pass: int, frames: int
) -> dict[str, IntegerArray]:
    """Outputs by frame: the frame axis of each pass joined with the passes, padding dropped."""
    if frames_per_pass == 1:
        return dict(outputs)
    return {n: a.reshape(-1, *a.shape[2:])[:frames] for n, a in outputs.items()}


def _verify(
    integers: IntegerGraph,
    steps: Sequence[Mapping[str, IntegerArray]],
    outputs: Mapping[str, IntegerArray],
    progress: Progress,
) -> Verification:
    exact, difference = 0, ""
    for number, values in enumerate(run_integers(integers, steps)):
        wrong = [n for n, a in outputs.items() if not np.array_equal(a[number], values[n])]
        exact += not wrong
        if wrong and not difference:
            difference = f"step {number}, output '{wrong[0]}'"
        progress("verifying", number + 1, len(steps))
    return Verification(len(steps), exact, difference)
