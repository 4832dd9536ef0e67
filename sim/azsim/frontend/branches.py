"""Models with an `If`: a net that chooses its branch in every step from what it has computed.

Such a file is read as three graphs without `If`: the arbitrator (everything that the condition
hangs on) and one graph for each branch, with all that is behind the `If`. What arbitrator and
branch both need is in both. States become plain inputs and outputs of these graphs: they stay in
memory between the graphs, where each of them finds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from azsim.errors import ModelError
from azsim.frontend.branch_bodies import HANDED_ON, OPERATOR, Names, place_body
from azsim.frontend.conditions import ELSE, THEN, Condition, ConditionReader
from azsim.frontend.dims import bind_dimensions
from azsim.frontend.model_file import (
    STATE_PROPERTY,
    check_body_texts,
    load_model,
    read_metadata,
    read_state_pairs,
)
from azsim.frontend.model_parts import Place
from azsim.frontend.node import node_text
from azsim.frontend.read import read_message, read_onnx
from azsim.frontend.scalesim import is_topology
from azsim.frontend.tensors import TensorReader
from azsim.graph import Graph, StatePair, Value
from azsim.graph.text import one_line, quoted

BRANCHES = (THEN, ELSE)
OPPOSITE = {THEN: ELSE, ELSE: THEN}


@dataclass(frozen=True)
class BranchedModel:
    """A model with an `If`, taken apart.

    `file`: its name without the folder. `arbitrator`, `branches[THEN]`, `branches[ELSE]`: graphs
    without states. `states`: those of the model; a graph has the input of a pair if it reads it,
    and the output if it makes a new one. `given`: a graph without nodes, with the model's inputs
    and properties. `outputs`: the model's, without states' results.
    """

    file: str
    node: str
    condition: Condition
    arbitrator: Graph
    branches: Mapping[str, Graph]
    states: tuple[StatePair, ...]
    given: Graph
    outputs: tuple[str, ...]

    @property
    def graphs(self) -> dict[str, Graph]:
        """All three by name, the arbitrator first."""
        return {"arbitrator": self.arbitrator, **self.branches}


def read_branches(path: str | Path, dims: Mapping[str, int] | None = None) -> BranchedModel | None:
    """Read a model file with an `If` among its nodes; None if it has none. `dims` as of
    `read_onnx`.

    The condition must be an input, be made by a comparison of single numbers, by Cast of one (an
    ArgMax for example), or by operators on truths. Several `If` with one condition, or with its
    opposite, are one choice. Raises ModelError of one line, as `read_onnx` does.
    """
    path = Path(path)
    if is_topology(path):
        return None
    try:
        model, places = load_model(path)
        found = [node for node in model.graph.node if node.op_type == OPERATOR]
        if not found:
            return None
        bind_dimensions(model, dims or {})
        return _Splitter(path, model, places, found).split()
    except ModelError as error:
        raise ModelError(one_line(f"{path}: {error}")) from None


def read_either(path: str | Path, dims: Mapping[str, int] | None = None) -> Graph | BranchedModel:
    """Return a model with an If taken apart, any other as `read_onnx` does. Raises ModelError as
    these do."""
    branched = read_branches(path, dims)
    return read_onnx(path, dims) if branched is None else branched


class _Splitter:
    """Takes one model apart."""

    def __init__(
        self,
        path: Path,
        model: onnx.ModelProto,
        places: Mapping[str, Place],
        found: Sequence[onnx.NodeProto],
    ) -> None:
        self._path, self._model, self._places, self._ifs = path, model, dict(places), found
        for body in (a.g for node in found for a in node.attribute):
            check_body_texts(body)
        self._name = found[0].name or OPERATOR
        self._where = node_text(self._name, OPERATOR)
        self._pairs = read_state_pairs(read_metadata(model))
        stored = {tensor.name for tensor in model.graph.initializer}
        self._inputs = {value.name for value in model.graph.input} - stored
        self._outputs = [value.name for value in model.graph.output]
        self._nodes = list(model.graph.node)

    def split(self) -> BranchedModel:
        """Return the three graphs."""
        condition = self._of_nodes(self._one_condition())
        cone, leaves = _cone(self._nodes, condition.values)
        if not leaves & self._inputs:
            raise ModelError(
                f"{self._where}: condition must depend on an input, it is always the same"
            )
        made = {name for node in cone for name in node.output if name}
        own = [name for name in self._outputs if name in made]
        arbitrator = self._graph(cone, [*dict.fromkeys((*condition.values, *own))], ())
        for name in condition.values:
            if name not in arbitrator.values or arbitrator.values[name].size != 1:
                source = self._handed_on.get(name, name)
                raise ModelError(f"{self._where}: {quoted(source)} must be one number")
        rest = [name for name in self._outputs if name not in made]
        branches = {name: self._branch(name, rest) for name in BRANCHES}
        results = set(self._pairs.values())
        return BranchedModel(
            self._path.name,
            self._name,
            condition,
            arbitrator,
            branches,
            tuple(StatePair(*pair) for pair in self._pairs.items()),
            self._given((arbitrator, *branches.values())),
            tuple(name for name in self._outputs if name not in results),
        )

    def _one_condition(self) -> Condition:
        """The condition of the first If, which all others have, or its opposite."""
        tensors = TensorReader(self._path, self._places)
        conditions = [
            ConditionReader(self._model.graph, node, tensors).read() for node in self._ifs
        ]
        first = conditions[0]
        opposite = replace(first, negated=not first.negated)
        for node, condition in zip(self._ifs, conditions, strict=True):
            if condition not in (first, opposite):
                raise ModelError(
                    f"{node_text(node.name or OPERATOR, OPERATOR)}: must have the condition of"
                    f" {self._where}: a model chooses once in a step"
                )
        self._swapped = [condition != first for condition in conditions]
        return first

    def _of_nodes(self, condition: Condition) -> Condition:
        """The condition with inputs handed on by nodes, so that the arbitrator makes something."""
        new = {name: f"{self._name}/{name}" for name in condition.values if name in self._inputs}
        self._handed_on = {handed_on: name for name, handed_on in new.items()}
        for name, handed_on in new.items():
            node = onnx.helper.make_node(HANDED_ON, [name], [handed_on], name=handed_on)
            self._nodes.insert(0, node)
        left, right = (
            new.get(part, part) if isinstance(part, str) else part
            for part in (condition.left, condition.right)
        )
        return replace(condition, left=left, right=right)

    # -- graphs

    def _branch(self, name: str, outputs: Sequence[str]) -> Graph:
        names = Names.of(self._model.graph)
        placed: dict[int, list[onnx.NodeProto]] = {}
        constants: list[onnx.TensorProto] = []
        for node, swapped in zip(self._ifs, self._swapped, strict=True):
            branch = OPPOSITE[name] if swapped else name
            placed[id(node)], more = place_body(node, branch, names)
            constants += more
        nodes = [inner for node in self._nodes for inner in placed.get(id(node), (node,))]
        kept = self._passed_on(nodes)
        cone, _ = _cone(nodes, wanted := [n for n in outputs if n not in kept])
        return self._graph(cone, wanted, constants)

    def _passed_on(self, nodes: Sequence[onnx.NodeProto]) -> set[str]:
        """Results of states that are the states themselves: these stay where they are."""
        makers = _makers(nodes)
        passed = set()
        for source, result in self._pairs.items():
            name = result
            for _ in range(len(nodes)):
                node = makers.get(name)
                if node is None or node.op_type != "Identity" or not node.input:
                    break
                name = node.input[0]
            if name == source:
                passed.add(result)
        return passed

    def _graph(
        self,
        nodes: Sequence[onnx.NodeProto],
        outputs: Sequence[str],
        more: Iterable[onnx.TensorProto],
    ) -> Graph:
        """Read a part of the model as a graph of its own."""
        whole, used = self._model.graph, {name for node in nodes for name in node.input}
        part = onnx.ModelProto()
        part.CopyFrom(self._without_graph())
        part.graph.name = whole.name
        part.graph.node.extend(nodes)
        tensors = (*whole.initializer, *more)
        part.graph.initializer.extend(tensor for tensor in tensors if tensor.name in used)
        part.graph.input.extend(value for value in whole.input if value.name in used)
        stated = {value.name: value for value in (*whole.output, *whole.value_info)}
        part.graph.output.extend(
            stated.get(name, onnx.ValueInfoProto(name=name)) for name in outputs
        )
        return read_message(part, self._path, self._places)

    def _without_graph(self) -> onnx.ModelProto:
        model = onnx.ModelProto(
            ir_version=self._model.ir_version, opset_import=self._model.opset_import
        )
        model.metadata_props.extend(
            entry for entry in self._model.metadata_props if entry.key != STATE_PROPERTY
        )
        return model

    def _given(self, graphs: Sequence[Graph]) -> Graph:
        values: dict[str, Value] = {}
        for value in self._model.graph.input:
            for graph in graphs:
                if value.name in graph.inputs and value.name not in self._pairs:
                    values[value.name] = graph.values[value.name]
        metadata = read_metadata(self._model)
        return Graph(self._model.graph.name, (), values, tuple(values), (), (), metadata)


def _makers(nodes: Iterable[onnx.NodeProto]) -> dict[str, onnx.NodeProto]:
    return {name: node for node in nodes for name in node.output if name}


def _cone(
    nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]
) -> tuple[list[onnx.NodeProto], set[str]]:
    """Return the nodes that `outputs` hang on, in their order, and the names no node makes."""
    makers = {name: k for k, node in enumerate(nodes) for name in node.output if name}
    live: set[int] = set()
    leaves: set[str] = set()
    wanted = list(outputs)
    while wanted:
        name = wanted.pop()
        index = makers.get(name)
        if index is None:
            leaves.add(name)
        elif index not in live:
            live.add(index)
            wanted.extend(nodes[index].input)
    return [nodes[k] for k in sorted(live)], leaves
