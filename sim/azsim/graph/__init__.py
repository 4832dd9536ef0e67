"""The float graph: what a model file says, after reading and folding, before any compression."""

from azsim.graph.types import (
    DEFAULT_OPERATORS,
    Graph,
    Node,
    Quantization,
    StatePair,
    StoredIntegers,
    Value,
    ValueKind,
)
from azsim.graph.verify import verify_graph

__all__ = [
    "DEFAULT_OPERATORS",
    "Graph",
    "Node",
    "Quantization",
    "StatePair",
    "StoredIntegers",
    "Value",
    "ValueKind",
    "verify_graph",
]
