"""The `azsim` command as tests call it: in this process, or as a process of its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from azsim.cli import run_command_line

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Done:
    """How a command line ended: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def azsim(*words: object) -> Done:
    """Run a command line in this process, its output as in a pipe."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run_command_line([str(word) for word in words])
    return Done(code, out.getvalue(), err.getvalue())


def process_environment(folder: Path, **changes: str) -> dict[str, str]:
    """The environment of an azsim of this checkout whose cache lies in `folder`."""
    dropped = ("COLUMNS", "AZSIM_CACHE_MB", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join(str(REPOSITORY / name) for name in ("sim", "kernels")),
        "AZSIM_CACHE_DIR": str(folder / "cache"),
        "MPLBACKEND": "Agg",
        **changes,
    }


def azsim_process(
    *words: object, cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `python -m azsim` in the folder `cwd` until it ends; output as bytes."""
    command = [sys.executable, "-m", "azsim", *(os.fsencode(str(word)) for word in words)]
    env = environment or process_environment(cwd)
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, timeout=500, check=False)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder but azsim's cache: path -> content (None for folders)."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if name.split("/")[0] != "cache":
            found[name] = path.read_bytes() if path.is_file() else None
    return found
