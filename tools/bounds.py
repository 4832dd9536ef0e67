"""How far shipped nets are from their own bound: writes docs/bounds.md.

`python tools/bounds.py` runs the nets that the page lacks, one step each, and adds their rows;
`--all` runs every net anew; names run those; `--check` names the nets that the page lacks (exit
code 1). The page keeps a rule: a row spends at most 1.15 times its bound, or says why.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from azsim.api import run
from azsim.errors import AzsimError
from azsim.frontend import Inputs, read_onnx
from azsim.frontend.branches import BRANCHES, read_either
from azsim.report.layers import layer_rows
from azsim.report.record import RunRecord
from azsim.report.summary import build_summary
from azsim.session import Session
from azsim.sweep.materials import random_inputs
from azsim.sweep.zoo_jobs import BRANCH_STEPS, louder
from azsim.zoo import ZooEntry, build_zoo, find_entry, save_onnx, zoo_table

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "bounds.md"
EXPORTED = ROOT / "examples" / "torch_export"
CHIPS = ("az1", "az2", "dense")
SEED = 1
BRANCHING = tuple(entry.full_name for entry in zoo_table() if entry.branches)
MOST = 1.15  # cycles over bound that need no reason
LATENCY_CYCLES = 180  # of one layer that waits for the one before: see `latencies` below
TURNS, LATENCIES, BOTH, BANKS = "turns", "latencies", "both", "banks"

# What the general reasons below do not explain: (net, chip) -> why.
# Each was looked at with `azsim run --explain`.
REASONS: dict[tuple[str, str], str] = {
    **{("rnnt_mlperf:prediction", chip): "store" for chip in CHIPS},
    **{("spkid_dvector:small", chip): "store" for chip in CHIPS},
    ("rnnt_google_mobile:joint", "az2"): "store",
    ("lstm_transducer_icefall:prediction", "az2"): "groups",
    ("rnnt_amnet:joint", "az2"): "store",
    ("rnnt_bifocal:joint", "az2"): "store",
    ("zipformer_s_stream:prediction", "az2"): "groups",
}
# What is left of nets whose activations pass through DRAM in blocks, and of nets that
# are one operation.
IN_BLOCKS = ("presence_", "blink_", "seg_", "mnet_", "micro_ibn", "micro_fused", "micro_dw")
SINGLE = ("micro_lut", "micro_softmax", "micro_layernorm", "micro_svdf", "spkid_dvector:compare")

_TOP = """\
# Cycles against the bound

Made by `python tools/bounds.py`: one step of every shipped net on the assumed chips, timing only.
Weights and frames are random; no AZ silicon figure exists.

The **bound** is the work of the unit with the most work in the whole step: no order of commands on
that chip could be faster ([reports.md](reports.md)). Nobody reaches it whose layers need
different units one after the other. **In turn** is the sum of the layers' own bounds: what a step
would take whose layers each kept their busiest unit busy, but did not overlap. A rule is kept by
test: a step takes at most 1.15 times its bound, or the last column says why.

Nets that choose a branch in each step are two: NAME/then and NAME/else, the mean over the steps of
{steps} that take that branch, arbitrator and decision included.

* `turns`: it takes at most 1.15 times the sum of its layers' bounds. Each layer needs the result
  of the one before, and the layers are bound by different units, which take turns.
* `latencies`: beyond that sum it loses at most {latency} cycles a layer. So long does a layer take
  until its first result: its parameters and first tile from DRAM (a request takes 40 to 60 cycles
  on these chips), decoding, product, rescaling, each with its own pipeline. Weights are fetched
  while the layer before computes; that result itself is missing until then. Nets of few or small
  layers are mostly that.
* `both`: the two together explain it, neither does alone.
* `banks`: with a memory of the same peak rate that has no banks and needs no refresh
  (`--set memory.model=simple`, column "simple") it is within 1.15. The bound counts the peak rate;
  refresh takes 7 % of it, and the streams of several decoders (four on az2) open and close rows in
  turn.
* `blocks`: activations that do not fit ABUF pass in blocks or strips of rows. Strips fetch their
  weights anew and copy the rows that two of them share. Where a layer is no part of a cascade, rows
  at the border of two blocks are fetched twice, and a transposition fetches runs of a few pixels,
  one LOAD each.
