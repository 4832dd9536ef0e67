"""Are frames read as stated from .npz and .wav files, and are wrong files refused in one line?"""

from __future__ import annotations

import io
import os
import struct
import tracemalloc
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from azsim.errors import AzsimError, ModelError
from azsim.frontend import load_inputs, read_frame_ms
from azsim.graph import Graph, Node, Value, ValueKind

pytestmark = pytest.mark.small

SAMPLE = Path(__file__).parents[2] / "examples" / "speech_command" / "set_timer.wav"
MIB = 1 << 20


def graph_of(
    *inputs: tuple[str, tuple[int, ...], bool], metadata: dict[str, str] | None = None
) -> Graph:
    values = [Value(name, shape, ValueKind.INPUT, is_index=index) for name, shape, index in inputs]
    first = values[0]
    values.append(Value("y", first.shape, ValueKind.NODE))
    return Graph(
        "g",
        (Node("n", "Relu", (first.name,), ("y",)),),
        {value.name: value for value in values},
        tuple(name for name, _, _ in inputs),
        ("y",),
        metadata=metadata or {},
    )


ONE = graph_of(("x", (2, 3), False))
TWO = graph_of(("x", (2, 3), False), ("token", (1,), True))
SPEECH = graph_of(("features", (1, 1, 192), False), metadata={"azsim.frame_ms": "30"})


