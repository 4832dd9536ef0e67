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
from azsim.rtl_check.scenarios import CONFIGURATIONS, Configuration, parse_label, recipes
from azsim.rtl_check.simulate import NOT_BUILT
from azsim.rtl_check.sources import DEFAULT_TOP, require_tools, rtl_sources
from azsim.rtl_check.vectors import load_vectors, write_vectors
from azsim.units import ceil_div

DEFAULT_CYCLES = 20_000
"""From so many cycles on a run does all named scenarios, whatever they take, and some random ones;
it must then meet all coverage goals."""

RANDOM_SCENARIOS = 8
MAX_CYCLES = 1_000_000_000
SHARES = {"bitmap-64": 19, "bitmap-128": 15, "ans-64": 37, "ans-128": 29}
"""How the cycles are dealt out over the configurations."""

ONE_SCENARIO_CYCLES = 10_000
"""More than any one scenario takes."""

START_SECONDS = 60
SLOWEST_CYCLES_PER_SECOND = 50
SCENARIO_CYCLES = 500  # of an average one, generously


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
    """A whole run of `verify_rtl`; `kept` are the folders of failing cases.

    `full`: the run was long enough that coverage goals not met make it fail.
    """

    seed: int
    outcomes: list[Outcome]
    kept: list[Path] = field(default_factory=list)
    full: bool = False

    @property
    def held(self) -> bool:
        """Whether no cycle differed and no simulation was lost."""
        return all(outcome.complaint is None for outcome in self.outcomes)

    @property
    def passed(self) -> bool:
        """Whether everything held and, in a full run, all goals were met."""
        return self.held and not (self.full and any(o.missing for o in self.outcomes))

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
    replay   label of the one scenario to run, or a seed for a whole run
    vectors  folder of vectors to run instead of scenarios
    output   where failing scenarios are kept

    Raises ConfigError for bad use, missing tools and sources that do not compile.
    """
    if replay is not None and re.fullmatch(r"\d{1,18}", replay, re.ASCII):
        seed, replay = int(replay), None
    _check(cycles, seed, top)
    sources = [str(path) for path in rtl_sources(rtl)]
    require_tools()
    with tempfile.TemporaryDirectory(prefix="azsim-rtl-") as folder:
        jobs = _jobs(Path(folder), sources, top, cycles, seed, replay, vectors)
        with ThreadPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
            outcomes = list(pool.map(run_job, jobs))
        failed = [outcome for outcome in outcomes if outcome.complaint is not None]
        kept = [keep_failure(outcome, output) for outcome in failed]
    full = cycles >= DEFAULT_CYCLES and replay is None and vectors is None
    return Verification(seed, outcomes, kept, full)


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
    jobs = []
    for configuration in CONFIGURATIONS:
        named = len(recipes(configuration.profile))
        least = named + RANDOM_SCENARIOS if cycles >= DEFAULT_CYCLES else 0
        amount = share[configuration.label]
        jobs.append(_job(folder, sources, top, configuration, seed, amount, least=least))
    return jobs


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
    least: int = 0,
) -> Job:
    own = folder / (configuration.label + ("-waves" if waves else ""))
    own.mkdir()
    return Job(str(own), sources, top, configuration, seed, cycles, only, waves, vectors, least)


def run_job(job: Job) -> Outcome:
    """Run one simulation in a process of its own; end it if it hangs."""
    job.save()
    log = Path(job.folder) / "log.txt"
    cycles = max(job.cycles, job.least * SCENARIO_CYCLES)
    limit = START_SECONDS + cycles // SLOWEST_CYCLES_PER_SECOND
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
    """Keep what a failing simulation leaves: its complaint, cases, waveform and log.

    The scenario is run again alone for its waveform. A simulation without a result leaves a log.
    """
    job, mismatch = outcome.job, outcome.result.mismatch
    name = mismatch.label if mismatch is not None else job.configuration.label
    folder = output / re.sub(r"[:.]", "_", name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "mismatch.txt").write_text(f"{outcome.complaint}\n", encoding="utf-8")
        log = Path(job.folder)
        if mismatch is not None:
            scenario = next(s for s in job.scenarios_named(mismatch.label))
            write_vectors(folder, scenario.cases, job.configuration.profile)
            log = _waveform(job, scenario.label, folder)
        shutil.copyfile(log / "log.txt", folder / "log.txt")
    except OSError as error:
        raise ConfigError(f"{folder}: must be a folder to write to: {error.strerror}") from error
    return folder


def _waveform(job: Job, label: str, folder: Path) -> Path:
    """Run the scenario `label` of a job again, put its waveform into `folder`; return the job's
    own folder."""
    number = int(label.rpartition(".")[2])
    again = _job(
        Path(job.folder).parent,
        job.sources,
        job.top,
        job.configuration,
        job.seed,
        1,
        number,
        job.vectors,
        waves=True,
    )
    run_job(again)
    for wave in Path(again.folder).rglob("*.fst"):
        shutil.copyfile(wave, folder / "waves.fst")
    return Path(again.folder)
