"""From a model file to reports: integers against the reference, numbers against the float model,
cycles that do not depend on how they are asked for, bytes that do not depend on chance."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import azsim as command
from command import tree
from onnx_models import INT64, ModelMaker
from speech_models import (
    FRAMES,
    LOG_MEL_FEATURES,
    SCORES,
    save_speech_model,
    save_wav,
    speech_frames,
    speech_maker,
)

import azsim
from azsim import api
from azsim.compiler import CompressionPlan, RangeRecorder, compress_weights
from azsim.config import chip_names, load_chip
from azsim.errors import AzsimError, ConfigError, ModelError
from azsim.frontend import load_inputs, read_onnx
from azsim.graph.integer import IntegerGraph
from azsim.reference.floats import run_floats
from azsim.reference.integers import run_integers

# Least SQNR in dB of the scores against the float model, by weight bits: some 3 dB below what
# these random weights give, 6 dB a bit where weights set the error.
LEAST_SQNR_DB = {8: 35.0, 6: 24.0, 5: 17.0, 4: 11.0, 3: 8.0, 2: -1.0}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model and its frames; a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("AZSIM_CACHE_DIR", str(tmp_path / "cache"))
    save_speech_model(tmp_path)
    return tmp_path


def calibrated(
    bits: int, sparsity: float
) -> tuple[IntegerGraph, dict[str, np.ndarray], np.ndarray]:
    """Integer graph, integer outputs and float scores of the model, without chip or engine."""
    graph = read_onnx("model.onnx")
    feeds = load_inputs("frames.npz", graph, None).frames
    recorder, floats = RangeRecorder(graph), []
    for values in run_floats(graph, feeds):
        recorder.add(values)
        floats.append(values["y"])
    integers = compress_weights(graph, recorder.ranges(), CompressionPlan(bits, sparsity))
    tensor = integers.tensors["x"]
    steps = [
        {"x": np.clip(np.rint(x / tensor.scale), -128, 127).astype(np.int8)} for x in feeds["x"]
    ]
    outputs = [values["y"] for values in run_integers(integers, steps)]
    return integers, {"y": np.stack(outputs)}, np.stack(floats)


def saved_outputs(out: str) -> dict[str, np.ndarray]:
    with np.load(Path(out) / "outputs.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def summary_of(out: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(out) / "summary.json").read_text(encoding="utf-8"))
    return found


CHIPS: list[tuple[str, ...]] = [
    ("az1",),
    ("tiny",),
    ("dense",),
    ("az2",),
    ("az1", "mac_array.lanes=16"),
    ("az1", "decoder.profile=ans"),
    ("az1", "decoder.units=1", "weight_store.capacity_kb=0"),
    ("tiny", "mac_array.skip=both"),
    ("tiny", "mac_array.skip=none", "abuf.banks=2"),
]
PLANS = [(8, 0.0), (6, 0.3), (5, 0.5), (4, 0.5), (3, 0.6), (2, 0.8)]
# every chip, every plan, every number of frames per pass, each pair of neighbours at least once
CASES = [
    (chip, PLANS[number % len(PLANS)], (1, 3, 4)[number % 3]) for number, chip in enumerate(CHIPS)
] + [(CHIPS[number % 4], plan, (4, 1, 3)[number % 3]) for number, plan in enumerate(PLANS)]


@pytest.mark.parametrize(("chip", "plan", "together"), CASES, ids=str)
def test_integers_are_those_of_the_reference(
    chip: tuple[str, ...], plan: tuple[int, float], together: int
) -> None:
    bits, sparsity = plan
    words = [word for setting in chip[1:] for word in ("--set", setting)]
    done = command(
        *("run", "model.onnx", "-i", "frames.npz", "-o", "out", "--chip", chip[0], *words),
        *("--bits", bits, "--sparsity", sparsity, "--frames-per-pass", together, "--verify"),
    )
    assert (done.code, done.err) == (0, "")
    passes = -(-FRAMES // together)
    assert f"bit-exact {passes}/{passes} " in done.out
    integers, outputs, floats = calibrated(bits, sparsity)
    found, scores = saved_outputs("out"), integers.tensors["y"]
    assert set(found) == {"y", "y_int", "y_scale", "y_zero_point"}
    np.testing.assert_array_equal(found["y_int"], outputs["y"])
    assert found["y_int"].shape == (FRAMES, 1, SCORES)
    assert (float(found["y_scale"]), int(found["y_zero_point"])) == (
        scores.scale,
        scores.zero_point,
    )
    real = ((outputs["y"].astype(np.float64) - scores.zero_point) * scores.scale).astype(np.float32)
    np.testing.assert_array_equal(found["y"], real)
    summary = summary_of("out")
    assert summary["verified"] == {"steps": passes, "exact": passes, "first_difference": ""}
    ratio = np.sum(floats.astype(np.float64) ** 2) / np.sum((floats - real.astype(np.float64)) ** 2)
    assert summary["sqnr_db"]["y"] == pytest.approx(10 * np.log10(ratio), abs=1e-3)


@pytest.mark.parametrize("bits", LEAST_SQNR_DB)
def test_scores_are_near_those_of_the_float_model(bits: int) -> None:
    record = azsim.run("model.onnx", input="frames.npz", bits=bits)
    measured = record.sqnr_db["y"]
    assert measured is not None
    assert measured >= LEAST_SQNR_DB[bits]


KEYS = {
    "cycles", "frames", "cycles_per_frame", "real_time_factor", "frame_latency_ms",
    "dram_bytes_read", "stream_bytes", "weights", "decoder_cycles", "mac_products_done",
    "mac_products_skipped", "stalls", "bound_by", "seeds", "config_hash", "version",
}  # fmt: skip


@pytest.mark.parametrize("chip", ["az1", "tiny", "dense", "az2"])
def test_the_summary_has_every_figure_and_they_agree(chip: str) -> None:
    words = ("run", "model.onnx", "-i", "frames.npz", "-o", "out", "--chip", chip)
    assert command(*words, "--bits", 5, "--sparsity", 0.5).code == 0
    summary = summary_of("out")
    assert set(summary) >= KEYS
    assert set(summary["frame_latency_ms"]) >= {"p50", "p99"}
    assert summary["frames"] == FRAMES
    assert summary["cycles"] > 0
    assert summary["cycles_per_frame"] == pytest.approx(summary["cycles"] / FRAMES)
    clock_mhz = load_chip(chip).core.clock_mhz
    busy_ms = summary["cycles"] / (1000 * clock_mhz)
    assert summary["real_time_factor"] == pytest.approx(busy_ms / (FRAMES * 30.0))
    for engine, classes in summary["stalls"].items():
        assert sum(classes.values()) == summary["cycles"], engine
    decoders = [classes for name, classes in summary["stalls"].items() if "decode" in name]
    assert sum(classes["busy"] for classes in decoders) == summary["decoder_cycles"]
    assert sum(layer["span_cycles"] for layer in summary["layers"]) == summary["cycles"]
    assert sum(layer["stream_bytes"] for layer in summary["layers"]) == summary["stream_bytes"]
    assert summary["weights"] == 4 * 17 * (13 + 17) + 4 * 11 * (17 + 11) + 7 * 11
    # every weight meets every activation once a frame: done or skipped
    products = summary["mac_products_done"] + summary["mac_products_skipped"]
    assert products >= summary["weights"] * FRAMES
    assert summary["config_hash"] == load_chip(chip).config_hash()
    assert summary["version"] == api.azsim_version()


def test_frames_per_pass_change_cycles_and_no_integer() -> None:
    runs = [
        azsim.run("model.onnx", input="frames.npz", bits=5, frames_per_pass=together)
        for together in (1, 3, 4, 20, 23)
    ]
    for other in runs[1:]:
        np.testing.assert_array_equal(runs[0].integers["y"], other.integers["y"])
    cycles = [run.counters.cycles for run in runs]
    assert cycles[0] > cycles[1] > cycles[2]
    assert [run.counters.frames for run in runs] == [20, 7, 5, 1, 1]


@pytest.mark.parametrize("chip", ["az1", "tiny", "dense", "az2"])
def test_timing_alone_gives_the_same_cycles_and_no_outputs(chip: str) -> None:
    words = ("run", "model.onnx", "-i", "frames.npz", "--chip", chip, "--bits", 4)
    assert command(*words, "-o", "full").code == 0
    assert command(*words, "-o", "timing", "--timing-only").code == 0
    full, timing = summary_of("full"), summary_of("timing")
    differ = {"timing_only", "sqnr_db"}
    assert {k: v for k, v in full.items() if k not in differ} == {
        k: v for k, v in timing.items() if k not in differ
    }
    assert set(tree(Path("full"))) - set(tree(Path("timing"))) == {"outputs.npz"}


def test_both_layouts_of_frames_are_the_same_run(folder: Path) -> None:
    speech_maker(time_steps=3).save(folder, "three.onnx")
    frames = speech_frames(15).reshape(5, 3, 1, 13)
    np.savez("by_frame.npz", x=frames)
    np.savez("in_a_row.npz", x=frames.reshape(15, 1, 13))
    np.savez("any_name.npz", features=frames.astype(np.float64))
    runs = [
        azsim.run("three.onnx", input=name, verify=True)
        for name in ("by_frame.npz", "in_a_row.npz", "any_name.npz")
    ]
    for run in runs:
        assert run.verification is not None
        assert run.verification.exact == 5
        assert run.integers["y"].shape == (5, 3, SCORES)
        np.testing.assert_array_equal(run.integers["y"], runs[0].integers["y"])


def test_states_are_carried_from_frame_to_frame() -> None:
    """Three steps in one frame and three frames of one step are the same sequence."""
    speech_maker(time_steps=3).save(Path(), "three.onnx")
    frames = speech_frames(15)
    np.savez("one.npz", x=frames)
    np.savez("three.npz", x=frames.reshape(5, 3, 1, 13))
    single = azsim.run("model.onnx", input="one.npz")
    triple = azsim.run("three.onnx", input="three.npz")
    np.testing.assert_array_equal(
        single.integers["y"].reshape(-1, SCORES), triple.integers["y"].reshape(-1, SCORES)
    )
    first = azsim.run("model.onnx", input="one.npz", frames=1, calibrate="one.npz")
    np.testing.assert_array_equal(first.integers["y"][0], single.integers["y"][0])
    np.savez("last.npz", x=frames[-1:])
    alone = azsim.run("model.onnx", input="last.npz", calibrate="one.npz")
    assert not np.array_equal(alone.integers["y"][0], single.integers["y"][-1])


def test_a_recording() -> None:
    speech_maker(features=LOG_MEL_FEATURES).save(Path(), "speech.onnx")
    save_wav(Path("speech.wav"), seconds=0.5)
    words = ("run", "speech.onnx", "-i", "speech.wav", "--verify", "-o")
    done = command(*words, "all")
    assert done.code == 0
    assert "bit-exact 16/16 " in done.out
    assert "input: speech.wav, 16 steps" in done.out
    assert command(*words, "some", "--frames", 3).code == 0
    assert saved_outputs("all")["y_int"].shape == (16, 1, SCORES)
    assert saved_outputs("some")["y_int"].shape == (3, 1, SCORES)


def test_equal_runs_give_equal_bytes() -> None:
    """Compiled anew, found in the cache, without the cache, and from Python: the same files."""
    words = ("run", "model.onnx", "-i", "frames.npz", "--bits", 5, "--sparsity", 0.5, "--verify")
    assert command(*words, "-o", "first").code == 0
    assert list(Path("cache/results").glob("*.azp"))
    assert command(*words, "-o", "second").code == 0
    assert command(*words, "-o", "third", "--no-cache").code == 0
    azsim.run("model.onnx", input="frames.npz", bits=5, sparsity=0.5, verify=True, out="python")
    first = tree(Path("first"))
    assert first
    for name in ("second", "third", "python"):
        assert tree(Path(name)) == first, name


def test_a_run_replaces_an_earlier_one_and_nothing_else() -> None:
    words = ("run", "model.onnx", "-i", "frames.npz", "-o", "out")
    assert command(*words, "--bits", 8).code == 0
    assert command(*words, "--bits", 4, "--timing-only").code == 0
    assert summary_of("out")["bits"] == 4
    assert "outputs.npz" not in tree(Path("out"))
    Path("out/notes.txt").write_text("mine")
    done = command(*words)
    assert done.code == 2
    assert re.fullmatch(r"azsim: out: must [^\n]+\n", done.err)
    assert Path("out/notes.txt").read_text() == "mine"


def test_python_and_command_take_the_same_options() -> None:
    record = azsim.run(
        "model.onnx",
        input="frames.npz",
        chip="tiny",
        overrides=["mac_array.lanes=2"],
        frames=7,
        layer_bits={"dense": 3},
        layer_sparsity={"lstm0": 0.9},
        calibrate="frames.npz",
        frame_ms=12.5,
        out="python",
    )
    done = command(
        *("run", "model.onnx", "-i", "frames.npz", "--chip", "tiny", "--frames", 7),
        *("--set", "mac_array.lanes=2", "--layer-bits", "dense=3", "--frame-ms", 12.5),
        *("--layer-sparsity", "lstm0=0.9", "--calibrate", "frames.npz", "-o", "command"),
    )
    assert done.code == 0
    assert tree(Path("command")) == tree(Path("python"))
    assert record.chip == load_chip("tiny", ["mac_array.lanes=2"])
    bits = {layer.name: layer.bits for layer in record.program.layers if layer.weights}
    assert {name: width for name, width in bits.items() if width != 8} == {"dense": 3}
    zeros = [
        1 - layer.nonzeros / layer.weights
        for layer in record.program.layers
        if layer.name.startswith("lstm0/") and layer.weights
    ]
    assert min(zeros) >= 0.89
    assert "frame time: 12.5 ms, from --frame-ms" in done.out
    assert "calibrated on frames.npz, 20 frames" in done.out


def test_a_chip_may_be_given_as_a_value_or_a_file(repository: Path) -> None:
    path = repository / "hw_configs" / "tiny.yaml"
    runs = [
        azsim.run("model.onnx", input="frames.npz", chip=chip, timing_only=True)
        for chip in ("tiny", path, load_chip("tiny"))
    ]
    assert len({run.counters.cycles for run in runs}) == 1
    assert "tiny" in chip_names()


def test_the_models_own_plan_and_the_users_word() -> None:
    plan = {"bits": 4, "sparsity": 0.5, "layer_bits": {"dense": 8}}
    metadata = {"azsim.compression": json.dumps(plan), "azsim.seed": "17"}
    speech_maker(metadata=metadata).save(Path(), "planned.onnx")
    own = azsim.run("planned.onnx", input="frames.npz", timing_only=True)
    assert (own.bits, own.sparsity, own.seeds) == (4, 0.5, {"weights": 17})
    widths = {layer.name: layer.bits for layer in own.program.layers if layer.weights}
    assert set(widths.values()) == {4, 8}
    assert widths["dense"] == 8
    user = azsim.run("planned.onnx", input="frames.npz", bits=6, timing_only=True)
    assert (user.bits, user.sparsity) == (6, 0.5)
    assert {layer.bits for layer in user.program.layers if layer.weights} == {6}


def test_frame_time_comes_from_the_user_the_model_or_the_default() -> None:
    maker = speech_maker()
    del maker.metadata["azsim.frame_ms"]
    maker.save(Path(), "timeless.onnx")
    model = azsim.run("model.onnx", input="frames.npz", timing_only=True)
    default = azsim.run("timeless.onnx", input="frames.npz", timing_only=True)
    user = azsim.run("model.onnx", input="frames.npz", timing_only=True, frame_ms=60)
    assert (model.frame_ms, model.frame_ms_source) == (30.0, "the model's azsim.frame_ms")
    assert (default.frame_ms, default.frame_ms_source) == (30.0, "the default")
    assert (user.frame_ms, user.frame_ms_source) == (60, "--frame-ms")


def test_input_that_is_silent_all_the_time() -> None:
    np.savez("silence.npz", x=np.zeros((4, 1, 1, 13), np.float32))
    record = azsim.run("model.onnx", input="silence.npz", verify=True)
    assert record.verification is not None
    assert record.verification.exact == 4
    np.savez("faint.npz", x=np.full((4, 1, 1, 13), 1e-45, np.float32))  # below normal floats
    faint = azsim.run("model.onnx", input="faint.npz", verify=True)
    assert faint.verification is not None
    assert faint.verification.exact == 4


# -- a check that does not hold -------------------------------------------------------------------


@pytest.fixture
def wrong_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """An integer reference that is off by one in one score from step 2 on."""

    def off(*args: Any) -> Any:
        for number, values in enumerate(run_integers(*args)):
            scores = values["y"].copy()
            scores[0, 3] += number >= 2
            yield {**values, "y": scores}

    monkeypatch.setattr(api, "run_integers", off)


@pytest.mark.usefixtures("wrong_reference")
def test_a_difference_is_told_with_exit_code_1() -> None:
    done = command("run", "model.onnx", "-i", "frames.npz", "--verify", "-o", "out")
    assert (done.code, done.err) == (1, "")
    assert f"NOT bit-exact 2/{FRAMES} " in done.out
    assert "first difference from the integer reference: step 2, output 'y'" in done.out
    assert summary_of("out")["verified"] == {
        "steps": FRAMES,
        "exact": 2,
        "first_difference": "step 2, output 'y'",
    }


# -- Python's errors ------------------------------------------------------------------------------

WRONG: list[tuple[Mapping[str, Any], type[AzsimError], str]] = [
    (
        {"verify": True, "timing_only": True},
        ConfigError,
        r"--verify: needs outputs, which --timing-only does not compute",
    ),
    ({"frames": 0}, ConfigError, r"--frames: must be 1 or more, not 0"),
    ({"input": "none.npz"}, ModelError, r"none\.npz: cannot be read: No such file or directory"),
    ({"bits": 1}, ConfigError, r"bits: weight bits must be one of 8, 6, 5, 4, 3, 2, not 1"),
    (
        {"overrides": ["abuf.capacity_kb=1"]},
        AzsimError,
        r"ABUF: '[^']+' \(\d+ bytes\) needs \d+ bytes, the chip has 1024",
    ),
    ({"out": "model.onnx"}, ConfigError, r"model\.onnx: must be a folder, not a file"),
]


@pytest.mark.parametrize(("options", "kind", "text"), WRONG)
def test_python_raises_what_the_command_prints(
    options: Mapping[str, Any], kind: type[AzsimError], text: str
) -> None:
    before = tree(Path())
    with pytest.raises(kind, match=f"^{text}$"):
        azsim.run("model.onnx", **{"input": "frames.npz", **options})
    assert tree(Path()) == before


def test_progress_is_told_stage_by_stage() -> None:
    seen: list[tuple[str, int, int]] = []
    azsim.run(
        "model.onnx",
        input="frames.npz",
        frames=3,
        verify=True,
        progress=lambda stage, done, total: seen.append((stage, done, total)),
    )
    # a first run on a machine also compiles kernels
    stages = list(dict.fromkeys(stage for stage, _, _ in seen if stage != "compiling kernels"))
    assert stages == ["reading", "calibrating", "compiling", "simulating", "verifying"]
    for stage in ("calibrating", "simulating", "verifying"):
        assert (stage, 3, 3) in seen


def test_an_index_outside_its_table_is_named() -> None:
    rng = np.random.default_rng(1)
    maker = ModelMaker()
    maker.input("token", [1], INT64)
    maker.node("Gather", ["table", "token"], ["e"], name="embedding")
    maker.tensor("table", rng.normal(size=(5, 8)))
    maker.node("Gemm", ["e", maker.tensor("W", rng.normal(size=(8, 3)))], ["y"], name="dense")
    maker.output("y", [1, 3])
    maker.save(Path(), "embedding.onnx")
    np.savez("good.npz", token=np.array([[0], [4], [2]]))
    np.savez("bad.npz", token=np.array([[0], [5], [2]]))
    record = azsim.run("embedding.onnx", input="good.npz", verify=True)
    assert record.verification is not None
    assert record.verification.exact == 3
    text = r"^node 'embedding' \(Embed\): index must be from 0 to 4, not 5\.\.5$"
    with pytest.raises(ModelError, match=text):
        azsim.run("embedding.onnx", input="bad.npz", calibrate="good.npz")


def test_latency_counts_from_the_arrival_of_the_oldest_frame() -> None:
    record = azsim.run("model.onnx", input="frames.npz", frames_per_pass=4, timing_only=True)
    slow = replace(record, frame_ms=30.0)
    step_ms = slow.counters.step_cycles[0] * slow.cycle_ms
    np.testing.assert_allclose(slow.latencies_ms(), 3 * 30.0 + step_ms)
