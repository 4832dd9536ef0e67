"""A model of your own: written as ONNX, run on a chip, its outputs read back.

    python examples/own_model.py [FOLDER]

One LSTM with its state carried from frame to frame, and a dense layer. Any exporter will do; what
matters is that one run of the graph is one frame, that all sizes are numbers, and that property
`azsim.state` says which output becomes which input of the next frame.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import azsim

FEATURES, HIDDEN, SCORES, FRAMES = 40, 64, 12, 25


def make_model(path: Path) -> None:
    """Write the model: x (1, 1, 40) -> LSTM 64 -> y (1, 12), state h and c."""
    rng = np.random.default_rng(0)

    def tensor(name: str, *shape: int, deviation: float) -> onnx.TensorProto:
        data = rng.normal(0.0, deviation, shape).astype(np.float32)
        return numpy_helper.from_array(data, name)

    def value(name: str, *shape: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    nodes = [
        helper.make_node(
            "LSTM",
            ["x", "W", "R", "B", "", "h", "c"],
            ["Y", "h_next", "c_next"],
            name="lstm",
            hidden_size=HIDDEN,
        ),
        helper.make_node("Squeeze", ["h_next", "direction"], ["last"], name="squeeze"),
        helper.make_node("Gemm", ["last", "V", "b"], ["y"], name="dense", transB=1),
    ]
    weights = [
        tensor("W", 1, 4 * HIDDEN, FEATURES, deviation=0.2),
        tensor("R", 1, 4 * HIDDEN, HIDDEN, deviation=0.1),
        tensor("B", 1, 8 * HIDDEN, deviation=0.1),
        tensor("V", SCORES, HIDDEN, deviation=0.3),
        tensor("b", SCORES, deviation=0.1),
        numpy_helper.from_array(np.array([0], np.int64), "direction"),
    ]
    state = (1, 1, HIDDEN)
    graph = helper.make_graph(
        nodes,
        "own_model",
        [value("x", 1, 1, FEATURES), value("h", *state), value("c", *state)],
        [value("y", 1, SCORES), value("h_next", *state), value("c_next", *state)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    properties = {"azsim.state": json.dumps({"h": "h_next", "c": "c_next"}), "azsim.frame_ms": "30"}
    helper.set_model_props(model, properties)
    path.write_bytes(model.SerializeToString())


def main(folder: Path) -> None:
    """Write model and frames into `folder`, run them, and show what came out."""
    model, frames, out = folder / "own_model.onnx", folder / "frames.npz", folder / "run"
    make_model(model)
    # one array per input that is no state, frames first
    np.savez(frames, x=np.random.default_rng(1).normal(size=(FRAMES, 1, 1, FEATURES)).astype("f4"))

    record = azsim.run(model, input=frames, chip="az1", bits=6, verify=True, out=out)

    check = record.verification
    assert check is not None
    print(f"bit-exact {check.exact}/{check.steps}, SQNR {record.sqnr_db['y']:.1f} dB")
    print(f"{record.counters.cycles / record.frames:.0f} cycles a frame on {record.chip.name}")
    for layer in record.program.layers:
        if layer.weights:
            bits = 8 * layer.stream_bytes / layer.weights
            print(f"{layer.name}: {layer.weights} weights, {bits:.2f} bits each in the stream")
    with np.load(out / "outputs.npz") as outputs:
        print(f"scores of the last frame: {[f'{y:.2f}' for y in outputs['y'][-1, 0]]}")
        print(f"the integers behind them: {outputs['y_int'][-1, 0].tolist()}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as name:
            main(Path(name))
