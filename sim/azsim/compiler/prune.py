"""Pass 3, prune: set the smallest weights of each matrix to zero until a share of zeros is
reached.

Matrices are pruned one at a time, when they are quantized: a pruned float copy of all of them would
double what a compilation holds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from azsim.compiler.plan import CompressionPlan
from azsim.graph import Graph, Node

# operator -> input positions that hold weight matrices
WEIGHT_INPUTS: dict[str, tuple[int, ...]] = {
    "MatMul": (1,),
    "Conv": (1,),
    "LSTM": (1, 2),
    "GRU": (1, 2),
}


def zero_shares(graph: Graph, plan: CompressionPlan) -> dict[str, float]:
    """Return the share of zeros that `plan` wants of each weight matrix, by name.

    A matrix used by two nodes has the larger share of the two.
    """
    shares: dict[str, float] = {}
    for node in graph.nodes:
        for name in weight_names(node):
            shares[name] = max(shares.get(name, 0.0), plan.sparsity_of(node.name))
    return shares


def weight_names(node: Node) -> tuple[str, ...]:
    """Names of the weight matrices of `node`, without absent ones."""
    names = (node.inputs[k] for k in WEIGHT_INPUTS.get(node.operator, ()))
    return tuple(name for name in names if name)


def prune_array(weights: npt.NDArray[np.generic], share: float) -> npt.NDArray[np.generic]:
    """Return `weights` with at least round(share x size) zeros, zeros already there counted; of
    equal magnitudes the later go first."""
    wanted = round(share * weights.size)
    if wanted <= weights.size - np.count_nonzero(weights):
        return weights
    magnitudes = np.abs(weights).reshape(-1)
    limit = np.partition(magnitudes, wanted - 1)[wanted - 1]
    equal = np.flatnonzero(magnitudes == limit)
    gone = magnitudes < limit
    gone[equal[len(equal) - (wanted - np.count_nonzero(gone)) :]] = True
    result: npt.NDArray[np.generic] = np.where(gone.reshape(weights.shape), 0, weights)
    return result.astype(weights.dtype, copy=False)
