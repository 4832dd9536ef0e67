"""azsim as a process: signals, pipes, full disks, odd bytes; nothing half-written is ever left."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from command import azsim_process, process_environment, tree
from speech_models import save_speech_model, speech_frames

from azsim.report.files import BRANCH_FILES, EXPLAIN_FILES, RUN_FILES

NO_SPACE = b"azsim: output: No space left on device\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and frames, run once so that its kernels and program are made."""
    folder = tmp_path_factory.mktemp("process")
    save_speech_model(folder)
    done = azsim_process("run", "model.onnx", "-i", "frames.npz", cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"")
    done = azsim_process("compile", "model.onnx", "-i", "frames.npz", "-o", "m.azp", cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"")
    return folder


def test_results_go_to_standard_output_and_errors_to_standard_error(folder: Path) -> None:
    done = azsim_process("run", "model.onnx", "-i", "frames.npz", cwd=folder)
    assert done.returncode == 0
    assert done.stderr == b""
    assert b"cycles per frame" in done.stdout
    assert b"\x1b" not in done.stdout  # no colours, no progress bars in a pipe
    assert max(len(line) for line in done.stdout.decode().splitlines()) <= 100
    done = azsim_process("run", "none.onnx", "-i", "frames.npz", cwd=folder)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr == b"azsim: none.onnx: cannot be read: No such file or directory\n"


