"""`azsim zoo run`: shipped nets on one chip, one row each; killed, it goes on with what is missing.

Nothing in the files depends on who computed a row or when: equal runs give equal bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azsim._atomic import replaced_file
from azsim.api import azsim_version
from azsim.cache import open_cache
from azsim.config import ChipConfig
from azsim.energy import load_rates
from azsim.errors import ConfigError
from azsim.frontend.branches import BRANCHES
from azsim.report.zoo_figure import save_zoo_figure
from azsim.sweep.expressions import Scalar
from azsim.sweep.folder import open_folder
from azsim.sweep.jobs import Outcome
from azsim.sweep.local import LocalPool, available_cores
from azsim.sweep.materials import Materials
from azsim.sweep.run import Evaluator, Workers
from azsim.sweep.table import FAILED, OK, Row, write_csv
from azsim.sweep.zoo_jobs import BRANCH_DEVIATION, SEED, ZooJob, make_job
from azsim.zoo import ZooEntry, find_entry, zoo_table

REPORT, SUMMARY, FIGURE = "ZOO_REPORT.csv", "zoo.json", "zoo"
SCRATCH = "models"  # in the journal's folder, which tidies what killed runs leave
MAX_STEPS = 10_000
_FORMATS = ("png", "pdf")
FRAMES_TEXT = (
    f"normal numbers of deviation 1 ({BRANCH_DEVIATION} where a net chooses a branch) and row"
    f" numbers of tables, seed {SEED}: outputs mean nothing"
)
# column -> figure of a run
_FIGURES = {
    "cycles": "cycles",
    "cycles_per_step": "cycles_per_frame",
    "lower_bound_cycles": "lower_bound_cycles",
    "cycles_over_bound": "cycles_over_bound",
    "bound_by": "bound_by",
    "real_time_factor": "real_time_factor",
    "largest_latency_ms": "frame_latency_ms.max",
    "energy_per_step_pj": "energy.per_frame_pj.nominal",
    "energy_per_step_low_pj": "energy.per_frame_pj.low",
    "energy_per_step_high_pj": "energy.per_frame_pj.high",
    "energy_per_second_pj": "energy.per_second_of_audio_pj.nominal",
    "dram_bytes_read": "dram_bytes_read",
    "dram_bytes_written": "dram_bytes_written",
    "stream_bytes": "stream_bytes",
    "weight_store_bytes": "weight_store_bytes",
    "mac_utilization": "mac_utilization",
    "steps_exact": "verified.exact",
    **{
        f"{branch}_{column}": f"branches.branches.{branch}.{figure}"
        for branch in BRANCHES
        for column, figure in (("steps", "frames"), ("cycles_per_step", "cycles_per_frame"))
    },
}
Progress = Callable[[int, int], None]  # (done, of)


@dataclass(frozen=True)
class ZooResult:
    """What a run of the zoo left: its rows, and what was computed for it this time."""

    out: Path
    rows: Sequence[Row]
    found: int
    computed: int

    @property
    def failed(self) -> Sequence[Row]:
        """Rows of nets that could not be run, or whose outputs were not exact."""
        return [row for row in self.rows if row["status"] == FAILED]


def chosen_entries(names: Sequence[str]) -> list[ZooEntry]:
    """The entries named NAME (all parts) or NAME:PART, each once, in the table's order; all, if
    there are no names. Raises ConfigError for a name that no net has."""
    if not names:
        return list(zoo_table())
    wanted: set[str] = set()
    for word in names:
        name, colon, part = word.partition(":")
        known = [entry.full_name for entry in zoo_table() if entry.name == name]
        if colon or not known:
            known = [find_entry(name, part or None).full_name]
        wanted.update(known)
    return [entry for entry in zoo_table() if entry.full_name in wanted]


def run_zoo(
    names: Sequence[str],
    chip: ChipConfig,
    out: Path,
    *,
    workers: int | None = None,
    steps: int | None = None,
    progress: Progress = lambda done, total: None,
) -> ZooResult:
    """Run shipped nets on `chip`, outputs compared bit for bit; write table and picture to `out`.

    Args:
        names: nets (NAME, NAME:PART); none means all.
        workers: processes; None takes the cores. Memory is that of as many nets.
        steps: of each net; None takes `default_steps`.

    Raises:
        AzsimError: one line; nets that were finished before it are kept. A net that cannot be run
            is no error but a row.
    """
    Workers(workers).check()
    if steps is not None and not 1 <= steps <= MAX_STEPS:
        raise ConfigError(f"--steps: must be 1 to {MAX_STEPS}, not {steps}")
    entries = chosen_entries(names)
    load_rates(chip)  # a bad energy table and bad cache settings are told once, not in each row
    open_cache()
    with open_folder(out) as journal:
        jobs = [make_job(entry, chip, steps, journal.folder / SCRATCH) for entry in entries]
        with LocalPool(workers or available_cores(), Materials(), journal) as pool:
            evaluator = Evaluator(journal, pool)
            evaluator.evaluate(_longest_first(jobs), progress)
        rows = [_row(job, evaluator.outcomes[job.name]) for job in jobs]
        _write(chip, out, rows)
    return ZooResult(out, rows, evaluator.found, evaluator.computed)


def _longest_first(jobs: Sequence[ZooJob]) -> list[ZooJob]:
    """No long one is left over for the end, when other workers have nothing more to do."""
    return sorted(jobs, key=lambda job: -job.steps * job.entry.macs)


def _row(job: ZooJob, outcome: Outcome) -> Row:
    entry, figures = job.entry, outcome.figures
    exact: Scalar = None
    if figures:
        exact = "yes" if figures["verified.exact"] == figures["verified.steps"] else "no"
    return {
        "net": entry.full_name,
        "shapes": entry.label,
        "parameters": entry.parameters,
        "macs": entry.macs,
        "frame_ms": entry.frame_ms,
        "bits": entry.bits,
        "sparsity": entry.sparsity,
        "steps": job.steps,
        "status": OK if outcome.error is None else FAILED,
        "error": outcome.error,
        "bit_exact": exact,
        **{column: figures.get(name) for column, name in _FIGURES.items()},
    }


def _write(chip: ChipConfig, out: Path, rows: Sequence[Row]) -> None:
    about: dict[str, Any] = {
        "written_by": "azsim zoo run",
        "version": azsim_version(),
        "chip": chip.name,
        "status": chip.status,
        "config_hash": chip.config_hash(),
        "seed": SEED,
        "frames": FRAMES_TEXT,
        "nets": len(rows),
        "failed": sum(row["status"] == FAILED for row in rows),
        "rows": list(rows),
    }
    write_csv(rows, out / REPORT)
    text = json.dumps(about, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
    with replaced_file(out / SUMMARY) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
    for kind in _FORMATS:
        save_zoo_figure(rows, f"{chip.name} ({chip.status})", out / f"{FIGURE}.{kind}")
