"""`azsim zoo run`: rows are what single runs give, nothing is run twice, failures are rows."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from command import azsim

from azsim import run
from azsim.api import RunRecord
from azsim.config import load_chip
from azsim.frontend import read_onnx
from azsim.report.record import Verification
from azsim.session import Session
from azsim.sweep import zoo_jobs
from azsim.sweep.materials import Materials, random_inputs
from azsim.sweep.zoo_jobs import make_job
from azsim.sweep.zoo_run import chosen_entries
from azsim.zoo import build_zoo, find_entry, save_onnx, zoo_table

FILES = ("ZOO_REPORT.csv", "zoo.json", "zoo.png", "zoo.pdf")
NETS = ("tiny_lstm", "ep_final:text")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZSIM_CACHE_DIR", str(tmp_path / "cache"))


def rows_of(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "ZOO_REPORT.csv").open(encoding="utf-8", newline="") as file:
        return {row["net"]: row for row in csv.DictReader(file)}


def test_rows_are_those_of_single_runs_and_nothing_is_run_twice(tmp_path: Path) -> None:
    done = azsim("zoo", "run", NETS[0], "-o", tmp_path / "z", "--workers", 1)
    assert (done.code, done.err) == (0, "")
    assert "\n1 nets on az1: 1 run, 0 found in the journal, 0 failed; " in done.out
    done = azsim("zoo", "run", *NETS, "-o", tmp_path / "z", "--workers", 1)
    assert (done.code, done.err) == (0, "")
    assert "\n2 nets on az1: 1 run, 1 found in the journal, 0 failed; " in done.out
    rows = rows_of(tmp_path / "z")
    assert list(rows) == ["ep_final:text", "tiny_lstm"]  # in the list's order, not the words'
    save_onnx(build_zoo("tiny_lstm", None, 5, 0.5, 1), tmp_path / "tiny.onnx")
    frames = random_inputs(read_onnx(tmp_path / "tiny.onnx"), 4, 1)
    record = run(tmp_path / "tiny.onnx", input=frames, chip="az1")
    tiny = rows["tiny_lstm"]
    assert int(tiny["cycles"]) == record.counters.cycles
    assert float(tiny["energy_per_step_pj"]) == pytest.approx(
        record.energy.per_frame_pj()["nominal"]
    )
    assert (tiny["bit_exact"], tiny["steps_exact"], tiny["steps"]) == ("yes", "4", "4")
    assert (tiny["status"], tiny["error"], tiny["bits"]) == ("ok", "", "5")
    about = json.loads((tmp_path / "z" / "zoo.json").read_text(encoding="utf-8"))
    assert (about["chip"], about["failed"], about["nets"]) == ("az1", 0, 2)
    assert about["rows"][1]["cycles"] == record.counters.cycles
    before = {name: (tmp_path / "z" / name).read_bytes() for name in FILES}
    for entry in (tmp_path / "z" / "journal").glob("??/*.json"):
        entry.unlink()
    again = azsim("zoo", "run", *NETS, "-o", tmp_path / "z", "--workers", 2)
    assert "\n2 nets on az1: 2 run, 0 found in the journal, 0 failed; " in again.out
    assert before == {name: (tmp_path / "z" / name).read_bytes() for name in FILES}
    assert not list((tmp_path / "z").rglob("*.part"))


def test_a_net_that_cannot_be_run_is_a_row_with_its_reason(tmp_path: Path) -> None:
    done = azsim(
        "zoo", "run", "tiny_lstm", "-o", tmp_path / "z", "--steps", 1, "--workers", 1,
        "--set", "memory.capacity_mb=1", "--set", "abuf.capacity_kb=1",
    )  # fmt: skip
    assert (done.code, done.err) == (1, "")
    row = rows_of(tmp_path / "z")["tiny_lstm"]
    assert (row["status"], row["cycles"], row["bit_exact"]) == ("failed", "", "")
    assert row["error"]
    assert "\n" not in row["error"]
    assert "azsim-" not in row["error"]
    assert f"failed: tiny_lstm: {row['error']}\n" in done.out
    assert "1 run, 0 found in the journal, 1 failed" in done.out


def test_outputs_that_are_not_exact_are_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*words: Any, **options: Any) -> RunRecord:
        assert options["verify"]
        record = run(*words, **options)
        assert record.verification is not None
        steps = record.verification.steps
        return replace(record, verification=Verification(steps, steps - 1, "step 1, output 'y'"))

    monkeypatch.setattr(zoo_jobs, "run", wrong)
    job = make_job(find_entry("tiny_lstm", None), load_chip("tiny"), 2, tmp_path / "models")
    outcome = job.compute(Materials(), Session())
    assert outcome.error == "not bit-exact: step 1, output 'y'"
    assert outcome.figures["verified.exact"] == 1
    assert not list((tmp_path / "models").iterdir())


@pytest.mark.small
def test_names_choose_nets_or_parts_once_and_in_the_order_of_the_list() -> None:
    assert chosen_entries(()) == list(zoo_table())
    chosen = chosen_entries(("tiny_lstm", "ep_final:text", "ep_final", "tiny_lstm"))
    assert [entry.full_name for entry in chosen] == [
        "ep_final:acoustic", "ep_final:text", "ep_final:decision", "tiny_lstm",
    ]  # fmt: skip


@pytest.mark.small
def test_the_job_is_another_for_another_chip_or_count(tmp_path: Path) -> None:
    entry, chip = find_entry("tiny_lstm", None), load_chip("tiny")
    jobs = [
        make_job(entry, chip, None, tmp_path),
        make_job(entry, chip, 3, tmp_path),
        make_job(entry, load_chip("az1"), None, tmp_path),
        make_job(find_entry("ep_final", "text"), chip, None, tmp_path),
    ]
    assert len({job.name for job in jobs}) == 4
    assert make_job(entry, chip, 4, tmp_path / "other").name == jobs[0].name


@pytest.mark.small
@pytest.mark.parametrize(
    ("words", "text"),
    [
        ((), "--all: must be given, or else names of nets, and not both"),
        (("--all", "tiny_lstm"), "--all: must be given, or else names of nets, and not both"),
        (("tiny_lstm", "--workers", 0), "--workers: must be 1 to 1024, not 0"),
        (("tiny_lstm", "--steps", 0), "--steps: must be 1 to 10000, not 0"),
        (("tiny_lstm:x",), "part of tiny_lstm must be left out, not 'x'"),
        (("tiny_lstm", "--chip", "az1", "--set", "x"),
         "override 'x': must have the form section.key=value"),
    ],
)  # fmt: skip
def test_refusals(tmp_path: Path, words: tuple[object, ...], text: str) -> None:
    done = azsim("zoo", "run", *words, "-o", tmp_path / "z")
    assert (done.code, done.out, done.err) == (2, "", f"azsim: {text}\n")
    assert not (tmp_path / "z").exists()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "mine.txt").write_text("mine", encoding="utf-8")
    done = azsim("zoo", "run", "tiny_lstm", "-o", tmp_path / "z")
    text = f"{tmp_path / 'z'}: must be empty, or the folder of a sweep of azsim"
    assert (done.code, done.err) == (2, f"azsim: {text}\n")
