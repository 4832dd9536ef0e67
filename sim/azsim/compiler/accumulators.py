"""Recurrent states that a step adds to: their rounding errors stay, so they are held in 16 bits.

An LSTM's cell state is one; so is any state that reaches its own new value through sums, products
and norms alone: a running mean, the cell of an LSTM that a model writes out (with norms or
peepholes inside), of an SRU, of a GRU. In steps of 8 bits it would stand still where little is
added, and what is kept of it would be rounded anew in every step.
"""

from __future__ import annotations

from azsim.graph import Graph, Node

CARRYING = ("Add", "Sub", "Mul", "Norm", "Reshape", "Transpose")
ADDING = ("Add", "Sub")


def accumulated_values(graph: Graph) -> list[list[str]]:
    """Return, for each state that is added to, the values from the state to its result."""
    found: list[list[str]] = []
    for state in graph.states:
        reached = _reached(graph, state.source)
        if state.result not in reached or state.result == state.source:
            continue
        path = _leading_to(graph, state.result, reached)
        if any(node.operator in ADDING and path & set(node.outputs) for node in graph.nodes):
            found.append([name for name in reached if name in path])
    return found


def _carriers(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if node.operator in CARRYING]


def _reached(graph: Graph, source: str) -> dict[str, None]:
    """`source` and the values computed from it by carrying operators, in order."""
    reached: dict[str, None] = {source: None}
    for node in _carriers(graph):
        if any(name in reached for name in node.inputs):
            reached.update(dict.fromkeys(node.outputs))
    return reached


def _leading_to(graph: Graph, result: str, reached: dict[str, None]) -> set[str]:
    """The values among `reached` that `result` is computed from, and itself."""
    path = {result}
    for node in reversed(_carriers(graph)):
        if path & set(node.outputs):
            path.update(name for name in node.inputs if name in reached)
    return path
