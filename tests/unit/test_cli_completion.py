"""What Tab offers in a shell: commands, options, and the names azsim knows itself."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from command import azsim_process, process_environment


def offered(line: str, folder: Path) -> list[str]:
    """What bash is told to offer for the last word of `line` (empty after a space)."""
    words = line.split(" ")
    asked = {
        "_AZSIM_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = azsim_process(cwd=folder, environment=process_environment(folder, **asked))
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().split()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("azsim comp", ["compare", "compile", "compress"]),
        ("azsim run m.onnx --chip az", ["az1", "az2"]),
        ("azsim run m.onnx --chip mine", []),  # a file: left to the shell
        ("azsim run m.onnx --host-traffic ", ["cpu_misses", "display", "music"]),
        ("azsim run m.onnx --frames-per", ["--frames-per-pass"]),
        ("azsim zoo build tiny_l", ["tiny_lstm"]),
    ],
)
def test_a_shell_is_offered_what_fits(line: str, words: list[str], tmp_path: Path) -> None:
    found = offered(line, tmp_path)
    assert [word for word in found if word in words] == words
    assert all(word.startswith(line.split(" ")[-1]) for word in found)
    assert bool(found) == bool(words)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_script_for_bash_can_be_loaded(tmp_path: Path) -> None:
    # typer looks for the shell among the parents of a process; a test may have none
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    environment = process_environment(tmp_path, **named)
    done = azsim_process("--show-completion", "bash", cwd=tmp_path, environment=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    script = done.stdout.decode() + "\ncomplete -p azsim"
    loaded = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert "_azsim_completion azsim" in loaded.stdout
