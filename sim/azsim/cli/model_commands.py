"""`azsim compile`, `disasm`, `ops`, `zoo`: models and programs, without running them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from azsim.api import PlanWishes
from azsim.branch_compile import compile_branched, part_files
from azsim.branch_record import refuse_with_branches
from azsim.cli.completing import complete_net
from azsim.cli.options import (
    BitsOption,
    CalibrateOption,
    ChipOption,
    DimOption,
    FramesPerPassOption,
    LayerBitsOption,
    LayerSparsityOption,
    ModelArgument,
    SetOption,
    SparsityOption,
    UnusedBranchOption,
    check_out_file,
    dim_sizes,
    plan_wishes,
)
from azsim.cli.progress import progress_bars
from azsim.cli.screen import plain_table, screen
from azsim.config import ChipConfig, load_chip
from azsim.errors import ConfigError
from azsim.frontend import support_table
from azsim.frontend.branches import BranchedModel, read_either
from azsim.graph.text import one_line, quoted
from azsim.preparing import compile_program
from azsim.program import Program, disassemble, load_program, save_program
from azsim.report.placement import placement_lines
from azsim.zoo import build_zoo, find_entry, save_onnx, zoo_table

OutputOption = Annotated[
    Path, typer.Option("-o", "--output", metavar="FILE", help="File to write.")
]

zoo_app = typer.Typer(invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the model commands to `app`."""
    app.command("compile")(compile_model)
    app.command("disasm")(disasm)
    app.command("ops")(ops)


def compile_model(
    model: ModelArgument,
    output: OutputOption,
    calibrate: CalibrateOption = None,
    input: Annotated[
        Path | None,
        typer.Option(
            "-i", "--input", metavar="FILE", readable=False, help="The same as --calibrate."
        ),
    ] = None,
    chip: ChipOption = "az1",
    overrides: SetOption = None,
    bits: BitsOption = None,
    sparsity: SparsityOption = None,
    layer_bits: LayerBitsOption = None,
    layer_sparsity: LayerSparsityOption = None,
    frames_per_pass: FramesPerPassOption = 1,
    dim: DimOption = None,
    allow_unused_branch: UnusedBranchOption = False,
) -> None:
    """Compile a model for a chip into a program file (.azp).

    The frames set the scales of the activations, as the input of `azsim run`
    does. `azsim disasm` shows the program. A model with an If becomes three
    programs: model.arbitrator.azp, model.then.azp, model.else.azp.

    \b
    Examples:
      azsim compile model.onnx -i speech.wav -o model.azp
      azsim compile model.onnx -i frames.npz --bits 5 -o model.azp
    """
    if calibrate is not None and input is not None:
        raise ConfigError("--input: must not be given beside --calibrate, which it stands for")
    frames = calibrate or input
    if frames is None:
        raise ConfigError("--calibrate: must name frames (.npz or .wav) that set activation scales")
    check_out_file(output)
    config = load_chip(chip, overrides or ())
    wishes = plan_wishes(bits, sparsity, layer_bits, layer_sparsity)
    graph = read_either(model, dim_sizes(dim))
    if isinstance(graph, BranchedModel):
        refuse_with_branches(frames_per_pass, ())
        _compile_parts(graph, config, frames, wishes, output, allow_unused_branch)
        return
    with progress_bars() as progress:
        program = compile_program(graph, config, frames, wishes, progress, frames_per_pass)
    save_program(program, output)
    _print_program(output, program, config)


def _print_program(path: Path, program: Program, chip: ChipConfig) -> None:
    size = sum(layer.stream_bytes for layer in program.layers)
    print(
        f"{one_line(str(path))}: {len(program.commands)} commands, {len(program.tiles)} tiles,"
        f" {size} stream bytes, chip {program.chip} ({program.config_hash})"
    )
    for line in placement_lines(program, chip.weight_store.capacity_kb * 1024):
        print(line)


