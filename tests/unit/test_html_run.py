"""The HTML page of a run: built from its folder alone, in one file, or refused in one line."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from command import azsim
from report_cases import make_record, without_steps
from report_pages import HOSTILE, hostile_record, save_run

from azsim.errors import ConfigError
from azsim.report.html.parts import figure_text, number_text
from azsim.report.html.run_page import save_run_page
from azsim.report.html.timeline_plots import TEXT_ON
from azsim.report.layer_groups import GREY, PALETTE

MOST_BYTES = 6_000_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_run(hostile_record(), tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    done = azsim("report", folder)
    assert (done.code, done.out, done.err) == (0, f"written: {folder}/report.html\n", "")
    return (folder / "report.html").read_text(encoding="utf-8")


def without_scripts(page: str) -> str:
    return re.sub(r"<(script|style)[^>]*>.*?</\1>", "", page, flags=re.DOTALL)


def test_the_page_is_one_file_that_asks_for_nothing(page: str) -> None:
    assert len(page.encode()) <= MOST_BYTES
    text = without_scripts(page)
    assert re.findall(r"\b(?:src|href)=\"(?!#)[^\"]*\"", text) == []
    assert "url(" not in page[: page.index("</style>")]


def test_only_the_two_scripts_of_the_page_may_run(page: str) -> None:
    (allowed,) = re.findall(r"script-src ([^;]*);", page)
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    digests = [hashlib.sha256(script.encode()).digest() for script in scripts]
    hashes = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
    assert allowed.split() == hashes
    assert len(hashes) == 2


def test_figures_are_numbers_and_units_without_any_script(page: str) -> None:
    text = re.sub(r"\s+", " ", without_scripts(page))
    assert "on az1 (assumed)" in text
    assert "Assumed chip: no silicon figure of an AZ chip exists." in text
    assert "<dt>Cycles per frame</dt><dd><b>1,667</b> <small>0.003333 ms</small></dd>" in text
    assert "<dt>Bits per weight</dt><dd><b>4.8</b> <small>entropy 3.5</small></dd>" in text
    assert '<td class="number" data-key="4000.0">4,000</td>' in text
    assert text.count("<noscript>This figure needs JavaScript") == 9


def test_names_stay_names(page: str) -> None:
    assert HOSTILE not in page
    assert "&lt;/script&gt;&lt;script&gt;window.hacked=1" in page
    assert "<img" not in without_scripts(page)


def test_equal_folders_give_equal_pages(folder: Path, page: str, tmp_path: Path) -> None:
    other = tmp_path / "other.html"
    assert azsim("report", save_run(hostile_record(), tmp_path / "run"), "-o", other).code == 0
    assert other.read_text(encoding="utf-8") == page


@pytest.mark.parametrize("record", [without_steps(make_record()), make_record(weight_path=None)])
def test_runs_without_steps_or_explanation(record: Any, tmp_path: Path) -> None:
    assert azsim("report", save_run(record, tmp_path)).code == 0
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert ("Known of runs made with --explain." in text) == (record.weight_path is None)


def test_a_run_of_before_there_were_timelines(tmp_path: Path) -> None:
    save_run(make_record(), tmp_path)
    (tmp_path / "timeline.json").unlink()
    assert azsim("report", tmp_path).code == 0
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "This folder holds no timeline.json." in text


def changed(folder: Path, name: str, change: Any) -> str:
    """Damage a file of a fresh run; return the refusal."""
    save_run(make_record(), folder)
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))
    done = azsim("report", folder)
    assert done.code == 2
    assert not (folder / "report.html").exists()
    return done.err.replace(f"{folder}/", "")


def test_damaged_files_are_one_line(tmp_path: Path) -> None:
    assert changed(tmp_path, "summary.json", lambda s: s["energy"].pop("components")) == (
        "azsim: summary.json: 'energy.components': Field required\n"
    )
    assert changed(tmp_path, "summary.json", lambda s: s.update(clock_mhz=0)) == (
        "azsim: summary.json: 'clock_mhz': Input should be greater than 0\n"
    )
    assert changed(tmp_path, "timeline.json", lambda t: t.update(slices=10**9)) == (
        "azsim: timeline.json: 'slices': Input should be less than or equal to 4000\n"
    )
    assert changed(tmp_path, "timeline.json", lambda t: t["tracks"][1].update(engine=99)) == (
        "azsim: timeline.json: 'tracks.1': must lie within engines and slices\n"
    )
    assert changed(tmp_path, "timeline.json", lambda t: t["tracks"][0].update(first_slice=400)) == (
        "azsim: timeline.json: 'tracks.0': must lie within engines and slices\n"
    )


def test_other_things_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = azsim("report", empty)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"azsim: {empty}: must be the folder of a run, with a summary.json in it\n"
    save_run(make_record(), tmp_path / "run")
    (tmp_path / "run" / "timeline.json").write_text("[" * 100_000)
    done = azsim("report", tmp_path / "run")
    assert done.err == f"azsim: {tmp_path}/run/timeline.json: must be JSON as azsim writes it\n"
    (tmp_path / "run" / "timeline.json").unlink()
    done = azsim("report", tmp_path / "run", "-o", tmp_path / "no" / "page.html")
    assert done.err == (
        f"azsim: {tmp_path}/no/page.html: cannot be written: No such file or directory\n"
    )


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    expected = r"^an HTML page needs the package plotly: pip install 'azsim\[report\]'$"
    with pytest.raises(ConfigError, match=expected):
        save_run_page(tmp_path, tmp_path / "page.html")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (1234567, "1,234,567"), (2.0, "2"), (0.0012346, "0.001235"), (12.346, "12.35"),
        (1667.4, "1,667"), (12345.6, "12,346"), (1.23e-9, "1.230e-09"), (-0.5, "-0.5"),
        (-1234.5, "-1,234"),
    ],
)  # fmt: skip
def test_numbers_as_people_read_them(value: float, text: str) -> None:
    assert number_text(value) == text


def test_names_in_figures_hold_no_markup() -> None:
    assert figure_text("<b>&amp;</b>\n") == "&lt;b&gt;&amp;amp;&lt;/b&gt;?"
    assert figure_text("a" * 30 + "end") == "…" + "a" * 22 + "end"


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colour", [*PALETTE, GREY])
def test_tile_numbers_can_be_read_on_every_colour(colour: str) -> None:
    low, high = sorted([luminance(colour), luminance(TEXT_ON.get(colour, "#000000"))])
    assert (high + 0.05) / (low + 0.05) >= 4.5
