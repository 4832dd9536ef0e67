"""Which nodes of a model file its outputs depend on."""

from __future__ import annotations

import onnx

from azsim.frontend.node import node_text

SHAPE_ONLY = ("Shape", "Size")  # what they give is known whatever the input holds


def live_nodes(graph: onnx.GraphProto) -> set[int]:
    """Return the indices of the nodes that some graph output depends on."""
    maker = {name: k for k, node in enumerate(graph.node) for name in node.output if name}
    live: set[int] = set()
    wanted = [output.name for output in graph.output]
    while wanted:
        index = maker.get(wanted.pop())
        if index is not None and index not in live:
            live.add(index)
            wanted.extend(graph.node[index].input)
    return live


def unused_node(graph: onnx.GraphProto) -> str:
    """Return a refusal of the first node that computes something from the inputs which no output
    depends on; "" if there is none.

    Leftovers that hang on constants and shapes only are what exporters leave behind; they do no
    harm.
    """
    live = live_nodes(graph)
    made = {name for node in graph.node for name in node.output}
    if any(output.name not in made for output in graph.output):
        return ""  # the output is what is wrong
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return ""  # the bodies inside may read anything
    stored = {tensor.name for tensor in graph.initializer}
    computed = {value.name for value in graph.input if value.name not in stored}
    for index, node in enumerate(graph.node):
        if node.op_type in SHAPE_ONLY or not any(name in computed for name in node.input):
            continue
        computed.update(name for name in node.output if name)
        if index not in live:
            where = node_text(node.name or f"{node.op_type}_{index}", node.op_type)
            return f"{where}: an output of the graph must depend on it"
    return ""
