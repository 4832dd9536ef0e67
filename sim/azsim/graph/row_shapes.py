"""Output shapes of operators on rows: functions, selections, reductions, norms, products of two
computed tensors, GRU."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from azsim.errors import ModelError
from azsim.graph.attributes import (
    Attributes,
    Shape,
    Shapes,
    axis_of,
    broadcast,
    expect,
    integer,
    integers,
    present,
)
from azsim.graph.formulas import check_formula
from azsim.graph.text import quoted, shape_text

REDUCTIONS = ("mean", "sum", "max", "min")
EXTREMES = ("max", "min")
NORMS = ("layer", "rms")


def _choice(attributes: Attributes, name: str, known: tuple[str, ...]) -> str:
    value = attributes.get(name)
    if not isinstance(value, str) or value not in known:
        raise ModelError(f"attribute {quoted(name)} must be one of {', '.join(known)}")
    return value


def _function(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    check_formula(attributes.get("formula"))
    return (present(shapes, 1)[0],)


def _where(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    condition, a, b = present(shapes, 3)
    return (broadcast(broadcast(condition, a), b),)


def _reduce(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    (x,) = present(shapes, 1)
    _choice(attributes, "kind", REDUCTIONS)
    axes = integers(attributes, "axes")
    if list(axes) != sorted(set(axes)) or any(not 0 <= axis < len(x) for axis in axes):
        raise ModelError(
            f"axes must be different dimensions of {shape_text(x)} in order, not {shape_text(axes)}"
        )
    return (tuple(1 if axis in axes else size for axis, size in enumerate(x)),)


def _arg_reduce(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    (x,) = present(shapes, 1)
    _choice(attributes, "kind", EXTREMES)
    axis = axis_of(attributes, len(x))
    return ((*x[:axis], 1, *x[axis + 1 :]),)


def _top_k(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    (x,) = present(shapes, 1)
    if not x:
        raise ModelError("x must have 1 or more dimensions, not 0")
    k = integer(attributes, "k")
    if not 1 <= k <= x[-1]:
        raise ModelError(f"k must be 1 to {x[-1]}, not {k}")
    found = (*x[:-1], k)
    return (found, found)


def _norm(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    if len(shapes) != 3:
        raise ModelError(f"must have 3 inputs ('' where absent), not {len(shapes)}")
    (x,) = present(shapes[:1], 1)
    _choice(attributes, "kind", NORMS)
    epsilon = attributes.get("epsilon")
    if not isinstance(epsilon, float) or not 0.0 <= epsilon < 1e9:
        raise ModelError("attribute 'epsilon' must be a number of 0 or more")
    if not x:
        raise ModelError("x must have 1 or more dimensions, not 0")
    expect("gamma", shapes[1], (x[-1],))
    expect("beta", shapes[2], (x[-1],))
    return (x,)


def _mat_mul_rows(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    a, b = present(shapes, 2)
    scale = attributes.get("scale", 1.0)
    if not isinstance(scale, float) or not 0.0 < scale < math.inf:
        raise ModelError("attribute 'scale' must be a positive number")
    if len(a) < 2 or len(b) < 2:
        raise ModelError(f"inputs must be matrices, not {shape_text(a)} and {shape_text(b)}")
    if a[-1] != b[-2]:
        raise ModelError(f"columns of {shape_text(a)} must be as many as rows of {shape_text(b)}")
    return ((*broadcast(a[:-2], b[:-2]), a[-2], b[-1]),)


def _gru(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    if len(shapes) != 5:
        raise ModelError(f"must have 5 inputs ('' where absent), not {len(shapes)}")
    x, weight, recurrent = present(shapes[:3], 3)
    hidden = integer(attributes, "hidden_size")
    if hidden < 1:
        raise ModelError(f"hidden_size must be 1 or more, not {hidden}")
    if integer(attributes, "linear_before_reset") not in (0, 1):
        raise ModelError("linear_before_reset must be 0 or 1")
    if len(x) != 3:
        raise ModelError(f"X must have 3 dimensions (steps, batch, features), not {len(x)}")
    steps, batch, features = x
    expect("W", weight, (1, 3 * hidden, features))
    expect("R", recurrent, (1, 3 * hidden, hidden))
    expect("B", shapes[3], (1, 6 * hidden))
    expect("initial_h", shapes[4], (1, batch, hidden))
    return (steps, 1, batch, hidden), (1, batch, hidden)


def _log_softmax(shapes: Shapes, attributes: Attributes) -> tuple[Shape, ...]:
    (x,) = present(shapes, 1)
    axis_of(attributes, len(x))
    return (x,)


RULES: Mapping[str, Callable[[Shapes, Attributes], tuple[Shape, ...]]] = {
    "Function": _function,
    "Where": _where,
    "Reduce": _reduce,
    "ArgReduce": _arg_reduce,
    "TopK": _top_k,
    "Norm": _norm,
    "MatMulRows": _mat_mul_rows,
    "GRU": _gru,
    "LogSoftmax": _log_softmax,
}
