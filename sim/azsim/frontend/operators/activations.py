"""The activations that ONNX offers recurrent nodes, as formulas of one number."""

from __future__ import annotations

import math
from dataclasses import dataclass

from azsim.frontend.node import OnnxNode
from azsim.frontend.operators.directions import directions
from azsim.graph.formulas import Formula, number_word

DEFAULTS = {
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
    "GRU": ("Sigmoid", "Tanh"),
    "RNN": ("Tanh",),
}


@dataclass(frozen=True)
class Activation:
    """`formula` with "alpha" and "beta" where their numbers go; None: there is no default."""

    formula: Formula
    alpha: float | None = None
    beta: float | None = None

    def numbers(self) -> tuple[str, ...]:
        """The names of the numbers that the formula takes."""
        return tuple(name for name in ("alpha", "beta") if name in self.formula)


# names as in ONNX's LSTM, GRU and RNN, in small letters; defaults are those of the operators of
# the same name; Affine and ScaledTanh have no such operator, and of ThresholdedRelu ONNX's default
# is 1 and ONNX Runtime's 0
ACTIVATIONS: dict[str, Activation] = {
    "affine": Activation(("x", "alpha", "Mul", "beta", "Add")),
    "elu": Activation(("x", "alpha", "Elu"), 1.0),
    "hardsigmoid": Activation(("x", "alpha", "beta", "HardSigmoid"), 0.2, 0.5),
    "leakyrelu": Activation(("x", "alpha", "LeakyRelu"), 0.01),
    "relu": Activation(("x", "Relu")),
    "scaledtanh": Activation(("x", "beta", "Mul", "Tanh", "alpha", "Mul")),
    "sigmoid": Activation(("x", "Sigmoid")),
    "softplus": Activation(("x", "Softplus")),
    "softsign": Activation(("x", "Softsign")),
    "tanh": Activation(("x", "Tanh")),
    "thresholdedrelu": Activation(("x", "alpha", "ThresholdedRelu")),
}


def activation_names(node: OnnxNode) -> tuple[str, ...]:
    """The activations of all directions, in small letters."""
    given = node.words("activations")
    names = DEFAULTS[node.operator] * directions(node) if given is None else given
    return tuple(name.lower() for name in names)


def has_default_activations(node: OnnxNode) -> bool:
    """True if the node has the activations of the machine's own LSTM and GRU."""
    wanted = tuple(name.lower() for name in DEFAULTS[node.operator] * directions(node))
    return activation_names(node) == wanted


def _numbers(node: OnnxNode, name: str) -> tuple[float, ...]:
    value = node.attributes.get(name)
    return (
        tuple(float(v) for v in value if isinstance(v, float)) if isinstance(value, tuple) else ()
    )


def activations_of(node: OnnxNode) -> list[Formula] | None:
    """A formula for each activation of each direction; None where a name is unknown, a number is
    missing or not finite, or their count does not fit.

    The numbers of `activation_alpha` and `activation_beta` go to those activations, in order,
    that take one.
    """
    names = activation_names(node)
    if len(names) != len(DEFAULTS[node.operator]) * directions(node):
        return None
    left = {part: list(_numbers(node, f"activation_{part}")) for part in ("alpha", "beta")}
    found: list[Formula] = []
    for name in names:
        kind = ACTIVATIONS.get(name)
        if kind is None:
            return None
        chosen: dict[str, str] = {}
        for part in kind.numbers():
            value = left[part].pop(0) if left[part] else getattr(kind, part)
            if value is None or not math.isfinite(value):
                return None
            chosen[part] = number_word(value)
        found.append(tuple(chosen.get(word, word) for word in kind.formula))
    return found


def clipped(formula: Formula, limit: float) -> Formula:
    """The formula of an argument that is first kept within -limit to limit; 0 for no limit."""
    if limit == 0.0:
        return formula
    bounds = (number_word(-limit), number_word(limit), "Clip")
    return tuple(part for word in formula for part in (("x", *bounds) if word == "x" else (word,)))
