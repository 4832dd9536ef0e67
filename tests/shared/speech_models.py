"""A small speech model as users have it: LSTMs with carried states, Squeeze, Gemm, odd sizes."""

from __future__ import annotations

import json
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx_models import ModelMaker, lstm_tensors

FEATURES, HIDDEN, SCORES, FRAMES = 13, (17, 11), 7, 20
LOG_MEL_FEATURES = 192  # 64 filter banks x 3 frames of 10 ms: what a recording gives


def speech_maker(
    features: int = FEATURES,
    hidden: Sequence[int] = HIDDEN,
    scores: int = SCORES,
    seed: int = 3,
    metadata: Mapping[str, str] | None = None,
    prefix: str = "",
    time_steps: int = 1,
) -> ModelMaker:
    """LSTM layers with their states, each followed by Squeeze, then Gemm; 30 ms a step.

    Input (time_steps, 1, features), output (time_steps, scores). `prefix` is put before the names
    of layers, input and output.
    """
    rng = np.random.default_rng(seed)
    maker = ModelMaker()
    x = maker.input(f"{prefix}x", [time_steps, 1, features])
    maker.tensor("direction", [1], np.int64)
    states: dict[str, str] = {}
    for number, width in enumerate(hidden):
        name = f"{prefix}lstm{number}"
        weights = lstm_tensors(maker, rng, features, width, f"{name}.")
        given = [maker.input(f"{name}.{part}", [1, 1, width]) for part in "hc"]
        results = [f"{name}.{part}" for part in ("Y", "h_next", "c_next")]
        maker.node("LSTM", [x, *weights, "", *given], results, name=name, hidden_size=width)
        for source, result in zip(given, results[1:], strict=True):
            states[source] = maker.output(result, [1, 1, width])
        maker.node("Squeeze", [results[0], "direction"], [f"{name}.y"], name=f"{name}.squeeze")
        x, features = f"{name}.y", width
    maker.node("Squeeze", [x, "direction"], ["flat"], name="flatten")
    weight = maker.tensor("W", rng.normal(size=(scores, features)) * 0.5)
    bias = maker.tensor("b", rng.normal(size=scores) * 0.1)
    maker.node("Gemm", ["flat", weight, bias], [f"{prefix}y"], name=f"{prefix}dense", transB=1)
    maker.output(f"{prefix}y", [time_steps, scores])
    maker.metadata = {"azsim.state": json.dumps(states), "azsim.frame_ms": "30"}
    maker.metadata.update(metadata or {})
    return maker


def speech_frames(frames: int = FRAMES, features: int = FEATURES, seed: int = 5) -> np.ndarray:
    """Frames (frames, 1, 1, features), float32."""
    return np.random.default_rng(seed).normal(size=(frames, 1, 1, features)).astype(np.float32)


def save_speech_model(folder: Path) -> tuple[Path, Path]:
    """Write model.onnx and frames.npz; return both."""
    frames = folder / "frames.npz"
    np.savez(frames, x=speech_frames())
    return speech_maker().save(folder), frames


def save_wav(
    path: Path, seconds: float = 0.5, rate: int = 16000, channels: int = 1, width: int = 2
) -> Path:
    """Write noise as a PCM recording."""
    count = int(seconds * rate) * channels
    noise = np.random.default_rng(2).integers(-3000, 3000, count).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(noise.tobytes() if width == 2 else bytes(count * width))
    return path
