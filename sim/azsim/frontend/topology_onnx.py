"""A topology of SCALE-Sim as an ONNX model, for other commands and other tools."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper, numpy_helper

from azsim.graph import Graph, ValueKind

_OPSET, _IR_VERSION = 17, 8


def topology_model(graph: Graph) -> onnx.ModelProto:
    """Return the model of a graph made by `topology_graph`; it reads as the same graph, and has its
    seed and origin as properties.
    """
    nodes = [
        helper.make_node(node.operator, list(node.inputs), list(node.outputs), name=node.name)
        for node in graph.nodes
    ]
    constants = [
        numpy_helper.from_array(value.data, value.name)
        for value in graph.values.values()
        if value.kind is ValueKind.CONSTANT and value.data is not None
    ]
    inputs, outputs = (
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, graph.values[name].shape)
            for name in names
        ]
        for names in (graph.inputs, graph.outputs)
    )
    model = helper.make_model(
        helper.make_graph(nodes, graph.name, inputs, outputs, constants),
        producer_name="azsim",
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", _OPSET)],
    )
    helper.set_model_props(model, dict(graph.metadata))
    return model
