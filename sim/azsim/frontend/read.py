"""Reads an ONNX file into the float graph.

Nodes are walked in file order: what hangs on constants only is folded, the rest is checked against
the support rules of its operator and written down in canonical form (`DEFAULT_OPERATORS`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from azsim.errors import ModelError
from azsim.frontend.builder import GraphBuilder
from azsim.frontend.carry import MOVING, carried
from azsim.frontend.dims import bind_dimensions, check_sizes
from azsim.frontend.expand import expand_definitions
from azsim.frontend.fold import FOLDABLE, Folder
from azsim.frontend.integer_operators import write_out_integers
from azsim.frontend.liveness import live_nodes, unused_node
from azsim.frontend.model_file import (
    frame_ms_of,
    load_model,
    opset_version,
    read_metadata,
    read_state_pairs,
)
from azsim.frontend.model_parts import Place
from azsim.frontend.node import Array, OnnxNode, Operand, checked_attributes, node_text, present
from azsim.frontend.operators.quantized import LIMITS
from azsim.frontend.patterns import apply_patterns
from azsim.frontend.rules import check_rules
from azsim.frontend.support import OPERATORS
from azsim.frontend.tensors import TensorReader, kind_name
from azsim.graph import Graph, StatePair, ValueKind, verify_graph
from azsim.graph.text import one_line, quoted, shape_text

BOOL = onnx.TensorProto.BOOL
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
INDEX_KINDS = (onnx.TensorProto.INT32, onnx.TensorProto.INT64)
INTEGER_KINDS = (onnx.TensorProto.INT8, onnx.TensorProto.UINT8)


def read_onnx(path: str | Path, dims: Mapping[str, int] | None = None) -> Graph:
    """Read an ONNX file (opset 13 or newer) into a float graph.

    All dimensions must be numbers; `dims` gives one to those that the model leaves open, by their
    names, or by INPUT:AXIS where they have none. Property `azsim.state` of the model, a JSON
    object, names the recurrent states: graph input -> graph output of the same shape. Operators
    and rules: `azsim.frontend.support_table`. Raises ModelError of one line: file, node or tensor,
    rule.
    """
    path = Path(path)
    try:
        model, places = load_model(path)
        bind_dimensions(model, dims or {})
        return _Reader(model, TensorReader(path, places)).read()
    except ModelError as error:
        raise ModelError(one_line(f"{path}: {error}")) from None


@dataclass(frozen=True)
class FileParts:
    """A model file's graph with what the file itself calls things: `constants` by the file's value
    name, folded ones too; `shapes` of computed values; `node_names`: name of each node by its
    first output; `lowered`: by that name, the nodes of the graph of the same operator that it
    became (Embed for a Gather), one per direction of a recurrent node."""

    graph: Graph
    constants: Mapping[str, Operand]
    shapes: Mapping[str, tuple[int, ...]]
    node_names: Mapping[str, str]
    lowered: Mapping[str, tuple[str, ...]]


def read_parts(path: str | Path, dims: Mapping[str, int] | None = None) -> FileParts:
    """Read an ONNX file as `read_onnx` does, for those who write it again.

    Raises ModelError as `read_onnx`.
    """
    path = Path(path)
    try:
        model, places = load_model(path)
        bind_dimensions(model, dims or {})
        return _Reader(model, TensorReader(path, places)).parts()
    except ModelError as error:
        raise ModelError(one_line(f"{path}: {error}")) from None


def message_parts(model: onnx.ModelProto, path: Path) -> FileParts:
    """Read a message that holds all its data as `read_parts` reads a file; `path` is where it came
    from. The message stays as it is.

    Raises ModelError as `read_onnx`.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    try:
        return _Reader(copy, TensorReader(path, {})).parts()
    except ModelError as error:
        raise ModelError(one_line(f"{path}: {error}")) from None


def read_message(model: onnx.ModelProto, path: Path, places: Mapping[str, Place]) -> Graph:
    """Read a message into a float graph; `path` and `places` say where large data lie.

    Raises:
        ModelError: as `read_onnx`, without the path.
    """
    return _Reader(model, TensorReader(path, dict(places)), whole=False).read()


