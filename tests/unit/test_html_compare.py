"""The HTML page of two runs: every change is the sum of what it is explained by."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command import azsim
from report_cases import LAYER_COUNTERS, make_record
from report_pages import HOSTILE, HOSTILE_LAYER, hostile_record, save_run
from test_compare import other_net, slower

from azsim.report.compare import compare
from azsim.report.html.compare_page import compare_page
from azsim.report.html.deltas import action_deltas, layer_deltas
from azsim.report.html.run_data import Run, load_run, run_of_summary
from azsim.report.record import RunRecord
from azsim.report.summary import build_summary

pytestmark = pytest.mark.small
FRAMES = 3


def loaded(record: RunRecord) -> Run:
    return run_of_summary(Path("summary.json"), json.loads(json.dumps(build_summary(record))))


def another_stream() -> RunRecord:
    """The made-up run with less decoder work and a smaller stream in its first layer."""
    record = make_record()
    layer = replace(LAYER_COUNTERS[0], span_cycles=3100, decode_cycles=2000, memory_cycles=1900)
    layers = (layer, *LAYER_COUNTERS[1:])
    info = replace(record.program.layers[0], stream_bytes=48)
    return replace(
        record,
        counters=replace(record.counters, layers=layers),
        program=replace(record.program, layers=(info, *record.program.layers[1:])),
    )


def test_layers_sum_to_the_change_of_the_cycles() -> None:
    a, b = loaded(make_record()), loaded(slower())
    found = layer_deltas(a, b)
    assert sum(each.cycles for each in found) == pytest.approx(5000 / FRAMES)
    first = found[0]
    assert (first.cycles, first.bound) == pytest.approx((5000 / FRAMES, 0))
    assert first.waiting == pytest.approx(5000 / FRAMES)
    assert first.why == "its work is equal: it waits differently, see the stalls"
    assert [each.why for each in found[1:]] == ["", ""]


def test_work_is_explained_by_the_figures_that_make_it() -> None:
    first = layer_deltas(loaded(make_record()), loaded(another_stream()))[0]
    # lower bounds: 4400 / 2 decoders before, 1900 of the memory after
    assert (first.cycles, first.bound) == pytest.approx((-900 / FRAMES, -300 / FRAMES))
    assert first.waiting == pytest.approx(-600 / FRAMES)
    assert first.why == (
        "decoder work 733.3 to 333.3 cycles (stream bytes 96 to 48); "
        "memory work 666.7 to 633.3 cycles (stream bytes 96 to 48); bound by decoder, then memory"
    )


def test_layers_of_one_run_only() -> None:
    found = layer_deltas(loaded(make_record()), loaded(other_net()))
    only = {each.name: each.why for each in found if each.a is None or each.b is None}
    assert only == {"input and output": "only in A", "enc/cell": "only in B"}
    total = sum(each.cycles for each in found)
    assert total == pytest.approx(0)


def test_actions_sum_to_the_change_of_the_energy() -> None:
    a, b = loaded(make_record()), loaded(slower())
    found = action_deltas(a, b)
    change = (b.energy.total_pj.nominal - a.energy.total_pj.nominal) / FRAMES / 1e6
    assert change != 0
    assert sum(each.total for each in found) == pytest.approx(change, rel=1e-6)
    sizes = [abs(each.total) for each in found]
    assert sizes == sorted(sizes, reverse=True)
    same_price = {(e.component, e.action): e.pj_each.nominal for e in a.energy.actions}
    for each in b.energy.actions:
        if same_price.get((each.component, each.action)) == each.pj_each.nominal:
            prices = [
                e.price for e in found if (e.component, e.action) == (each.component, each.action)
            ]
            assert prices in ([], [0.0])


def test_engines_sum_to_the_change_of_the_cycles() -> None:
    a, b = loaded(make_record()), loaded(make_record())
    longer = {
        name: {**classes, "starved": classes["starved"] + 300} for name, classes in b.stalls.items()
    }
    b = b.model_copy(update={"cycles": b.cycles + 300, "stalls": longer})
    summaries = build_summary(make_record()), build_summary(make_record())
    page = compare_page(compare(*summaries), a, b)
    (table,) = [t for section in page.sections for t in section.tables if t.name == "stall-table"]
    assert len(table.rows) == 7
    for row in table.rows:
        assert [cell.text for cell in row[1:]] == ["0", "+100", "0", "0", "0", "+100"]


def test_equal_runs() -> None:
    run = loaded(make_record())
    summary = build_summary(make_record())
    page = compare_page(compare(summary, summary), run, run)
    facts = page.sections[0].facts
    assert [value for _, value, _ in facts] == ["0 cycles", "0 B", "0 µJ", "0 B"]
    assert page.sections[1].texts == ["Nothing differs."]


def test_the_command(tmp_path: Path) -> None:
    save_run(hostile_record(), tmp_path / "a")
    save_run(make_record(), tmp_path / "b")
    out = tmp_path / "page.html"
    done = azsim("compare", tmp_path / "a", tmp_path / "b", "--force", "--html", out)
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith(f"written: {out}\n")
    page = out.read_text(encoding="utf-8")
    assert len(page.encode()) <= 6_000_000
    assert HOSTILE not in page
    assert HOSTILE_LAYER not in page
    out.unlink()
    done = azsim("compare", tmp_path / "a", tmp_path / "b", "--force", "--json", "--html", out)
    assert "equal" in json.loads(done.out)
    assert out.is_file()


def test_what_cannot_be_compared_leaves_no_page(tmp_path: Path) -> None:
    a, c = save_run(make_record(), tmp_path / "a"), save_run(other_net(), tmp_path / "c")
    out = tmp_path / "page.html"
    done = azsim("compare", a, c, "--html", out)
    assert done.code == 2
    assert done.err == (
        f"azsim: {c}: must have the layers of {a}; small.onnx and other.onnx are different nets"
        " (--force compares them)\n"
    )
    assert not out.exists()
    assert load_run(a)[0].model == "small.onnx"
