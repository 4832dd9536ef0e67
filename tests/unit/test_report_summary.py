"""summary.json against figures worked out by hand from the run in report_cases.py."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from report_cases import LAYER_COUNTERS, LAYERS, make_record, with_layers, without_steps

from azsim.config import load_chip
from azsim.report.layers import UnitWork
from azsim.report.record import Verification
from azsim.report.summary import build_summary, save_summary

pytestmark = pytest.mark.small


def test_the_setting_is_told() -> None:
    summary = build_summary(make_record())
    expected = {
        "written_by": "azsim",
        "version": "0.1.0",
        "model": "small.onnx",
        "chip": "az1",
        "status": "assumed",
        "config_hash": load_chip("az1").config_hash(),
        "clock_mhz": 500,
        "input": "frames.npz",
        "calibration": "the run's own input",
        "bits": 5,
        "sparsity": 0.5,
        "plan": {"bits": 5, "sparsity": 0.5},
        "timing_only": False,
        "seeds": {"weights": 1},
        "frames": 3,
        "frames_per_pass": 1,
        "frame_ms": 0.004,
        "frame_ms_source": "--frame-ms",
    }
    assert {key: summary[key] for key in expected} == expected


def test_times_by_hand() -> None:
    summary = build_summary(make_record())
    assert summary["cycles"] == 5000
    assert summary["cycles_per_frame"] == 1666.66667
    assert summary["real_time_factor"] == 0.833333333  # 10 us of work in 12 us of audio
    # steps of 2, 2 and 6 us, each started as it arrives: every 4 us
    assert summary["frame_latency_ms"] == {"p50": 0.002, "p99": 0.006, "max": 0.006}
    assert summary["deadline_misses"] == 1


def test_a_late_step_delays_the_next() -> None:
    record = make_record()
    counters = replace(record.counters, step_cycles=record.counters.step_cycles[::-1].copy())
    summary = build_summary(replace(record, counters=counters))
    # 6 us; the second arrives at 4 and is done at 8; the third arrives at 8
    assert summary["frame_latency_ms"] == {"p50": 0.004, "p99": 0.006, "max": 0.006}
    assert summary["deadline_misses"] == 1


def test_frames_computed_together_wait_for_the_last_of_them() -> None:
    record = make_record(frames=5, frames_per_pass=2)  # passes of frames 0 1, 2 3 and 4
    summary = build_summary(record)
    assert (summary["frames"], summary["frames_per_pass"]) == (5, 2)
    assert summary["cycles_per_frame"] == 1000
    assert summary["real_time_factor"] == 0.5  # 10 us of work in 20 us of audio
    # ready at 4, 12 and 16 us, done at 6, 14 and 22; their oldest frames arrived at 0, 8 and 16
    assert summary["frame_latency_ms"] == {"p50": 0.006, "p99": 0.006, "max": 0.006}
    assert summary["deadline_misses"] == 0  # 12 us: when the next pass is ready


def test_memory_by_hand() -> None:
    summary = build_summary(make_record())
    assert summary["dram_bytes_read"] == 32_000
    assert summary["dram_bytes_written"] == 300
    assert summary["dram_bandwidth_gb_per_s"] == 3.23  # 32300 B in 10 us
    assert summary["dram_peak_gb_per_s"] == 6.4
    assert summary["dram_bandwidth_share"] == 0.5046875
    assert summary["weight_store_bytes_read"] == 7
    assert (summary["weight_store_bytes"], summary["weight_store_fill_cycles"]) == (33, 3)


def test_the_configuration_is_told_as_the_chip_file_has_it() -> None:
    chip = load_chip("az1", ["mac_array.lanes=16"])
    configuration = json.loads(json.dumps(build_summary(make_record(chip=chip))["configuration"]))
    assert configuration["mac_array"]["lanes"] == 16
    assert configuration["mac_array"]["products_per_mac"] == {"8": 1}
    assert configuration["decoder"]["profile"] == "bitmap"
    assert not {"name", "description", "status"} & set(configuration)


def test_on_chip_memories_by_hand() -> None:
    summary = build_summary(make_record())
    assert (summary["abuf_bytes_read"], summary["abuf_bytes_written"]) == (660, 180)
    assert (summary["wbuf_bytes_read"], summary["wbuf_bytes_written"]) == (540, 1728)
    assert summary["accumulator_bytes_read"] == summary["accumulator_bytes_written"] == 192


def test_weights_by_hand() -> None:
    summary = build_summary(make_record())
    assert (summary["weights"], summary["nonzeros"], summary["zeros_share"]) == (160, 80, 0.5)
    assert (summary["stream_bytes"], summary["stream_bytes_fetched"]) == (96, 288)
    assert summary["bits_per_weight"] == 4.8
    assert summary["entropy_bits_per_weight"] == 3.5


def test_units_by_hand() -> None:
    summary = build_summary(make_record())
    assert (summary["mac_products_done"], summary["mac_products_skipped"]) == (240, 240)
    assert summary["mac_utilization"] == 0.00075  # 240 of 5000 x 64
    assert (summary["decoder_units"], summary["decoder_cycles"]) == (2, 2200)
    assert summary["decoder_utilization"] == 0.22
    works = ("memory_cycles", "decode_cycles", "mac_cycles", "vector_cycles")
    assert [summary[key] for key in works] == [2050, 4400, 1500, 600]
    assert (summary["lower_bound_cycles"], summary["bound_by"]) == (2200, "decoder")


def test_utilization_counts_what_the_array_can_do_at_each_width() -> None:
    chip = load_chip("az1", ["mac_array.products_per_mac.5=2"])
    # the 5-bit layer spans 4000 cycles; the others are taken at the run's width, 5 bits as well
    summary = build_summary(make_record(chip=chip))
    assert summary["mac_utilization"] == 0.000375
    # ... or at 8 bits: 240 / (4000 x 128 + 1000 x 64)
    summary = build_summary(make_record(chip=chip, bits=8))
    assert summary["mac_utilization"] == 0.000416666667


def test_layers_by_hand() -> None:
    layers = build_summary(make_record())["layers"]
    assert layers[0] == {
        "name": "enc/x",
        "operator": "Linear",
        "rows": 16,
        "columns": 10,
        "bits": 5,
        "weights": 160,
        "nonzeros": 80,
        "stream_bytes": 96,
        "products": 240,  # 80 nonzeros in each of 3 steps
        "products_per_cycle": 64,
        "dram_bytes": 32_000,
        "span_cycles": 4000,
        "memory_cycles": 2000,
        "decode_cycles": 4400,
        "mac_cycles": 1500,
        "vector_cycles": 100,
        "lower_bound_cycles": 2200,
        "cycles_over_bound": pytest.approx(4000 / 2200),
        "bound_by": "decoder",
    }
    assert [layer["bound_by"] for layer in layers] == ["decoder", "vector", "memory"]
    assert sum(layer["span_cycles"] for layer in layers) == 5000


def test_stalls_are_kept_and_sum_to_the_cycles() -> None:
    stalls = build_summary(make_record())["stalls"]
    assert list(stalls) == ["dma_w0", "dma_w1", "dma_a", "decode0", "decode1", "mac", "vector"]
    assert stalls["mac"] == {
        "busy": 600, "starved": 40, "blocked": 30, "waiting": 20, "idle": 4310,
    }  # fmt: skip
    assert {sum(classes.values()) for classes in stalls.values()} == {5000}


@pytest.mark.parametrize(
    ("work", "bound_by", "cycles"),
    [
        ((10, 19, 9, 8), "memory", 10),
        ((10, 21, 9, 8), "decoder", 11),
        ((10, 7, 11, 8), "mac", 11),
        ((1, 2, 3, 4), "vector", 4),
        ((3, 7, 4, 0), "mac", 4),  # the decoders need 3.5 cycles: 4 in whole ones, yet less
        ((5, 10, 5, 5), "memory", 5),
        ((0, 0, 0, 0), "none", 0),
    ],
)
def test_the_unit_with_most_work_is_the_bound(
    work: tuple[int, int, int, int], bound_by: str, cycles: int
) -> None:
    units = UnitWork(*work, units=2)
    assert (units.bound_by, units.lower_bound_cycles) == (bound_by, cycles)


def test_verification_and_signal_to_noise() -> None:
    check = Verification(3, 2, "step 1, output 'y'")
    outputs = {"z": None, "nan": float("nan"), "inf": float("inf"), "a": 31.23456789}
    summary = build_summary(make_record(verification=check, sqnr_db=outputs))
    assert summary["verified"] == {
        "steps": 3, "exact": 2, "first_difference": "step 1, output 'y'",
    }  # fmt: skip
    assert summary["sqnr_db"] == {"a": 31.2346, "inf": None, "nan": None, "z": None}
    assert build_summary(make_record())["verified"] is None


def test_a_run_without_steps_and_weights_has_no_quotients() -> None:
    record = without_steps(make_record())
    record = with_layers(record, LAYERS[1:], record.counters.layers[1:])
    summary = build_summary(record)
    for key in (
        "cycles_per_frame", "real_time_factor", "dram_bandwidth_gb_per_s", "dram_bandwidth_share",
        "zeros_share", "bits_per_weight", "entropy_bits_per_weight", "mac_utilization",
        "decoder_utilization",
    ):  # fmt: skip
        assert summary[key] is None, key
    assert summary["frame_latency_ms"] == {"p50": None, "p99": None, "max": None}
    assert summary["bound_by"] == "none"


def test_layers_that_do_not_match_the_program_are_no_report() -> None:
    record = with_layers(make_record(), LAYERS, LAYER_COUNTERS[:2])
    with pytest.raises(ValueError, match="shorter"):
        build_summary(record)


def test_equal_runs_give_equal_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    save_summary(build_summary(make_record(seeds={"b": 2, "a": 1}, wall_seconds=0.1)), one)
    save_summary(build_summary(make_record(seeds={"a": 1, "b": 2}, wall_seconds=9.9)), other)
    assert one.read_bytes() == other.read_bytes()
    assert json.loads(one.read_text(encoding="utf-8"))["cycles"] == 5000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.json", "other.json"]


def test_any_name_can_be_written(tmp_path: Path) -> None:
    name = 'a "b"\n[red]\ud800\u00e4'
    record = make_record()
    record = with_layers(record, [replace(LAYERS[0], name=name), *LAYERS[1:]], LAYER_COUNTERS)
    save_summary(build_summary(record), tmp_path / "summary.json")
    loaded = json.loads((tmp_path / "summary.json").read_bytes())
    assert loaded["layers"][0]["name"] == name
