"""`azsim compile` for a model that chooses a branch in each step: a program file of each part."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from azsim._atomic import replaced_file
from azsim.branch_run import Progress, check_taken, prepare_branches
from azsim.config import ChipConfig
from azsim.engine.branching import ARBITRATOR, BranchPart
from azsim.frontend import load_inputs
from azsim.frontend.branches import BRANCHES, BranchedModel
from azsim.program import save_program
from azsim.run_setting import PlanWishes


def part_files(output: Path) -> dict[str, Path]:
    """Return the files of the parts: net.azp becomes net.arbitrator.azp, net.then.azp and
    net.else.azp."""
    suffix = output.suffix
    return {
        name: output.with_name(f"{output.name.removesuffix(suffix)}.{name}{suffix}")
        for name in (ARBITRATOR, *BRANCHES)
    }


def compile_branched(
    model: BranchedModel,
    chip: ChipConfig,
    frames: str | Path,
    wishes: PlanWishes,
    output: Path,
    *,
    allow_unused: bool,
    tell: Progress,
) -> tuple[dict[str, BranchPart], dict[str, int]]:
    """Compile the parts for `chip`, scales set by `frames`, and write them beside `output`: all
    files or none. Return the parts, and how many frames the float model gives to each branch.

    Raises:
        ConfigError: a branch that the float model never takes in these frames, unless
            `allow_unused`; a file that cannot be written. CompileError: as `prepare_branches`.
    """
    inputs = load_inputs(frames, model.given, None)
    prepared = prepare_branches(model, chip, inputs, None, wishes.plan(model.given), tell)
    chosen = prepared.floats.chosen
    check_taken(model, chosen, allow_unused)
    _save(prepared.parts, part_files(output))
    return dict(prepared.parts), {name: chosen.count(name) for name in BRANCHES}


def _save(parts: Mapping[str, BranchPart], files: Mapping[str, Path]) -> None:
    with ExitStack() as stack:
        places = {name: stack.enter_context(replaced_file(path)) for name, path in files.items()}
        for name, place in places.items():
            save_program(parts[name].program, place)
