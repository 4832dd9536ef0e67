"""A graph under rewriting by pass 5: new nodes and tensors, and which tensors lie in DRAM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

import numpy as np

from azsim.compiler.spill.blocks import Range
from azsim.graph.integer import (
    IntegerGraph,
    IntegerKind,
    IntegerNode,
    IntegerTensor,
    Section,
    SpillRows,
    View,
)

NOT_NAMES = ("name", "operator", "kind", "table")  # text fields of nodes that name no tensor


class Rewrite:
    """`where[tensor]`: the tensor in DRAM it lies in, and its first element there."""

    def __init__(self, old: IntegerGraph, names: list[str]) -> None:
        self.old = old
        self.tensors = dict(old.tensors)
        self.nodes: list[IntegerNode] = []
        self.layers = dict(old.layer_names)
        self.sections: dict[str, Section] = {}
        self.where: dict[str, tuple[str, int]] = {}
        outputs = _output_views(old)
        for name in names:
            place = outputs.get(name, name)
            self.where[name] = (place, 0)
            self.tensors[place] = replace(old.tensors[place], in_dram=True)
            if place != name:
                self.where[place] = (place, 0)

    def add(self, node: IntegerNode, layer: str, section: Section | None = None) -> None:
        """Append a node that belongs to `layer` of the old graph."""
        self.nodes.append(node)
        self.layers[node.name] = layer
        if section is not None:
            self.sections[node.name] = section

    def part(self, of: str, name: str, part: Range) -> str:
        """Declare a part of a tensor in ABUF: in rows where it is whole rows, as nodes want it
        that look at rows."""
        tensor = self.old.tensors[of]
        count = part[1] - part[0]
        columns = tensor.shape[-1] if tensor.shape else 1
        rows, rest = divmod(count, columns)
        shape: tuple[int, ...] = (count,) if rest else (rows, columns)
        if count == tensor.size:
            shape = tensor.shape
        self.tensors[name] = replace(
            tensor, name=name, shape=shape, kind=IntegerKind.NODE, data=None, in_dram=False
        )
        return name

    def view(
        self, of: str, root: str, name: str, part: Range, base: int, section: Section | None = None
    ) -> str:
        """Declare elements `part` of tensor `of` as bytes of `root`, which begins at element
        `base`."""
        self.part(of, name, part)
        self.nodes.append(View(name, root, name, part[0] - base))
        if section is not None:
            self.sections[name] = section
        return name

    def spill(
        self, x: str, y: str, offset: int, count: int, near: int = 0, name: str = ""
    ) -> SpillRows:
        """`count` elements of x from `near` on become those of y, which lies in DRAM."""
        target, first = self.where[y]
        return SpillRows(name or x, x, target, first + offset, count, near)

    def graph(self) -> IntegerGraph:
        """The graph as it is now; tensors of the old one that nothing names any more are gone."""
        for name in self.where:
            if not self.tensors[name].in_dram:
                del self.tensors[name]  # a view of what lies in DRAM
        used = {name for node in self.nodes for name in (*node.reads, *node.writes)}
        used |= {*self.old.inputs, *self.old.outputs}
        used |= {name for state in self.old.states for name in (state.source, state.result)}
        return replace(
            self.old,
            nodes=tuple(self.nodes),
            tensors={name: t for name, t in self.tensors.items() if name in used},
            layer_names=self.layers,
            sections=self.sections,
        )


def _output_views(graph: IntegerGraph) -> dict[str, str]:
    """Tensors that a graph output is another shape of: they are written to the output's place."""
    return {
        node.x: node.y
        for node in graph.nodes
        if isinstance(node, View)
        and node.y in graph.outputs
        and graph.tensors[node.x].kind is IntegerKind.NODE
        and node.x not in graph.outputs
        and graph.tensors[node.x].size == graph.tensors[node.y].size
    }


def tensor_bytes(tensor: IntegerTensor) -> int:
    """Size of a tensor."""
    return tensor.size * np.dtype(tensor.element).itemsize


def renamed(node: IntegerNode, name: str, tensors: Mapping[str, str]) -> IntegerNode:
    """Return the node under another name and with other tensors."""
    changes: dict[str, object] = {"name": name}
    for field in fields(node):
        value = getattr(node, field.name)
        if field.name in NOT_NAMES:
            continue
        if isinstance(value, str) and value in tensors:
            changes[field.name] = tensors[value]
        elif field.name == "inputs":
            changes[field.name] = tuple(tensors.get(entry, entry) for entry in value)
    return replace(node, **changes)  # type: ignore[arg-type]
