"""A run of a model that chooses a branch in every step: calibrate, compile, simulate, verify.

The three graphs of the model (`azsim.frontend.branches`) are calibrated together and compiled
alone; values that lie in memory between them have one format in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.compiler import CompressionPlan, RangeRecorder, Ranges, compress_weights, lower_integers
from azsim.config import ChipConfig
from azsim.engine.branching import (
    ARBITRATOR,
    BranchModes,
    BranchPart,
    BranchResult,
    simulate_branches,
)
from azsim.errors import CompileError, ConfigError
from azsim.frontend import Inputs
from azsim.frontend.branches import BRANCHES, OPPOSITE, BranchedModel
from azsim.graph import Graph
from azsim.graph.integer import IntegerGraph
from azsim.preparing import quantize_inputs
from azsim.program import Port
from azsim.reference.floats import evaluate_floats
from azsim.reference.integers import evaluate_integers
from azsim.session import Session
from azsim.units import BYTES_PER_KB, ceil_div

Progress = Callable[[str, int, int], None]
FloatArray = npt.NDArray[np.float32]
IntegerArray = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class FloatBranches:
    """The float pass: ranges of each graph, the model's outputs, the branch of each step."""

    ranges: Mapping[str, Ranges]
    outputs: Mapping[str, FloatArray]
    chosen: tuple[str, ...]


@dataclass(frozen=True)
class BranchOutcome:
    """What a run of a branched model gave. `exact` of the steps had all outputs and the branch as
    the integer reference, None if it was not asked; `first_difference` as in Verification."""

    parts: Mapping[str, BranchPart]
    result: BranchResult
    floats: FloatBranches
    ports: Mapping[str, Port]
    exact: int | None
    first_difference: str


def float_branches(model: BranchedModel, inputs: Inputs, tell: Progress) -> FloatBranches:
    """Evaluate the float model step by step. Both branches run on the states of the chosen one, so
    that both are calibrated, on all steps."""
    graphs = model.graphs
    recorders = {name: RangeRecorder(graph) for name, graph in graphs.items()}
    held = {
        pair.source: np.zeros(graph.values[pair.source].shape, np.float32)
        for pair in model.states
        for graph in graphs.values()
        if pair.source in graph.values
    }
    outputs: dict[str, list[FloatArray]] = {name: [] for name in model.outputs}
    chosen: list[str] = []
    for step in range(inputs.steps):
        frame = {name: array[step] for name, array in inputs.frames.items()}
        values: dict[str, dict[str, Any]] = {}
        for name, graph in graphs.items():
            given = {key: held[key] if key in held else frame[key] for key in graph.inputs}
            values[name], _ = evaluate_floats(graph, given, {})
            recorders[name].add(values[name])
        taken = _choose(model, _numbers(values[ARBITRATOR]))
        made = {**values[ARBITRATOR], **values[taken]}
        chosen.append(taken)
        own = set(model.arbitrator.outputs) | set(model.branches[taken].outputs)
        held |= {p.source: made[p.result].astype(np.float32) for p in model.states
                 if p.result in own}  # fmt: skip
        for name, arrays in outputs.items():
            arrays.append(made[name].astype(np.float32))
        tell("calibrating", step + 1, inputs.steps)
    ranges = {name: recorder.ranges() for name, recorder in recorders.items()}
    stacked = {name: np.stack(arrays) for name, arrays in outputs.items() if arrays}
    return FloatBranches(_joined_ranges(model, ranges), stacked, tuple(chosen))


def _numbers(values: Mapping[str, Any]) -> Callable[[str], float]:
    return lambda name: float(values[name].reshape(-1)[0])


def _choose(model: BranchedModel, number: Callable[[str], float]) -> str:
    condition = model.condition
    left, right = (
        number(part) if isinstance(part, str) else part
        for part in (condition.left, condition.right)
    )
    return condition.choose(left, right)


def _joined_ranges(model: BranchedModel, ranges: Mapping[str, Ranges]) -> dict[str, Ranges]:
    """Give states and outputs the largest range that they have in any of the graphs."""
    peaks: dict[str, float] = {}
    cells: dict[str, float] = {}
    alias = {pair.result: pair.source for pair in model.states}
    shared = {*alias, *alias.values(), *model.outputs}
    for name, graph in model.graphs.items():
        for value in shared & set(ranges[name].peak):
            key = alias.get(value, value)
            peaks[key] = max(peaks.get(key, 0.0), ranges[name].peak[value])
        for node, state in _cells(graph, alias).items():
            cells[state] = max(cells.get(state, 0.0), ranges[name].cell_peak.get(node, 0.0))
    joined = {}
    for name, graph in model.graphs.items():
        peak = dict(ranges[name].peak)
        peak |= {v: peaks[alias.get(v, v)] for v in shared & set(peak)}
        cell = dict(ranges[name].cell_peak)
        cell |= {node: cells[state] for node, state in _cells(graph, alias).items()}
        joined[name] = Ranges(peak, cell)
    return joined


