"""The screen after a run: at most 40 lines of 100 columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from azsim.graph.text import one_line
from azsim.report.record import RunRecord
from azsim.report.summary import build_summary
from azsim_kernels.isa import STALL_CLASS_NAMES

MAX_LAYERS = 12
MAX_SINGLE_ENGINES = 7
SHOWN_OUTPUTS = 3
NAME_CHARACTERS = 34


def print_summary(record: RunRecord, console: Console) -> None:
    """Print what a run gave; names from a model are shown as they are, never as markup."""
    summary = build_summary(record)
    for line in _head(summary):
        console.print(Text(line), soft_wrap=False, overflow="ellipsis", no_wrap=True)
    console.print()
    console.print(_figures(summary))
    console.print()
    console.print(_stalls(summary))
    console.print()
    console.print(_layers(summary))
    console.print(Text(_speed(record)), overflow="ellipsis", no_wrap=True)


def _head(s: dict[str, Any]) -> list[str]:
    lines = [
        f"{one_line(s['model'])} on {s['chip']} ({s['status']}), {s['clock_mhz']} MHz: "
        f"{s['frames']:,} frames, {s['bits']}-bit weights, {_percent(s['zeros_share'])} zeros"
    ]
    if s["status"] == "assumed":
        lines.append(f"{s['chip']} is an assumption: no AZ silicon figure exists")
    lines.append(
        f"input: {one_line(s['input'])}; scales calibrated on {one_line(s['calibration'])}"
    )
    lines.append(f"frame time: {s['frame_ms']:g} ms, from {one_line(s['frame_ms_source'])}")
    return lines


def _figures(s: dict[str, Any]) -> Table:
    latency = s["frame_latency_ms"]
    frames = max(s["frames"], 1)
    per_frame_ms = _scaled(s["cycles_per_frame"], 1 / (1000 * s["clock_mhz"]))
    rows = [
        ("cycles per frame", _number(s["cycles_per_frame"], 0),
         "time per frame", f"{_number(per_frame_ms, 3)} ms"),
        ("real-time factor", f"{_number(s['real_time_factor'], 4)} (below 1: faster than speech)",
         "latency p50 / p99", f"{_number(latency['p50'], 3)} / {_number(latency['p99'], 3)} ms"),
        ("bound by", f"{s['bound_by']} ({_percent(_share(s['lower_bound_cycles'], s['cycles']))} of cycles)",
         "deadline misses", f"{s['deadline_misses']:,} of {s['frames']:,} frames"),
        ("DRAM bandwidth", f"{_number(s['dram_bandwidth_gb_per_s'], 2)} of {s['dram_peak_gb_per_s']:g} GB/s"
         f" ({_percent(s['dram_bandwidth_share'])})",
         "DRAM per frame", f"{_size(s['dram_bytes_read'] / frames)} in, {_size(s['dram_bytes_written'] / frames)} out"),
        ("weight stream", f"{_size(s['stream_bytes'])}, {_number(s['bits_per_weight'], 3)} bits per weight",
         "entropy", f"{_number(s['entropy_bits_per_weight'], 3)} bits per weight"),
        ("MAC utilization", _percent(s["mac_utilization"]),
         "decoder utilization", f"{_percent(s['decoder_utilization'])} of {s['decoder_units']} units"),
        ("SQNR", _sqnr(s["sqnr_db"], s["timing_only"]),
         "integer reference", _verified(s["verified"])),
    ]  # fmt: skip
    table = _grid(4)
    for label, value, other_label, other in rows:
        table.add_row(
            Text(label, style="dim"), Text(value), Text(other_label, style="dim"), Text(other)
        )
    return table


def _grid(columns: int) -> Table:
    table = Table.grid(padding=(0, 3, 0, 0))
    for _ in range(columns):
        table.add_column(no_wrap=True, overflow="ellipsis")
    return table


def _sqnr(outputs: dict[str, float | None], timing_only: bool) -> str:
    if timing_only:
        return "not computed (timing only)"
    if not outputs:
        return "-"
    shown = [
        f"{one_line(name)} {'-' if value is None else f'{value:.1f} dB'}"
        for name, value in list(outputs.items())[:SHOWN_OUTPUTS]
    ]
    more = len(outputs) - len(shown)
    return ", ".join(shown) + (f", {more} more" if more else "")


def _verified(verified: dict[str, Any] | None) -> str:
    if verified is None:
        return "not compared"
    text = f"bit-exact {verified['exact']:,}/{verified['steps']:,}"
    difference = one_line(verified["first_difference"])
    return f"{text}, first difference: {difference}" if difference else text


def _stalls(s: dict[str, Any]) -> Table:
    """Share of each engine's cycles per class; many decoder units are shown as their mean."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    table.add_column("engine", no_wrap=True, min_width=16)
    for name in STALL_CLASS_NAMES:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("(share of all cycles)", style="dim", no_wrap=True)
    for engine, classes in _engine_rows(s["stalls"]):
        whole = sum(classes.values())
        cells = [_percent(_share(classes[name], whole)) for name in STALL_CLASS_NAMES]
        table.add_row(engine, *cells)
    return table


