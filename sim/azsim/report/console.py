"""The screen after a run: at most 40 lines of 100 columns; narrower screens get more lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from azsim.graph.text import one_line
from azsim.report.layers import longest
from azsim.report.record import RunRecord
from azsim.report.summary import Summary, build_summary
from azsim.units import BYTES_PER_KB, BYTES_PER_MB
from azsim_kernels.isa import STALL_CLASS_NAMES

MAX_LAYERS = 8
MAX_SINGLE_ENGINES = 7
LONGEST_LEFT_LABEL, LONGEST_LABEL = "integer reference", "decoder utilization"
VALUE_COLUMNS = 34  # of the left values at most
SQNR_NAME = 24
WORST_LAYERS, BOUND_NAME = 10, 18  # listed against their lower bound
TWO_PAIRS_COLUMNS = 96  # room for two labels with their values side by side
LAYER_COLUMNS = 64  # of the table of layers, without the name
SHORTEST_NAME, LONGEST_NAME = 12, 34
_SAVED = {"cycles": "cycles", "dram_bytes": "DRAM", "products": "products", "energy_pj": "energy"}
GOOD, BAD, DIM = "green", "bold red", "dim"

Figure = tuple[str, str, str]  # label, value, style of the value


def print_summary(record: RunRecord, console: Console) -> None:
    """Print what a run gave. Names from a model are shown as they are, never as markup."""
    summary = build_summary(record)
    for line in _head(summary):
        _print_line(console, line)
    console.print()
    console.print(_figure_table(list(_figures(summary)), console.width))
    labels = _label_columns(console.width)
    for label, value, _ in _long_figures(summary, console.width - labels):
        _print_line(console, Text.assemble((label.ljust(labels), DIM), value))
    console.print()
    console.print(_stall_table(summary["stalls"]))
    console.print()
    console.print(_layer_table(summary, console.width))
    for line in _foot(record, summary):
        _print_line(console, line)


def _print_line(console: Console, line: Text) -> None:
    console.print(line, no_wrap=True, overflow="ellipsis", highlight=False)


def _head(s: Summary) -> Iterator[Text]:
    yield Text(
        f"{one_line(s['model'])} on {s['chip']} ({s['status']}) at {s['clock_mhz']} MHz: "
        f"{s['frames']:,} frames, {s['bits']}-bit weights, {_percent(s['zeros_share'])} zeros",
        style="bold",
    )
    if s["status"] == "assumed":
        yield Text(f"{s['chip']} is an assumption: no AZ silicon figure exists", style="yellow")
    yield Text(f"input: {one_line(s['input'])}; calibrated on {one_line(s['calibration'])}")
    together = s["frames_per_pass"]
    passes = f"; {together} frames computed together" if together > 1 else ""
    yield Text(f"frame time: {s['frame_ms']:g} ms, from {one_line(s['frame_ms_source'])}{passes}")


def _figures(s: Summary) -> Iterator[Figure]:
    """Labels and values, read in pairs from left to right."""
    yield from _time_figures(s)
    yield from _memory_figures(s)
    yield "MAC utilization", _percent(s["mac_utilization"]), ""
    share = _percent(s["decoder_utilization"])
    yield "decoder utilization", f"{share} of {_count(s['decoder_units'], 'unit')}", ""
    yield "integer reference", *_verified(s["verified"])


def _time_figures(s: Summary) -> Iterator[Figure]:
    latency, misses = s["frame_latency_ms"], s["deadline_misses"]
    per_frame = s["cycles_per_frame"]
    time_ms = None if per_frame is None else per_frame / (1000 * s["clock_mhz"])
    bound = _percent(_share(s["lower_bound_cycles"], s["cycles"]))
    yield "cycles per frame", _number(per_frame, 0), ""
    yield "time per frame", f"{_milliseconds(time_ms)} ms", ""
    yield "real-time factor", f"{_milliseconds(s['real_time_factor'])} (below 1: faster)", ""
    p50, p99 = _milliseconds(latency["p50"]), _milliseconds(latency["p99"])
    yield "latency p50 / p99", f"{p50} / {p99} ms", ""
    yield "bound by", f"{s['bound_by']} ({bound} of all cycles)", ""
    passes = -(-s["frames"] // s["frames_per_pass"])
    what = _count(passes, "frame" if s["frames_per_pass"] == 1 else "pass")
    yield "deadline misses", f"{misses:,} of {what}", BAD if misses else ""


def _memory_figures(s: Summary) -> Iterator[Figure]:
    used, peak = _number(s["dram_bandwidth_gb_per_s"], 2), _number(s["dram_peak_gb_per_s"], 2)
    yield "DRAM bandwidth", f"{used} of {peak} GB/s ({_percent(s['dram_bandwidth_share'])})", ""
    frames = max(s["frames"], 1)
    read, written = s["dram_bytes_read"] / frames, s["dram_bytes_written"] / frames
    yield "DRAM per frame", f"{_size(read)} in, {_size(written)} out", ""
    bits = _number(s["bits_per_weight"], 3)
    yield "weight stream", f"{_size(s['stream_bytes'])}, {bits} bits per weight", ""
    yield "entropy", f"{_number(s['entropy_bits_per_weight'], 3)} bits per weight", ""


def _long_figures(s: Summary, width: int) -> Iterator[Figure]:
    """Figures that take a line of their own."""
    yield from _bound_figures(s, width)
    yield from _branch_figures(s["branches"])
    yield "SQNR", _sqnr(s["sqnr_db"], s["timing_only"], width), ""
    if s["requantized"]:
        yield "requantized", one_line(s["requantized"]), ""
    yield from _energy_figures(s["energy"])
    if s["weight_store_bytes"]:
        size, cycles = _size(s["weight_store_bytes"]), s["weight_store_fill_cycles"]
        yield "weight store", f"{size} of the stream, read once: {cycles:,} cycles not counted", ""
    yield from _memory_lines(s)


def _branch_figures(branches: dict[str, Any] | None) -> Iterator[Figure]:
    """Which branch the frames took, and what the choice saves."""
    if branches is None:
        return
    of_each = [
        f"{name} {_count(one['frames'], 'frame')}, {_number(one['cycles_per_frame'], 0)} cycles"
        for name, one in branches["branches"].items()
    ]
    yield "branches", f"{'; '.join(of_each)}; {_count(branches['switches'], 'switch')}", ""
    saving = branches["saving"]
    if saving is not None:
        shares = [f"{name} {_percent(saving[key])}" for key, name in _SAVED.items()]
        yield "saved by them", f"against {saving['against']} always: {', '.join(shares)}", ""


def _memory_lines(s: Summary) -> Iterator[Figure]:
    """What other traffic on the memory did, and what it cost."""
    lpddr, traffic = s["lpddr"], s["host_traffic"]
    if lpddr is not None and traffic is not None:
        bursts = lpddr["dram_read_bursts"] + lpddr["dram_write_bursts"]
        hits = _percent(_share(lpddr["dram_row_hits"], bursts))
        refreshes = lpddr["dram_refreshes_all_bank"] + lpddr["dram_refreshes_per_bank"]
        yield "memory", f"{lpddr['part']}: {hits} row hits, {refreshes:,} refreshes", ""
    if traffic is not None:
        moved = _size(traffic["bytes_read"] + traffic["bytes_written"])
        longest = f"{traffic['longest_wait_ns']:,.0f} ns"
        names = ", ".join(traffic["patterns"])
        yield "host traffic", f"{names}: {moved}, longest wait {longest}", ""
        without = traffic["frame_latency_ms_without"]["p50"]
        slower = _percent(traffic["slowdown"] - 1)
        now, before = _milliseconds(s["frame_latency_ms"]["p50"]), _milliseconds(without)
        yield "its cost", f"latency p50 {now} ms, {before} ms without; {slower} more cycles", ""


def _energy_figures(energy: dict[str, Any]) -> Iterator[Figure]:
    frame, second, cpu = (
        energy["per_frame_pj"], energy["per_second_of_audio_pj"], energy["mobile_cpu"]
    )  # fmt: skip
    if frame is None or second is None:
        return
    components = {name: amount["nominal"] for name, amount in energy["components"].items()}
    name = max(components, key=lambda component: components[component])
    share = _percent(_share(components[name], energy["total_pj"]["nominal"]))
    yield "energy per frame", f"{_joules(frame)}; {_joules(second)} per second of audio", ""
    times = f"mobile CPU {_number(cpu['ratio'], 2)} x (assumed)"
    yield "energy goes to", f"{name} {share}; {_assumed(energy)}; {times}", ""


def _assumed(energy: dict[str, Any]) -> str:
    return f"{energy['node_nm']} nm, {energy['voltage_mv'] / 1000:g} V, no silicon figure"


def _joules(pj: dict[str, float]) -> str:
    """Nominal and range in the unit that suits the nominal value."""
    units = (("mJ", 1e9), ("uJ", 1e6), ("nJ", 1e3), ("pJ", 1.0))
    unit, scale = next(((u, s) for u, s in units if pj["nominal"] >= s), units[-1])
    nominal, low, high = (f"{pj[name] / scale:.3g}" for name in ("nominal", "low", "high"))
    return f"{nominal} {unit} ({low} to {high})"


def _bound_figures(s: Summary, width: int) -> Iterator[Figure]:
    """Cycles against the lower bound: of the whole run, and of the layers that lose most cycles."""
    excess = {
        place: layer["span_cycles"] - layer["lower_bound_cycles"]
        for place, layer in enumerate(s["layers"])
        if layer["lower_bound_cycles"]
    }
    worst = sorted(excess, key=lambda place: -excess[place])[:WORST_LAYERS]
    layers = [s["layers"][place] for place in worst if excess[place] > 0]
    texts = [
        f"{_short(layer['name'], BOUND_NAME)} {_number(layer['cycles_over_bound'], 2)}"
        for layer in layers
    ]
    lines = _packed([f"{_number(s['cycles_over_bound'], 2)} in all", *texts], width)
    for number, line in enumerate(lines):
        yield "" if number else "cycles / bound", line, ""


def _packed(texts: Sequence[str], width: int) -> list[str]:
    """Texts side by side, in as many lines of `width` as they need."""
    lines: list[str] = []
    for text in texts:
        if lines and len(lines[-1]) + len(text) + 2 <= width:
            lines[-1] += f", {text}"
        else:
            lines.append(text)
    return lines


def _label_columns(width: int) -> int:
    """Columns of the left labels with the two of space behind them."""
    return 2 + len(LONGEST_LEFT_LABEL if width >= TWO_PAIRS_COLUMNS else LONGEST_LABEL)


def _figure_table(figures: Sequence[Figure], width: int) -> Table:
    pairs = 2 if width >= TWO_PAIRS_COLUMNS else 1
    table = Table.grid(padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True, min_width=_label_columns(width) - 2)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=VALUE_COLUMNS)
    if pairs == 2:
        table.add_column(no_wrap=True, min_width=len(LONGEST_LABEL))
        table.add_column(no_wrap=True, overflow="ellipsis")
    for first in range(0, len(figures), pairs):
        cells: list[Text] = []
        for label, value, style in figures[first : first + pairs]:
            cells += [Text(label, style=DIM), Text(value, style=style)]
        table.add_row(*cells)
    return table


def _sqnr(outputs: dict[str, float | None], timing_only: bool, width: int) -> str:
    """As many outputs as fit into `width` columns; the others are counted."""
    if timing_only:
        return "not computed (timing only)"
    texts = [
        f"{_short(name, SQNR_NAME)} {'-' if value is None else f'{value:.1f} dB'}"
        for name, value in outputs.items()
    ]
    shown = texts[: max(1, (width - len(", 999 more")) // (max(map(len, texts), default=0) + 2))]
    more = len(texts) - len(shown)
    return (", ".join(shown) or "-") + (f", {more:,} more" if more else "")


def _verified(verified: dict[str, Any] | None) -> tuple[str, str]:
    if verified is None:
        return "not compared", ""
    exact, steps = verified["exact"], verified["steps"]
    text = f"bit-exact {exact:,}/{steps:,}"
    return (text, GOOD) if exact == steps else (f"NOT {text}", BAD)


def _plain_table(first_columns: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in first_columns:
        table.add_column(title, no_wrap=True, overflow="ellipsis")
    for title in numbers:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _stall_table(stalls: dict[str, dict[str, int]]) -> Table:
    """Share of each engine's cycles per class."""
    table = _plain_table(["engine          "], STALL_CLASS_NAMES)
    table.add_column("(of all cycles)", header_style=DIM, no_wrap=True)
    for engine, classes in _engine_rows(stalls):
        whole = sum(classes.values())
        table.add_row(engine, *(_percent(_share(classes[n], whole)) for n in STALL_CLASS_NAMES))
    return table


