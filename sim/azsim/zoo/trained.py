"""Trained weights of a shipped net, and its words: files beside this module, made by `training/`.

A file holds, for each weight of the net by its name in the ONNX file, NAME (float32), or
NAME.integers (int8) and NAME.scales (float32, one per row) of a compressed one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from azsim.zoo.weights import Float32Array, check_grid

_FOLDER = Path(__file__).parent / "trained_weights"
_DENSE_BITS = 8  # the set that others are made of by rounding


@dataclass(frozen=True)
class TrainedWeights:
    """Weights by name; `cut`: matrices are still to be brought to the compression of the model.
    `origin` says in a sentence how they came about. A name that is missing raises KeyError."""

    weights: dict[str, Float32Array]
    cut: bool
    origin: str

    def matrix(self, name: str, bits: int, sparsity: float) -> Float32Array:
        """Return a matrix for a layer of this compression."""
        weights = self.weights[name]
        return on_grid(weights, bits, sparsity) if self.cut else weights

    def plain(self, name: str) -> Float32Array:
        """Return a bias or a table."""
        return self.weights[name]


def set_name(bits: int, sparsity: float) -> str:
    """Return the name of the weights trained for this compression, whether there are any or not."""
    return f"w{bits}_s{round(100 * sparsity)}" if sparsity else f"w{bits}"


def read_weights(path: Path) -> dict[str, Float32Array]:
    """Return the weights of a file by name, integers times scales multiplied out."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    found: dict[str, Float32Array] = {}
    for name, array in arrays.items():
        if name.endswith(".integers"):
            weight = name.removesuffix(".integers")
            scales = arrays[f"{weight}.scales"].astype(np.float32)
            found[weight] = array.astype(np.float32) * scales[:, np.newaxis]
        elif not name.endswith(".scales"):
            found[name] = array.astype(np.float32)
    return found


def trained_weights(net: str, bits: int, sparsity: float) -> TrainedWeights:
    """Return the weights of `net` for this compression: those trained for it, if shipped; else the
    dense 8-bit ones, which are cut to it without training."""
    check_grid(bits, sparsity)
    exact = _FOLDER / f"{net}_{set_name(bits, sparsity)}.npz"
    if exact.is_file():
        return TrainedWeights(
            read_weights(exact), False, f"Weights are trained with {_text(bits, sparsity)}."
        )
    origin = (
        f"Weights are trained with {_text(_DENSE_BITS, 0.0)}, then cut to {_text(bits, sparsity)}"
        " without training."
    )
    dense = read_weights(_FOLDER / f"{net}_{set_name(_DENSE_BITS, 0.0)}.npz")
    return TrainedWeights(dense, True, origin)


def trained_symbols(net: str) -> list[str]:
    """Return the words of the net's symbols; symbol 0 is the blank, ""."""
    path = _FOLDER / f"{net}_symbols.txt"
    return ["", *path.read_text(encoding="utf-8").split()]


def _text(bits: int, sparsity: float) -> str:
    return f"{bits} bits and {sparsity:.0%} zeros"


def on_grid(
    weights: npt.NDArray[np.float32], bits: int, sparsity: float
) -> npt.NDArray[np.float32]:
    """Return a matrix (rows, columns) with at least the share `sparsity` of zeros, the smallest
    magnitudes, and every row rounded to the symmetric grid of `bits` bits."""
    wanted = round(sparsity * weights.size)
    result = weights.copy()
    if wanted > result.size - np.count_nonzero(result):
        smallest = np.argpartition(np.abs(result), wanted - 1, axis=None)[:wanted]
        result.reshape(-1)[smallest] = 0
    top = np.float32((1 << (bits - 1)) - 1)
    scales = np.abs(result).max(axis=1, keepdims=True) / top
    rounded: npt.NDArray[np.float32] = np.rint(result / np.where(scales > 0, scales, 1)) * scales
    return rounded