def _engine_rows(stalls: dict[str, dict[str, int]]) -> Iterable[tuple[str, dict[str, int]]]:
    if len(stalls) <= MAX_SINGLE_ENGINES:
        return stalls.items()
    groups: dict[str, list[dict[str, int]]] = {}
    for engine, classes in stalls.items():
        groups.setdefault(engine.rstrip("0123456789"), []).append(classes)
    return [
        (f"{kind} ({len(rows)} units)" if len(rows) > 1 else kind, _summed(rows, STALL_CLASS_NAMES))
        for kind, rows in groups.items()
    ]


def _summed(rows: Sequence[dict[str, Any]], keys: Iterable[str]) -> dict[str, int]:
    return {key: sum(row[key] for row in rows) for key in keys}


_LAYER_SUMS = ("span_cycles", "weights", "stream_bytes", "lower_bound_cycles")


def _layers(s: dict[str, Any]) -> Table:
    """The layers that take longest, in the order of the model; the rest as one row."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    table.add_column("layer", no_wrap=True, overflow="ellipsis", max_width=NAME_CHARACTERS)
    table.add_column("operator", no_wrap=True)
    for title in ("cycles per frame", "share", "weights", "stream"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("bound by", no_wrap=True)
    shown, rest = _longest(s["layers"])
    for layer in shown:
        table.add_row(*_layer_cells(s, layer, one_line(layer["name"]), layer["operator"]))
    if rest:
        other = {**_summed(rest, _LAYER_SUMS), "bound_by": ""}
        table.add_row(*_layer_cells(s, other, f"{len(rest)} other layers", ""), style="dim")
    return table


def _longest(layers: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    if len(layers) <= MAX_LAYERS:
        return layers, []
    order = sorted(range(len(layers)), key=lambda i: (-layers[i]["span_cycles"], i))
    chosen = set(order[: MAX_LAYERS - 1])
    shown = [layer for i, layer in enumerate(layers) if i in chosen]
    return shown, [layer for i, layer in enumerate(layers) if i not in chosen]


def _layer_cells(s: dict[str, Any], layer: dict[str, Any], name: str, operator: str) -> list[Text]:
    cells = [
        name,
        one_line(operator),
        _number(layer["span_cycles"] / max(s["frames"], 1), 0),
        _percent(_share(layer["span_cycles"], s["cycles"])),
        f"{layer['weights']:,}" if layer["weights"] else "",
        _size(layer["stream_bytes"]) if layer["stream_bytes"] else "",
        layer["bound_by"],
    ]
    return [Text(cell) for cell in cells]


def _speed(record: RunRecord) -> str:
    if record.wall_seconds <= 0:
        return ""
    frames = record.counters.frames / record.wall_seconds
    return f"simulated in {record.wall_seconds:.2f} s: {frames:,.1f} frames per second"


def _number(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:,.{decimals}f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _share(value: float, whole: float) -> float | None:
    return value / whole if whole else None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _size(size_bytes: float) -> str:
    """Bytes in the unit that leaves at most four digits before the point; binary, as all sizes."""
    for unit in ("B", "KB", "MB"):
        if size_bytes < 10_000 or unit == "MB":
            break
        size_bytes /= 1024
    return f"{size_bytes:,.0f} B" if unit == "B" else f"{size_bytes:,.1f} {unit}"
