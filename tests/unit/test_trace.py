"""The trace of a run: its format, its sums, its size, and what is refused."""

from __future__ import annotations

import builtins
import importlib.util
import itertools
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from command import azsim
from speech_models import save_speech_model
from trace_file import TraceFile, read_trace

from azsim import api
from azsim.engine import recorder as recorder_module
from azsim.errors import ConfigError
from azsim.report.record import RunRecord
from azsim.report.trace import TraceWish, parse_window, write_trace
from azsim.report.trace import wish as wish_module

CYCLES = {"unit": "cycles"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model and its frames."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AZSIM_CACHE_DIR", str(tmp_path / "cache"))
    save_speech_model(tmp_path)
    return tmp_path


def run(chip: str = "tiny", wish: TraceWish | None = None, **more: Any) -> RunRecord:
    return api.run(
        "model.onnx", input="frames.npz", chip=chip, bits=5, sparsity=0.5, timing_only=True,
        trace=wish, **more,
    )  # fmt: skip


def sums(trace: TraceFile, path: str, mhz: int | None) -> Counter[str]:
    """Cycles by the names of a track's slices; `mhz`: the times are ns of that clock, and a cycle
    begins in the nanosecond that its edge falls into."""
    total: Counter[str] = Counter()
    for one in trace.slices[path]:
        begin, end = one.begin, one.end
        if mhz is not None:
            begin, end = (math.ceil(t * mhz / 1000) for t in (begin, end))
        total[one.name] += end - begin
    return total


@pytest.mark.parametrize(
    ("chip", "unit", "more"),
    [
        ("tiny", "cycles", {}),
        ("tiny", "ns", {"frames_per_pass": 2}),
        ("az1", "ns", {"overrides": ["core.clock_mhz=333"]}),
        ("az1", "cycles", {"host_traffic": ["music", "cpu_misses"]}),
        ("az2", "ns", {}),
    ],
)
def test_slices_are_the_cycles_of_the_report(chip: str, unit: str, more: dict[str, Any]) -> None:
    record = run(chip, TraceWish(Path("t.pftrace"), unit=unit), **more)
    trace = read_trace(Path("t.pftrace"))
    mhz = record.chip.core.clock_mhz if unit == "ns" else None
    assert record.chip.name in trace.title
    assert ("time: ns" in trace.title) == (unit == "ns")
    for engine, classes in record.counters.stalls.items():
        want = {name: cycles for name, cycles in classes.items() if cycles and name != "idle"}
        assert sums(trace, f"engines/{engine}: state", mhz) == want, engine
    for engine in ("mac", "vector", "dma_a"):
        busy = sum(sums(trace, f"engines/{engine}", mhz).values())
        assert busy == record.counters.stalls[engine]["busy"], engine
    assert sum(sums(trace, "passes", mhz).values()) == record.counters.cycles
    assert sum(sums(trace, "layers (recorded passes)", mhz).values()) == record.counters.cycles
    spans = Counter({layer.name: layer.span_cycles for layer in record.counters.layers})
    layers = sums(trace, "layers (recorded passes)", mhz)
    assert {name: layers[name] for name in spans} == dict(spans)
    assert len(trace.instants["frames arrive"]) == record.frames
    assert len(trace.instants["deadlines"]) == record.counters.frames


def test_rows_and_bytes_of_the_memory_are_those_counted() -> None:
    record = run("az1", TraceWish(Path("t"), unit="cycles"))
    trace, counts = read_trace(Path("t")), record.counters.counts
    banks = [slices for path, slices in trace.slices.items() if "/bank " in path]
    rows = [one for slices in banks for one in slices if one.name == "row open"]
    assert len(rows) == counts["dram_activates"]
    read = sum(one.arguments["read_bytes"] for one in rows)
    written = sum(one.arguments["written_bytes"] for one in rows)
    assert read == counts["dram_read_bursts"] * 32
    assert written == counts["dram_write_bursts"] * 32
    refreshes = trace.slices["DRAM/channel 0/refresh of all banks"]
    assert len(refreshes) == counts["dram_refreshes_all_bank"]
    assert sum(path.startswith("DRAM/channel 0/bank group") for path in trace.slices) <= 8


def test_counters_of_occupancy_and_bandwidth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "SAMPLE_CYCLES", 16)  # the steps are short
    record = run("tiny", TraceWish(Path("t"), unit="cycles"))
    trace, chip = read_trace(Path("t")), record.chip
    largest = {path: max(value for _, value in at) for path, at in trace.counters.items()}
    assert trace.units["counters/weight store read"] == "MB/s"
    assert largest["counters/weight store read"] > 0
    assert largest["counters/DRAM read by DMA-A"] > 0
    assert 0 < largest["counters/FIFO 0: reserved words"] <= chip.decoder.stream_fifo_words
    assert 0 < largest["counters/bursts of DMA-W in flight"] <= chip.dma_w.outstanding_bursts
    assert 0 < largest["counters/tile slots in use"] <= chip.wbuf.tile_slots
    assert 0 < largest["counters/queue of mac"] <= chip.sequencer.queue_depth
    lanes = chip.mac_array.lanes * chip.mac_array.macs_per_lane
    assert 0 < largest["counters/MAC products"] <= lanes
    assert all(at[-1][1] == 0 for at in trace.counters.values())
    products = 0.0
    at = trace.counters["counters/MAC products"]
    for (time, value), (after, _) in itertools.pairwise(at):
        products += value * (after - time)
    assert products == pytest.approx(record.counters.counts["mac_products_done"])


