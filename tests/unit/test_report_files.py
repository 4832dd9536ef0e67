"""A run's folder appears whole or not at all, and never over something that is no run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from report_cases import make_record

from azsim.errors import ConfigError
from azsim.report import files
from azsim.report.files import check_out, write_run
from azsim.report.record import RunRecord

pytestmark = pytest.mark.small
FILES = [
    "BANDWIDTH_REPORT.csv", "COMPUTE_REPORT.csv", "DETAILED_ACCESS_REPORT.csv",
    "ENERGY_REPORT.csv", "ERT.yaml", "SPARSE_REPORT.csv", "WEIGHT_PATH_REPORT.csv",
    "action_counts.yaml", "energy.png", "lanes.png", "layers.png", "outputs.npz", "summary.json",
    "timeline.json", "timeline.png", "weight_path.png",
]  # fmt: skip
Refuse = Callable[..., None]


@pytest.fixture(autouse=True)
def quick_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures have tests of their own."""
    for name in ("save_timeline", "save_layers", "save_weight_path", "save_lanes", "save_energy"):
        monkeypatch.setattr(files, name, lambda record, path: path.write_text("figure"))


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return the content of every file below `folder`, None for folders."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in sorted(folder.rglob("*"))
    }


def refusal(call: Callable[[], None]) -> str:
    with pytest.raises(ConfigError) as caught:
        call()
    return str(caught.value)


def fail_with(error: BaseException) -> Callable[..., None]:
    def fail(*arguments: Any) -> None:
        raise error

    return fail


