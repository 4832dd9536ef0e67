"""`azsim zoo run`: shipped nets on a chip, one row each. `azsim zoo topology`: SCALE-Sim's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from azsim._atomic import replaced_file
from azsim.cli.model_commands import zoo_app
from azsim.cli.options import ChipOption, SetOption
from azsim.cli.screen import plain_table, reader_may_leave, screen
from azsim.cli.sweep_commands import check_packages, counting_bar
from azsim.config import load_chip
from azsim.errors import ConfigError
from azsim.frontend import random_inputs, read_topology, topology_graph, topology_model
from azsim.graph.text import one_line
from azsim.zoo import save_onnx

if TYPE_CHECKING:  # loaded when used: it takes its time, and may be missing
    from azsim.sweep.table import Row
    from azsim.sweep.zoo_run import ZooResult

CHECK_FAILED = 1
_PJ_PER_MJ, _BYTES_PER_MB = 1e9, 1e6


def register(app: typer.Typer) -> None:
    """Add `azsim zoo` to `app`."""
    app.add_typer(zoo_app, name="zoo")


@zoo_app.command("run")
def zoo_run(
    nets: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME[:PART]]...", help="Which nets.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every net of the list.")] = False,
    chip: ChipOption = "az1",
    overrides: SetOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            metavar="DIR",
            help="Folder for results; may be continued; default: runs/zoo_CHIP.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", metavar="N", help="Processes; default: the cores.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", metavar="N", help="Steps of each net; default: 4, large nets 2."),
    ] = None,
) -> int:
    """Run nets of the list on a chip: cycles, bound, real time, energy, exact or not.

    Each net is built with the bits and zeros of the list, runs over seeded
    random frames, and every output is compared with the integer reference.
    Killed at any moment, the same command goes on with what is missing.
    A net that cannot be run, or is not exact, is a row with the reason;
    the exit code is then 1.

    \b
    Examples:
      azsim zoo run --all --chip az1
      azsim zoo run tiny_lstm rnnt_mlperf:joint --chip az2 -o runs/two
      azsim zoo run --all --chip az1 --set decoder.units=4 -o runs/four --workers 2
    """  # fmt: skip
    if every == bool(nets):
        raise ConfigError("--all: must be given, or else names of nets, and not both")
    check_packages()
    from azsim.sweep.zoo_run import run_zoo

    config = load_chip(chip, overrides or ())
    folder = out if out is not None else Path("runs") / f"zoo_{config.name}"
    with counting_bar("nets") as progress:
        result = run_zoo(
            nets or (), config, folder, workers=workers, steps=steps, progress=progress
        )
    _show(result, config.name)
    return CHECK_FAILED if result.failed else 0


def _show(result: ZooResult, chip: str) -> None:
    with reader_may_leave():
        table = plain_table(
            "net", "cycles/step", "x bound", "bound by", "RTF", "mJ/step", "DRAM MB", "exact",
            numbers=("cycles/step", "x bound", "RTF", "mJ/step", "DRAM MB"),
        )  # fmt: skip
        for row in result.rows:
            table.add_row(*_cells(row))
        screen().print(table, markup=False)
        for row in result.failed:
            print(f"failed: {row['net']}: {one_line(str(row['error']))}")
        print(
            f"{len(result.rows)} nets on {chip}: {result.computed} run, {result.found} found in the"
            f" journal, {len(result.failed)} failed; chips and weights are assumptions"
        )
        print(f"written: {one_line(str(result.out))}")


def _cells(row: Row) -> tuple[str, ...]:
    if row["cycles"] is None:
        return (str(row["net"]), *[""] * 6, "failed")
    moved = _number(row["dram_bytes_read"]) + _number(row["dram_bytes_written"])
    return (
        str(row["net"]),
        f"{_number(row['cycles_per_step']):,.0f}",
        f"{_number(row['cycles_over_bound']):.2f}",
        str(row["bound_by"]),
        f"{_number(row['real_time_factor']):.4f}",
        f"{_number(row['energy_per_step_pj']) / _PJ_PER_MJ:.4f}",
        f"{moved / _number(row['steps']) / _BYTES_PER_MB:.3f}",
        str(row["bit_exact"]),
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


@zoo_app.command("topology")
def zoo_topology(
    topology: Annotated[
        Path, typer.Argument(metavar="TOPOLOGY", readable=False, help="Topology file, .csv.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="ONNX file to write.")
    ],
    frames: Annotated[
        Path | None,
        typer.Option("--frames", metavar="FILE", help="Also one frame of random inputs, .npz."),
    ] = None,
) -> int:
    """Write a topology file of SCALE-Sim as float ONNX with seeded random weights.

    Each row becomes a matrix product of its own, as `azsim run TOPOLOGY.csv`
    takes it.

    \b
    Example:
      azsim zoo topology alexnet.csv -o alexnet.onnx --frames alexnet.npz
    """
    if frames is not None and frames.resolve() == output.resolve():
        raise ConfigError("--frames: must be another file than --output")
    graph = topology_graph(topology.name, read_topology(topology))
    save_onnx(topology_model(graph), output)
    if frames is not None:
        with replaced_file(frames) as part, part.open("wb") as file:
            np.savez(file, allow_pickle=False, **random_inputs(graph).frames)
    with reader_may_leave():
        print(f"written: {one_line(str(output))} ({len(graph.nodes)} layers)")
    return 0
