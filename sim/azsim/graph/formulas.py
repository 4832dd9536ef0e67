"""Functions of one number as postfix formulas: what a `Function` node computes element by element.

A formula is a tuple of words: "x" puts the argument on a stack, a number itself, and a name of
`FUNCTIONS` takes its operands off and puts its result there. x * sigmoid(x) is
("x", "x", "Sigmoid", "Mul"). Definitions are those of the ONNX operators of the same names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.errors import ModelError
from azsim.graph.text import quoted

Floats = npt.NDArray[np.float64]
Formula = tuple[str, ...]

MAX_WORDS = 256


@dataclass(frozen=True)
class Function:
    """`operands` numbers taken off the stack, the last on top; `compute` on float64 arrays."""

    operands: int
    compute: Callable[..., Any]


def _erf(x: Floats) -> Floats:
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), dtype=np.float64)


def _sigmoid(x: Floats) -> Any:
    return 0.5 + 0.5 * np.tanh(0.5 * x)  # exact in the same places and cannot overflow


def _softplus(x: Floats) -> Any:
    return np.logaddexp(0.0, x)


def _elu(x: Floats, alpha: Floats) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0.0)))


def _gelu(x: Floats) -> Any:
    return 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0)))


def _gelu_tanh(x: Floats) -> Any:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def _hard_sigmoid(x: Floats, alpha: Floats, beta: Floats) -> Any:
    return np.clip(alpha * x + beta, 0.0, 1.0)


def _shrink(x: Floats, bias: Floats, limit: Floats) -> Any:
    return np.where(x < -limit, x + bias, np.where(x > limit, x - bias, 0.0))


FUNCTIONS: Mapping[str, Function] = {
    "Abs": Function(1, np.abs),
    "Acos": Function(1, np.arccos),
    "Acosh": Function(1, np.arccosh),
    "Add": Function(2, np.add),
    "Asin": Function(1, np.arcsin),
    "Asinh": Function(1, np.arcsinh),
    "Atan": Function(1, np.arctan),
    "Atanh": Function(1, np.arctanh),
    "Ceil": Function(1, np.ceil),
    "Celu": Function(2, lambda x, a: np.maximum(x, 0.0) + _elu(np.minimum(x, 0.0) / a, a)),
    "Clip": Function(3, lambda x, low, high: np.minimum(np.maximum(x, low), high)),
    "Cos": Function(1, np.cos),
    "Cosh": Function(1, np.cosh),
    "Div": Function(2, np.divide),
    "Elu": Function(2, _elu),
    "Erf": Function(1, _erf),
    "Exp": Function(1, np.exp),
    "Floor": Function(1, np.floor),
    "Fmod": Function(2, np.fmod),
    "Gelu": Function(1, _gelu),
    "GeluTanh": Function(1, _gelu_tanh),
    "HardSigmoid": Function(3, _hard_sigmoid),
    "HardSwish": Function(1, lambda x: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0)),
    "LeakyRelu": Function(2, lambda x, alpha: np.where(x < 0, alpha * x, x)),
    "Log": Function(1, np.log),
    "Max": Function(2, np.maximum),
    "Min": Function(2, np.minimum),
    "Mish": Function(1, lambda x: x * np.tanh(_softplus(x))),
    "Mul": Function(2, np.multiply),
    "Neg": Function(1, np.negative),
    "Pow": Function(2, np.power),
    "Reciprocal": Function(1, np.reciprocal),
    "Relu": Function(1, lambda x: np.maximum(x, 0.0)),
    "Round": Function(1, np.rint),
    "Selu": Function(3, lambda x, alpha, gamma: gamma * _elu(x, alpha)),
    "Shrink": Function(3, _shrink),
    "Sigmoid": Function(1, _sigmoid),
    "Sign": Function(1, np.sign),
    "Sin": Function(1, np.sin),
    "Sinh": Function(1, np.sinh),
    "Softplus": Function(1, _softplus),
    "Softsign": Function(1, lambda x: x / (1.0 + np.abs(x))),
    "Sqrt": Function(1, np.sqrt),
    "Sub": Function(2, np.subtract),
    "Swish": Function(2, lambda x, alpha: x * _sigmoid(alpha * x)),
    "Tan": Function(1, np.tan),
    "Tanh": Function(1, np.tanh),
    "ThresholdedRelu": Function(2, lambda x, alpha: np.where(x > alpha, x, 0.0)),
}


def number_word(value: float) -> str:
    """Return a number as a word of a formula, exactly."""
    return repr(float(value))


def check_formula(formula: object) -> Formula:
    """Return the formula after checking its words and that one number remains, or raise
    ModelError."""
    if not isinstance(formula, tuple) or not 0 < len(formula) <= MAX_WORDS:
        raise ModelError(f"formula must have 1 to {MAX_WORDS} words")
    words: list[str] = []
    depth = 0
    for word in formula:
        if not isinstance(word, str):
            raise ModelError("formula must consist of words")
        depth += 1 - _operands(word)
        if depth < 1:
            raise ModelError(f"formula: {quoted(word)} must have its operands before it")
        words.append(word)
    if depth != 1:
        raise ModelError(f"formula must leave one number, not {depth}")
    return tuple(words)


def _operands(word: str) -> int:
    if word in FUNCTIONS:
        return FUNCTIONS[word].operands
    if word != "x":
        try:
            float(word)
        except ValueError:
            raise ModelError(f"formula: {quoted(word)} must be x, a number or a function") from None
    return 0


def evaluate_formula(formula: Formula, x: Floats) -> Floats:
    """Return the formula's value for each element of float64 `x` (same shape).

    NaN and infinity are given as IEEE arithmetic makes them; the caller judges them.
    """
    stack: list[Any] = []
    with np.errstate(all="ignore"):
        for word in formula:
            if word in FUNCTIONS:
                count = FUNCTIONS[word].operands
                operands = stack[-count:]
                del stack[-count:]
                stack.append(FUNCTIONS[word].compute(*operands))
            else:
                stack.append(x if word == "x" else np.float64(word))
    return np.broadcast_to(np.asarray(stack[0], dtype=np.float64), x.shape)


def substituted(formula: Formula, inner: Formula) -> Formula:
    """Return `formula` with each "x" replaced by formula `inner`."""
    return tuple(part for word in formula for part in (inner if word == "x" else (word,)))