def test_equal_runs_give_equal_bytes_and_the_same_cycles() -> None:
    first = run("az1", TraceWish(Path("a")), host_traffic=["music"])
    run("az1", TraceWish(Path("b")), host_traffic=["music"])
    plain = run("az1", host_traffic=["music"])
    assert Path("a").read_bytes() == Path("b").read_bytes()
    assert first.counters.step_cycles.tolist() == plain.counters.step_cycles.tolist()
    assert first.counters.stalls == plain.counters.stalls
    assert first.counters.counts == plain.counters.counts


def test_a_window_names_the_frames() -> None:
    record = run(wish=TraceWish(Path("t"), (1, 3), "cycles"))
    assert record.recordings is not None
    assert [number for number, _ in record.recordings.passes] == [1, 2]
    known = [one.arguments["recorded_cycles"] for one in read_trace(Path("t")).slices["passes"]]
    cycles = record.counters.step_cycles.tolist()
    assert known[:4] == [0, cycles[1], cycles[2], 0]


def test_the_file_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(wish=TraceWish(Path("whole")))
    assert whole.recordings is not None
    one = whole.recordings.passes[0][1].trace_bytes
    frames = whole.frames
    assert Path("whole").stat().st_size <= frames * (one + 300) + 20_000
    monkeypatch.setattr(wish_module, "MAX_BYTES", 300 * frames + 2 * one)
    some = run(wish=TraceWish(Path("some")))
    assert some.recordings is not None
    assert [number for number, _ in some.recordings.passes] == [0, -(-frames // 2)]
    monkeypatch.setattr(wish_module, "MAX_BYTES", 300 * frames + one // 2)
    cut = run(wish=TraceWish(Path("cut"), unit="cycles"))
    assert cut.recordings is not None
    ((number, recording),) = cut.recordings.passes
    assert number == 0
    assert 0 < recording.cut < recording.cycles
    trace = read_trace(Path("cut"))
    assert trace.slices["passes"][0].arguments["recorded_cycles"] == recording.cut
    states = [one for path in trace.slices if path.endswith("state") for one in trace.slices[path]]
    assert 0 < max(one.end for one in states) <= recording.cut
    assert Path("cut").stat().st_size < Path("some").stat().st_size < Path("whole").stat().st_size


def test_run_says_what_was_traced() -> None:
    options = ["--chip", "tiny", "--frames", "2", "--timing-only"]
    shown = azsim("run", "model.onnx", "-i", "frames.npz", *options, "--trace", "t.pftrace")
    assert shown.code == 0
    assert shown.out.endswith("written: t.pftrace (2 of 2 passes in full: 0, 1)\n")
    assert read_trace(Path("t.pftrace")).slices["passes"]


WRONG = [
    (["--trace-window", "0:1"], "--trace-window: needs --trace FILE"),
    (["--trace", "t", "--trace-window", "1"],
     "--trace-window: must be START:END in frames, such as 0:4, not '1'"),
    (["--trace", "t", "--trace-window", "3:3"],
     "--trace-window: must begin before it ends, not 3:3"),
    (["--trace", "t", "--trace-window", "99:100"],
     "--trace-window: must begin in the run's 2 frames (0 to 1), not at 99"),
    (["--trace", "t", "--trace-time", "us"], "--trace-time: must be ns or cycles, not 'us'"),
    (["--trace", "t", "--set", "core.clock_mhz=1500"],
     "--trace-time: must be cycles above 1000 MHz (a cycle of 1500 MHz is less than the viewer's "
     "nanosecond), not ns"),
    (["--trace", "no/t"], "no/t: cannot be written: No such file or directory"),
    (["--trace", "."], ".: cannot be written: Is a directory"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_bad_wishes_are_refused_in_one_line(options: list[str], message: str) -> None:
    shown = azsim(
        "run", "model.onnx", "-i", "frames.npz", "--chip", "tiny", "--frames", "2", *options
    )
    assert (shown.code, shown.err) == (2, f"azsim: {message}\n")
    assert not Path("t").exists()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "perfetto" else found(name)
    )
    message = r"^--trace: needs a further package: pip install 'azsim\[trace\]'$"
    with pytest.raises(ConfigError, match=message):
        run(wish=TraceWish(Path("t")))
    assert not Path("t").exists()


def test_nobody_else_loads_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        assert not name.startswith("perfetto")
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    record = run()
    with pytest.raises(ConfigError, match=r"^t: needs a run that was recorded$"):
        write_trace(record, Path("t"))


@pytest.mark.parametrize("text", ["", ":", "1:", ":2", "a:b", "-1:2", "1:2:3", "1 :2", "٣:٤"])
def test_windows_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--trace-window: must be START:END in frames, such"):
        parse_window(text)
