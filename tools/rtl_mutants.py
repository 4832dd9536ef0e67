"""Plant small bugs in copies of the decoder's RTL and see whether lockstep finds them.

    python tools/rtl_mutants.py [--count N] [--skip N] [--seed S] [--cycles N] [--module NAME]

A mutant differs in one place: an operator, a constant, a negation, an assignment left out. Each is
run with `azsim verify-rtl`'s scenarios. Survivors are printed with their line: an equivalent one (a
bug no input can show) is named in docs/rtl.md, any other is a gap of the stimulus. Exit code 0: no
survivor but the known ones, else 1.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from azsim.errors import ConfigError
from azsim.rtl_check.runner import DEFAULT_CYCLES, jobs_of_cycles, run_job
from azsim.rtl_check.sources import DEFAULT_TOP, rtl_sources

RTL = Path(__file__).resolve().parents[1] / "rtl"
KNOWN = Path(__file__).resolve().with_name("rtl_mutants_equivalent.txt")
ORDER = ("ans-64", "ans-128", "bitmap-64", "bitmap-128")

CHANGES = (
    (r"==", "!="),
    (r"!=", "=="),
    (r">=", ">"),
    (r"(?<![<>=-])>(?![>=])", ">="),
    (r"(?<![<=])<(?![<=])", "<="),
    (r"&&", "||"),
    (r"\|\|", "&&"),
    (r"!(?=[\w(])", ""),
    (r"(?<![&])&(?![&])", "|"),
    (r"(?<![|])\|(?![|])", "&"),
    (r"\^(?=[ \w])", "|"),
    (r"(?<=\s)\+(?=\s)", "-"),
    (r"(?<=\s)-(?=\s)", "+"),
    (r"1'b0", "1'b1"),
    (r"1'b1", "1'b0"),
    (r"'0(?![\w'])", "'1"),
    (r"<<", ">>"),
)
NUMBER = re.compile(r"(?<=\d'd)\d+")
ASSIGNMENT = re.compile(
    r"^\s*(?:(?:end )?(?:else )?if \(.*\) |else |\w+(?:::\w+)?: +)?([\w.\[\]*+: -]+ <= .*;)"
)


@dataclass(frozen=True)
class Mutant:
    """One change: `column` of `line` (from 1) of `file`, text `old` made `new`."""

    file: str
    line: int
    column: int
    old: str
    new: str
    text: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}"
        return f"{place} {self.old} -> {self.new or 'nothing'}: {self.text}"

    @property
    def key(self) -> str:
        """The mutant without line numbers, which move."""
        return f"{self.file} {self.column} {self.old} -> {self.new}: {self.text}"


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield the mutants of a source file; lines of FORMAL, ports and comments have none."""
    formal = False
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        formal = (formal or "`ifdef FORMAL" in line) and "`endif" not in line
        code = line.split("//")[0].rstrip()
        if formal or not code or re.match(r"\s*(input|output|module|localparam|parameter)\b", code):
            continue
        if "generate" in code or "genvar" in code or "unused" in code:
            continue
        for column, old, new in changes(code):
            yield Mutant(path.name, number, column, old, new, line.strip())


def changes(code: str) -> Iterator[tuple[int, str, str]]:
    """Yield (column, old, new) of the changes of a line."""
    assigned = ASSIGNMENT.match(code)
    skip = assigned.end(1) - len(assigned[1]) + assigned[1].index("<=") if assigned else -1
    for pattern, new in CHANGES:
        for found in re.finditer(pattern, code):
            inside_for = re.match(r"\s*for \(", code) and found.start() < code.index(")")
            if found.start() not in (skip, skip + 1) and not inside_for:
                yield found.start(), found[0], new
    for found in NUMBER.finditer(code):
        yield found.start(), found[0], str(int(found[0]) + (1 if found[0] != "1" else -1))
    if assigned:
        yield assigned.start(1), assigned[1], ";"


def run_mutant(mutant: Mutant, cycles: int, seed: int) -> str:
    """Return what became of a mutant: the complaint, "no code", or "SURVIVED"."""
    with tempfile.TemporaryDirectory(prefix="azsim-mutant-") as place:
        folder = Path(place)
        shutil.copytree(RTL, folder / "rtl")
        path = folder / "rtl" / "decoder" / "src" / mutant.file
        lines = path.read_text(encoding="utf-8").splitlines()
        line, at = lines[mutant.line - 1], mutant.column
        lines[mutant.line - 1] = line[:at] + mutant.new + line[at + len(mutant.old) :]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        sources = [str(source) for source in rtl_sources(folder / "rtl")]
        jobs = jobs_of_cycles(folder, sources, DEFAULT_TOP, cycles, seed)
        for job in sorted(jobs, key=lambda j: ORDER.index(j.configuration.label)):
            try:
                outcome = run_job(job)
            except ConfigError:
                return "no code"
            if outcome.complaint is not None:
                return outcome.complaint
    return "SURVIVED"


def chosen(options: argparse.Namespace) -> list[Mutant]:
    """Return the mutants to run, in a random order."""
    files = [path for path in rtl_sources(RTL) if options.module in path.stem]
    every = [mutant for path in files for mutant in mutants(path)]
    random.Random(options.seed).shuffle(every)
    print(f"{len(every)} mutants", flush=True)
    return every[options.skip :][: options.count]


def main() -> int:
    """Run the mutants; print each one's fate."""
    parser = argparse.ArgumentParser(description="Lockstep against planted bugs.")
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--skip", type=int, default=0, help="leave out the first ones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cycles", type=int, default=DEFAULT_CYCLES)
    parser.add_argument("--module", default="", help="part of a module's name")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    known = set(KNOWN.read_text(encoding="utf-8").splitlines()) if KNOWN.is_file() else set()
    planted = chosen(options)
    fates: list[str] = []
    survivors = []
    with ThreadPoolExecutor(options.jobs) as pool:
        runs = pool.map(lambda m: run_mutant(m, options.cycles, options.seed), planted)
        for mutant, fate in zip(planted, runs, strict=True):
            fates.append("equivalent" if fate == "SURVIVED" and mutant.key in known else fate)
            print(f"{fates[-1]:.150}\n    {mutant}", flush=True)
            if fates[-1] == "SURVIVED":
                survivors.append(mutant)
    left, equivalent = fates.count("no code"), fates.count("equivalent")
    found = len(fates) - left - equivalent - len(survivors)
    print(f"{found} found, {equivalent} equivalent, {left} no code, {len(survivors)} survived")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
