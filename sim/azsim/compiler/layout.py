"""Pass 1, layout: channels come last where windows slide.

ONNX has its images as (batch, channels, rows, columns). The machine multiplies runs of neighbouring
bytes, so the channels of a pixel must lie together. Window operators are rewritten to
(batch, rows, columns, channels); operators that work element by element, or along one axis, follow
their operand, so that a transposition stands only where the model itself needs the other order: at
its inputs and outputs, and in front of operators that this pass does not know.

A value may exist in several arrangements; each is made at its first use. Nothing else changes: the
float meaning of every value is the same, only its order in memory is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from azsim.compiler.ranges import Ranges
from azsim.graph import Graph, Node, StatePair, StoredIntegers, Value, ValueKind, verify_graph
from azsim.graph.types import Attribute

Perm = tuple[int, ...]
Attributes = dict[str, Attribute]

# Operators that are computed with channels last.
WINDOW_OPERATORS = ("Conv", "Pool")
# Operators whose result has the shape of their operands, or the broadcast of it.
POINTWISE_OPERATORS = (
    "Add", "Sub", "Mul", "Min", "Max", "Relu", "Sigmoid", "Tanh", "Function", "Quantize",
)  # fmt: skip


def layout_graph(graph: Graph, ranges: Ranges) -> tuple[Graph, Ranges]:
    """Return the graph with channels last in its window operators, and the ranges of its values.

    A graph without such operators is returned as it is.
    """
    if not any(node.operator in WINDOW_OPERATORS for node in graph.nodes):
        return graph, ranges
    return _Layout(graph, ranges).result()


def channels_last(rank: int) -> Perm:
    """The order of dimensions in which channels, dimension 1 of `rank`, come last."""
    return (0, *range(2, rank), 1)


class _Layout:
    """Rebuilds the graph; `_forms[value][perm]` names the value transposed by `perm`."""

    def __init__(self, graph: Graph, ranges: Ranges) -> None:
        self._old = graph
        self._values: dict[str, Value] = {}
        self._nodes: list[Node] = []
        self._peak = dict(ranges.peak)
        self._cell_peak = ranges.cell_peak
        self._forms: dict[str, dict[Perm, str]] = {}
        self._transposes: dict[str, str] = {}  # value -> the model's node that transposes to it
        for value in graph.values.values():
            if value.kind in (ValueKind.INPUT, ValueKind.STATE):
                self._values[value.name] = value
                self._forms[value.name] = {_plain_order(value.shape): value.name}

    def result(self) -> tuple[Graph, Ranges]:
        """Rewrite node by node, then make what outputs and states need."""
        for node in self._old.nodes:
            if node.operator in WINDOW_OPERATORS:
                self._window(node)
            elif node.operator == "Transpose":
                self._transpose(node)
            else:
                self._other(node)
        for name in self._old.outputs:
            self._keep_name(name)
        for pair in self._old.states:
            self._keep_name(pair.result)
        states = tuple(StatePair(pair.source, pair.result) for pair in self._old.states)
        made = replace(
            self._old, nodes=tuple(self._nodes), values=dict(self._values), states=states
        )
        verify_graph(made)
        return made, Ranges(self._peak, self._cell_peak)

    # -- values

    def _shape(self, name: str) -> tuple[int, ...]:
        return self._old.values[name].shape

    def _form(self, name: str, perm: Perm) -> str:
        """Name of value `name` transposed by `perm`; made here if it does not exist."""
        value = self._old.values.get(name)
        if value is not None and value.data is not None:
            return self._constant(value, perm)
        forms = self._forms[name]
        if perm not in forms:
            plain = _plain_order(perm)
            have = plain if plain in forms else next(iter(forms))
            order = tuple(have.index(axis) for axis in perm)
            target = name if perm == plain else f"{name}@{_suffix(perm)}"
            node_name = self._transposes.get(name, "") if perm == plain else ""
            node = Node(
                node_name or f"{target}/layout", "Transpose", (forms[have],), (target,),
                {"perm": order},
            )  # fmt: skip
            self._add(node, {target: (name, perm)})
        return forms[perm]

    def _add(self, node: Node, made: Mapping[str, tuple[str, Perm]]) -> None:
        """Append a node; `made`: its outputs as (old value, arrangement)."""
        self._nodes.append(node)
        for target, (name, perm) in made.items():
            value = self._old.values.get(name) or self._values[name]
            shape = tuple(value.shape[axis] for axis in perm)
            self._values[target] = Value(
                target,
                shape,
                ValueKind.NODE,
                is_index=value.is_index,
                quantization=value.quantization,
            )
            self._forms.setdefault(name, {})[perm] = target
            if name in self._peak:
                self._peak[target] = self._peak[name]

    def _constant(self, value: Value, perm: Perm) -> str:
        """A constant in another arrangement; dimensions that it lacks are put in front."""
        assert value.data is not None  # the caller looked
        rank = len(perm)
        if perm == tuple(range(rank)):
            self._values[value.name] = value
            return value.name
        name = f"{value.name}@{_suffix(perm)}"
        shape = (1,) * (rank - len(value.shape)) + value.shape
        data = np.ascontiguousarray(value.data.reshape(shape).transpose(perm))
        stored = value.stored
        if stored is not None:
            scale = stored.scale.reshape((1,) * (rank - stored.scale.ndim) + stored.scale.shape)
            integers = stored.integers.reshape(shape).transpose(perm)
            stored = StoredIntegers(integers, scale.transpose(perm), stored.bits)
        self._values[name] = replace(value, name=name, shape=data.shape, data=data, stored=stored)
        if value.name in self._peak:
            self._peak[name] = self._peak[value.name]
        return name

    def _keep_name(self, name: str) -> None:
        """Make value `name` in the model's own order and under its own name."""
        plain = _plain_order(self._shape(name))
        found = self._form(name, plain)
        if found != name:
            node = Node(f"{name}/layout", "Reshape", (found,), (name,))
            self._add(node, {name: (name, plain)})

    # -- nodes

    def _window(self, node: Node) -> None:
        """A window operator: channels last."""
        perm = channels_last(len(self._shape(node.inputs[0])))
        x = self._form(node.inputs[0], perm)
        rest = tuple(self._plain(name) for name in node.inputs[1:])
        self._emit(node, (x, *rest), perm, {**node.attributes, "channels_last": 1})

    def _plain(self, name: str) -> str:
        """Value `name` in the model's own order; '' stays ''."""
        return self._form(name, _plain_order(self._shape(name))) if name else ""

    def _emit(
        self, node: Node, inputs: tuple[str, ...], perm: Perm, attributes: Attributes
    ) -> None:
        """Append the node with its outputs in arrangement `perm` (of outputs of that rank)."""
        made: dict[str, tuple[str, Perm]] = {}
        outputs = []
        for name in node.outputs:
            target = ""
            if name:
                plain = _plain_order(self._shape(name))
                own = perm if len(perm) == len(plain) else plain
                target = name if own == plain else f"{name}@{_suffix(own)}"
                made[target] = (name, own)
            outputs.append(target)
        self._add(Node(node.name, node.operator, inputs, tuple(outputs), attributes), made)

    def _transpose(self, node: Node) -> None:
        """The model's own transposition: another name for arrangements that exist."""
        moved = node.attributes["perm"]
        assert isinstance(moved, tuple)  # the verifier made sure
        order = [int(axis) for axis in moved]
        (x,), (y,) = node.inputs, node.outputs
        self._transposes[y] = node.name
        self._forms[y] = {
            tuple(order.index(axis) for axis in perm): name for perm, name in self._forms[x].items()
        }

    def _other(self, node: Node) -> None:
        """Any other node: in its operands' arrangement if it can be, else in the model's."""
        rank = len(self._shape(node.outputs[0])) if node.outputs[0] else 0
        perm = self._wanted(node, rank)
        rule = _RULES.get(node.operator)
        if perm is None or rule is None:
            self._emit(node, tuple(self._plain(n) for n in node.inputs), (), dict(node.attributes))
            return
        inputs = tuple(self._operand(node, name, perm) for name in node.inputs)
        self._emit(node, inputs, perm, rule(node.attributes, perm))

    def _wanted(self, node: Node, rank: int) -> Perm | None:
        """The arrangement other than the model's that a whole operand has, if any."""
        if rank < 3:
            return None
        perm = channels_last(rank)
        return perm if any(perm in self._forms.get(name, {}) for name in node.inputs) else None

    def _operand(self, node: Node, name: str, perm: Perm) -> str:
        """An operand in arrangement `perm`; dimensions that it lacks are put in front."""
        shape = self._shape(name)
        if len(shape) == len(perm) or self._old.values[name].data is not None:
            return self._form(name, perm)
        whole = (1,) * (len(perm) - len(shape)) + shape
        target = f"{name}@{node.name}"
        if target not in self._forms:
            self._nodes.append(Node(f"{target}/layout", "Reshape", (self._plain(name),), (target,)))
            source = self._old.values[name]
            self._values[target] = Value(
                target, whole, ValueKind.NODE, quantization=source.quantization
            )
            self._forms[target] = {_plain_order(whole): target}
            self._peak[target] = self._peak.get(name, 0.0)
        return self._form(target, perm)


def _plain_order(shape: tuple[int, ...]) -> Perm:
    return tuple(range(len(shape)))


def _suffix(perm: Perm) -> str:
    return "last" if perm == channels_last(len(perm)) else "".join(map(str, perm))


def _keep(attributes: Mapping[str, Attribute], perm: Perm) -> Attributes:
    return dict(attributes)


def _axis(attributes: Mapping[str, Attribute], perm: Perm) -> Attributes:
    return {**attributes, "axis": perm.index(int(str(attributes["axis"])))}


def _box(attributes: Mapping[str, Attribute], perm: Perm) -> Attributes:
    return {key: _picked(attributes[key], perm) for key in ("starts", "ends", "steps")}


def _picked(entries: Attribute, perm: Sequence[int]) -> tuple[int, ...]:
    assert isinstance(entries, tuple)  # the verifier made sure
    return tuple(int(entries[axis]) for axis in perm)


_Rule = Callable[[Mapping[str, Attribute], Perm], Attributes]
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(POINTWISE_OPERATORS, _keep),
    "Concat": _axis,
    "Softmax": _axis,
    "Take": _axis,
    "Blend": _axis,
    "Slice": _box,
}
