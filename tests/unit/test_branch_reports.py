"""What is written of a run that chooses a branch in every step: trace, summary, figures, page."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import azsim
from report_cases import make_record
from report_pages import save_run
from trace_file import TraceFile, read_trace

from azsim import api
from azsim.frontend import Inputs
from azsim.report.branches import COSTS, branch_summary, write_branch_report
from azsim.report.record import RunRecord
from azsim.report.summary import build_summary, save_summary
from azsim.report.trace import TraceWish, traced_passes
from azsim.report.trace import wish as wish_module
from azsim.zoo import build_zoo, save_onnx

STEPS = 40
NO_STORE = "weight_store.capacity_kb=0"  # all weights from DRAM: branches differ more


def frames_of(steps: int = STEPS) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (5 * rng.normal(size=(steps, 1, 1, 24))).astype(np.float32)


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("net") / "net.onnx"
    save_onnx(build_zoo("tiny_amnet", None, 8, 0.0, 1), path)
    return path


def run(net: Path, chip: str = "az1", **more: Any) -> RunRecord:
    inputs = Inputs({"features": frames_of()}, "noise")
    return api.run(net, input=inputs, chip=chip, overrides=[NO_STORE], **more)


def sums(trace: TraceFile, path: str) -> Counter[str]:
    """Cycles by the names of a track's slices."""
    total: Counter[str] = Counter()
    for one in trace.slices[path]:
        total[one.name] += one.end - one.begin
    return total


@pytest.mark.parametrize("chip", ["az1", "az2"])
def test_trace_shows_the_branch_of_each_frame(net: Path, tmp_path: Path, chip: str) -> None:
    record = run(net, chip, trace=TraceWish(tmp_path / "t", unit="cycles"))
    trace, branches = read_trace(tmp_path / "t"), record.branches
    assert branches is not None
    shown = trace.slices["branch of each frame"]
    assert [one.name for one in shown] == list(branches.chosen)
    assert [one.end - one.begin for one in shown] == branches.step_cycles.tolist()
    assert [one.arguments["dram_bytes"] for one in shown] == branches.dram_bytes.tolist()
    assert [one.arguments["frame"] for one in shown] == list(range(STEPS))
    parts = trace.slices["arbitrator, decision, branch"]
    assert [one.name for one in parts] == [
        name for chosen in branches.chosen for name in ("arbitrator", "decision", chosen)
    ]
    assert parts[1].end - parts[1].begin == branches.decision_cycles
    for before, after in itertools.pairwise(parts):
        assert after.begin == before.end or after.name == "arbitrator"


@pytest.mark.parametrize("chip", ["az1", "az2"])
def test_slices_of_the_trace_are_the_cycles_counted(net: Path, tmp_path: Path, chip: str) -> None:
    record = run(net, chip, trace=TraceWish(tmp_path / "t", unit="cycles"))
    trace, counters = read_trace(tmp_path / "t"), record.counters
    assert record.branches is not None
    for engine, classes in counters.stalls.items():
        want = {name: n for name, n in classes.items() if n and name != "idle"}
        assert sums(trace, f"engines/{engine}: state") == want, engine
    layers = sums(trace, "layers (recorded passes)")
    spans = {row.name: row.span_cycles for row in counters.layers if row.name != "decision"}
    assert {name: layers[name] for name in spans} == spans
    assert traced_passes(record).startswith(f"{STEPS} of {STEPS} passes in full: 0, 1,")


