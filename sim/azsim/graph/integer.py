"""Frozen types of the integer graph: what the compressed net computes, bit for bit.

Made from the float graph by the compiler's quantize pass, evaluated by `azsim.reference.integers`
and lowered to commands by the compiler's emit pass. Arithmetic: docs/arithmetic.md. Scales are only
for people and for turning results into floats: no integer depends on them after this graph is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from azsim.graph.integer_nodes import (
    Elementwise,
    EmbedRows,
    IntArray,
    Linear,
    LookUp,
    LstmCell,
    Move,
    Piece,
    Requant,
    SoftmaxRows,
    View,
    WeightArray,
)
from azsim.graph.integer_rows import (
    ArgReduce,
    Extreme,
    GruCell,
    LogSoftmaxRows,
    MatmulRows,
    Norm,
    Reduce,
    Select,
    Table8,
)
from azsim.graph.integer_spatial import Depthwise, Pool
from azsim.graph.integer_transfer import FetchRows, SpillRows
from azsim.graph.types import StatePair

IntegerNode = (
    Linear
    | LstmCell
    | Requant
    | Elementwise
    | LookUp
    | SoftmaxRows
    | Move
    | View
    | EmbedRows
    | Depthwise
    | Pool
    | FetchRows
    | SpillRows
    | ArgReduce
    | Extreme
    | GruCell
    | LogSoftmaxRows
    | MatmulRows
    | Norm
    | Reduce
    | Select
    | Table8
)


Section = tuple[int, int]  # number of the section, track (TRACK_*)
TRACK_DMA, TRACK_MAC, TRACK_VECTOR = range(3)


class IntegerKind(Enum):
    """Where an integer tensor comes from."""

    INPUT = "input"
    STATE = "state"  # all zero points before the first step
    CONSTANT = "constant"
    NODE = "node"


@dataclass(frozen=True)
class IntegerTensor:
    """One tensor: real value = (integer - zero_point) * scale.

    `element` is int8, int16 or int32. `data` (of that type) is present exactly for constants.
    """

    name: str
    shape: tuple[int, ...]
    element: str
    scale: float
    zero_point: int = 0
    kind: IntegerKind = IntegerKind.NODE
    data: IntArray | None = None
    in_dram: bool = False  # made by the spill pass: passes through ABUF in blocks

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclass(frozen=True)
class IntegerGraph:
    """One step of the compressed net. `nodes` in execution order; `tensors` by name.

    `inputs`/`outputs`: non-state graph inputs/outputs by name; `states`: pairs of equal shape,
    element and scale. `sections[node]`: nodes of one section stand together; those of its different
    tracks neither need each other nor share memory, so that their commands may take turns.
    """

    name: str
    nodes: tuple[IntegerNode, ...]
    tensors: Mapping[str, IntegerTensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    states: tuple[StatePair, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    layer_names: Mapping[str, str] = field(default_factory=dict)
    sections: Mapping[str, Section] = field(default_factory=dict)


def node_inputs(node: IntegerNode) -> tuple[str, ...]:
    """Names of the tensors a node reads."""
    return node.reads


def node_outputs(node: IntegerNode) -> tuple[str, ...]:
    """Names of the tensors a node writes."""
    return node.writes


__all__ = [
    "TRACK_DMA",
    "TRACK_MAC",
    "TRACK_VECTOR",
    "ArgReduce",
    "Depthwise",
    "Elementwise",
    "EmbedRows",
    "Extreme",
    "FetchRows",
    "GruCell",
    "IntArray",
    "IntegerGraph",
    "IntegerKind",
    "IntegerNode",
    "IntegerTensor",
    "Linear",
    "LogSoftmaxRows",
    "LookUp",
    "LstmCell",
    "MatmulRows",
    "Move",
    "Norm",
    "Piece",
    "Pool",
    "Reduce",
    "Requant",
    "Section",
    "Select",
    "SoftmaxRows",
    "SpillRows",
    "Table8",
    "View",
    "WeightArray",
    "node_inputs",
    "node_outputs",
]
