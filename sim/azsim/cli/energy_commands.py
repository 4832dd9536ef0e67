"""`azsim energy`: the energy tables, and what their rows are on a chip."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from azsim.cli.screen import plain_table, reader_may_leave, screen
from azsim.config import ChipConfig, load_chip
from azsim.energy import EnergyTable, Rate, load_rates, load_table, table_names
from azsim.energy.actions import memory_kb
from azsim.energy.amounts import AJ_PER_PJ
from azsim.energy.table import QUANTITIES, SRAM_ACCESS
from azsim.errors import ConfigError

energy_app = typer.Typer(no_args_is_help=True)
ASSUMED = "No silicon figure of an AZ chip exists: docs/energy_model.md says what these rest on."


def register(app: typer.Typer) -> None:
    """Add the energy commands to `app`."""
    app.add_typer(energy_app, name="energy", help="Energy tables: where every joule comes from.")


@energy_app.command("tables")
def tables() -> None:
    """List the energy tables azsim brings along."""
    table = plain_table("table", "kind", "rows", "what it is")
    for name in table_names():
        found = load_table(name)
        table.add_row(name, found.kind, str(len(found.rows)), found.description)
    _print(table)


@energy_app.command("show")
def show(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME|FILE", help="A shipped table, or a file.")
    ] = None,
    chip: Annotated[
        str | None,
        typer.Option(metavar="NAME|FILE", help="Instead: prices at this chip's node and voltage."),
    ] = None,
) -> None:
    """Print the rows of a table with their sources, or the prices of a chip.

    \b
    Examples:
      azsim energy show cmos
      azsim energy show mine.yaml
      azsim energy show --chip az1
    """
    if (name is None) == (chip is None):
        raise ConfigError("energy show: must have a table or --chip, and not both")
    if chip is not None:
        _print(_price_table(load_chip(chip)))
    elif name is not None:
        _print(_row_table(load_table(name)))


def _print(table: Table) -> None:
    with reader_may_leave():
        console = screen()
        console.print(table)
        console.print(ASSUMED)


def _row_table(table: EnergyTable) -> Table:
    shown = plain_table("row", "value", "range", "unit", "node", "source")
    for name, row in table.rows.items():
        shown.add_row(
            name,
            f"{row.value:g}",
            f"{row.low:g}-{row.high:g}",
            row.unit,
            f"{row.node_nm} nm, {row.voltage_mv / 1000:g} V",
            Text(row.source),
        )
    return shown


def _price_table(chip: ChipConfig) -> Table:
    logic_table, dram_table, rates = load_rates(chip)
    node = f"{chip.energy.node_nm} nm, {chip.energy.voltage_mv / 1000:g} V"
    shown = plain_table("price", "nominal pJ", "range", "at", "made of")
    for quantity in QUANTITIES["logic"]:
        if quantity != SRAM_ACCESS:
            _add_price(shown, quantity, rates.logic.of(quantity), node)
    for component, size in memory_kb(chip).items():
        label = f"bit of {component}, {size:g} KB"
        rate = Rate(rates.logic.sram_bit(size).aj, (f"rows of {SRAM_ACCESS}",))
        _add_price(shown, label, rate, node)
    for quantity, unit in QUANTITIES["dram"].items():
        power = unit == "mW"
        rate = rates.dram.power(quantity) if power else rates.dram.energy(quantity)
        label = f"{quantity}{', a ps' if power else ', a bit' if unit == 'pJ/bit' else ''}"
        _add_price(shown, label, rate, dram_table.name)
    shown.caption = f"tables {logic_table.name} and {dram_table.name}, chip {chip.name}"
    return shown


def _add_price(table: Table, label: str, rate: Rate, where: str) -> None:
    nominal, low, high = (
        value / AJ_PER_PJ for value in (rate.aj.nominal, rate.aj.low, rate.aj.high)
    )
    table.add_row(
        label, f"{nominal:.4g}", f"{low:.4g}-{high:.4g}", where, Text(", ".join(rate.rows))
    )
