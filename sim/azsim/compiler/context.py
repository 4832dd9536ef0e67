"""What lowering one float node may use: formats, tensors made so far, and format conversions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from azsim.compiler.formats import Format, int8_scale
from azsim.compiler.fuse import Fusion
from azsim.compiler.plan import CompressionPlan
from azsim.compiler.ranges import Ranges
from azsim.errors import CompileError
from azsim.graph import Graph, Node, ValueKind
from azsim.graph.integer import IntegerKind, IntegerNode, IntegerTensor, Requant
from azsim_kernels.reference.arith import quantize_multiplier

INT16_MAX = 32767
_KINDS = {ValueKind.INPUT: IntegerKind.INPUT, ValueKind.STATE: IntegerKind.STATE}


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
        self._converted: dict[tuple[str, str, float], str] = {}
        self._weights: dict[tuple[str, str, int], object] = {}
        for name in (*graph.inputs, *(state.source for state in graph.states)):
            self.declare(name, kind=_KINDS[graph.values[name].kind])

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
            data = self.graph.constant(name)
            if data is None:
                raise CompileError(f"value '{name}' must be computed before it is used")
            self.tensors[name] = _constant(name, data)
        return self.tensors[name]

    def convert(self, name: str, element: str, scale: float | None = None) -> str:
        """Return the name of tensor `name` in another format, adding a Requant where it differs.

        `scale` None keeps the tensor's own scale if its element fits, else a fitting one is chosen.
        """
        tensor = self.tensor(name)
        wanted = scale if scale is not None else _fitting_scale(tensor, element)
        if (tensor.element, tensor.scale) == (element, wanted) and tensor.zero_point == 0:
            return name
        key = (name, element, wanted)
        if key not in self._converted:
            self._converted[key] = self._requant(tensor, Format(element, wanted))
        return self._converted[key]

    def _requant(self, tensor: IntegerTensor, form: Format) -> str:
        name = f"{tensor.name}@{form.element}.{len(self._converted)}"
        self.new_tensor(name, tensor.shape, form)
        multiplier, shift = self.multiplier(tensor.name, tensor.scale / form.scale)
        self.add(Requant(f"{name}/convert", tensor.name, name, multiplier, shift))
        return name

    def multiplier(self, where: str, real: float) -> tuple[int, int]:
        """Return (m, s) of a rescale factor; a factor out of range is refused by node name."""
        try:
            return quantize_multiplier(real)
        except ValueError as error:
            raise CompileError(f"node '{where}': {error}") from None

    def is_constant(self, name: str) -> bool:
        """True if float value `name` is data of the model."""
        return self.graph.values[name].kind is ValueKind.CONSTANT

    def cached_weights(self, name: str, part: str, bits: int, make: object) -> object:
        """Return `make()` once per (weight value, part, bits), so that shared matrices share one stream."""
        key = (name, part, bits)
        if key not in self._weights:
            self._weights[key] = make()  # type: ignore[operator]
        return self._weights[key]


def _constant(name: str, data: npt.NDArray[np.generic]) -> IntegerTensor:
    """A model constant as int16, symmetric, its largest magnitude at 32767."""
    peak = float(np.max(np.abs(data.astype(np.float64)))) if data.size else 0.0
    scale = peak / INT16_MAX if peak > 0.0 else 1.0 / INT16_MAX
    integers = np.clip(np.rint(data.astype(np.float64) / scale), -INT16_MAX, INT16_MAX).astype(
        np.int16
    )
    return IntegerTensor(name, data.shape, "int16", scale, 0, IntegerKind.CONSTANT, integers)


def _fitting_scale(tensor: IntegerTensor, element: str) -> float:
    """Scale for `tensor` as `element`: its own if it widens, its full range if it narrows to int8."""
    if tensor.element == element or element != "int8":
        return tensor.scale
    return int8_scale(tensor.scale * INT16_MAX)


def node_where(node: Node) -> str:
    """How a float node is named in messages."""
    return f"node '{node.name}' ({node.operator})"
