"""Add, Mul, the activations and Softmax."""

from __future__ import annotations

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode
from azsim.frontend.rules import Support, axis_in_range, float_inputs, normal_axis


def _lower_plain(node: OnnxNode, builder: GraphBuilder) -> None:
    inputs = tuple(builder.use(node.require(k)) for k in range(len(node.inputs)))
    builder.emit(node.name, node.operator, inputs, node.outputs)


def _lower_softmax(node: OnnxNode, builder: GraphBuilder) -> None:
    x = node.require(0)
    axis = normal_axis(node.whole("axis", -1), len(x.shape))
    builder.emit(node.name, "Softmax", (builder.use(x),), node.outputs, {"axis": axis})


SUPPORT = (
    *(
        Support(operator, operator, (float_inputs,), _lower_plain)
        for operator in ("Add", "Mul", "Relu", "Sigmoid", "Tanh")
    ),
    Support("Softmax", "Softmax", (float_inputs, axis_in_range), _lower_softmax),
)
