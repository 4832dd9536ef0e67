"""Pass 2, prune: set the smallest weights of each matrix to zero until a share of zeros is
reached."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from azsim.compiler.plan import CompressionPlan
from azsim.graph import Graph, Node, Value

# operator -> input positions that hold weight matrices
WEIGHT_INPUTS: dict[str, tuple[int, ...]] = {
    "MatMul": (1,),
    "Conv": (1,),
    "LSTM": (1, 2),
    "GRU": (1, 2),
}


def prune_graph(graph: Graph, plan: CompressionPlan) -> Graph:
    """Return the graph with each weight matrix pruned by magnitude to `plan`'s share of zeros.

    Zeros already there count. A matrix used by two nodes is pruned to the larger share of the two.
    """
    shares: dict[str, float] = {}
    for node in graph.nodes:
        for name in weight_names(node):
            shares[name] = max(shares.get(name, 0.0), plan.sparsity_of(node.name))
    values = dict(graph.values)
    for name, share in shares.items():
        values[name] = _pruned(values[name], share)
    return replace(graph, values=values)


def weight_names(node: Node) -> tuple[str, ...]:
    """Names of the weight matrices of `node`, without absent ones."""
    names = (node.inputs[k] for k in WEIGHT_INPUTS.get(node.operator, ()))
    return tuple(name for name in names if name)


def _pruned(value: Value, share: float) -> Value:
    assert value.data is not None  # weights are constants: the graph was verified
    return replace(value, data=prune_array(value.data, share))


def prune_array(weights: npt.NDArray[np.generic], share: float) -> npt.NDArray[np.generic]:
    """Return `weights` with at least round(share x size) zeros; of equal magnitudes the later go
    first."""
    wanted = round(share * weights.size)
    missing = wanted - int(weights.size - np.count_nonzero(weights))
    if missing <= 0:
        return weights
    result = weights.copy().reshape(-1)
    smallest = np.argpartition(np.abs(result), wanted - 1)[:wanted]
    result[smallest] = 0
    return result.reshape(weights.shape)
