"""What operators on rows mean in float32: functions, selections, reductions, norms, products of two
computed tensors, GRU."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from azsim.errors import ModelError
from azsim.graph import Node
from azsim.graph.attributes import integer, integers
from azsim.graph.formulas import check_formula, evaluate_formula

Array = npt.NDArray[np.generic]
Float32Array = npt.NDArray[np.float32]
Operands = list[Array | None]


def sigmoid(x: Float32Array) -> Float32Array:
    """1 / (1 + exp(-x)) by tanh: exact in the same places and cannot overflow."""
    half = np.float32(0.5)
    return np.asarray(half * np.tanh(half * x) + half, dtype=np.float32)


def _floats(operands: Operands, count: int) -> list[Float32Array]:
    found = [np.asarray(value, dtype=np.float32) for value in operands if value is not None]
    if len(found) < count:
        raise ModelError(f"must have {count} inputs, not {len(found)}")
    return found


def _function(node: Node, operands: Operands) -> tuple[Array, ...]:
    x = _floats(operands, 1)[0].astype(np.float64)
    value = evaluate_formula(check_formula(node.attributes.get("formula")), x)
    with np.errstate(over="ignore"):  # refused as not finite by the caller
        return (value.astype(np.float32),)


def _where(node: Node, operands: Operands) -> tuple[Array, ...]:
    condition, a, b = _floats(operands, 3)
    return (np.where(condition != 0, a, b),)


def _reduce(node: Node, operands: Operands) -> tuple[Array, ...]:
    (x,) = _floats(operands, 1)
    joins: Mapping[str, Callable[..., Array]] = {
        "mean": np.mean,
        "sum": np.sum,
        "max": np.max,
        "min": np.min,
    }
    axes = integers(node.attributes, "axes")
    return (joins[str(node.attributes["kind"])](x, axis=axes, keepdims=True),)


def _arg_reduce(node: Node, operands: Operands) -> tuple[Array, ...]:
    (x,) = _floats(operands, 1)
    find = np.argmax if node.attributes["kind"] == "max" else np.argmin
    return (find(x, axis=integer(node.attributes, "axis"), keepdims=True),)


def _top_k(node: Node, operands: Operands) -> tuple[Array, ...]:
    (x,) = _floats(operands, 1)
    order = np.argsort(-x, axis=-1, kind="stable")[..., : integer(node.attributes, "k")]
    return np.take_along_axis(x, order, axis=-1), order


def _norm(node: Node, operands: Operands) -> tuple[Array, ...]:
    (x,) = _floats(operands[:1], 1)
    epsilon = np.float32(str(node.attributes["epsilon"]))
    if node.attributes["kind"] == "layer":
        x = x - x.mean(axis=-1, keepdims=True)
    y = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + epsilon)
    gamma, beta = operands[1:]
    y = y if gamma is None else y * gamma.astype(np.float32)
    return (y if beta is None else y + beta.astype(np.float32),)


def _mat_mul_rows(node: Node, operands: Operands) -> tuple[Array, ...]:
    a, b = _floats(operands, 2)
    scale = np.float32(str(node.attributes.get("scale", 1.0)))
    return (np.matmul(a, b) * scale,)


def _log_softmax(node: Node, operands: Operands) -> tuple[Array, ...]:
    (x,) = _floats(operands, 1)
    axis = integer(node.attributes, "axis")
    shifted = x - x.max(axis=axis, keepdims=True)
    return (shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)),)


def _gru(node: Node, operands: Operands) -> tuple[Array, ...]:
    """Return (Y, Y_h): X (T, B, I) and the rest as ONNX has it."""
    x, weight, recurrent = _floats(operands[:3], 3)
    bias, first = operands[3:]
    hidden = integer(node.attributes, "hidden_size")
    steps, batch, _ = x.shape
    h = np.zeros((batch, hidden), np.float32) if first is None else first[0].astype(np.float32)
    b = np.zeros(6 * hidden, np.float32) if bias is None else bias[0].astype(np.float32)
    w_bias, r_bias = b[: 3 * hidden], b[3 * hidden :]
    y = np.empty((steps, 1, batch, hidden), dtype=np.float32)
    for step in range(steps):
        xz, xr, xn = np.split(x[step] @ weight[0].T + w_bias, 3, axis=-1)
        hz, hr, hn = np.split(h @ recurrent[0].T + r_bias, 3, axis=-1)
        z, r = sigmoid(xz + hz), sigmoid(xr + hr)
        if integer(node.attributes, "linear_before_reset"):
            new = np.tanh(xn + r * hn)
        else:
            part = recurrent[0, 2 * hidden :].T
            new = np.tanh(xn + (r * h) @ part + r_bias[2 * hidden :])
        h = (1 - z) * new + z * h
        y[step, 0] = h
    return y, h[np.newaxis]


EVALUATORS: Mapping[str, Callable[[Node, Operands], tuple[Array, ...]]] = {
    "Function": _function,
    "Where": _where,
    "Reduce": _reduce,
    "ArgReduce": _arg_reduce,
    "TopK": _top_k,
    "Norm": _norm,
    "MatMulRows": _mat_mul_rows,
    "LogSoftmax": _log_softmax,
    "GRU": _gru,
}
