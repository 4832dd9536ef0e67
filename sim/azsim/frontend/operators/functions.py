"""Functions of one number, element by element: each becomes a Function with a formula."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode, Operand, present
from azsim.frontend.rules import Support, constant_parameters, float_data, float_inputs
from azsim.graph.formulas import Formula, number_word
from azsim.graph.text import quoted, shape_text

FORMULA = "Function"


def emit_function(node: OnnxNode, builder: GraphBuilder, x: Operand, formula: Formula) -> None:
    """Append the node's only output as a formula of `x`."""
    inputs = (builder.use(x),)
    builder.emit(node.name, "Function", inputs, node.outputs[:1], {"formula": formula})


def scalar_of(operand: Operand | None) -> float | None:
    """Return the number of a constant of one element, None for anything else."""
    if operand is None or operand.data is None or operand.data.size != 1:
        return None
    return float(operand.data.reshape(-1)[0])


def two_valued(at_0: float, at_1: float) -> Formula:
    """The formula of a truth value that is one number at 0 and another at 1."""
    chosen = ("x", "Round", number_word(at_1), "Mul")
    return (*chosen, "1.0", "x", "Round", "Sub", number_word(at_0), "Mul", "Add")


# -- rules --------------------------------------------------------------------------------------


def known_approximation(node: OnnxNode) -> str | None:
    """approximate must be 'none' or 'tanh'."""
    given = node.word("approximate", "none")
    return None if given in ("none", "tanh") else quoted(given)


def limits_are_numbers(node: OnnxNode) -> str | None:
    """min and max must be single numbers."""
    for operand in present(node.inputs[1:]):
        if operand.data is not None and operand.data.size != 1:
            return f"shape {shape_text(operand.shape)} of {quoted(operand.name)}"
    return None


def one_operand_is_a_number(node: OnnxNode) -> str | None:
    """base or exponent must be a constant of one number."""
    numbers = [scalar_of(operand) for operand in node.inputs]
    if numbers[0] is None and numbers[1] is None:
        return f"{quoted(node.require(0).name)} and {quoted(node.require(1).name)}"
    return None


def result_has_the_shape_of_the_computed(node: OnnxNode) -> str | None:
    """the number must not have more dimensions than the other input."""
    a, b = node.require(0), node.require(1)
    number, other = (a, b) if scalar_of(a) is not None and a.data is not None else (b, a)
    return shape_text(number.shape) if len(number.shape) > len(other.shape) else None


def slope_is_constant(node: OnnxNode) -> str | None:
    """the slope must be a constant."""
    slope = node.require(1)
    return f"the computed {quoted(slope.name)}" if slope.data is None else None


def divisor_is_a_number(node: OnnxNode) -> str | None:
    """fmod must be 1 (of floats), and the divisor a finite constant of one number other than 0."""
    if not node.whole("fmod", 0):
        return "fmod 0"
    number = scalar_of(node.require(1))
    if number is None:
        return quoted(node.require(1).name)
    return None if number and np.isfinite(number) else f"{number:g}"


# -- lowering -----------------------------------------------------------------------------------


def _plain(word: str) -> Callable[[OnnxNode, GraphBuilder], None]:
    def lower(node: OnnxNode, builder: GraphBuilder) -> None:
        emit_function(node, builder, node.require(0), ("x", word))

    return lower


def _with_attributes(
    word: str, defaults: tuple[tuple[str, float], ...]
) -> Callable[[OnnxNode, GraphBuilder], None]:
    def lower(node: OnnxNode, builder: GraphBuilder) -> None:
        numbers = (number_word(node.real(name, value)) for name, value in defaults)
        emit_function(node, builder, node.require(0), ("x", *numbers, word))

    return lower


def _lower_gelu(node: OnnxNode, builder: GraphBuilder) -> None:
    word = "GeluTanh" if node.word("approximate", "none") == "tanh" else "Gelu"
    emit_function(node, builder, node.require(0), ("x", word))


