"""Collects the values and nodes of the canonical graph while the reader walks the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from azsim.errors import ModelError
from azsim.frontend.node import Array, OnnxNode, Operand
from azsim.graph import Node, Quantization, StoredIntegers, Value, ValueKind
from azsim.graph.shapes import output_shapes
from azsim.graph.text import quoted
from azsim.graph.types import MOVING_OPERATORS, Attribute
from azsim.graph.verify import INDEX_MOVERS, INDEX_OUTPUTS, check_size


class GraphBuilder:
    """Canonical values and nodes so far, and what each name of the file stands for.

    `operands` maps a name of the file to the operand it stands for: itself, or for a dropped
    operator (Identity, a Cast to the type it has) the operand behind it. `grids` says for each
    graph input of 8-bit integers and each Quantize output what its integers mean. `of_truth` says
    of values that hold one number for each of two truths, masks say: which truth, and the numbers
    at 0 and at 1. `spend(node, elements)` refuses a node that makes more constant data than the
    model may.
    """

    def __init__(
        self,
        names: Iterable[str],
        outputs: Iterable[str],
        spend: Callable[[OnnxNode, int], None],
    ) -> None:
        self.spend = spend
        self.of_truth: dict[str, tuple[str, float, float]] = {}
        self.grids: dict[str, Quantization] = {}
        self.values: dict[str, Value] = {}
        self.nodes: list[Node] = []
        self.operands: dict[str, Operand] = {}
        self.outputs = frozenset(outputs)  # names that must be kept as they are
        self._names = set(names)  # value names that are taken
        self._node_names: set[str] = set()

    def reserve_node_names(self, names: Iterable[str]) -> None:
        """Keep names given in the file from being used for generated nodes."""
        self._node_names.update(names)

    def _fresh(self, wish: str, taken: set[str]) -> str:
        name, count = wish, 1
        while name in taken:
            count += 1
            name = f"{wish}.{count}"
        taken.add(name)
        return name

    def fresh_value(self, wish: str) -> str:
        """Return an unused value name like `wish`."""
        return self._fresh(wish, self._names)

    def fresh_node(self, wish: str) -> str:
        """Return an unused node name like `wish`."""
        return self._fresh(wish, self._node_names)

    def give(
        self,
        name: str,
        shape: tuple[int, ...],
        kind: ValueKind,
        is_index: bool = False,
        element: str = "",
    ) -> None:
        """Enter a graph input or state; `element` is int8, uint8 or bool if it is made of those."""
        check_size(f"input {quoted(name)}", shape)
        if element == "bool":
            self.values[name] = Value(name, shape, kind, is_truth=True)
            self.operands[name] = Operand(name, shape, is_truth=True)
            return
        self.values[name] = Value(name, shape, kind, is_index=is_index)
        root = name if element else ""
        self.operands[name] = Operand(name, shape, is_index=is_index, element=element, root=root)

    def constant(self, name: str, data: Array, stored: StoredIntegers | None = None) -> str:
        """Enter float constant `name` as float32 and return the name. Raises ModelError if the
        data is not float, empty, NaN or infinite."""
        what = f"constant {quoted(name)}"
        if not np.issubdtype(data.dtype, np.floating):
            raise ModelError(f"{what} must be float, not {data.dtype}")
        check_size(what, data.shape)
        with np.errstate(over="ignore"):  # too large for float32 is refused just below
            single = data.astype(np.float32, copy=False)
        if not (np.isfinite(single.min()) and np.isfinite(single.max())):
            raise ModelError(f"{what} must be finite in float32, not NaN or infinite")
        self.values[name] = Value(name, single.shape, ValueKind.CONSTANT, single, stored=stored)
        return name

    def derived(
        self, node: OnnxNode, role: str, data: Array, stored: StoredIntegers | None = None
    ) -> str:
        """Enter a constant made for `node` (a folded weight, say) under a new name."""
        return self.constant(self.fresh_value(f"{node.name}.{role}"), data, stored)

    def use(self, operand: Operand) -> str:
        """Return the value name of an operand, entering a constant at its first use."""
        if operand.data is not None and operand.name not in self.values:
            self.constant(operand.name, operand.data, operand.stored)
        return operand.name

    def emit(
        self,
        name: str,
        operator: str,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...],
        attributes: Mapping[str, Attribute] | None = None,
        target: tuple[int, ...] | None = None,
    ) -> None:
        """Append a canonical node and enter its outputs. `target` is the shape of a Reshape."""
        node = Node(name, operator, inputs, outputs, dict(attributes or {}))
        if target is not None:
            self.values[outputs[0]] = Value(outputs[0], target, ValueKind.NODE)
        moved = operator in INDEX_MOVERS and self.values[inputs[0]].is_index
        shapes = output_shapes(node, self.values)
        for position, (output, shape) in enumerate(zip(outputs, shapes, strict=False)):
            if not output:
                continue
            check_size(f"node {quoted(name)} ({operator}): output {quoted(output)}", shape)
            is_index = moved or position in INDEX_OUTPUTS.get(operator, ())
            self.values[output] = Value(output, shape, ValueKind.NODE, is_index=is_index)
            self.operands[output] = Operand(output, shape, is_index=is_index)
        self.nodes.append(node)

    def mark_truth(self, name: str) -> None:
        """Note that a computed value holds 0 and 1 for a bool tensor of the file."""
        self.operands[name] = replace(self.operands[name], is_truth=True)

    def quantize(self, node: OnnxNode, source: str, grid: Quantization) -> None:
        """Append a Quantize of value `source`; its output is a tensor of the grid's integers."""
        output = node.outputs[0]
        self.emit(node.name, "Quantize", (source,), (output,))
        self.values[output] = replace(self.values[output], quantization=grid)
        self.operands[output] = replace(self.operands[output], element=grid.element, root=output)
        self.grids[output] = grid

    def settle(self, node: OnnxNode, root: str, grid: Quantization) -> None:
        """Note that `node` reads the integers of `root` as numbers on `grid`, the only one."""
        known = self.grids.setdefault(root, grid)
        if known != grid:
            raise node.refusal(
                f"scale and zero point must be those of {quoted(root)}, {known.text()},"
                f" not {grid.text()}"
            )

    def settled_values(self) -> dict[str, Value]:
        """Return all values with the grids that inputs and moved tensors turned out to lie on."""
        values = dict(self.values)
        for name, grid in self.grids.items():
            values[name] = replace(values[name], quantization=grid)
        for node in self.nodes:
            grids = {values[name].quantization for name in node.inputs if name}
            if node.operator in MOVING_OPERATORS and len(grids) == 1:
                (common,) = grids
                for name in node.outputs:
                    values[name] = replace(values[name], quantization=common)
        return values

    def drop(self, node: OnnxNode, source: Operand) -> None:
        """Let the node's output stand for `source`; where the file lists that output as a graph
        output its name is kept by a Reshape to the same shape."""
        output = node.outputs[0]
        if output in self.outputs and source.data is None and not source.is_index:
            self.emit(node.name, "Reshape", (self.use(source),), (output,), target=source.shape)
        else:
            self.operands[output] = source
