"""Factors and offsets per output behind a product go into its weights; quotients become products.

Batch norm at inference is such a factor and offset. Weights that the model holds as integers are
left alone: their own scales would be lost.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from azsim.frontend.patterns.editor import Floats, GraphEditor
from azsim.graph import Node


def fold_factors(editor: GraphEditor) -> None:
    """(x W + b) * f + o: f goes into W and b."""
    for node in editor.nodes():
        if node.operator == "Mul":
            _fold(editor, node)


def _fold(editor: GraphEditor, node: Node) -> None:
    for source, other in (node.inputs, node.inputs[::-1]):
        factor = editor.constant(other)
        chain = _product_before(editor, source) if factor is not None else None
        if factor is None or chain is None:
            continue
        product, addition = chain
        row = _per_output(editor, product, node.outputs[0], factor)
        if row is not None and editor.values[product.inputs[1]].stored is None:
            _apply(editor, node, product, addition, row)
            return


def _product_before(editor: GraphEditor, name: str) -> tuple[Node, Node | None] | None:
    """The product whose result is `name`, read by nobody else, with the constant added to it."""
    if editor.only_reader(name) is None:
        return None
    maker = editor.maker(name)
    if maker is not None and maker.operator in ("MatMul", "Conv"):
        return maker, None
    if maker is None or maker.operator != "Add":
        return None
    for source, other in (maker.inputs, maker.inputs[::-1]):
        inner = editor.maker(source)
        is_product = inner is not None and inner.operator in ("MatMul", "Conv")
        if is_product and editor.constant(other) is not None and editor.only_reader(source):
            assert inner is not None  # is_product says so
            return inner, maker
    return None


def _per_output(editor: GraphEditor, product: Node, result: str, factor: Floats) -> Floats | None:
    """The factor of each output (columns of MatMul, channels of Conv), None if it differs within
    one."""
    shape = editor.values[product.outputs[0]].shape
    if editor.values[result].shape != shape or factor.ndim > len(shape):
        return None
    axis = len(shape) - 1 if product.operator == "MatMul" else 1
    whole = factor.reshape((1,) * (len(shape) - factor.ndim) + factor.shape)
    if any(size != 1 for k, size in enumerate(whole.shape) if k != axis):
        return None
    return np.broadcast_to(whole.reshape(-1), (shape[axis],)).copy()


def _apply(
    editor: GraphEditor, node: Node, product: Node, addition: Node | None, row: Floats
) -> None:
    """Scale weights and biases, and drop the Mul."""
    scaled = list(product.inputs)
    for position, name in enumerate(product.inputs[1:], start=1):
        data = editor.constant(name) if name else None
        if data is None:
            continue
        weights = data * (row if product.operator == "MatMul" else _channels(row, data.ndim))
        scaled[position] = editor.add_constant(f"{name}.scaled", weights)
    if addition is None:
        editor.absorb(product, replace(product, inputs=tuple(scaled), outputs=node.outputs), node)
        return
    place = _constant_place(editor, addition)
    bias = editor.constant(addition.inputs[place])
    assert bias is not None  # found by the caller
    rank = len(editor.values[product.outputs[0]].shape)
    form = row if product.operator == "MatMul" else _channels(row, rank - 1)
    offset = editor.add_constant(f"{addition.inputs[place]}.scaled", bias * form)
    editor.put(replace(product, inputs=tuple(scaled)))
    inputs = (product.outputs[0], offset)
    editor.absorb(addition, replace(addition, inputs=inputs, outputs=node.outputs), node)


def _channels(row: Floats, rank: int) -> Floats:
    """A number per output channel, to broadcast over a kernel or a bias."""
    return row.reshape(-1, *(1,) * (rank - 1))


def fold_offsets(editor: GraphEditor) -> None:
    """x W + b + o: o joins b."""
    for node in editor.nodes():
        if node.operator == "Add":
            _fold_offset(editor, node)


def _fold_offset(editor: GraphEditor, node: Node) -> None:
    for source, other in (node.inputs, node.inputs[::-1]):
        offset = editor.constant(other)
        chain = _product_before(editor, source) if offset is not None else None
        if offset is None or chain is None:
            continue
        product, addition = chain
        row = _per_output(editor, product, node.outputs[0], offset)
        place = None if addition is None else _constant_place(editor, addition)
        if row is None:
            continue
        if addition is None and product.inputs[2:] in ((), ("",)):
            if product.operator == "Conv" and editor.values[other].stored is None:
                _give_bias(editor, product, node, f"{other}.row", row)
                return
            continue
        first = product.inputs[2] if addition is None else addition.inputs[place or 0]
        bias = editor.constant(first)
        before = None if bias is None else _row_of(editor, product, bias, addition is None)
        if before is None or editor.values[first].stored is not None:
            continue
        rank = len(editor.values[product.outputs[0]].shape)
        total = before + row
        if addition is None:
            _give_bias(editor, product, node, f"{first}.sum", total)
            return
        form = total if product.operator == "MatMul" else _channels(total, rank - 1)
        name = editor.add_constant(f"{first}.sum", form)
        inputs = (product.outputs[0], name)
        editor.absorb(addition, replace(addition, inputs=inputs, outputs=node.outputs), node)
        return


def _give_bias(editor: GraphEditor, product: Node, node: Node, wish: str, bias: Floats) -> None:
    """Let `product` add `bias` itself, in the place of the Add `node` behind it."""
    inputs = (*product.inputs[:2], editor.add_constant(wish, bias))
    editor.absorb(product, replace(product, inputs=inputs, outputs=node.outputs), node)


def _constant_place(editor: GraphEditor, addition: Node) -> int:
    return next(k for k, name in enumerate(addition.inputs) if editor.constant(name) is not None)


def _row_of(editor: GraphEditor, product: Node, bias: Floats, own: bool) -> Floats | None:
    """A bias as one number per output; `own` if it is an input of the product."""
    return bias if own else _per_output(editor, product, product.outputs[0], bias)


def fold_scales(editor: GraphEditor) -> None:
    """A number times the product of two computed tensors: its last rescale takes it along."""
    for node in editor.nodes():
        factor = _plain_factor(editor, node)
        if factor is None or not 0.0 < factor[1] < math.inf:
            continue
        name, number = factor
        maker = editor.maker(name, "MatMulRows")
        if maker is not None and editor.only_reader(name) is not None:
            scale = number * float(str(maker.attributes.get("scale", 1.0)))
            made = replace(maker, outputs=node.outputs, attributes={"scale": scale})
            editor.absorb(maker, made, node)


def _plain_factor(editor: GraphEditor, node: Node) -> tuple[str, float] | None:
    """(x, number) if the node is x times a number of no more dimensions."""
    if node.operator == "Mul":
        for name, other in (node.inputs, node.inputs[::-1]):
            number = editor.number(other)
            shape = editor.values[node.outputs[0]].shape
            if number is not None and editor.values[name].shape == shape:
                return name, number
    if node.operator == "Function":
        formula = node.attributes["formula"]
        words = [str(word) for word in formula] if isinstance(formula, tuple) else []
        if len(words) == 3 and (words[0], words[2]) == ("x", "Div") and float(words[1]) != 0.0:
            return node.inputs[0], 1.0 / float(words[1])
    return None


def expand_quotients(editor: GraphEditor) -> None:
    """a / b is a times the reciprocal of b; of a constant b it is known now."""
    for node in editor.nodes():
        if node.operator != "Div":
            continue
        top, bottom = node.inputs
        divisor = editor.constant(bottom)
        if divisor is not None:
            factor = editor.add_constant(f"{node.name}.reciprocal", 1.0 / divisor)
            editor.replace_node(node, "Mul", (top, factor))
            continue
        inverse = editor.computed(f"{node.name}.reciprocal", editor.values[bottom].shape)
        formula = {"formula": ("x", "Reciprocal")}
        made = Node(f"{node.name}.reciprocal", "Function", (bottom,), (inverse,), formula)
        editor.replace_node(node, "Mul", (top, inverse), before=(made,))
