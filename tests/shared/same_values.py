"""One node in float: the graph that is read against ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx_models import ModelMaker, run_onnxruntime

from azsim.frontend import read_onnx
from azsim.graph import Graph
from azsim.reference.floats import evaluate_floats


def same(
    folder: Path,
    operator: str,
    shapes: Sequence[Sequence[int]],
    *constants: Any,
    outputs: Sequence[int] = (1,),
    opset: int = 19,
    **attributes: Any,
) -> Graph:
    """Read one node on computed inputs of `shapes`, then `constants`; hold it against ONNX
    Runtime. `outputs` are element types."""
    maker = ModelMaker(opset)
    names = [maker.input(f"x{k}", shape) for k, shape in enumerate(shapes)]
    for k, data in enumerate(constants):
        names.append("" if data is None else maker.tensor(f"t{k}", data, np.asarray(data).dtype))
    results = [maker.output(f"y{k}", None, kind) for k, kind in enumerate(outputs)]
    maker.node(operator, names, results, name="n", **attributes)
    path = maker.save(folder)
    rng = np.random.default_rng(len(operator))
    feeds = {f"x{k}": rng.normal(size=s).astype(np.float32) for k, s in enumerate(shapes)}
    graph = read_onnx(path)
    values, _ = evaluate_floats(graph, feeds, {})
    for name, wanted in run_onnxruntime(path, feeds).items():
        assert values[name].shape == wanted.shape
        np.testing.assert_allclose(values[name], wanted, rtol=2e-5, atol=2e-5)
    return graph
