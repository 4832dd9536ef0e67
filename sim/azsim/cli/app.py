"""The command tree."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Annotated

import typer

# Where the commands are. A command's room is imported when it is wanted: all of them together take
# half a second.
ROOMS = {
    "run_commands": ("run", "demo"),
    "report_commands": ("report",),
    "compare_commands": ("compare",),
    "sweep_commands": ("sweep", "search"),
    "compress_commands": ("compress-model", "diff", "formats"),
    "model_commands": ("ops", "compile", "disasm"),
    "zoo_commands": ("zoo",),
    "chip_commands": ("chips",),
    "energy_commands": ("energy",),
    "validate_commands": ("validate",),
    "codec_commands": ("compress", "decompress", "inspect"),
    "rtl_commands": ("verify-rtl", "vectors"),
}
# The help shows the commands by what somebody wants to do, in this order.
PANELS = {
    "Simulate and explain": ("run", "demo", "report", "compare"),
    "Compare many": ("sweep", "search", "formats"),
    "Models": ("ops", "compress-model", "diff", "compile", "disasm", "zoo"),
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


@cache
def _make_app(rooms: tuple[str, ...]) -> typer.Typer:
    app = typer.Typer(
        name="azsim", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich"
    )
    app.callback()(_options)
    for room in rooms:
        import_module(f"azsim.cli.{room}").register(app)
    _set_panels(app)
    return app


def _set_panels(app: typer.Typer) -> None:
    """Sort the commands into their panels, which the help shows in the order of the commands."""
    place = {word: (panel, k) for panel, words in PANELS.items() for k, word in enumerate(words)}
    panels = list(PANELS)
    for commands in (app.registered_commands, app.registered_groups):
        for command in commands:
            command.rich_help_panel = place[str(command.name)][0]
        commands.sort(key=lambda c: (panels.index(place[str(c.name)][0]), place[str(c.name)][1]))


def full_app() -> typer.Typer:
    """The tree with all commands."""
    return _make_app(tuple(ROOMS))


def app_for(words: Sequence[str]) -> typer.Typer:
    """A tree that holds the command which the command line `words` asks for; the whole one for
    everything else, such as help, and words that are no command."""
    wanted = tuple(room for room, commands in ROOMS.items() if words and words[0] in commands)
    return _make_app(wanted) if wanted else full_app()
