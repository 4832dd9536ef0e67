"""Builders of small ONNX files for the frontend tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
INT64 = TensorProto.INT64


class ModelMaker:
    """Collects nodes and tensors; `save` writes the file without asking ONNX's own checker."""

    def __init__(self, opset: int = 17) -> None:
        self.opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.metadata: dict[str, str] = {}

    def input(self, name: str, shape: Sequence[int | str | None], kind: int = FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(
        self, name: str, shape: Sequence[int | str | None] | None = None, kind: int = FLOAT
    ) -> str:
        self.outputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def tensor(self, name: str, data: Any, dtype: Any = np.float32) -> str:
        self.tensors.append(numpy_helper.from_array(np.asarray(data, dtype=dtype), name))
        return name

    def node(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> None:
        self.nodes.append(helper.make_node(operator, inputs, outputs, **attributes))

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, "test", self.inputs, self.outputs, self.tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = min(model.ir_version, 10)
        helper.set_model_props(model, self.metadata)
        return model

    def save(self, folder: Path, name: str = "model.onnx") -> Path:
        path = folder / name
        path.write_bytes(self.model().SerializeToString())
        return path


def run_onnxruntime(
    path: Path, feeds: Mapping[str, np.ndarray], names: Sequence[str] | None = None
) -> dict[str, np.ndarray]:
    """Return the outputs of the file as onnxruntime computes them."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    wanted = list(names) if names else [output.name for output in session.get_outputs()]
    return dict(zip(wanted, session.run(wanted, dict(feeds)), strict=True))


def lstm_tensors(
    maker: ModelMaker, rng: np.random.Generator, features: int, hidden: int, prefix: str = ""
) -> list[str]:
    """Add W, R, B with random data; return their names."""
    return [
        maker.tensor(prefix + "W", rng.normal(size=(1, 4 * hidden, features)) * 0.4),
        maker.tensor(prefix + "R", rng.normal(size=(1, 4 * hidden, hidden)) * 0.4),
        maker.tensor(prefix + "B", rng.normal(size=(1, 8 * hidden)) * 0.2),
    ]
