"""One call from a model file to its compressed file: what `azsim compress-model` does."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from azsim._atomic import output_place, save_text
from azsim.api import PlanWishes
from azsim.compiler import CompressionPlan
from azsim.compress.activations import ValueRecorder, grid_values
from azsim.compress.budget import Budget, fit_budget
from azsim.compress.material import Material, prepare_material
from azsim.compress.measure import (
    Frames,
    LayerSize,
    Tell,
    decibels,
    finite,
    layer_sizes,
    noise_share,
    ranges_and_outputs,
    size_json,
    source_sizes,
    total,
)
from azsim.compress.plan import (
    PLAN_PROPERTY,
    Calibration,
    LayerPlan,
    WeightPlan,
    plan_json,
    plan_yaml,
)
from azsim.compress.qdq import QdqWriter, read_model
from azsim.compress.scan import ScanRow, scan_layers, write_scan
from azsim.compress.source import SourceModel, read_source
from azsim.compress.weights import IntegerRows, sqnr_of
from azsim.config import ChipConfig
from azsim.errors import ConfigError
from azsim.graph import Graph, Quantization
from azsim.reference.floats import run_floats
from azsim.zoo.model import save_onnx

OWN_PLAN_PROPERTY = "azsim.compression"  # what `azsim run` reads
BUDGET_CALIBRATIONS: tuple[Calibration, ...] = ("minmax", "mse")  # tried for each layer
CALIBRATION_PROPERTY = "azsim.calibration"


@dataclass(frozen=True)
class LayerResult:
    """One layer before (as `azsim run` takes the source) and after; `sqnr_db` of its weights, None
    where they are unchanged."""

    name: str
    plan: LayerPlan
    before: LayerSize
    after: LayerSize
    sqnr_db: float | None


@dataclass(frozen=True)
class CompressionResult:
    """What `compress_model` made. `sqnr_db`: the worst output against the float model, on `frames`;
    None where there is no noise. `left`: layers with weights that stay as they are.
    `files`: what was written beside the model."""

    layers: tuple[LayerResult, ...]
    sqnr_db: float | None
    frames: str
    grids: int
    chip: str
    profile: str
    left: tuple[str, ...] = ()
    scan: tuple[ScanRow, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def before(self) -> LayerSize:
        """All layers as `azsim run` takes the source."""
        return total({layer.name: layer.before for layer in self.layers})

    @property
    def after(self) -> LayerSize:
        """All layers compressed."""
        return total({layer.name: layer.after for layer in self.layers})

    def to_json(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {
            "chip": self.chip,
            "decoder_profile": self.profile,
            "frames": self.frames,
            "activation_grids": self.grids,
            "sqnr_db": self.sqnr_db,
            "before": size_json(self.before),
            "after": size_json(self.after),
            "layers": [
                {
                    "name": layer.name,
                    "plan": asdict(layer.plan),
                    "before": size_json(layer.before),
                    "after": size_json(layer.after),
                    "weights_sqnr_db": finite(layer.sqnr_db),
                }
                for layer in self.layers
            ],
            "left_as_they_are": list(self.left),
            "scan": [row.to_json() for row in self.scan],
            "files": [str(path) for path in self.files],
        }


@dataclass(frozen=True)
class Made:
    """A compressed model in memory: the message, its graph as it reads back, and its grids."""

    model: onnx.ModelProto = field(repr=False)
    graph: Graph = field(repr=False)
    integers: Mapping[str, tuple[IntegerRows, ...]] = field(repr=False)
    grids: Mapping[str, Quantization]


def make_compressed(
    material: Material, plans: Mapping[str, LayerPlan], calibration: Calibration
) -> Made:
    """Compress the weights as `plans` say and, if there are the user's frames, give the activations
    grids."""
    writer = QdqWriter(material.source)
    integers = material.compressed(plans)
    writer.weights(material.source, integers)
    said = calibration if material.given else None
    writer.properties(_properties(material.source, plans, said))
    graph = read_model(writer.model)
    if not material.given:
        return Made(writer.model, graph, integers, {})
    grids = _grids(graph, material, calibration)
    writer.biases(integers, grids)
    writer.activations(grids, [state.result for state in graph.states])
    return Made(writer.model, read_model(writer.model), integers, grids)


def _grids(graph: Graph, material: Material, method: Calibration) -> dict[str, Quantization]:
    names = grid_values(graph, _written_values(material.source.model))
    recorder = ValueRecorder(names)
    steps = _steps(material.frames)
    for number, values in enumerate(run_floats(graph, material.frames)):
        recorder.add(values)
        material.tell("calibrating", number + 1, steps)
    return {name: recorder.grid(name, method) for name in names}


def _steps(frames: Frames) -> int:
    return min((len(array) for array in frames.values()), default=0)


def _written_values(model: onnx.ModelProto) -> list[str]:
    """Names of inputs and results as the file gives them."""
    names = [value.name for value in model.graph.input]
    names += [name for node in model.graph.node for name in node.output if name]
    return list(dict.fromkeys(names))


def _properties(
    source: SourceModel, plans: Mapping[str, LayerPlan], calibration: Calibration | None
) -> dict[str, str]:
    """What `azsim run` takes widths from, and the whole plan."""
    matrices = [(name, plan) for name, plan in plans.items() if name not in source.tables]
    of_nodes = {node: plan for name, plan in matrices for node in source.nodes[name]}
    plain = [LayerPlan()] if not of_nodes else []  # a model of tables only
    known = [*of_nodes.values(), *plain]
    bits = Counter(plan.stream_bits for plan in known).most_common(1)[0][0]
    zeros = Counter(plan.sparsity for plan in known).most_common(1)[0][0]
    widths = CompressionPlan(
        bits,
        zeros,
        {name: plan.stream_bits for name, plan in of_nodes.items() if plan.stream_bits != bits},
        {name: plan.sparsity for name, plan in of_nodes.items() if plan.sparsity != zeros},
    )
    found = {OWN_PLAN_PROPERTY: widths.to_json(), PLAN_PROPERTY: plan_json(plans)}
    return {**found, **({CALIBRATION_PROPERTY: calibration} if calibration else {})}


def compress_model(
    model: str | Path,
    output: str | Path,
    *,
    plan: WeightPlan,
    input: str | Path | None = None,
    frames: int | None = None,
    calibration: Calibration = "minmax",
    chip: ChipConfig,
    budget: Budget | None = None,
    plan_file: str | Path | None = None,
    scan: bool = False,
    dims: Mapping[str, int] | None = None,
    fold: bool = True,
    progress: Tell | None = None,
) -> CompressionResult:
    """Write `model` (ONNX) compressed as a QDQ model to `output`, and say what it costs on `chip`.

    Args:
        plan: what becomes of the weights of each layer.
        input: frames (.npz or .wav) that set the grids of the activations; None leaves the
            activations as they are, and compares outputs on a frame of noise.
        frames: how many of them; None takes all.
        calibration: how their ranges are chosen.
        budget: bytes that the weights may take; widths are then chosen so that they fit.
        plan_file: where to write the plan of each layer.
        scan: also compress each layer alone in every width; the table and a figure are written
            beside `output`, as STEM.scan.csv and STEM.scan.png.
        dims: sizes of the dimensions that the model leaves open; the result has them fixed.
        fold: batch norms and factors behind products become part of their weights first.
        progress: called as progress(stage, done, total).

    Raises:
        AzsimError: anything the user can mend, in one line; nothing is written then.
    """
    files = _files(Path(output), plan_file, scan)
    _check_places(files, [Path(path) for path in (model, input) if path is not None])
    if frames is not None and input is None:
        raise ConfigError("--frames: needs frames (-i)")
    source = read_source(model, dims, fold)
    own = PlanWishes().plan(source.graph)
    plans = plan.resolve(source, own)
    material = prepare_material(source, input, frames, progress or _silent)
    if budget is not None:
        ways = None if plan.says_calibration else BUDGET_CALIBRATIONS
        plans = fit_budget(material, plans, budget, chip, ways)
    rows = scan_layers(material, plans, chip) if scan else []
    made = make_compressed(material, plans, calibration)
    result = _result(material, plans, made, own, chip)
    save_onnx(made.model, files[0])
    if plan_file is not None:
        save_text(Path(plan_file), plan_yaml(plans))
    if rows:
        write_scan(rows, *files[-2:])
    return replace(result, scan=tuple(rows), files=files[1:])


def _files(output: Path, plan_file: str | Path | None, scan: bool) -> tuple[Path, ...]:
    """The files to write: the model, the plan, the scan's table and figure."""
    files = [output, *([] if plan_file is None else [Path(plan_file)])]
    if scan:
        files += [output.with_name(f"{output.stem}.scan.{kind}") for kind in ("csv", "png")]
    return tuple(files)


