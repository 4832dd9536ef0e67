"""LSTM layers whose output is projected before it is fed back, as ONNX can say it."""

from __future__ import annotations

import numpy as np

from azsim.zoo.layers import DenseLayer, LstmLayer
from azsim.zoo.model import (
    BIAS_DEVIATION,
    FORGET_BIAS,
    INPUT_GATE_DEVIATION,
    LSTM_OUTPUT_RMS,
    RECURRENT_GATE_DEVIATION,
    NetMaker,
)

PROJECTED_RMS = 1.0
GATES = 4


def projected_lstms(
    maker: NetMaker,
    name: str,
    x: str,
    features: int,
    hidden: int,
    projection: int,
    layers: int,
    gates: int = GATES,
    first: int = 0,
) -> str:
    """Layers NAME.first, ... on x (1, 1, features) of deviation 1; the result is (1, 1,
    projection)."""
    for number in range(first, first + layers):
        layer = LstmLayer(f"{name}.{number}", features, hidden, recurrent=projection, gates=gates)
        x = projected_lstm(maker, layer, x)
        features = projection
    return x


def projected_lstm(maker: NetMaker, layer: LstmLayer, x: str) -> str:
    """LSTM on x and its own projected output of the step before, both in one product.

    ONNX's LSTM has no projection. It is written as an LSTM whose input is x beside the old output,
    and whose own recurrent weights are zeros, made by ConstantOfShape; a Gemm projects.
    `layer.gates` 3: coupled gates (input_forget), whose forget rows are zeros and not used.
    """
    name, hidden, width = layer.name, layer.hidden, layer.recurrent
    assert width is not None
    maker.layers.append(layer)
    old = maker.state(f"{name}.r", (1, 1, width))
    cell = maker.state(f"{name}.c", (1, 1, hidden))
    both = maker.operator("Concat", f"{name}.both", [x, old], axis=2)
    inputs = [both, *_constants(maker, layer), "", "", cell]
    results = [f"{name}.Y", "", f"{name}.c_next"]
    coupled = {"input_forget": 1} if layer.gates < GATES else {}
    maker.node("LSTM", name, inputs, results, hidden_size=hidden, **coupled)
    maker.keep(cell, results[2], (1, 1, hidden))
    row = maker.reshape(f"{name}.row", results[0], (1, hidden))
    projection = DenseLayer(f"{name}.projection", hidden, width, bias=False)
    row = maker.dense(projection, row, LSTM_OUTPUT_RMS, PROJECTED_RMS)
    new = maker.reshape(f"{name}.projected", row, (1, 1, width))
    maker.keep(old, maker.operator("Identity", f"{name}.kept", [new], f"{name}.r_next"),
               (1, 1, width))  # fmt: skip
    return new


def _constants(maker: NetMaker, layer: LstmLayer) -> list[str]:
    name, hidden = layer.name, layer.hidden
    power = INPUT_GATE_DEVIATION**2 + RECURRENT_GATE_DEVIATION**2
    deviation = (power / layer.columns) ** 0.5
    weight = maker.weights(name, layer.gates * hidden, layer.columns, deviation)
    bias = np.zeros((1, 8 * hidden), dtype=np.float32)
    bias[0, : 4 * hidden] = maker.deviates((4 * hidden,), BIAS_DEVIATION)
    bias[0, 2 * hidden : 3 * hidden] += FORGET_BIAS
    if layer.gates < GATES:  # gate order i, o, f, c
        bias[0, 2 * hidden : 3 * hidden] = 0
        unused = np.zeros((hidden, layer.columns), np.float32)
        weight = np.concatenate([weight[: 2 * hidden], unused, weight[2 * hidden :]])
    shape = maker.constant(
        f"recurrent_shape_{hidden}", np.array([1, 4 * hidden, hidden], dtype=np.int64)
    )
    zeros = f"no_recurrence_{hidden}"
    if not maker.has_node(zeros):
        maker.operator("ConstantOfShape", zeros, [shape], zeros)
    return [
        maker.constant(f"{name}.W", weight[np.newaxis]),
        zeros,
        maker.constant(f"{name}.B", bias),
    ]
