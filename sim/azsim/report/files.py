"""A run's folder: all reports, written beside it first and moved into place in one step."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azsim.errors import ConfigError
from azsim.graph.text import quoted
from azsim.report.access import write_access_report, write_bandwidth_report
from azsim.report.branches import write_branch_report
from azsim.report.branches_figure import save_branches
from azsim.report.csv import write_compute_report
from azsim.report.energy import write_action_counts, write_energy_report, write_reference_table
from azsim.report.energy_figure import save_energy
from azsim.report.html.library import require_packages
from azsim.report.html.run_page import save_run_page
from azsim.report.layers_figure import save_layers
from azsim.report.outputs import save_outputs
from azsim.report.read import SUMMARY, is_run
from azsim.report.record import RunRecord
from azsim.report.sparse import write_sparse_report
from azsim.report.summary import build_summary, save_summary
from azsim.report.timeline import save_timeline
from azsim.report.timeline_file import write_timeline
from azsim.report.weight_path import write_weight_path_report
from azsim.report.weight_path_figure import save_lanes, save_weight_path

OUTPUTS = "outputs.npz"
TIMELINE, LAYERS, TIMELINE_FILE = "timeline.png", "layers.png", "timeline.json"
COMPUTE_REPORT, BANDWIDTH_REPORT = "COMPUTE_REPORT.csv", "BANDWIDTH_REPORT.csv"
ACCESS_REPORT, SPARSE_REPORT = "DETAILED_ACCESS_REPORT.csv", "SPARSE_REPORT.csv"
WEIGHT_PATH_REPORT = "WEIGHT_PATH_REPORT.csv"
WEIGHT_PATH, LANES = "weight_path.png", "lanes.png"
ENERGY_REPORT, ENERGY = "ENERGY_REPORT.csv", "energy.png"
ACTION_COUNTS, REFERENCE_TABLE = "action_counts.yaml", "ERT.yaml"
REPORT = "report.html"
BRANCH_REPORT, BRANCHES = "BRANCH_REPORT.csv", "branches.png"
FIGURE_KINDS = {"png": ("png",), "pdf": ("pdf",), "both": ("png", "pdf")}
"""What --figures takes, and the suffixes of each figure then."""
PDF_FILES = tuple(
    Path(name).with_suffix(".pdf").name
    for name in (TIMELINE, LAYERS, WEIGHT_PATH, LANES, ENERGY, BRANCHES)
)
ASKED_FILES = (REPORT, *PDF_FILES)
"""Only there if they were asked for."""
EXPLAIN_FILES = (WEIGHT_PATH_REPORT, WEIGHT_PATH, LANES)
"""Only in the folder of a run that asked where the time went."""
BRANCH_FOLDERS = ("arbitrator", "then", "else")
"""Only of a model that chooses a branch in each step: the reports of its parts."""
BRANCH_FILES = (BRANCH_REPORT, BRANCHES, *BRANCH_FOLDERS)
RUN_FILES = (
    SUMMARY, COMPUTE_REPORT, BANDWIDTH_REPORT, ACCESS_REPORT, SPARSE_REPORT, WEIGHT_PATH_REPORT,
    OUTPUTS, TIMELINE, TIMELINE_FILE, LAYERS, WEIGHT_PATH, LANES, ENERGY_REPORT, ENERGY,
    ACTION_COUNTS, REFERENCE_TABLE, *BRANCH_FILES,
)  # fmt: skip


def check_wishes(figures: str, html: bool) -> None:
    """Check what `write_run` is asked for; ask before a long run.

    Raises:
        ConfigError: another kind of figures, or packages for the page are missing.
    """
    if figures not in FIGURE_KINDS:
        kinds = ", ".join(FIGURE_KINDS)
        raise ConfigError(f"--figures: must be one of {kinds}, not {quoted(figures)}")
    if html:
        require_packages()


def write_run(record: RunRecord, out: Path, figures: str = "png", html: bool = False) -> None:
    """Write all reports of `record` to the folder `out`; missing parents are made.

    `figures`: png, pdf (for papers) or both. `html`: report.html too.

    The folder of an earlier run is replaced. On any failure, also Ctrl-C, all is as before.

    Raises:
        ConfigError: `out` holds something else than a run, or cannot be written; as check_wishes.
    """
    check_wishes(figures, html)
    check_out(out)
    target = Path(os.path.realpath(out))
    try:
        with _made_parents(target), _part_folder(target) as part:
            try:
                _write_files(record, part)
                for kind in FIGURE_KINDS[figures]:
                    _save_figures(record, part, f".{kind}")
                if html:
                    save_run_page(part, part / REPORT)
            except ConfigError as error:  # as the user knows the file
                raise ConfigError(str(error).replace(str(part), str(out))) from None
            _move_into_place(part, target)
    except OSError as error:
        raise _cannot_write(out, error) from None


def _write_files(record: RunRecord, folder: Path) -> None:
    save_summary(build_summary(record), folder / SUMMARY)
    if record.branches is not None:
        _write_branches(record, folder)
        return
    write_compute_report(record, folder / COMPUTE_REPORT)
    write_bandwidth_report(record, folder / BANDWIDTH_REPORT)
    write_access_report(record, folder / ACCESS_REPORT)
    write_sparse_report(record, folder / SPARSE_REPORT)
    if not record.timing_only:
        save_outputs(record, folder / OUTPUTS)
    write_timeline(record, folder / TIMELINE_FILE)
    if record.weight_path is not None:
        write_weight_path_report(record, folder / WEIGHT_PATH_REPORT)
    write_energy_report(record, folder / ENERGY_REPORT)
    write_action_counts(record, folder / ACTION_COUNTS)
    write_reference_table(record, folder / REFERENCE_TABLE)


def _save_figures(record: RunRecord, folder: Path, suffix: str) -> None:
    if record.branches is not None:
        save_branches(record, (folder / BRANCHES).with_suffix(suffix))
        save_energy(record, (folder / ENERGY).with_suffix(suffix))
        for name, part in record.branches.parts.items():
            _save_figures(part, folder / name, suffix)
        return
    save_timeline(record, (folder / TIMELINE).with_suffix(suffix))
    save_layers(record, (folder / LAYERS).with_suffix(suffix))
    if record.weight_path is not None:
        save_weight_path(record, (folder / WEIGHT_PATH).with_suffix(suffix))
        save_lanes(record, (folder / LANES).with_suffix(suffix))
    save_energy(record, (folder / ENERGY).with_suffix(suffix))


def _write_branches(record: RunRecord, folder: Path) -> None:
    """What holds for the whole run, and the reports of each part in a folder of its own."""
    assert record.branches is not None
    write_branch_report(record, folder / BRANCH_REPORT)
    if not record.timing_only:
        save_outputs(record, folder / OUTPUTS)
    write_energy_report(record, folder / ENERGY_REPORT)
    write_action_counts(record, folder / ACTION_COUNTS)
    write_reference_table(record, folder / REFERENCE_TABLE)
    for name, part in record.branches.parts.items():
        (folder / name).mkdir()
        _write_files(part, folder / name)


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
        raise _cannot_write(out, error) from None


def _check_existing(out: Path, target: Path) -> None:
    if not target.is_dir():
        raise ConfigError(f"{out}: must be a folder, not a file")
    if target.is_mount():
        raise ConfigError(f"{out}: must be a folder that can be replaced, not a mount point")
    found = sorted(entry.name for entry in target.iterdir())
    if found and not is_run(target):
        raise ConfigError(f"{out}: must be new, empty or the folder of an earlier run")
    for folder in BRANCH_FOLDERS:
        if (target / folder).is_dir():
            found += [f"{folder}/{entry.name}" for entry in (target / folder).iterdir()]
    foreign = [name for name in found if Path(name).name not in (*RUN_FILES, *ASKED_FILES)]
    if foreign:
        raise ConfigError(
            f"{out}: must hold nothing but an earlier run to be replaced, not '{foreign[0]}'"
        )


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
    part = _part_beside(target)
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
    aside = _part_beside(target)
    try:
        target.rename(aside)
        part.rename(target)
    finally:
        if aside.exists() and not target.exists():
            aside.rename(target)
        shutil.rmtree(aside, ignore_errors=True)


def _part_beside(path: Path) -> Path:
    """Return a new name in the folder of `path`, for something that is not finished yet."""
    return path.with_name(f".azsim-{secrets.token_hex(6)}.part")


def _cannot_write(path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{path}: cannot be written: {error.strerror or error}")
