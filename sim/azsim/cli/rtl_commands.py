"""`azsim verify-rtl` and `azsim vectors`: the decoder's RTL against its clocked model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from azsim.cli.options import (
    BitsOption,
    LayerBitsOption,
    LayerSparsityOption,
    SetOption,
    SparsityOption,
    plan_wishes,
)
from azsim.cli.vector_sources import TileWishes, tile_cases
from azsim.rtl_check import Verification, verify_rtl, write_vectors
from azsim.rtl_check.reports import coverage_text, junit_text, write_text
from azsim.rtl_check.runner import DEFAULT_CYCLES, Outcome
from azsim.rtl_check.sources import DEFAULT_TOP
from azsim.rtl_check.vectors import expected

NAMED_GOALS = 8
"""Unmet coverage goals named per configuration; the coverage file has all."""


def register(app: typer.Typer) -> None:
    """Add the RTL commands to `app`."""
    app.command("verify-rtl")(verify)
    app.command("vectors")(vectors)


def verify(
    cycles: Annotated[
        int, typer.Option("--cycles", help="Cycles to compare, over all configurations.")
    ] = DEFAULT_CYCLES,
    rtl: Annotated[
        Path | None, typer.Option("--rtl", metavar="FOLDER", help="A copy of the project's rtl/.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seed of all scenarios.")] = 1,
    top: Annotated[
        str, typer.Option("--top", metavar="NAME", help="Module with the decoder's ports.")
    ] = DEFAULT_TOP,
    replay: Annotated[
        str | None,
        typer.Option(
            "--replay",
            metavar="SEED",
            help="Run again what was printed: one scenario, such as ans-128:7.23, or a seed.",
        ),
    ] = None,
    vectors: Annotated[
        Path | None,
        typer.Option("--vectors", metavar="DIR", help="Run the tiles of a folder of vectors."),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML.")
    ] = None,
    coverage: Annotated[
        Path | None,
        typer.Option("--coverage", metavar="FILE", help="Write functional coverage, JSON."),
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Where failing cases are kept.")
    ] = Path("rtl-failures"),
) -> None:
    """Run the decoder's RTL in lockstep with the clocked model (Icarus Verilog, cocotb).

    Data, codes and every cycle of valid and ready. Exit code 1 on a mismatch
    or, from 20,000 cycles on, on a coverage goal that was not met.
    """
    run = verify_rtl(cycles, rtl, seed, top, replay, vectors, output)
    if junit is not None:
        write_text(junit, junit_text(run))
    if coverage is not None:
        write_text(coverage, coverage_text(run))
    one_scenario = (replay is not None and not replay.isdigit()) or vectors is not None
    for line in report_lines(run, with_coverage=not one_scenario):
        print(line)
    if not run.passed:
        raise typer.Exit(1)


def report_lines(run: Verification, with_coverage: bool) -> list[str]:
    """Return what is printed of a run."""
    lines = [f"seed {run.outcomes[0].job.seed}"]
    lines += [_outcome_line(outcome, with_coverage) for outcome in run.outcomes]
    if with_coverage:
        for outcome in run.outcomes:
            if outcome.missing:
                label = outcome.job.configuration.label
                first = ", ".join(outcome.missing[:NAMED_GOALS])
                more = len(outcome.missing) - NAMED_GOALS
                what = "not met" if run.full else "not reached"
                lines.append(f"{label} {what}: {first}" + (f" and {more} more" * (more > 0)))
    for outcome in run.outcomes:
        if outcome.complaint is not None:
            lines.append(f"MISMATCH {outcome.complaint}")
        mismatch = outcome.result.mismatch
        if mismatch is not None and not outcome.job.vectors:
            lines.append(f"replay: azsim verify-rtl --replay {mismatch.label}")
    lines += [f"kept: {folder}" for folder in run.kept]
    verdict = "all held" if run.passed else "FAILED"
    if run.held and not run.passed:
        verdict = "all held, but goals not met: FAILED"
    lines.append(f"{run.cycles} cycles compared: {verdict}")
    return lines


def _outcome_line(outcome: Outcome, with_coverage: bool) -> str:
    result = outcome.result
    line = (
        f"{outcome.job.configuration.label:<11} {result.cycles:>8} cycles  "
        f"{len(result.scenarios):>4} scenarios  {'pass' if outcome.complaint is None else 'FAIL'}"
    )
    if with_coverage:
        line += f"  coverage {outcome.goals - len(outcome.missing)} of {outcome.goals}"
    return line


def vectors(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            readable=False,
            help="Model .onnx, int8 weights .npy, weight stream .azw, or compiled program .azp.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")],
    tile: Annotated[
        int, typer.Option("--tile", metavar="N", help="Number of the tile, from 0 on.")
    ] = 0,
    profile: Annotated[
        str | None, typer.Option(help="For .npy: bitmap or ans; default: bitmap.")
    ] = None,
    tile_weights: Annotated[
        int | None, typer.Option(help="For .npy: weights per tile; default as azsim compress.")
    ] = None,
    chip: Annotated[
        str | None,
        typer.Option("--chip", metavar="NAME|FILE", help="For .onnx: chip; default: az1."),
    ] = None,
    overrides: SetOption = None,
    bits: BitsOption = None,
    sparsity: SparsityOption = None,
    layer_bits: LayerBitsOption = None,
    layer_sparsity: LayerSparsityOption = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            metavar="FILE",
            readable=False,
            help="For .onnx: frames that set activation scales; the weights do not need them.",
        ),
    ] = None,
) -> None:
    """Write one tile as $readmemh text: its words, what must come out and when.

    A model is compiled for the chip as `azsim run` does; tile N is the N-th
    that a step of the program decodes.

    \b
    Examples:
      azsim vectors model.onnx --bits 5 --sparsity 0.5 --tile 3 -o vectors
      azsim vectors weights.npy --profile ans -o vectors
      azsim verify-rtl --vectors vectors
    """
    plan = plan_wishes(bits, sparsity, layer_bits, layer_sparsity)
    wishes = TileWishes(tile, profile, tile_weights, chip, overrides, calibrate, plan)
    used_profile, cases = tile_cases(source, wishes)
    paths = write_vectors(output, cases, used_profile)
    for bits_of_port in (64, 128):
        last = list(expected(cases, used_profile, bits_of_port))[-1]
        print(
            f"{cases[-1].name}: {len(cases[-1].words)} words, {len(last.beats)} beats out, "
            f"{last.cycles} cycles at {bits_of_port} bits"
        )
    print(f"{output}: {len(paths)} files; run them: azsim verify-rtl --vectors {output}")
