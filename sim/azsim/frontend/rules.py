"""Support rules. A rule is a small function; its docstring is the message and the manual.

`rule(node)` returns None where the node keeps it, else what the node has instead ("" if there is
nothing to add). The refusal reads `node 'x' (LSTM): <docstring>, not <what it has>`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from azsim.frontend.node import OnnxNode, Operand, present
from azsim.graph.text import quoted

if TYPE_CHECKING:
    from azsim.frontend.builder import GraphBuilder

Rule = Callable[[OnnxNode], str | None]
Lowering = Callable[[OnnxNode, "GraphBuilder"], None]


@dataclass(frozen=True)
class Support:
    """One supported ONNX operator: its rules, in the order they are tried, and its lowering."""

    operator: str
    becomes: str
    rules: tuple[Rule, ...]
    lower: Lowering


def rule_text(rule: Rule) -> str:
    """Return the rule as one line."""
    return " ".join((rule.__doc__ or "").split()).rstrip(".")


def check_rules(node: OnnxNode, rules: Sequence[Rule]) -> None:
    """Raise ModelError for the first rule that `node` breaks."""
    for rule in rules:
        has = rule(node)
        if has is not None:
            raise node.refusal(rule_text(rule) + (f", not {has}" if has else ""))


def float_inputs(node: OnnxNode) -> str | None:
    """inputs must be float tensors."""
    for operand in present(node.inputs):
        if operand.is_index:
            return f"the integer input {quoted(operand.name)}"
        if operand.root or operand.is_truth:
            return f"the {operand.element or 'bool'} tensor {quoted(operand.name)}"
        if operand.data is not None and not np.issubdtype(operand.data.dtype, np.floating):
            return f"the {operand.data.dtype} constant {quoted(operand.name)}"
    return None


def float_data(node: OnnxNode) -> str | None:
    """the first input must be a computed float tensor."""
    first = node.require(0)
    if first.is_index:
        return f"the integer input {quoted(first.name)}"
    return f"the constant {quoted(first.name)}" if first.data is not None else None


def constant_parameters(node: OnnxNode) -> str | None:
    """all inputs but the first must be constants."""
    for operand in present(node.inputs[1:]):
        if operand.data is None:
            return f"the computed {quoted(operand.name)}"
    return None


def axis_in_range(node: OnnxNode) -> str | None:
    """axis must be one of the first input's dimensions (negative counts from the last)."""
    default = {"Softmax": -1, "LogSoftmax": -1, "Flatten": 1}.get(node.operator, 0)
    rank = len(node.require(0).shape)
    axis = node.whole("axis", default)
    # Flatten may cut behind the last dimension
    top = rank if node.operator == "Flatten" else rank - 1
    return None if -rank <= axis <= top else f"{axis} of {rank} dimensions"


def normal_axis(axis: int, rank: int) -> int:
    """Return an axis counted from the first dimension."""
    return axis + rank if axis < 0 else axis


def constant_integers(node: OnnxNode, position: int) -> tuple[int, ...] | None:
    """Return constant input `position` as a flat tuple of integers, None where it is absent."""
    operand = node.operand(position)
    if operand is None or operand.data is None:
        return None
    if not np.issubdtype(operand.data.dtype, np.integer):
        raise node.refusal(
            f"constant {quoted(operand.name)} must be integer, not {operand.data.dtype}"
        )
    return tuple(int(entry) for entry in operand.data.reshape(-1))


def scales_off_axis(operand: Operand, *axes: int) -> str | None:
    """Say where the scales of a dequantized constant lie, None if along `axes` or all in one."""
    if operand.stored is None:
        return None
    wide = [k for k, size in enumerate(operand.stored.scale.shape) if size != 1 and k not in axes]
    return f"one per entry of dimension {wide[0]} of {quoted(operand.name)}" if wide else None


def integers_beyond_8_bits(operand: Operand) -> str | None:
    """Say which integer of a dequantized constant does not fit int8, None if all do."""
    if operand.stored is None:
        return None
    integers = operand.stored.integers
    for extreme in (int(integers.min(initial=0)), int(integers.max(initial=0))):
        if not -128 <= extreme <= 127:
            return f"{extreme} in {quoted(operand.name)}"
    return None