def _lower_clip(node: OnnxNode, builder: GraphBuilder) -> None:
    low, high = scalar_of(node.operand(1)), scalar_of(node.operand(2))
    limits = (-np.inf if low is None else low, np.inf if high is None else high)
    words = tuple(number_word(limit) for limit in limits)
    emit_function(node, builder, node.require(0), ("x", *words, "Clip"))


def _lower_pow(node: OnnxNode, builder: GraphBuilder) -> None:
    base, exponent = node.require(0), node.require(1)
    number = scalar_of(exponent)
    if number is not None:
        emit_function(node, builder, base, ("x", number_word(number), "Pow"))
    else:
        number = scalar_of(base)
        emit_function(node, builder, exponent, (number_word(number or 0.0), "x", "Pow"))


def _lower_mod(node: OnnxNode, builder: GraphBuilder) -> None:
    divisor = number_word(scalar_of(node.require(1)) or 1.0)
    emit_function(node, builder, node.require(0), ("x", divisor, "Fmod"))


def _lower_prelu(node: OnnxNode, builder: GraphBuilder) -> None:
    """A slope per entry: max(x, 0) + slope * min(x, 0)."""
    x, slope = node.require(0), node.require(1)
    number = scalar_of(slope)
    if number is not None and len(slope.shape) <= len(x.shape):
        emit_function(node, builder, x, ("x", number_word(number), "LeakyRelu"))
        return
    source = builder.use(x)
    above, below, scaled = (
        builder.fresh_value(f"{node.name}.{part}") for part in ("above", "below", "scaled")
    )
    builder.emit(builder.fresh_node(f"{node.name}.above"), "Relu", (source,), (above,))
    formula = {"formula": ("x", "0.0", "Min")}
    builder.emit(builder.fresh_node(f"{node.name}.below"), "Function", (source,), (below,), formula)
    factors = (below, builder.use(slope))
    builder.emit(builder.fresh_node(f"{node.name}.scaled"), "Mul", factors, (scaled,))
    builder.emit(node.name, "Add", (above, scaled), node.outputs)


_PLAIN = (
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Erf", "Exp",
    "Floor", "HardSwish", "Log", "Mish", "Neg", "Reciprocal", "Round", "Sign", "Sin", "Sinh",
    "Softplus", "Softsign", "Sqrt", "Tan",
)  # fmt: skip
_ATTRIBUTES: dict[str, tuple[tuple[str, float], ...]] = {
    "Celu": (("alpha", 1.0),),
    "Elu": (("alpha", 1.0),),
    "HardSigmoid": (("alpha", 0.2), ("beta", 0.5)),
    "LeakyRelu": (("alpha", 0.01),),
    # ONNX's own defaults of Selu
    "Selu": (("alpha", 1.67326319217681884765625), ("gamma", 1.05070102214813232421875)),
    "Shrink": (("bias", 0.0), ("lambd", 0.5)),
    "Swish": (("alpha", 1.0),),
    "ThresholdedRelu": (("alpha", 1.0),),
}

SUPPORT = (
    *(Support(name, FORMULA, (float_inputs, float_data), _plain(name)) for name in _PLAIN),
    *(
        Support(name, FORMULA, (float_inputs, float_data), _with_attributes(name, defaults))
        for name, defaults in _ATTRIBUTES.items()
    ),
    Support("Gelu", FORMULA, (float_inputs, float_data, known_approximation), _lower_gelu),
    Support(
        "Clip",
        FORMULA,
        (float_inputs, float_data, constant_parameters, limits_are_numbers),
        _lower_clip,
    ),
    Support(
        "Pow",
        FORMULA,
        (one_operand_is_a_number, result_has_the_shape_of_the_computed),
        _lower_pow,
    ),
    Support(
        "Mod",
        FORMULA,
        (
            float_inputs,
            float_data,
            divisor_is_a_number,
            result_has_the_shape_of_the_computed,
        ),
        _lower_mod,
    ),
    Support(
        "PRelu",
        "Function (a slope per entry: Relu, Function, Mul, Add)",
        (float_inputs, float_data, slope_is_constant),
        _lower_prelu,
    ),
)