* `single`: one operation is the whole net: its input comes in, then it is computed, then its output
  leaves, and there is nothing to overlap that with.
* `store`: part of the weights lies in the weight store, part in DRAM. A channel of DMA-W brings its
  tiles in order, so that a tile from the one waits behind a tile from the other, and the decoders
  starve though neither source is at its limit all the time. With a memory that answers in the next
  cycle these nets are within 1.15 (`azsim run --explain`).
* `groups`: a convolution of many groups. Neighbouring groups share a matrix, but its tiles still
  take longer to begin (FETCH, TILE, PRODUCT) than to work.

Nets that lack rows are named by `python tools/bounds.py --check`.

| net | chip | cycles | bound | x bound | by | in turn | layers | simple | why |
| --- | --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | --- |
"""


@dataclass(frozen=True)
class Row:
    """One net on one chip."""

    net: str
    chip: str
    cycles: int
    bound: int
    unit: str
    in_turn: int | None = None  # None: not asked for where the bound alone is enough
    layers: int | None = None
    simple: int | None = None  # cycles with the simple memory, asked for where it may be the reason

    @property
    def over(self) -> float:
        """Cycles over bound."""
        return self.cycles / self.bound

    def reason(self) -> str:
        """Why it is more than `MOST`, "" if it is not; raises ValueError where nothing says so."""
        if round(self.over, 2) <= MOST:
            return ""
        if (self.net, self.chip) in REASONS:
            return REASONS[self.net, self.chip]
        if self.in_turn is None or self.layers is None:
            raise ValueError(f"{self.net} on {self.chip}: must be run anew, in turn is not known")
        if self.simple is not None and round(self.simple / self.bound, 2) <= MOST:
            return BANKS
        lost = self.cycles - self.in_turn
        if round(self.cycles / self.in_turn, 2) <= MOST:
            return TURNS
        if lost <= LATENCY_CYCLES * self.layers:
            return LATENCIES if self.in_turn <= MOST * self.bound else BOTH
        if self.net.startswith(IN_BLOCKS) or self.net in SINGLE:
            return "single" if self.net in SINGLE else "blocks"
        raise ValueError(
            f"{self.net} on {self.chip}: {self.over:.2f} times its bound must have a reason"
            f" ({lost} cycles in {self.layers} layers)"
        )

    def line(self) -> str:
        """The row of the page."""
        in_turn = "-" if self.in_turn is None else f"{self.in_turn:,}"
        layers = "-" if self.layers is None else self.layers
        simple = "-" if self.simple is None else f"{self.simple:,}"
        return (
            f"| `{self.net}` | {self.chip} | {self.cycles:,} | {self.bound:,} | {self.over:.2f} |"
            f" {self.unit} | {in_turn} | {layers} | {simple} |"
            f" {self.reason() or '-'} |"
        )


_ROW = re.compile(
    r"\| `(?P<net>[^`]+)` \| (?P<chip>\w+) \| (?P<cycles>[\d,]+) \| (?P<bound>[\d,]+) \| [\d.]+ \|"
    r" (?P<unit>\w+) \| (?P<in_turn>[\d,]+|-) \| (?P<layers>\d+|-) \|"
    r" (?P<simple>[\d,]+|-) \| (?P<why>.+) \|"
)


def read_page(text: str) -> dict[tuple[str, str], Row]:
    """Return the rows of the page by net and chip."""
    rows = {}
    for found in _ROW.finditer(text):
        row = Row(
            found["net"],
            found["chip"],
            _number(found["cycles"]),
            _number(found["bound"]),
            found["unit"],
            *(
                _number(found[k]) if found[k] != "-" else None
                for k in ("in_turn", "layers", "simple")
            ),
        )
        rows[row.net, row.chip] = row
    return rows


def _number(text: str) -> int:
    return int(text.replace(",", ""))


def page_text(rows: dict[tuple[str, str], Row], names: Sequence[str]) -> str:
    """Return the page, rows in the order of `names`."""
    lines = [rows[n, chip].line() for n in names for chip in CHIPS if (n, chip) in rows]
    return _TOP.format(latency=LATENCY_CYCLES, steps=BRANCH_STEPS) + "".join(
        f"{line}\n" for line in lines
    )


def shipped() -> dict[str, ZooEntry | Path]:
    """Every shipped net: those of the zoo, and the exported examples. A net that chooses a branch
    in each step is two: NAME/then and NAME/else, arbitrator and decision included in both."""
    nets: dict[str, ZooEntry | Path] = {}
    for entry in zoo_table():
        ends = [f"/{branch}" for branch in BRANCHES] if entry.full_name in BRANCHING else [""]
        nets |= {entry.full_name + end: entry for end in ends}
    return nets | {f"torch_export/{p.stem}": p for p in sorted(EXPORTED.glob("*.onnx"))}


def measure(name: str, net: ZooEntry | Path) -> Iterator[Row]:
    """Run one step of a net on each chip."""
    base = name.rpartition("/")[0]
    if base in BRANCHING:
        yield from (row for row in _branch_rows(base) if row.net == name)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        if isinstance(net, Path):
            path = net
        else:
            save_onnx(build_zoo(net.name, net.part, net.bits, net.sparsity, SEED), path)
        inputs = random_inputs(read_onnx(path), 1, SEED)
        for chip in CHIPS:
            record = run(path, input=inputs, chip=chip, timing_only=True, cache=False)
            row = _row(name, chip, record)
            if round(row.over, 2) > MOST:
                row = replace(row, simple=_with_simple_memory(path, inputs, chip))
            yield row


def _row(name: str, chip: str, record: RunRecord) -> Row:
    """The row of a run, per step."""
    summary, steps = build_summary(record), record.frames
    bounds = [row.work.lower_bound_cycles for row in layer_rows(record)]
    return Row(
        name,
        chip,
        summary["cycles"] // steps,
        summary["lower_bound_cycles"] // steps,
        summary["bound_by"],
        sum(bounds) // steps,
        sum(bound > 0 for bound in bounds),
    )


@lru_cache(maxsize=1)
def _branch_rows(base: str) -> tuple[Row, ...]:
    """Both branches of a net on each chip: the mean over the steps that take each."""
    name, _, part = base.partition(":")
    entry = find_entry(name, part or None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        save_onnx(build_zoo(name, part or None, entry.bits, entry.sparsity, SEED), path)
        model, session = read_either(path), Session()
    inputs = louder(random_inputs(model, BRANCH_STEPS, SEED))

    def rows(chip: str, *words: str) -> dict[str, Row]:
        record = run(
            model, input=inputs, chip=chip, overrides=words, timing_only=True, session=session
        )
        if record.branches is None:
            raise ValueError(f"{base}: must choose a branch")
        taken = record.branches.frames_of
        return {branch: _row(f"{base}/{branch}", chip, taken[branch]) for branch in BRANCHES}

    made: list[Row] = []
    for chip in CHIPS:
        own = rows(chip)
        if any(round(row.over, 2) > MOST for row in own.values()):
            simple = rows(chip, "memory.model=simple")
            own = {
                branch: replace(row, simple=simple[branch].cycles)
                if round(row.over, 2) > MOST
                else row
                for branch, row in own.items()
            }
        made += own.values()
    return tuple(made)


def _with_simple_memory(path: Path, inputs: Inputs, chip: str) -> int:
    words = ("memory.model=simple",)
    record = run(path, input=inputs, chip=chip, overrides=words, timing_only=True, cache=False)
    return record.counters.cycles


def main(words: Sequence[str]) -> int:
    """Do what the command line says; return the exit code."""
    nets = shipped()
    text = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    rows = {key: row for key, row in read_page(text).items() if key[0] in nets}
    missing = [name for name in nets if any((name, chip) not in rows for chip in CHIPS)]
    if list(words) == ["--check"]:
        for name in missing:
            sys.stderr.write(f"docs/bounds.md: must have {name}: run tools/bounds.py\n")
        return 1 if missing else 0
    code = 0
    for name in list(nets) if list(words) == ["--all"] else list(words) or missing:
        try:
            for row in measure(name, nets[name]):
                rows[name, row.chip] = row
                print(row.line(), flush=True)
        except (AzsimError, ValueError) as error:
            sys.stderr.write(f"{name}: {error}\n")
            rows = {key: row for key, row in rows.items() if key[0] != name}
            code = 1
        temporary = PAGE.with_name(f".{PAGE.name}.tmp")
        temporary.write_text(page_text(rows, list(nets)), encoding="utf-8")
        os.replace(temporary, PAGE)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
