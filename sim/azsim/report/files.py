"""A run's folder: all reports, written beside it first and moved into place in one step."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azsim.errors import ConfigError
from azsim.report.atomic import cannot_write, part_beside
from azsim.report.csv import write_compute_report
from azsim.report.outputs import save_outputs
from azsim.report.record import RunRecord
from azsim.report.summary import WRITTEN_BY, build_summary, save_summary
from azsim.report.timeline import save_timeline

SUMMARY, COMPUTE_REPORT, OUTPUTS, TIMELINE = (
    "summary.json", "COMPUTE_REPORT.csv", "outputs.npz", "timeline.png",
)  # fmt: skip
RUN_FILES = (SUMMARY, COMPUTE_REPORT, OUTPUTS, TIMELINE)
_LARGEST_SUMMARY_BYTES = 1 << 28


def write_run(record: RunRecord, out: Path) -> None:
    """Write all reports of `record` to the folder `out`; missing parents are made.

    The folder of an earlier run is replaced. On any failure, also Ctrl-C, all is as before.

    Raises:
        ConfigError: `out` holds something else than a run, or cannot be written.
    """
    check_out(out)
    target = Path(os.path.realpath(out))
    try:
        with _made_parents(target), _part_folder(target) as part:
            save_summary(build_summary(record), part / SUMMARY)
            write_compute_report(record, part / COMPUTE_REPORT)
            if not record.timing_only:
                save_outputs(record, part / OUTPUTS)
            save_timeline(record, part / TIMELINE)
            _move_into_place(part, target)
    except OSError as error:
        raise cannot_write(out, error) from None


def check_out(out: Path) -> None:
    """Check that `out` may become a run's folder; ask before a long run. Nothing is left on disk.

    Raises:
        ConfigError: `out` holds something else than a run of azsim, or cannot be written.
    """
    target = Path(os.path.realpath(out))
    try:
        if target.exists():
            _check_existing(out, target)
        with _made_parents(target, keep=False), _part_folder(target):
            # making a folder is the one true test of rights; looking up a name, of its length
            target.exists()
    except OSError as error:
        raise cannot_write(out, error) from None


def _check_existing(out: Path, target: Path) -> None:
    if not target.is_dir():
        raise ConfigError(f"{out}: must be a folder, not a file")
    if target.is_mount():
        raise ConfigError(f"{out}: must be a folder that can be replaced, not a mount point")
    found = sorted(entry.name for entry in target.iterdir())
    if found and not _is_run(target):
        raise ConfigError(f"{out}: must be new, empty or the folder of an earlier run")
    foreign = [name for name in found if name not in RUN_FILES]
    if foreign:
        raise ConfigError(
            f"{out}: must hold nothing but an earlier run to be replaced, not '{foreign[0]}'"
        )


def _is_run(folder: Path) -> bool:
    """Tell whether `folder` holds a summary.json that azsim wrote."""
    summary = folder / SUMMARY
    try:
        if not summary.is_file() or summary.stat().st_size > _LARGEST_SUMMARY_BYTES:
            return False
        content = json.loads(summary.read_bytes())
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("written_by") == WRITTEN_BY


@contextmanager
def _made_parents(target: Path, keep: bool = True) -> Iterator[None]:
    """Make the missing parents of `target`; take them away again on failure or if not `keep`."""
    made: list[Path] = []
    done = False
    try:
        for folder in reversed(target.parents):
            if not folder.is_dir():
                if folder.exists():
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
                folder.mkdir()
                made.append(folder)
        yield
        done = True
    finally:
        if not (done and keep):
            for folder in reversed(made):
                _remove_if_empty(folder)


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # another program has put something into it meanwhile


@contextmanager
def _part_folder(target: Path) -> Iterator[Path]:
    """Yield a new folder beside `target`; it is removed if it was not moved away."""
    part = part_beside(target)
    try:
        part.mkdir()
        yield part
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _move_into_place(part: Path, target: Path) -> None:
    """Rename `part` to `target`. An older run is set aside first and comes back if that fails."""
    if not target.exists():
        part.rename(target)
        return
    aside = part_beside(target)
    try:
        target.rename(aside)
        part.rename(target)
    finally:
        if aside.exists() and not target.exists():
            aside.rename(target)
        shutil.rmtree(aside, ignore_errors=True)
