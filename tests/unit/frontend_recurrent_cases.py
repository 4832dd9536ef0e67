"""What breaks a rule of LSTM, GRU and RNN, and the refusal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_models import ModelMaker

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
FLOATS = "inputs must be float tensors, not "
ACTIVATIONS = (
    "activations must be ONNX's (Sigmoid, Tanh, Relu, HardSigmoid, ...), 3 (GRU: 2, RNN: 1) for"
    " each direction, with finite numbers (of Affine, ScaledTanh and ThresholdedRelu: given),"
    " not "
)
SHAPES = (
    "X must have shape (steps, batch, features) (layout 1: batch first), W (directions, gates *"
    " hidden_size, features), B (directions, 2 * gates * hidden_size), not "
)
STATES = (
    "initial states must have shape (directions, batch, hidden_size) (layout 1: batch first), not "
)
PEEPHOLES = "peephole weights P must be a constant of shape (directions, 3 * hidden_size), not "
STEPS = (
    "a node written out step by step (RNN, other activations, clip, peepholes) must have at most"
    " 512 steps, not "
)
CLIP = "clip must be positive and finite, not "


def recurrent(
    operator: str, text: str, inputs: dict[int, Any] | None = None, x: Any = (1, 1, 3), **more: Any
) -> Any:
    """A node of 3 features and 2 cells; `inputs` replaces some by a name or an array."""

    def build(maker: ModelMaker) -> None:
        gates = GATES[operator]
        maker.input("x", x)
        maker.input("z", (1, 6))
        given: dict[int, Any] = {
            0: "x",
            1: np.ones((1, gates * 2, 3), np.float32),
            2: np.ones((1, gates * 2, 2), np.float32),
            3: np.ones((1, gates * 4), np.float32),
            **(inputs or {}),
        }
        names = [""] * (max(given) + 1)
        for place, entry in given.items():
            is_name = isinstance(entry, str)
            names[place] = entry if is_name else maker.tensor(f"t{place}", entry, entry.dtype)
        maker.node(operator, names, ["", "y"], name="n", **{"hidden_size": 2, **more})
        maker.output("y")

    return pytest.param(build, f"node 'n' ({operator}): {text}", id=f"{operator} {text}")


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


# fmt: off
RECURRENT_CASES = [
    recurrent("LSTM", ACTIVATIONS + "'sigmoid, gelu, tanh'",
              activations=["Sigmoid", "Gelu", "Tanh"]),
    recurrent("GRU", ACTIVATIONS + "'sigmoid'", activations=["Sigmoid"]),
    recurrent("RNN", ACTIVATIONS + "'affine'", activations=["Affine"], activation_alpha=[2.0]),
    recurrent("RNN", ACTIVATIONS + "'elu'", activations=["Elu"], activation_alpha=[float("nan")]),
    recurrent("LSTM", CLIP + "-3", clip=-3.0),
    recurrent("GRU", CLIP + "nan", clip=float("nan")),
    recurrent("RNN", CLIP + "0", clip=0.0),
    recurrent("LSTM", "direction must be 'forward', 'reverse' or 'bidirectional', not 'sideways'",
              direction="sideways"),
    recurrent("LSTM", "layout must be 0 (steps, batch, features) or 1 (batch, steps, features), not"
              " 2", layout=2),
    recurrent("LSTM", "sequence_lens must be absent or the number of steps: every step of the input"
              " is run, not 't4'", {4: np.array([2], np.int32)}),
    recurrent("RNN", "sequence_lens must be absent or the number of steps: every step of the input"
              " is run, not 'z'", {4: "z"}),
    recurrent("LSTM", PEEPHOLES + "the computed 'z'", {7: "z"}),
    recurrent("LSTM", PEEPHOLES + "(1, 4)", {7: ones(1, 4)}),
    recurrent("LSTM", "X must be computed, not the constant 't0'", {0: ones(1, 1, 3)}),
    recurrent("LSTM", "W, R and B must be constants, not the computed 'z'", {3: "z"}),
    recurrent("LSTM", FLOATS + "the int64 constant 't3'", {3: np.ones((1, 16), np.int64)}),
    recurrent("LSTM", "R must have shape (directions, gates * hidden_size, hidden_size); LSTM has 4"
              " gates, GRU 3, RNN 1, not (1, 8, 2) with hidden_size 3", hidden_size=3),
    recurrent("RNN", SHAPES + "X (1, 6)", {0: "z"}),
    recurrent("GRU", SHAPES + "W (1, 6, 2)", {1: ones(1, 6, 2)}),
    recurrent("RNN", SHAPES + "B (1, 3)", {3: ones(1, 3)}),
    recurrent("RNN", STATES + "(1, 6) of 'z'", {5: "z"}),
    recurrent("LSTM", STATES + "(1, 1, 4) of 't6'", {6: ones(1, 1, 4)}),
    recurrent("RNN", STEPS + "513", x=(513, 1, 3)),
    recurrent("LSTM", STEPS + "600", x=(600, 1, 3), clip=1.0),
    recurrent("RNN", "initial states of a node written out step by step must be computed, or"
              " constants of 0, not the constant 't5'", {5: ones(1, 1, 2)}),
]
# fmt: on
