"""Element by element, and softmax over rows, in plain numpy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from azsim.graph.integer import Elementwise, LookUp, Requant, SoftmaxRows
from azsim.reference.integer_values import Evaluators, Integers, Values
from azsim_kernels.reference import arith

TABLES: dict[str, Callable[[Integers], Integers]] = {
    "sigmoid": arith.sigmoid,
    "tanh": arith.tanh,
}


def _requant(node: Requant, values: Values) -> None:
    y = arith.rescale(values.real(node.x), node.multiplier, node.shift)
    values.put(node.y, y, node.relu)


def _elementwise(node: Elementwise, values: Values) -> None:
    """Add or Mul; a smaller b repeats over the leading dimensions."""
    a, b = values.real(node.a), values.real(node.b)
    b = np.resize(b, a.shape)
    if node.operator == "Add":
        y = arith.rounded_shift(a * node.multiplier_a + b * node.multiplier_b, node.shift)
    else:
        y = arith.rescale(a * b, node.multiplier_a, node.shift)
    values.put(node.y, y, node.relu)


def _look_up(node: LookUp, values: Values) -> None:
    scale_in = (node.in_multiplier, node.in_shift)
    scale_out = (node.out_multiplier, node.out_shift)
    y = arith.look_up(values.real(node.x), TABLES[node.table], scale_in, scale_out)
    values.put(node.y, y)


def _softmax(node: SoftmaxRows, values: Values) -> None:
    scale_in = (node.in_multiplier, node.in_shift)
    y = arith.softmax(values.raw(node.x), scale_in, (node.out_multiplier, node.out_shift))
    values.put(node.y, y)


EVALUATORS: Evaluators = {
    Requant: _requant,
    Elementwise: _elementwise,
    LookUp: _look_up,
    SoftmaxRows: _softmax,
}
