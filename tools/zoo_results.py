"""Write docs/zoo_results.md from folders of `azsim zoo run`, one per chip.

The families and pairs of blocks must be among the nets that were run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
Run = Mapping[str, Any]
PAGE = Path(__file__).resolve().parents[1] / "docs" / "zoo_results.md"
BLOCK_SIDES = (160, 80, 20, 10)
FAMILIES = (
    ("Person detector", ("presence_v0", "presence_v1", "presence_v2", "presence_v3")),
    ("Segmentation", ("seg_base", "seg_a", "seg_b", "seg_c", "seg_d", "seg_e")),
    ("Wink classifier", ("blink_base", "blink_expert")),
)
_PJ_PER_MJ, _BYTES_PER_MB = 1e9, 1e6

_HEAD = """# Results of the shipped nets

Nets of [zoo.md](zoo.md) on {chips}: `azsim zoo run`, azsim {version}, {date}.
`tools/zoo_results.py` wrote this page. The nets are run by hand, not by the tests: later changes of
the compiler or of a chip move these figures.

The chips are assumptions and the weights are random (tiny_rnnt: trained): compare nets and chips
with one another, not with products. Nets labelled *reconstruction* or *made up* are ours.

* cycles: mean of the steps that were run; "x bound": all cycles over what the busiest unit needs at
  least; "of period": compute time over the step's period, above 1 it does not keep up.
* mJ: energy of a step, with idling for the rest of its period (camera nets: 100 ms, assumed).
* DRAM MB: read and written in a step, on average.
* exact: every output of every step equals the integer reference.
* `rnnt_amnet`, `rnnt_bifocal`, `tiny_amnet`: steps of both branches, as their untrained arbitrators
  choose them; [bounds.md](bounds.md) has each branch.
"""

_BLOCKS_HEAD = """Cycles of one block alone, from `micro_ibn_*` and `micro_fused_*`. A fused block
replaces the 1x1 expansion and the depthwise 3x3 by one full 3x3: more MACs, none of them on the
vector unit, and no wide map between the two. Above 1 the fused block is slower: not every fusion
improves, and which one does depends on the chip.

"""
_FAMILIES_NOTE = """
## Families

"Less" is cycles against the first net of the family, and nothing was fitted. Published for
products whose nets and chip are unknown: 14, 35 and 53 % less latency for three versions of a
person detector; 27, 37, 38, 41 and 51 % for five of a segmentation; 47 % less model and memory
for the wink classifier.
"""


def page(runs: Sequence[Run], date: str) -> str:
    """Return the page for the contents of `zoo.json` of several chips, run on `date`."""
    chips = " and ".join(f"`{run['chip']}` ({run['status']})" for run in runs)
    parts = [_HEAD.format(chips=chips, date=date, version=runs[0]["version"])]
    for run in runs:
        parts += [f"\n## {run['chip']}\n\n", *_table(run)]
    parts += ["\n## Inverted residual or fused block\n\n", *_blocks(runs)]
    parts.append(_FAMILIES_NOTE)
    for title, nets in FAMILIES:
        parts += [f"\n### {title}\n\n", *_family(runs, nets)]
    return "".join(parts)


def _table(run: Run) -> Iterator[str]:
    rows = run["rows"]
    exact = sum(row["bit_exact"] == "yes" for row in rows)
    yield f"{len(rows)} nets, {exact} bit-exact, {run['failed']} failed.\n\n"
    yield "| net | cycles | x bound | bound by | of period | mJ | DRAM MB | exact |\n"
    yield "| --- | ---: | ---: | --- | ---: | ---: | ---: | --- |\n"
    for row in rows:
        yield f"| `{row['net']}` | {' | '.join(_cells(row))} |\n"


def _cells(row: Row) -> tuple[str, ...]:
    if row["cycles"] is None:
        return (*[""] * 6, str(row["error"]))
    moved = row["dram_bytes_read"] + row["dram_bytes_written"]
    return (
        f"{row['cycles_per_step']:,.0f}",
        f"{row['cycles_over_bound']:.2f}",
        row["bound_by"],
        f"{row['real_time_factor']:.4f}",
        f"{row['energy_per_step_pj'] / _PJ_PER_MJ:.3f}",
        f"{moved / row['steps'] / _BYTES_PER_MB:.3f}",
        row["bit_exact"],
    )


def _found(run: Run, net: str) -> Row:
    row: Row = next(row for row in run["rows"] if row["net"] == net)
    return row


def _blocks(runs: Sequence[Run]) -> Iterator[str]:
    yield _BLOCKS_HEAD
    chips = [run["chip"] for run in runs]
    columns = [
        f"{chip}: {name}" for chip in chips for name in ("inverted", "fused", "fused / inv.")
    ]
    yield f"| block | MACs fused / inv. | {' | '.join(columns)} |\n"
    yield f"| --- | ---: |{' ---: |' * len(columns)}\n"
    for side in BLOCK_SIDES:
        cells = []
        for run in runs:
            pair = [_found(run, f"micro_{kind}_{side}") for kind in ("ibn", "fused")]
            cycles = [row["cycles_per_step"] for row in pair]
            bounds = [row["bound_by"] for row in pair]
            cells += [f"{n:,.0f} ({by})" for n, by in zip(cycles, bounds, strict=True)]
            cells.append(f"{cycles[1] / cycles[0]:.2f}")
        macs = [_found(runs[0], f"micro_{kind}_{side}")["macs"] for kind in ("ibn", "fused")]
        yield f"| {side} x {side} | {macs[1] / macs[0]:.1f} | {' | '.join(cells)} |\n"


def _family(runs: Sequence[Run], nets: Sequence[str]) -> Iterator[str]:
    columns = [f"{run['chip']}: {name}" for run in runs for name in ("cycles", "less", "mJ")]
    yield f"| net | M MACs | {' | '.join(columns)} |\n"
    yield f"| --- | ---: |{' ---: |' * len(columns)}\n"
    for net in nets:
        cells = []
        for run in runs:
            row, first = _found(run, net), _found(run, nets[0])
            less = 1 - row["cycles"] / row["steps"] / (first["cycles"] / first["steps"])
            energy = f"{row['energy_per_step_pj'] / _PJ_PER_MJ:.1f}"
            cells += [f"{row['cycles_per_step']:,.0f}", f"{less:.0%}", energy]
        yield f"| `{net}` | {_found(runs[0], net)['macs'] / 1e6:,.0f} | {' | '.join(cells)} |\n"


def main(arguments: Sequence[str]) -> int:
    """Write the page from the date and the folders in `arguments`; return the exit code."""
    if len(arguments) < 2:
        sys.stderr.write("usage: python tools/zoo_results.py DATE DIR...\n")
        return 2
    date, *folders = arguments
    runs = [json.loads((Path(name) / "zoo.json").read_text(encoding="utf-8")) for name in folders]
    PAGE.write_text(page(runs, date), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
