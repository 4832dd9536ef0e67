"""LSTM: the products of x for all time steps at once, then per step the products of h and the cell.

Both products are rescaled to Q3.12 with their own row multipliers (docs/arithmetic.md, LSTM): the x
half into int32 with the bias, the h half on top of it, saturated once to int16.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.compiler.context import LoweringContext, exact_data, node_where
from azsim.compiler.formats import Format, int8_scale, power_of_two_scale
from azsim.compiler.lower.moves import add_move_concat
from azsim.compiler.lower.weights import (
    QuantizedWeights,
    check_accumulator,
    own_or_rounded,
    row_multipliers,
)
from azsim.errors import CompileError
from azsim.graph import Node
from azsim.graph.attributes import integer
from azsim.graph.integer import IntegerKind, IntegerTensor, Linear, LstmCell, View
from azsim_kernels import isa

GATE_STEPS = 4096.0  # Q3.12
UNIT_STEPS = 2.0**-30  # o and tanh(c) are Q0.15 each


@dataclass(frozen=True)
class Sizes:
    """Time steps, batch rows and width of a recurrent layer."""

    steps: int
    batch: int
    hidden: int


def is_coupled(node: Node) -> bool:
    """True if the forget gate is 1 - input gate: its rows of weights are not used."""
    return bool(node.attributes.get("input_forget", 0))


def gate_count(node: Node) -> int:
    """Gates that are computed."""
    return 3 if is_coupled(node) else 4


def _kept_rows(node: Node, data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Rows (axis 0) of the gates that are computed, of i, o, f, c."""
    if not is_coupled(node):
        return data
    hidden = len(data) // 4
    return np.concatenate([data[: 2 * hidden], data[3 * hidden :]])


def lower_lstm(node: Node, context: LoweringContext) -> None:
    """ONNX LSTM, forward, seq_length >= 1: Linear (x), then per step View, Linear (h), LstmCell."""
    steps, batch, _ = context.graph.values[node.inputs[0]].shape
    hidden = integer(node.attributes, "hidden_size")
    sizes = Sizes(steps, batch, hidden)
    h_format, c_format = _state_formats(node, context)
    gates = _input_half(node, context, sizes)
    first = initial_state if node.inputs[2] else _not_fed_back
    h = first(node, context, _optional(node, 4), sizes, h_format, "h")
    c = initial_state(node, context, _optional(node, 5), sizes, c_format, "c")
    hidden_states = []
    for step in range(steps):
        h, c = _step(node, context, sizes, step, gates, h, c)
        hidden_states.append(h)
    _outputs(node, context, sizes, hidden_states, c)


def _state_formats(node: Node, context: LoweringContext) -> tuple[Format, Format]:
    """Formats of h and c inside the layer: those of its outputs, where they fit."""
    ranges = context.ranges
    peaks = [ranges.peak.get(name, 0.0) for name in node.outputs[:2] if name]
    h_format = Format("int8", int8_scale(max(peaks, default=1.0)))
    for name in (*node.outputs[:2], _optional(node, 4)):
        form = context.formats.get(name)
        if form is not None and form.element == "int8":
            h_format = form
            break
    c_format = Format("int16", power_of_two_scale(ranges.cell_peak.get(node.name, 1.0)))
    for name in (node.outputs[2], _optional(node, 5)):
        form = context.formats.get(name)
        if form is not None and form.element == "int16":
            c_format = form
            break
    return h_format, c_format


def _optional(node: Node, position: int) -> str:
    return node.inputs[position] if position < len(node.inputs) else ""


def _input_half(node: Node, context: LoweringContext, sizes: Sizes) -> IntegerTensor:
    """gates = W x + b for all steps: Q3.12 of shape (T, batch, 4H)."""
    where = node_where(node)
    x = context.int8(node.inputs[0])
    weights = _weights(node, context, 1)
    bias = _bias(node, context, weights, x)
    multiplier, shift = row_multipliers(where, weights, x.scale * GATE_STEPS)
    check_accumulator(where, weights)
    shape = (sizes.steps, sizes.batch, gate_count(node) * sizes.hidden)
    gates = context.new_tensor(f"{node.name}/gates_x", shape, _gates_format(node))
    context.add(
        Linear(
            f"{node.name}/x",
            x.name,
            gates.name,
            weights.integers,
            weights.bits,
            multiplier,
            shift,
            bias,
            bias_after=True,
        )
    )
    return gates


def _gates_format(node: Node) -> Format:
    """Of W x + b: int32, or already the 16-bit gates where nothing is fed back."""
    return Format("int32" if node.inputs[2] else "int16", 1 / GATE_STEPS)


def _weights(node: Node, context: LoweringContext, position: int) -> QuantizedWeights:
    part = "kept" if is_coupled(node) else ""
    name = node.inputs[position]
    return own_or_rounded(node, context, name, lambda data: _kept_rows(node, data[0]), part)


def _bias(
    node: Node, context: LoweringContext, weights: QuantizedWeights, x: IntegerTensor
) -> npt.NDArray[np.int32]:
    """Both ONNX biases and what the zero point of x adds, together in Q3.12.

    What exceeds int32 cannot matter beside a 16-bit gate.
    """
    total = zero_point_part(weights, x)
    name = _optional(node, 3)
    if name:
        data = exact_data(context.graph.values[name])
        total = total + _kept_rows(node, data.reshape(2, -1).sum(axis=0))
    return gate_steps(total)


