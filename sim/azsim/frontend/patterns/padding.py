"""Zeros joined to an image in front of a Conv become its padding: the machine skips them."""

from __future__ import annotations

from dataclasses import replace

from azsim.frontend.patterns.editor import GraphEditor
from azsim.graph import Node
from azsim.graph.attributes import integer, integers


def fold_pads(editor: GraphEditor) -> None:
    """Conv(Concat(zeros, x, zeros)) along a spatial axis: Conv(x) with wider pads."""
    for node in editor.nodes():
        if node.operator == "Conv":
            joined = _joined(editor, node)
            while joined is not None:
                made = _padded(editor, node, joined)
                if made is None:
                    break
                editor.absorb(joined, made, node)
                node, joined = made, _joined(editor, made)


def _joined(editor: GraphEditor, node: Node) -> Node | None:
    is_own = editor.only_reader(node.inputs[0]) is not None
    return editor.maker(node.inputs[0], "Concat") if is_own else None


def _padded(editor: GraphEditor, node: Node, joined: Node) -> Node | None:
    axis = integer(joined.attributes, "axis")
    pads = list(integers(node.attributes, "pads"))
    computed = [name for name in joined.inputs if editor.values[name].data is None]
    if axis < 2 or len(computed) != 1 or editor.values[computed[0]].quantization is not None:
        return None
    place = joined.inputs.index(computed[0])
    for position, name in enumerate(joined.inputs):
        data = editor.values[name].data
        if data is None:
            continue
        if data.any():
            return None
        side = axis - 2 + (len(pads) // 2 if position > place else 0)
        pads[side] += data.shape[axis]
    inputs = (computed[0], *node.inputs[1:])
    return replace(node, inputs=inputs, attributes={**node.attributes, "pads": tuple(pads)})
