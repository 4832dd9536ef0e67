"""A model file as something to write again: its message, and its weight matrices as rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from azsim.compiler.prune import WEIGHT_INPUTS
from azsim.errors import ModelError
from azsim.frontend.model_file import load_model
from azsim.frontend.node import Operand
from azsim.frontend.read import FileParts, read_parts
from azsim.frontend.tensors import TensorReader
from azsim.graph import Graph
from azsim.graph.text import one_line, quoted

Floats = npt.NDArray[np.float32]

LAYER_OPERATORS = ("MatMul", "Gemm", "Conv", "LSTM", "GRU")


@dataclass(frozen=True)
class WeightPart:
    """One weight matrix of a node of the file.

    `rows` float32 (outputs, inputs): a row per output, columns in the order in which the chip
    multiplies them. `axis` is that of the outputs in the file's own array, of shape `shape`;
    `factor` what the graph's weights are besides (alpha of a Gemm). `stored_bits`: 0, or the width
    of the type the file holds it in quantized.
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

    def file_form(self, rows: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Return a matrix of the form of `rows` in the file's own arrangement."""
        if self.operator == "Conv":
            count, channels, *kernel = self.shape
            return np.moveaxis(rows.reshape(count, *kernel, channels), -1, 1)
        if self.operator in ("LSTM", "GRU"):
            return rows[np.newaxis]
        return rows if self.axis == 0 else rows.T

    def graph_form(self, rows: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        """Return a matrix of the form of `rows` as the float graph arranges it."""
        if self.operator in ("MatMul", "Gemm"):
            return rows.T
        return self.file_form(rows)


@dataclass(frozen=True)
class SourceModel:
    """A model file that was read: `model` lacks nothing, `graph` is its float graph, `parts` its
    weight matrices by layer, in the order of the file; `places` says which node a layer is."""

    path: Path
    model: onnx.ModelProto
    graph: Graph
    parts: Mapping[str, tuple[WeightPart, ...]]
    places: Mapping[str, int]

    @property
    def left(self) -> tuple[str, ...]:
        """Layers of the graph whose weights cannot be written quantized, and stay as they are."""
        nodes = (n.name for n in self.graph.nodes if n.operator in WEIGHT_INPUTS)
        return tuple(name for name in nodes if name not in self.parts)


def read_source(path: str | Path) -> SourceModel:
    """Read a model to compress it.

    Raises:
        ModelError: what `read_onnx` refuses, or a model without weights to compress.
    """
    path = Path(path)
    parts = read_parts(path)
    model = _whole_model(path)
    layers, places = _layers(model, parts)
    if not layers:
        raise ModelError(f"{path}: must have a layer with weights to compress")
    return SourceModel(path, model, parts.graph, layers, places)


def _whole_model(path: Path) -> onnx.ModelProto:
    """The message with all data inside, also those of external files."""
    try:
        model, places = load_model(path)
        reader = TensorReader(path, places)
        for tensor in model.graph.initializer:
            external = tensor.data_location == onnx.TensorProto.EXTERNAL
            if tensor.name in places or external:
                data = reader.read(tensor, tensor.name)
                del tensor.external_data[:]
                tensor.data_location = onnx.TensorProto.DEFAULT
                tensor.raw_data = _raw(tensor, data)
    except ModelError as error:
        raise ModelError(one_line(f"{path}: {error}")) from None
    return model


def _raw(tensor: onnx.TensorProto, data: npt.NDArray[np.generic]) -> bytes:
    if tensor.data_type in (onnx.TensorProto.INT4, onnx.TensorProto.UINT4):
        raise ModelError(f"tensor {quoted(tensor.name)} must be of 8 bits or more to be written")
    return np.ascontiguousarray(data).tobytes()


def _layers(
    model: onnx.ModelProto, parts: FileParts
) -> tuple[dict[str, tuple[WeightPart, ...]], dict[str, int]]:
    with_weights = {n.name for n in parts.graph.nodes if n.operator in WEIGHT_INPUTS}
    found: dict[str, tuple[WeightPart, ...]] = {}
    places: dict[str, int] = {}
    for index, node in enumerate(model.graph.node):
        name = parts.node_names.get(node.output[0] if node.output else "", "")
        if node.op_type in LAYER_OPERATORS and name in with_weights:
            made = _parts_of(node, name, parts.constants)
            if made:
                found[name], places[name] = made, index
    return found, places


def _parts_of(
    node: onnx.NodeProto, name: str, constants: Mapping[str, Operand]
) -> tuple[WeightPart, ...]:
    if node.op_type in ("LSTM", "GRU"):
        places = [1, 2]
    elif node.op_type == "MatMul" and node.input[0] in constants:
        places = [0]
    else:
        places = [1]
    made = []
    for place in places:
        operand = constants.get(node.input[place])
        if operand is None or operand.data is None:
            return ()
        if node.op_type in ("LSTM", "GRU") and operand.data.shape[0] != 1:
            return ()  # two directions: one array would need scales along two axes
        made.append(_part(node, name, place, operand))
    return tuple(made)


def _part(node: onnx.NodeProto, name: str, place: int, operand: Operand) -> WeightPart:
    assert operand.data is not None  # the caller looked
    data = operand.data.astype(np.float32, copy=False)
    axis, factor = 0, 1.0
    rows: npt.NDArray[np.float32]
    if node.op_type == "Conv":
        rows = np.moveaxis(data, 1, -1).reshape(data.shape[0], -1)
    elif node.op_type in ("LSTM", "GRU"):
        rows, axis = data[0], 1
    elif node.op_type == "MatMul" and place == 0:
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
