"""Formulas of one number: every word against a definition of its own, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from azsim.errors import ModelError
from azsim.graph.formulas import (
    FUNCTIONS,
    MAX_WORDS,
    check_formula,
    evaluate_formula,
    number_word,
    substituted,
)

pytestmark = pytest.mark.small

POINTS = (-7.5, -2.0, -0.5, 0.0, 0.25, 1.5, 6.0)


def _softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def _elu(x: float, a: float) -> float:
    return x if x > 0 else a * (math.exp(x) - 1)


def _erf_gelu(x: float) -> float:
    return x * 0.5 * math.erfc(-x / 2**0.5)


def _tanh_gelu(x: float) -> float:
    return x / (1 + math.exp(-2 * (2 / math.pi) ** 0.5 * (x + 0.044715 * x * x * x)))


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# word -> its further operands and the value for x
CASES: dict[str, tuple[tuple[float, ...], Callable[..., float]]] = {
    "Abs": ((), abs),
    "Acos": ((), lambda x: math.acos(x) if abs(x) <= 1 else math.nan),
    "Acosh": ((), lambda x: math.acosh(x) if x >= 1 else math.nan),
    "Add": ((1.5,), lambda x, a: x + a),
    "Asin": ((), lambda x: math.asin(x) if abs(x) <= 1 else math.nan),
    "Asinh": ((), math.asinh),
    "Atan": ((), math.atan),
    "Atanh": ((), lambda x: math.atanh(x) if abs(x) < 1 else math.nan),
    "Ceil": ((), math.ceil),
    "Celu": ((2.0,), lambda x, a: max(0, x) + min(0, a * (math.exp(x / a) - 1))),
    "Clip": ((-1.0, 2.0), lambda x, low, high: sorted((low, x, high))[1]),
    "Cos": ((), math.cos),
    "Cosh": ((), math.cosh),
    "Div": ((-4.0,), lambda x, a: x / a),
    "Elu": ((0.5,), _elu),
    "Erf": ((), math.erf),
    "Exp": ((), math.exp),
    "Floor": ((), math.floor),
    "Fmod": ((1.75,), math.fmod),
    "Gelu": ((), _erf_gelu),
    "GeluTanh": ((), _tanh_gelu),
    "HardSigmoid": ((0.2, 0.5), lambda x, a, b: max(0, min(1, a * x + b))),
    "HardSwish": ((), lambda x: x * max(0, min(6, x + 3)) / 6),
    "LeakyRelu": ((0.1,), lambda x, a: x if x >= 0 else a * x),
    "Log": ((), lambda x: math.log(x) if x > 0 else -math.inf if x == 0 else math.nan),
    "Max": ((0.5,), max),
    "Min": ((0.5,), min),
    "Mish": ((), lambda x: x * math.tanh(_softplus(x))),
    "Mul": ((3.0,), lambda x, a: x * a),
    "Neg": ((), lambda x: -x),
    "Pow": ((3.0,), lambda x, a: x**a),
    "Reciprocal": ((), lambda x: 1 / x if x else math.inf),
    "Relu": ((), lambda x: max(x, 0)),
    "Round": ((), round),  # to even, both
    "Selu": ((1.6, 1.05), lambda x, a, g: g * (x if x > 0 else a * math.exp(x) - a)),
    "Shrink": ((0.5, 1.0), lambda x, b, m: x + b if x < -m else x - b if x > m else 0),
    "Sigmoid": ((), _sigmoid),
    "Sign": ((), lambda x: (x > 0) - (x < 0)),
    "Sin": ((), math.sin),
    "Sinh": ((), math.sinh),
    "Softplus": ((), _softplus),
    "Softsign": ((), lambda x: x / (1 + abs(x))),
    "Sqrt": ((), lambda x: math.sqrt(x) if x >= 0 else math.nan),
    "Sub": ((2.0,), lambda x, a: x - a),
    "Swish": ((1.5,), lambda x, a: x * _sigmoid(a * x)),
    "Tan": ((), math.tan),
    "Tanh": ((), math.tanh),
    "ThresholdedRelu": ((0.25,), lambda x, a: x if x > a else 0),
}


def test_every_word_has_a_case() -> None:
    assert CASES.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize("word", sorted(CASES))
def test_word(word: str) -> None:
    numbers, value = CASES[word]
    assert FUNCTIONS[word].operands == 1 + len(numbers)
    formula = check_formula(("x", *map(number_word, numbers), word))
    found = evaluate_formula(formula, np.array(POINTS))
    wanted = [float(value(x, *numbers)) for x in POINTS]
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-15)


def test_operands_are_taken_in_order() -> None:
    """7 - (x / 2), and (x - 1) to the power of x."""
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(
        evaluate_formula(("7.0", "x", "2.0", "Div", "Sub"), x), [6.5, 6, 5.5]
    )
    np.testing.assert_array_equal(
        evaluate_formula(("x", "1.0", "Sub", "x", "Pow"), x), [0.0, 1.0, 8.0]
    )


def test_a_formula_without_x_has_the_shape_of_x() -> None:
    assert evaluate_formula(("2.5",), np.zeros((3, 2))).tolist() == [[2.5] * 2] * 3


@pytest.mark.parametrize("number", [0.1, -1e30, 2**-40, 1 / 3, math.inf])
def test_numbers_come_back_exactly(number: float) -> None:
    assert float(number_word(number)) == number
    assert evaluate_formula((number_word(number),), np.zeros(1))[0] == number


def test_substitution_is_composition() -> None:
    outer, inner = ("x", "x", "Mul", "1.0", "Add"), ("x", "Exp", "2.0", "Sub")
    x = np.array(POINTS)
    np.testing.assert_array_equal(
        evaluate_formula(check_formula(substituted(outer, inner)), x),
        evaluate_formula(outer, evaluate_formula(inner, x)),
    )


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        ((), "formula must have 1 to 256 words"),
        (("x",) * (MAX_WORDS + 1), "formula must have 1 to 256 words"),
        ("x", "formula must have 1 to 256 words"),
        (("x", 1.0), "formula must consist of words"),
        (("Exp", "x"), "formula: 'Exp' must have its operands before it"),
        (("x", "Add"), "formula: 'Add' must have its operands before it"),
        (("x", "x"), "formula must leave one number, not 2"),
        (("y",), "formula: 'y' must be x, a number or a function"),
    ],
)
def test_refused(formula: object, text: str) -> None:
    with pytest.raises(ModelError) as refusal:
        check_formula(formula)
    assert str(refusal.value) == text
