"""`azsim report`: the HTML page of a run or a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from azsim.graph.text import one_line
from azsim.report.html.folders import REPORT, save_folder_page


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("report")(report)


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of a run, sweep or search (--out).")
    ],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="FILE", help=f"The page; default: DIR/{REPORT}."),
    ] = None,
) -> None:
    """Write one HTML page of a run, sweep or search.

    A run: layers, timeline, stalls, roofline, energy, weight path. A sweep:
    Pareto front with filters, parallel coordinates, all points.

    The page needs no network and no other file. It is built from the folder
    alone, with plotly and jinja2: pip install 'azsim\\[report]'.

    \b
    Examples:
      azsim run model.onnx -i speech.wav --explain -o runs/first
      azsim report runs/first
      azsim report runs/first -o first.html
      azsim report runs/sweep
    """
    page = folder / REPORT if out is None else out
    save_folder_page(folder, page)
    print(f"written: {one_line(str(page))}")