def _refuse_repeated(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if not name or name in seen:
            raise ModelError(f"{what} {quoted(name)} must have a name of its own")
        seen.add(name)


class _Reader:
    """One reading of one file, or of a part of it (not `whole`), which may hold nodes that only
    other parts need. Methods are called in the order they stand here."""

    def __init__(self, model: onnx.ModelProto, tensors: TensorReader, whole: bool = True) -> None:
        self._opset = opset_version(model)
        self._model = model
        # looked for before definitions bring in nodes of their own
        unused = unused_node(model.graph) if whole else ""
        write_out_integers(model)
        expand_definitions(model, self._opset, _KNOWN)
        self._graph = model.graph
        self._metadata = read_metadata(model)
        self._pairs = read_state_pairs(self._metadata)
        frame_ms_of(self._metadata)  # refused here, whoever uses it later
        self._initializers = {tensor.name: tensor for tensor in self._graph.initializer}
        self._given = [i for i in self._graph.input if i.name not in self._initializers]
        self._outputs = [output.name for output in self._graph.output]
        self._node_names = self._name_nodes()
        self._tensors = tensors
        self._folder = Folder(self._tensors, self._opset)
        self._builder = GraphBuilder(self._check_names(), self._outputs, self._folder.spend)
        self._builder.reserve_node_names(self._node_names)
        self._lowered: dict[str, tuple[str, ...]] = {}
        if unused:
            raise ModelError(unused)

    def read(self) -> Graph:
        """Return the verified graph."""
        self._refuse_branches()
        self._enter_inputs()
        live = live_nodes(self._graph)
        for index, proto in enumerate(self._graph.node):
            if index in live:
                self._take_node(proto, self._node_names[index])
        self._check_declared()
        graph = apply_patterns(self._finish())
        verify_graph(graph)
        return graph

    def parts(self) -> FileParts:
        """Return the verified graph beside the file's own constants and node names."""
        graph = self.read()
        constants = {
            name: operand
            for name, operand in self._builder.operands.items()
            if operand.data is not None
        }
        named = zip(self._graph.node, self._node_names, strict=True)
        names = {node.output[0]: name for node, name in named if node.output}
        shapes = {name: value.shape for name, value in self._builder.values.items()}
        return FileParts(graph, constants, shapes, names, dict(self._lowered))

    def _refuse_branches(self) -> None:
        for name, node in zip(self._node_names, self._graph.node, strict=True):
            if node.op_type == "If":
                where = node_text(name, node.op_type)
                raise ModelError(
                    f"{where}: must be the model's only If, and is taken by azsim run, compile,"
                    " sweep, search and formats only"
                )

    def _name_nodes(self) -> list[str]:
        """Return a name for each node; an unnamed one is called OPERATOR_index."""
        given = [node.name for node in self._graph.node]
        _refuse_repeated((name for name in given if name), "node")
        taken = set(given)
        names = []
        for index, node in enumerate(self._graph.node):
            name = node.name or f"{node.op_type}_{index}"
            while not node.name and name in taken:
                name += "_"
            taken.add(name)
            names.append(name)
        return names

    def _check_names(self) -> list[str]:
        """Refuse a name given twice; return all value names of the file."""
        if not self._outputs:
            raise ModelError("graph must have one or more outputs")
        _refuse_repeated((t.name for t in self._graph.initializer), "tensor")
        _refuse_repeated((i.name for i in self._graph.input), "input")
        _refuse_repeated(self._outputs, "output")
        names = [*self._initializers, *(i.name for i in self._given)]
        known = set(names)
        for node, node_name in zip(self._graph.node, self._node_names, strict=True):
            for name in node.output:
                if name and name in known:
                    where = node_text(node_name, node.op_type)
                    raise ModelError(f"{where}: output {quoted(name)} must have a name of its own")
                known.add(name)
                names.append(name)
        return names

    def _enter_inputs(self) -> None:
        for value in self._given:
            kind, shape = self._declared_type(value)
            if kind not in (*FLOATS, BOOL, *INDEX_KINDS, *INTEGER_KINDS):
                raise ModelError(
                    f"input {quoted(value.name)} must be float32, float16, float64, bool, int8 or"
                    f" uint8, or int32 or int64 for row numbers, not {kind_name(kind)}"
                )
            is_state = value.name in self._pairs
            if is_state and kind in INDEX_KINDS:
                raise ModelError(f"state {quoted(value.name)} must be float32, bool, int8 or uint8")
            role = ValueKind.STATE if is_state else ValueKind.INPUT
            element = kind_name(kind) if kind in (BOOL, *INTEGER_KINDS) else ""
            self._builder.give(value.name, shape, role, kind in INDEX_KINDS, element)
        for source, result in self._pairs.items():
            if source not in self._builder.operands:
                raise ModelError(f"state {quoted(source)} must be a graph input")
            if result not in self._outputs:
                raise ModelError(
                    f"state {quoted(source)}: result {quoted(result)} must be a graph output"
                )

    def _declared_type(self, value: onnx.ValueInfoProto) -> tuple[int, tuple[int, ...]]:
        what = f"input {quoted(value.name)}"
        if value.type.WhichOneof("value") != "tensor_type":
            raise ModelError(f"{what} must be a tensor")
        tensor = value.type.tensor_type
        if not tensor.HasField("shape"):
            raise ModelError(f"{what} must have a shape")
        return tensor.elem_type, check_sizes(value)

    def _operand(self, name: str) -> Operand | None:
        """Return what `name` stands for; a stored tensor is read at its first use."""
        if name not in self._builder.operands and name in self._initializers:
            tensor = self._initializers[name]
            data = self._tensors.read(tensor, name)
            self._folder.allow(data)
            self._builder.operands[name] = Operand(name, data.shape, data, element=_element(tensor))
        return self._builder.operands.get(name)

    def _checked(self, proto: onnx.NodeProto, name: str) -> OnnxNode:
        """Return the node with its inputs, refusing operators and forms that are not known."""
        where = node_text(name, proto.op_type)
        if proto.domain not in ("", "ai.onnx"):
            raise ModelError(f"{where}: domain must be ONNX's own, not {quoted(proto.domain)}")
        if proto.op_type not in _KNOWN:
            raise ModelError(f"{where}: {_operator_rule()}")
        try:
            attributes = checked_attributes(proto, self._opset)
        except ModelError as error:
            raise ModelError(f"{where}: {error}") from None
        inputs = [self._operand(input_) if input_ else None for input_ in proto.input]
        for input_, operand in zip(proto.input, inputs, strict=True):
            if input_ and operand is None:
                raise ModelError(
                    f"{where}: input {quoted(input_)} must be a graph input, a tensor or the"
                    " output of an earlier node"
                )
        outputs = tuple(proto.output)
        return OnnxNode(name, proto.op_type, self._opset, tuple(inputs), outputs, attributes)

    def _take_node(self, proto: onnx.NodeProto, name: str) -> None:
        node = self._checked(proto, name)
        results = self._constant_results(proto, node)
        if results is not None:
            for operand in results:
                self._builder.operands[operand.name] = operand
            return
        if node.operator not in OPERATORS:
            raise node.refusal(_operator_rule())
        support = OPERATORS[node.operator]
        check_rules(node, support.rules)
        before = len(self._builder.nodes)
        support.lower(node, self._builder)
        wanted = (node.operator, "Embed" if node.operator == "Gather" else "")
        made = self._builder.nodes[before:]
        self._lowered[name] = tuple(n.name for n in made if n.operator in wanted)
        self._keep_integers(node)

    def _keep_integers(self, node: OnnxNode) -> None:
        """What a moving operator makes of integers are integers of the same meaning."""
        first = node.operand(0)
        if first is None or node.operator not in (*MOVING, "Expand", "Tile", "Cast"):
            return
        if first.is_truth and node.operator != "Cast":
            for output in filter(None, node.outputs):
                self._builder.mark_truth(output)
        for output in node.outputs:
            if output and first.root:
                operand = self._builder.operands[output]
                self._builder.operands[output] = replace(
                    operand, element=first.element, root=first.root
                )

    def _constant_results(self, proto: onnx.NodeProto, node: OnnxNode) -> list[Operand] | None:
        """Return the node's results if they can be known now, else None."""
        if node.operator == "Constant":
            value = self._constant_value(node)
            tensor = node.attributes.get("value")
            element = _element(tensor) if isinstance(tensor, onnx.TensorProto) else ""
            return [Operand(node.outputs[0], value.shape, value, element=element)]
        if node.operator in ("Shape", "Size"):
            size = _shape_result(node)
            return [Operand(node.outputs[0], size.shape, size)]
        data = [operand.data for operand in present(node.inputs) if operand.data is not None]
        if node.operator not in FOLDABLE or not data or len(data) < len(present(node.inputs)):
            return None
        outputs = tuple(name for name in node.outputs if name)
        results = self._folder.fold(proto, node, data)
        if len(results) != len(outputs):
            return None
        named = replace(node, outputs=outputs)
        return carried(named, results, lambda other: self._folder.carry(proto, node, other))

    def _constant_value(self, node: OnnxNode) -> Array:
        if len(node.attributes) != 1:
            raise node.refusal("must have one value")
        ((key, value),) = node.attributes.items()
        if key == "value" and isinstance(value, onnx.TensorProto):
            return self._tensors.read(value, node.outputs[0])
        if key in ("value_int", "value_ints"):
            return np.asarray(value, dtype=np.int64)
        if key in ("value_float", "value_floats"):
            return np.asarray(value, dtype=np.float32)
        raise node.refusal(f"value must be numbers, not {key}")

    def _check_declared(self) -> None:
        """Refuse a shape or type stated in the file that differs from what the nodes give."""
        for value in (*self._graph.output, *self._graph.value_info):
            found = self._builder.values.get(value.name)
            if found is None or found.kind is not ValueKind.NODE:
                continue
            tensor = value.type.tensor_type
            operand = self._builder.operands[value.name]
            kind = "bool" if operand.is_truth else operand.element or "float32"
            if found.is_index:  # row numbers, of either width
                kind = "int64" if tensor.elem_type not in INDEX_KINDS else ""
            if kind == "float32" and tensor.elem_type in FLOATS:
                kind = ""  # reals are reals here: they become integers with a scale
            if tensor.elem_type and kind and kind_name(tensor.elem_type) != kind:
                stated = kind_name(tensor.elem_type)
                raise ModelError(f"value {quoted(value.name)} must be {kind}, not {stated}")
            if tensor.HasField("shape"):
                _check_shape(value.name, tensor.shape, found.shape)

    def _finish(self) -> Graph:
        for value in self._given:
            operand = self._builder.operands[value.name]
            if operand.root and operand.root not in self._builder.grids:
                raise ModelError(
                    f"input {quoted(value.name)} of {operand.element} must go to a DequantizeLinear"
                )
        values = self._builder.settled_values()
        for name in self._outputs:
            if name not in values or values[name].kind is not ValueKind.NODE:
                raise ModelError(f"output {quoted(name)} must be computed by a node")
        results = set(self._pairs.values())
        return Graph(
            name=self._graph.name,
            nodes=tuple(self._builder.nodes),
            values=values,
            inputs=tuple(i.name for i in self._given if i.name not in self._pairs),
            outputs=tuple(name for name in self._outputs if name not in results),
            states=tuple(
                StatePair(i.name, self._pairs[i.name]) for i in self._given if i.name in self._pairs
            ),
            metadata=self._metadata,
        )


# operators that are read, folded or have their results from shapes alone
_SHAPE_ONLY = ("Constant", "Shape", "Size")
_KNOWN = frozenset((*OPERATORS, *FOLDABLE, *_SHAPE_ONLY))


def _element(tensor: onnx.TensorProto) -> str:
    """Return the name of a stored tensor's type if it is one of integers, else ""."""
    name = kind_name(tensor.data_type)
    return name if name in LIMITS else ""


def _operator_rule() -> str:
    return "operator must be one that 'azsim ops' lists"


def _shape_result(node: OnnxNode) -> Array:
    shape = node.require(0).shape
    if node.operator == "Size":
        return np.asarray(int(np.prod(shape, dtype=np.int64)), dtype=np.int64)
    rank = len(shape)
    first, last, _ = slice(node.whole("start", 0), node.whole("end", rank)).indices(rank)
    return np.asarray(shape[first:last], dtype=np.int64)


def _check_shape(name: str, stated: onnx.TensorShapeProto, found: tuple[int, ...]) -> None:
    sizes = [d.dim_value if d.WhichOneof("value") == "dim_value" else None for d in stated.dim]
    fits = len(sizes) == len(found) and all(
        size is None or size == have for size, have in zip(sizes, found, strict=True)
    )
    if not fits:
        shown = "(" + ", ".join("?" if size is None else str(size) for size in sizes[:8]) + ")"
        raise ModelError(
            f"value {quoted(name)} is stated as {shown} but the nodes give {shape_text(found)}"
        )