def refusal(path: Path, graph: Graph, steps: int | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        load_inputs(path, graph, steps)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert len(text.splitlines()) == 1
    return text.removeprefix(f"{path}: ")


def npz(folder: Path, **arrays: np.ndarray) -> Path:
    path = folder / "frames.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]
    return path


# -- arrays -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(4, 2, 3), (8, 3)])
@pytest.mark.parametrize("steps", [None, 1, 4])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f2", "<f8"])
def test_both_layouts_give_the_same_frames(
    tmp_path: Path, shape: tuple[int, ...], steps: int | None, dtype: str
) -> None:
    data = np.arange(24, dtype=dtype).reshape(shape)
    loaded = load_inputs(npz(tmp_path, any_name=data), ONE, steps)
    count = steps or 4
    assert loaded.steps == count
    assert loaded.source_text == f"frames.npz, {count} steps"
    assert loaded.frames["x"].dtype == np.float32
    np.testing.assert_array_equal(loaded.frames["x"], data.reshape(4, 2, 3)[:count])


def test_several_inputs_by_name(tmp_path: Path) -> None:
    path = npz(tmp_path, token=np.arange(4, dtype=np.uint8), x=np.ones((8, 3)))
    loaded = load_inputs(path, TWO, 3)
    assert loaded.frames["token"].dtype == np.int64
    assert loaded.frames["token"].tolist() == [[0], [1], [2]]
    assert loaded.frames["x"].shape == (3, 2, 3)


def test_compressed_archive(tmp_path: Path) -> None:
    path = tmp_path / "frames.npz"
    data = np.random.default_rng(0).normal(size=(5, 2, 3))
    np.savez_compressed(path, x=data)
    np.testing.assert_allclose(load_inputs(path, ONE, None).frames["x"], data, rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (np.ones((4, 3, 2)), "array 'x' must have shape (steps, 2, 3), not (4, 3, 2)"),
        (np.ones((7, 3)), "array 'x' must have shape (steps, 2, 3), not (7, 3)"),
        (np.ones(6), "array 'x' must have shape (steps, 2, 3), not (6)"),
        (np.ones((0, 2, 3)), "array 'x' must hold one or more steps, not none"),
        (np.ones((4, 2, 3), dtype=np.int32), "array 'x' must be float32 (or float16, float64), not"
         " '<i4'"),
        (np.ones((4, 2, 3), dtype=complex), "array 'x' must be float32 (or float16, float64), not"
         " '<c16'"),
        (np.full((4, 2, 3), np.nan), "array 'x' must be finite, not NaN or infinite"),
        (np.full((4, 2, 3), -np.inf), "array 'x' must be finite, not NaN or infinite"),
        (np.full((4, 2, 3), 1e200), "array 'x' must be finite, not NaN or infinite"),
        (np.asfortranarray(np.arange(24.0).reshape(4, 2, 3)),
         "array 'x' must be stored in C order, not in Fortran order"),
        (np.array([{}] * 24).reshape(4, 2, 3), "array 'x' must be float32 (or float16, float64),"
         " not '|O'"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit(tmp_path: Path, data: np.ndarray, text: str) -> None:
    assert refusal(npz(tmp_path, x=data), ONE) == text


def test_names_steps_and_frames_that_do_not_fit(tmp_path: Path) -> None:
    frames, tokens = np.ones((4, 2, 3)), np.zeros((3, 1), dtype=np.int64)
    assert refusal(npz(tmp_path, x=frames), TWO) == ("arrays must be named 'token', 'x', not 'x'")
    assert refusal(npz(tmp_path, x=frames, y=frames), ONE) == (
        "arrays must be named 'x', not 'x', 'y'"
    )
    assert refusal(npz(tmp_path), ONE) == "arrays must be named 'x', not nothing"
    assert refusal(npz(tmp_path, x=frames, token=tokens), TWO) == (
        "all inputs must have the same number of steps, not 'x' 4, 'token' 3"
    )
    assert refusal(npz(tmp_path, x=frames), ONE, 5) == "must hold 5 steps, but holds 4"
    assert refusal(npz(tmp_path, x=frames), ONE, 0) == "number of steps must be 1 or more, not 0"
    assert refusal(npz(tmp_path, x=frames, token=frames), TWO) == (
        "array 'token' must be integer, not '<f8'"
    )


def test_files_that_are_not_npz(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.npz", ONE) == "cannot be read: No such file or directory"
    assert refusal(tmp_path / "frames.csv", ONE) == "must be a .npz or .wav file, not '.csv'"
    os.mkfifo(tmp_path / "pipe.npz")
    assert refusal(tmp_path / "pipe.npz", ONE) == "must be a plain file"
    (tmp_path / "text.npz").write_text("hello")
    assert refusal(tmp_path / "text.npz", ONE) == "must be a sound .npz file (BadZipFile)"


def header(shape: str, dtype: str = "<f4") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (63 - (10 + len(text)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def archive(folder: Path, content: bytes, method: int = zipfile.ZIP_STORED) -> Path:
    path = folder / "frames.npz"
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("x.npy", content)
    return path


SOUND = "array 'x' must be a sound .npy array of version 1.0"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", SOUND),
        (b"\x93NUMPY\x01\x00\xff\xff", SOUND),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 100, SOUND),
        (header("(" * 3000), SOUND),
        (header("(-4, 2, 3)"), SOUND),
        (header("(True, 2, 3)"), SOUND),
        (header("[4, 2, 3]"), SOUND),
        (header("(4, 2, 3)", "f4', 'fortran_order': 3 #"), SOUND),
        (header("(1.5, 2, 3)"), SOUND),
        (header("(4, 2, 3)", "|O"), "array 'x' must be float32 (or float16, float64), not '|O'"),
        (header("(4, 2, 3)", "|V900000000"),
         "array 'x' must be float32 (or float16, float64), not '|V900000000'"),
        (header("(4, 2, 3)"), "array 'x' must hold 4 steps as its header says; it is cut short"),
        (header(f"({2**50}, 2, 3)"),
         f"array 'x' must hold at most 268435456 elements, not {6 * 2**50}"),
        (header("(1000000, 2, 3)"),
         "array 'x' must hold 1000000 steps as its header says; it is cut short"),
    ],
)  # fmt: skip
def test_damaged_array(tmp_path: Path, content: bytes, text: str) -> None:
    path = archive(tmp_path, content)
    tracemalloc.start()
    found = refusal(path, ONE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == text
    assert peak < 4 * MIB


def test_zip_bomb_is_not_unpacked_further_than_asked(tmp_path: Path) -> None:
    steps = 20_000_000  # 480 MB of zeros in half a megabyte
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        file.open("x.npy", "w", force_zip64=True) as member,
    ):
        member.write(header(f"({steps}, 2, 3)"))
        for _ in range(steps * 24 // (8 * MIB)):
            member.write(bytes(8 * MIB))
    path = tmp_path / "frames.npz"
    path.write_bytes(buffer.getvalue())
    tracemalloc.start()
    loaded = load_inputs(path, ONE, 10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert loaded.frames["x"].shape == (10, 2, 3)
    assert peak < 4 * MIB


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_archives_end_in_frames_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "frames.npz"
    save = np.savez_compressed if data.draw(st.booleans()) else np.savez
    save(path, x=np.arange(24, dtype=np.float32).reshape(4, 2, 3))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    try:
        assert load_inputs(path, ONE, None).frames["x"].shape[1:] == (2, 3)
    except AzsimError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017


# -- recordings ---------------------------------------------------------------------------------


def wav(
    folder: Path, samples: np.ndarray, rate: int = 16000, channels: int = 1, width: int = 2
) -> Path:
    path = folder / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


def test_example_recording_becomes_stacked_features() -> None:
    loaded = load_inputs(SAMPLE, SPEECH, None)
    frames = loaded.frames["features"]
    # 33,207 samples: 206 windows of 25 ms every 10 ms, 68 stacks of three
    assert frames.shape == (68, 1, 1, 192)
    assert frames.dtype == np.float32
    assert loaded.source_text == "set_timer.wav, 68 steps"
    stacked = frames.reshape(204, 64)
    assert abs(float(stacked.mean())) < 0.1
    assert 2 < float(stacked.std()) < 8
    half = load_inputs(SAMPLE, SPEECH, 34).frames["features"]
    np.testing.assert_array_equal(half, frames[:34])


def test_features_follow_the_sound(tmp_path: Path) -> None:
    """A low tone, then a high one: the strongest bank moves up."""
    time = np.arange(16000) / 16000
    tones = np.concatenate([np.sin(2 * np.pi * f * time) for f in (300, 3000)])
    path = wav(tmp_path, (tones * 8000).astype("<i2"))
    single = graph_of(("x", (64,), False))
    features = load_inputs(path, single, None).frames["x"]
    low, high = features[20].argmax(), features[150].argmax()
    assert len(features) == 198
    assert low < 15
    assert high > 35


@pytest.mark.parametrize(
    ("shape", "samples", "steps"),
    [((64,), 400, 1), ((64,), 559, 1), ((64,), 560, 2), ((1, 192), 720, 1), ((3, 1, 128), 1200, 1)],
)
def test_number_of_steps(tmp_path: Path, shape: tuple[int, ...], samples: int, steps: int) -> None:
    path = wav(tmp_path, np.zeros(samples, dtype="<i2"))
    loaded = load_inputs(path, graph_of(("x", shape, False)), None)
    assert loaded.frames["x"].shape == (steps, *shape)


def test_recordings_that_do_not_fit(tmp_path: Path) -> None:
    second = np.zeros(16000, dtype="<i2")
    form = "must have 16000 Hz, 1 channel and 16 bits, not "
    assert refusal(wav(tmp_path, second, rate=8000), SPEECH) == (
        form + "8000 Hz, 1 channels and 16 bits"
    )
    assert refusal(wav(tmp_path, second, channels=2), SPEECH) == (
        form + "16000 Hz, 2 channels and 16 bits"
    )
    assert refusal(wav(tmp_path, second, width=1), SPEECH) == (
        form + "16000 Hz, 1 channels and 8 bits"
    )
    assert refusal(wav(tmp_path, second[:719]), SPEECH) == (
        "recording must last 45 ms or more for one step"
    )
    assert refusal(wav(tmp_path, second), SPEECH, 33) == "must hold 33 steps, but holds 32"
    assert refusal(wav(tmp_path, second), TWO) == (
        "a recording needs a graph with one float input, not 2 inputs"
    )
    assert refusal(wav(tmp_path, second), ONE) == (
        "a recording gives 64 features per 10 ms, input 'x' of shape (2, 3) must hold a multiple"
        " of 64"
    )
    other = graph_of(("x", (128,), False), metadata={"azsim.frame_ms": "30"})
    assert refusal(wav(tmp_path, second), other) == (
        "a recording gives input 'x' each 20 ms, but property 'azsim.frame_ms' is 30"
    )


def test_damaged_recordings(tmp_path: Path) -> None:
    path = wav(tmp_path, np.zeros(16000, dtype="<i2"))
    whole = path.read_bytes()
    path.write_bytes(whole[:20000])
    assert refusal(path, SPEECH) == "must hold 16000 samples as its header says, not 9978"
    path.write_bytes(whole[:20])
    assert refusal(path, SPEECH).startswith("must be a PCM .wav file: ")
    path.write_bytes(b"")
    assert refusal(path, SPEECH) == "must be a PCM .wav file: it is cut short"
    path.write_bytes(b"OggS" + whole[4:])
    assert refusal(path, SPEECH) == "must be a PCM .wav file: file does not start with RIFF id"
    path.write_bytes(whole[:40] + struct.pack("<I", 0x7FFFF000) + whole[44:])
    assert refusal(path, SPEECH) == (
        "must be at most 3600 s long; its header says 1073739776 samples"
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_damaged_recordings_end_in_frames_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = wav(tmp_path_factory.mktemp("damaged"), np.arange(800, dtype="<i2"))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, 47))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        assert load_inputs(path, SPEECH, None).steps >= 1
    except AzsimError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017


# -- the time of one step -----------------------------------------------------------------------


def test_frame_time() -> None:
    assert read_frame_ms(ONE) is None
    assert read_frame_ms(SPEECH) == 30.0
    for text in ("", "0", "-1", "nan", "inf", "1e400", "thirty"):
        graph = graph_of(("x", (1,), False), metadata={"azsim.frame_ms": text})
        with pytest.raises(ModelError) as caught:
            read_frame_ms(graph)
        assert str(caught.value) == (
            f"property 'azsim.frame_ms' must be a positive number, not '{text}'"
        )
