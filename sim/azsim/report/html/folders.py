"""Which page belongs to a folder."""

from __future__ import annotations

from pathlib import Path

from azsim.report.files import REPORT as REPORT
from azsim.report.html.run_page import save_run_page


def save_folder_page(folder: Path, path: Path) -> None:
    """Write the page of the run in `folder` to `path`.

    Raises:
        ConfigError: packages are missing, nothing of azsim in the folder, damaged files, or the
            page cannot be written.
    """
    save_run_page(folder, path)
