"""`azsim compare` on the screen and as JSON, with its exit codes."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from report_cases import LAYER_COUNTERS, LAYERS, make_record, with_layers
from rich.console import Console
from test_compare import other_net, slower

from azsim.cli import run_command_line
from azsim.report.compare import compare
from azsim.report.compare_console import print_comparison, shown
from azsim.report.record import RunRecord
from azsim.report.summary import build_summary, save_summary


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the runs a, b (slower), c (another net) and d (damaged); the current one."""
    for name, record in (("a", make_record()), ("b", slower()), ("c", other_net())):
        (tmp_path / name).mkdir()
        save_summary(build_summary(record), tmp_path / name / "summary.json")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "summary.json").write_text('{"written_by": "azsim",\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return tmp_path


def lines_of(a: RunRecord, b: RunRecord, width: int = 100, all_layers: bool = False) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_comparison(compare(build_summary(a), build_summary(b)), console, all_layers)
    return [line.rstrip() for line in console.file.getvalue().split("\n")]  # type: ignore[attr-defined]


def words(lines: list[str], first: str) -> list[str]:
    """Words of the one line that begins with `first`."""
    (line,) = [line for line in lines if line.split()[:1] == [first]]
    return line.split()[1:]


def test_the_screen(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["compare", "a", "b"]) == 0
    output = capsys.readouterr().out
    lines = [line.rstrip() for line in output.split("\n")]
    assert lines[0] == "A  small.onnx on az1 (assumed), 3 frames"
    titles = ("setting", "counters", "layers", "time and bytes")
    places = [next(n for n, line in enumerate(lines) if line.startswith(t)) for t in titles]
    assert places == sorted(places)
    assert words(lines, "mac_array.skip") == ["weight", "none", "-"]
    assert words(lines, "mac_products_skipped") == ["240", "0", "0.000"]
    assert words(lines, "enc/x") == [
        "4,000", "9,000", "2.250", "1.000", "1.000", "1.000", "1.000", "1.000", "decoder",
    ]  # fmt: skip
    assert words(lines, "cycles") == ["5,000", "10,000", "2.000"]
    assert lines[-2] == (
        "per frame, B takes 2.000 times as long as A and reads 1.000 times as many bytes from DRAM"
    )
    assert max(map(len, lines)) <= 100


def test_equal_runs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["compare", "a", "a"]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert "no figure differs" in lines
    assert not any(line.startswith(("setting", "counters", "layers")) for line in lines)
    assert words(lines, "cycles") == ["5,000", "5,000", "1.000"]


def test_every_figure_of_every_layer(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["compare", "a", "c", "--force", "--layers"]) == 0
    lines = capsys.readouterr().out.split("\n")
    place = next(number for number, line in enumerate(lines) if line.startswith("enc/x "))
    assert lines[place + 1].split() == ["columns", "10", "11", "1.100"]
    assert any(line.startswith("input and output ") for line in lines)


def test_json(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["compare", "a", "b", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["layers"][0]["changes"][0]["ratio"] == 2.25
    assert {"name": "cycles", "a": 5000, "b": 10000, "ratio": 2.0} in told["time_and_bytes"]


@pytest.mark.parametrize("extra", [[], ["--json"], ["--layers"]])
@pytest.mark.parametrize(
    ("other", "text"),
    [
        (
            "c",
            "c: must have the layers of a; small.onnx and other.onnx are different nets"
            " (--force compares them)",
        ),
        (
            "d",
            "d/summary.json:2: must be JSON (Expecting property name enclosed in double quotes)",
        ),
        ("none", "none: must be the folder of a run (azsim run --out)"),
        (".", ".: must be the folder of a run, with a summary.json in it"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    runs: Path, capsys: pytest.CaptureFixture[str], other: str, text: str, extra: list[str]
) -> None:
    assert run_command_line(["compare", "a", other, *extra]) == 2
    captured = capsys.readouterr()
    assert captured.err == f"azsim: {text}\n"
    assert captured.out == ""


def test_another_net_is_compared_if_asked(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["compare", "a", "c", "--force"]) == 0
    lines = capsys.readouterr().out.split("\n")
    row = next(line.split() for line in lines if line.startswith("input and output"))
    assert row[3:] == ["400", "-", "-", "-", "-", "-", "-", "-", "memory", "->", "-"]


def test_runs_of_other_lengths_are_compared_with_a_word() -> None:
    lines = lines_of(make_record(), make_record(frames=2))
    assert "A and B ran different numbers of frames: compare the figures per frame" in lines


def test_names_are_shown_as_they_are_and_on_one_line() -> None:
    name = "[red]$\n\x1b[2J" + "x" * 200
    infos = [replace(LAYERS[0], name=name), *LAYERS[1:]]
    slow = slower()
    lines = lines_of(
        with_layers(make_record(model=name), infos, LAYER_COUNTERS),
        with_layers(slow, infos, slow.counters.layers),
        all_layers=True,
    )
    assert "\x1b" not in "".join(lines)
    assert any(line.startswith("..." + "x" * 35) for line in lines)


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_any_width_shows_the_end(width: int) -> None:
    lines = lines_of(make_record(), slower(), width)
    assert max(map(len, lines)) <= width
    assert any(line.startswith("per frame, B takes") for line in lines)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (True, "yes"), (False, "no"), (1234567, "1,234,567"), (2.5, "2.5"), (8.0, "8"),
        (1234.5678, "1,234.57"), (0.0000123456789, "1.23457e-05"), ("", "-"), ("a\nb", "a?b"),
    ],
)  # fmt: skip
def test_values_on_the_screen(value: str | int | float | bool | None, text: str) -> None:
    assert shown(value) == text
