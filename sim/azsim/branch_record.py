"""From a run of a model with branches to its record, as `azsim.api.run` returns it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from azsim.branch_run import BranchOutcome, Progress, run_branches
from azsim.config import ChipConfig
from azsim.config.host_traffic import TrafficPattern
from azsim.engine.branching import DECISION, joined_counters
from azsim.engine.warm import Warming
from azsim.errors import ConfigError
from azsim.frontend import Inputs, load_inputs, own_inputs
from azsim.frontend.branches import BranchedModel
from azsim.program import LayerInfo, Program
from azsim.report.files import write_run
from azsim.report.record import BranchTrace, RunRecord, Verification
from azsim.run_setting import PlanWishes, all_sqnr, azsim_version, frame_time, seeds_of


def refuse_with_branches(
    frames_per_pass: int, explain: bool, patterns: Sequence[TrafficPattern], trace: bool
) -> None:
    """What a model with an If cannot have: one line that names the option."""
    for option, given in (
        ("--frames-per-pass", frames_per_pass != 1),
        ("--explain", explain),
        ("--host-traffic", bool(patterns)),
        ("--trace", trace),
    ):
        if given:
            raise ConfigError(f"{option}: must be left out for a model with branches (If)")


@dataclass(frozen=True)
class BranchWishes:
    """What is wanted of a run of a model with branches."""

    input: str | Path | Inputs | None
    frames: int | None
    plan: PlanWishes
    calibrate: str | Path | Inputs | None
    frame_ms: float | None
    timing_only: bool
    verify: bool
    allow_unused: bool
    out: str | Path | None
    figures: str
    html: bool


def run_branched(
    model: BranchedModel, chip: ChipConfig, wishes: BranchWishes, tell: Progress
) -> RunRecord:
    """`azsim.api.run` for a model with an If."""
    period_ms, source = frame_time(model.given, wishes.frame_ms)
    plan = wishes.plan.plan(model.given)
    inputs, others = wishes.input, wishes.calibrate
    if inputs is None:
        inputs = own_inputs(model.given, wishes.frames)
    if isinstance(inputs, str | Path):
        inputs = load_inputs(inputs, model.given, wishes.frames)
    if isinstance(others, str | Path):
        others = load_inputs(others, model.given, None)
    with Warming() as warming:
        tell("compiling kernels", 0, 1)
        warming.wait()
        tell("compiling kernels", 1, 1)
    began = time.perf_counter()
    outcome = run_branches(
        model, chip, inputs, others, plan,
        verify=wishes.verify, allow_unused=wishes.allow_unused, tell=tell,
    )  # fmt: skip
    record = RunRecord(
        model=model.file,
        chip=chip,
        program=_joined_program(model, outcome),
        counters=joined_counters(outcome.result),
        frame_ms=period_ms,
        frame_ms_source=source,
        input_source=inputs.source_text,
        calibration=_calibration_text(others),
        bits=plan.bits,
        sparsity=plan.sparsity,
        timing_only=wishes.timing_only,
        version=azsim_version(),
        frames=inputs.steps,
        plan=plan.to_json(),
        seeds=seeds_of(model.given),
        wall_seconds=time.perf_counter() - began,
    )
    record = replace(record, branches=_branch_trace(model, outcome, record))
    if not wishes.timing_only:
        program, integers = record.program, outcome.result.outputs
        record = replace(
            record,
            integers=integers,
            sqnr_db=all_sqnr(program, integers, outcome.floats.outputs),
            verification=None
            if outcome.exact is None
            else Verification(inputs.steps, outcome.exact, outcome.first_difference),
        )
    if wishes.out is not None:
        write_run(record, Path(wishes.out), wishes.figures, wishes.html)
    return record


def _calibration_text(others: Inputs | None) -> str:
    if others is None:
        return "the run's own input"
    return others.source_text.removesuffix("steps") + "frames"


def _joined_program(model: BranchedModel, outcome: BranchOutcome) -> Program:
    """The parts' layers and the model's ports, for reports; no commands of its own."""
    layers = [
        replace(layer, name=f"{name}/{layer.name}")
        for name, part in outcome.parts.items()
        for layer in part.program.layers
    ]
    first = outcome.parts["arbitrator"].program
    return replace(
        first,
        name=model.given.name,
        layers=(*layers, LayerInfo(DECISION, "Branch")),
        commands=first.commands[:0],
        tiles=first.tiles[:0],
        inputs=tuple(outcome.ports[name] for name in model.given.inputs),
        outputs=tuple(outcome.ports[name] for name in model.outputs),
    )


def _branch_trace(model: BranchedModel, outcome: BranchOutcome, whole: RunRecord) -> BranchTrace:
    result = outcome.result
    agrees = sum(a == b for a, b in zip(result.chosen, outcome.floats.chosen, strict=True))
    parts = {
        name: replace(
            whole,
            model=f"{whole.model}, {name}",
            chip=part.chip,
            program=part.program,
            counters=result.counters[name],
            frames=result.counters[name].frames,
            timing_only=True,
        )
        for name, part in outcome.parts.items()
    }
    return BranchTrace(
        model.node, result.chosen, result.arbitrator_cycles, result.branch_cycles,
        result.decision_cycles, agrees, parts,
    )  # fmt: skip
