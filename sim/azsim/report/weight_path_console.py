"""What `azsim run --explain` prints: the weight path of the first pass, and its what-ifs."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from azsim.counters import WEIGHT_PATH_UNITS, WHAT_IF, WeightPath
from azsim.graph.text import one_line
from azsim.report.layers import longest
from azsim.report.record import RunRecord
from azsim.report.weight_path import layer_spread
from azsim_kernels.isa import STALL_CLASS_NAMES

MAX_LAYERS = 12
OTHER_COLUMNS = 66  # of the table of layers, without the name
SHORTEST_NAME, LONGEST_NAME = 12, 34


def print_weight_path(record: RunRecord, console: Console) -> None:
    """Print both tables, of a model with branches for each part; nothing if the run has no weight
    path."""
    if record.branches is not None:
        for name, part in record.branches.parts.items():
            _print_path(part, console, f"{name}, its first frame")
    _print_path(record, console, "first pass")


def _print_path(record: RunRecord, console: Console, what: str) -> None:
    path = record.weight_path
    if path is None:
        return
    console.print()
    console.print(Text(f"weight path, {what}, {path.cycles:,} cycles", style="bold"))
    console.print(_unit_table(path))
    console.print()
    console.print("cycles of each layer, and what it would take with one thing unlimited")
    console.print(_layer_table(record, path, console.width))


def _table(first: str, numbers: list[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(first, no_wrap=True, overflow="ellipsis")
    for title in numbers:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _unit_table(path: WeightPath) -> Table:
    """Share of each unit's cycles per class."""
    table = _table("unit            ", ["count", *STALL_CLASS_NAMES])
    for unit in WEIGHT_PATH_UNITS:
        sums = path.classes[unit].sum(axis=0)
        whole = int(sums.sum())
        shares = [f"{100 * int(n) / whole:.1f} %" if whole else "-" for n in sums]
        table.add_row(unit.replace("_", " "), f"{path.counts[unit]:,}", *shares)
    return table


def _layer_table(record: RunRecord, path: WeightPath, width: int) -> Table:
    table = _table("layer", ["cycles", *WHAT_IF, "lane spread"])
    spans = [int(span) for span in path.spans]
    name_columns = min(max(width - OTHER_COLUMNS, SHORTEST_NAME), LONGEST_NAME)
    shown, rest = longest(spans, MAX_LAYERS)
    for place in shown:
        name = one_line(record.program.layers[place].name)
        if len(name) > name_columns:
            name = "..." + name[3 - name_columns :]
        table.add_row(Text(name), *_cells(path, [place]))
    if rest:
        table.add_row(
            f"{len(rest)} other layer{'' if len(rest) == 1 else 's'}", *_cells(path, rest)
        )
    table.add_row("all", *_cells(path, list(range(len(spans)))))
    return table


def _cells(path: WeightPath, places: list[int]) -> list[str]:
    cells = [f"{int(path.spans[places].sum()):,}"]
    for name in WHAT_IF:
        spans = path.what_if.get(name)
        cells.append("-" if spans is None else f"{int(spans[places].sum()):,}")
    spreads = [layer_spread(path, place).spread for place in places]
    count = sum(len(spread) for spread in spreads)
    mean = sum(int(spread.sum()) for spread in spreads) / count if count else None
    return [*cells, "-" if mean is None else f"{mean:.1f}"]