def test_a_new_folder_holds_all_reports(tmp_path: Path) -> None:
    write_run(make_record(), tmp_path / "deep" / "run")
    assert [path.name for path in tmp_path.iterdir()] == ["deep"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["run"]
    assert sorted(os.listdir(tmp_path / "deep" / "run")) == FILES
    assert json.loads((tmp_path / "deep/run/summary.json").read_bytes())["cycles"] == 5000


@pytest.mark.parametrize(("figures", "kinds"), [("pdf", [".pdf"]), ("both", [".pdf", ".png"])])
def test_figures_for_papers_and_the_page(tmp_path: Path, figures: str, kinds: list[str]) -> None:
    write_run(make_record(), tmp_path / "run", figures, html=True)
    names = os.listdir(tmp_path / "run")
    assert sorted({Path(name).suffix for name in names} & {".png", ".pdf"}) == kinds
    assert len([name for name in names if Path(name).suffix in kinds]) == 5 * len(kinds)
    assert "report.html" in names
    write_run(make_record(), tmp_path / "run")  # replaces it, what was asked for before included
    assert sorted(os.listdir(tmp_path / "run")) == FILES


def test_other_figures_are_refused(tmp_path: Path) -> None:
    expected = "--figures: must be one of png, pdf, both, not 'svg'"
    assert refusal(lambda: write_run(make_record(), tmp_path / "run", "svg")) == expected
    assert os.listdir(tmp_path) == []


def test_the_folder_is_open_to_others_as_any_new_one(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    write_run(make_record(), tmp_path / "run")
    assert (tmp_path / "run").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_equal_runs_give_equal_folders(tmp_path: Path) -> None:
    write_run(make_record(wall_seconds=1.0), tmp_path / "one")
    write_run(make_record(wall_seconds=2.0), tmp_path / "other")
    assert tree(tmp_path / "one") == tree(tmp_path / "other")


def test_a_run_of_timing_only_has_no_outputs_and_clears_old_ones(tmp_path: Path) -> None:
    out = tmp_path / "run"
    write_run(make_record(), out)
    write_run(make_record(timing_only=True, integers={}), out)
    assert sorted(os.listdir(out)) == [name for name in FILES if name != "outputs.npz"]
    assert os.listdir(tmp_path) == ["run"]


def test_an_empty_folder_and_a_relative_path_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path)
    write_run(make_record(), Path("run"))
    assert sorted(os.listdir(tmp_path / "run")) == FILES


def test_a_link_to_a_run_stays_a_link(tmp_path: Path) -> None:
    write_run(make_record(), tmp_path / "run1")
    (tmp_path / "latest").symlink_to("run1")
    write_run(make_record(model="new.onnx"), tmp_path / "latest")
    assert (tmp_path / "latest").is_symlink()
    assert json.loads((tmp_path / "run1/summary.json").read_bytes())["model"] == "new.onnx"


@pytest.mark.parametrize("call", [check_out, lambda out: write_run(make_record(), out)])
class TestRefusals:
    """What check_out refuses before a run, write_run refuses after it; nothing is touched."""

    def check(self, call: Refuse, folder: Path, out: Path, text: str) -> None:
        before = tree(folder)
        assert refusal(lambda: call(out)) == f"{out}: {text}"
        assert tree(folder) == before

    def test_a_folder_of_something_else(self, call: Refuse, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        text = "must be new, empty or the folder of an earlier run"
        self.check(call, tmp_path, tmp_path, text)

    @pytest.mark.parametrize(
        "content", ["", "{", "[]", '{"written_by": "other"}', "[" * 100_000, "\xff", "7"]
    )
    def test_a_summary_of_another_tool(self, call: Refuse, tmp_path: Path, content: str) -> None:
        (tmp_path / "summary.json").write_text(content, encoding="latin-1")
        text = "must be new, empty or the folder of an earlier run"
        self.check(call, tmp_path, tmp_path, text)

    def test_a_run_with_notes_in_it(self, call: Refuse, tmp_path: Path) -> None:
        write_run(make_record(), tmp_path / "run")
        (tmp_path / "run" / "notes.txt").write_text("mine")
        text = "must hold nothing but an earlier run to be replaced, not 'notes.txt'"
        self.check(call, tmp_path, tmp_path / "run", text)

    def test_a_file(self, call: Refuse, tmp_path: Path) -> None:
        (tmp_path / "run").write_text("mine")
        self.check(call, tmp_path, tmp_path / "run", "must be a folder, not a file")

    def test_a_parent_that_is_a_file(self, call: Refuse, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("mine")
        out = tmp_path / "file" / "a" / "run"
        self.check(call, tmp_path, out, "cannot be written: Not a directory")

    def test_a_name_that_is_too_long(self, call: Refuse, tmp_path: Path) -> None:
        out = tmp_path / "new" / ("x" * 300)
        self.check(call, tmp_path, out, "cannot be written: File name too long")

    def test_a_parent_without_rights(
        self, call: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # by hand: the tests may run as root, for whom every folder is open
        monkeypatch.setattr(Path, "mkdir", fail_with(PermissionError(13, "Permission denied")))
        out = tmp_path / "run"
        self.check(call, tmp_path, out, "cannot be written: Permission denied")

    def test_the_root_of_a_file_system(self, call: Refuse, tmp_path: Path) -> None:
        assert refusal(lambda: call(Path("/"))).startswith("/: must be")


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    check_out(tmp_path / "a" / "b" / "run")
    assert tree(tmp_path) == {}
    write_run(make_record(), tmp_path / "run")
    before = tree(tmp_path)
    check_out(tmp_path / "run")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("step", ["build_summary", "write_sparse_report", "save_layers"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("bug"), MemoryError()])
@pytest.mark.parametrize("exists", [False, True])
def test_a_failure_leaves_everything_as_it_was(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    error: BaseException,
    exists: bool,
) -> None:
    out = tmp_path / "a" / "run"
    if exists:
        write_run(make_record(), out)
    before = tree(tmp_path)
    monkeypatch.setattr(files, step, fail_with(error))
    with pytest.raises(type(error)):
        write_run(make_record(model="new.onnx"), out)
    assert tree(tmp_path) == before


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = OSError(28, "No space left on device")
    monkeypatch.setattr(files, "save_timeline", fail_with(error))
    text = refusal(lambda: write_run(make_record(), tmp_path / "run"))
    assert text == f"{tmp_path}/run: cannot be written: No space left on device"
    assert tree(tmp_path) == {}


def test_a_file_that_cannot_be_written_has_the_name_it_would_have_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(record: RunRecord, path: Path) -> None:
        raise ConfigError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr(files, "write_bandwidth_report", refuse)
    text = refusal(lambda: write_run(make_record(), tmp_path / "run"))
    assert (
        text == f"{tmp_path}/run/BANDWIDTH_REPORT.csv: cannot be written: No space left on device"
    )
    assert tree(tmp_path) == {}


def test_an_older_run_comes_back_if_the_new_one_cannot_be_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    write_run(make_record(), out)
    before = tree(tmp_path)
    rename, calls = Path.rename, []

    def second_fails(path: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(KeyboardInterrupt):
        write_run(make_record(model="new.onnx"), out)
    assert len(calls) == 3
    assert tree(tmp_path) == before
