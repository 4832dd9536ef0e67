"""`azsim chips`: the chip files that travel with azsim, and any file given."""

from __future__ import annotations

from typing import Annotated

import typer

from azsim.cli.screen import plain_table, screen
from azsim.config import area_proxy, chip_names, chip_to_yaml, load_chip

chips_app = typer.Typer(invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the chip commands to `app`."""
    app.add_typer(chips_app, name="chips")


@chips_app.callback()
def chips(context: typer.Context) -> None:
    """List the chips azsim brings along.

    \b
    Examples:
      azsim chips
      azsim chips show az1
      azsim chips show az1 > mine.yaml    a file of your own to begin with
      azsim run model.onnx -i speech.wav --chip mine.yaml
    """
    if context.invoked_subcommand is not None:
        return
    table = plain_table("chip", "status", "MHz", "MACs", "decoders", "memory", "what it is")
    for name in chip_names():
        chip = load_chip(name)
        peak_bytes, per_cycles = chip.memory_peak
        gb_per_s = chip.core.clock_mhz * peak_bytes / per_cycles / 1000
        table.add_row(
            name,
            chip.status,
            str(chip.core.clock_mhz),
            f"{chip.mac_array.lanes} x {chip.mac_array.macs_per_lane}",
            f"{chip.decoder.units} {chip.decoder.profile}",
            f"{gb_per_s:.1f} GB/s",
            chip.description,
        )
    console = screen()
    console.print(table)
    console.print("assumed: our own figures; no AZ silicon number has been published.")


@chips_app.command("show")
def show(
    chip: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A shipped chip, or a file.")],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override, such as mac_array.lanes=16."),
    ] = None,
) -> None:
    """Print every parameter of a chip, its hash and its area proxy.

    \b
    Examples:
      azsim chips show az1
      azsim chips show mine.yaml --set mac_array.lanes=16
    """
    config = load_chip(chip, overrides or [])
    print(chip_to_yaml(config), end="")
    print(f"# config hash: {config.config_hash()}")
    area = area_proxy(config)
    print(f"# area proxy (assumed): {area.k_gates:.1f} k gates, {area.sram_kb:.1f} KB SRAM")
    for row in area.rows:
        print(f"#   {row.block}: {row.k_gates:.1f} k gates, {row.sram_kb:.1f} KB; {row.formula}")
