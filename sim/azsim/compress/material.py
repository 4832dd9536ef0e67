"""What a compression works on: a model, frames, and what the float model makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from azsim.compiler import Ranges
from azsim.compress.measure import Frames, Outputs, Tell, ranges_and_outputs, with_weights
from azsim.compress.plan import LayerPlan
from azsim.compress.qdq import QdqWriter, read_model
from azsim.compress.source import SourceModel, WeightPart
from azsim.compress.weights import IntegerRows, compress_rows
from azsim.frontend import load_inputs
from azsim.graph import Graph

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Material:
    """A source model with its frames and what the float model makes of them."""

    source: SourceModel
    frames: Frames
    frames_text: str
    given: bool  # the user's frames, not noise
    exact: Outputs
    ranges: Ranges
    tell: Tell = field(repr=False)
    _scales: dict[tuple[str, int, LayerPlan], Floats] = field(default_factory=dict, repr=False)

    def integers(self, name: str, plan: LayerPlan) -> tuple[IntegerRows, ...]:
        """The matrices of a layer as `plan` makes them; scales are looked for once."""
        found: list[IntegerRows] = []
        for part in self.source.parts[name]:
            key = (name, part.position, plan)
            known = self._scales.get(key)
            made = compress_rows(part.rows, plan, part.directions, known)
            self._scales[key] = made.scales
            found.append(made)
        return tuple(found)

    @cached_property
    def unfolded(self) -> Graph:
        """The float graph with a node's own weights: the reader folds factors behind a product into
        float weights, not into quantized ones."""
        eight = LayerPlan()
        source = self.source
        made = {name: self.integers(name, eight) for name in source.parts}
        writer = QdqWriter(source)
        writer.weights(source, made)
        return with_weights(read_model(writer.model), source, dict.fromkeys(source.parts))

    def compressed(self, plans: Mapping[str, LayerPlan]) -> dict[str, tuple[IntegerRows, ...]]:
        """Integers of the layers that `plans` changes: the file's own stay where they fit."""
        made = {}
        for number, (name, plan) in enumerate(plans.items()):
            parts = self.source.parts[name]
            if not all(_stays(part, plan) for part in parts):
                made[name] = tuple(
                    compress_rows(part.rows, plan, part.directions) for part in parts
                )
            self.tell("compressing", number + 1, len(plans))
        return made


def _stays(part: WeightPart, plan: LayerPlan) -> bool:
    halves = np.split(part.rows, part.directions)
    zeros = min(1.0 - int(np.count_nonzero(half)) / half.size for half in halves)
    enough = plan.sparsity <= zeros and plan.codebook == 0
    return enough and 0 < part.stored_bits <= plan.bits


def prepare_material(
    source: SourceModel, frames_file: str | Path | None, frames: int | None, tell: Tell
) -> Material:
    """Read the frames, or make one of noise, and run the float model on them.

    Raises:
        ModelError: frames that do not fit the model.
    """
    graph = source.graph
    if frames_file is None:
        inputs, text = noise_frames(graph), "one frame of noise"
    else:
        loaded = load_inputs(frames_file, graph, frames)
        inputs, text = loaded.frames, loaded.source_text
    ranges, exact = ranges_and_outputs(graph, inputs, tell)
    return Material(source, inputs, text, frames_file is not None, exact, ranges, tell)


def noise_frames(graph: Graph) -> dict[str, npt.NDArray[np.generic]]:
    """One frame of seeded normal noise, row numbers 0."""
    rng = np.random.default_rng(0)
    found: dict[str, npt.NDArray[np.generic]] = {}
    for name in graph.inputs:
        value = graph.values[name]
        shape = (1, *value.shape)
        drawn = rng.standard_normal(shape, dtype=np.float32)
        found[name] = np.zeros(shape, np.int64) if value.is_index else drawn
    return found
