"""Small nets of the kinds that exporters write: a Conformer block without convolution, a GRU
encoder, an LSTM with coupled gates and projection."""

from __future__ import annotations

import json

import numpy as np
from onnx_models import ModelMaker

WIDTH, HEADS, CONTEXT, FRAMES = 32, 4, 6, 2


def _linear(
    maker: ModelMaker, rng: np.random.Generator, x: str, name: str, out: int, k: int
) -> str:
    maker.tensor(f"{name}_w", rng.normal(size=(k, out)) / np.sqrt(k))
    maker.tensor(f"{name}_b", rng.normal(size=out) * 0.1)
    maker.node("MatMul", [x, f"{name}_w"], [f"{name}_m"])
    maker.node("Add", [f"{name}_m", f"{name}_b"], [name])
    return name


def _layer_norm(maker: ModelMaker, rng: np.random.Generator, x: str, name: str) -> str:
    """As older exporters write it."""
    maker.tensor(f"{name}_g", rng.uniform(0.7, 1.3, WIDTH))
    maker.tensor(f"{name}_b", rng.normal(size=WIDTH) * 0.1)
    maker.node("ReduceMean", [x], [f"{name}_mean"], axes=[-1])
    maker.node("Sub", [x, f"{name}_mean"], [f"{name}_d"])
    maker.node("Pow", [f"{name}_d", "two"], [f"{name}_p"])
    maker.node("ReduceMean", [f"{name}_p"], [f"{name}_v"], axes=[-1])
    maker.node("Add", [f"{name}_v", "epsilon"], [f"{name}_e"])
    maker.node("Sqrt", [f"{name}_e"], [f"{name}_s"])
    maker.node("Div", [f"{name}_d", f"{name}_s"], [f"{name}_n"])
    maker.node("Mul", [f"{name}_n", f"{name}_g"], [f"{name}_h"])
    maker.node("Add", [f"{name}_h", f"{name}_b"], [name])
    return name


def _feed_forward(maker: ModelMaker, rng: np.random.Generator, x: str, name: str) -> str:
    """Half a step of norm, linear, x * sigmoid(x), linear."""
    normed = _layer_norm(maker, rng, x, f"{name}_norm")
    wide = _linear(maker, rng, normed, f"{name}_up", 2 * WIDTH, WIDTH)
    maker.node("Sigmoid", [wide], [f"{name}_sig"])
    maker.node("Mul", [wide, f"{name}_sig"], [f"{name}_silu"])
    down = _linear(maker, rng, f"{name}_silu", f"{name}_down", WIDTH, 2 * WIDTH)
    maker.node("Mul", [down, "half"], [f"{name}_half"])
    maker.node("Add", [x, f"{name}_half"], [name])
    return name


