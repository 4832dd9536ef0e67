"""Weights from torch to a file of numpy arrays that `azsim` reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tiny_rnnt.compression import Compression, grid_integers
from tiny_rnnt.net import FEATURE_SCALE, TinyRnnt
from tiny_rnnt.settings import EMBEDDING, LSTMS

Array = npt.NDArray[np.generic]
FIRST = "encoder.pre.0.W"  # takes the features as they are: the scale goes into it
ONNX_GATES = (0, 3, 1, 2)  # i, o, f, c of torch's i, f, g (ONNX's c), o


def onnx_order(name: str, rows: Tensor) -> Tensor:
    """Return the rows of an LSTM's weight in ONNX's order of gates; other weights as they are."""
    if name.rpartition(".")[0] not in LSTMS:
        return rows
    gates = rows.chunk(4)
    return torch.cat([gates[k] for k in ONNX_GATES])


@torch.no_grad()
def weight_arrays(net: TinyRnnt, compression: Compression) -> dict[str, Array]:
    """Return NAME.integers (int8) and NAME.scales (float32 per row) of compressed weights, NAME
    (float32) of the others."""
    arrays: dict[str, Array] = {}
    for name, weight in net.named_weights().items():
        if name.startswith("ctc."):
            continue
        if name in compression.masks:
            weight = weight * compression.masks[name]
        weight = onnx_order(name, weight) / (FEATURE_SCALE if name == FIRST else 1.0)
        bits = compression.setting.bits_of(name)
        if bits is None:
            arrays[name] = weight.numpy().astype(np.float32)
            continue
        integers, scales = grid_integers(weight, bits, whole=name == EMBEDDING)
        arrays[f"{name}.integers"] = integers.numpy().astype(np.int8)
        arrays[f"{name}.scales"] = scales[:, 0].numpy().astype(np.float32)
    return arrays


def write_weights(path: Path, net: TinyRnnt, compression: Compression) -> None:
    """Write the file whole or not at all."""
    part = path.with_name(f".{path.name}")
    np.savez_compressed(part, allow_pickle=False, **weight_arrays(net, compression))
    part.rename(path)
