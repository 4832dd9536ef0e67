"""A small sound model file, and changes to its bytes, for tests of hostile files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx_models import ModelMaker


def dense(maker: ModelMaker) -> None:
    """A sound net: y = x W."""
    maker.input("x", (1, 3))
    maker.tensor("W", np.ones((3, 2)))
    maker.node("MatMul", ["x", "W"], ["y"], name="fc")
    maker.output("y", (1, 2))


def saved(folder: Path, change: Callable[[onnx.ModelProto], None]) -> Path:
    """The model after `change`, as a file in `folder`."""
    maker = ModelMaker()
    dense(maker)
    model = maker.model()
    change(model)
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path
