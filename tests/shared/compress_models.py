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
