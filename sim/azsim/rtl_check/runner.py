"""Runs simulations in processes of their own and puts their results together."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from azsim.errors import ConfigError
from azsim.rtl_check.coverage import goals, missing
from azsim.rtl_check.job import Job, Result
from azsim.rtl_check.scenarios import (
    CONFIGURATIONS,
    Configuration,
    make_scenario,
    parse_label,
)
from azsim.rtl_check.simulate import NOT_BUILT
from azsim.rtl_check.sources import DEFAULT_TOP, require_tools, rtl_sources
from azsim.rtl_check.vectors import load_vectors, write_vectors
from azsim.units import ceil_div

DEFAULT_CYCLES = 20_000
MAX_CYCLES = 1_000_000_000
SHARES = {"bitmap-64": 19, "bitmap-128": 15, "ans-64": 37, "ans-128": 29}
"""How the cycles are dealt out over the configurations."""

ONE_SCENARIO_CYCLES = 10_000
"""More than any one scenario takes."""

START_SECONDS = 60
SLOWEST_CYCLES_PER_SECOND = 50


@dataclass(frozen=True)
class Outcome:
    """One simulation: what was asked, what it found; `failure` if it ended without a result."""

    job: Job
    result: Result
    failure: str | None = None

    @property
    def complaint(self) -> str | None:
        """What did not hold, in one line, or None."""
        return str(self.result.mismatch) if self.result.mismatch else self.failure

    @property
    def missing(self) -> list[str]:
        """Coverage goals not met."""
        return missing(self.job.configuration, self.result.coverage)

    @property
    def goals(self) -> int:
        """Number of coverage goals."""
        return len(goals(self.job.configuration))


@dataclass(frozen=True)
class Verification:
    """A whole run of `verify_rtl`; `kept` are the folders of failing cases."""

    seed: int
    outcomes: list[Outcome]
    kept: list[Path] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether everything held."""
        return all(outcome.complaint is None for outcome in self.outcomes)

    @property
    def cycles(self) -> int:
        """Cycles compared."""
        return sum(outcome.result.cycles for outcome in self.outcomes)


def verify_rtl(
    cycles: int = DEFAULT_CYCLES,
    rtl: Path | None = None,
    seed: int = 1,
    top: str = DEFAULT_TOP,
    replay: str | None = None,
    vectors: Path | None = None,
    output: Path = Path("rtl-failures"),
) -> Verification:
    """Run the decoder's RTL in lockstep with the clocked model.

    cycles   cycles to compare, over all configurations
    rtl      a copy of the project's rtl/ folder; None: the one that came with azsim
    top      module with the decoder's ports
    replay   label of the one scenario to run
    vectors  folder of vectors to run instead of scenarios
    output   where failing scenarios are kept

    Raises ConfigError for bad use, missing tools and sources that do not compile.
    """
    _check(cycles, seed, top)
    sources = [str(path) for path in rtl_sources(rtl)]
    require_tools()
    with tempfile.TemporaryDirectory(prefix="azsim-rtl-") as folder:
        jobs = _jobs(Path(folder), sources, top, cycles, seed, replay, vectors)
        with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
            outcomes = list(pool.map(run_job, jobs))
        failed = [outcome for outcome in outcomes if outcome.result.mismatch is not None]
        kept = [keep_failure(outcome, output) for outcome in failed]
    return Verification(seed, outcomes, kept)


def _check(cycles: int, seed: int, top: str) -> None:
    """Refuse what no run can be made of."""
    if not 1 <= cycles <= MAX_CYCLES:
        raise ConfigError(f"--cycles: must be 1 to {MAX_CYCLES}, not {cycles}")
    if not 0 <= seed < 10**18:
        raise ConfigError(f"--seed: must be 0 to {10**18 - 1}, not {seed}")
    if not re.fullmatch(r"[A-Za-z_]\w{0,99}", top, re.ASCII):
        raise ConfigError(f"--top: must be the name of a module, not {top}")


