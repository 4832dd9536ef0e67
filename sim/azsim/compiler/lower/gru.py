"""GRU: the products of x for all time steps at once, then per step the products of h and the cell.

As for LSTM both halves come together in Q3.12, saturated once to int16 (docs/arithmetic.md,
GRU_CELL). h is held as int16 in Q0.15, its products take it as int8. ONNX order of gates: z, r, n.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.compiler.context import LoweringContext, exact_data, node_where
from azsim.compiler.formats import Format
from azsim.compiler.lower.lstm import (
    GATE_STEPS,
    Sizes,
    finisher,
    gate_steps,
    initial_state,
    zero_point_part,
)
from azsim.compiler.lower.moves import add_move_concat
from azsim.compiler.lower.weights import check_accumulator, own_or_rounded, row_multipliers
from azsim.graph import Node
from azsim.graph.integer import Elementwise, GruCell, IntegerTensor, Linear, LookUp, View
from azsim_kernels.reference.arith import quantize_multiplier

H_SCALE = 2.0**-15  # of h inside: Q0.15
Y_FORMAT = Format("int8", 1.0 / 127)  # |h| is below 1
SUM = Format("int32", 1 / GATE_STEPS)
GATE = Format("int16", 1 / GATE_STEPS)
UNIT = Format("int16", H_SCALE)


@dataclass(frozen=True)
class _Layer:
    """One GRU node under lowering: formats of h inside (int16) and of y (int8)."""

    node: Node
    context: LoweringContext
    sizes: Sizes
    y_format: Format

    @property
    def resets_late(self) -> bool:
        """True if the reset gate acts on the product of h (linear_before_reset)."""
        return bool(self.node.attributes.get("linear_before_reset", 0))

    def product(
        self,
        name: str,
        x: IntegerTensor,
        target: IntegerTensor,
        matrix: int,
        gates: tuple[int, int],
        biases: tuple[int, ...] = (),
        addend: str = "",
    ) -> None:
        """Append target = W x + b in Q3.12 for the rows of gates [first, end) of input `matrix` (1
        W, 2 R); `biases`: which of ONNX's two biases join."""
        rows = slice(gates[0] * self.sizes.hidden, gates[1] * self.sizes.hidden)
        name_ = self.node.inputs[matrix]
        part = f"{gates}"
        weights = own_or_rounded(self.node, self.context, name_, _rows(rows), part)
        where = node_where(self.node)
        check_accumulator(where, weights)
        multiplier, shift = row_multipliers(where, weights, x.scale * GATE_STEPS)
        total = zero_point_part(weights, x)
        for which in biases:
            total = total + self._bias(which)[rows]
        self.context.add(
            Linear(
                name, x.name, target.name, weights.integers, weights.bits, multiplier, shift,
                gate_steps(total), bias_after=True, addend=addend,
            )
        )  # fmt: skip

    def _bias(self, which: int) -> npt.NDArray[np.float64]:
        name = self.node.inputs[3]
        if not name:
            return np.zeros(3 * self.sizes.hidden)
        both = exact_data(self.context.graph.values[name]).reshape(2, -1)
        half: npt.NDArray[np.float64] = both[which]
        return half

    def new(self, name: str, gates: int, form: Format, steps: int = 1) -> IntegerTensor:
        """A tensor (steps, batch, gates * hidden)."""
        shape = (steps, self.sizes.batch, gates * self.sizes.hidden)
        return self.context.new_tensor(name, shape, form)

    def step_of(self, x: IntegerTensor, label: str, step: int, gates: int) -> IntegerTensor:
        """The part of a tensor of all steps that belongs to one."""
        form = Format(x.element, x.scale)
        part = self.new(f"{label}_t", gates, form)
        offset = step * self.sizes.batch * gates * self.sizes.hidden
        self.context.add(View(f"{label}_view", x.name, part.name, offset))
        return part


def _rows(rows: slice) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
    return lambda data: data[0][rows]