def _attention(maker: ModelMaker, rng: np.random.Generator, x: str) -> str:
    """Heads over the frames of the step and the keys and values of earlier frames (states)."""
    normed = _layer_norm(maker, rng, x, "att_norm")
    maker.tensor("split", [1, -1, HEADS, WIDTH // HEADS], np.int64)
    maker.tensor("joined", [1, FRAMES, WIDTH], np.int64)
    maker.tensor("root", np.sqrt(WIDTH / HEADS))
    for name, value in (("starts", [FRAMES]), ("ends", [CONTEXT + FRAMES]), ("axis", [1])):
        maker.tensor(name, value, np.int64)
    query = _linear(maker, rng, normed, "q", WIDTH, WIDTH)
    parts = {"q": query}
    for name in "kv":
        new = _linear(maker, rng, normed, name, WIDTH, WIDTH)
        maker.input(f"{name}_past", (1, CONTEXT, WIDTH))
        maker.node("Concat", [f"{name}_past", new], [f"{name}_all"], axis=1)
        maker.node("Slice", [f"{name}_all", "starts", "ends", "axis"], [f"{name}_next"])
        maker.output(f"{name}_next")
        parts[name] = f"{name}_all"
    for name, perm in (("q", (0, 2, 1, 3)), ("k", (0, 2, 3, 1)), ("v", (0, 2, 1, 3))):
        maker.node("Reshape", [parts[name], "split"], [f"{name}_r"])
        maker.node("Transpose", [f"{name}_r"], [f"{name}_t"], perm=perm)
    maker.node("MatMul", ["q_t", "k_t"], ["scores"])
    maker.node("Div", ["scores", "root"], ["scaled"])
    maker.node("Softmax", ["scaled"], ["shares"], axis=-1)
    maker.node("MatMul", ["shares", "v_t"], ["mixed"])
    maker.node("Transpose", ["mixed"], ["mixed_t"], perm=(0, 2, 1, 3))
    maker.node("Reshape", ["mixed_t", "joined"], ["mixed_j"])
    out = _linear(maker, rng, "mixed_j", "att_out", WIDTH, WIDTH)
    maker.node("Add", [x, out], ["att"])
    return "att"


def conformer_block(seed: int = 0) -> ModelMaker:
    """Feed-forward, attention with cached left context, feed-forward, norm; two frames a step."""
    rng = np.random.default_rng(seed)
    maker = ModelMaker(17)
    for name, value in (("two", 2.0), ("epsilon", 1e-5), ("half", 0.5)):
        maker.tensor(name, value)
    maker.input("x", (1, FRAMES, WIDTH))
    x = _feed_forward(maker, rng, "x", "ff1")
    x = _feed_forward(maker, rng, _attention(maker, rng, x), "ff2")
    maker.output(_layer_norm(maker, rng, x, "y"))
    maker.metadata = {"azsim.state": json.dumps({f"{n}_past": f"{n}_next" for n in "kv"})}
    return maker


def gru_net(linear_before_reset: int, seed: int = 0) -> ModelMaker:
    """Two GRU layers with their states, a GLU and log-probabilities."""
    rng = np.random.default_rng(seed)
    maker = ModelMaker(18)
    maker.input("x", (1, 1, 12))
    source, states = "x", {}
    for layer, width in enumerate((12, 24)):
        maker.tensor(f"W{layer}", rng.normal(size=(1, 72, width)) * 0.3)
        maker.tensor(f"R{layer}", rng.normal(size=(1, 72, 24)) * 0.3)
        maker.tensor(f"B{layer}", rng.normal(size=(1, 144)) * 0.2)
        maker.input(f"h{layer}", (1, 1, 24))
        inputs = [source, f"W{layer}", f"R{layer}", f"B{layer}", "", f"h{layer}"]
        outputs = [f"y{layer}", f"next{layer}"]
        maker.node("GRU", inputs, outputs, hidden_size=24, linear_before_reset=linear_before_reset)
        maker.output(f"next{layer}")
        maker.tensor("squeezed", [1, 1, 24], np.int64) if layer == 0 else None
        maker.node("Reshape", [f"y{layer}", "squeezed"], [f"s{layer}"])
        source, states[f"h{layer}"] = f"s{layer}", f"next{layer}"
    wide = _linear(maker, rng, source, "wide", 32, 24)
    maker.node("Split", [wide], ["left", "right"], axis=-1, num_outputs=2)
    maker.node("Sigmoid", ["right"], ["gate"])
    maker.node("Mul", ["left", "gate"], ["glu"])
    logits = _linear(maker, rng, "glu", "logits", 10, 16)
    maker.node("LogSoftmax", [logits], ["y"], axis=-1)
    maker.output("y")
    maker.metadata = {"azsim.state": json.dumps(states)}
    return maker


def projected_lstm(seed: int = 0) -> ModelMaker:
    """An LSTM with coupled gates, projected, and a bidirectional one over the frames of a step."""
    rng = np.random.default_rng(seed)
    maker = ModelMaker(17)
    maker.input("x", (4, 1, 10))
    states = {}
    for name in "hc":
        maker.input(name, (1, 1, 16))
        states[name] = f"{name}_next"
    for prefix, directions, width in (("a", 1, 10), ("b", 2, 8)):
        maker.tensor(f"{prefix}W", rng.normal(size=(directions, 64, width)) * 0.4)
        maker.tensor(f"{prefix}R", rng.normal(size=(directions, 64, 16)) * 0.3)
        maker.tensor(f"{prefix}B", rng.normal(size=(directions, 128)) * 0.2)
    inputs = ["x", "aW", "aR", "aB", "", "h", "c"]
    maker.node("LSTM", inputs, ["ya", "h_next", "c_next"], hidden_size=16, input_forget=1)
    maker.tensor("flat", [4, 1, 16], np.int64)
    maker.node("Reshape", ["ya", "flat"], ["ra"])
    projected = _linear(maker, rng, "ra", "p", 8, 16)
    maker.node(
        "LSTM", [projected, "bW", "bR", "bB"], ["y"], hidden_size=16, direction="bidirectional"
    )
    for name in ("y", "h_next", "c_next"):
        maker.output(name)
    maker.metadata = {"azsim.state": json.dumps(states)}
    return maker
