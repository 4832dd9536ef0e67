"""The files of `make_data`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Utterances:
    """Features (frames, 64) and symbols of each utterance of one file."""

    features: list[Float32Array]
    symbols: list[list[int]]

    def __len__(self) -> int:
        return len(self.features)


def read_utterances(path: Path, count: int | None = None) -> Utterances:
    """Read the first `count` utterances of a file of `make_data`, or all."""
    with np.load(path) as stored:
        features = np.split(stored["features"], stored["frame_ends"][:-1])
        symbols = np.split(stored["symbols"], stored["symbol_ends"][:-1])
    return Utterances(features[:count], [part.tolist() for part in symbols[:count]])
