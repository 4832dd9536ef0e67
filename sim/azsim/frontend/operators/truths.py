"""Truth values: comparisons, And, Or, Xor, Not, Where, and masks made of them.

A computed bool tensor is a float tensor of 0 and 1 in the graph. Comparisons see the numbers as the
machine holds them, in 8 bits; no number of the machine is infinite or NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode, Operand, present
from azsim.frontend.operators.elementwise import MASKED, use_masked
from azsim.frontend.operators.functions import scalar_of, two_valued
from azsim.frontend.rules import Support, constant_parameters, float_data, float_inputs
from azsim.graph.attributes import broadcast
from azsim.graph.formulas import Formula, number_word, substituted
from azsim.graph.text import quoted

RULED_OUT = -1e4  # a number at or below it stands for minus infinity
COMPARED_PARTS = 2.0**20  # of the compared number: finer differences are rounding, not less or more

# of the difference of both sides
_COMPARISONS: dict[str, Formula] = {
    "Equal": ("1.0", "x", "Sign", "Abs", "Sub"),
    "Greater": ("x", "Sign", "Relu"),
    "GreaterOrEqual": ("1.0", "x", "Neg", "Sign", "Relu", "Sub"),
    "Less": ("x", "Neg", "Sign", "Relu"),
    "LessOrEqual": ("1.0", "x", "Sign", "Relu", "Sub"),
}
_NOT: Formula = ("1.0", "x", "Round", "Sub")


def truth_inputs(node: OnnxNode) -> str | None:
    """inputs must be bool tensors."""
    for operand in present(node.inputs):
        is_bool = operand.data is not None and operand.data.dtype == np.bool_
        if not (operand.is_truth or is_bool):
            return quoted(operand.name)
    return None


def condition_is_bool(node: OnnxNode) -> str | None:
    """the condition must be a bool tensor."""
    first = node.require(0)
    return None if first.is_truth or first.data is not None else quoted(first.name)


def branches_are_float(node: OnnxNode) -> str | None:
    """both choices must be float tensors."""
    for operand in (node.require(1), node.require(2)):
        is_float = operand.data is None or np.issubdtype(operand.data.dtype, np.floating)
        if operand.is_index or operand.root or operand.is_truth or not is_float:
            return f"the integer {quoted(operand.name)}"
    return None


class _Writer:
    """Writes the parts of one node; the last part takes its name and output."""

    def __init__(self, node: OnnxNode, builder: GraphBuilder) -> None:
        self.node, self.builder = node, builder

    def part(self, role: str, operator: str, inputs: tuple[str, ...], formula: Formula = ()) -> str:
        """Append a node in front of the last one; return what it computes."""
        output = self.builder.fresh_value(f"{self.node.name}.{role}")
        name = self.builder.fresh_node(f"{self.node.name}.{role}")
        attributes = {"formula": formula} if formula else {}
        self.builder.emit(name, operator, inputs, (output,), attributes)
        return output

    def last(self, operator: str, inputs: tuple[str, ...], formula: Formula = ()) -> None:
        """Append the node itself."""
        attributes = {"formula": formula} if formula else {}
        self.builder.emit(self.node.name, operator, inputs, self.node.outputs[:1], attributes)

    def truth(self, operand: Operand) -> str:
        """The value of a bool operand; a constant becomes 0 and 1."""
        if operand.data is None:
            return self.builder.use(operand)
        return self.builder.derived(self.node, "truth", operand.data.astype(np.float32))


# -- comparisons and logic ----------------------------------------------------------------------


def _lower_comparison(node: OnnxNode, builder: GraphBuilder) -> None:
    a, b = node.require(0), node.require(1)
    for mask, other in ((a, b), (b, a)):
        if _is_unreachable(other):
            _compare_mask(node, builder, mask, other)
            return
    writer, formula = _Writer(node, builder), _COMPARISONS[node.operator]
    for number, other, words in (
        (scalar_of(b), a, lambda n: ("x", n, "Sub")),
        (scalar_of(a), b, lambda n: (n, "x", "Sub")),
    ):
        if number is not None and broadcast(a.shape, b.shape) == other.shape:
            parts = number_word(COMPARED_PARTS / max(1.0, abs(number)))
            less = (*words(number_word(number)), parts, "Mul", "Round")
            writer.last("Function", (builder.use(other),), substituted(formula, less))
            return _is_truth(node, builder)
    difference = writer.part("difference", "Sub", (builder.use(a), builder.use(b)))
    writer.last("Function", (difference,), formula)
    return _is_truth(node, builder)


def _compare_mask(node: OnnxNode, builder: GraphBuilder, x: Operand, bound: Operand) -> None:
    """x equal to infinity: known where x is made of truths, else never so."""
    number, shape = scalar_of(bound), broadcast(x.shape, bound.shape)
    if number is None or x.name not in builder.of_truth or shape != x.shape:
        _never(node, builder, shape)
        return
    truth, *numbers = builder.of_truth[x.name]
    at_0, at_1 = (float(entry == np.clip(number, -MASKED, MASKED)) for entry in numbers)
    _Writer(node, builder).last("Function", (truth,), two_valued(at_0, at_1))
    _is_truth(node, builder)


def _is_unreachable(operand: Operand) -> bool:
    """True for a constant that no number of the machine equals: NaN and infinity only."""
    return (
        operand.data is not None and operand.data.size > 0 and not np.isfinite(operand.data).any()
    )


def no_order_with_infinity(node: OnnxNode) -> str | None:
    """constants to compare with must be finite (Equal: or all infinite)."""
    for operand in present(node.inputs):
        if operand.data is None or bool(np.isfinite(operand.data).all()):
            continue
        if node.operator != "Equal" or not _is_unreachable(operand):
            return quoted(operand.name)
    return None


def _never(node: OnnxNode, builder: GraphBuilder, shape: tuple[int, ...]) -> None:
    output = node.outputs[0]
    builder.operands[output] = Operand(output, shape, np.zeros(shape, np.bool_))


def _lower_never(node: OnnxNode, builder: GraphBuilder) -> None:
    """IsNaN, IsInf: not in a machine of integers."""
    _never(node, builder, node.require(0).shape)


def _is_truth(node: OnnxNode, builder: GraphBuilder) -> None:
    builder.mark_truth(node.outputs[0])


def _lower_logic(operator: str) -> Callable[[OnnxNode, GraphBuilder], None]:
    def lower(node: OnnxNode, builder: GraphBuilder) -> None:
        writer = _Writer(node, builder)
        writer.last(operator, (writer.truth(node.require(0)), writer.truth(node.require(1))))
        _is_truth(node, builder)

    return lower


def _lower_xor(node: OnnxNode, builder: GraphBuilder) -> None:
    writer = _Writer(node, builder)
    sides = (writer.truth(node.require(0)), writer.truth(node.require(1)))
    writer.last("Function", (writer.part("difference", "Sub", sides),), ("x", "Abs"))
    _is_truth(node, builder)


def _lower_not(node: OnnxNode, builder: GraphBuilder) -> None:
    _Writer(node, builder).last("Function", (builder.use(node.require(0)),), _NOT)
    _is_truth(node, builder)


# -- choices ------------------------------------------------------------------------------------


def _lower_where(node: OnnxNode, builder: GraphBuilder) -> None:
    condition, a, b = (node.require(k) for k in range(3))
    if condition.data is None:
        _lower_computed_where(node, builder)
        return
    shape = broadcast(broadcast(condition.shape, a.shape), b.shape)
    chosen = a if condition.data.all() else b
    one_sided = bool(condition.data.all()) or not condition.data.any()
    if one_sided and chosen.shape == shape and chosen.data is None:
        builder.drop(node, chosen)
        return
    inputs = (
        builder.derived(node, "condition", condition.data.astype(np.float32)),
        use_masked(node, builder, a),
        use_masked(node, builder, b),
    )
    builder.emit(node.name, "Where", inputs, node.outputs)


def _limited(number: float | None) -> float | None:
    return None if number is None else float(np.clip(number, -MASKED, MASKED))


def _lower_computed_where(node: OnnxNode, builder: GraphBuilder) -> None:
    """c a + (1 - c) b; what a mask rules out needs no product, a very negative number is added."""
    writer = _Writer(node, builder)
    condition, a, b = (node.require(k) for k in range(3))
    c = builder.use(condition)
    first, second = _limited(scalar_of(a)), _limited(scalar_of(b))
    shape = broadcast(broadcast(condition.shape, a.shape), b.shape)
    if first is not None and second is not None and shape == condition.shape:
        writer.last("Function", (c,), two_valued(second, first))
        builder.of_truth[node.outputs[0]] = (c, second, first)
        return
    terms = [
        term
        for is_first, operand, number in ((True, a, first), (False, b, second))
        if (term := _term(writer, c, operand, number, is_first, (a, b)[is_first])) is not None
    ]
    if len(terms) == 2:
        writer.last("Add", (terms[0], terms[1]))
        return
    # the other choice is 0
    rest = terms[0] if terms else writer.part("zero", "Function", (c,), ("x", *_times(0.0)))
    form = "Reshape" if builder.values[rest].shape == shape else "Expand"
    builder.emit(node.name, form, (rest,), node.outputs[:1], target=shape)


def _times(number: float) -> Formula:
    return (number_word(number), "Mul")


def _term(
    writer: _Writer,
    condition: str,
    operand: Operand,
    number: float | None,
    is_first: bool,
    other: Operand,
) -> str | None:
    """What a choice adds to the result, None for a choice of 0."""
    role = "first" if is_first else "second"
    share: Formula = ("x", "Round") if is_first else _NOT
    rest = scalar_of(other)
    if number == 0.0:
        return None
    if number is not None:
        return writer.part(role, "Function", (condition,), (*share, *_times(number)))
    if rest is not None and rest <= RULED_OUT:
        return writer.builder.use(operand)  # where it is not chosen the mask outweighs it
    factor = condition if is_first else writer.part(f"not_{role}", "Function", (condition,), share)
    return writer.part(role, "Mul", (factor, writer.builder.use(operand)))


# -- triangles ----------------------------------------------------------------------------------


def matrices(node: OnnxNode) -> str | None:
    """the first input must have 2 or more dimensions."""
    rank = len(node.require(0).shape)
    return None if rank >= 2 else f"{rank}"


def _lower_triangle(node: OnnxNode, builder: GraphBuilder) -> None:
    x = node.require(0)
    offset = int(scalar_of(node.operand(1)) or 0)
    ones = np.ones(x.shape[-2:], np.float32)
    kept = np.triu(ones, offset) if node.whole("upper", 1) else np.tril(ones, offset)
    condition = builder.derived(node, "condition", kept)
    zero = builder.derived(node, "zero", np.zeros((), np.float32))
    builder.emit(node.name, "Where", (condition, builder.use(x), zero), node.outputs)
    if x.is_truth:
        builder.mark_truth(node.outputs[0])


_COMPARED = (float_inputs, no_order_with_infinity)

SUPPORT = (
    *(Support(name, "Function (of the difference)", _COMPARED, _lower_comparison)
      for name in _COMPARISONS),
    Support("And", "Mul", (truth_inputs,), _lower_logic("Mul")),
    Support("Or", "Max", (truth_inputs,), _lower_logic("Max")),
    Support("Xor", "Sub, Function", (truth_inputs,), _lower_xor),
    Support("Not", "Function", (truth_inputs,), _lower_not),
    Support("IsNaN", "a constant (no)", (float_inputs, float_data), _lower_never),
    Support("IsInf", "a constant (no)", (float_inputs, float_data), _lower_never),
    Support(
        "Where",
        "Where (with a computed condition: products and Add)",
        (condition_is_bool, branches_are_float),
        _lower_where,
    ),
    Support(
        "Trilu", "Where", (float_data, constant_parameters, matrices), _lower_triangle
    ),
)  # fmt: skip
