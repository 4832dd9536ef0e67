"""The screen of a comparison: what differs in the setting, in counters, layers, time and bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from azsim.graph.text import one_line
from azsim.report.compare import Change, Comparison, Layer, LayerChanges, Value
from azsim.report.summary import Summary

NAME_CHARACTERS, VALUE_CHARACTERS = 38, 24
SHORTEST_LAYER, LONGEST_LAYER = 12, 34
LAYER_TABLE_COLUMNS = 76  # of the table of layers, without the name
LAYER_COLUMNS = (
    "memory_cycles", "decode_cycles", "mac_cycles", "vector_cycles", "stream_bytes",
)  # fmt: skip
LAYER_TITLES = ("memory", "decode", "mac", "vector", "stream")
ABSENT = "-"


def print_comparison(comparison: Comparison, console: Console, all_layers: bool = False) -> None:
    """Print what differs; every figure of every layer if `all_layers`, else the main ones."""
    for letter, run in (("A", comparison.a), ("B", comparison.b)):
        console.print(Text(f"{letter}  {_title(run)}", style="bold"), no_wrap=True)
    if comparison.a["frames"] != comparison.b["frames"]:
        text = "A and B ran different numbers of frames: compare the figures per frame"
        console.print(Text(text, style="yellow"))
    _print_section(console, "setting", comparison.setting)
    _print_section(console, "counters", comparison.counters)
    _print_layers(console, comparison, all_layers)
    _print_section(console, "time and bytes", comparison.time_and_bytes)
    console.print()
    for line in _foot(comparison):
        console.print(Text(line, style="bold"))


def _title(run: Summary) -> str:
    return (
        f"{_cut(run['model'], NAME_CHARACTERS)} on {_cut(run['chip'], VALUE_CHARACTERS)}"
        f" ({_cut(run['status'], VALUE_CHARACTERS)}), {run['frames']:,} frames"
    )


def _print_section(console: Console, title: str, changes: Sequence[Change]) -> None:
    if changes:
        console.print()
        console.print(_table(title, changes))


def _table(title: str, changes: Iterable[Change]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(title, no_wrap=True, min_width=NAME_CHARACTERS)
    for column in ("A", "B", "B / A"):
        table.add_column(column, justify="right", no_wrap=True)
    for change in changes:
        name = change.name.removeprefix("configuration.")  # as --set names it
        table.add_row(
            Text(_cut(name, NAME_CHARACTERS)),
            Text(shown(change.a)),
            Text(shown(change.b)),
            Text(_ratio(change.ratio)),
        )
    return table


def shown(value: Value) -> str:
    """Return a value as the screen shows it: whole numbers with commas, others with six digits."""
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:,.6g}"
    return _cut(value, VALUE_CHARACTERS) or ABSENT


def _ratio(ratio: float | None) -> str:
    if ratio is None:
        return ABSENT
    return f"{ratio:.3f}" if 0.001 <= abs(ratio) < 1000 or not ratio else f"{ratio:.3g}"


def _cut(text: str, characters: int) -> str:
    """Return a text on one line, cut at its front: the ends of names differ."""
    line = one_line(text)
    return line if len(line) <= characters else "..." + line[3 - characters :]


def _print_layers(console: Console, comparison: Comparison, all_layers: bool) -> None:
    if not comparison.layers:
        return
    if all_layers:
        for layer in comparison.layers:
            _print_section(console, _cut(layer.name, NAME_CHARACTERS), layer.changes)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("layers", no_wrap=True)
    for column in ("cycles A", "cycles B", "B / A", *LAYER_TITLES):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("bound by")
    characters = min(max(console.width - LAYER_TABLE_COLUMNS, SHORTEST_LAYER), LONGEST_LAYER)
    for layer in comparison.layers:
        table.add_row(*_layer_cells(layer, characters))
    console.print()
    console.print(table)
    console.print(Text("memory to stream: B / A of cycles of work, and of stream bytes", "dim"))


def _layer_cells(layer: LayerChanges, characters: int) -> list[Text]:
    ratios = {change.name: change.ratio for change in layer.changes}
    cells = [_cut(layer.name, characters)]
    for run in (layer.a, layer.b):
        cells.append(shown(run.get("span_cycles")) if run else ABSENT)
    for name in ("span_cycles", *LAYER_COLUMNS):
        cells.append(_ratio(ratios[name]) if name in ratios else _same(layer, name))
    bounds = [_bound(run) for run in (layer.a, layer.b)]
    cells.append(bounds[0] if bounds[0] == bounds[1] else " -> ".join(bounds))
    return [Text(cell) for cell in cells]


def _same(layer: LayerChanges, name: str) -> str:
    """The ratio of two equal values: 1, unless there is nothing to compare."""
    return _ratio(1.0) if layer.a and layer.a.get(name) else ABSENT


def _bound(run: Layer | None) -> str:
    return shown(run.get("bound_by")) if run else ABSENT


def _foot(comparison: Comparison) -> Iterator[str]:
    same = f"{comparison.equal:,} figures are equal, those of layers not counted"
    last = comparison.time_and_bytes
    differ = comparison.setting or comparison.counters or comparison.layers
    yield same if differ or any(c.a != c.b for c in last) else "no figure differs"
    ratios = {change.name: change.ratio for change in last}
    time, moved = ratios["ms_per_frame"], ratios["dram_bytes_read_per_frame"]
    if time is not None and moved is not None:
        yield (
            f"per frame, B takes {_ratio(time)} times as long as A and reads {_ratio(moved)} times"
            " as many bytes from DRAM"
        )