def hear_interrupts() -> None:
    """Undo what a shell does to its background jobs: to let them ignore Ctrl-C, and all below."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(folder: Path, *words: str, **changes: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start azsim with standard error on a terminal; return it and the terminal's other end."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "azsim", *words],
        cwd=folder,
        env=process_environment(folder, TERM="xterm", **changes),
        stdout=subprocess.PIPE,
        stderr=slave,
        preexec_fn=hear_interrupts,
    )
    os.close(slave)
    return process, master


def read_until(master: int, text: bytes | None, seconds: float = 120) -> bytes:
    """What the terminal shows until `text` appears (None: until the process has gone)."""
    seen = b""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([master], [], [], 0.1)[0]:
            try:
                piece = os.read(master, 65536)
            except OSError:  # the other end has been closed
                break
            seen += piece
            if not piece or (text is not None and text in seen):
                break
    assert text is None or text in seen, seen[-500:]
    return seen


@pytest.fixture(scope="module")
def long(folder: Path) -> str:
    """Frames for a run of minutes."""
    np.savez(folder / "long.npz", x=speech_frames(200_000))
    return "long.npz"


@pytest.mark.parametrize("stage", ["calibrating", "simulating"])
@pytest.mark.parametrize(
    ("sent", "code", "last"),
    [(signal.SIGINT, 130, b"azsim: interrupted\r\n"), (signal.SIGTERM, 143, b"")],
)
def test_a_run_that_is_stopped_leaves_nothing(
    folder: Path, long: str, stage: str, sent: signal.Signals, code: int, last: bytes
) -> None:
    before = tree(folder)
    words = ["run", "model.onnx", "-i", long, "-o", "stopped/out"]
    if stage == "simulating":  # few frames set the scales: the float pass of the rest is skipped
        words += ["--calibrate", "frames.npz", "--timing-only"]
    process, master = start(folder, *words)
    with process:
        try:
            shown = read_until(master, stage.encode())
            os.kill(process.pid, sent)
            shown += read_until(master, None)
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            os.close(master)
    assert process.returncode == code
    assert out == b""
    assert b"Traceback" not in shown
    assert shown.endswith(last)
    assert tree(folder) == before


def test_two_runs_into_one_folder_leave_one_whole_run(folder: Path) -> None:
    command = [sys.executable, "-m", "azsim", "run", "model.onnx", "-i", "frames.npz", "-o", "same"]
    processes = [
        subprocess.Popen(
            command,
            cwd=folder,
            env=process_environment(folder),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert set(codes) <= {0, 2}
    assert 0 in codes
    assert all(error.count(b"\n") == (code == 2) for error, code in zip(errors, codes, strict=True))
    assert set(os.listdir(folder / "same")) == set(RUN_FILES) - {*EXPLAIN_FILES, *BRANCH_FILES}
    assert not [name for name in os.listdir(folder) if name.endswith(".part")]


LIMITED = (
    "import resource, sys; from azsim.cli import main;"
    "resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); sys.argv[1:] = {1!r}; main()"
)


@pytest.mark.parametrize(
    ("words", "limit_bytes", "line"),
    [
        (
            ["run", "model.onnx", "-i", "frames.npz", "-o", "full"],
            2000,
            "full/summary.json: cannot be written: File too large",
        ),
        (
            ["compile", "model.onnx", "-i", "frames.npz", "-o", "m.azp"],
            2000,
            "m.azp: cannot be written: File too large",
        ),
        (
            ["zoo", "build", "tiny_lstm", "-o", "full.onnx"],
            2000,
            "full.onnx: cannot be written: File too large",
        ),
    ],
)
def test_a_disk_that_fills_up_in_the_middle(
    folder: Path, words: list[str], limit_bytes: int, line: str
) -> None:
    """A limit on the size of files stands for the full disk: writing fails after some bytes."""
    before = tree(folder)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED.format(limit_bytes, words)],
        cwd=folder,
        env=process_environment(folder),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == f"azsim: {line}\n"
    assert tree(folder) == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs the device that is always full")
@pytest.mark.parametrize("words", [["chips"], ["disasm", "m.azp"], ["chips", "show", "az1"]])
def test_standard_output_on_a_full_disk(folder: Path, words: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "azsim", *words],
            cwd=folder,
            env=process_environment(folder),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=300,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, NO_SPACE)


@pytest.mark.parametrize(
    "words", [["disasm", "m.azp"], ["run", "model.onnx", "-i", "frames.npz", "-o", "piped"]]
)
def test_a_reader_that_goes_away_is_no_error(folder: Path, words: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "azsim", *words],
            cwd=folder,
            env=process_environment(folder),
            stdout=writing,
            stderr=subprocess.PIPE,
            timeout=300,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")
    if words[0] == "run":
        assert (folder / "piped" / "summary.json").is_file()


@pytest.mark.parametrize(("streams", "code"), [(">&-", 0), (">&- 2>&-", 0), ("2>&-", 0)])
def test_closed_streams(folder: Path, streams: str, code: int) -> None:
    done = subprocess.run(
        [
            "sh",
            "-c",
            f'"$0" -m azsim run model.onnx -i frames.npz -o closed {streams}',
            sys.executable,
        ],
        cwd=folder,
        env=process_environment(folder),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, b"")
    assert (folder / "closed" / "summary.json").is_file()


def test_file_names_and_streams_that_are_no_unicode(folder: Path) -> None:
    name = b"odd \xff"
    (folder / os.fsdecode(name + b".onnx")).write_bytes((folder / "model.onnx").read_bytes())
    command = [sys.executable, "-m", "azsim"]
    words = [b"compile", name + b".onnx", b"-i", b"frames.npz", b"-o", name + b".azp"]
    for encoding in ("utf-8", "ascii"):
        done = subprocess.run(
            [*command, *words],
            cwd=folder,
            env=process_environment(folder, PYTHONIOENCODING=encoding),
            capture_output=True,
            timeout=300,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.startswith(b"odd ?.azp: ")
        assert (folder / os.fsdecode(name + b".azp")).is_file()
    for words in (["ops"], ["run", "--help"], ["chips"]):
        environment = process_environment(folder, PYTHONIOENCODING="ascii")
        done = azsim_process(*words, cwd=folder, environment=environment)
        assert (done.returncode, done.stderr) == (0, b"")


def test_too_little_memory_is_one_line(folder: Path) -> None:
    """Frames whose header is honest but whose array does not fit into the memory allowed."""
    code = (
        "import resource, sys; import azsim.cli.app; from azsim.cli import main;"
        "import azsim.frontend.inputs as inputs\n"
        "def no_memory(*args): raise MemoryError\n"
        "inputs._read_array = no_memory\n"
        "sys.argv[1:] = ['run', 'model.onnx', '-i', 'frames.npz', '-o', 'out']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=process_environment(folder),
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == b"azsim: not enough memory on this computer\n"
    assert not (folder / "out").exists()


def test_help_and_version_as_a_process(folder: Path) -> None:
    done = azsim_process("--version", cwd=folder)
    assert done.returncode == 0
    assert done.stdout.startswith(b"azsim ")
    done = azsim_process("run", "--help", cwd=folder)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"azsim run model.onnx -i speech.wav" in done.stdout
