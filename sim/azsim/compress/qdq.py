"""Writes quantized weights and activation grids into a model as QuantizeLinear and
DequantizeLinear, the form every ONNX tool reads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from azsim.cache import content_key, content_parts
from azsim.compress.message import FreshNames, drop_unread, make_tensor, put_nodes
from azsim.compress.source import SourceModel, WeightPart
from azsim.compress.weights import IntegerRows
from azsim.frontend import read_onnx
from azsim.graph import Graph, Quantization

Floats = npt.NDArray[np.float32]
MOVES = ("Flatten", "Identity", "MaxPool", "Reshape", "Squeeze", "Transpose", "Unsqueeze")
BIAS_LIMIT = 2**30  # as the compiler's: a bias stays below half of int32
Compressed = Mapping[str, tuple[IntegerRows, ...]]


class QdqWriter:
    """Edits a copy of a model; `model` is the result."""

    def __init__(self, source: SourceModel) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(source.model)
        self._names = FreshNames(self.model)
        self._first: list[onnx.NodeProto] = []  # of the weights: read by anybody behind

    def weights(self, source: SourceModel, layers: Compressed) -> None:
        """Put integers and DequantizeLinear in the place of each layer's weights.

        Nodes that share an array and get the same integers share them.
        """
        made: dict[tuple[str, int, bytes], str] = {}
        by_name = self._nodes_of(source)
        for layer, matrices in layers.items():
            for part, rows in zip(source.parts[layer], matrices, strict=True):
                key = (part.name, part.axis, _content(rows))
                if key not in made:
                    made[key] = self._constant(part, rows)
                by_name[layer].input[part.position] = made[key]
        self._put_first()

    def _put_first(self) -> None:
        put_nodes(self.model, [*self._first, *self.model.graph.node])
        self._first = []
        drop_unread(self.model)

    def _nodes_of(self, source: SourceModel) -> dict[str, onnx.NodeProto]:
        """Node of each layer, which gets its name."""
        found = {name: self.model.graph.node[source.places[name]] for name in source.parts}
        for name, node in found.items():
            node.name = name  # a name made of its place would change with the nodes put before it
        return found

    def _constant(self, part: WeightPart, rows: IntegerRows) -> str:
        single = rows.scales.size == 1
        # a dequantizer has scales along one axis: rows of both directions lie below each other
        flat = part.directions > 1 and not single
        integers = rows.integers if flat else np.ascontiguousarray(part.file_form(rows.integers))
        scale = rows.scales.reshape(()) if single else rows.scales
        inputs = [
            self._tensor(f"{part.name}_quantized", integers),
            self._tensor(f"{part.name}_scale", scale),
            self._tensor(f"{part.name}_zero_point", np.zeros(scale.shape, np.int8)),
        ]
        output = self._names.fresh(f"{part.name}_dequantized")
        node = helper.make_node(
            "DequantizeLinear", inputs, [output], name=self._names.fresh(output)
        )
        if not single:
            node.attribute.append(helper.make_attribute("axis", 0 if flat else part.axis))
        self._first.append(node)
        return self._reshaped(output, part.shape) if flat else output

    def _reshaped(self, source: str, shape: tuple[int, ...]) -> str:
        output = self._names.fresh(f"{source}_reshaped")
        wanted = self._tensor(f"{source}_shape", np.array(shape, np.int64))
        name = self._names.fresh(output)
        self._first.append(helper.make_node("Reshape", [source, wanted], [output], name=name))
        return output

    def _tensor(self, wish: str, data: npt.NDArray[np.generic]) -> str:
        name = self._names.fresh(wish)
        self.model.graph.initializer.append(make_tensor(name, data))
        return name

    def biases(self, layers: Compressed, grids: Mapping[str, Quantization]) -> None:
        """Put biases of Conv and Gemm in steps of the sum, int32, where x has a grid: the chip then
        adds them to the accumulator and rounds once, as every quantizer's models have it."""
        makers = {name: node for node in self.model.graph.node for name in node.output}
        tensors = {tensor.name: tensor for tensor in self.model.graph.initializer}
        for node in self.model.graph.node:
            if node.name in layers and _has_plain_bias(node) and node.input[2] in tensors:
                grid = _grid_of(node.input[0], grids, makers)
                bias = numpy_helper.to_array(tensors[node.input[2]]).astype(np.float64)
                if grid is not None:
                    (rows,) = layers[node.name]
                    made = self._bias(node.input[2], bias, rows.scales * np.float32(grid.scale))
                    node.input[2] = made or node.input[2]
        self._put_first()

    def _bias(self, name: str, bias: npt.NDArray[np.float64], steps: Floats) -> str:
        """The dequantized bias; "" where it has not one number per scale, or does not fit."""
        if steps.size not in (1, bias.size) or bias.shape[-1:] != (bias.size,):
            return ""
        integers = np.rint(bias / steps.astype(np.float64))
        if np.abs(integers).max(initial=0) > BIAS_LIMIT:
            return ""
        single = steps.size == 1
        inputs = [
            self._tensor(f"{name}_quantized", integers.astype(np.int32)),
            self._tensor(f"{name}_scale", steps.reshape(()) if single else steps),
        ]
        output = self._names.fresh(f"{name}_dequantized")
        node = helper.make_node(
            "DequantizeLinear", inputs, [output], name=self._names.fresh(output)
        )
        if not single:
            node.attribute.append(helper.make_attribute("axis", bias.ndim - 1))
        self._first.append(node)
        return output

    def activations(self, grids: Mapping[str, Quantization], states: Iterable[str]) -> None:
        """Put QuantizeLinear and DequantizeLinear behind each value of `grids`.

        Its readers get the quantized numbers; so does a graph output, unless it is one of `states`:
        what is carried from step to step stays as its operator made it. A value that nobody reads
        gets none.
        """
        graph = self.model.graph
        kept = set(states)
        outputs = {value.name for value in graph.output} - kept
        read = {name for node in graph.node for name in node.input} | outputs
        pairs = {
            name: self._pair(name, grid, name in outputs)
            for name, grid in grids.items()
            if name in read
        }
        nodes: list[onnx.NodeProto] = []
        for value in graph.input:
            nodes += pairs[value.name][1] if value.name in pairs else []
        for node in graph.node:
            for place, name in enumerate(node.input):
                if name in pairs:
                    node.input[place] = pairs[name][0]
            behind: list[onnx.NodeProto] = []
            for place, name in enumerate(node.output):
                if name in pairs:
                    behind += pairs[name][1]
                    node.output[place] = pairs[name][1][0].input[0]
            nodes += [node, *behind]
        put_nodes(self.model, nodes)

    def _pair(
        self, name: str, grid: Quantization, is_output: bool
    ) -> tuple[str, list[onnx.NodeProto]]:
        """The name that readers use from now on, and the two nodes."""
        before = self._names.fresh(f"{name}_float") if is_output else name
        after = name if is_output else self._names.fresh(f"{name}_dequantized")
        integers = self._names.fresh(f"{name}_quantized")
        parameters = [
            self._tensor(f"{name}_scale", np.array(grid.scale, np.float32)),
            self._tensor(f"{name}_zero_point", np.array(grid.zero_point, np.int8)),
        ]
        words = (
            ("QuantizeLinear", [before, *parameters], integers),
            ("DequantizeLinear", [integers, *parameters], after),
        )
        nodes = [
            helper.make_node(
                operator, inputs, [output], name=self._names.fresh(f"{name}_{operator}")
            )
            for operator, inputs, output in words
        ]
        return after, nodes

    def properties(self, words: Mapping[str, str]) -> None:
        """Set properties of the model; others stay."""
        kept = [(p.key, p.value) for p in self.model.metadata_props if p.key not in words]
        helper.set_model_props(self.model, {**dict(kept), **words})


def _has_plain_bias(node: onnx.NodeProto) -> bool:
    """True for a Conv or Gemm whose third input is added as it is."""
    if node.op_type not in ("Conv", "Gemm") or len(node.input) < 3 or not node.input[2]:
        return False
    factors = [a.f for a in node.attribute if a.name in ("alpha", "beta")]
    return all(factor == 1.0 for factor in factors)


def _grid_of(
    name: str, grids: Mapping[str, Quantization], makers: Mapping[str, onnx.NodeProto]
) -> Quantization | None:
    """The grid of a value, or of the one that it was moved from."""
    while name not in grids and name in makers and makers[name].op_type in MOVES:
        name = makers[name].input[0]
    return grids.get(name)


def read_model(model: onnx.ModelProto) -> Graph:
    """Return the graph of a message as `read_onnx` reads its file.

    Raises:
        ModelError: a message that cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="azsim-compress-") as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model.SerializeToString())
        return read_onnx(path)


def _content(rows: IntegerRows) -> bytes:
    return content_key(content_parts((rows.integers, rows.scales))).encode()
