"""A model file as something to write again: its message, and its weight matrices as rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from azsim.compiler.prune import WEIGHT_INPUTS
from azsim.compress.folding import fold_products
from azsim.compress.message import make_single, whole_model
from azsim.errors import ModelError
from azsim.frontend.node import Operand
from azsim.frontend.read import FileParts, message_parts, read_parts
from azsim.graph import Graph, Node

Floats = npt.NDArray[np.float32]

RECURRENT = ("LSTM", "GRU")
TABLE = "Gather"
LAYER_OPERATORS = ("MatMul", "Gemm", "Conv", *RECURRENT, TABLE)
# of the graph's operators, with tables, which the compiler does not take for matrices
_GRAPH_WEIGHTS = {**WEIGHT_INPUTS, "Embed": (0,)}


def weight_values(node: Node) -> tuple[str, ...]:
    """Names of a graph node's weight matrices or table; "" for one that it does not need."""
    return tuple(node.inputs[place] for place in _GRAPH_WEIGHTS[node.operator])


@dataclass(frozen=True)
class WeightPart:
    """One weight matrix of a node of the file.

    `rows` float32 (outputs, inputs): a row per output, columns in the order in which the chip
    multiplies them; both directions of a recurrent node below each other; the rows of a table.
    `axis` is that of the outputs in the file's own array, of shape `shape`; `factor` what the
    graph's weights are besides (alpha of a Gemm). `stored_bits`: 0, or the width of the type the
    file holds it in quantized.
    """

    layer: str
    operator: str
    position: int
    name: str
    rows: Floats
    shape: tuple[int, ...]
    axis: int
    factor: float = 1.0
    stored_bits: int = 0

    @property
    def directions(self) -> int:
        """Of a recurrent node, else 1."""
        return self.shape[0] if self.operator in RECURRENT else 1

    def file_form(self, rows: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Return a matrix of the form of `rows` in the file's own arrangement."""
        if self.operator == "Conv":
            count, channels, *kernel = self.shape
            return np.moveaxis(rows.reshape(count, *kernel, channels), -1, 1)
        if self.operator in RECURRENT:
            return rows.reshape(self.shape)
        return rows if self.axis == 0 else rows.T

    def graph_form(self, rows: npt.NDArray[np.generic], run: int = 0) -> npt.NDArray[np.generic]:
        """Return a matrix of the form of `rows` as the float graph arranges it; of a recurrent node
        the share of direction `run`."""
        if self.operator in ("MatMul", "Gemm"):
            return rows.T
        if self.operator in RECURRENT:
            return self.file_form(rows)[run : run + 1]
        return self.file_form(rows)


@dataclass(frozen=True)
class SourceModel:
    """A model file that was read: `model` lacks nothing, `graph` is its float graph, `parts` its
    weight matrices by layer, in the order of the file; `places` says which node a layer is, `nodes`
    what the graph calls it: a node per direction."""

    path: Path
    model: onnx.ModelProto
    graph: Graph
    parts: Mapping[str, tuple[WeightPart, ...]]
    places: Mapping[str, int]
    nodes: Mapping[str, tuple[str, ...]]

    @property
    def left(self) -> tuple[str, ...]:
        """Layers of the graph whose weights cannot be written quantized, and stay as they are."""
        known = {node for nodes in self.nodes.values() for node in nodes}
        nodes = (n.name for n in self.graph.nodes if n.operator in WEIGHT_INPUTS)
        return tuple(name for name in nodes if name not in known)

    @property
    def tables(self) -> frozenset[str]:
        """Layers that look rows of a table up, and multiply nothing."""
        return frozenset(n for n, parts in self.parts.items() if parts[0].operator == TABLE)

    def by_node(self, layers: Mapping[str, int]) -> dict[str, int]:
        """Numbers by layer, such as widths, as numbers by matrix node of the graph."""
        tables = self.tables
        return {
            node: number
            for layer, number in layers.items()
            if layer not in tables
            for node in self.nodes[layer]
        }


def read_source(
    path: str | Path, dims: Mapping[str, int] | None = None, fold: bool = True
) -> SourceModel:
    """Read a model to compress it: all reals float32, batch norms and factors behind products
    folded into them if `fold`.

    Args:
        dims: sizes of the dimensions that the file leaves open.

    Raises:
        ModelError: what `read_onnx` refuses, or a model without weights to compress.
    """
    path = Path(path)
    parts = read_parts(path, dims)
    model = whole_model(path, dims)
    for node in model.graph.node:  # a name made of a node's place would change with the places
        node.name = parts.node_names.get(_first_result(node), node.name)
    changed = make_single(model)
    if fold:
        changed |= fold_products(model, parts.constants, parts.shapes)
    if changed:
        parts = message_parts(model, path)
    layers, places, nodes = _layers(model, parts)
    if not layers:
        raise ModelError(f"{path}: must have a layer with weights to compress")
    return SourceModel(path, model, parts.graph, layers, places, nodes)


def _layers(
    model: onnx.ModelProto, parts: FileParts
) -> tuple[dict[str, tuple[WeightPart, ...]], dict[str, int], dict[str, tuple[str, ...]]]:
    with_weights = {n.name for n in parts.graph.nodes if n.operator in _GRAPH_WEIGHTS}
    found: dict[str, tuple[WeightPart, ...]] = {}
    places: dict[str, int] = {}
    nodes: dict[str, tuple[str, ...]] = {}
    for index, node in enumerate(model.graph.node):
        name = parts.node_names.get(_first_result(node), "")
        of_graph = parts.lowered.get(name, ()) if node.op_type in (*RECURRENT, TABLE) else (name,)
        if node.op_type in LAYER_OPERATORS and of_graph and with_weights.issuperset(of_graph):
            made = _parts_of(node, name, parts.constants)
            if made:
                found[name], places[name], nodes[name] = made, index, of_graph
    return found, places, nodes


def _first_result(node: onnx.NodeProto) -> str:
    return node.output[0] if node.output else ""


def _parts_of(
    node: onnx.NodeProto, name: str, constants: Mapping[str, Operand]
) -> tuple[WeightPart, ...]:
    if node.op_type in RECURRENT:
        places = [1, 2]
    elif node.op_type == TABLE or (node.op_type == "MatMul" and node.input[0] in constants):
        places = [0]
    else:
        places = [1]
    made = []
    for place in places:
        operand = constants.get(node.input[place])
        if operand is None or operand.data is None:
            return ()
        made.append(_part(node, name, place, operand))
    return tuple(made)


def _part(node: onnx.NodeProto, name: str, place: int, operand: Operand) -> WeightPart:
    assert operand.data is not None  # the caller looked
    data = operand.data.astype(np.float32, copy=False)
    axis, factor = 0, 1.0
    rows: npt.NDArray[np.float32]
    if node.op_type == "Conv":
        rows = np.moveaxis(data, 1, -1).reshape(data.shape[0], -1)
    elif node.op_type in RECURRENT:
        rows, axis = data.reshape(-1, data.shape[-1]), 1
    elif place == 0:
        rows = data
    else:
        data = data.reshape(data.shape[-2:])
        attributes = {a.name: a for a in node.attribute}
        turned = "transB" in attributes and bool(attributes["transB"].i)
        rows, axis = (data, 0) if turned else (data.T, 1)
        factor = attributes["alpha"].f if "alpha" in attributes else 1.0
    bits = 0 if operand.stored is None else operand.stored.bits
    return WeightPart(
        name, node.op_type, place, node.input[place], np.ascontiguousarray(rows), data.shape, axis,
        factor, bits,
    )  # fmt: skip