def zero_point_part(weights: QuantizedWeights, x: IntegerTensor) -> npt.NDArray[np.float64]:
    """What must be added per row since the product is not of x less its zero point."""
    sums = weights.integers.sum(axis=1, dtype=np.int64)
    part: npt.NDArray[np.float64] = -x.zero_point * x.scale * weights.scales * sums
    return part


def gate_steps(real: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
    """Numbers in Q3.12, limited to what fits beside other terms of an int32."""
    steps: npt.NDArray[np.float64] = np.rint(real * GATE_STEPS)
    return np.clip(steps, -(2**30), 2**30).astype(np.int32)


def initial_state(
    node: Node, context: LoweringContext, name: str, sizes: Sizes, form: Format, role: str
) -> IntegerTensor:
    """Initial h or c in the layer's own format, (1, batch, H); zeros where the model gives no
    `name`."""
    if name:
        return context.tensor(context.convert(name, form))
    shape = (1, sizes.batch, sizes.hidden)
    label = f"{node.name}/{role}_zero"
    tensor = IntegerTensor(
        label,
        shape,
        form.element,
        form.scale,
        form.zero_point,
        IntegerKind.CONSTANT,
        np.full(shape, form.zero_point, form.element),
    )
    context.tensors[label] = tensor
    return tensor


def _not_fed_back(
    node: Node, context: LoweringContext, name: str, sizes: Sizes, form: Format, role: str
) -> IntegerTensor:
    """The h of a layer without recurrent weights: its format, no values."""
    shape = (1, sizes.batch, sizes.hidden)
    label = f"{node.name}/{role}_zero"
    return IntegerTensor(label, shape, form.element, form.scale, form.zero_point, IntegerKind.NODE)


def _step(
    node: Node,
    context: LoweringContext,
    sizes: Sizes,
    step: int,
    gates_x: IntegerTensor,
    h: IntegerTensor,
    c: IntegerTensor,
) -> tuple[IntegerTensor, IntegerTensor]:
    label = node.name if sizes.steps == 1 else f"{node.name}/t{step}"
    state_shape = (1, sizes.batch, sizes.hidden)
    gate_shape = (1, sizes.batch, gate_count(node) * sizes.hidden)
    part = context.new_tensor(f"{label}/gates_t", gate_shape, _gates_format(node))
    offset = step * sizes.batch * gate_count(node) * sizes.hidden
    context.add(View(f"{label}/view", gates_x.name, part.name, offset))
    gates = part
    if node.inputs[2]:
        gates = context.new_tensor(f"{label}/gates", gate_shape, Format("int16", 1 / GATE_STEPS))
        context.add(_hidden_half(node, context, f"{label}/h", h, part, gates))
    c_format = Format("int16", c.scale)
    new_c = context.new_tensor(f"{label}/c", state_shape, c_format)
    h_format = Format("int8", h.scale, h.zero_point)
    new_h = context.new_tensor(f"{label}/h_state", state_shape, h_format)
    fraction_bits = round(-np.log2(c.scale))
    multiplier, shift = context.multiplier(label, UNIT_STEPS / h.scale)
    context.add(
        LstmCell(
            f"{label}/cell",
            gates.name,
            c.name,
            new_c.name,
            new_h.name,
            fraction_bits,
            multiplier,
            shift,
            isa.COUPLE_FORGET if is_coupled(node) else isa.COUPLE_NONE,
        )
    )
    return new_h, new_c


def _hidden_half(
    node: Node,
    context: LoweringContext,
    name: str,
    h: IntegerTensor,
    addend: IntegerTensor,
    gates: IntegerTensor,
) -> Linear:
    where = node_where(node)
    weights = _weights(node, context, 2)
    check_accumulator(where, weights)
    multiplier, shift = row_multipliers(where, weights, h.scale * GATE_STEPS)
    bias = gate_steps(zero_point_part(weights, h))
    return Linear(
        name,
        h.name,
        gates.name,
        weights.integers,
        weights.bits,
        multiplier,
        shift,
        bias,
        bias_after=True,
        addend=addend.name,
    )


def _outputs(
    node: Node,
    context: LoweringContext,
    sizes: Sizes,
    hidden_states: list[IntegerTensor],
    c: IntegerTensor,
) -> None:
    """Y (T, 1, batch, H), Y_h and Y_c (1, batch, H), in the formats of the float values."""
    finish = finisher(node, context)
    if node.outputs[0]:
        y = hidden_states[0]
        if sizes.steps > 1:
            shape = (sizes.steps, 1, sizes.batch, sizes.hidden)
            form = Format(y.element, y.scale, y.zero_point)
            y = context.new_tensor(f"{node.name}/y", shape, form)
            add_move_concat(context, f"{node.name}/collect", hidden_states, y, axis=0)
        finish(node.outputs[0], y)
    if node.outputs[1]:
        finish(node.outputs[1], hidden_states[-1])
    if node.outputs[2]:
        finish(node.outputs[2], c)


def finisher(node: Node, context: LoweringContext) -> Callable[[str, IntegerTensor], None]:
    """Return what gives a layer's tensor the name and format of one of the node's outputs."""

    def finish(name: str, tensor: IntegerTensor) -> None:
        form = context.formats[name]
        source = context.convert(tensor.name, form)
        if context.graph.values[name].kind.value == "constant":
            raise CompileError(f"{node_where(node)}: output '{name}' must not be a constant")
        context.declare(name)
        context.add(View(f"{node.name}/{name}", source, name))

    return finish
