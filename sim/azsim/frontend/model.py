"""A model file of any kind: ONNX, or a topology of SCALE-Sim, which brings its own input."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from azsim.errors import ConfigError, ModelError
from azsim.frontend.inputs import Inputs
from azsim.frontend.read import read_onnx
from azsim.frontend.scalesim import (
    TOPOLOGY_PROPERTY,
    is_topology,
    random_inputs,
    read_topology,
    topology_graph,
)
from azsim.graph import Graph

MAX_OWN_FRAMES = 100  # all of them are made before the run


def read_model(path: str | Path, dims: Mapping[str, int] | None = None) -> Graph:
    """Return the graph of a model file; `dims` as of `read_onnx`.

    Raises:
        ModelError: the file cannot be taken.
    """
    if is_topology(path):
        if dims:
            raise ModelError(f"{path}: a topology has no open dimensions for --dim")
        return topology_graph(Path(path).name, read_topology(path))
    return read_onnx(path, dims)


def own_inputs(graph: Graph, frames: int | None) -> Inputs:
    """Return inputs for a graph whose file needs none; `frames` of them, None for one.

    Raises:
        ConfigError: the graph needs an input, or there are to be too many frames.
    """
    if TOPOLOGY_PROPERTY not in graph.metadata:
        raise ConfigError("Missing option '-i' / '--input'.")
    if frames is not None and not 1 <= frames <= MAX_OWN_FRAMES:
        raise ConfigError(f"--frames: must be 1 to {MAX_OWN_FRAMES} for a topology, not {frames}")
    return random_inputs(graph, frames or 1)
