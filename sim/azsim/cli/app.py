"""The command tree."""

from __future__ import annotations

from typing import Annotated

import typer

from azsim.cli import (
    chip_commands,
    codec_commands,
    compare_commands,
    compress_commands,
    energy_commands,
    model_commands,
    report_commands,
    rtl_commands,
    run_commands,
    sweep_commands,
    validate_commands,
    zoo_commands,
)

app = typer.Typer(
    name="azsim",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

# The help shows the commands by what somebody wants to do, in this order.
PANELS = {
    "Simulate and explain": ("run", "demo", "report", "compare"),
    "Compare many": ("sweep", "search", "formats"),
    "Models": ("zoo", "ops", "compress-model", "diff", "compile", "disasm"),
    "Chips, and what their figures rest on": ("chips", "energy", "validate"),
    "Weight streams and the decoder's RTL": (
        "compress",
        "decompress",
        "inspect",
        "verify-rtl",
        "vectors",
    ),
}


def _print_version(wanted: bool) -> None:
    if wanted:
        from azsim.api import azsim_version

        print(f"azsim {azsim_version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Version.")
    ] = False,
) -> None:
    """Cycle-level simulator of an edge speech chip: compressed weights, zero skipping, audio clock.

    \b
    First steps:
      azsim demo                           a spoken command on the chip az1
      azsim run model.onnx -i speech.wav   your model, every figure on screen
      azsim run model.onnx -i frames.npz --bits 5 --verify -o runs/first
      azsim report runs/first              one HTML page of it
      azsim compress-model m.onnx -o c.onnx --bits 5 --sparsity 0.5 -i frames.npz
      azsim sweep plan.yaml -o runs/sweep  many chips at once, Pareto front
      azsim COMMAND --help                 examples of each command

    docs/tutorial.md goes from an ONNX file to a chip decision in ten minutes.
    Errors are one line on standard error. Exit codes: 0 done, 1 a check
    failed, 2 something to mend, 130 interrupted.
    """


run_commands.register(app)
report_commands.register(app)
compare_commands.register(app)
compress_commands.register(app)
model_commands.register(app)
chip_commands.register(app)
energy_commands.register(app)
codec_commands.register(app)
rtl_commands.register(app)
sweep_commands.register(app)
validate_commands.register(app)
zoo_commands.register()


def _set_panels() -> None:
    """Sort the commands into their panels, which the help shows in the order of the commands."""
    place = {word: (panel, k) for panel, words in PANELS.items() for k, word in enumerate(words)}
    panels = list(PANELS)
    for commands in (app.registered_commands, app.registered_groups):
        for command in commands:
            command.rich_help_panel = place[str(command.name)][0]
        commands.sort(key=lambda c: (panels.index(place[str(c.name)][0]), place[str(c.name)][1]))


_set_panels()
