"""What lowering one float node may use: formats, tensors made so far, and format conversions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.compiler.formats import Format, int8_scale
from azsim.compiler.fuse import Fusion
from azsim.compiler.plan import CompressionPlan
from azsim.compiler.prune import prune_array, zero_shares
from azsim.compiler.ranges import Ranges
from azsim.errors import CompileError
from azsim.graph import Graph, Node, Value, ValueKind
from azsim.graph.integer import IntegerKind, IntegerNode, IntegerTensor, Requant
from azsim_kernels.reference.arith import quantize_multiplier

INT16_MAX = 32767


class LoweringContext:
    """Grows an integer graph node by node. `tensors` by name, `nodes` in execution order."""

    def __init__(
        self,
        graph: Graph,
        formats: Mapping[str, Format],
        ranges: Ranges,
        plan: CompressionPlan,
        fusion: Fusion,
    ) -> None:
        self.graph = graph
        self.formats = formats
        self.ranges = ranges
        self.plan = plan
        self.fusion = fusion
        self.tensors: dict[str, IntegerTensor] = {}
        self.nodes: list[IntegerNode] = []
        self.requantized: dict[str, str] = {}  # node -> how its model's integers were changed
        self.tables: dict[str, str] = {}  # entries of a table -> the constant that holds them
        self._converted: dict[tuple[str, Format], str] = {}
        self._shares = zero_shares(graph, plan)
        self._pruned: Value | None = None
        self._weights: dict[tuple[str, str, int], object] = {}
        for name in graph.inputs:
            self.declare(name, IntegerKind.INPUT)
        for state in graph.states:
            self._declare_state(state.source)

    def _declare_state(self, name: str) -> None:
        """A state is 0 before the first step and so are its bytes: with a zero point it is held as
        int16 without one, which takes every value of int8 exactly."""
        form = self.formats[name]
        if form.zero_point == 0:
            self.declare(name, IntegerKind.STATE)
            return
        held = self.new_tensor(
            held_state(name), self.graph.values[name].shape, held_format(form), IntegerKind.STATE
        )
        self.declare(name)
        self.requant(f"{name}/load", held.name, name)

    def declare(self, name: str, kind: IntegerKind = IntegerKind.NODE) -> IntegerTensor:
        """Make the integer tensor of float value `name` in its own format."""
        form = self.formats[name]
        shape = self.graph.values[name].shape
        return self.new_tensor(name, shape, form, kind)

    def new_tensor(
        self, name: str, shape: tuple[int, ...], form: Format, kind: IntegerKind = IntegerKind.NODE
    ) -> IntegerTensor:
        """Make a tensor of any format under a new name."""
        tensor = IntegerTensor(name, shape, form.element, form.scale, form.zero_point, kind)
        self.tensors[name] = tensor
        return tensor

    def add(self, node: IntegerNode) -> None:
        """Append a node."""
        self.nodes.append(node)

    def tensor(self, name: str) -> IntegerTensor:
        """Return the tensor of float value `name`; constants become int16 tensors at first use."""
        if name not in self.tensors:
            value = self.graph.values[name]
            if value.data is None:
                raise CompileError(f"value '{name}' must be computed before it is used")
            self.tensors[name] = _constant(value)
        return self.tensors[name]

    def int8(self, name: str) -> IntegerTensor:
        """Return tensor `name` as int8 of its own format, adding a Requant where it is wider."""
        return self._narrowed(name, "int8")

    def at_most_int16(self, name: str) -> IntegerTensor:
        """Return tensor `name` as int8 or int16, adding a Requant where it is wider."""
        tensor = self.tensor(name)
        return self._narrowed(name, "int16") if tensor.element == "int32" else tensor

    def _narrowed(self, name: str, element: str) -> IntegerTensor:
        tensor = self.tensor(name)
        if tensor.element == element:
            return tensor
        largest = np.iinfo(element).max
        own = tensor.scale * np.iinfo(tensor.element).max
        peak = min(own, self.ranges.peak.get(name, own))
        scale = int8_scale(peak) if element == "int8" else max(peak, 1e-30) / largest
        return self.tensor(self.convert(name, Format(element, scale)))

    def convert(self, name: str, form: Format) -> str:
        """Return the name of tensor `name` in another format, adding a Requant where it differs.

        A constant is rounded here once, from its own numbers.
        """
        known = self.tensors.get(name)
        if known is not None and (known.element, known.scale, known.zero_point) == (
            form.element,
            form.scale,
            form.zero_point,
        ):
            return name
        key = (name, form)
        if key not in self._converted:
            self._converted[key] = self._converted_to(name, form)
        return self._converted[key]

    def _converted_to(self, name: str, form: Format) -> str:
        label = f"{name}@{form.element}.{len(self._converted)}"
        value = self.graph.values.get(name)
        if value is not None and value.data is not None:
            self.tensors[label] = constant_in(label, value, form)
            return label
        tensor = self.tensor(name)
        self.new_tensor(label, tensor.shape, form)
        self.requant(f"{label}/convert", name, label)
        return label

    def requant(self, node: str, x: str, y: str, relu: bool = False) -> None:
        """Append Requant `node` from tensor `x` to tensor `y`."""
        multiplier, shift = self.multiplier(node, self.tensors[x].scale / self.tensors[y].scale)
        self.add(Requant(node, x, y, multiplier, shift, relu))

    def multiplier(self, where: str, real: float) -> tuple[int, int]:
        """Return (m, s) of a rescale factor; a factor out of range is refused by node name."""
        try:
            return quantize_multiplier(real)
        except ValueError as error:
            raise CompileError(f"node '{where}': {error}") from None

    def is_constant(self, name: str) -> bool:
        """True if float value `name` is data of the model."""
        return self.graph.values[name].kind is ValueKind.CONSTANT

    def pruned(self, name: str) -> Value:
        """Return weight matrix `name` with the zeros that the plan wants; the last one is kept."""
        if self._pruned is None or self._pruned.name != name:
            value = self.graph.values[name]
            assert value.data is not None  # the verifier made sure
            self._pruned = replace(value, data=prune_array(value.data, self._shares[name]))
        return self._pruned

    def cached_weights(self, name: str, part: str, bits: int, make: object) -> object:
        """Return `make()` once per (weight value, part, bits): shared matrices share one stream."""
        key = (name, part, bits)
        if key not in self._weights:
            self._weights[key] = make()  # type: ignore[operator]
        return self._weights[key]


def _constant(value: Value) -> IntegerTensor:
    """A model constant as int16, symmetric: the model's own integers if it has them and they fit,
    else the largest magnitude becomes 32767."""
    assert value.data is not None  # callers made sure
    stored = value.stored
    if stored is not None and stored.scale.size == 1 and _fits_int16(stored.integers):
        return constant_in(value.name, value, Format("int16", float(stored.scale.item())))
    peak = float(np.max(np.abs(value.data.astype(np.float64)))) if value.data.size else 0.0
    scale = peak / INT16_MAX if peak > 0.0 else 1.0 / INT16_MAX
    return constant_in(value.name, value, Format("int16", scale))


def _fits_int16(integers: npt.NDArray[np.integer[Any]]) -> bool:
    return int(integers.min()) >= -INT16_MAX and int(integers.max()) <= INT16_MAX


def constant_in(name: str, value: Value, form: Format) -> IntegerTensor:
    """Return a constant rounded to `form` (halves to even, saturated)."""
    limits = np.iinfo(form.element)
    low = -limits.max if form.element == "int16" else limits.min
    steps = np.rint(exact_data(value) / form.scale) + form.zero_point
    integers = np.clip(steps, low, limits.max).astype(form.element)
    return IntegerTensor(
        name,
        value.shape,
        form.element,
        form.scale,
        form.zero_point,
        IntegerKind.CONSTANT,
        integers,
    )


def exact_data(value: Value) -> npt.NDArray[np.float64]:
    """Return a constant in float64: from the model's integers where it has them, which float32 may
    have rounded. What pruning set to zero is zero."""
    assert value.data is not None  # callers made sure
    if value.stored is None:
        return value.data.astype(np.float64)
    return np.where(value.data == 0, 0.0, value.stored.integers * value.stored.scale)


def held_state(name: str) -> str:
    """Name of the int16 tensor that holds state `name` with a zero point between steps."""
    return f"{name}@held"


def held_format(form: Format) -> Format:
    """Format of that tensor."""
    return Format("int16", form.scale)


def node_where(node: Node) -> str:
    """How a float node is named in messages."""
    return f"node '{node.name}' ({node.operator})"
