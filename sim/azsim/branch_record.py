"""From a run of a model with branches to its record, as `azsim.api.run` returns it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from azsim.branch_run import BranchOutcome, Progress, prepare_branches, run_branches
from azsim.calibration import calibration_text
from azsim.config import ChipConfig
from azsim.config.host_traffic import TrafficPattern
from azsim.engine.branching import ARBITRATOR, DECISION, BranchModes, joined_counters
from azsim.engine.warm import Warming
from azsim.errors import ConfigError
from azsim.frontend import Inputs, load_inputs, own_inputs
from azsim.frontend.branches import BRANCHES, BranchedModel
from azsim.preparing import check_frames
from azsim.program import LayerInfo, Program
from azsim.report.files import write_run
from azsim.report.record import BranchTrace, RunRecord, Verification
from azsim.report.trace import TraceWish, write_trace
from azsim.run_setting import PlanWishes, all_sqnr, azsim_version, frame_time, seeds_of
from azsim.session import Session


def refuse_with_branches(frames_per_pass: int, patterns: Sequence[TrafficPattern]) -> None:
    """Refuse what a model with an If cannot have: one line that names the option."""
    if frames_per_pass != 1:
        raise ConfigError(
            "--frames-per-pass: must be 1 for a model with branches (If): each frame chooses its"
            f" own, not {frames_per_pass}"
        )
    if patterns:
        raise ConfigError(
            "--host-traffic: must be left out for a model with branches (If): its parts share no"
            " time of the memory"
        )


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
    explain: bool
    trace: TraceWish | None
    session: Session | None


def run_branched(
    model: BranchedModel, chip: ChipConfig, wishes: BranchWishes, tell: Progress
) -> RunRecord:
    """`azsim.api.run` for a model with an If."""
    check_frames(wishes.frames)
    period_ms, source = frame_time(model.given, wishes.frame_ms)
    plan = wishes.plan.plan(model.given)
    inputs, others = wishes.input, wishes.calibrate
    if inputs is None:
        inputs = own_inputs(model.given, wishes.frames)
    if isinstance(inputs, str | Path):
        inputs = load_inputs(inputs, model.given, wishes.frames)
    if isinstance(others, str | Path):
        others = load_inputs(others, model.given, None)
    modes = BranchModes(
        None if wishes.trace is None else wishes.trace.plan(inputs.steps, 1), wishes.explain
    )
    with Warming() as warming:  # a first run compiles kernels beside its own work
        prepared = prepare_branches(model, chip, inputs, others, plan, tell, wishes.session)
        tell("compiling kernels", 0, 1)
        warming.wait()
        tell("compiling kernels", 1, 1)
    outcome = run_branches(
        model, chip, prepared, inputs,
        verify=wishes.verify, allow_unused=wishes.allow_unused, modes=modes, tell=tell,
    )  # fmt: skip
    record = RunRecord(
        model=model.file,
        chip=chip,
        program=_joined_program(model, outcome),
        counters=joined_counters(outcome.result),
        frame_ms=period_ms,
        frame_ms_source=source,
        input_source=inputs.source_text,
        calibration=calibration_text(others),
        bits=plan.bits,
        sparsity=plan.sparsity,
        timing_only=wishes.timing_only,
        version=azsim_version(),
        frames=inputs.steps,
        plan=plan.to_json(),
        seeds=seeds_of(model.given),
        wall_seconds=outcome.result.seconds,
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
    if wishes.trace is not None:
        write_trace(record, wishes.trace.path, wishes.trace.unit)
    if wishes.out is not None:
        write_run(record, Path(wishes.out), wishes.figures, wishes.html)
    return record


def _joined_program(model: BranchedModel, outcome: BranchOutcome, branch: str = "") -> Program:
    """The layers of all parts, or of the arbitrator and one branch, and the model's ports, for
    reports; no commands of its own."""
    layers = [
        replace(layer, name=f"{name}/{layer.name}")
        for name, part in outcome.parts.items()
        if not branch or name in (ARBITRATOR, branch)
        for layer in part.program.layers
    ]
    first = outcome.parts[ARBITRATOR].program
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
            recordings=result.recordings.get(name),
            weight_path=result.weight_paths.get(name),
        )
        for name, part in outcome.parts.items()
    }
    frames_of = {
        name: replace(
            whole,
            program=_joined_program(model, outcome, name),
            counters=joined_counters(result, name),
            frames=result.counters[name].frames,
            timing_only=True,
        )
        for name in BRANCHES
    }
    return BranchTrace(
        model.node, result.chosen, result.arbitrator_cycles, result.branch_cycles,
        result.dram_bytes, result.decision_cycles, agrees, parts, frames_of,
    )  # fmt: skip
