"""The folder of a sweep or search: whose it is, who may write to it, what is in it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azsim._atomic import cannot_write, replaced_file
from azsim.errors import ConfigError
from azsim.sweep.journal import Journal

JOURNAL, MARKER, LOCK = "journal", "azsim-journal", "lock"
PLAN, RESULTS_CSV, RESULTS_PARQUET = "plan.yaml", "results.csv", "results.parquet"
ABOUT, FRONT_CSV, FRONT_JSON = "sweep.json", "front.csv", "front.json"
PARETO, PARALLEL = "pareto", "parallel"
STUDY = "study.journal"


@contextmanager
def open_folder(out: Path) -> Iterator[Journal]:
    """Make `out` the folder of a sweep, or take the one that is there, and keep others off it.

    Raises:
        ConfigError: it holds something else, cannot be written, or another sweep is at work in it.
    """
    folder = Path(os.path.realpath(out))
    journal = folder / JOURNAL
    try:
        _check_ours(out, folder)
        journal.mkdir(parents=True, exist_ok=True)
        with (journal / LOCK).open("ab") as lock:
            _lock(out, lock.fileno())
            with replaced_file(journal / MARKER) as part:  # also the test of rights and room
                part.write_text("One file per point of a sweep of azsim.\n", encoding="utf-8")
            kept = Journal(journal)
            kept.tidy()
            try:
                yield kept
            finally:
                kept.tidy()  # a worker that was killed or stopped may have been writing
    except OSError as error:
        raise cannot_write(out, error) from None


def _check_ours(out: Path, folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{out}: must be a folder, not a file")
    if not folder.exists() or (folder / JOURNAL / MARKER).is_file():
        return
    # a sweep that was killed right at its start has left an empty journal
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    if found - {JOURNAL, f"{JOURNAL}/{LOCK}"}:
        raise ConfigError(f"{out}: must be empty, or the folder of a sweep of azsim")


def _lock(out: Path, file: int) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(f"{out}: another sweep is writing there") from None
