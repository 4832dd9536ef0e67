"""The table of supported ONNX operators, and the manual page made from it."""

from __future__ import annotations

from dataclasses import dataclass

from azsim.frontend.operators import elementwise, movement, products, recurrent, shaping
from azsim.frontend.rules import Support, rule_text

OPERATORS: dict[str, Support] = {
    support.operator: support
    for family in (products, recurrent, elementwise, movement, shaping)
    for support in family.SUPPORT
}

_FOLDED = (
    ("Constant", ("value must be numbers",)),
    ("Shape", ()),
    ("Size", ()),
)


@dataclass(frozen=True)
class SupportRow:
    """One operator of the manual: what it becomes in the graph and the rules it must keep."""

    operator: str
    becomes: str
    rules: tuple[str, ...]


def support_table() -> list[SupportRow]:
    """Return the supported ONNX operators in alphabetical order."""
    rows = [
        SupportRow(support.operator, support.becomes, tuple(map(rule_text, support.rules)))
        for support in OPERATORS.values()
    ]
    rows += [SupportRow(operator, "a constant", rules) for operator, rules in _FOLDED]
    return sorted(rows, key=lambda row: row.operator)
