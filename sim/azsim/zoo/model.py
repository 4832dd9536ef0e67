"""Building blocks of the shipped ONNX models: layers with weights, states, metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from azsim._atomic import replaced_file
from azsim.zoo.layers import EMBEDDING_BITS, DenseLayer, EmbeddingLayer, Layer, LstmLayer
from azsim.zoo.trained import TrainedWeights
from azsim.zoo.weights import Float32Array, grid_table, grid_weights

OPSET = 17
OPERATOR_IF = "If"
IR_VERSION = 8

# Root mean squares the weights are sized for, so that the standard deviation of a gate's sum is
# near 1 from the input and near 0.5 from the old output: neither saturated nor dying.
LSTM_OUTPUT_RMS = 0.35
INPUT_GATE_DEVIATION = 1.0
RECURRENT_GATE_DEVIATION = 0.5
FORGET_BIAS = 1.0  # the usual start value of trained LSTMs
BIAS_DEVIATION = 0.1


class NetMaker:
    """Collects the parts of one ONNX model; layer methods return the name of their result.

    `stream` separates the weights of the parts of one net that share a seed. `layers` are those
    added so far; with `draws` False nothing else is made, which is quick. `trained`: weights to
    take instead of random ones.
    """

    def __init__(
        self,
        name: str,
        bits: int,
        sparsity: float,
        seed: int,
        stream: int,
        draws: bool = True,
        trained: TrainedWeights | None = None,
    ) -> None:
        self._name = name
        self._bits = bits
        self._sparsity = sparsity
        self._seed = seed
        key = (stream,) if stream else ()
        self._rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._states: dict[str, str] = {}
        self._layer_bits: dict[str, int] = {}
        self._layer_sparsity: dict[str, float] = {}
        self._draws = draws
        self._trained = trained
        self.layers: list[Layer] = []

    def input(self, name: str, shape: tuple[int, ...]) -> str:
        """Add a float graph input."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def index_input(self, name: str, shape: tuple[int, ...]) -> str:
        """Add a graph input of int64 row numbers."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, shape))
        return name

    def output(self, name: str, shape: tuple[int, ...]) -> None:
        """Add a float graph output."""
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def state(self, name: str, shape: tuple[int, ...]) -> str:
        """Add an input that is fed from an output of the step before, see `keep`."""
        return self.input(name, shape)

    def keep(self, state: str, result: str, shape: tuple[int, ...]) -> None:
        """Make value `result` an output, and the next step's input `state`."""
        self.output(result, shape)
        self._states[state] = result

    def constant(self, name: str, data: Float32Array | np.ndarray) -> str:
        """Add a constant; one that is there already is taken."""
        if all(tensor.name != name for tensor in self._tensors):
            self._tensor(name, data)
        return name

    def deviates(self, shape: tuple[int, ...], deviation: float) -> Float32Array:
        """Return normal numbers of that deviation, for biases and other small vectors."""
        return (deviation * self._rng.standard_normal(shape)).astype(np.float32)

    def weights(
        self,
        layer: str,
        rows: int,
        columns: int,
        deviation: float,
        bits: int | None = None,
        sparsity: float | None = None,
    ) -> Float32Array:
        """Return weights (rows, columns) on the grid of the net, or of `bits` for this `layer`;
        the same of the share of zeros."""
        bits = self._bits if bits is None else bits
        if bits != self._bits:
            self._layer_bits[layer] = bits
        share = self._sparsity if sparsity is None else sparsity
        if share != self._sparsity:
            self._layer_sparsity[layer] = share
        return self._grid(f"{layer}.W", rows, columns, deviation, bits, share)

    def _tensor(self, name: str, data: Float32Array | np.ndarray) -> str:
        if not self._draws:
            return name
        self._tensors.append(
            onnx.TensorProto(
                name=name,
                data_type=helper.np_dtype_to_tensor_dtype(data.dtype),
                dims=data.shape,
                raw_data=data.tobytes(),
            )
        )
        return name

    def _grid(
        self, name: str, rows: int, columns: int, deviation: float, bits: int, share: float
    ) -> Float32Array:
        if not self._draws:
            return np.broadcast_to(np.float32(0), (rows, columns))
        if self._trained is not None:
            return self._trained.matrix(name, bits, share)
        return grid_weights(self._rng, rows, columns, deviation, bits, share)

    def _bias(self, name: str, size: int) -> Float32Array:
        if self._trained is not None:
            return self._trained.plain(name)
        return self.deviates((size,), BIAS_DEVIATION)

    def _lstm_bias(self, layer: LstmLayer) -> Float32Array:
        """Both ONNX biases (1, 8 x hidden), the second zeros; gate order i, o, f, c."""
        hidden = layer.hidden
        bias = np.zeros((1, 8 * hidden), dtype=np.float32)
        bias[0, : 4 * hidden] = self._bias(f"{layer.name}.b", 4 * hidden)
        if self._trained is None:
            bias[0, 2 * hidden : 3 * hidden] += FORGET_BIAS
        return bias

    def lstm(self, layer: LstmLayer, x: str, input_rms: float) -> str:
        """Add an LSTM layer with carried states on x (time steps, 1, features).

        The result is (time steps, 1, hidden). `input_rms` is the root mean square expected of x.
        """
        self.layers.append(layer)
        name, hidden = layer.name, layer.hidden
        from_input = INPUT_GATE_DEVIATION / (input_rms * layer.features**0.5)
        from_output = RECURRENT_GATE_DEVIATION / (LSTM_OUTPUT_RMS * hidden**0.5)
        form = (self._bits, self._sparsity)
        weight = self._grid(f"{name}.W", 4 * hidden, layer.features, from_input, *form)
        recurrent = self._grid(f"{name}.R", 4 * hidden, hidden, from_output, *form)
        parameters = [
            self._tensor(f"{name}.W", weight[np.newaxis]),
            self._tensor(f"{name}.R", recurrent[np.newaxis]),
            self._tensor(f"{name}.B", self._lstm_bias(layer)),
        ]
        state = [self.state(f"{name}.{part}", (1, 1, hidden)) for part in ("h", "c")]
        results = [f"{name}.{part}" for part in ("Y", "h_next", "c_next")]
        self._nodes.append(
            helper.make_node(
                "LSTM", [x, *parameters, "", *state], results, name=name, hidden_size=hidden
            )
        )
        for source, result in zip(state, results[1:], strict=True):
            self.keep(source, result, (1, 1, hidden))
        return self._squeeze(name, results[0])

    def lstms(self, layers: Sequence[LstmLayer], x: str, input_rms: float) -> str:
        """Add LSTM layers one on top of the other."""
        for layer in layers:
            x = self.lstm(layer, x, input_rms)
            input_rms = LSTM_OUTPUT_RMS
        return x

    def _squeeze(self, name: str, y: str) -> str:
        self.constant("direction_axis", np.array([1], dtype=np.int64))
        return self.operator("Squeeze", f"{name}.squeeze", [y, "direction_axis"], f"{name}.y")

    def reshape(self, name: str, x: str, shape: tuple[int, ...]) -> str:
        """Add a Reshape to `shape`."""
        target = self._tensor(f"{name}.shape", np.array(shape, dtype=np.int64))
        return self.operator("Reshape", name, [x, target])

    def dense(
        self,
        layer: DenseLayer,
        x: str,
        input_rms: float,
        deviation: float = 1.0,
        result: str | None = None,
    ) -> str:
        """Add a dense layer on x (rows, features); the result is (rows, columns).

        `deviation` is the standard deviation wanted of the sums, given x of `input_rms`.
        """
        self.layers.append(layer)
        scale = deviation / (input_rms * layer.features**0.5)
        weights = self.weights(layer.name, layer.columns, layer.features, scale, layer.bits)
        inputs = [x, self._tensor(f"{layer.name}.W", weights)]
        if layer.bias:
            biases = self._bias(f"{layer.name}.b", layer.columns)
            inputs.append(self._tensor(f"{layer.name}.b", biases))
        return self.operator("Gemm", layer.name, inputs, result, transB=1)

    def embedding(self, layer: EmbeddingLayer, index: str, deviation: float) -> str:
        """Add the look-up of row `index` of a table whose elements have `deviation`."""
        self.layers.append(layer)
        table = f"{layer.name}.table"
        if self._draws:
            self._tensor(table, self._table(table, layer, deviation))
        return self.operator("Gather", layer.name, [table, index])

    def _table(self, name: str, layer: EmbeddingLayer, deviation: float) -> Float32Array:
        if self._trained is not None:
            return self._trained.plain(name)
        return grid_table(self._rng, layer.rows, layer.features, deviation, EMBEDDING_BITS)

    def operator(
        self,
        operator: str,
        name: str,
        inputs: Sequence[str],
        result: str | None = None,
        **attributes: int | float | str | Sequence[int],
    ) -> str:
        """Add a node with one result, by default named after the node."""
        result = result or f"{name}.y"
        self.node(operator, name, inputs, [result], **attributes)
        return result

    def choice(
        self,
        name: str,
        condition: str,
        bodies: Mapping[str, Callable[[], Sequence[str]]],
        results: Sequence[str],
    ) -> None:
        """Add an If on `condition`, a bool of one element. The functions `bodies["then"]` and
        `bodies["else"]` add the nodes of the branches and return the names of their results."""
        graphs, outer = {}, self._nodes
        for branch, body in bodies.items():
            self._nodes = []
            ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, None) for end in body()]
            graphs[f"{branch}_branch"] = helper.make_graph(
                self._nodes, f"{name}.{branch}", [], ends
            )
        self._nodes = outer
        self._nodes.append(helper.make_node(OPERATOR_IF, [condition], results, name=name, **graphs))

    def has_node(self, name: str) -> bool:
        """True if a node of that name was added."""
        return any(node.name == name for node in self._nodes)

    def node(
        self,
        operator: str,
        name: str,
        inputs: Sequence[str],
        results: Sequence[str],
        **attributes: int | float | str | Sequence[int],
    ) -> None:
        """Add a node."""
        node = helper.make_node(operator, inputs, results, name=name)
        node.attribute.extend(helper.make_attribute(*item) for item in attributes.items())
        self._nodes.append(node)

    def build(self, description: str, metadata: Mapping[str, str]) -> onnx.ModelProto:
        """Return the model; `description` goes into its doc_string."""
        model = onnx.ModelProto(
            ir_version=IR_VERSION,
            opset_import=[helper.make_opsetid("", OPSET)],
            producer_name="azsim.zoo",
            doc_string=description,
        )
        graph = helper.make_graph(self._nodes, self._name, self._inputs, self._outputs)
        model.graph.CopyFrom(graph)
        while self._tensors:  # one by one, so that the weights are never all held twice
            model.graph.initializer.append(self._tensors.pop(0))
        properties = {
            **metadata,
            "azsim.compression": json.dumps(self._plan()),
            "azsim.seed": str(self._seed),
            "azsim.state": json.dumps(self._states),
        }
        helper.set_model_props(model, properties)
        return model

    def _plan(self) -> dict[str, object]:
        plan: dict[str, object] = {"bits": self._bits, "sparsity": self._sparsity}
        if self._layer_bits:
            plan["layer_bits"] = self._layer_bits
        if self._layer_sparsity:
            plan["layer_sparsity"] = self._layer_sparsity
        return plan


def save_onnx(model: onnx.ModelProto, path: str | Path) -> None:
    """Write a model: into a temporary file in the same folder first, then renamed.

    Raises ConfigError naming the path if it cannot be written.
    """
    with replaced_file(Path(path)) as part:
        part.write_bytes(model.SerializeToString())
