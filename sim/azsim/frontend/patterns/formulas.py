"""Chains of element-wise operators on one tensor become one function of it.

x * sigmoid(x), 0.5 * x * (1 + erf(x / sqrt 2)), x * tanh(softplus(x)) and whatever else depends on
one tensor and single numbers only: one formula, one table of the machine, one rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

from azsim.frontend.patterns.editor import GraphEditor
from azsim.graph import Node
from azsim.graph.formulas import MAX_WORDS, Formula, check_formula, number_word, substituted

PAIRS = ("Add", "Sub", "Mul", "Div", "Min", "Max")
SINGLES = ("Relu", "Sigmoid", "Tanh")
PRODUCTS = ("MatMul", "Conv", "MatMulRows")  # what follows them is fused there, not here
PLAIN = ("Add", "Sub", "Mul", "Div", "Relu", "Min", "Max")  # cheap enough as they are
IDENTITY: Formula = ("x",)


@dataclass(frozen=True)
class _Expression:
    """A value as a formula of another; `curved`: more than sums, products and limits of it."""

    root: str
    formula: Formula
    curved: bool
    operators: int


def fuse_formulas(editor: GraphEditor) -> None:
    """Replace each chain's last node by a Function of the chain's root."""
    known: dict[str, _Expression] = {}
    last: list[tuple[Node, _Expression]] = []
    for node in editor.nodes():
        found = _expression(editor, node, known)
        if found is not None:
            known[node.outputs[0]] = found
    for node in editor.nodes():
        if node.outputs[0] in known:
            found = known[node.outputs[0]]
            inside = [r for r in editor.readers(node.outputs[0]) if _continues(r, found, known)]
            ends = editor.is_kept(node.outputs[0]) or len(inside) < len(
                editor.readers(node.outputs[0])
            )
            if ends and found.curved and found.operators > 1:
                last.append((node, found))
    for node, found in last:
        editor.replace_node(node, "Function", (found.root,), {"formula": found.formula})


def _continues(reader: Node, found: _Expression, known: dict[str, _Expression]) -> bool:
    """True if the reader is part of a longer formula of the same root."""
    longer = known.get(reader.outputs[0])
    return longer is not None and longer.root == found.root and longer.curved


def _expression(
    editor: GraphEditor, node: Node, known: dict[str, _Expression]
) -> _Expression | None:
    """The node's output as a formula of one value of the same shape, None if it is none."""
    if node.operator not in (*PAIRS, *SINGLES, "Function"):
        return None
    words = _own_formula(node)
    if _belongs_to_product(editor, node):
        return None
    root, curved, count = "", node.operator not in PLAIN, 1
    parts: list[Formula] = []
    for name in node.inputs:
        number = editor.number(name)
        if number is not None:
            parts.append((number_word(number),))
            continue
        if editor.values[name].data is not None:
            return None
        inner = known.get(name, _Expression(name, IDENTITY, False, 0))
        if root not in ("", inner.root):
            return None
        # a value used twice makes a curve: x * f(x)
        curved = curved or inner.curved
        root, count = inner.root, count + inner.operators
        parts.append(inner.formula)
    if not root or editor.values[root].shape != editor.values[node.outputs[0]].shape:
        return None
    if node.operator == "Function":
        formula = substituted(words, parts[0])
    else:
        formula = (*(word for part in parts for word in part), *words)
    return _Expression(root, formula, curved, count) if len(formula) <= MAX_WORDS else None


def _own_formula(node: Node) -> Formula:
    if node.operator == "Function":
        return check_formula(node.attributes["formula"])
    return (node.operator,)


def _belongs_to_product(editor: GraphEditor, node: Node) -> bool:
    """True for a sum or Relu that joins the product before it."""
    if node.operator not in ("Add", "Relu"):
        return False
    for name in node.inputs:
        maker = editor.maker(name)
        while maker is not None and maker.operator == "Add" and node.operator == "Relu":
            computed = [n for n in maker.inputs if editor.maker(n) is not None]
            maker = editor.maker(computed[0]) if len(computed) == 1 else None
        if maker is not None and maker.operator in PRODUCTS:
            return True
    return False
