"""Expressions of a plan: arithmetic and comparisons over named figures, and nothing else.

`mac_array.lanes * mac_array.macs_per_lane <= 512`, `max(frame_latency_ms.p99, 1)`. Evaluated by
simpleeval after a check of the syntax tree: no attributes of objects, no subscripts, no code of any
kind can be reached, and no expression takes long.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from simpleeval import DEFAULT_OPERATORS, InvalidExpression, SimpleEval

from azsim.errors import ConfigError

Scalar = int | float | str | bool | None

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": abs,
    "ceil": math.ceil,
    "floor": math.floor,
    "log2": math.log2,
    "max": max,
    "min": min,
    "round": round,
    "sqrt": math.sqrt,
}
_LARGEST_POWER = 64
_LARGEST_INTEGER = 1 << 63
_GRAMMAR = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.UAdd,
    ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow,
    ast.Compare, ast.Eq,
    ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.IfExp, ast.Call, ast.Name, ast.Attribute,
    ast.Constant, ast.Load,
)  # fmt: skip
_SMALLER = (ast.Lt, ast.LtE)
_LARGER = (ast.Gt, ast.GtE)


def _power(base: Any, exponent: Any) -> Any:
    if abs(exponent) > _LARGEST_POWER:
        raise ValueError(f"an exponent must be at most {_LARGEST_POWER}")
    return float(base) ** float(exponent)


_OPERATORS = {**DEFAULT_OPERATORS, ast.Pow: _power}
_DAMAGE = (ArithmeticError, RecursionError, ValueError, TypeError, InvalidExpression)


@dataclass(frozen=True)
class Expression:
    """One expression: its text, and the dotted names that it reads."""

    text: str
    names: tuple[str, ...]
    _tree: ast.expr
    _difference: tuple[ast.expr, ast.expr] | None

    def value(self, figures: Mapping[str, Scalar]) -> Scalar:
        """Return its value; None where a figure has none or a quotient has no divisor.

        Raises:
            ConfigError: a name that `figures` does not have, or operands that do not go together.
        """
        return self._evaluate(self._tree, figures)

    def holds(self, figures: Mapping[str, Scalar]) -> bool:
        """Return whether it is true; false where it has no value. Raises as `value`."""
        return bool(self.value(figures))

    def violation(self, figures: Mapping[str, Scalar]) -> float:
        """How far it is from being true: 0 if it holds, else more than 0.

        For a single comparison of size it is the difference of its sides, so that a search sees
        which point is nearer; else 1. Raises as `value`.
        """
        if self.holds(figures):
            return 0.0
        if self._difference is None:
            return 1.0
        small, large = (self._evaluate(side, figures) for side in self._difference)
        if not isinstance(small, int | float) or not isinstance(large, int | float):
            return math.inf
        return max(float(small) - float(large), 1e-12)

    def _evaluate(self, tree: ast.expr, figures: Mapping[str, Scalar]) -> Scalar:
        values: dict[str, Scalar] = {}
        for number, name in enumerate(self.names):
            if name not in figures:
                raise ConfigError(f"'{self.text}': no figure is called '{name}'")
            values[f"_{number}"] = figures[name]
        read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if any(values[name] is None for name in read & set(values)):
            return None
        evaluator = SimpleEval(operators=_OPERATORS, functions=dict(FUNCTIONS), names=values)
        try:
            return _plain(evaluator.eval(self.text, previously_parsed=tree))
        except ZeroDivisionError:
            return None
        except _DAMAGE as error:
            raise ConfigError(f"'{self.text}': cannot be computed: {error}") from None


def parse_expression(text: str) -> Expression:
    """Return `text` as an expression.

    Raises:
        ConfigError: no expression, or one with something else than arithmetic in it.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval")
        ast.unparse(tree)  # as deep as anything below goes
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ConfigError(
            f"'{text}': must be an expression such as 'mac_array.lanes <= 64'"
        ) from None
    for node in ast.walk(tree):
        _check_node(text, node)
    names: list[str] = []
    body = _Names(names).visit(tree.body)
    return Expression(text, tuple(names), body, _sides(body))


def _check_node(text: str, node: ast.AST) -> None:
    if not isinstance(node, _GRAMMAR):
        raise ConfigError(
            f"'{text}': must have only numbers, names, + - * / // % **, comparisons, and, or, not"
        )
    if isinstance(node, ast.Call):
        known = isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS
        if not known or node.keywords:
            raise ConfigError(f"'{text}': functions must be one of {', '.join(FUNCTIONS)}")
    if isinstance(node, ast.Constant) and not isinstance(node.value, int | float | str):
        raise ConfigError(f"'{text}': constants must be numbers or text")
    if isinstance(node, ast.Attribute) and not isinstance(node.value, ast.Name | ast.Attribute):
        raise ConfigError(f"'{text}': a '.' must stand between the parts of a name")


class _Names(ast.NodeTransformer):
    """Puts numbered names in the place of dotted ones."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node.args = [self.visit(argument) for argument in node.args]
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._numbered(ast.unparse(node))

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._numbered(node.id)

    def _numbered(self, name: str) -> ast.Name:
        if name not in self._names:
            self._names.append(name)
        return ast.Name(f"_{self._names.index(name)}", ast.Load())


def _sides(tree: ast.expr) -> tuple[ast.expr, ast.expr] | None:
    """The side that must be small and the one that must be large, of a single comparison."""
    if not isinstance(tree, ast.Compare) or len(tree.ops) != 1:
        return None
    left, right, kind = tree.left, tree.comparators[0], tree.ops[0]
    if isinstance(kind, _SMALLER):
        return left, right
    if isinstance(kind, _LARGER):
        return right, left
    return None


def _plain(value: Any) -> Scalar:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return value if abs(value) < _LARGEST_INTEGER else float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    raise TypeError(f"the result must be a number, not {type(value).__name__}")
