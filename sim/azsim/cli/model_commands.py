"""`azsim compile`, `disasm`, `ops`, `zoo`: models and programs, without running them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from azsim.api import prepare
from azsim.cli.options import (
    BitsOption,
    CalibrateOption,
    ChipOption,
    FramesPerPassOption,
    LayerBitsOption,
    LayerSparsityOption,
    ModelArgument,
    SetOption,
    SparsityOption,
    check_out_file,
    plan_wishes,
)
from azsim.cli.progress import progress_bars
from azsim.config import load_chip
from azsim.errors import ConfigError
from azsim.frontend import read_onnx, support_table
from azsim.program import disassemble, load_program, save_program
from azsim.zoo import build_zoo, save_onnx, zoo_table

OutputOption = Annotated[Path, typer.Option("-o", "--output", help="File to write.")]

zoo_app = typer.Typer(help="List the shipped nets, or build one.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the model commands to `app`."""
    app.command("compile")(compile_model)
    app.command("disasm")(disasm)
    app.command("ops")(ops)
    app.add_typer(zoo_app, name="zoo")


def compile_model(
    model: ModelArgument,
    output: OutputOption,
    calibrate: CalibrateOption = None,
    input: Annotated[
        Path | None, typer.Option("-i", "--input", help="The same as --calibrate.")
    ] = None,
    chip: ChipOption = "az1",
    overrides: SetOption = None,
    bits: BitsOption = None,
    sparsity: SparsityOption = None,
    layer_bits: LayerBitsOption = None,
    layer_sparsity: LayerSparsityOption = None,
    frames_per_pass: FramesPerPassOption = 1,
) -> None:
    """Compile a model for a chip into a program file (.azp)."""
    frames = calibrate or input
    if frames is None:
        raise ConfigError("--calibrate: must name frames (.npz or .wav) that set activation scales")
    check_out_file(output)
    config = load_chip(chip, overrides or ())
    wishes = plan_wishes(bits, sparsity, layer_bits, layer_sparsity)
    graph = read_onnx(model)
    with progress_bars() as progress:
        program = prepare(
            graph,
            config,
            frames,
            None,
            wishes,
            None,
            progress,
            frames_per_pass=frames_per_pass,
            want_outputs=False,
            cache=False,
        ).program
    save_program(program, output)
    size = sum(layer.stream_bytes for layer in program.layers)
    print(
        f"{output}: {len(program.commands)} commands, {len(program.tiles)} tiles,"
        f" {size} stream bytes, chip {program.chip} ({program.config_hash})"
    )


def disasm(program: Annotated[Path, typer.Argument(help="Program file (.azp).")]) -> None:
    """Print a program, one command a line."""
    for line in disassemble(load_program(program)):
        print(line)


def ops() -> None:
    """Print the supported ONNX operators and their rules."""
    table = Table("operator", "becomes", "rules", show_lines=True)
    for row in support_table():
        table.add_row(row.operator, row.becomes, "\n".join(row.rules))
    Console().print(table)


@zoo_app.callback()
def zoo(context: typer.Context) -> None:
    """List the nets azsim can build."""
    if context.invoked_subcommand is not None:
        return
    table = Table("net", "parameters", "frame", "bits", "zeros", "what it is", box=None)
    for entry in zoo_table():
        table.add_row(
            entry.full_name,
            f"{entry.parameters / 1e6:.2f} M",
            f"{entry.frame_ms} ms",
            str(entry.bits),
            f"{entry.sparsity:.0%}",
            f"{entry.summary} {entry.source}",
        )
    Console().print(table)


@zoo_app.command("build")
def zoo_build(
    net: Annotated[str, typer.Argument(metavar="NAME[:PART]", help="Which net.")],
    output: OutputOption,
    bits: Annotated[int, typer.Option("--bits", help="Grid of the weights.")] = 8,
    sparsity: Annotated[float, typer.Option("--sparsity", help="Share of zeros.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the weights.")] = 1,
) -> None:
    """Write a net as float ONNX whose weights lie on the grid of `bits`, with the share of zeros."""
    check_out_file(output)
    name, _, part = net.partition(":")
    save_onnx(build_zoo(name, part or None, bits, sparsity, seed), output)
    print(f"{output}: {net}, weights of {bits} bits, {sparsity:.0%} zeros, seed {seed}")
