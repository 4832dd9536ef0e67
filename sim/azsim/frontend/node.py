"""One ONNX node as the rules see it: typed attributes, inputs with shapes and constant data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import onnx
import onnx.defs

from azsim.errors import ModelError
from azsim.graph import StoredIntegers
from azsim.graph.text import quoted

Array = npt.NDArray[np.generic]
AttributeValue = (
    int | float | str | tuple[int, ...] | tuple[float, ...] | tuple[str, ...] | onnx.TensorProto
)


@dataclass(frozen=True)
class Operand:
    """A value that a node reads: the canonical name, its shape, and data if it is a constant.

    `data` keeps the file's own type (float64, int64, bool, ...) until a graph node takes it;
    `stored` says what integers it was made of, if it is a dequantized constant. `element` is the
    file's type of integers, constant or computed: "int8", "int4" (read as int8), ...; a computed
    one has `root`, the graph input or Quantize output that knows its scale. "" stands for float or
    anything else. `is_truth`: a computed bool tensor, of 0.0 and 1.0 in the graph.
    """

    name: str
    shape: tuple[int, ...]
    data: Array | None = None
    is_index: bool = False
    element: str = ""
    root: str = ""
    stored: StoredIntegers | None = None
    is_truth: bool = False


@dataclass(frozen=True)
class OnnxNode:
    """A checked ONNX node. Absent optional inputs are None, unused outputs are ''."""

    name: str
    operator: str
    opset: int
    inputs: tuple[Operand | None, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, AttributeValue] = field(default_factory=dict)

    def operand(self, position: int) -> Operand | None:
        """Return input `position`, None where it is absent."""
        return self.inputs[position] if position < len(self.inputs) else None

    def require(self, position: int) -> Operand:
        """Return input `position`, which the operator's schema makes obligatory."""
        operand = self.operand(position)
        if operand is None:
            raise self.refusal(f"input {position} must be given")
        return operand

    def whole(self, name: str, default: int) -> int:
        """Return integer attribute `name`."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, int) else default

    def real(self, name: str, default: float) -> float:
        """Return float attribute `name`."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, float) else default

    def word(self, name: str, default: str) -> str:
        """Return text attribute `name`."""
        value = self.attributes.get(name, default)
        return value if isinstance(value, str) else default

    def wholes(self, name: str) -> tuple[int, ...] | None:
        """Return integer list attribute `name`, None where it is absent."""
        value = self.attributes.get(name)
        if not isinstance(value, tuple):
            return None
        return tuple(entry for entry in value if isinstance(entry, int))

    def words(self, name: str) -> tuple[str, ...] | None:
        """Return text list attribute `name`, None where it is absent."""
        value = self.attributes.get(name)
        if not isinstance(value, tuple):
            return None
        return tuple(entry for entry in value if isinstance(entry, str))

    def refusal(self, text: str) -> ModelError:
        """Return the error `node 'x' (Op): text`."""
        return ModelError(f"{node_text(self.name, self.operator)}: {text}")


def node_text(name: str, operator: str) -> str:
    """Return `node 'x' (Op)`."""
    return f"node {quoted(name)} ({quoted(operator)[1:-1]})"


def _text(value: bytes) -> str:
    return value.decode("utf-8", errors="replace")


def _value(attribute: onnx.AttributeProto) -> AttributeValue:
    kinds = onnx.AttributeProto
    readers = {
        kinds.INT: lambda a: int(a.i),
        kinds.FLOAT: lambda a: float(a.f),
        kinds.STRING: lambda a: _text(a.s),
        kinds.INTS: lambda a: tuple(a.ints),
        kinds.FLOATS: lambda a: tuple(a.floats),
        kinds.STRINGS: lambda a: tuple(_text(s) for s in a.strings),
        kinds.TENSOR: lambda a: a.t,
    }
    if attribute.type not in readers:
        raise ModelError(f"attribute {quoted(attribute.name)} must be a number, text or tensor")
    if attribute.type == kinds.TENSOR and attribute.t.data_location == onnx.TensorProto.EXTERNAL:
        raise ModelError(f"attribute {quoted(attribute.name)} must be stored in the model file")
    read: AttributeValue = readers[attribute.type](attribute)  # type: ignore[no-untyped-call]
    return read


def _check_count(what: str, count: int, least: int, most: int) -> None:
    if not least <= count <= most:
        limits = f"{least}" if least == most else f"{least} to {most}"
        raise ModelError(f"number of {what} must be {limits}, not {count}")


def checked_attributes(proto: onnx.NodeProto, opset: int) -> dict[str, AttributeValue]:
    """Return the node's attributes after checking node and attributes against ONNX's own schema.

    Raises ModelError (without the node's name) for an unknown, repeated, mistyped or missing
    attribute, or a wrong number of inputs or outputs.
    """
    schema = onnx.defs.get_schema(proto.op_type, opset, "")
    _check_count("inputs", len(proto.input), schema.min_input, schema.max_input)
    _check_count("outputs", len(proto.output), schema.min_output, schema.max_output)
    attributes: dict[str, AttributeValue] = {}
    for attribute in proto.attribute:
        name = attribute.name
        if name not in schema.attributes:
            raise ModelError(f"attribute {quoted(name)} must be one of opset {opset}'s")
        if name in attributes:
            raise ModelError(f"attribute {quoted(name)} must be given once")
        wanted = str(schema.attributes[name].type).rpartition(".")[2]
        if onnx.AttributeProto.AttributeType.Name(attribute.type) != wanted:
            raise ModelError(f"attribute {quoted(name)} must be of type {wanted}")
        attributes[name] = _value(attribute)
    for name, known in schema.attributes.items():
        if known.required and name not in attributes:
            raise ModelError(f"attribute {quoted(name)} must be given")
    return attributes


def present(operands: Sequence[Operand | None]) -> list[Operand]:
    """Return the operands that are there."""
    return [operand for operand in operands if operand is not None]
