"""The condition of an If: a comparison of what the net has computed, found behind what only moves
it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import onnx

from azsim.errors import ModelError
from azsim.frontend.node import node_text
from azsim.frontend.tensors import TensorReader
from azsim.graph.text import quoted

THEN, ELSE = "then", "else"
_COMPARED = {
    "Greater": ">", "GreaterOrEqual": ">=", "Less": "<", "LessOrEqual": "<=", "Equal": "==",
}  # fmt: skip
_MOVED = ("Identity", "Squeeze", "Unsqueeze", "Reshape", "Flatten")
_TRUTHS = ("And", "Or", "Xor", "Where", "Slice", "Split", "Gather", "GatherElements")
"""What the chip computes of truths: the branch goes by its result."""
_WHOLE = ("ArgMax", "ArgMin")  # their results are the same in every type
_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
_WHOLES = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)


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


class ConditionReader:
    """Reads the condition of one If of a graph."""

    def __init__(
        self, graph: onnx.GraphProto, chosen: onnx.NodeProto, tensors: TensorReader
    ) -> None:
        self._if, self._tensors = chosen, tensors
        self._where = node_text(chosen.name or "If", "If")
        self._makers = {name: node for node in graph.node for name in node.output if name}
        self._longest = len(graph.node) + 1  # no further than a chain without a loop
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._given = {value.name for value in graph.input} - set(self._constants)

    def read(self) -> Condition:
        """Return the condition. Raises ModelError of one line that names the If."""
        if len(self._if.input) != 1:
            raise ModelError(f"{self._where}: must have one input, not {len(self._if.input)}")
        name, negated = self._if.input[0], False
        for _ in range(self._longest):
            node = self._makers.get(name)
            if node is None:
                return self._varying(Condition(self._truth(name), "!=", 0.0, negated))
            if len(node.input) < 1 + (node.op_type in _COMPARED) and node.op_type != "Constant":
                break
            if node.op_type in (*_MOVED, "Not"):
                negated ^= node.op_type == "Not"
                name = node.input[0]
            else:
                return self._varying(self._made(name, node, negated))
        raise ModelError(f"{self._where}: condition {quoted(name)} must be computed")

    def _truth(self, name: str) -> str | float:
        """A condition that no node makes: an input, or a constant."""
        if name in self._given:
            return name
        if name in self._constants:
            return self._number(name, self._constants[name])
        raise ModelError(f"{self._where}: condition {quoted(name)} must be computed")

    def _made(self, name: str, node: onnx.NodeProto, negated: bool) -> Condition:
        """The condition that a node makes."""
        if node.op_type in _COMPARED:
            left, right = (self._operand(part) for part in node.input[:2])
            return Condition(left, _COMPARED[node.op_type], right, negated)
        if node.op_type == "Cast" and _kind(node) == onnx.TensorProto.BOOL:
            return Condition(self._operand(node.input[0]), "!=", 0.0, negated)
        if node.op_type in (*_TRUTHS, "Constant"):
            return Condition(self._operand(name), "!=", 0.0, negated)
        raise ModelError(
            f"{self._where}: condition {quoted(name)} must be made by"
            f" {', '.join(_COMPARED)}, {', '.join(_TRUTHS)}, Not or Cast to bool,"
            f" not by {node.op_type}"
        )

    def _operand(self, name: str) -> str | float:
        """A number, or the value in front of what only moves it."""
        node = None
        for _ in range(self._longest):
            node = self._makers.get(name)
            if node is None or not node.input or not self._is_moved(node):
                break
            name = node.input[0]
        if node is not None and node.op_type == "Constant":
            return self._constant_node(name, node)
        tensor = self._constants.get(name)
        return name if tensor is None else self._number(name, tensor)

    def _constant_node(self, name: str, node: onnx.NodeProto) -> float:
        for attribute in node.attribute:
            if attribute.name == "value":
                return self._number(name, attribute.t)
            if attribute.name in ("value_float", "value_int"):
                return attribute.f if attribute.name == "value_float" else float(attribute.i)
        raise ModelError(f"{self._where}: {quoted(name)} must be one number")

    def _is_moved(self, node: onnx.NodeProto) -> bool:
        """Whether a node's result is its input; as is that of a Cast to a type that holds it."""
        if node.op_type != "Cast":
            return node.op_type in _MOVED
        source = self._makers.get(node.input[0])
        whole = source is not None and (
            source.op_type in _WHOLE or (source.op_type == "Cast" and _kind(source) in _WHOLES)
        )
        return _kind(node) in _FLOATS or (whole and _kind(node) in _WHOLES)

    def _number(self, name: str, tensor: onnx.TensorProto) -> float:
        """The one element of a constant."""
        if math.prod(tensor.dims) != 1:
            raise ModelError(f"{self._where}: {quoted(name)} must be one number")
        return float(self._tensors.read(tensor, name).reshape(-1)[0])

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


def _kind(node: onnx.NodeProto) -> int:
    """The type that a Cast casts to."""
    return next((int(a.i) for a in node.attribute if a.name == "to"), 0)