def lower_gru(node: Node, context: LoweringContext) -> None:
    """ONNX GRU, forward: Linear (x), then per step View, Linear (h), GruCell."""
    steps, batch, _ = context.graph.values[node.inputs[0]].shape
    sizes = Sizes(steps, batch, context.graph.values[node.inputs[2]].shape[2])
    layer = _Layer(node, context, sizes, _y_format(node, context))
    x = context.int8(node.inputs[0])
    opened = [layer.new(f"{node.name}/{gate}_x", 1, SUM, steps) for gate in ("z", "r")]
    for gate, target in enumerate(opened):
        name = f"{node.name}/{'zr'[gate]}x"
        layer.product(name, x, target, 1, (gate, gate + 1), (0, 1))
    late = layer.resets_late
    new_x = layer.new(f"{node.name}/n_x", 1, GATE if late else SUM, steps)
    layer.product(f"{node.name}/nx", x, new_x, 1, (2, 3), (0,) if late else (0, 1))
    h = initial_state(node, context, node.inputs[4], sizes, UNIT, "h")
    y_name = context.convert(h.name, layer.y_format)
    y = context.tensor(y_name)
    kept: list[tuple[IntegerTensor, IntegerTensor]] = []
    for step in range(steps):
        h, y = _step(layer, step, (*opened, new_x), h, y)
        kept.append((h, y))
    _outputs(layer, kept)


def _y_format(node: Node, context: LoweringContext) -> Format:
    """Format of int8 h: that of an output or the initial state where one is int8."""
    for name in (*node.outputs[:2], node.inputs[4]):
        form = context.formats.get(name)
        if form is not None and form.element == "int8":
            return form
    return Y_FORMAT


def _step(
    layer: _Layer,
    step: int,
    inputs: tuple[IntegerTensor, ...],
    h: IntegerTensor,
    y: IntegerTensor,
) -> tuple[IntegerTensor, IntegerTensor]:
    """Append one time step; return its h and y."""
    node, context = layer.node, layer.context
    label = node.name if layer.sizes.steps == 1 else f"{node.name}/t{step}"
    z_x, r_x, n_x = (
        layer.step_of(tensor, f"{label}/{gate}x", step, 1)
        for gate, tensor in zip("zrn", inputs, strict=True)
    )
    z, r = (layer.new(f"{label}/{gate}", 1, GATE) for gate in "zr")
    layer.product(f"{label}/zh", y, z, 2, (0, 1), addend=z_x.name)
    layer.product(f"{label}/rh", y, r, 2, (1, 2), addend=r_x.name)
    n_h = ""
    if layer.resets_late:
        tensor = layer.new(f"{label}/n_h", 1, GATE)
        layer.product(f"{label}/nh", y, tensor, 2, (2, 3), (1,))
        n_h = tensor.name
    else:
        n_x = _early_reset(layer, label, r, y, n_x)
    new_h = layer.new(f"{label}/h", 1, UNIT)
    new_y = layer.new(f"{label}/y", 1, Format("int8", y.scale, y.zero_point))
    multiplier, shift = context.multiplier(label, H_SCALE / y.scale)
    context.add(
        GruCell(
            f"{label}/cell", z.name, r.name if n_h else "", n_x.name, n_h, h.name, new_h.name,
            new_y.name, layer.resets_late, multiplier, shift,
        )
    )  # fmt: skip
    return new_h, new_y


def _early_reset(
    layer: _Layer, label: str, r: IntegerTensor, y: IntegerTensor, n_x: IntegerTensor
) -> IntegerTensor:
    """n = W x + R (sigmoid(r) * h) + b: the reset gate acts on h itself."""
    context = layer.context
    opened = layer.new(f"{label}/r_open", 1, UNIT)
    one = quantize_multiplier(1.0)
    context.add(LookUp(f"{label}/sigmoid", "sigmoid", r.name, opened.name, *one, *one))
    held = layer.new(f"{label}/rh_state", 1, Format("int8", y.scale, y.zero_point))
    multiplier, shift = context.multiplier(label, H_SCALE)
    context.add(
        Elementwise(f"{label}/reset", "Mul", opened.name, y.name, held.name, multiplier, 0, shift)
    )
    n = layer.new(f"{label}/n", 1, GATE)
    layer.product(f"{label}/nh", held, n, 2, (2, 3), addend=n_x.name)
    return n


def _outputs(layer: _Layer, kept: list[tuple[IntegerTensor, IntegerTensor]]) -> None:
    """Y (T, 1, batch, H) and Y_h (1, batch, H): from y where they are int8, from h where wider."""
    node, context, sizes = layer.node, layer.context, layer.sizes
    finish = finisher(node, context)
    for position, name in enumerate((*node.outputs, "", "")[:2]):
        if not name:
            continue
        wide = context.formats[name].element != "int8"
        tensors = [h if wide else y for h, y in kept]
        last = tensors[-1]
        if position == 0 and sizes.steps > 1:
            shape = (sizes.steps, 1, sizes.batch, sizes.hidden)
            last = context.new_tensor(
                f"{node.name}/all", shape, Format(last.element, last.scale, last.zero_point)
            )
            add_move_concat(context, f"{node.name}/collect", tensors, last, axis=0)
        finish(name, last)
