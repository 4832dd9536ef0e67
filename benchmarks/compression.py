"""Size of weight streams against the zero-order entropy and, if it is installed, Arm's mlw codec.

    python benchmarks/compression.py [FILE.npy ...] [--weights N]

Without files: independent weights (Laplace, Gauss, uniform, ternary), and rows of different scale
as trained matrices have them. mlw is `ethosu.mlw_codec` of the PyPI package ethos-u-vela; it gets
each tensor as one stream, without the headers and offsets that random access would need.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from azsim.codec import encode_tensor, inspect_stream, load_weights_npy
from azsim.codec.inspect import entropy_bits

try:
    from ethosu import mlw_codec  # type: ignore[import-not-found]
except ImportError:
    mlw_codec = None


def quantized(values: NDArray[np.float64], bits: int, zeros: float) -> NDArray[np.int8]:
    """Return `values` scaled to `bits` bits, the smallest share `zeros` of them pruned."""
    most = 2 ** (bits - 1) - 1
    kept = np.abs(values) >= np.quantile(np.abs(values), zeros)
    scale = most / np.quantile(np.abs(values), 0.9999)
    return (np.clip(np.round(values * scale), -most, most) * kept).astype(np.int8)


def tensors(count: int) -> dict[str, NDArray[np.int8]]:
    """Return matrices of `count` weights by name."""
    rng = np.random.default_rng(0)
    shape = (count // 1024, 1024)
    scale = np.exp(rng.normal(scale=0.5, size=(shape[0], 1)))
    kinds = {
        "laplace": rng.laplace(size=shape),
        "gauss": rng.normal(size=shape),
        "rows": rng.normal(size=shape) * scale,
    }
    made = {"uniform 8 bit": rng.integers(-128, 128, shape).astype(np.int8)}
    for kind, values in kinds.items():
        for bits in (8, 5, 4):
            for zeros in (0.0, 0.5, 0.75, 0.9):
                made[f"{kind} {bits} bit, {zeros:.0%}"] = quantized(values, bits, zeros)
    ternary = rng.choice([-1, 1], shape) * (rng.random(shape) < 0.1)
    made["ternary, 90%"] = ternary.astype(np.int8)
    made["all zero"] = np.zeros(shape, np.int8)
    return made


def mlw_bits(weights: NDArray[np.int8]) -> float | None:
    """Return the bits per weight of mlw, or None if it is not installed."""
    if mlw_codec is None:
        return None
    return 8 * len(mlw_codec.encode(weights.ravel().tolist())) / weights.size


def row(name: str, weights: NDArray[np.int8]) -> str:
    """Return the line of one tensor."""
    mlw = mlw_bits(weights)
    bitmap = encode_tensor(weights, profile="bitmap").words.size * 64 / weights.size
    small = inspect_stream(encode_tensor(weights, profile="ans", tile=16384))
    large = inspect_stream(encode_tensor(weights, profile="ans", tile=65536))
    sizes = f"{entropy_bits(weights):7.3f} {'-' if mlw is None else f'{mlw:.3f}':>7} {bitmap:7.3f}"
    sizes += f" {small.bits_per_weight:7.3f} {large.bits_per_weight:7.3f}"
    rates = f"{small.weights_per_cycle(64):7.1f} {small.weights_per_cycle(128):7.1f}"
    return f"{name:<24} {sizes} {rates}"


def main() -> None:
    """Print one line per tensor."""
    parser = argparse.ArgumentParser(description="Size of weight streams.")
    parser.add_argument("files", nargs="*", type=Path, help="int8 matrices, .npy")
    parser.add_argument("--weights", type=int, default=1 << 20, help="weights per made-up tensor")
    options = parser.parse_args()
    if options.files:
        chosen = {path.name: load_weights_npy(path) for path in options.files}
    else:
        chosen = tensors(max(1024, options.weights // 1024 * 1024))
    print("bits per weight; weights per cycle of the decoder with ans, 16K tiles, by port width")
    print(
        f"{'tensor':<24} {'H0':>7} {'mlw':>7} {'bitmap':>7} {'ans 16K':>7} {'ans 64K':>7}"
        f" {'64':>7} {'128':>7}"
    )
    for name, weights in chosen.items():
        print(row(name, weights), flush=True)


if __name__ == "__main__":
    main()