def _engine_rows(stalls: dict[str, dict[str, int]]) -> Iterable[tuple[str, dict[str, int]]]:
    """One row per engine; with many decoder units one row per kind of engine."""
    if len(stalls) <= MAX_SINGLE_ENGINES:
        return stalls.items()
    kinds: dict[str, list[dict[str, int]]] = {}
    for engine, classes in stalls.items():
        kinds.setdefault(engine.rstrip("0123456789"), []).append(classes)
    return [
        (kind if len(rows) == 1 else f"{kind} (all {len(rows)})", _summed(rows, STALL_CLASS_NAMES))
        for kind, rows in kinds.items()
    ]


def _summed(rows: Sequence[dict[str, Any]], keys: Iterable[str]) -> dict[str, Any]:
    return {key: sum(row[key] for row in rows) for key in keys}


def _layer_table(s: Summary, width: int) -> Table:
    """The layers that take longest, in the order of the model; the rest as one row."""
    name_characters = min(max(width - LAYER_COLUMNS, SHORTEST_NAME), LONGEST_NAME)
    numbers = ["cycles/frame", "share", "weights", "stream"]
    table = _plain_table(["layer", "operator"], numbers)
    table.add_column("bound by", no_wrap=True)
    layers = s["layers"]
    shown, rest = longest([layer["span_cycles"] for layer in layers], MAX_LAYERS)
    for layer in (layers[place] for place in shown):
        name, operator = _short(layer["name"], name_characters), _short(layer["operator"], 12)
        table.add_row(Text(name), Text(operator), *_layer_cells(s, layer), layer["bound_by"])
    if rest:
        others = [layers[place] for place in rest]
        summed = _summed(others, ("span_cycles", "weights", "stream_bytes"))
        table.add_row(f"{_count(len(rest), 'other layer')}", "", *_layer_cells(s, summed), "")
    return table


