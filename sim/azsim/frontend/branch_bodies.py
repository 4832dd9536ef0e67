"""The graphs inside an If, as nodes that can stand in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import onnx

from azsim.errors import ModelError
from azsim.frontend.node import node_text
from azsim.graph.text import quoted

OPERATOR, HANDED_ON = "If", "Identity"


@dataclass
class Names:
    """Names that are taken: of values, and of nodes. A body's own ones count inside of it only; one
    that stands elsewhere too gets another name when the body is put in place."""

    values: set[str] = field(default_factory=set)
    nodes: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, graph: onnx.GraphProto) -> Names:
        """Those of a graph, without those in its bodies."""
        values = {value.name for value in (*graph.input, *graph.initializer)}
        values |= {name for node in graph.node for name in node.output if name}
        return cls(values, {node.name for node in graph.node if node.name})


def place_body(
    chosen: onnx.NodeProto, branch: str, names: Names
) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Return the nodes and constants of a branch of `chosen`; the last nodes make its outputs.
    `names` takes up those of the body.

    Raises:
        ModelError: no such branch, or another number of outputs.
    """
    body = _body(chosen, branch)
    before = f"{chosen.name or OPERATOR}/{branch}/"
    constants = [tensor.name for tensor in body.initializer]
    made = [name for node in body.node for name in node.output if name]
    values = _renamed([*constants, *made], names.values, before)
    nodes = _renamed([node.name for node in body.node if node.name], names.nodes, before)
    ends = [
        onnx.helper.make_node(HANDED_ON, [inner.name], [outer], name=f"{before}{outer}")
        for inner, outer in zip(body.output, chosen.output, strict=True)
    ]
    names.values |= {values(name) for name in (*constants, *made)}
    names.nodes |= {nodes(node.name) for node in body.node} | {end.name for end in ends}
    inside = [_with_names(node, values, nodes) for node in body.node]
    for end in ends:
        end.input[0] = values(end.input[0])
    return [*inside, *ends], [_tensor(tensor, values) for tensor in body.initializer]


def _body(chosen: onnx.NodeProto, branch: str) -> onnx.GraphProto:
    where = node_text(chosen.name or OPERATOR, OPERATOR)
    bodies: list[onnx.GraphProto] = [a.g for a in chosen.attribute if a.name == f"{branch}_branch"]
    if len(bodies) != 1:
        raise ModelError(f"{where}: must have one attribute {branch}_branch")
    if len(bodies[0].output) != len(chosen.output):
        raise ModelError(
            f"{where}: branch {quoted(branch)} must have {len(chosen.output)} outputs,"
            f" not {len(bodies[0].output)}"
        )
    return bodies[0]


def _renamed(own: list[str], taken: set[str], before: str) -> Callable[[str], str]:
    """A function from a body's names to those it gets; names from outside stay."""
    new: dict[str, str] = {}
    used = taken | set(own)
    for name in own:
        if name in taken:
            wish = before + name
            while wish in used:
                wish += "_"
            used.add(wish)
            new[name] = wish
    return lambda name: new.get(name, name)


def _with_names(
    node: onnx.NodeProto, values: Callable[[str], str], nodes: Callable[[str], str]
) -> onnx.NodeProto:
    """The node itself, or a copy with other names."""
    inputs, outputs = [values(n) for n in node.input], [values(n) for n in node.output]
    same = inputs == list(node.input) and outputs == list(node.output)
    if same and nodes(node.name) == node.name:
        return node
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    copy.name = nodes(node.name)
    copy.input[:], copy.output[:] = inputs, outputs
    return copy


def _tensor(tensor: onnx.TensorProto, values: Callable[[str], str]) -> onnx.TensorProto:
    if values(tensor.name) == tensor.name:
        return tensor
    copy = onnx.TensorProto()
    copy.CopyFrom(tensor)
    copy.name = values(tensor.name)
    return copy
