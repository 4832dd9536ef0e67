"""`azsim verify-rtl` and `azsim vectors`: the decoder's RTL against its clocked model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from azsim.codec import encode_tensor, load_stream, load_weights_npy
from azsim.codec.encode import DEFAULT_TILE_WEIGHTS
from azsim.errors import ConfigError
from azsim.program import load_program
from azsim.rtl_check import Case, Verification, verify_rtl, write_vectors
from azsim.rtl_check.real_tiles import program_tile, stream_tile
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
        typer.Option("--replay", metavar="SEED", help="Run one printed scenario: ans-128:7.23."),
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

    Data, codes and every cycle of valid and ready. Exit code 1 on a mismatch.
    """
    run = verify_rtl(cycles, rtl, seed, top, replay, vectors, output)
    if junit is not None:
        write_text(junit, junit_text(run))
    if coverage is not None:
        write_text(coverage, coverage_text(run))
    one_scenario = replay is not None or vectors is not None
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
                lines.append(f"{label} not met: {first}" + (f" and {more} more" * (more > 0)))
    for outcome in run.outcomes:
        if outcome.complaint is not None:
            lines.append(f"MISMATCH {outcome.complaint}")
        mismatch = outcome.result.mismatch
        if mismatch is not None and not outcome.job.vectors:
            lines.append(f"replay: azsim verify-rtl --replay {mismatch.label}")
    lines += [f"kept: {folder}" for folder in run.kept]
    verdict = "all held" if run.passed else "FAILED"
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
        typer.Argument(help="int8 weights .npy, weight stream .azw, or compiled program .azp."),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="Folder to write.")],
    tile: Annotated[int, typer.Option("--tile", help="Number of the tile.")] = 0,
    profile: Annotated[str, typer.Option(help="For .npy: bitmap or ans.")] = "bitmap",
    tile_weights: Annotated[
        int, typer.Option(help="For .npy: weights per tile.")
    ] = DEFAULT_TILE_WEIGHTS,
) -> None:
    """Write one tile as $readmemh text: its words, what must come out, its cycles."""
    used_profile, cases = _cases(source, tile, profile, tile_weights)
    paths = write_vectors(output, cases, used_profile)
    for bits in (64, 128):
        last = list(expected(cases, used_profile, bits))[-1]
        print(
            f"{cases[-1].name}: {len(cases[-1].words)} words, {len(last.beats)} beats out, "
            f"{last.cycles} cycles at {bits} bits"
        )
    print(f"{output}: {len(paths)} files; run them: azsim verify-rtl --vectors {output}")


def _cases(source: Path, tile: int, profile: str, tile_weights: int) -> tuple[str, list[Case]]:
    """Return (profile, cases) of tile number `tile` of a file."""
    if source.suffix == ".npy":
        weights = load_weights_npy(source)
        stream = encode_tensor(weights, profile=profile, tile=tile_weights, name=str(source))
        return profile, stream_tile(stream, tile)
    if source.suffix == ".azw":
        stream = load_stream(source)
        return stream.profile, stream_tile(stream, tile)
    if source.suffix == ".azp":
        cases = program_tile(load_program(source), tile)
        uses_tables = any(case.table for case in cases)
        return "ans" if uses_tables else "bitmap", cases
    raise ConfigError(
        f"{source}: must be .npy, .azw or .azp (azsim compile MODEL.onnx -o MODEL.azp)"
    )
