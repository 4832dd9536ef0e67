"""docs/reports.md explains every key and column that a report has, and nothing more."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from report_cases import make_record

from azsim.report.access import write_access_report, write_bandwidth_report
from azsim.report.compare import TIME_AND_BYTES
from azsim.report.csv import write_compute_report
from azsim.report.energy import write_energy_report
from azsim.report.files import RUN_FILES
from azsim.report.record import RunRecord, Verification
from azsim.report.sparse import write_sparse_report
from azsim.report.summary import build_summary
from azsim.report.weight_path import write_weight_path_report

pytestmark = pytest.mark.small


@pytest.fixture(scope="module")
def page() -> str:
    return (Path(__file__).parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")


def keys(value: Any, named: bool = True) -> Iterator[str]:
    """Yield the keys of the summary; keys that are names of engines, outputs or seeds are none."""
    if isinstance(value, list):
        value = value[0]
    if isinstance(value, dict):
        for key, inner in value.items():
            if named:
                yield key
            if key == "configuration":  # has a page of its own
                continue
            names_below = key in (
                "stalls", "sqnr_db", "seeds", "plan", "what_if", "components", "components_pj",
                "sources",
            )  # fmt: skip
            for each in inner.values() if key == "sources" else [inner]:
                yield from keys(each, named=not names_below or key == "sources")


def test_every_key_of_the_summary_is_explained(page: str) -> None:
    explained = set(re.findall(r"`(\w+)`", page))
    summary = build_summary(make_record(verification=Verification(1, 1)))
    assert sorted(set(keys(summary)) - explained) == []


def test_every_key_that_is_explained_is_in_the_summary(page: str) -> None:
    section = page[page.index("## summary.json") : page.index("## COMPUTE_REPORT")]
    first_cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    explained = {key for cell in first_cells for key in re.findall(r"`(\w+)`", cell)}
    assert len(explained) > 40
    assert explained - set(build_summary(make_record())) == set()


@pytest.mark.parametrize(
    "write",
    [
        write_compute_report,
        write_access_report,
        write_bandwidth_report,
        write_sparse_report,
        write_weight_path_report,
        write_energy_report,
    ],
)
def test_every_column_is_explained(
    page: str, tmp_path: Path, write: Callable[[RunRecord, Path], None]
) -> None:
    write(make_record(), tmp_path / "report.csv")
    with (tmp_path / "report.csv").open(newline="", encoding="utf-8") as file:
        columns = next(csv.reader(file, skipinitialspace=True))
    assert [column for column in columns if f"`{column}`" not in page] == []


def test_every_figure_of_a_comparison_is_explained(page: str) -> None:
    named = [name.partition(".")[0] for name in TIME_AND_BYTES]
    assert [name for name in named if f"`{name}`" not in page] == []


def test_every_file_is_explained(page: str) -> None:
    assert [name for name in RUN_FILES if f"| {name} |" not in page] == []


def test_matplotlib_is_loaded_only_for_a_figure() -> None:
    code = (
        f"import sys; sys.path[:0] = {sys.path!r}\n"
        "import azsim.report.console, azsim.report.files\n"
        "assert 'matplotlib' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
