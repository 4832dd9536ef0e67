"""The page of two runs side by side: every change with the counters that make it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from azsim.report.compare import Change, Comparison, compare_folders
from azsim.report.html.deltas import (
    PJ_PER_UJ,
    LayerDelta,
    action_deltas,
    layer_deltas,
    per_frame,
)
from azsim.report.html.library import make_figure, require_packages
from azsim.report.html.page import Page, save_page
from azsim.report.html.parts import (
    MOST_ROWS,
    Cell,
    Plot,
    Section,
    Table,
    number,
    number_text,
    rounded,
    short,
    words,
)
from azsim.report.html.run_data import Run, run_of_summary
from azsim.report.html.run_page import notice_of
from azsim.report.html.run_plots import CLASS_COLOURS, CLASSES, MOST_LAYERS, bar_layout
from azsim.report.layers import longest
from azsim.report.read import SUMMARY

BOUND_COLOUR, WAITING_COLOUR = "#0072B2", "#E69F00"
COUNT_COLOUR, PRICE_COLOUR = "#0072B2", "#CC79A7"
CHANGE_COLUMNS = ("figure", "A", "B", "B / A")


def save_compare_page(a: Path, b: Path, path: Path, force: bool = False) -> None:
    """Write the page that compares the runs in folders `a` and `b` to `path`.

    Raises:
        ConfigError: packages are missing, a folder is no run, a damaged one or, without `force`, of
            another net; the page cannot be written.
    """
    require_packages()
    comparison = compare_folders(a, b, force)
    run_a = run_of_summary(a / SUMMARY, comparison.a)
    run_b = run_of_summary(b / SUMMARY, comparison.b)
    save_page(compare_page(comparison, run_a, run_b), path)


def compare_page(comparison: Comparison, a: Run, b: Run) -> Page:
    """Return the page of two runs."""
    layers = layer_deltas(a, b)
    return Page(
        title=f"A: {_name(a)}, B: {_name(b)}",
        about="Ratios are B / A; differences are B - A, per frame.",
        notice=notice_of(a.status, b.status),
        sections=[
            _summary(comparison, a, b), _setting(comparison), _cycles(a, b, layers), _stalls(a, b),
            _energy(a, b), _everything(comparison),
        ],
        version=short(b.version, 40),
    )  # fmt: skip


def _name(run: Run) -> str:
    return f"{short(run.model, 60)} on {short(run.chip, 40)} ({short(run.status, 20)})"


def _signed(value: float, unit: str = "") -> str:
    sign = "+" if value > 0 else ""
    return f"{sign}{number_text(value)} {unit}".strip()


def _difference(value: float) -> Cell:
    return Cell(_signed(rounded(value, 9)), value)


def _summary(comparison: Comparison, a: Run, b: Run) -> Section:
    facts = []
    for title, unit, before, after in _headlines(a, b):
        ratio = f", {number_text(after / before)} times A" if before else ""
        change = f"{number_text(before)} to {number_text(after)} {unit}"
        facts.append((title, _signed(rounded(after - before, 9), unit), change + ratio))
    texts = [] if a.frames == b.frames else [
        f"A has {a.frames:,} frames and B {b.frames:,}: sums of the runs differ for that alone."
    ]  # fmt: skip
    table = _changes("time-table", "Time and bytes", comparison.time_and_bytes)
    return Section("summary", "Summary", texts, facts, tables=[table])


def _headlines(a: Run, b: Run) -> Iterator[tuple[str, str, float, float]]:
    """Yield title, unit, A, B of the figures that one asks for first."""
    yield "Cycles per frame", "cycles", per_frame(a.cycles, a), per_frame(b.cycles, b)
    moved = [per_frame(run.dram_bytes_read + run.dram_bytes_written, run) for run in (a, b)]
    yield "DRAM bytes per frame", "B", moved[0], moved[1]
    joules = [per_frame(run.energy.total_pj.nominal, run) / PJ_PER_UJ for run in (a, b)]
    yield "Energy per frame", "µJ", joules[0], joules[1]
    yield "Weight stream", "B", a.stream_bytes, b.stream_bytes


def _changes(name: str, title: str, changes: Sequence[Change], **options: Any) -> Table:
    rows = [
        [words(each.name), number(each.a, 6), number(each.b, 6), number(each.ratio)]
        for each in changes[:MOST_ROWS]
    ]
    left = max(len(changes) - MOST_ROWS, 0)
    return Table(name, title, CHANGE_COLUMNS, rows, left_out=left, **options)


def _setting(comparison: Comparison) -> Section:
    if not comparison.setting:
        return Section("setting", "Setting", ["Nothing differs."])
    return Section(
        "setting", "Setting", tables=[_changes("setting-table", "Setting", comparison.setting)]
    )


def _cycles(a: Run, b: Run, layers: Sequence[LayerDelta]) -> Section:
    total = per_frame(b.cycles, b) - per_frame(a.cycles, a)
    bound = sum(each.bound for each in layers)
    texts = [
        f"Cycles per frame change by {_signed(rounded(total))}, the sum over the layers. Each "
        "layer's change is that of its lower bound (the work of its busiest unit) and the rest: "
        "waiting, less what was done ahead in the spans before.",
        f"Over all layers: lower bounds {_signed(rounded(bound))}, the rest "
        f"{_signed(rounded(total - bound))}.",
    ]
    shown, left = longest([round(1000 * abs(each.cycles)) for each in layers], MOST_ROWS)
    rows = [_cycle_row(a, b, layers[place]) for place in shown]
    columns = (
        "layer", "operator", "A, cycles", "B, cycles", "difference", "lower bound", "the rest",
        "DRAM, B", "why",
    )  # fmt: skip
    table = Table(
        "cycle-table", "Layers, per frame", columns, rows, search=True, left_out=len(left)
    )
    return Section("cycles", "Cycles", texts, plots=_cycle_plots(layers), tables=[table])


def _cycle_row(a: Run, b: Run, each: LayerDelta) -> list[Cell]:
    return [
        words(each.name),
        words(each.operator),
        number(None if each.a is None else per_frame(each.a.span_cycles, a), 6),
        number(None if each.b is None else per_frame(each.b.span_cycles, b), 6),
        *map(_difference, (each.cycles, each.bound, each.waiting, each.dram_bytes)),
        Cell(each.why),
    ]


def _cycle_plots(layers: Sequence[LayerDelta]) -> list[Plot]:
    shown, _ = longest([round(1000 * abs(each.cycles)) for each in layers], MOST_LAYERS + 1)
    layers = [layers[place] for place in shown]
    traces = [
        _bars("lower bound", [each.bound for each in layers], BOUND_COLOUR, "cycles"),
        _bars("the rest", [each.waiting for each in layers], WAITING_COLOUR, "cycles"),
    ]
    layout = bar_layout([each.name for each in layers], "cycles per frame, B - A")
    caption = "Change of each layer's span: its lower bound, and waiting less work done ahead."
    figure = make_figure(traces, {**layout, "barmode": "relative"})
    return [Plot("cycles-plot", caption, figure)] if layers else []


def _bars(name: str, values: Sequence[float], colour: str, unit: str) -> dict[str, Any]:
    return {
        "type": "bar", "orientation": "h", "name": name, "x": [rounded(v) for v in values],
        "y": list(range(len(values))), "marker": {"color": colour},
        "hovertemplate": "%{x:+,.4~g} " + unit + "<extra>%{fullData.name}</extra>",
    }  # fmt: skip


def _stalls(a: Run, b: Run) -> Section:
    engines = list({**a.stalls, **b.stalls})
    changes = [
        [
            per_frame(b.stalls.get(engine, {}).get(each, 0), b)
            - per_frame(a.stalls.get(engine, {}).get(each, 0), a)
            for each in CLASSES
        ]
        for engine in engines
    ]
    traces = [
        _bars(each, [row[place] for row in changes], CLASS_COLOURS[each], "cycles")
        for place, each in enumerate(CLASSES)
    ]
    layout = bar_layout(engines, "cycles per frame, B - A")
    rows = [
        [words(engine), *map(_difference, row), _difference(sum(row))]
        for engine, row in zip(engines, changes, strict=True)
    ]
    columns = ("engine", *CLASSES, "sum")
    return Section(
        "stalls",
        "Stalls",
        [
            "For an engine of both runs the changes of the five classes sum to the change of the "
            "cycles per frame. An engine that one run does not have counts as zero there."
        ],
        plots=[
            Plot(
                "stalls-plot",
                "Change of what each engine did.",
                make_figure(traces, {**layout, "barmode": "relative"}),
            )
        ],
        tables=[Table("stall-table", "Engines, cycles per frame, B - A", columns, rows)],
    )


def _energy(a: Run, b: Run) -> Section:
    actions = action_deltas(a, b)
    total = per_frame(b.energy.total_pj.nominal, b) - per_frame(a.energy.total_pj.nominal, a)
    found = sum(each.total for each in actions)
    names = [f"{each.component} {each.action}" for each in actions[:MOST_LAYERS]]
    traces = [
        _bars("counts", [each.count for each in actions[:MOST_LAYERS]], COUNT_COLOUR, "µJ"),
        _bars("prices", [each.price for each in actions[:MOST_LAYERS]], PRICE_COLOUR, "µJ"),
    ]
    layout = bar_layout(names, "µJ per frame, B - A")
    rows = [
        [
            words(each.component), words(each.action), number(each.count_a, 6),
            number(each.count_b, 6), *map(_difference, (each.total, each.count, each.price)),
        ]
        for each in actions[:MOST_ROWS]
    ]  # fmt: skip
    columns = (
        "component", "action", "A, per frame", "B, per frame", "difference, µJ", "by counts, µJ",
        "by prices, µJ",
    )  # fmt: skip
    texts = [
        f"Energy per frame changes by {_signed(rounded(total / PJ_PER_UJ), 'µJ')} (nominal); the "
        f"actions below sum to {_signed(rounded(found), 'µJ')}. Counts: more or fewer of an "
        "action, at A's price of each. Prices: the rest, B's count at another price.",
    ]
    plot = Plot(
        "energy-plot",
        "Change of the energy of a frame by action, the largest first.",
        make_figure(traces, {**layout, "barmode": "relative"}),
    )
    return Section(
        "energy", "Energy", texts, plots=[plot] if actions else [],
        tables=[Table("action-table", "Actions", columns, rows)] if actions else [],
    )  # fmt: skip


def _everything(comparison: Comparison) -> Section:
    figures = [(layer.name, change) for layer in comparison.layers for change in layer.changes]
    rows = [
        [
            words(name), words(each.name), number(each.a, 6), number(each.b, 6),
            number(each.ratio),
        ]
        for name, each in figures[:MOST_ROWS]
    ]  # fmt: skip
    layers = Table(
        "figure-table", "Every changed figure of every layer", ("layer", *CHANGE_COLUMNS), rows,
        search=True, fold=True, left_out=max(len(figures) - MOST_ROWS, 0),
    )  # fmt: skip
    counters = _changes("counter-table", "Counters", comparison.counters, search=True)
    text = f"{comparison.equal:,} figures do not differ. Names are those of summary.json."
    return Section("everything", "Every changed figure", [text], tables=[counters, layers])
