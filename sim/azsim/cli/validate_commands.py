"""`azsim validate`: published machines and their figures, or a caller's own arrays on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table as RichTable

from azsim.cli.options import SetOption
from azsim.cli.screen import reader_may_leave, screen
from azsim.errors import ConfigError
from azsim.validate import (
    Table,
    eie_array,
    load_numbers,
    lpddr_table,
    published_tables,
    run_eie,
    run_skip,
    run_topology,
    scalesim_table,
    table_json,
)
from azsim.validate.page import check_cells, context_cells, context_labels, verdict

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
ExpectOption = Annotated[
    int | None,
    typer.Option("--expect", metavar="CYCLES", help="Exit code 1 if the cycles are others."),
]

validate_app = typer.Typer(
    help="Simulate published machines and compare with their published figures.",
    invoke_without_command=True,
)


def register(app: typer.Typer) -> None:
    """Add the validation commands to `app`."""
    app.add_typer(validate_app, name="validate")


@validate_app.callback()
def validate(
    context: typer.Context,
    table: Annotated[
        list[str] | None, typer.Option("--table", help="Only this table. Repeatable.")
    ] = None,
    as_json: JsonOption = False,
) -> int:
    """Simulate the published tables; exit code 1 if a row leaves its tolerance."""
    if context.invoked_subcommand is not None:
        return 0
    tables = published_tables(table or ())
    with reader_may_leave():  # whether or not all is read, the exit code tells what was found
        if as_json:
            print(json.dumps([table_json(each) for each in tables], indent=2))
        else:
            _print_tables(tables)
    return 0 if all(each.passed for each in tables) else 1


@validate_app.command("eie")
def eie(
    weights: Annotated[
        Path, typer.Option("--weights", help="Matrix (rows x columns), .npy; zeros are skipped.")
    ],
    activations: Annotated[
        Path, typer.Option("--activations", help="One activation per column, .npy.")
    ],
    pe: Annotated[int, typer.Option("--pe", help="Processing elements.")] = 64,
    fifo: Annotated[int, typer.Option("--fifo", help="Size of each element's queue.")] = 8,
    expect: ExpectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Run a matrix-vector product on EIE, exact to the cycle. No bias column is added."""
    array = eie_array(pe, fifo)
    run = run_eie(load_numbers(weights), load_numbers(activations), array)
    return _show(run.counters(), expect, as_json)


@validate_app.command("skip")
def skip(
    weight_mask: Annotated[
        Path, typer.Option("--weight-mask", help="Weights or their mask (M x C), .npy.")
    ],
    activation_mask: Annotated[
        Path,
        typer.Option("--activation-mask", help="Activations or their mask, channels last, .npy."),
    ],
    expect: ExpectOption = None,
    as_json: JsonOption = False,
) -> int:
    """Count the cycles of a 1x1 layer that skips zeros on both sides (one Eyeriss v2 PE)."""
    run = run_skip(load_numbers(weight_mask), load_numbers(activation_mask))
    return _show(run.counters(), expect, as_json)


@validate_app.command("lpddr")
def lpddr(
    part: Annotated[
        str,
        typer.Option(
            "--part", metavar="NAME|FILE", help="Part: lpddr4_3200, lpddr4x_4266, ..., a file."
        ),
    ],
    as_json: JsonOption = False,
) -> int:
    """Compare the memory with the closed forms of a part's clocks; exit code 1 if one is missed."""
    table = lpddr_table(part)
    if as_json:
        print(json.dumps(table_json(table), indent=2))
    else:
        _print_tables([table])
    return 0 if table.passed else 1


@validate_app.command("scalesim")
def scalesim(
    topology: Annotated[
        Path | None,
        typer.Argument(metavar="[TOPOLOGY]", readable=False, help="Topology file, .csv."),
    ] = None,
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> int:
    """Compute cycles of a weight-stationary array as SCALE-Sim prints them, layer by layer; without
    a topology its own golden rows. `--set` changes the chip scalesim_ws.
    """
    if topology is None and overrides:
        raise ConfigError("--set: needs a topology; the golden rows are of one array")
    if topology is None:
        table = scalesim_table()
        if as_json:
            print(json.dumps(table_json(table), indent=2))
        else:
            _print_tables([table])
        return 0 if table.passed else 1
    runs = run_topology(topology, overrides or ())
    rows = [{"name": r.name, "folds": r.folds, "compute_cycles": r.printed_cycles} for r in runs]
    with reader_may_leave():
        if as_json:
            print(json.dumps(rows, indent=2))
        else:
            width = max(len(run.name) for run in runs)
            for run in runs:
                print(
                    f"{run.name:<{width}}  {run.printed_cycles:>14,} cycles in {run.folds:,} folds"
                )
    return 0


def _show(counters: dict[str, Any], expect: int | None, as_json: bool) -> int:
    """Print a run; return 1 if other cycles were expected."""
    passed = expect is None or counters["cycles"] == expect
    if expect is not None:
        counters |= {"expected_cycles": expect, "passed": passed}
    width = max(map(len, counters))
    lines = [f"{name:<{width}}  {_text(value)}" for name, value in counters.items()]
    with reader_may_leave():
        print(json.dumps(counters, indent=2) if as_json else "\n".join(lines))
    return 0 if passed else 1


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _print_tables(tables: list[Table]) -> None:
    console = screen()
    for table in tables:
        console.print(f"{table.name}: {table.title}; {table.quantity}", markup=False)
        console.print(_rich_table(table))
        tolerance = table.mean_tolerance
        limit = "" if tolerance is None else f", tolerance {tolerance:.0%}"
        limit += f": {verdict(table.mean_passed)}" if tolerance is not None else ""
        console.print(f"mean error {table.mean_error:.1%}{limit}", markup=False)
        console.print(f"source: {table.source}\n", markup=False)
    console.print("No figure of AZ silicon exists: none is compared. See docs/validation.md.")


def _rich_table(table: Table) -> RichTable:
    rich = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    rich.add_column("row", no_wrap=True)
    for head in ("published", "simulated", "error", "limit"):
        rich.add_column(head, justify="right")
    rich.add_column("result")
    labels = context_labels(table)
    for label in labels:
        rich.add_column(label, justify="right")
    for check in table.checks:
        rich.add_row(*check_cells(check), *context_cells(check, labels))
    return rich
