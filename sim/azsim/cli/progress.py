"""Progress bars on standard error: shown only to people, never in a pipe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from azsim.calibration import Progress as ProgressFunction


@contextmanager
def progress_bars(wanted: bool = True) -> Iterator[ProgressFunction]:
    """Yield a function progress(stage, done, total) that draws one bar per stage."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    bars = Progress(*columns, console=console, disable=not (wanted and console.is_terminal))
    tasks: dict[str, object] = {}

    def report(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total)
        bars.update(tasks[stage], completed=done)  # type: ignore[arg-type]

    with bars:
        yield report
