"""The command tree."""

from __future__ import annotations

from typing import Annotated

import typer

from azsim.cli import chip_commands, codec_commands, model_commands, run_commands

app = typer.Typer(
    name="azsim",
    help="Cycle-level simulator of an edge speech chip: compressed weights, zero skipping, audio clock.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


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
    """Cycle-level simulator of an edge speech chip."""


run_commands.register(app)
model_commands.register(app)
chip_commands.register(app)
codec_commands.register(app)
