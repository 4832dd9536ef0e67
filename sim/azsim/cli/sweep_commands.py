"""`azsim sweep` and `azsim search`: many runs of one plan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from azsim.cli.screen import plain_table, reader_may_leave, screen
from azsim.errors import ConfigError
from azsim.graph.text import one_line

if TYPE_CHECKING:  # loaded when used: pyarrow and scipy take their time, and may be missing
    from azsim.sweep import SweepResult
    from azsim.sweep.run import Progress as SweepProgress

_SHOWN_FRONT = 12

PlanArgument = Annotated[
    Path, typer.Argument(metavar="PLAN", readable=False, help="Plan, YAML (docs/sweeps.md).")
]
OutOption = Annotated[
    Path, typer.Option("-o", "--out", metavar="DIR", help="Folder for results; may be continued.")
]
WorkersOption = Annotated[
    int | None,
    typer.Option("--workers", metavar="N", help="Processes, or batch jobs; default: the cores."),
]
SchedulerOption = Annotated[
    str | None,
    typer.Option("--scheduler", metavar="ADDRESS", help="Dask scheduler: tcp://10.0.0.1:8786."),
]
ClusterOption = Annotated[
    str | None,
    typer.Option("--cluster", metavar="SYSTEM", help="Start Dask workers by slurm, lsf or pbs."),
]


def register(app: typer.Typer) -> None:
    """Add the sweep commands to `app`."""
    app.command("sweep")(sweep)
    app.command("search")(search)


def sweep(
    plan: PlanArgument,
    out: OutOption,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    cluster: ClusterOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Run more than 10,000 points.")] = False,
) -> int:
    """Run every point of a plan of axes: one table, the Pareto front, figures.

    Killed at any moment, the same command goes on with what is missing.
    A point that cannot be run is a row with the reason.

    \b
    Examples:
      azsim sweep plan.yaml -o runs/sweep
      azsim sweep plan.yaml -o runs/sweep --workers 8
      azsim sweep plan.yaml -o runs/sweep --scheduler tcp://10.0.0.1:8786
      azsim sweep plan.yaml -o runs/sweep --cluster slurm --workers 20
    """
    check_packages()
    from azsim.sweep import Workers, run_sweep

    with counting_bar("points") as progress:
        result = run_sweep(
            plan, out, Workers(workers, scheduler, cluster), yes=yes, progress=progress
        )
    _show(result)
    return 0


def search(
    plan: PlanArgument,
    out: OutOption,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = None,
    cluster: ClusterOption = None,
    trials: Annotated[
        int | None,
        typer.Option("--trials", metavar="N", help="Trials in all; default: the plan's."),
    ] = None,
    storage: Annotated[
        str | None,
        typer.Option(
            "--storage", metavar="FILE|URL", help="Where the study is kept; default: in DIR."
        ),
    ] = None,
    study: Annotated[
        str, typer.Option("--study", metavar="NAME", help="Name of the study in the storage.")
    ] = "azsim",
) -> int:
    """Look for the Pareto front of a plan without running every point (Optuna).

    A study that is there already is continued, also from several machines
    that share its storage.

    \b
    Examples:
      azsim search plan.yaml -o runs/search --trials 100
      azsim search plan.yaml -o runs/search --storage sqlite:///study.db
    """
    check_packages()
    from azsim.sweep import Workers, run_search

    with counting_bar("trials") as progress:
        result = run_search(
            plan,
            out,
            Workers(workers, scheduler, cluster),
            trials=trials,
            storage=storage,
            study=study,
            progress=progress,
        )
    _show(result)
    return 0


def check_packages() -> None:
    try:
        import optuna  # noqa: F401
        import pyarrow  # noqa: F401
        import scipy  # noqa: F401
        import simpleeval  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"needs the package {error.name}: pip install 'azsim[sweep]'") from None


class _RateColumn(ProgressColumn):
    """Points per second, or seconds per point."""

    def render(self, task: Task) -> Text:
        if not task.speed:
            return Text("")
        rate = f"{task.speed:.1f}/s" if task.speed >= 1 else f"{1 / task.speed:.1f} s each"
        return Text(rate)


@contextmanager
def counting_bar(what: str) -> Iterator[SweepProgress]:
    """Yield a function progress(done, total) that draws a bar on a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _RateColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task(what, total=None)
        started = False

        def progress(done: int, total: int) -> None:
            nonlocal started
            if not started:  # what was there before says nothing of the rate
                bars.reset(task, total=total, completed=done)
                started = True
            bars.update(task, completed=done, total=total)

        yield progress


def _show(result: SweepResult) -> None:
    with reader_may_leave():
        console = screen()
        print(
            f"{len(result.rows)} points: {result.computed} computed, {result.found} found in the"
            f" journal, {result.failed} failed"
        )
        errors = dict.fromkeys(str(row["error"]) for row in result.rows if row["error"])
        for error in list(errors)[:3]:
            print(f"failed: {one_line(error)}")
        front = result.front
        print(f"front: {len(front)} points, assumed chips: compare them with one another only")
        names = [*result.objectives]  # the axes, often many, are in front.csv
        table = plain_table("point", *names, "")
        for row in front[:_SHOWN_FRONT]:
            table.add_row(*(_cell(row[name]) for name in ("point", *names)), "")
        console.print(table, markup=False)
        if len(front) > _SHOWN_FRONT:
            print(f"... {len(front) - _SHOWN_FRONT} more in front.csv")
        print(f"written: {one_line(str(result.out))}")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "" if value is None else one_line(str(value))
