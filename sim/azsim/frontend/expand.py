"""Operators that ONNX itself defines by others are written out in those.

The definition is the function body of the operator's schema; `onnx.inliner` puts it in place of the
node. It is given a model without any weights, so that none are copied.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import onnx
import onnx.defs

from azsim.errors import ModelError

MAX_ROUNDS = 5  # a definition may use operators that have one themselves
MAX_NODES = 1 << 16
SMALL_BYTES = 4096  # of a stored tensor that is left in place


def expand_definitions(model: onnx.ModelProto, opset: int, known: Container[str]) -> None:
    """Replace nodes of operators that are not `known` but have a definition, in place.

    What has none, or cannot be written out, stays and is refused where the node is read.
    """
    for _ in range(MAX_ROUNDS):
        wanted = _defined(model, opset, known)
        if not wanted:
            return
        nodes = _with_absent(model, wanted, opset) or _inlined(model, wanted)
        if nodes is None:
            return
        if len(nodes) > MAX_NODES:
            raise ModelError(f"graph must have at most {MAX_NODES} nodes, not {len(nodes)}")
        del model.graph.node[:]
        model.graph.node.extend(nodes)


def _defined(model: onnx.ModelProto, opset: int, known: Container[str]) -> list[str]:
    found: set[str] = set()
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx") or node.op_type in known or node.op_type in found:
            continue
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            continue
        try:
            schema = onnx.defs.get_schema(node.op_type, opset, "")
        except onnx.defs.SchemaError:
            continue
        # the stubs of onnx do not know these two
        if schema.has_function or schema.has_context_dependent_function:  # type: ignore[attr-defined]
            found.add(node.op_type)
    return sorted(found)


def _inlined(model: onnx.ModelProto, operators: list[str]) -> list[onnx.NodeProto] | None:
    from onnx.inliner import inline_selected_functions  # slow to import, rarely needed

    try:
        made = inline_selected_functions(
            _with_defaults(_without_weights(model), operators),
            [("", operator) for operator in operators],
            inline_schema_functions=True,
        )
    except Exception:  # the library raises whatever it meets; the node is then refused by name
        return None
    return list(made.graph.node)


def _with_defaults(model: onnx.ModelProto, operators: list[str]) -> onnx.ModelProto:
    """The model with the default attributes of the nodes to be replaced written out: the inliner
    knows those only that stand in the node, and a definition would go without."""
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    for node in model.graph.node:
        if node.op_type not in operators or node.domain not in ("", "ai.onnx"):
            continue
        given = {attribute.name for attribute in node.attribute}
        for name, known in onnx.defs.get_schema(node.op_type, opset, "").attributes.items():
            if name not in given and known.default_value.type:
                node.attribute.append(known.default_value)
    return model


def _without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its stored tensors as inputs of the same type and shape; small ones stay, as
    definitions may look at them."""
    light = onnx.ModelProto(ir_version=model.ir_version)
    light.opset_import.extend(model.opset_import)
    graph = light.graph
    graph.name = model.graph.name
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    graph.value_info.extend(model.graph.value_info)
    given = {value.name for value in model.graph.input}
    for tensor in model.graph.initializer:
        if tensor.name not in given:  # the inliner asks for the type of each
            graph.input.append(
                onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
            )
        is_inside = tensor.data_location != onnx.TensorProto.EXTERNAL
        if is_inside and tensor.ByteSize() < SMALL_BYTES:
            graph.initializer.append(tensor)
    return light


_OWN_DOMAIN = "azsim.written_out"


def _with_absent(
    model: onnx.ModelProto, operators: list[str], opset: int
) -> list[onnx.NodeProto] | None:
    """Write out nodes with an absent input before a given one, which the inliner cannot type: their
    definitions are asked for one by one and put in place as functions of the model. None if there
    are no such nodes, or a definition cannot be had."""
    chosen = [
        place
        for place, node in enumerate(model.graph.node)
        if node.op_type in operators and _lacks_optional(node, opset)
    ]
    if not chosen:
        return None
    from onnx.inliner import inline_local_functions
    from onnx.shape_inference import infer_shapes

    try:
        light = infer_shapes(_without_weights(model))
        types = {v.name: v.type for v in (*light.graph.input, *light.graph.value_info)}
        for place in chosen:
            node = light.graph.node[place]
            function = _definition(node, types, opset)
            function.domain, function.name = _OWN_DOMAIN, f"{node.op_type}_{place}"
            node.domain, node.op_type = function.domain, function.name
            light.functions.append(function)
        light.opset_import.append(onnx.helper.make_opsetid(_OWN_DOMAIN, 1))
        return list(inline_local_functions(light).graph.node)
    except Exception:  # as above: the node is then refused by name
        return None


def _lacks_optional(node: onnx.NodeProto, opset: int) -> bool:
    """True if inputs are absent in the middle, all of them such as may be."""
    absent = [place for place, name in enumerate(node.input) if not name]
    formal = onnx.defs.get_schema(node.op_type, opset, "").inputs
    optional = onnx.defs.OpSchema.FormalParameterOption.Optional
    return bool(absent) and all(formal[k].option == optional for k in absent if k < len(formal))


def _definition(
    node: onnx.NodeProto, types: Mapping[str, onnx.TypeProto], opset: int
) -> onnx.FunctionProto:
    schema: Any = onnx.defs.get_schema(node.op_type, opset, "")  # its stubs lack what follows
    if not schema.has_context_dependent_function:
        function = onnx.FunctionProto()
        function.CopyFrom(schema.function_body)
        return function
    given = [types.get(name, onnx.TypeProto()).SerializeToString() for name in node.input]
    version = max(v for v in schema.context_dependent_function_opset_versions if v <= opset)
    body = schema.get_context_dependent_function_with_opset_version(
        version, node.SerializeToString(), given
    )
    function = onnx.FunctionProto()
    function.ParseFromString(body)
    return function