def _check_places(files: Sequence[Path], given: Sequence[Path]) -> None:
    """Refuse results that cannot be written, or not beside each other and what they are made of."""
    seen = {os.path.realpath(path): "an input" for path in given}
    for path in files:
        place = str(output_place(path))
        if place in seen:
            raise ConfigError(f"{path}: must be another file than {seen[place]}")
        seen[place] = "another result"


def _silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


def _result(
    material: Material,
    plans: Mapping[str, LayerPlan],
    made: Made,
    own: CompressionPlan,
    chip: ChipConfig,
) -> CompressionResult:
    source = material.source
    material.tell("measuring", 0, 2)
    before = source_sizes(source, layer_sizes(source.graph, material.ranges, own, chip))
    material.tell("measuring", 1, 2)
    ranges, found = ranges_and_outputs(made.graph, material.frames, material.tell)
    sizes = layer_sizes(made.graph, ranges, PlanWishes().plan(made.graph), chip)
    after = source_sizes(source, sizes)
    material.tell("measuring", 2, 2)
    layers = tuple(
        LayerResult(
            name,
            plan,
            before[name],
            after[name],
            _weights_sqnr(source, made, name),
        )
        for name, plan in plans.items()
    )
    share = noise_share(material.exact, found)
    return CompressionResult(
        layers,
        decibels(share),
        material.frames_text,
        len(made.grids),
        chip.name,
        chip.decoder.profile,
        source.left,
    )


def _weights_sqnr(source: SourceModel, made: Made, layer: str) -> float | None:
    if layer not in made.integers:
        return None
    exact = np.concatenate([part.rows.reshape(-1) for part in source.parts[layer]])
    other = np.concatenate([rows.numbers.reshape(-1) for rows in made.integers[layer]])
    return sqnr_of(exact, other)
