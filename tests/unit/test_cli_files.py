"""Files that cannot be taken or written: one line that names the file, exit code 2, none left."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command import azsim, tree
from onnx_models import ModelMaker
from speech_models import (
    LOG_MEL_FEATURES,
    save_speech_model,
    save_wav,
    speech_maker,
)

FRAMES = ("-i", "frames.npz", "-o", "out")
IS_ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model and its frames."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setenv("AZSIM_CACHE_DIR", str(tmp_path / "cache"))
    save_speech_model(tmp_path)
    return tmp_path


def refused(words: tuple[object, ...], line: str) -> None:
    """The command line ends with exactly this line, exit code 2, and nothing is left."""
    before = tree(Path())
    done = azsim(*words)
    assert (done.code, done.err, done.out) == (2, f"azsim: {line}\n", "")
    assert tree(Path()) == before


# -- models -------------------------------------------------------------------------------------


def tensor(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(t for t in model.graph.initializer if t.name == name)


def with_nan(model: onnx.ModelProto) -> None:
    data = np.frombuffer(tensor(model, "W").raw_data, np.float32).copy()
    data[3] = np.nan
    tensor(model, "W").raw_data = data.tobytes()


def external(location: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        weights = tensor(model, "W")
        weights.ClearField("raw_data")
        weights.data_location = onnx.TensorProto.EXTERNAL
        weights.external_data.add(key="location", value=location)

    return change


def dimension(value: onnx.ValueInfoProto, axis: int) -> Any:
    return value.type.tensor_type.shape.dim[axis]


def wrong_output(model: onnx.ModelProto) -> None:
    dimension(model.graph.output[-1], 1).dim_value = 8


def negative(model: onnx.ModelProto) -> None:
    dimension(model.graph.input[0], 2).dim_value = -13


def unknown(model: onnx.ModelProto) -> None:
    dimension(model.graph.input[0], 0).dim_param = "time"


def foreign(model: onnx.ModelProto) -> None:
    model.graph.node[-1].domain = "com.example"


def short_weights(model: onnx.ModelProto) -> None:
    tensor(model, "W").raw_data = tensor(model, "W").raw_data[:-4]


def wrong_weights(model: onnx.ModelProto) -> None:
    tensor(model, "lstm0.R").dims[:] = [1, 17, 68]


def prop(key: str, value: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        kept = [p for p in model.metadata_props if p.key != key]
        del model.metadata_props[:]
        model.metadata_props.extend([*kept, onnx.StringStringEntryProto(key=key, value=value)])

    return change


OUTSIDE = "must be a path below the model's folder"
WRONG_MODELS: list[tuple[str, Callable[[onnx.ModelProto], None], str]] = [
    (
        "nan",
        with_nan,
        "bad.onnx: constant 'dense.weight' must be finite in float32, not NaN or infinite",
    ),
    (
        "above",
        external("../secret.bin"),
        f"bad.onnx: tensor 'W': external file '../secret.bin' {OUTSIDE}",
    ),
    (
        "absolute",
        external("/etc/hostname"),
        f"bad.onnx: tensor 'W': external file '/etc/hostname' {OUTSIDE}",
    ),
    (
        "gone",
        external("gone.bin"),
        "bad.onnx: tensor 'W': external file 'gone.bin' must be readable: FileNotFoundError",
    ),
    (
        "output shape",
        wrong_output,
        "bad.onnx: value 'y' is stated as (1, 8) but the nodes give (1, 7)",
    ),
    (
        "negative size",
        negative,
        "bad.onnx: input 'x' must have dimensions of 1 or more, not (1, 1, -13)",
    ),
    (
        "open size",
        unknown,
        "bad.onnx: dimension 'time' of input 'x' must be a number: give it one with --dim time=N",
    ),
    (
        "period 0",
        prop("azsim.frame_ms", "0"),
        "bad.onnx: property 'azsim.frame_ms' must be a positive number, not '0'",
    ),
    (
        "state",
        prop("azsim.state", '{"h": "lstm0.h_next"}'),
        "bad.onnx: state 'h' must be a graph input",
    ),
    (
        "plan",
        prop("azsim.compression", "{"),
        "model's property 'azsim.compression': must be a JSON object of bits, sparsity,"
        " layer_bits and layer_sparsity",
    ),
    (
        "plan bits",
        prop("azsim.compression", '{"bits": 7}'),
        "model's property 'azsim.compression': bits: weight bits must be one of"
        " 8, 6, 5, 4, 3, 2, not 7",
    ),
    (
        "plan layer",
        prop("azsim.compression", '{"layer_bits": {"nope": 4}}'),
        "layer 'nope' must be one of the layers with weights: dense, lstm0, lstm1",
    ),
    (
        "domain",
        foreign,
        "bad.onnx: node 'dense' (Gemm): domain must be ONNX's own, not 'com.example'",
    ),
]


@pytest.mark.parametrize(
    ("change", "line"), [case[1:] for case in WRONG_MODELS], ids=[case[0] for case in WRONG_MODELS]
)
def test_wrong_models(change: Callable[[onnx.ModelProto], None], line: str) -> None:
    model = speech_maker().model()
    change(model)
    Path("bad.onnx").write_bytes(model.SerializeToString())
    refused(("run", "bad.onnx", *FRAMES), line)
    refused(("compile", "bad.onnx", "-i", "frames.npz", "-o", "model.azp"), line)


@pytest.mark.parametrize("change", [short_weights, wrong_weights])
def test_weights_of_another_size_name_the_tensor_or_the_node(
    change: Callable[[onnx.ModelProto], None],
) -> None:
    model = speech_maker().model()
    change(model)
    Path("bad.onnx").write_bytes(model.SerializeToString())
    before = tree(Path())
    done = azsim("run", "bad.onnx", *FRAMES)
    assert done.code == 2
    assert done.err.startswith("azsim: bad.onnx: ")
    assert "'W'" in done.err or "'lstm0'" in done.err
    assert done.err.count("\n") == 1
    assert tree(Path()) == before


def test_a_model_cut_short_anywhere() -> None:
    whole = Path("model.onnx").read_bytes()
    for size in [0, 1, 7, *range(100, len(whole), len(whole) // 12)]:
        Path("cut.onnx").write_bytes(whole[:size])
        before = tree(Path())
        done = azsim("run", "cut.onnx", *FRAMES)
        assert done.code == 2
        assert done.err.startswith("azsim: cut.onnx: must be an ONNX file")
        assert done.err.count("\n") == 1
        assert tree(Path()) == before


def test_a_scale_of_zero() -> None:
    maker = ModelMaker()
    maker.input("x", [1, 8])
    maker.tensor("scale", 0.0)
    maker.tensor("zero", 0, np.int8)
    maker.node("QuantizeLinear", ["x", "scale", "zero"], ["q"], name="quantize")
    maker.node("DequantizeLinear", ["q", "scale", "zero"], ["y"], name="numbers")
    maker.output("y", [1, 8])
    maker.save(Path(), "q.onnx")
    np.savez("q.npz", x=np.zeros((2, 1, 8), np.float32))
    refused(
        ("run", "q.onnx", "-i", "q.npz"),
        "q.onnx: node 'quantize' (QuantizeLinear): scales must be float32, positive and finite,"
        " not 0",
    )


def test_values_that_overflow_name_the_node() -> None:
    np.savez("loud.npz", x=np.full((2, 1, 1, 13), 3e38, np.float32))
    line = "node 'lstm0' (LSTM): output 'lstm0.Y' must be finite, not NaN or infinite"
    refused(("run", "model.onnx", "-i", "loud.npz", "-o", "out"), line)
    refused(("run", "model.onnx", *FRAMES, "--calibrate", "loud.npz"), line)


@pytest.fixture
def large() -> None:
    """A model of 1.3 MB of weights, with frames."""
    rng = np.random.default_rng(0)
    maker = ModelMaker()
    maker.input("x", [1, 1200])
    weight = maker.tensor("W", rng.normal(size=(1100, 1200)))
    bias = maker.tensor("b", np.zeros(1100))
    maker.node("Gemm", ["x", weight, bias], ["y"], name="wide", transB=1)
    maker.output("y", [1, 1100])
    maker.save(Path(), "large.onnx")
    np.savez("large.npz", x=rng.normal(size=(1, 1, 1200)).astype(np.float32))


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            ("memory.capacity_mb=1", "weight_store.capacity_kb=0"),
            r"memory\.capacity_mb: 'weights' needs \d{7} bytes of DRAM, the chip has 1048576",
        ),
        (
            ("abuf.capacity_kb=1",),
            r"ABUF: 'parameters' \(9216 bytes\) needs 9216 bytes, the chip has 1024",
        ),
        (
            ("sequencer.program_commands=16",),
            r"program 'test': commands: needs \d+, the chip has 16",
        ),
    ],
    ids=["DRAM", "ABUF", "program memory"],
)
def test_a_model_too_large_for_a_memory(settings: tuple[str, ...], line: str) -> None:
    words = [word for setting in settings for word in ("--set", setting)]
    before = tree(Path())
    done = azsim("run", "large.onnx", "-i", "large.npz", "-o", "out", *words)
    assert done.code == 2
    assert re.fullmatch(rf"azsim: {line}\n", done.err)
    assert tree(Path()) == before


# -- frames -------------------------------------------------------------------------------------


def test_missing_files_and_folders_in_their_place() -> None:
    no_file = "cannot be read: No such file or directory"
    refused(("run", "no.onnx", *FRAMES), f"no.onnx: {no_file}")
    refused(("run", "model.onnx", "-i", "no.npz", "-o", "out"), f"no.npz: {no_file}")
    refused(("disasm", "no.azp"), f"no.azp: {no_file}")
    refused(("compress", "no.npy", "-o", "x.azw"), f"no.npy: {no_file}")
    refused(("decompress", "no.azw", "-o", "x.npy"), f"no.azw: {no_file}")
    refused(("inspect", "no.azw"), f"no.azw: {no_file}")
    for name in ("d.onnx", "d.npz", "d.wav", "d.azp", "d.npy", "d.azw", "d.yaml"):
        os.mkdir(name)
    refused(("run", "d.onnx", *FRAMES), "d.onnx: must be a plain file")
    for name in ("d.npz", "d.wav"):
        refused(("run", "model.onnx", "-i", name), f"{name}: must be a plain file")
    refused(("run", "model.onnx", *FRAMES, "--chip", "d.yaml"), "d.yaml: must be a regular file")
    refused(("disasm", "d.azp"), "d.azp: must be a plain file")
    is_folder = "cannot be read: Is a directory"
    refused(("compress", "d.npy", "-o", "x.azw"), f"d.npy: {is_folder}")
    refused(("decompress", "d.azw", "-o", "x.npy"), f"d.azw: {is_folder}")
    refused(("inspect", "d.azw"), f"d.azw: {is_folder}")


@pytest.mark.skipif(IS_ROOT, reason="root may read every file")
def test_files_without_the_right_to_read() -> None:
    names = sorted(os.listdir())
    for name in ("model.onnx", "frames.npz"):
        mode = os.stat(name).st_mode
        os.chmod(name, 0)
        done = azsim("run", "model.onnx", *FRAMES)
        same = azsim("compile", "model.onnx", "-i", "frames.npz", "-o", "model.azp")
        os.chmod(name, mode)
        assert same == done
        assert (done.code, done.out) == (2, "")
        assert done.err == f"azsim: {name}: cannot be read: Permission denied\n"
        assert sorted(os.listdir()) == names


def test_pipes_are_not_waited_for() -> None:
    for name in ("p.onnx", "p.npz", "p.wav", "p.yaml", "p.azp"):
        os.mkfifo(name)
    refused(("run", "p.onnx", *FRAMES), "p.onnx: must be a plain file")
    refused(("run", "model.onnx", "-i", "p.npz"), "p.npz: must be a plain file")
    refused(("run", "model.onnx", "-i", "p.wav"), "p.wav: must be a plain file")
    refused(("run", "model.onnx", *FRAMES, "--chip", "p.yaml"), "p.yaml: must be a regular file")
    refused(("disasm", "p.azp"), "p.azp: must be a plain file")


def frames(name: str, array: np.ndarray, key: str = "x") -> str:
    np.savez(name, **{key: array})
    return name


def test_frames_that_do_not_fit() -> None:
    cut = Path("cut.npz")
    cut.write_bytes(Path("frames.npz").read_bytes()[:500])
    short = np.zeros((4, 1, 1, 12), np.float32)
    none, nan = np.zeros((0, 1, 1, 13), np.float32), np.full((4, 1, 1, 13), np.nan, np.float32)
    integers, odd = np.zeros((4, 1, 1, 13), np.int8), np.zeros((13,), np.float32)
    text = np.array(["a"] * 13).reshape(1, 1, 1, 13)
    cases = [
        ("cut.npz", "must be a sound .npz file (BadZipFile)"),
        ("model.onnx", "must be a .npz or .wav file, not '.onnx'"),
        (frames("none.npz", none), "array 'x' must hold one or more steps, not none"),
        (frames("nan.npz", nan), "array 'x' must be finite, not NaN or infinite"),
        (
            frames("short.npz", short),
            "array 'x' must have shape (steps, 1, 1, 13), not (4, 1, 1, 12)",
        ),
        (frames("odd.npz", odd), "array 'x' must have shape (steps, 1, 1, 13), not (13)"),
        (
            frames("int.npz", integers),
            "array 'x' must be float32 (or float16, float64), not '|i1'",
        ),
        (frames("text.npz", text), "array 'x' must be float32 (or float16, float64), not '<U1'"),
    ]
    for name, reason in cases:
        refused(("run", "model.onnx", "-i", name, "-o", "out"), f"{name}: {reason}")


def test_recordings_that_do_not_fit() -> None:
    speech_maker(features=LOG_MEL_FEATURES).save(Path(), "speech.onnx")
    form = "must have 16000 Hz, 1 channel and 16 bits, not"
    whole = save_wav(Path("whole.wav")).read_bytes()
    save_wav(Path("r8.wav"), rate=8000)
    save_wav(Path("stereo.wav"), channels=2)
    save_wav(Path("wide.wav"), width=3)
    save_wav(Path("short.wav"), seconds=0.02)
    save_wav(Path("empty.wav"), seconds=0)
    Path("cut.wav").write_bytes(whole[:1044])
    Path("head.wav").write_bytes(whole[:20])
    Path("text.wav").write_bytes(b"not a recording at all")
    cases = [
        ("r8.wav", f"{form} 8000 Hz, 1 channels and 16 bits"),
        ("stereo.wav", f"{form} 16000 Hz, 2 channels and 16 bits"),
        ("wide.wav", f"{form} 16000 Hz, 1 channels and 24 bits"),
        ("short.wav", "recording must last 45 ms or more for one step"),
        ("empty.wav", "recording must last 45 ms or more for one step"),
        ("cut.wav", "must hold 8000 samples as its header says, not 500"),
        ("head.wav", "must be a PCM .wav file: it is cut short"),
        ("text.wav", "must be a PCM .wav file: file does not start with RIFF id"),
    ]
    for name, reason in cases:
        refused(("run", "speech.onnx", "-i", name, "-o", "out"), f"{name}: {reason}")
    refused(
        ("run", "speech.onnx", "-i", "whole.wav", "--frames", 1000),
        "whole.wav: must hold 1000 steps, but holds 16",
    )
    refused(
        ("run", "model.onnx", "-i", "whole.wav"),
        "whole.wav: a recording gives 64 features per 10 ms, input 'x' of shape (1, 1, 13) must"
        " hold a multiple of 64",
    )
