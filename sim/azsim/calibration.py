"""The float pass of a run: activation ranges and float outputs, kept by content like programs.

It takes longer than the simulation of a small chip, and a second run on the same frames needs
nothing else of it.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.cache import ContentCache, content_key, content_parts, open_cache, source_key
from azsim.compiler import RangeRecorder, Ranges
from azsim.errors import CacheError
from azsim.frontend import Inputs, load_inputs
from azsim.graph import Graph
from azsim.reference.floats import run_floats

Progress = Callable[[str, int, int], None]
FloatArray = npt.NDArray[np.float32]
Pass = tuple[Ranges, dict[str, FloatArray]]

# what zipfile, json and numpy raise on damaged files
_DAMAGE = (OSError, ValueError, LookupError, TypeError, EOFError, RuntimeError, struct.error,
           zipfile.BadZipFile)  # fmt: skip


@dataclass(frozen=True)
class Calibration:
    """Ranges seen on some frames, and the float outputs of the run's own (None: not computed)."""

    ranges: Ranges
    outputs: Mapping[str, FloatArray] | None
    text: str


@dataclass(frozen=True)
class FloatPasses:
    """Makes float passes over `graph`; `key` names its content, None keeps nothing on disk."""

    graph: Graph
    key: str | None
    progress: Progress

    def calibrate(
        self, inputs: Inputs, path: str | Path | Inputs | None, want_outputs: bool
    ) -> Calibration:
        """Ranges of the frames in the file `path` (or read before), of `inputs` if it is None.

        Raises:
            ModelError: a file that cannot be taken, values that are not finite, or a damaged
                cache entry.
        """
        if path is None:
            ranges, outputs = self.run(inputs, "calibrating")
            return Calibration(ranges, outputs, calibration_text(None))
        others = path if isinstance(path, Inputs) else load_inputs(path, self.graph, None)
        ranges, _ = self.run(others, "calibrating")
        text = calibration_text(others)
        if not want_outputs:
            return Calibration(ranges, None, text)
        _, outputs = self.run(inputs, "float reference")
        return Calibration(ranges, outputs, text)

    def run(self, inputs: Inputs, stage: str) -> Pass:
        """One pass over all frames, or what it gave before."""
        if self.key is None:
            return self._computed(inputs, stage)
        cache = open_cache()
        parts = ("float pass", source_key(), self.key, inputs.frames)
        name = f"{content_key(content_parts(parts))}.npz"
        found = _load(cache, name)
        if found is None:
            found = self._computed(inputs, stage)
            _store(cache, name, found)
        return found

    def _computed(self, inputs: Inputs, stage: str) -> Pass:
        recorder = RangeRecorder(self.graph)
        outputs: dict[str, list[FloatArray]] = {name: [] for name in self.graph.outputs}
        for number, values in enumerate(run_floats(self.graph, inputs.frames)):
            recorder.add(values)
            for name, kept in outputs.items():
                kept.append(values[name].astype(np.float32))
            self.progress(stage, number + 1, inputs.steps)
        return recorder.ranges(), {name: np.stack(kept) for name, kept in outputs.items()}


def calibration_text(others: Inputs | None) -> str:
    """What reports say the ranges come from: `others`, or the run's own frames."""
    if others is None:
        return "the run's own input"
    return others.source_text.removesuffix("steps") + "frames"


def noise_ranges(graph: Graph) -> Ranges:
    """Ranges of one frame of seeded normal noise, index inputs 0.

    For work on the weights alone: which integers they become does not depend on the activations.
    """
    rng = np.random.default_rng(0)
    frames: dict[str, npt.NDArray[np.generic]] = {}
    for name in graph.inputs:
        value = graph.values[name]
        shape = (1, *value.shape)
        frames[name] = (
            np.zeros(shape, np.int64)
            if value.is_index
            else rng.standard_normal(shape, dtype=np.float32)
        )
    recorder = RangeRecorder(graph)
    for values in run_floats(graph, frames):
        recorder.add(values)
    return recorder.ranges()


def _store(cache: ContentCache, name: str, made: Pass) -> None:
    ranges, outputs = made
    # names in their order: a program is found again by the content of its ranges, order included
    about = [list(ranges.peak.items()), list(ranges.cell_peak.items()), list(outputs)]
    arrays: dict[str, Any] = {
        f"output{number}": array for number, array in enumerate(outputs.values())
    }
    meta = np.frombuffer(json.dumps(about).encode(), np.uint8)

    def write(path: Path) -> None:
        with path.open("xb") as file:
            np.savez(file, meta=meta, **arrays)

    cache.store(name, write)


def _load(cache: ContentCache, name: str) -> Pass | None:
    """What an entry holds; None if there is none. Raises CacheError if it is damaged."""
    entry = cache.find(name)
    if entry is None:
        return None
    try:
        with entry.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            peak, cell_peak, names = json.loads(bytes(archive["meta"]))
            outputs = {name: archive[f"output{number}"] for number, name in enumerate(names)}
            return Ranges(dict(peak), dict(cell_peak)), outputs
    except _DAMAGE:
        if not entry.exists():  # another process has just made room
            return None
        raise CacheError(f"{entry}: cache entry is damaged and must be deleted") from None
