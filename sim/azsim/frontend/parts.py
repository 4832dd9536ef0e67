"""A node that becomes several: each part named after the node, in the order they are put."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import Array, OnnxNode
from azsim.graph import StoredIntegers
from azsim.graph.formulas import Formula
from azsim.graph.types import Attribute

Shape = tuple[int, ...]


class Parts:
    """Puts the canonical nodes that stand for `node`; `root` begins their names."""

    def __init__(self, node: OnnxNode, builder: GraphBuilder, root: str = "") -> None:
        self.node = node
        self.builder = builder
        self.root = root or node.name

    def shape(self, name: str) -> Shape:
        """Shape of a value that was put or given."""
        return self.builder.values[name].shape

    def put(
        self,
        part: str,
        operator: str,
        *inputs: str,
        attributes: Mapping[str, Attribute] | None = None,
        target: Shape | None = None,
        output: str = "",
    ) -> str:
        """Append a node and return its output: `output` if given, else a new name. `target` is
        the shape of a Reshape or Expand."""
        label = f"{self.root}.{part}" if part else self.root
        output = output or self.builder.fresh_value(label)
        name = self.builder.fresh_node(label) if part else self.root
        self.builder.emit(name, operator, inputs, (output,), attributes, target)
        return output

    def constant(self, role: str, data: Array, stored: StoredIntegers | None = None) -> str:
        """Enter a constant under a new name."""
        wish = self.builder.fresh_value(f"{self.root}.{role}")
        return self.builder.constant(wish, np.asarray(data), stored)

    def reshape(self, part: str, source: str, target: Shape, output: str = "") -> str:
        """The same elements in another shape."""
        if target == self.shape(source) and not output:
            return source
        return self.put(part, "Reshape", source, target=target, output=output)

    def transpose(self, part: str, source: str, perm: Shape, output: str = "") -> str:
        """Dimensions in another order."""
        if perm == tuple(range(len(perm))):
            return self.reshape(part, source, self.shape(source), output)
        return self.put(part, "Transpose", source, attributes={"perm": perm}, output=output)

    def slice(self, part: str, source: str, axis: int, start: int, end: int) -> str:
        """Entries `start` to `end` (exclusive) of one axis."""
        shape = self.shape(source)
        starts, ends = [0] * len(shape), list(shape)
        starts[axis], ends[axis] = start, end
        return self.box(part, source, tuple(starts), tuple(ends))

    def box(self, part: str, source: str, starts: Shape, ends: Shape) -> str:
        """Entries `starts` to `ends` (exclusive) of all axes."""
        shape = self.shape(source)
        if (starts, ends) == ((0,) * len(shape), shape):
            return source
        steps = (1,) * len(shape)
        attributes: dict[str, Attribute] = {"starts": starts, "ends": ends, "steps": steps}
        return self.put(part, "Slice", source, attributes=attributes)

    def function(self, part: str, source: str, formula: Formula, output: str = "") -> str:
        """A formula of each element."""
        attributes: dict[str, Attribute] = {"formula": formula}
        return self.put(part, "Function", source, attributes=attributes, output=output)

    def along(self, part: str, axis: int, source: str, matrix: Array, output: str = "") -> str:
        """Rows of one axis times a constant matrix (entries of the axis, entries of the result)."""
        rank = len(self.shape(source))
        perm = (*(k for k in range(rank) if k != axis), axis)
        back = tuple(perm.index(k) for k in range(rank))
        before = f"{part}." if part else ""
        turned = self.transpose(f"{before}last", source, perm)
        weight = self.constant(f"{before}matrix", matrix)
        made = self.put(f"{before}map", "MatMul", turned, weight)
        return self.transpose(part, made, back, output)

    def named(self, source: str, output: str) -> None:
        """Let `output`, a name of the file, be the same as `source`."""
        self.put(output, "Reshape", source, target=self.shape(source), output=output)
