"""Writes quantized weights and activation grids into a model as QuantizeLinear and
DequantizeLinear, the form every ONNX tool reads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from azsim.cache import content_key, content_parts
from azsim.compress.source import SourceModel, WeightPart
from azsim.compress.weights import IntegerRows
from azsim.frontend import read_onnx
from azsim.graph import Graph, Quantization

Compressed = Mapping[str, tuple[IntegerRows, ...]]


class _Names:
    """Names that the file does not have yet."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self._taken = {tensor.name for tensor in graph.initializer}
        self._taken.update(value.name for value in (*graph.input, *graph.output))
        for node in graph.node:
            self._taken.update((node.name, *node.output))

    def fresh(self, wish: str) -> str:
        name, count = wish, 1
        while name in self._taken:
            count += 1
            name = f"{wish}.{count}"
        self._taken.add(name)
        return name


class QdqWriter:
    """Edits a copy of a model; `model` is the result."""

    def __init__(self, source: SourceModel) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(source.model)
        self._names = _Names(self.model)
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
        nodes = [*self._first, *self.model.graph.node]
        del self.model.graph.node[:]
        self.model.graph.node.extend(nodes)
        self._first = []
        self._drop_unused()

    def _nodes_of(self, source: SourceModel) -> dict[str, onnx.NodeProto]:
        """Node of each layer, which gets its name."""
        found = {name: self.model.graph.node[source.places[name]] for name in source.parts}
        for name, node in found.items():
            node.name = name  # a name made of its place would change with the nodes put before it
        return found

    def _constant(self, part: WeightPart, rows: IntegerRows) -> str:
        integers = np.ascontiguousarray(part.file_form(rows.integers))
        single = rows.scales.size == 1
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
            node.attribute.append(helper.make_attribute("axis", part.axis))
        self._first.append(node)
        return output

    def _tensor(self, wish: str, data: npt.NDArray[np.generic]) -> str:
        name = self._names.fresh(wish)
        kind = TensorProto.INT8 if data.dtype == np.int8 else TensorProto.FLOAT
        self.model.graph.initializer.append(
            TensorProto(name=name, data_type=kind, dims=data.shape, raw_data=data.tobytes())
        )
        return name

    def _drop_unused(self) -> None:
        """Leave out what nothing reads any more: the float weights, and what made them."""
        graph = self.model.graph
        results = {value.name for value in graph.output}
        while True:
            read = results | {name for node in graph.node for name in node.input}
            live = [n for n in graph.node if any(o in read for o in n.output)]
            if len(live) == len(graph.node):
                break
            del graph.node[:]
            graph.node.extend(live)
        unread = {t.name for t in graph.initializer} - read
        tensors = [tensor for tensor in graph.initializer if tensor.name in read]
        del graph.initializer[:]
        graph.initializer.extend(tensors)
        inputs = [value for value in graph.input if value.name not in unread]
        del graph.input[:]
        graph.input.extend(inputs)

    def activations(self, grids: Mapping[str, Quantization], states: Iterable[str]) -> None:
        """Put QuantizeLinear and DequantizeLinear behind each value of `grids`.

        Its readers get the quantized numbers; so does a graph output, unless it is one of `states`:
        what is carried from step to step stays as its operator made it.
        """
        graph = self.model.graph
        kept = set(states)
        outputs = {value.name for value in graph.output} - kept
        pairs = {name: self._pair(name, grid, name in outputs) for name, grid in grids.items()}
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
        del graph.node[:]
        graph.node.extend(nodes)

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
