"""What commands write: in the place of plain files only, whole, under any name."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from command import azsim, tree
from speech_models import save_speech_model, speech_frames, speech_maker

from azsim.cli import run_commands
from azsim.report import files
from azsim.report.files import BRANCH_FILES, RUN_FILES

IS_ROOT = os.geteuid() == 0
NOT_ONNX = "must be an ONNX file; it is damaged, cut short or something else"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model and its frames."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("AZSIM_CACHE_DIR", str(tmp_path / "cache"))
    save_speech_model(tmp_path)
    return tmp_path


def refused(words: tuple[object, ...], line: str) -> None:
    """The command line ends with exactly this line, exit code 2, and nothing is left."""
    before = tree(Path())
    done = azsim(*words)
    assert (done.code, done.err, done.out) == (2, f"azsim: {line}\n", "")
    assert tree(Path()) == before


def test_run_folders_that_cannot_be_written() -> None:
    Path("file").write_text("text")
    os.mkfifo("pipe")
    Path("full").mkdir()
    Path("full/notes.txt").write_text("mine")
    long = "x" * 300
    cases = [
        ("file", "must be a folder, not a file"),
        ("pipe", "must be a folder, not a file"),
        ("file/out", "cannot be written: Not a directory"),
        ("full", "must be new, empty or the folder of an earlier run"),
        (".", "must be new, empty or the folder of an earlier run"),
        ("/proc/azsim-out", "cannot be written: No such file or directory"),
        (long, "cannot be written: File name too long"),
    ]
    for out, reason in cases:
        refused(("run", "model.onnx", "-i", "frames.npz", "-o", out), f"{out}: {reason}")
        refused(("demo", "-o", out), f"{out}: {reason}")


OUT_FILES: list[tuple[object, ...]] = [
    ("compile", "model.onnx", "-i", "frames.npz", "-o"),
    ("zoo", "build", "tiny_lstm", "-o"),
    ("compress", "W.npy", "-o"),
    ("decompress", "W.azw", "-o"),
]


@pytest.mark.parametrize("words", OUT_FILES, ids=[str(words[0]) for words in OUT_FILES])
def test_files_that_cannot_be_written(words: tuple[object, ...]) -> None:
    np.save("W.npy", np.arange(-100, 100, dtype=np.int8).reshape(10, 20))
    assert azsim("compress", "W.npy", "-o", "W.azw").code == 0
    Path("file").write_text("text")
    Path("folder").mkdir()
    os.mkfifo("pipe")
    no_folder = "cannot be written: No such file or directory"
    refused((*words, "folder"), "folder: cannot be written: Is a directory")
    refused((*words, "no/x"), f"no/x: {no_folder}")
    refused((*words, "file/x"), f"file/x: {no_folder}")
    refused((*words, "/proc/azsim-x"), f"/proc/azsim-x: {no_folder}")
    refused((*words, "x" * 300), f"{'x' * 300}: cannot be written: File name too long")
    # renamed over, a device or a pipe would be gone
    refused((*words, "pipe"), "pipe: must be a plain file, not a device or a pipe")
    assert stat.S_ISFIFO(os.stat("pipe").st_mode)


@pytest.mark.skipif(IS_ROOT, reason="root may write everywhere")
@pytest.mark.parametrize("words", OUT_FILES[:2], ids=["compile", "zoo"])
def test_folders_without_the_right_to_write(words: tuple[object, ...]) -> None:
    Path("locked").mkdir(mode=0o555)
    refused((*words, "locked/x"), "locked/x: cannot be written: Permission denied")


@pytest.mark.parametrize("words", OUT_FILES, ids=[str(words[0]) for words in OUT_FILES])
def test_an_older_file_is_replaced_and_a_link_followed(words: tuple[object, ...]) -> None:
    np.save("W.npy", np.arange(-100, 100, dtype=np.int8).reshape(10, 20))
    assert azsim("compress", "W.npy", "-o", "W.azw").code == 0
    Path("old").write_bytes(b"old")
    Path("link").symlink_to("old")
    before = set(tree(Path()))
    assert azsim(*words, "link").code == 0
    assert Path("link").is_symlink()
    assert len(Path("old").read_bytes()) > 100
    assert set(tree(Path())) == before


# -- names --------------------------------------------------------------------------------------

ODD = "a dir\nα/mo  del\x1b[31m\né"
SHOWN = "a dir?α/mo  del?[31m?é"


@pytest.fixture
def odd() -> None:
    """Model and frames in a folder with spaces, a line end, letters and a terminal code."""
    os.mkdir("a dir\nα")
    os.rename("model.onnx", f"{ODD}.onnx")
    os.rename("frames.npz", f"{ODD}.npz")


def test_figures_and_pages_need_a_folder() -> None:
    done = azsim("run", "model.onnx", "-i", "frames.npz", "--html")
    assert (done.code, done.err) == (2, "azsim: --html: needs a folder to write to (--out)\n")
    done = azsim("run", "model.onnx", "-i", "frames.npz", "--figures", "pdf")
    assert (done.code, done.err) == (2, "azsim: --figures: needs a folder to write to (--out)\n")
    done = azsim("run", "model.onnx", "-i", "frames.npz", "-o", "out", "--figures", "jpg")
    expected = "azsim: --figures: must be one of png, pdf, both, not 'jpg'\n"
    assert (done.code, done.err) == (2, expected)


def test_a_run_with_its_page_and_vector_figures() -> None:
    done = azsim("run", "model.onnx", "-i", "frames.npz", "-o", "out", "--html", "--figures", "pdf")
    assert (done.code, done.err) == (0, "")
    found = set(os.listdir("out"))
    assert {"report.html", "timeline.pdf", "layers.pdf", "energy.pdf"} <= found
    assert not any(name.endswith(".png") for name in found)
    assert Path("out/timeline.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.usefixtures("odd")
def test_any_file_name_is_taken_and_shown_on_one_line() -> None:
    run = azsim("run", f"{ODD}.onnx", "-i", f"{ODD}.npz", "-o", ODD, "--verify", "--explain")
    assert (run.code, run.err) == (0, "")
    assert run.out.endswith(f"written: {SHOWN}\n")
    assert "\x1b" not in run.out
    assert set(os.listdir(ODD)) == set(RUN_FILES) - set(BRANCH_FILES)
    made = azsim("compile", f"{ODD}.onnx", "-i", f"{ODD}.npz", "-o", f"{ODD}.azp")
    assert made.code == 0
    assert made.out.startswith(f"{SHOWN}.azp: ")
    assert all(line.isprintable() for line in made.out.splitlines())
    assert azsim("disasm", f"{ODD}.azp").code == 0


@pytest.mark.usefixtures("odd")
def test_any_file_name_is_refused_on_one_line() -> None:
    done = azsim("run", f"{ODD}!.onnx", "-i", f"{ODD}.npz")
    assert done.code == 2
    assert done.err == "azsim: a dir?α/mo  del?[31m?é!.onnx: cannot be read: No such file or" + (
        " directory\n"
    )
    done = azsim("run", f"{ODD}.npz", "-i", f"{ODD}.npz")
    assert done.err == f"azsim: {SHOWN}.npz: {NOT_ONNX}\n"
    done = azsim("disasm", f"{ODD}.npz")
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "\x1b" not in done.err


def test_any_layer_name_is_shown_on_its_line() -> None:
    prefix = "ла\n yer/[red]\x1b"
    speech_maker(prefix=prefix).save(Path(), "names.onnx")
    np.savez("names.npz", **{f"{prefix}x": speech_frames()})
    done = azsim("run", "names.onnx", "-i", "names.npz", "-o", "out", "--verify")
    assert (done.code, done.err) == (0, "")
    assert "ла? yer/[red]?dense " in done.out
    assert "\x1b" not in done.out
    with np.load("out/outputs.npz") as outputs:
        assert f"{prefix}y_int" in outputs.files


# -- Ctrl-C at any moment -------------------------------------------------------------------------

STAGES = ["reading", "calibrating", "compiling", "simulating", "verifying"]


@pytest.mark.parametrize("stage", STAGES)
def test_ctrl_c_in_any_stage_leaves_nothing(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def bars() -> Iterator[Callable[[str, int, int], None]]:
        def progress(now: str, done: int, total: int) -> None:
            if now == stage:
                raise KeyboardInterrupt

        yield progress

    monkeypatch.setattr(run_commands, "progress_bars", bars)
    interrupted("run", "model.onnx", "-i", "frames.npz", "--verify", "-o", "new/out")


@pytest.mark.parametrize("writer", ["save_summary", "save_outputs", "save_timeline"])
def test_ctrl_c_while_writing_leaves_the_earlier_run(
    writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("run", "model.onnx", "-i", "frames.npz", "-o", "out")
    assert azsim(*words, "--bits", 4).code == 0

    def stop(*args: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(files, writer, stop)
    interrupted(*words)
    interrupted("run", "model.onnx", "-i", "frames.npz", "-o", "new/out")


def interrupted(*words: object) -> None:
    before = tree(Path())
    done = azsim(*words)
    assert (done.code, done.err, done.out) == (130, "azsim: interrupted\n", "")
    assert tree(Path()) == before
