"""LpNormalization and LpPool: sums of powers."""

from __future__ import annotations

import math

import numpy as np

from azsim.frontend.builder import GraphBuilder
from azsim.frontend.node import OnnxNode
from azsim.frontend.operators.windows import POOL_RULES, pool_attributes
from azsim.frontend.parts import Parts
from azsim.frontend.rules import Support, float_data, float_inputs, normal_axis
from azsim.graph.formulas import number_word

TINY = 1e-12  # added to a mean of squares, so that a row of zeros stays one


def known_power(node: OnnxNode) -> str | None:
    """p must be 1 or 2 (of higher powers 8 bits keep too little)."""
    power = node.whole("p", 2)
    return None if power in (1, 2) else str(power)


def power_axis_in_range(node: OnnxNode) -> str | None:
    """axis must be one of the first input's dimensions (negative counts from the last)."""
    rank, axis = len(node.require(0).shape), node.whole("axis", -1)
    return None if -rank <= axis < rank else f"{axis} of {rank} dimensions"


def _lower_lp_normalization(node: OnnxNode, builder: GraphBuilder) -> None:
    """p = 2 is an RMS norm of rows, whose length takes the place of a root of their count."""
    x, parts = node.require(0), Parts(node, builder)
    rank, axis = len(x.shape), normal_axis(node.whole("axis", -1), len(x.shape))
    source, count = builder.use(x), x.shape[axis]
    if node.whole("p", 2) == 1:
        sizes = parts.function("sizes", source, ("x", "Abs"))
        total = parts.put("total", "Reduce", sizes, attributes={"kind": "sum", "axes": (axis,)})
        parts.put("", "Div", source, total, output=node.outputs[0])
        return
    perm = (*(k for k in range(rank) if k != axis), axis)
    turned = parts.transpose("turned", source, perm)
    gamma = parts.constant("gamma", np.full(count, 1 / math.sqrt(count)))
    made = parts.put("norm", "Norm", turned, gamma, "", attributes={"kind": "rms", "epsilon": TINY})
    back = tuple(perm.index(k) for k in range(rank))
    parts.put("", "Transpose", made, attributes={"perm": back}, output=node.outputs[0])


def _lower_lp_pool(node: OnnxNode, builder: GraphBuilder) -> None:
    """The root of the window's size times the mean of powers; padding adds zeros."""
    parts, power = Parts(node, builder), node.whole("p", 2)
    attributes, size = pool_attributes(node)
    word = number_word(float(power))
    powers = parts.function("powers", builder.use(node.require(0)), ("x", "Abs", word, "Pow"))
    means = parts.put("means", "Pool", powers, attributes=attributes)
    root = ("x", number_word(float(size)), "Mul", number_word(1.0 / power), "Pow")
    parts.function("", means, root, node.outputs[0])


SUPPORT = (
    Support(
        "LpNormalization",
        "Norm (p = 1: Function, Reduce, Div)",
        (float_inputs, float_data, known_power, power_axis_in_range),
        _lower_lp_normalization,
    ),
    Support("LpPool", "Function, Pool, Function", (*POOL_RULES, known_power), _lower_lp_pool),
)
