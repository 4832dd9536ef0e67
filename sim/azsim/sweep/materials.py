"""Models and frames of a plan: read once, named by their content, handed to all workers."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from azsim.api import PlanWishes
from azsim.branch_run import check_taken, float_branches
from azsim.cache import content_key, content_parts
from azsim.errors import AzsimError, ConfigError
from azsim.frontend import Inputs, load_inputs
from azsim.frontend.branches import BranchedModel, read_either
from azsim.graph import Graph
from azsim.sweep.expressions import Scalar
from azsim.sweep.plan import Plan
from azsim.zoo import ZooEntry, build_zoo, find_entry, save_onnx
from azsim.zoo.layers import DenseLayer

ZOO_PREFIX = "zoo:"
ZOO_BITS, ZOO_SPARSITY = 8, 0.0  # what zoo weights are before a point compresses them
RANDOM = "random"
RANDOM_FRAMES = 8


@dataclass
class Materials:
    """Graphs and frames by the hash of their content."""

    graphs: dict[str, Graph | BranchedModel] = field(default_factory=dict)
    inputs: dict[str, Inputs] = field(default_factory=dict)


@dataclass(frozen=True)
class Needed:
    """What one point is run on: keys into `Materials`, and the compression that it starts from."""

    graph: str
    inputs: str
    calibrate: str | None
    wishes: PlanWishes


class MaterialReader:
    """Reads what points need, each file once."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.materials = Materials()
        self._taken: set[tuple[str, str]] = set()
        self._graphs: dict[tuple[str, int], str] = {}
        self._inputs: dict[tuple[str, str, int | None, int], str] = {}

    def need(self, settings: Mapping[str, Scalar]) -> Needed:
        """Read what the point needs.

        Raises:
            ConfigError: a file that cannot be taken, with the plan's line that names it.
        """
        file = self._plan.file
        model = str(settings.get("model", file.model))
        name = str(settings.get("input", file.input))
        seed = _whole(settings.get("seed", file.seed)) or 0
        frames = _whole(settings.get("frames", file.frames))
        try:
            graph = self._graph(model, seed)
        except AzsimError as error:
            raise self._plan.error(self._place("model"), str(error)) from None
        try:
            inputs = self._frames(graph, name, frames, seed)
        except AzsimError as error:
            raise self._plan.error(self._place("input"), str(error)) from None
        try:
            self._check_branches(graph, inputs)
        except AzsimError as error:
            raise self._plan.error(self._place("input"), str(error)) from None
        calibrate = None
        if file.calibrate is not None:
            try:
                calibrate = self._frames(graph, file.calibrate, None, seed)
            except AzsimError as error:
                raise self._plan.error(("calibrate",), str(error)) from None
        return Needed(graph, inputs, calibrate, _own_wishes(model))

    def _check_branches(self, graph: str, inputs: str) -> None:
        """Refuse frames of which the float model sends none to one of its branches: told before
        hundreds of points fail for it."""
        model = self.materials.graphs[graph]
        if not isinstance(model, BranchedModel) or (graph, inputs) in self._taken:
            return
        allowed = self._plan.file.allow_unused_branch
        if not allowed:
            floats = float_branches(model, self.materials.inputs[inputs], _silent)
            check_taken(model, floats.chosen, allowed, "allow_unused_branch: true")
        self._taken.add((graph, inputs))

    def _place(self, key: str) -> tuple[str, ...]:
        return ("axes", key) if key in self._plan.file.axes else (key,)

    def _graph(self, model: str, seed: int) -> str:
        known = (model, seed if model.startswith(ZOO_PREFIX) else 0)
        if known not in self._graphs:
            graph = self._read(model, seed)
            key = content_key(content_parts(graph))
            self.materials.graphs[key] = graph
            self._graphs[known] = key
        return self._graphs[known]

    def _read(self, model: str, seed: int) -> Graph | BranchedModel:
        entry = zoo_entry(model)
        if entry is None:
            return read_either(self._plan.file_path(model))
        with tempfile.TemporaryDirectory(prefix="azsim-sweep-") as folder:
            path = Path(folder) / "net.onnx"
            net = build_zoo(entry.name, entry.part, ZOO_BITS, ZOO_SPARSITY, seed)
            save_onnx(net, path)
            return read_either(path)

    def _frames(self, graph: str, name: str, frames: int | None, seed: int) -> str:
        known = (graph, name, frames, seed if name == RANDOM else 0)
        if known not in self._inputs:
            read = self.materials.graphs[graph]
            if name == RANDOM:
                inputs = random_inputs(read, frames or RANDOM_FRAMES, seed)
            else:
                inputs = load_inputs(self._plan.file_path(name), _given(read), frames)
            key = content_key(content_parts((inputs.frames, inputs.source_text)))
            self.materials.inputs[key] = inputs
            self._inputs[known] = key
        return self._inputs[known]


def zoo_entry(model: str) -> ZooEntry | None:
    """The shipped net that a plan writes as `zoo:NAME` or `zoo:NAME:PART`; None for a file."""
    if not model.startswith(ZOO_PREFIX):
        return None
    name, _, part = model.removeprefix(ZOO_PREFIX).partition(":")
    return find_entry(name, part or None)


def _own_wishes(model: str) -> PlanWishes:
    """What a model is meant to be run with: a shipped net by its entry, a file by its own plan."""
    entry = zoo_entry(model)
    if entry is None:
        return PlanWishes()
    own = {x.name: x.bits for x in entry.layers if isinstance(x, DenseLayer) and x.bits is not None}
    return PlanWishes(entry.bits, entry.sparsity, own, {})


def _silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def _given(model: Graph | BranchedModel) -> Graph:
    """The graph whose inputs are those of the model."""
    return model.given if isinstance(model, BranchedModel) else model


def random_inputs(model: Graph | BranchedModel, frames: int, seed: int) -> Inputs:
    """Normal numbers of deviation 1, and row numbers of tables, from a seed.

    Raises:
        ConfigError: an input whose values cannot be chosen at random.
    """
    rng, graph = np.random.default_rng(seed), _given(model)
    arrays: dict[str, np.ndarray] = {}
    for name in graph.inputs:
        value = graph.values[name]
        shape = (frames, *value.shape)
        if value.is_index:
            arrays[name] = rng.integers(0, _table_rows(model, name), shape)
        else:
            arrays[name] = rng.standard_normal(shape, dtype=np.float32)
    return Inputs(arrays, f"random numbers of seed {seed}, {frames} steps")


def _table_rows(model: Graph | BranchedModel, name: str) -> int:
    for graph in model.graphs.values() if isinstance(model, BranchedModel) else (model,):
        for node in graph.nodes:
            if node.operator == "Embed" and node.inputs[1] == name:
                return graph.values[node.inputs[0]].shape[0]
    raise ConfigError(f"input '{name}' must come from a file: its row numbers cannot be guessed")


def _whole(value: Scalar) -> int | None:
    return value if isinstance(value, int) else None
