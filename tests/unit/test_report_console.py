"""The screen after a run: what it says, that it fits, and that names are only names."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from report_cases import BUSY, LAYER_COUNTERS, LAYERS, make_record, make_stalls, with_layers
from report_cases import without_steps as stepless
from rich.console import Console

from azsim.config import load_chip
from azsim.config.host_traffic import load_traffic
from azsim.report.console import print_summary
from azsim.report.record import HostTraffic, RunRecord, Verification
from azsim.report.summary import build_summary
from azsim_kernels import isa

pytestmark = pytest.mark.small


def screen(record: RunRecord, width: int = 100) -> list[str]:
    """Return the lines as printed to a file."""
    file = io.StringIO()
    print_summary(record, Console(file=file, width=width))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_the_whole_screen() -> None:
    lines = screen(make_record(verification=Verification(3, 3)))
    assert [re.sub(" {2,}", "  ", line) for line in lines] == [
        "small.onnx on az1 (assumed) at 500 MHz: 3 frames, 5-bit weights, 50.0 % zeros",
        "az1 is an assumption: no AZ silicon figure exists",
        "input: frames.npz; calibrated on the run's own input",
        "frame time: 0.004 ms, from --frame-ms",
        "",
        "cycles per frame  1,667  time per frame  0.00333 ms",
        "real-time factor  0.833 (below 1: faster)  latency p50 / p99  0.002 / 0.006 ms",
        "bound by  decoder (44.0 % of all cycles)  deadline misses  1 of 3 frames",
        "DRAM bandwidth  3.23 of 6.40 GB/s (50.5 %)  DRAM per frame  10.4 KB in, 100 B out",
        "weight stream  96 B, 4.800 bits per weight  entropy  3.500 bits per weight",
        "MAC utilization  0.1 %  decoder utilization  22.0 % of 2 units",
        "integer reference  bit-exact 3/3",
        "cycles / bound  2.27 in all, enc/x 1.82, input and output 8.00, enc/cell 1.20",
        "SQNR  y 31.2 dB",
        "energy per frame  55.5 nJ (42 to 92.8); 13.9 mJ (10.5 to 23.2) per second of audio",
        "energy goes to  sequencer 46.2 %; 16 nm, 0.8 V, no silicon figure;"
        " mobile CPU 0.70 x (assumed)",
        "weight store  33 B of the stream, read once: 3 cycles not counted",
        "",
        "engine  busy  starved  blocked  waiting  idle  (of all cycles)",
        "dma_w0  40.0 %  0.8 %  0.6 %  0.4 %  58.2 %",
        "dma_w1  36.0 %  0.8 %  0.6 %  0.4 %  62.2 %",
        "dma_a  18.0 %  0.8 %  0.6 %  0.4 %  80.2 %",
        "decode0  30.0 %  0.8 %  0.6 %  0.4 %  68.2 %",
        "decode1  14.0 %  0.8 %  0.6 %  0.4 %  84.2 %",
        "mac  12.0 %  0.8 %  0.6 %  0.4 %  86.2 %",
        "vector  1.8 %  0.8 %  0.6 %  0.4 %  96.4 %",
        "",
        "layer  operator  cycles/frame  share  weights  stream  bound by",
        "enc/x  Linear  1,333  80.0 %  160  96 B  decoder",
        "enc/cell  LstmCell  200  12.0 %  vector",
        "input and output  DMA  133  8.0 %  memory",
        "simulated in 0.50 s, 6.0 frames per second, 2.4e-05 s of audio per second",
    ]


def full() -> RunRecord:
    """Everything that takes room: many layers, many units, long names, a failed comparison."""
    name = "/encoder/very/long/hierarchical/name/of/an/exported/layer/"
    infos = [replace(LAYERS[0], name=f"{name}{n}/x") for n in range(60)]
    counted = [replace(LAYER_COUNTERS[0], span_cycles=n) for n in range(60)]
    record = make_record(
        chip=load_chip("az1", ["decoder.units=16"]),
        sqnr_db={f"a very long name of an output, number {n}": 20.0 + n for n in range(9)},
        verification=Verification(3, 1, "step 1, output 'y'"),
        model="m" * 200,
        input_source="i" * 200,
        frame_ms_source="f" * 200,
    )
    stalls = {engine: make_stalls(70) for engine in isa.engine_names(16)}
    record = replace(record, counters=replace(record.counters, stalls=stalls))
    return with_layers(record, infos, counted)


def test_the_fullest_screen_has_40_lines_of_100_columns() -> None:
    lines = screen(full())
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("width", [80, 100, 200])
def test_no_figure_is_cut(width: int) -> None:
    text = "\n".join(screen(make_record(verification=Verification(3, 3)), width))
    for part in (
        "3.23 of 6.40 GB/s (50.5 %)", "10.4 KB in, 100 B out", "96 B, 4.800 bits per weight",
        "3.500 bits per weight", "0.1 %", "22.0 % of 2 units", "y 31.2 dB", "bit-exact 3/3",
        "33 B of the stream, read once: 3 cycles not counted",
        "simulated in 0.50 s, 6.0 frames per second",
    ):  # fmt: skip
        assert part in text, part


def test_stalls_per_engine() -> None:
    lines = screen(make_record())
    begin = next(n for n, line in enumerate(lines) if line.startswith("engine"))
    assert lines[begin].split()[:6] == ["engine", *isa.STALL_CLASS_NAMES]
    for name, busy, line in zip(isa.engine_names(2), BUSY, lines[begin + 1 :], strict=False):
        assert line.split() == [
            name, f"{busy / 50:.1f}", "%", "0.8", "%", "0.6", "%", "0.4", "%",
            f"{(4910 - busy) / 50:.1f}", "%",
        ]  # fmt: skip


def test_many_units_share_a_row() -> None:
    lines = screen(full())
    rows = [line.split("  ")[0] for line in lines if line.endswith("97.2 %")]
    assert rows == []
    names = [line.split("  ")[0] for line in lines if line.count("%") == 5]
    assert names == ["dma_w (all 16)", "dma_a", "decode (all 16)", "mac", "vector"]


def test_layers_and_what_bounds_them() -> None:
    lines = screen(make_record())
    begin = next(n for n, line in enumerate(lines) if line.startswith("layer"))
    assert [line.split() for line in lines[begin + 1 : begin + 4]] == [
        ["enc/x", "Linear", "1,333", "80.0", "%", "160", "96", "B", "decoder"],
        ["enc/cell", "LstmCell", "200", "12.0", "%", "vector"],
        ["input", "and", "output", "DMA", "133", "8.0", "%", "memory"],
    ]


def test_the_longest_layers_are_shown_in_the_order_of_the_model() -> None:
    spans = [5, 90, 1, 80, 2, 70, 3, 60, 4, 50, 6, 40, 7, 30, 8, 20]
    infos = [replace(LAYERS[0], name=f"l{n}") for n in range(len(spans))]
    counted = [replace(LAYER_COUNTERS[0], span_cycles=span) for span in spans]
    lines = screen(with_layers(make_record(), infos, counted))
    begin = next(n for n, line in enumerate(lines) if line.startswith("layer"))
    shown = [line.split()[0] for line in lines[begin + 1 : begin + 8]]
    assert shown == ["l1", "l3", "l5", "l7", "l9", "l11", "l13"]
    # spans 5 1 2 3 4 6 7 8 20 = 56 cycles in 3 frames; 9 x 160 weights; 9 x 96 bytes
    assert lines[begin + 8].split() == [
        "9", "other", "layers", "19", "1.1", "%", "1,440", "864", "B",
    ]  # fmt: skip


def test_a_difference_is_named() -> None:
    lines = screen(full())
    assert any("NOT bit-exact 1/3" in line for line in lines)
    assert "first difference from the integer reference: step 1, output 'y'" in lines


def test_frames_computed_together_are_passes() -> None:
    lines = screen(make_record(frames=5, frames_per_pass=2))
    assert "frame time: 0.004 ms, from --frame-ms; 2 frames computed together" in lines
    assert any(line.endswith("0 of 3 passes") for line in lines)


def test_host_traffic_is_shown_with_what_it_costs() -> None:
    chip = load_chip("az1")
    patterns = load_traffic(["music", "display"], chip)
    record = make_record()
    traffic = HostTraffic(patterns, record.counters.step_cycles * 4 // 5)
    lines = screen(make_record(host_traffic=traffic))
    assert "memory             lpddr4_3200: 90.0 % row hits, 2 refreshes" in lines
    assert "host traffic       music, display: 256 B, longest wait 500 ns" in lines
    cost = next(line for line in lines if line.startswith("its cost"))
    assert cost.endswith("25.0 % more cycles")
    figures = build_summary(make_record(host_traffic=traffic))["host_traffic"]
    assert figures["patterns"] == ["music", "display"]
    assert (figures["bytes_read"], figures["bytes_written"], figures["requests"]) == (192, 64, 4)
    assert (figures["mean_wait_ns"], figures["longest_wait_ns"]) == (250, 500)
    assert figures["slowdown"] == pytest.approx(1.25, rel=0.01)


def test_another_memory_has_no_rows() -> None:
    chip = load_chip("az1", ["memory.model=simple"])
    assert not any(line.startswith("memory ") for line in screen(make_record(chip=chip)))
    assert build_summary(make_record(chip=chip))["lpddr"] is None


def test_a_run_of_timing_only_has_no_sqnr() -> None:
    lines = screen(make_record(timing_only=True, integers={}, sqnr_db={}))
    assert "SQNR               not computed (timing only)" in lines
    assert "integer reference  not compared" in lines


def test_a_chip_that_is_no_assumption_is_not_called_one() -> None:
    chip = load_chip("az1", ["status=test"])
    assert not any("assumption" in line for line in screen(make_record(chip=chip)))


def test_nothing_is_invented_for_a_run_without_steps() -> None:
    lines = screen(stepless(make_record(wall_seconds=0.0)))
    assert any(line.startswith("cycles per frame   -  ") for line in lines)
    assert not any("simulated in" in line for line in lines)


def test_names_are_neither_markup_nor_escape_codes() -> None:
    name = "[red]a[/b]:bomb:\x1b[31m"
    infos = [replace(LAYERS[0], name=name), *LAYERS[1:]]
    record = make_record(model=name, input_source=name, sqnr_db={name: 1.0})
    file = io.StringIO()
    console = Console(file=file, width=100, force_terminal=False)
    print_summary(with_layers(record, infos, LAYER_COUNTERS), console)
    assert file.getvalue().count("[red]a[/b]:bomb:?[31m") == 4
    assert "\x1b" not in file.getvalue()
