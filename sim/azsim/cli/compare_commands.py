"""`azsim compare`: what differs between two runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from azsim.cli.screen import reader_may_leave, screen
from azsim.graph.text import one_line
from azsim.report.compare import compare_folders
from azsim.report.compare_console import print_comparison
from azsim.report.html.compare_page import save_compare_page


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("compare")(compare)


def compare(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A", help="Folder of a run (--out).")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B", help="Folder of another run.")],
    layers: Annotated[
        bool, typer.Option("--layers", help="Every changed figure of every layer.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Everything that differs, as JSON.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Also write one HTML page.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also compare nets that have other layers.")
    ] = False,
) -> None:
    """Compare two runs: every changed counter, then time and bytes.

    The ratio is B / A. Names are those of summary.json, see docs/reports.md.

    \b
    What did the compression buy?
      azsim run model.onnx -i frames.npz --chip az1 -o runs/az1
      azsim run model.onnx -i frames.npz --chip dense -o runs/dense
      azsim compare runs/az1 runs/dense
      azsim compare runs/az1 runs/dense --html az1-dense.html
    """
    comparison = compare_folders(run_a, run_b, force)
    if html is not None:
        save_compare_page(run_a, run_b, html, force)
    with reader_may_leave():
        if as_json:
            print(json.dumps(comparison.to_json(), indent=2))
        else:
            print_comparison(comparison, screen(), layers)
        if html is not None and not as_json:
            print(f"written: {one_line(str(html))}")