def _layer_cells(s: Summary, layer: dict[str, Any]) -> list[str]:
    return [
        _number(layer["span_cycles"] / max(s["frames"], 1), 0),
        _percent(_share(layer["span_cycles"], s["cycles"])),
        f"{layer['weights']:,}" if layer["weights"] else "",
        _size(layer["stream_bytes"]) if layer["stream_bytes"] else "",
    ]


def _foot(record: RunRecord, s: Summary) -> Iterator[Text]:
    verified = s["verified"]
    if verified and verified["first_difference"]:
        difference = one_line(verified["first_difference"])
        yield Text(f"first difference from the integer reference: {difference}", style=BAD)
    if record.wall_seconds > 0:
        rate = record.frames / record.wall_seconds
        audio_s = record.frames * record.frame_ms / 1000
        speed = _milliseconds(audio_s / record.wall_seconds)
        yield Text(
            f"simulated in {record.wall_seconds:.2f} s, {rate:,.1f} frames per second, "
            f"{speed} s of audio per second",
            DIM,
        )


def _short(name: str, characters: int) -> str:
    """Return a name on one line, cut at its front: the ends of layer names differ."""
    text = one_line(name)
    return text if len(text) <= characters else "..." + text[3 - characters :]


def _count(number: int, what: str) -> str:
    plural = "es" if what.endswith(("s", "ch")) else "s"
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}{plural}"


def _number(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:,.{decimals}f}"


def _milliseconds(value: float | None) -> str:
    """Three decimals, and for small numbers three digits that count."""
    if value is None or value >= 1:
        return _number(value, 3)
    return f"{value:.3g}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _share(value: float, whole: float) -> float | None:
    return value / whole if whole else None


def _size(size_bytes: float) -> str:
    if size_bytes < 10_000:
        return f"{size_bytes:,.0f} B"
    if size_bytes < 1000 * BYTES_PER_KB:
        return f"{size_bytes / BYTES_PER_KB:,.1f} KB"
    return f"{size_bytes / BYTES_PER_MB:,.2f} MB"
