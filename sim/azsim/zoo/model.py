"""Building blocks of the shipped ONNX models: stacked LSTM layers with declared states."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from azsim.errors import ConfigError
from azsim.zoo.weights import Float32Array, grid_weights

OPSET = 17
IR_VERSION = 8

# Root mean squares the weights are sized for, so that the standard deviation of a gate's sum is
# near 1 from the input and near 0.5 from the old output: neither saturated nor dying.
LSTM_OUTPUT_RMS = 0.35
INPUT_GATE_DEVIATION = 1.0
RECURRENT_GATE_DEVIATION = 0.5
FORGET_BIAS = 1.0  # the usual start value of trained LSTMs


class NetMaker:
    """Collects the parts of one ONNX model; layer methods return the name of their result."""

    def __init__(self, name: str, bits: int, sparsity: float, seed: int) -> None:
        self._name = name
        self._bits = bits
        self._sparsity = sparsity
        self._rng = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []
        self._states: dict[str, str] = {}

    def input(self, name: str, shape: tuple[int, ...]) -> str:
        """Add a float graph input."""
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def output(self, name: str, shape: tuple[int, ...]) -> None:
        """Add a float graph output."""
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def _tensor(self, name: str, data: Float32Array | np.ndarray) -> str:
        self._tensors.append(
            onnx.TensorProto(
                name=name,
                data_type=helper.np_dtype_to_tensor_dtype(data.dtype),
                dims=data.shape,
                raw_data=data.tobytes(),
            )
        )
        return name

    def _grid(self, rows: int, columns: int, deviation: float) -> Float32Array:
        return grid_weights(self._rng, rows, columns, deviation, self._bits, self._sparsity)

    def lstm(self, name: str, x: str, features: int, hidden: int, input_rms: float) -> str:
        """Add an LSTM layer on x (1, 1, features) with carried states; result (1, 1, hidden).

        `input_rms` is the root mean square expected of x.
        """
        from_input = INPUT_GATE_DEVIATION / (input_rms * features**0.5)
        from_output = RECURRENT_GATE_DEVIATION / (LSTM_OUTPUT_RMS * hidden**0.5)
        weight = self._grid(4 * hidden, features, from_input)
        recurrent = self._grid(4 * hidden, hidden, from_output)
        bias = np.zeros((1, 8 * hidden), dtype=np.float32)
        bias[0, : 4 * hidden] = 0.1 * self._rng.standard_normal(4 * hidden)
        bias[0, 2 * hidden : 3 * hidden] += FORGET_BIAS  # gate order i, o, f, c
        parameters = [
            self._tensor(f"{name}.W", weight[np.newaxis]),
            self._tensor(f"{name}.R", recurrent[np.newaxis]),
            self._tensor(f"{name}.B", bias),
        ]
        state = [self.input(f"{name}.{part}", (1, 1, hidden)) for part in ("h", "c")]
        results = [f"{name}.{part}" for part in ("Y", "h_next", "c_next")]
        self._nodes.append(
            helper.make_node(
                "LSTM", [x, *parameters, "", *state], results, name=name, hidden_size=hidden
            )
        )
        for source, result in zip(state, results[1:], strict=True):
            self.output(result, (1, 1, hidden))
            self._states[source] = result
        return self._squeeze(name, results[0])

    def _squeeze(self, name: str, y: str) -> str:
        if all(tensor.name != "direction_axis" for tensor in self._tensors):
            self._tensor("direction_axis", np.array([1], dtype=np.int64))
        self._nodes.append(
            helper.make_node(
                "Squeeze", [y, "direction_axis"], [f"{name}.y"], name=f"{name}.squeeze"
            )
        )
        return f"{name}.y"

    def reshape(self, name: str, x: str, shape: tuple[int, ...]) -> str:
        """Add a Reshape to `shape`."""
        target = self._tensor(f"{name}.shape", np.array(shape, dtype=np.int64))
        self._nodes.append(helper.make_node("Reshape", [x, target], [f"{name}.y"], name=name))
        return f"{name}.y"

    def dense(self, name: str, x: str, features: int, columns: int, result: str) -> None:
        """Add a Gemm with bias on x (1, features); `result` is (1, columns)."""
        deviation = 1.0 / (LSTM_OUTPUT_RMS * features**0.5)
        weight = self._tensor(f"{name}.W", self._grid(columns, features, deviation))
        bias = self._tensor(
            f"{name}.b", (0.1 * self._rng.standard_normal(columns)).astype(np.float32)
        )
        self._nodes.append(
            helper.make_node("Gemm", [x, weight, bias], [result], name=name, transB=1)
        )

    def identity(self, name: str, x: str, result: str) -> None:
        """Give value `x` the name of a graph output."""
        self._nodes.append(helper.make_node("Identity", [x], [result], name=name))

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
        plan = {"bits": self._bits, "sparsity": self._sparsity}
        properties = {
            **metadata,
            "azsim.compression": json.dumps(plan),
            "azsim.state": json.dumps(self._states),
        }
        helper.set_model_props(model, properties)
        return model


def save_onnx(model: onnx.ModelProto, path: str | Path) -> None:
    """Write a model: into a temporary file in the same folder first, then renamed.

    Raises ConfigError naming the path if it cannot be written.
    """
    path = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(model.SerializeToString())
        os.chmod(temporary, 0o644)  # mkstemp makes files that only the owner may read
        os.replace(temporary, path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        Path(temporary).unlink(missing_ok=True)
