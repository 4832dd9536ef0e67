"""Small float models for the compression tools."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from onnx_models import ModelMaker


def dense_net(
    folder: Path,
    seed: int = 1,
    widths: tuple[int, ...] = (32, 64, 64, 10),
    name: str = "net.onnx",
    unlike: float = 0.0,
) -> Path:
    """Gemm (transB) and MatMul + Add in turn, Relu between; layers fc0, fc1, ... The more `unlike`
    they are, the more rows differ in size."""
    rng = np.random.default_rng(seed)
    maker = ModelMaker()
    x = maker.input("x", (1, widths[0]))
    for k, (rows, columns) in enumerate(zip(widths[1:], widths[:-1], strict=True)):
        last = k == len(widths) - 2
        weight = rng.standard_t(6, (rows, columns)) * 0.7 / np.sqrt(columns)
        weight *= np.exp(unlike * rng.normal(size=(rows, 1)))
        bias = maker.tensor(f"b{k}", rng.normal(size=rows) * 0.1)
        result = "y" if last else f"s{k}"
        if k % 2 == 0:
            inputs = [x, maker.tensor(f"w{k}", weight), bias]
            maker.node("Gemm", inputs, [result], name=f"fc{k}", transB=1)
        else:
            maker.node("MatMul", [x, maker.tensor(f"w{k}", weight.T)], [f"p{k}"], name=f"fc{k}")
            maker.node("Add", [f"p{k}", bias], [result], name=f"add{k}")
        if not last:
            maker.node("Relu", [result], [f"r{k}"], name=f"relu{k}")
            x = f"r{k}"
    maker.output("y", (1, widths[-1]))
    return maker.save(folder, name)


def mixed_net(folder: Path, name: str = "mixed.onnx") -> Path:
    """Convolution with batch norm, Relu, an LSTM with carried states, and an unnamed MatMul."""
    rng = np.random.default_rng(3)
    maker = ModelMaker()
    maker.input("x", (1, 2, 8, 8))
    maker.tensor("wc", rng.normal(size=(4, 2, 3, 3)) * 0.3)
    maker.node("Conv", ["x", "wc"], ["c"], name="conv", pads=[1, 1, 1, 1], strides=[2, 2])
    stats = [
        maker.tensor(f"bn{k}", data)
        for k, data in enumerate(
            (rng.uniform(0.5, 1.5, 4), rng.normal(size=4) * 0.1, rng.normal(size=4) * 0.1,
             rng.uniform(0.5, 1.5, 4))
        )
    ]  # fmt: skip
    maker.node("BatchNormalization", ["c", *stats], ["n"], name="norm")
    maker.node("Relu", ["n"], ["a"])
    maker.tensor("shape", [1, 1, 64], np.int64)
    maker.node("Reshape", ["a", "shape"], ["f"])
    for part in ("h", "c"):
        maker.input(f"{part}0", (1, 1, 16))
    maker.tensor("W", rng.normal(size=(1, 64, 64)) * 0.1)
    maker.tensor("R", rng.normal(size=(1, 64, 16)) * 0.2)
    maker.node(
        "LSTM", ["f", "W", "R", "", "", "h0", "c0"], ["Y", "h1", "c1"], name="lstm", hidden_size=16
    )
    maker.tensor("axis", [1], np.int64)
    maker.node("Squeeze", ["Y", "axis"], ["q"])
    maker.tensor("wo", rng.normal(size=(16, 6)) * 0.4)
    maker.node("MatMul", ["q", "wo"], ["y"])
    maker.output("y", (1, 1, 6))
    for part in ("h", "c"):
        maker.output(f"{part}1", (1, 1, 16))
    maker.metadata["azsim.state"] = '{"h0": "h1", "c0": "c1"}'
    return maker.save(folder, name)


def frames_file(folder: Path, shape: tuple[int, ...], steps: int = 12, name: str = "f.npz") -> Path:
    """Normal noise for input x."""
    data = np.random.default_rng(7).standard_normal((steps, *shape)).astype(np.float32)
    np.savez(folder / name, x=data)
    return folder / name


def recurrent_net(folder: Path, operator: str = "LSTM") -> Path:
    """Both directions with constant initial states over 5 steps of 24, then a product."""
    rng = np.random.default_rng(8)
    gates = {"LSTM": 4, "GRU": 3}[operator] * 16
    maker = ModelMaker()
    maker.input("x", (5, 1, 24))
    shapes = {"W": (2, gates, 24), "R": (2, gates, 16), "B": (2, 2 * gates), "h": (2, 1, 16)}
    names = [maker.tensor(name, rng.normal(size=shape) * 0.3) for name, shape in shapes.items()]
    states = [maker.tensor("c", rng.normal(size=(2, 1, 16)) * 0.3)] if operator == "LSTM" else []
    inputs = ["x", *names[:3], "", names[3], *states]
    words = {"hidden_size": 16, "direction": "bidirectional"}
    maker.node(operator, inputs, ["Y"], name="rnn", **words)
    maker.tensor("shape", [5, 32], np.int64)
    maker.node("Transpose", ["Y"], ["T"], perm=[0, 2, 1, 3])
    maker.node("Reshape", ["T", "shape"], ["q"])
    maker.node(
        "MatMul", ["q", maker.tensor("w", rng.normal(size=(32, 6)) * 0.4)], ["y"], name="out"
    )
    maker.output("y", (5, 6))
    return maker.save(folder, "rnn.onnx")


def batch_norm(maker: ModelMaker, source: str, result: str, channels: int) -> None:
    """A BatchNormalization of random statistics."""
    rng = np.random.default_rng(5)
    stats = {
        "gamma": rng.uniform(0.5, 2.0, channels), "beta": rng.normal(size=channels),
        "mean": rng.normal(size=channels), "variance": rng.uniform(0.5, 2.0, channels),
    }  # fmt: skip
    names = [maker.tensor(f"{result}.{name}", data) for name, data in stats.items()]
    maker.node("BatchNormalization", [source, *names], [result], name=f"{result}.norm")