def _compile_parts(
    model: BranchedModel,
    chip: ChipConfig,
    frames: Path,
    wishes: PlanWishes,
    output: Path,
    allow_unused: bool,
) -> None:
    """Compile arbitrator and branches into files of their own."""
    files = part_files(output)
    for path in files.values():
        check_out_file(path)
    with progress_bars() as progress:
        parts, counts = compile_branched(
            model, chip, frames, wishes, output, allow_unused=allow_unused, tell=progress
        )
    for name, part in parts.items():
        _print_program(files[name], part.program, part.chip)
    shares = ", ".join(f"{name} {count}" for name, count in counts.items())
    store = ", ".join(f"{n} {part.chip.weight_store.capacity_kb}" for n, part in parts.items())
    print(
        f"node {quoted(model.node)} (If): the float model takes {shares} of"
        f" {sum(counts.values())} frames; weight store in KB: {store}"
    )


def disasm(
    program: Annotated[
        Path, typer.Argument(metavar="FILE", readable=False, help="Program file (.azp).")
    ],
) -> None:
    """Print a program, one command a line.

    \b
    Examples:
      azsim disasm model.azp | less
      azsim disasm model.azp | grep PRODUCT
    """
    for line in disassemble(load_program(program)):
        print(line)


def ops() -> None:
    """Print the supported ONNX operators and their rules.

    Anything else is refused with the name of the node; no model is simulated
    in part.
    """
    table = Table("operator", "becomes", "rules", show_lines=True)
    for row in support_table():
        table.add_row(row.operator, row.becomes, "\n".join(row.rules))
    screen().print(table)


@zoo_app.callback()
def zoo(
    context: typer.Context,
    long: Annotated[bool, typer.Option("--long", help="Say of each net what it is.")] = False,
) -> None:
    """List the nets azsim can build.

    \b
    Examples:
      azsim zoo
      azsim zoo --long
      azsim zoo build rnnt_alexa_l:encoder --bits 5 --sparsity 0.5 -o encoder.onnx
    """
    if context.invoked_subcommand is not None:
        return
    table = plain_table(
        "net", "shapes", "parameters", "MACs a frame", "frame", "bits", "zeros",
        numbers=("parameters", "MACs a frame", "frame", "bits"),
    )  # fmt: skip
    for entry in zoo_table():
        table.add_row(
            entry.full_name,
            entry.label,
            f"{entry.parameters / 1e6:.2f} M",
            f"{entry.macs / 1e6:.2f} M",
            f"{entry.frame_ms} ms",
            str(entry.bits),
            f"{entry.sparsity:.0%}",
        )
    console = screen()
    console.print(table)
    for entry in zoo_table() if long else ():
        console.print(f"\n{entry.full_name}: {entry.summary}", markup=False)


@zoo_app.command("build")
def zoo_build(
    net: Annotated[
        str,
        typer.Argument(metavar="NAME[:PART]", help="Which net.", autocompletion=complete_net),
    ],
    output: OutputOption,
    bits: Annotated[int, typer.Option("--bits", help="Grid of the weights.")] = 8,
    sparsity: Annotated[float, typer.Option("--sparsity", help="Share of zeros.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the weights.")] = 1,
) -> None:
    """Write a net as float ONNX with random weights (tiny_rnnt: trained ones).

    The weights lie on the grid of `--bits` and have exactly the share of
    zeros (trained ones: at least). The file says so itself: `azsim run` takes
    both from there.

    \b
    Examples:
      azsim zoo build tiny_lstm -o tiny.onnx
      azsim zoo build rnnt_mlperf:joint --bits 5 --seed 7 -o joint.onnx
    """
    check_out_file(output)
    name, _, part = net.partition(":")
    save_onnx(build_zoo(name, part or None, bits, sparsity, seed), output)
    origin = "trained" if find_entry(name, part or None).trained else f"seed {seed}"
    print(f"{one_line(str(output))}: {net}, weights of {bits} bits, {sparsity:.0%} zeros, {origin}")
