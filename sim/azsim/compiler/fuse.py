"""Pass 2, fuse: find what one command sequence computes together.

MatMul or Conv + Add of a constant row + Relu become one product with bias and lower bound, Add or
Mul and Relu one element-wise command. The float graph stays as it is; the result says which nodes
are absorbed, and the quantize pass obeys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from azsim.graph import Graph, Node, ValueKind

PRODUCTS = ("MatMul", "Conv")
CONV_BIAS = 2  # input of Conv


@dataclass(frozen=True)
class FusedProduct:
    """A product with what follows it: value `result` replaces the product's own output."""

    bias: str = ""  # constant of shape (N,), or (1, .., N)
    relu: bool = False
    result: str = ""


@dataclass(frozen=True)
class Fusion:
    """`products`: by MatMul node name. `limited`: by Add, Sub or Mul node name the result of the
    Relu that follows it. `absorbed`: names of nodes that need no command of their own."""

    products: Mapping[str, FusedProduct] = field(default_factory=dict)
    limited: Mapping[str, str] = field(default_factory=dict)
    absorbed: frozenset[str] = frozenset()


def fuse_graph(graph: Graph) -> Fusion:
    """Return the fusions of `graph`: only where the value in between is used nowhere else."""
    users = _users(graph)
    products: dict[str, FusedProduct] = {}
    absorbed: set[str] = set()
    for node in graph.nodes:
        if node.operator in PRODUCTS:
            product, nodes = _follow(graph, node, users)
            products[node.name] = product
            absorbed.update(nodes)
    limited: dict[str, str] = {}
    for node in graph.nodes:
        if node.operator in ("Add", "Sub", "Mul") and node.name not in absorbed:
            follower = _only_user(graph, node.outputs[0], users)
            if follower is not None and follower.operator == "Relu":
                limited[node.name] = follower.outputs[0]
                absorbed.add(follower.name)
    return Fusion(products, limited, frozenset(absorbed))


def _users(graph: Graph) -> dict[str, list[Node]]:
    users: dict[str, list[Node]] = {name: [] for name in graph.values}
    for node in graph.nodes:
        for name in node.inputs:
            if name:
                users[name].append(node)
    return users


def _follow(
    graph: Graph, node: Node, users: dict[str, list[Node]]
) -> tuple[FusedProduct, list[str]]:
    result, bias, relu, nodes = node.outputs[0], _own_bias(node), False, []
    follower = _only_user(graph, result, users)
    if follower is not None and follower.operator == "Add" and not bias:
        other = follower.inputs[1] if follower.inputs[0] == result else follower.inputs[0]
        if _is_row(graph, other, result) and follower.inputs[0] != follower.inputs[1]:
            result, bias = follower.outputs[0], other
            nodes.append(follower.name)
            follower = _only_user(graph, result, users)
    if follower is not None and follower.operator == "Relu":
        result, relu = follower.outputs[0], True
        nodes.append(follower.name)
    return FusedProduct(bias, relu, result), nodes


def _own_bias(node: Node) -> str:
    has_bias = node.operator == "Conv" and len(node.inputs) > CONV_BIAS
    return node.inputs[CONV_BIAS] if has_bias else ""


def _only_user(graph: Graph, name: str, users: dict[str, list[Node]]) -> Node | None:
    kept = set(graph.outputs) | {state.result for state in graph.states}
    return users[name][0] if len(users[name]) == 1 and name not in kept else None


def _is_row(graph: Graph, name: str, result: str) -> bool:
    """True if constant `name` is one bias per output column of `result`, and adds no dimension."""
    value, target = graph.values[name], graph.values[result]
    columns = target.shape[-1]
    return (
        value.kind is ValueKind.CONSTANT
        and value.size == columns
        and len(value.shape) <= len(target.shape)
        and value.shape[-1:] == (columns,)
    )
