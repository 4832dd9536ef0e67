"""`azsim validate` and its two commands: output, exit codes, and files that cannot be taken."""

from __future__ import annotations

import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import typer

from azsim.cli import validate_commands
from azsim.errors import ModelError
from azsim.validate import Check, Context, Table, load_numbers, runs


def call(*arguments: str | Path) -> int:
    """Run a command; return its exit code, or raise what it raises."""
    app = typer.Typer()
    app.callback()(lambda: None)
    validate_commands.register(app)
    code = app(["validate", *map(str, arguments)], standalone_mode=False)
    assert isinstance(code, int)
    return code


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tables, one of which has a row outside its tolerance."""
    context = (Context("theory us", 2.0, 3.0),)
    good = Table("good", "Good", "us", "[M] paper", "m", (Check("a", 4.0, 4.1, 0.1, context),), 0.2)
    bad = Table("bad", "Bad", "us", "[M] paper", "m", (Check("b", 4.0, 5.0, 0.1),))
    monkeypatch.setattr(runs, "TABLES", {"good": lambda: good, "bad": lambda: bad})


@pytest.mark.usefixtures("tables")
def test_a_row_outside_its_tolerance_sets_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--table", "good") == 0
    text = capsys.readouterr().out
    assert re.search(r"\na +4\.000 +4\.100 +\+2\.5% +10% +PASS +2\.0 / 3\.00\n", text)
    assert "\nmean error 2.5%, tolerance 20%: PASS\n" in text
    assert call() == 1
    text = capsys.readouterr().out
    assert re.search(r"\nb +4\.000 +5\.000 +\+25\.0% +10% +FAIL *\n", text)
    assert "\nmean error 25.0%\n" in text
    assert "No figure of AZ silicon exists" in text


@pytest.mark.usefixtures("tables")
def test_tables_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--json") == 1
    parsed = json.loads(capsys.readouterr().out)
    assert [(table["table"], table["passed"]) for table in parsed] == [
        ("good", True),
        ("bad", False),
    ]


@pytest.fixture
def eie_files(tmp_path: Path) -> tuple[str, ...]:
    """One PE row of 200 columns, of which 3, 70 and 199 are active: 14 cycles (by hand in
    test_validate_eie.py)."""
    activations = np.zeros(200, np.float32)
    activations[[3, 70, 199]] = 1
    np.save(tmp_path / "W.npy", np.ones((1, 200), np.int8))
    np.save(tmp_path / "a.npy", activations)
    return (
        "eie", "--weights", f"{tmp_path}/W.npy", "--activations", f"{tmp_path}/a.npy", "--pe", "1",
    )  # fmt: skip


def test_eie_prints_cycles_and_counters(
    eie_files: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*eie_files, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "pe": 1,
        "fifo": 8,
        "clock_mhz": 800,
        "rows": 1,
        "columns": 200,
        "cycles": 14,
        "broadcasts": 3,
        "entries": 3,
        "padding": 0,
        "bubble_cycles": 3,
        "broadcast_stall_cycles": 0,
        "empty_column_slots": 0,
        "theoretical_cycles": 3.0,
        "actual_over_theoretical": pytest.approx(14 / 3),
        "time_us": 14 / 800,
    }
    assert call(*eie_files) == 0
    assert "\ncycles                   14\n" in capsys.readouterr().out


def test_other_cycles_than_expected_set_the_exit_code(
    eie_files: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*eie_files, "--json", "--expect", "14") == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True
    assert call(*eie_files, "--json", "--expect", "15") == 1
    parsed = json.loads(capsys.readouterr().out)
    assert (parsed["cycles"], parsed["expected_cycles"], parsed["passed"]) == (14, 15, False)


def test_no_entry_has_no_ratio(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "W.npy", np.zeros((2, 2)))
    files = ("--weights", tmp_path / "W.npy", "--activations", tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.zeros(2))
    assert call("eie", *files) == 0
    assert "\nactual_over_theoretical  -\n" in capsys.readouterr().out


def test_skip_prints_the_products(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "W.npy", np.array([[1, 0], [1, 1]], bool))
    np.save(tmp_path / "A.npy", np.array([[[1, 1], [0, 1]]], np.uint8))
    files = ("--weight-mask", tmp_path / "W.npy", "--activation-mask", tmp_path / "A.npy")
    assert call("skip", *files, "--json", "--expect", "4") == 0
    parsed = json.loads(capsys.readouterr().out)
    assert (parsed["cycles"], parsed["products"], parsed["dense_products"]) == (4, 4, 8)
    assert parsed["density_product_estimate"] == round(8 * 0.75 * 0.75)
    assert call("skip", *files, "--expect", "5") == 1


@pytest.mark.parametrize(
    "dtype", [bool, np.int8, np.uint16, np.int64, np.float16, np.float64, ">i4"]
)
def test_numbers_of_every_kind_are_read(tmp_path: Path, dtype: object) -> None:
    array = np.array([[1, 0, 1], [0, 0, 1]]).astype(dtype)
    for order in ("C", "F"):
        np.save(tmp_path / "a.npy", np.asarray(array, order=order))
        np.testing.assert_array_equal(load_numbers(tmp_path / "a.npy"), array)


def npy(array: object, **options: object) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array), **options)
    return buffer.getvalue()


HEADER = r"must be a \.npy file with a legal header"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", HEADER),
        (b"not numpy at all, by any means", HEADER),
        (b"PK\x03\x04" + bytes(40), HEADER),
        (npy([1.0])[:40], HEADER),
        (npy([1.0]).replace(b"\x93NUMPY\x01\x00", b"\x93NUMPY\x03\x00"), HEADER),
        (npy([1.0]).replace(b"(1,)", b"(9*9"), HEADER),
        (npy([1.0]).replace(b"(1,), ", b"(-1,),"), HEADER),
        (npy([object()], allow_pickle=True), r"must hold numbers, not object"),
        (npy(["text"]), r"must hold numbers, not <U4"),
        (npy([1j]), r"must hold numbers, not complex128"),
        (npy([1.0]) + b"x", r"must have 8 bytes behind its header, not 9"),
        (npy([1.0])[:-1], r"must have 8 bytes behind its header, not 7"),
        (
            npy(np.zeros(1, np.int8)).replace(b"(1,), }           ", b"(999999999999,), }"),
            r"must have 999999999999 bytes behind its header, not 1",
        ),
        (npy([1.0, np.nan]), r"must hold finite numbers"),
        (npy([1.0, -np.inf]), r"must hold finite numbers"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=rf"^{re.escape(str(path))}: {message}$"):
        load_numbers(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    missing, pipe = tmp_path / "missing.npy", tmp_path / "pipe.npy"
    os.mkfifo(pipe)
    for path, message in (
        (missing, "cannot be read: No such file or directory"),
        (pipe, "must be a plain file"),
        (tmp_path, "must be a plain file"),
    ):
        with pytest.raises(ModelError, match=rf"^{re.escape(str(path))}: {message}$"):
            load_numbers(path)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    size = (1 << 30) + 64
    header = npy(np.zeros(0, np.int8)).replace(
        b"(0,), }" + b" " * 9, f"({size},), }}".encode()[:16]
    )
    path.write_bytes(header)
    os.truncate(path, len(header) + size)
    with pytest.raises(
        ModelError, match=rf"^{re.escape(str(path))}: must be at most {1 << 30} bytes long$"
    ):
        load_numbers(path)
