"""Layer norm and RMS norm as exporters write them: means, differences, squares and roots.

(x - mean) / sqrt(mean((x - mean)^2) + epsilon) [* gamma] [+ beta], and the same without the mean;
the square as Pow 2 or x * x, the quotient as Div or as a product with the reciprocal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from azsim.frontend.patterns.editor import GraphEditor
from azsim.graph import Node
from azsim.graph.formulas import number_word
from azsim.graph.types import Attribute


@dataclass(frozen=True)
class _Match:
    kind: str
    x: str
    epsilon: float


def fuse_norms(editor: GraphEditor) -> None:
    """Replace each quotient that is a norm, with the gamma and beta behind it."""
    for node in editor.nodes():
        found = _quotient(editor, node)
        if found is not None:
            _replace(editor, node, found)


def _quotient(editor: GraphEditor, node: Node) -> _Match | None:
    if node.operator == "Div":
        return _norm_of(editor, node.inputs[0], _root(editor, node.inputs[1]))
    if node.operator == "Mul":
        for top, bottom in (node.inputs, node.inputs[::-1]):
            found = _norm_of(editor, top, _inverse_root(editor, bottom))
            if found is not None:
                return found
    return None


def _function(editor: GraphEditor, name: str, *formulas: tuple[str, ...]) -> str | None:
    """The input of a Function of one of these formulas that makes `name`."""
    node = editor.maker(name, "Function")
    return node.inputs[0] if node is not None and node.attributes["formula"] in formulas else None


def _root(editor: GraphEditor, name: str) -> str | None:
    """What `name` is the square root of."""
    return _function(editor, name, ("x", "Sqrt"), ("x", number_word(0.5), "Pow"))


def _inverse_root(editor: GraphEditor, name: str) -> str | None:
    """What `name` is one over the square root of."""
    power = _function(editor, name, ("x", number_word(-0.5), "Pow"))
    if power is not None:
        return power
    inner = _function(editor, name, ("x", "Reciprocal"), (number_word(1.0), "x", "Div"))
    if inner is None:
        node = editor.maker(name, "Div")
        if node is None or editor.number(node.inputs[0]) != 1.0:
            return None
        inner = node.inputs[1]
    return _root(editor, inner)


def _norm_of(editor: GraphEditor, top: str, below: str | None) -> _Match | None:
    """The norm that top / sqrt(below) is, if it is one."""
    node = editor.maker(below or "", "Add")
    if node is None:
        return None
    for mean, constant in (node.inputs, node.inputs[::-1]):
        epsilon = editor.number(constant)
        power = _mean_of(editor, mean)
        base = _square(editor, power) if power is not None else None
        if epsilon is None or base is None or epsilon < 0:
            continue
        x = _centred(editor, base)
        if x is not None and _centred(editor, top) == x:
            return _Match("layer", x, epsilon)
        if base == top:
            return _Match("rms", top, epsilon)
    return None


def _mean_of(editor: GraphEditor, name: str) -> str | None:
    """What `name` is the mean of along the last axis, kept."""
    node = editor.maker(name, "Reduce")
    if node is None or node.attributes["kind"] != "mean":
        return None
    last = len(editor.values[name].shape) - 1
    return node.inputs[0] if node.attributes["axes"] == (last,) else None


def _square(editor: GraphEditor, name: str) -> str | None:
    """What `name` is the square of."""
    base = _function(editor, name, ("x", number_word(2.0), "Pow"))
    if base is not None:
        return base
    node = editor.maker(name, "Mul")
    return node.inputs[0] if node is not None and node.inputs[0] == node.inputs[1] else None


def _centred(editor: GraphEditor, name: str) -> str | None:
    """x if `name` is x less its mean."""
    node = editor.maker(name, "Sub")
    if node is None:
        return None
    return node.inputs[0] if _mean_of(editor, node.inputs[1]) == node.inputs[0] else None


def _replace(editor: GraphEditor, node: Node, found: _Match) -> None:
    gamma, beta, last = "", "", node
    follower = _parameter(editor, last, "Mul")
    if follower is not None:
        last, gamma = follower
    follower = _parameter(editor, last, "Add")
    if follower is not None:
        last, beta = follower
    columns = editor.values[found.x].shape[-1]
    rows = tuple(_row(editor, f"{node.name}.{n}", n, columns) for n in (gamma, beta))
    attributes: dict[str, Attribute] = {"kind": found.kind, "epsilon": found.epsilon}
    editor.replace_node(last, "Norm", (found.x, *rows), attributes)


def _parameter(editor: GraphEditor, node: Node, operator: str) -> tuple[Node, str] | None:
    """The node behind that multiplies by, or adds, a number per column (or one for all)."""
    name = node.outputs[0]
    follower = editor.only_reader(name)
    if follower is None or follower.operator != operator:
        return None
    others = [other for other in follower.inputs if other != name]
    shape = editor.values[name].shape
    if len(others) != 1 or editor.values[follower.outputs[0]].shape != shape:
        return None
    data = editor.constant(others[0])
    fits = data is not None and (data.size == 1 or data.shape[-1:] == shape[-1:] == (data.size,))
    return (follower, others[0]) if fits else None


def _row(editor: GraphEditor, wish: str, name: str, columns: int) -> str:
    data = editor.constant(name)
    if data is None:
        return ""
    return editor.add_constant(wish, np.broadcast_to(data.reshape(-1), (columns,)))
