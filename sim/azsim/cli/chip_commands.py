"""`azsim chips`: the chip files that travel with azsim, and any file given."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from azsim.config import area_proxy, chip_names, chip_to_yaml, load_chip

chips_app = typer.Typer(help="List the chips, or show one.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the chip commands to `app`."""
    app.add_typer(chips_app, name="chips")


@chips_app.callback()
def chips(context: typer.Context) -> None:
    """List the chips azsim brings along."""
    if context.invoked_subcommand is not None:
        return
    table = Table("chip", "status", "MHz", "MACs", "decoders", "memory", "what it is", box=None)
    for name in chip_names():
        chip = load_chip(name)
        simple = chip.memory.simple
        gb_per_s = chip.core.clock_mhz * simple.bytes / simple.per_cycles / 1000
        table.add_row(
            name,
            chip.status,
            str(chip.core.clock_mhz),
            f"{chip.mac_array.lanes} x {chip.mac_array.macs_per_lane}",
            f"{chip.decoder.units} {chip.decoder.profile}",
            f"{gb_per_s:.1f} GB/s",
            chip.description,
        )
    console = Console()
    console.print(table)
    console.print("assumed: our own figures; no AZ silicon number has been published.")


@chips_app.command("show")
def show(
    chip: Annotated[str, typer.Argument(help="Name of a chip, or a chip file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override, such as mac_array.lanes=16."),
    ] = None,
) -> None:
    """Print every parameter of a chip, its hash and its area proxy."""
    config = load_chip(chip, overrides or [])
    print(chip_to_yaml(config), end="")
    print(f"# config hash: {config.config_hash()}")
    area = area_proxy(config)
    print(f"# area proxy (assumed): {area.k_gates:.1f} k gates, {area.sram_kb:.1f} KB SRAM")
    for row in area.rows:
        print(f"#   {row.block}: {row.k_gates:.1f} k gates, {row.sram_kb:.1f} KB; {row.formula}")