def _cells(graph: Graph, alias: Mapping[str, str]) -> dict[str, str]:
    """LSTM node -> the model's state that holds its c."""
    return {
        node.name: alias[node.outputs[2]]
        for node in graph.nodes
        if node.operator == "LSTM" and node.outputs[2] in alias
    }


# -- compile ------------------------------------------------------------------------------------


def _part_plan(plan: CompressionPlan, graph: Graph) -> CompressionPlan:
    names = {node.name for node in graph.nodes}
    return replace(
        plan,
        layer_bits={k: v for k, v in plan.layer_bits.items() if k in names},
        layer_sparsity={k: v for k, v in plan.layer_sparsity.items() if k in names},
    )


def _check_layers(model: BranchedModel, plan: CompressionPlan) -> None:
    known = {node.name for graph in model.graphs.values() for node in graph.nodes}
    for name in (*plan.layer_bits, *plan.layer_sparsity):
        if name not in known:
            raise ConfigError(f"layer '{name}' must be one of the layers with weights")


def _with_store(chip: ChipConfig, capacity_kb: int) -> ChipConfig:
    store = chip.weight_store.model_copy(update={"capacity_kb": capacity_kb})
    return chip.model_copy(update={"weight_store": store})


def compile_branches(
    integers: Mapping[str, IntegerGraph], chip: ChipConfig, tell: Progress
) -> dict[str, BranchPart]:
    """Compile the three graphs, the arbitrator first. It has what it needs of the weight store, the
    branches half of the rest each; what one of them does not need the other one has.

    Raises:
        CompileError: a graph that the chip cannot run.
    """

    def compiled(name: str, capacity_kb: int) -> BranchPart:
        own = _with_store(chip, capacity_kb)
        return BranchPart(lower_integers(integers[name], own), own)

    parts: dict[str, BranchPart] = {}
    left_kb = chip.weight_store.capacity_kb
    for name in integers:
        if name == ARBITRATOR:
            needed_kb = _used_kb(compiled(name, left_kb))
            left_kb -= needed_kb
            parts[name] = compiled(name, needed_kb)
        else:
            parts[name] = compiled(name, left_kb // len(BRANCHES))
        tell("compiling", len(parts), len(integers))
    wanting = [name for name in BRANCHES if _wants_more(parts[name])]
    if len(wanting) == 1:
        (name,) = wanting
        other = OPPOSITE[name]
        needed_kb = _used_kb(parts[other])
        parts[other] = compiled(other, needed_kb)
        parts[name] = compiled(name, left_kb - needed_kb)
    return parts


def _used_kb(part: BranchPart) -> int:
    return ceil_div(sum(layer.resident_bytes for layer in part.program.layers), BYTES_PER_KB)


def _wants_more(part: BranchPart) -> bool:
    layers = part.program.layers
    return sum(la.resident_bytes for la in layers) < sum(la.stream_bytes for la in layers)


def shared_ports(model: BranchedModel, parts: Mapping[str, BranchPart]) -> dict[str, Port]:
    """The ports of the parts by name, states under the name of their input.

    Raises:
        CompileError: one value has two formats.
    """
    alias = {pair.result: pair.source for pair in model.states}
    found: dict[str, Port] = {}
    for part in parts.values():
        for port in (*part.program.inputs, *part.program.outputs):
            name = alias.get(port.name, port.name)
            first = found.setdefault(name, port)
            if _format(first) != _format(port):
                raise CompileError(
                    f"'{port.name}': must have one format in all branches, not"
                    f" {_format_text(first)} and {_format_text(port)}"
                )
    return found


def _format(port: Port) -> tuple[str, float, int, tuple[int, ...]]:
    return port.element, port.scale, port.zero_point, port.shape


def _format_text(port: Port) -> str:
    return f"{port.element} in steps of {port.scale:.6g} from {port.zero_point}"


# -- run ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PreparedBranches:
    """A model that was calibrated and compiled. `floats` are of the run's own frames,
    `integers` of all graphs."""

    floats: FloatBranches
    parts: Mapping[str, BranchPart]
    integers: Mapping[str, IntegerGraph]
    ports: Mapping[str, Port]


def prepare_branches(
    model: BranchedModel,
    chip: ChipConfig,
    inputs: Inputs,
    calibrate: Inputs | None,
    plan: CompressionPlan,
    tell: Progress,
    session: Session | None = None,
) -> PreparedBranches:
    """Calibrate and compile `model`; runs of one session share what does not depend on the chip.

    Raises:
        ConfigError: the plan names a layer that no graph has.
        CompileError: values that lie in memory between the graphs differ in their formats.
    """
    shared = session or Session()

    def floats_of(frames: Inputs) -> FloatBranches:
        return shared.once(
            "branches", (model, frames), None, lambda: float_branches(model, frames, tell)
        )

    _check_layers(model, plan)
    floats = floats_of(inputs)
    ranges = floats.ranges if calibrate is None else floats_of(calibrate).ranges
    integers = shared.once(
        "branch integers",
        (model, ranges),
        plan.to_json(),
        lambda: {
            name: compress_weights(graph, ranges[name], _part_plan(plan, graph))
            for name, graph in model.graphs.items()
        },
    )
    parts = compile_branches(integers, chip, tell)
    return PreparedBranches(floats, parts, integers, shared_ports(model, parts))


def run_branches(
    model: BranchedModel,
    chip: ChipConfig,
    prepared: PreparedBranches,
    inputs: Inputs,
    *,
    verify: bool,
    allow_unused: bool,
    modes: BranchModes,
    tell: Progress,
) -> BranchOutcome:
    """Run all steps of `inputs`; see `azsim.api.run`.

    Raises:
        ConfigError: a branch that no step takes, unless `allow_unused`.
    """
    parts, ports = prepared.parts, prepared.ports
    steps = quantize_inputs([ports[name] for name in model.given.inputs], inputs)
    choose = _chooser(model, ports)
    result = simulate_branches(
        parts[ARBITRATOR],
        {name: parts[name] for name in BRANCHES},
        chip,
        {pair.source: pair.result for pair in model.states},
        choose,
        steps,
        model.outputs,
        modes,
        lambda done: tell("simulating", done, len(steps)),
    )
    check_taken(model, result.chosen, allow_unused)
    exact, difference = None, ""
    if verify:
        exact, difference = _verify(model, prepared.integers, ports, steps, result, tell)
    return BranchOutcome(parts, result, prepared.floats, ports, exact, difference)


def _chooser(
    model: BranchedModel, ports: Mapping[str, Port]
) -> Callable[[Mapping[str, IntegerArray]], str]:
    """The decision on the numbers that the arbitrator's integers stand for."""
    alias = {pair.result: pair.source for pair in model.states}

    def choose(made: Mapping[str, IntegerArray]) -> str:
        def number(name: str) -> float:
            port = ports[alias.get(name, name)]
            return (int(made[name].reshape(-1)[0]) - port.zero_point) * port.scale

        return _choose(model, number)

    return choose


def check_taken(
    model: BranchedModel,
    chosen: Sequence[str],
    allow_unused: bool,
    option: str = "--allow-unused-branch",
) -> None:
    """Raise ConfigError if a branch is not among the `chosen` ones, unless that is allowed (by
    `option`, as the user writes it)."""
    for name in BRANCHES:
        if name not in chosen and not allow_unused:
            raise ConfigError(
                f"node '{model.node}' (If): branch '{name}' is never taken in"
                f" {len(chosen)} steps; {option} takes that"
            )


def _verify(
    model: BranchedModel,
    integers: Mapping[str, IntegerGraph],
    ports: Mapping[str, Port],
    steps: Sequence[Mapping[str, IntegerArray]],
    result: BranchResult,
    tell: Progress,
) -> tuple[int, str]:
    """Evaluate the integer graphs, with decisions of their own, and compare step by step."""
    choose = _chooser(model, ports)
    held: dict[str, IntegerArray] = {
        pair.source: np.full(ports[pair.source].shape, ports[pair.source].zero_point,
                             ports[pair.source].element)
        for pair in model.states
    }  # fmt: skip
    exact, difference = 0, ""
    for step, inputs in enumerate(steps):
        made = _evaluate(integers[ARBITRATOR], held, inputs)
        taken = choose(made)
        made |= _evaluate(integers[taken], held, inputs)
        own = set(model.arbitrator.outputs) | set(model.branches[taken].outputs)
        held |= {p.source: made[p.result] for p in model.states if p.result in own}
        wrong = [n for n, a in result.outputs.items() if not np.array_equal(a[step], made[n])]
        if taken != result.chosen[step]:
            wrong.insert(0, "branch")
        exact += not wrong
        if wrong and not difference:
            difference = f"step {step}, output '{wrong[0]}'"
        tell("verifying", step + 1, len(steps))
    return exact, difference


def _evaluate(
    graph: IntegerGraph, held: Mapping[str, IntegerArray], inputs: Mapping[str, IntegerArray]
) -> dict[str, IntegerArray]:
    names = [name for name in (*held, *inputs) if name in graph.tensors]
    values: dict[str, Any] = dict(
        evaluate_integers(graph, {n: held[n] if n in held else inputs[n] for n in names})
    )
    return values
