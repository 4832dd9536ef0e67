"""Compiles the kernels of a first run in processes of their own, beside the work that comes before.

numba compiles a kernel when it is first called and keeps the result on disk. The engine's kernels
fall into two groups that know nothing of each other: the times and the results. A first run starts
one process for each, reads and compresses its model meanwhile, and then finds both on disk. Nothing
depends on it: a kernel that is missing is compiled where it is called.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import TracebackType

import numpy as np

from azsim.config import load_chip
from azsim.engine.fast_machine import FastMachine
from azsim.engine.params import machine_params
from azsim_kernels import isa
from azsim_kernels._jit import compiled_folder

PARTS = ("times", "results")


class Warming:
    """The processes that compile; as a context manager it ends them with the block."""

    def __init__(self) -> None:
        folder = compiled_folder()
        cold = [] if folder is None else [p for p in PARTS if not _marker(folder, p).exists()]
        self._running = [_start(part) for part in cold]

    def wait(self) -> None:
        """Return when everything is compiled (or has failed, which only costs time later)."""
        for process in self._running:
            process.wait()

    def __enter__(self) -> Warming:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._running:
            if process.poll() is None:
                process.terminate()
            process.wait()


def _start(part: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "azsim.engine.warm", part],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _marker(folder: Path, part: str) -> Path:
    """A file that says: this group lies compiled in the folder of these sources."""
    return folder / f"compiled-{part}"


def compile_part(part: str) -> None:
    """Call one group of kernels once, on a program of one small copy."""
    command = np.zeros(1, isa.COMMAND)
    command["engine"], command["opcode"], command["layer"] = isa.VECTOR, isa.COPY, -1
    command["arg"][0, :15] = (0, 64, 1, 1, 1, 1, 16, 0, 0, 0, 1, 0, 0, 0, 1)
    machine = FastMachine(
        machine_params(load_chip("tiny")),
        command,
        np.zeros(1, np.int64),
        np.zeros(1, np.int64),
        dram=np.zeros(64, np.uint8),
        store=np.zeros(0, np.uint8),
        abuf=np.zeros(1024, np.uint8),
        timing_only=part == "times",
    )
    if part == "times":
        machine.run_step()
    else:
        machine.compile_results()
    folder = compiled_folder()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        _marker(folder, part).touch()


if __name__ == "__main__":
    compile_part(sys.argv[1])
