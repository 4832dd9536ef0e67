"""The page of one run, built from its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from azsim.report.html.branch_section import Frame, branch_section, load_frames
from azsim.report.html.energy_plots import energy_plots
from azsim.report.html.library import require_packages
from azsim.report.html.page import Page, save_page
from azsim.report.html.parts import (
    MOST_ROWS,
    Cell,
    Section,
    Table,
    Value,
    number,
    number_text,
    share,
    short,
    words,
)
from azsim.report.html.run_data import PathLayer, Run, Spread, Timeline, WeightPath, load_run
from azsim.report.html.run_plots import (
    CLASSES,
    lanes_plot,
    layers_plot,
    roofline_plot,
    stalls_plot,
    weight_path_plot,
)
from azsim.report.html.timeline_plots import timeline_plots
from azsim.report.layers import longest

Fact = tuple[str, str, str]
PJ_PER_UJ = 1e6


def save_run_page(folder: Path, path: Path) -> None:
    """Write the page of the run in `folder` to `path`.

    Raises:
        ConfigError: packages are missing, no run, a damaged one, or the page cannot be written.
    """
    require_packages()
    run, timeline = load_run(folder)
    save_page(run_page(run, timeline, load_frames(folder)), path)


def notice_of(*statuses: str) -> str:
    """Return what a reader must know first about chips of these statuses."""
    if "assumed" in statuses:
        return (
            "Assumed chip: no silicon figure of an AZ chip exists. Cycles, energy and area are "
            "those of this model; compare runs with one another."
        )
    named = ", ".join(dict.fromkeys(short(status) for status in statuses))
    return f"Chip parameters are: {named}. All figures are those of the model."


def run_page(run: Run, timeline: Timeline | None, frames: Sequence[Frame] = ()) -> Page:
    """Return the page of one run; `frames` are those of a model with branches."""
    sections = [_summary(run), *branch_section(run, frames), _layers(run)]
    if run.branches is None:  # each part has a first step of its own
        sections.append(_timeline(timeline))
    sections += [_stalls(run), _roofline(run)]
    sections.append(_energy(run))
    if run.branches is None:
        sections += _weight_path(run.weight_path)
    sections.append(_setting(run))
    return Page(
        title=f"{short(run.model, 80)} on {short(run.chip, 40)} ({short(run.status, 20)})",
        about=f"{run.frames:,} frames of {number_text(run.frame_ms)} ms, {run.frames_per_pass} "
        f"per pass, at {run.clock_mhz:,} MHz. Input: {short(run.input)}. "
        f"Chip {short(run.config_hash)}.",
        notice=notice_of(run.status),
        sections=sections,
        version=short(run.version, 40),
    )


def _summary(run: Run) -> Section:
    facts = [*_time_facts(run), *_weight_facts(run), *_energy_facts(run)]
    return Section("summary", "Summary", facts=facts)


def _text(value: float | None, unit: str = "", digits: int = 4) -> str:
    if value is None:
        return "-"
    return f"{number_text(value, digits)} {unit}".strip()


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"


def _time_facts(run: Run) -> Iterator[Fact]:
    per_frame = run.cycles / run.frames if run.frames else None
    milliseconds = None if per_frame is None else per_frame / (1000 * run.clock_mhz)
    yield "Cycles per frame", _text(per_frame), _text(milliseconds, "ms")
    yield "Real-time factor", _text(run.real_time_factor), "below 1 is faster than real time"
    latency = run.frame_latency_ms
    yield (
        "Frame latency", _text(latency.p99, "ms"),
        f"p99; median {_text(latency.p50)}, longest {_text(latency.max)} ms",
    )  # fmt: skip
    yield "Deadline misses", f"{run.deadline_misses:,}", f"of {run.passes:,} passes"
    yield (
        "Busiest unit", short(run.bound_by, 20),
        f"cycles are {_text(run.cycles_over_bound)} times its work",
    )  # fmt: skip
    yield "MAC utilization", _percent(run.mac_utilization), "products done by those possible"
    yield "Decoder utilization", _percent(run.decoder_utilization), f"{run.decoder_units} units"
    used = _percent(run.dram_bandwidth_share)
    bandwidth = _text(run.dram_bandwidth_gb_per_s, "GB/s")
    yield "DRAM bandwidth", bandwidth, f"{used} of {_text(run.dram_peak_gb_per_s, 'GB/s')}"


def _weight_facts(run: Run) -> Iterator[Fact]:
    zeros = _percent(run.zeros_share)
    yield "Weights", f"{run.weights:,}", f"{zeros} zeros, {run.bits} bits asked for"
    yield "Weight stream", f"{run.stream_bytes:,} B", f"{run.weight_store_bytes:,} B of it on chip"
    entropy = _text(run.entropy_bits_per_weight)
    yield "Bits per weight", _text(run.bits_per_weight), f"entropy {entropy}"
    for name, value in run.sqnr_db.items():
        yield f"Quality of {short(name, 40)}", _text(value, "dB"), "SQNR against the float model"


def _energy_facts(run: Run) -> Iterator[Fact]:
    energy = run.energy
    yield "Energy per frame", *_range(energy.per_frame_pj, PJ_PER_UJ, "µJ")
    yield "Mean power", *_range(energy.power_mw, 1.0, "mW")


def _range(value: Spread | None, scale: float, unit: str) -> tuple[str, str]:
    if value is None:
        return "-", ""
    low, high = number_text(value.low / scale), number_text(value.high / scale)
    return f"{number_text(value.nominal / scale)} {unit}", f"{low} to {high} {unit}"


def _layers(run: Run) -> Section:
    return Section(
        "layers",
        "Layers",
        [
            "A layer's span is from the end of the layers before to its own last result; the spans "
            "sum to the cycles of the run. Cycles and bytes are sums over the run."
        ],
        plots=[layers_plot(run)] if run.layers else [],
        tables=[_layer_table(run)],
    )


def _layer_table(run: Run) -> Table:
    shown, left = longest([layer.span_cycles for layer in run.layers], MOST_ROWS)
    columns = (
        "#", "layer", "operator", "rows", "columns", "bits", "weights", "zeros, %", "stream, B",
        "DRAM, B", "cycles", "cycles, %", "lower bound, cycles", "cycles over bound", "bound by",
        "energy, µJ per frame",
    )  # fmt: skip
    return Table(
        "layer-table", "Layers", columns, [_layer_row(run, place) for place in shown],
        search=True, left_out=len(left),
    )  # fmt: skip


def _layer_row(run: Run, place: int) -> list[Cell]:
    layer = run.layers[place]
    energy = run.energy.layers[place].total_pj.nominal if place < len(run.energy.layers) else None
    if energy is not None:
        energy /= PJ_PER_UJ * max(run.frames, 1)
    zeros = share(layer.weights - layer.nonzeros, layer.weights) if layer.weights else None
    matrix = (layer.rows, layer.columns, layer.bits, layer.weights)
    cells: list[Value] = [
        *(size or None for size in matrix), zeros, layer.stream_bytes or None,
        layer.dram_bytes, layer.span_cycles, share(layer.span_cycles, run.cycles),
        layer.lower_bound_cycles, layer.cycles_over_bound, layer.bound_by, energy,
    ]  # fmt: skip
    return [number(place), words(layer.name), words(layer.operator), *map(number, cells)]


def _timeline(timeline: Timeline | None) -> Section:
    title = "Timeline"
    if timeline is None:
        return Section("timeline-section", title, ["This folder holds no timeline.json."])
    text = f"The first step, {timeline.cycles:,} cycles, in {timeline.slices} slices."
    return Section("timeline-section", title, [text], plots=timeline_plots(timeline))


def _stalls(run: Run) -> Section:
    rows = [
        [words(name), *(number(classes.get(each, 0)) for each in CLASSES)]
        for name, classes in run.stalls.items()
    ]
    columns = ("engine", *(f"{each}, cycles" for each in CLASSES))
    table = Table("stall-table", "Engines", columns, rows)
    text = f"For each engine the five classes sum to the {run.cycles:,} cycles of the run."
    return Section("stalls", "Stalls", [text], plots=[stalls_plot(run)], tables=[table])


def _roofline(run: Run) -> Section:
    plot = roofline_plot(run)
    text = (
        "No layer has both products and bytes from DRAM: weights in the weight store are not "
        "fetched again."
    )
    return Section(
        "roofline", "Roofline", [] if plot else [text], plots=[plot] if plot else [],
    )  # fmt: skip


def _energy(run: Run) -> Section:
    energy = run.energy
    rows = [[words(name), *_energy_cells(pj, run.frames)] for name, pj in energy.components.items()]
    rows.append([words("total"), *_energy_cells(energy.total_pj, run.frames)])
    cpu = energy.mobile_cpu
    rows.append([words("a mobile CPU instead"), *_energy_cells(cpu.total_pj, run.frames)])
    columns = ("component", "nominal, µJ per frame", "lowest", "highest")
    texts = [
        f"Tables {short(energy.table)} and {short(energy.dram_table)}, {energy.node_nm:g} nm, "
        f"{energy.voltage_mv:g} mV, between frames: {short(energy.idle_policy)}; busy "
        f"{_percent(energy.duty_cycle)} of the audio time.",
        f"Not counted: {energy.not_counted}.",
        f"Mobile CPU: {cpu.assumption}.",
    ]
    return Section(
        "energy", "Energy", texts, plots=energy_plots(run),
        tables=[Table("energy-table", "Energy by component", columns, rows)],
    )  # fmt: skip


def _energy_cells(pj: Spread, frames: int) -> list[Cell]:
    scale = PJ_PER_UJ * max(frames, 1)
    return [number(value / scale) for value in (pj.nominal, pj.low, pj.high)]


def _weight_path(path: WeightPath | None) -> list[Section]:
    title, name = "Weight path and lanes", "weight-path"
    if path is None:
        return [Section(name, title, ["Known of runs made with --explain."])]
    lanes = lanes_plot(path)
    shown, left = longest([layer.span_cycles for layer in path.layers], MOST_ROWS)
    what_ifs = list(path.what_if)
    columns = (
        "layer", "cycles", *(f"{unit} unlimited, cycles" for unit in what_ifs), "products",
        "mean lane spread, cycles", "longest lane spread, cycles",
    )  # fmt: skip
    rows = [_path_row(path.layers[place], what_ifs) for place in shown]
    return [
        Section(
            name,
            title,
            ["What-ifs are simulations of the same program with one thing that never holds it up."],
            plots=[weight_path_plot(path), *([lanes] if lanes else [])],
            tables=[Table("what-if-table", "What-ifs", columns, rows, left_out=len(left))],
        )
    ]


def _path_row(layer: PathLayer, what_ifs: list[str]) -> list[Cell]:
    spread = layer.lane_spread_cycles / layer.products if layer.products else None
    numbers: list[Value] = [layer.what_if.get(unit) for unit in what_ifs]
    numbers += [layer.products, spread, layer.lane_spread_max_cycles]
    return [words(layer.name), number(layer.span_cycles), *map(number, numbers)]


def _setting(run: Run) -> Section:
    setting = {
        "model": run.model, "input": run.input, "calibration": run.calibration, "bits": run.bits,
        "sparsity": run.sparsity, "config_hash": run.config_hash,
        **{f"seeds.{name}": seed for name, seed in run.seeds.items()},
    }  # fmt: skip
    rows = [[words(name), words(str(value))] for name, value in setting.items()]
    chip = [[words(name), words(value)] for name, value in _flat(run.configuration)]
    return Section(
        "setting",
        "Setting",
        tables=[
            Table("setting-table", "Run", ("key", "value"), rows),
            Table("chip-table", "Chip parameters", ("key", "value"), chip[:MOST_ROWS], fold=True),
        ],
    )


def _flat(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Yield every value with its dotted name; a summary has few levels (read_run checks that)."""
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", str(value)
