"""The shipped nets. No vendor has published layer shapes of its speech models: each entry says
what it stands for, and every `rnnt_alexa_*` entry is a reconstruction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx

from azsim.errors import ConfigError
from azsim.zoo.model import LSTM_OUTPUT_RMS, NetMaker
from azsim.zoo.weights import check_grid

Make = Callable[[NetMaker, "ZooEntry"], onnx.ModelProto]

# Mean-normalized log-mel features of speech, natural logarithm: the deviation measured on the
# example recording is 5.7, much of it digital silence; quieter recordings give less.
FEATURE_RMS = 5.0


@dataclass(frozen=True)
class ZooEntry:
    """One part of a shipped net. `bits` and `sparsity` are what it is meant to be run with."""

    name: str
    part: str | None
    summary: str
    source: str
    parameters: int  # weights and biases, zeros counted
    frame_ms: int
    bits: int
    sparsity: float
    make: Make

    @property
    def full_name(self) -> str:
        """`name:part`, or the name alone if the net has one part."""
        return self.name if self.part is None else f"{self.name}:{self.part}"


def _lstm_parameters(features: int, hidden: int) -> int:
    # ONNX keeps two bias vectors per layer
    return 4 * hidden * (features + hidden + 2)


def _description(entry: ZooEntry) -> str:
    return f"{entry.full_name}: {entry.summary} {entry.source} Weights are random (seeded)."


def _make_alexa_encoder(maker: NetMaker, entry: ZooEntry) -> onnx.ModelProto:
    x = maker.input("features", (1, 1, 192))
    width, rms = 192, FEATURE_RMS
    for layer in range(5):
        x = maker.lstm(f"encoder.{layer}", x, width, 1024, rms)
        width, rms = 1024, LSTM_OUTPUT_RMS
    maker.identity("encoder.output", x, "encoded")
    maker.output("encoded", (1, 1, 1024))
    return maker.build(_description(entry), {"azsim.frame_ms": str(entry.frame_ms)})


def _make_tiny_lstm(maker: NetMaker, entry: ZooEntry) -> onnx.ModelProto:
    x = maker.input("features", (1, 1, 24))
    x = maker.lstm("layer.0", x, 24, 40, 1.0)
    x = maker.lstm("layer.1", x, 40, 40, LSTM_OUTPUT_RMS)
    x = maker.reshape("flatten", x, (1, 40))
    maker.dense("dense", x, 40, 11, "scores")
    maker.output("scores", (1, 11))
    return maker.build(_description(entry), {"azsim.frame_ms": str(entry.frame_ms)})


_RECONSTRUCTION = (
    "Reconstruction: no Amazon layer shape has been published; 64 log filter banks x 3 frames and"
    " 5 x 1024 are typical of published RNN-T work."
)

ENTRIES: tuple[ZooEntry, ...] = (
    ZooEntry(
        name="rnnt_alexa_l",
        part="encoder",
        summary="RNN-T encoder, 192 features each 30 ms, 5 x LSTM 1024.",
        source=_RECONSTRUCTION,
        parameters=_lstm_parameters(192, 1024) + 4 * _lstm_parameters(1024, 1024),
        frame_ms=30,
        bits=5,
        sparsity=0.5,
        make=_make_alexa_encoder,
    ),
    ZooEntry(
        name="tiny_lstm",
        part=None,
        summary="24 features each 30 ms, 2 x LSTM 40, 11 scores; for tests and quick trials.",
        source="Made up for this project.",
        parameters=_lstm_parameters(24, 40) + _lstm_parameters(40, 40) + 11 * 41,
        frame_ms=30,
        bits=5,
        sparsity=0.5,
        make=_make_tiny_lstm,
    ),
)


def zoo_table() -> tuple[ZooEntry, ...]:
    """Return the shipped nets, one entry per part."""
    return ENTRIES


def find_entry(name: str, part: str | None) -> ZooEntry:
    """Return the entry; `part` may be None where the net has one part. Raises ConfigError."""
    named = [entry for entry in ENTRIES if entry.name == name]
    if not named:
        names = ", ".join(dict.fromkeys(entry.name for entry in ENTRIES))
        raise ConfigError(f"net must be one of {names}, not '{name}'")
    if part is None and len(named) == 1:
        return named[0]
    fitting = [entry for entry in named if entry.part == part]
    if not fitting:
        parts = ", ".join(entry.part for entry in named if entry.part) or "left out"
        raise ConfigError(f"part of {name} must be {parts}, not '{part}'")
    return fitting[0]


def build_zoo(
    name: str, part: str | None, bits: int, sparsity: float, seed: int
) -> onnx.ModelProto:
    """Return a shipped net with seeded random weights.

    Weight matrices lie on the symmetric `bits`-bit grid per row with exactly the share `sparsity`
    of zeros per tensor (see `azsim.zoo.weights.grid_weights`); biases are plain float32. Model
    properties: `azsim.frame_ms`, `azsim.compression` (JSON: bits, sparsity) and `azsim.state`. The
    same arguments give the same file. Raises ConfigError for an unknown net or part, bits outside
    2..8, sparsity outside 0..0.95, or a negative seed.
    """
    entry = find_entry(name, part)
    check_grid(bits, sparsity)
    if seed < 0:
        raise ConfigError(f"seed must be 0 or more, not {seed}")
    return entry.make(NetMaker(entry.full_name, bits, sparsity, seed), entry)