def _jobs(
    folder: Path,
    sources: list[str],
    top: str,
    cycles: int,
    seed: int,
    replay: str | None,
    vectors: Path | None,
) -> list[Job]:
    """Return the jobs of a run, each with a folder of its own."""
    if replay is not None and vectors is not None:
        raise ConfigError("--replay: must not be given together with --vectors")
    if replay is not None:
        configuration, seed, number = parse_label(replay)
        return [_job(folder, sources, top, configuration, seed, ONE_SCENARIO_CYCLES, number)]
    if vectors is not None:
        profile, cases = load_vectors(vectors)
        most = sum(100 * len(case.words) + ONE_SCENARIO_CYCLES for case in cases)
        return [
            _job(folder, sources, top, configuration, seed, most, vectors=str(vectors.resolve()))
            for configuration in CONFIGURATIONS
            if configuration.profile in (profile, "ans")  # which reads bitmap too
        ]
    return jobs_of_cycles(folder, sources, top, cycles, seed)


def jobs_of_cycles(folder: Path, sources: list[str], top: str, cycles: int, seed: int) -> list[Job]:
    """Return the jobs that deal `cycles` out over all configurations."""
    total = sum(SHARES.values())
    share = {label: ceil_div(cycles * part, total) for label, part in SHARES.items()}
    return [
        _job(folder, sources, top, configuration, seed, share[configuration.label])
        for configuration in CONFIGURATIONS
    ]  # fmt: skip


def _job(
    folder: Path,
    sources: list[str],
    top: str,
    configuration: Configuration,
    seed: int,
    cycles: int,
    only: int = -1,
    vectors: str = "",
    waves: bool = False,
) -> Job:
    own = folder / (configuration.label + ("-waves" if waves else ""))
    own.mkdir()
    return Job(str(own), sources, top, configuration, seed, cycles, only, waves, vectors)


def run_job(job: Job) -> Outcome:
    """Run one simulation in a process of its own; end it if it hangs."""
    job.save()
    log = Path(job.folder) / "log.txt"
    limit = START_SECONDS + job.cycles // SLOWEST_CYCLES_PER_SECOND
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "azsim.rtl_check.simulate", str(job.path)],
            cwd=job.folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(_roots())},
            start_new_session=True,
        )
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end_group(process)
    if code == NOT_BUILT:
        raise ConfigError(f"{job.configuration.label}: {_first_error(log)}")
    if job.result_path.is_file():
        return Outcome(job, Result.load(job.result_path))
    cause = f"nothing after {limit} s" if code is None else f"the simulator ended with code {code}"
    last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    text = f"{job.configuration.label}: no result: {cause}: {' '.join(last)[:300]}"
    return Outcome(job, Result(0), text)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End what the process started, if anything of it still runs."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _roots() -> list[str]:
    """Return the folders that hold the packages, and what was on the path."""
    modules = (sys.modules["azsim"], sys.modules["azsim_kernels"])
    roots = [str(Path(str(module.__file__)).parents[1]) for module in modules]
    return list(
        dict.fromkeys([*roots, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))])
    )


def _first_error(log: Path) -> str:
    """Return the compiler's first complaint."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    errors = [line for line in lines if "error" in line.lower() and "sorry" not in line]
    return "the sources must compile: " + (errors or lines or ["no output"])[0].strip()[:300]


def keep_failure(outcome: Outcome, output: Path) -> Path:
    """Run a failing scenario again for its waveform; keep that, its cases and the log."""
    mismatch = outcome.result.mismatch
    assert mismatch is not None
    job = outcome.job
    folder = output / re.sub(r"[:.]", "_", mismatch.label)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mismatch.txt").write_text(f"{mismatch}\n", encoding="utf-8")
    if job.vectors:
        return folder
    configuration, seed, number = parse_label(mismatch.label)
    scenario = make_scenario(configuration, seed, number)
    write_vectors(folder, scenario.cases, configuration.profile)
    parent, cycles = Path(job.folder).parent, ONE_SCENARIO_CYCLES
    again = _job(parent, job.sources, job.top, configuration, seed, cycles, number, waves=True)
    run_job(again)
    for wave in Path(again.folder).rglob("*.fst"):
        shutil.copyfile(wave, folder / "waves.fst")
    shutil.copyfile(Path(again.folder) / "log.txt", folder / "log.txt")
    return folder
