"""Which page belongs to a folder."""

from __future__ import annotations

from pathlib import Path

from azsim.report.files import REPORT as REPORT
from azsim.report.html.run_page import save_run_page
from azsim.report.html.sweep_data import is_sweep
from azsim.report.html.sweep_page import save_sweep_page


def save_folder_page(folder: Path, path: Path) -> None:
    """Write the page of the run, sweep or search in `folder` to `path`.

    Raises:
        ConfigError: packages are missing, nothing of azsim in the folder, damaged files, or the
            page cannot be written.
    """
    if is_sweep(folder):
        save_sweep_page(folder, path)
    else:
        save_run_page(folder, path)