def test_trace_is_bounded_and_changes_nothing(
    net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run(net)
    window = run(net, trace=TraceWish(tmp_path / "w", (13, 17)))
    assert traced_passes(window) == f"4 of {STEPS} passes in full: 13, 14, 15, 16"
    assert window.counters.cycles == plain.counters.cycles
    monkeypatch.setattr(wish_module, "MAX_BYTES", 60_000)
    some = run(net, trace=TraceWish(tmp_path / "t"))
    assert some.branches is not None
    assert len(read_trace(tmp_path / "t").slices["branch of each frame"]) == STEPS
    assert (tmp_path / "t").stat().st_size < 60_000
    numbers = [number for number, _ in _recorded(some, "arbitrator")]
    assert 1 < len(numbers) < STEPS
    both = [number for name in ("then", "else") for number, _ in _recorded(some, name)]
    assert sorted(both) == numbers
    monkeypatch.setattr(wish_module, "MAX_BYTES", 14_000)
    cut = run(net, trace=TraceWish(tmp_path / "c"))
    assert traced_passes(cut).endswith("; 1 cut short to bound the file")
    assert plain.counters.counts == some.counters.counts == cut.counters.counts


def _recorded(record: RunRecord, part: str) -> Any:
    assert record.branches is not None
    recordings = record.branches.parts[part].recordings
    assert recordings is not None
    return recordings.passes


def test_costs_of_the_branches_are_those_of_the_run(net: Path) -> None:
    record = run(net)
    trace, figures = record.branches, branch_summary(record)
    assert trace is not None
    assert figures is not None
    whole = {
        "cycles": record.counters.cycles,
        "dram_bytes": record.counters.dram_bytes_read + record.counters.dram_bytes_written,
        "products": record.counters.counts["mac_products_done"],
        "energy_pj": record.energy.total_fj.nominal / 1000,
    }
    assert trace.dram_bytes.sum() == whole["dram_bytes"]
    for key in COSTS:
        total = sum(b["frames"] * b[f"{key}_per_frame"] for b in figures["branches"].values())
        assert total == pytest.approx(whole[key], rel=1e-6), key
    for name, branch in figures["branches"].items():
        taken = trace.takes(name)
        assert branch["dram_bytes_per_frame"] == pytest.approx(trace.dram_bytes[taken].mean())
        assert branch["cycles_per_frame"] == pytest.approx(trace.step_cycles[taken].mean())
    dear = trace.parts["then"].counters
    saving = figures["saving"]
    assert saving["against"] == "then"
    assert saving["cycles"] == pytest.approx(
        1 - (whole["cycles"] / STEPS) / (dear.cycles / dear.frames), rel=1e-4
    )
    done = dear.counts["mac_products_done"] / dear.frames
    assert saving["products"] == pytest.approx(1 - whole["products"] / STEPS / done, rel=1e-4)
    assert saving["products"] > 0.3


def test_a_switch_is_told_from_a_frame_without_one(net: Path) -> None:
    record = run(net)
    trace, figures = record.branches, branch_summary(record)
    assert trace is not None
    assert figures is not None
    cycles = trace.step_cycles
    for name, branch in figures["branches"].items():
        after = [
            cycles[k] for k in range(1, STEPS) if trace.chosen[k] == name != trace.chosen[k - 1]
        ]
        assert branch["cycles_after_switch"] == pytest.approx(float(np.mean(after)))
    assert figures["switches"] == sum(a != b for a, b in itertools.pairwise(trace.chosen))


def test_mobile_cpu_reads_the_weights_of_the_branch_alone(net: Path) -> None:
    from azsim.report.energy import _weights_used

    record = run(net)
    assert record.branches is not None
    used = 0
    for name, part in record.branches.parts.items():
        times = STEPS if name == "arbitrator" else record.branches.chosen.count(name)
        used += times * sum(layer.weights for layer in part.program.layers)
    assert _weights_used(record) == used < STEPS * sum(x.weights for x in record.program.layers)


# -- the command ----------------------------------------------------------------------------------


@pytest.fixture
def folder(net: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    np.savez(tmp_path / "x.npz", features=frames_of())
    (tmp_path / "net.onnx").write_bytes(net.read_bytes())
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_explain_tells_of_each_part(folder: Path, net: Path) -> None:
    done = azsim("run", "net.onnx", "-i", "x.npz", "--explain", "--set", NO_STORE)
    assert done.code == 0
    trace = run(net, explain=True).branches
    assert trace is not None
    for name, part in trace.parts.items():
        path = part.weight_path
        assert path is not None
        first = trace.arbitrator_cycles[0]
        if name != "arbitrator":
            first = trace.branch_cycles[trace.chosen.index(name)]
        assert path.cycles == first
        assert f"weight path, {name}, its first frame, {first:,} cycles\n" in done.out


def test_the_screen_tells_of_the_branches(folder: Path) -> None:
    done = azsim("run", "net.onnx", "-i", "x.npz", "--timing-only", "--set", NO_STORE)
    assert done.code == 0
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    summary = branch_summary(run(folder / "net.onnx"))
    assert summary is not None
    then, other = (summary["branches"][name] for name in ("then", "else"))
    shown = (
        f"branches then {then['frames']} frames, {then['cycles_per_frame']:,.0f} cycles;"
        f" else {other['frames']} frames, {other['cycles_per_frame']:,.0f} cycles;"
        f" {summary['switches']} switches"
    )
    assert shown in lines
    products = 100 * summary["saving"]["products"]
    (saved,) = (line for line in lines if line.startswith("saved by them"))
    assert saved.startswith("saved by them against then always: cycles ")
    assert f" products {products:.1f} %, energy " in saved


# -- the page -------------------------------------------------------------------------------------


def saved(record: RunRecord, folder: Path) -> Path:
    """What a page is built from, without pictures."""
    folder.mkdir()
    save_summary(build_summary(record), folder / "summary.json")
    write_branch_report(record, folder / "BRANCH_REPORT.csv")
    return folder


def test_page_has_a_section_of_branches(net: Path, tmp_path: Path) -> None:
    record = run(net)
    assert record.branches is not None
    hostile = replace(record.branches, node="<script>alert(1)</script>")
    folder = saved(replace(record, branches=hostile), tmp_path / "run")
    assert azsim("report", folder).code == 0
    text = (folder / "report.html").read_text()
    section = text[text.index('id="branches"') : text.index('id="layers"')]
    assert "&lt;script&gt;alert(1)&lt;/script&gt; chooses in each frame." in section
    assert "<script>alert" not in text
    assert f"Branches, {int(record.branches.switched.sum())} switches" in section
    assert "Saved against then in every frame" in section
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", section)
    assert cells[:3] == ["then", "15", "37.5"]
    assert cells[9:12] == ["else", "25", "62.5"]
    figures = json.loads(re.findall(r'id="figures"[^>]*>(.*?)</script>', text, re.DOTALL)[0])
    frames = {trace["name"]: trace["x"] for trace in figures["branch-plot"]["data"][:2]}
    # the page's zoom buttons go by it
    assert figures["branch-plot"]["layout"]["xaxis"]["range"] == [-0.5, STEPS - 0.5]
    for name in ("then", "else"):
        assert frames[name] == np.flatnonzero(record.branches.takes(name)).tolist()


def test_page_of_other_runs_has_no_such_section(tmp_path: Path) -> None:
    folder = save_run(make_record(), tmp_path / "run")
    assert azsim("report", folder).code == 0
    assert 'id="branches"' not in (folder / "report.html").read_text()


@pytest.mark.parametrize(
    "text",
    ["frame,branch\n0,then\n", "branch,cycles,dram_bytes\nthen,-1,2\n", 'branch,cycles\n"then\n'],
)
def test_a_damaged_table_of_frames_is_one_line(net: Path, tmp_path: Path, text: str) -> None:
    folder = saved(run(net), tmp_path / "run")
    (folder / "BRANCH_REPORT.csv").write_text(text)
    done = azsim("report", folder)
    path = folder / "BRANCH_REPORT.csv"
    assert (done.code, done.err) == (2, f"azsim: {path}: must be a table as azsim writes it\n")


def test_a_branch_that_stays_unused_has_no_figures(folder: Path, net: Path) -> None:
    """Allowed: no means, no saving, a page all the same."""
    inputs = Inputs({"features": frames_of()[:5]}, "noise")
    record = api.run(net, input=inputs, explain=True, allow_unused_branch=True)
    summary = branch_summary(record)
    assert summary is not None
    assert summary["saving"] is None
    then = summary["branches"]["then"]
    assert (then["frames"], then["share"]) == (0, 0.0)
    assert {then[f"{key}_per_frame"] for key in COSTS} == {None}
    assert record.branches is not None
    assert record.branches.parts["then"].weight_path is None
    assert record.branches.parts["else"].weight_path is not None
    assert azsim("report", saved(record, folder / "run")).code == 0
    text = (folder / "run" / "report.html").read_text()
    assert "What the choice saves is not known: one branch was never taken." in text


def test_the_last_line_names_the_trace(folder: Path) -> None:
    arguments = ("--trace", "t.pftrace", "--trace-window", "0:2")
    done = azsim("run", "net.onnx", "-i", "x.npz", "--timing-only", *arguments)
    assert done.code == 0
    assert done.out.endswith(f"written: t.pftrace (2 of {STEPS} passes in full: 0, 1)\n")
