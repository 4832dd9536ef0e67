"""Models with one `If`: a net that chooses its branch in every step from what it has computed.

Such a file is read as three graphs without `If`: the arbitrator (everything that the condition
hangs on) and one graph for each branch, with all that is behind the `If`. What arbitrator and
branch both need is in both. States become plain inputs and outputs of these graphs: they stay in
memory between the graphs, where each of them finds them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import numpy_helper

from azsim.errors import ModelError
from azsim.frontend.dims import bind_dimensions
from azsim.frontend.model_file import STATE_PROPERTY, load_model, read_metadata, read_state_pairs
from azsim.frontend.model_parts import Place
from azsim.frontend.node import node_text
from azsim.frontend.read import read_message, read_onnx
from azsim.frontend.scalesim import is_topology
from azsim.graph import Graph, StatePair, Value
from azsim.graph.text import one_line, quoted

THEN, ELSE = "then", "else"
BRANCHES = (THEN, ELSE)
OPERATOR = "If"
_COMPARED = {
    "Greater": ">", "GreaterOrEqual": ">=", "Less": "<", "LessOrEqual": "<=", "Equal": "==",
}  # fmt: skip
_MOVED = ("Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten")


@dataclass(frozen=True)
class Condition:
    """`left` sign `right` holds: the branch is `then`, unless `negated`. Operands are values of
    the arbitrator with one element each, or numbers."""

    left: str | float
    sign: str
    right: str | float
    negated: bool

    def choose(self, left: float, right: float) -> str:
        """Return the branch for these operands."""
        holds = {
            ">": left > right,
            ">=": left >= right,
            "<": left < right,
            "<=": left <= right,
            "==": left == right,
            "!=": left != right,
        }[self.sign]
        return THEN if holds != self.negated else ELSE

    @property
    def values(self) -> tuple[str, ...]:
        """Names of the operands that are computed."""
        return tuple(part for part in (self.left, self.right) if isinstance(part, str))


@dataclass(frozen=True)
class BranchedModel:
    """A model with one `If`, taken apart.

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
    """Read a model file with one `If` among its nodes; None if it has none. `dims` as of
    `read_onnx`.

    The condition must be made by Greater, GreaterOrEqual, Less, LessOrEqual or Equal of single
    numbers, or by Cast of one (an ArgMax for example), with Not if wanted. Raises ModelError of one
    line, as `read_onnx` does.
    """
    path = Path(path)
    if is_topology(path):
        return None
    try:
        model, places = load_model(path)
        found = [node for node in model.graph.node if node.op_type == OPERATOR]
        if not found:
            return None
        if len(found) > 1:
            raise ModelError(f"graph must have one If, not {len(found)}")
        bind_dimensions(model, dims or {})
        return _Splitter(path, model, places, found[0]).split()
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
        chosen: onnx.NodeProto,
    ) -> None:
        self._path, self._model, self._places, self._if = path, model, dict(places), chosen
        self._where = node_text(chosen.name or OPERATOR, OPERATOR)
        self._pairs = read_state_pairs(read_metadata(model))
        self._makers = _makers(model.graph.node)
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer}
        self._outputs = [value.name for value in model.graph.output]

    def split(self) -> BranchedModel:
        """Return the three graphs."""
        condition = self._condition()
        for name in condition.values:
            self._check_depends(name, condition)
        cone, _ = _cone(self._model.graph.node, condition.values)
        made = {name for node in cone for name in node.output if name}
        own = [name for name in self._outputs if name in made]
        arbitrator = self._graph(cone, [*dict.fromkeys((*condition.values, *own))], ())
        for name in condition.values:
            if name not in arbitrator.values or arbitrator.values[name].size != 1:
                raise ModelError(f"{self._where}: {quoted(name)} must be one number")
        rest = [name for name in self._outputs if name not in made]
        branches = {name: self._branch(name, rest) for name in BRANCHES}
        results = set(self._pairs.values())
        return BranchedModel(
            self._path.name,
            self._if.name or OPERATOR,
            condition,
            arbitrator,
            branches,
            tuple(StatePair(*pair) for pair in self._pairs.items()),
            self._given((arbitrator, *branches.values())),
            tuple(name for name in self._outputs if name not in results),
        )

    # -- condition

    def _condition(self) -> Condition:
        if len(self._if.input) != 1:
            raise ModelError(f"{self._where}: must have one input, not {len(self._if.input)}")
        name, negated = self._if.input[0], False
        for _ in range(len(self._model.graph.node) + 1):  # no further than a chain without a loop
            node = self._makers.get(name)
            if node is not None and len(node.input) < 1 + (node.op_type in _COMPARED):
                break
            operator = "nothing" if node is None else node.op_type
            if node is not None and operator in (*_MOVED, "Not"):
                negated ^= operator == "Not"
                name = node.input[0]
            elif node is not None and operator in _COMPARED:
                left, right = (self._operand(part) for part in node.input[:2])
                return self._varying(Condition(left, _COMPARED[operator], right, negated))
            elif node is not None and operator == "Cast" and _casts_to_bool(node):
                return self._varying(Condition(self._operand(node.input[0]), "!=", 0.0, negated))
            elif node is None and name in self._constants:
                held = bool(self._number(name, self._constants[name]))
                raise self._constant(held != negated)
            else:
                raise ModelError(
                    f"{self._where}: condition {quoted(name)} must be made by"
                    f" {', '.join(_COMPARED)}, Not or Cast to bool, not by {operator}"
                )
        raise ModelError(f"{self._where}: condition {quoted(name)} must be computed")

    def _operand(self, name: str) -> str | float:
        """A number, or the value in front of what only moves it."""
        node = None
        for _ in range(len(self._model.graph.node) + 1):
            node = self._makers.get(name)
            if node is None or node.op_type not in _MOVED or not node.input:
                break
            name = node.input[0]
        if node is not None and node.op_type == "Constant":
            tensor = next((a.t for a in node.attribute if a.name == "value"), None)
        else:
            tensor = self._constants.get(name)
        return name if tensor is None else self._number(name, tensor)

    def _number(self, name: str, tensor: onnx.TensorProto) -> float:
        """The one element of a constant."""
        try:
            if math.prod(tensor.dims) != 1 or tensor.HasField("data_location"):
                raise ValueError
            return float(numpy_helper.to_array(tensor).reshape(-1)[0])
        except (ValueError, TypeError, KeyError, IndexError):
            raise ModelError(f"{self._where}: {quoted(name)} must be one number") from None

    def _varying(self, condition: Condition) -> Condition:
        left, right = condition.left, condition.right
        if not isinstance(left, str) and not isinstance(right, str):
            raise self._constant(condition.choose(left, right) == THEN)
        return condition

    def _constant(self, holds: bool) -> ModelError:
        never = ELSE if holds else THEN
        return ModelError(
            f"{self._where}: condition must depend on an input, it is always"
            f" {'true' if holds else 'false'}: branch {quoted(never)} is never taken"
        )

    def _check_depends(self, name: str, condition: Condition) -> None:
        """Refuse an operand that no node makes, or that hangs on constants only."""
        if name not in self._makers:
            raise ModelError(
                f"{self._where}: {quoted(name)} must be made by a node of the arbitrator"
            )
        _, leaves = _cone(self._model.graph.node, condition.values)
        inputs = {value.name for value in self._model.graph.input} - set(self._constants)
        if not leaves & inputs:
            raise ModelError(
                f"{self._where}: condition must depend on an input, it is always the same"
            )

    # -- graphs

    def _branch(self, name: str, outputs: Sequence[str]) -> Graph:
        bodies = [a.g for a in self._if.attribute if a.name == f"{name}_branch"]
        if len(bodies) != 1:
            raise ModelError(f"{self._where}: must have one attribute {name}_branch")
        body = bodies[0]
        if len(body.output) != len(self._if.output):
            raise ModelError(
                f"{self._where}: branch {quoted(name)} must have {len(self._if.output)} outputs,"
                f" not {len(body.output)}"
            )
        ends = [
            onnx.helper.make_node(
                "Identity", [inner.name], [outer], name=f"{self._if.name}/{name}/{outer}"
            )
            for inner, outer in zip(body.output, self._if.output, strict=True)
        ]
        nodes: list[onnx.NodeProto] = []
        for node in self._model.graph.node:
            nodes.extend((*body.node, *ends) if node is self._if else (node,))
        kept = self._passed_on(nodes)
        cone, _ = _cone(nodes, wanted := [n for n in outputs if n not in kept])
        return self._graph(cone, wanted, body.initializer)

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


def _casts_to_bool(node: onnx.NodeProto) -> bool:
    return any(a.name == "to" and a.i == onnx.TensorProto.BOOL for a in node.attribute)


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
