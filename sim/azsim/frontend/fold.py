"""Folding of nodes whose inputs are all constants, one operator at a time and bounded in size.

Exporters compute shapes and masks from constants with long chains of small nodes; they are
evaluated here with ONNX's own reference evaluator. The size of each result is worked out before
anything is computed, so a small file cannot ask for much memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import helper

from azsim.frontend.node import Array, OnnxNode
from azsim.frontend.tensors import TensorReader

MAX_FOLDED_ELEMENTS = 1 << 24  # of all results of one model together, beyond twice its tensors
MAX_CARRIED_ELEMENTS = 1 << 25  # integers and scales that follow the numbers of constants

Estimate = Callable[[OnnxNode, Sequence[Array]], int]


def _largest(node: OnnxNode, data: Sequence[Array]) -> int:
    return max(array.size for array in data)


def _all(node: OnnxNode, data: Sequence[Array]) -> int:
    return sum(array.size for array in data)


def _broadcast(node: OnnxNode, data: Sequence[Array]) -> int:
    rank = max(array.ndim for array in data)
    padded = [(1,) * (rank - array.ndim) + array.shape for array in data]
    return math.prod(max(sizes) for sizes in zip(*padded, strict=True))


def _product(array: Array) -> int:
    return math.prod(abs(int(entry)) for entry in array.reshape(-1)[:64])


def _wanted_shape(node: OnnxNode, data: Sequence[Array]) -> int:
    return _product(data[0])


def _expanded(node: OnnxNode, data: Sequence[Array]) -> int:
    wish = [abs(int(entry)) for entry in data[1].reshape(-1)[:64]]
    rank = max(data[0].ndim, len(wish))
    have = (1,) * (rank - data[0].ndim) + data[0].shape
    want = [1] * (rank - len(wish)) + wish
    return math.prod(max(sizes) for sizes in zip(have, want, strict=True))


def _tiled(node: OnnxNode, data: Sequence[Array]) -> int:
    return max(1, data[0].size) * _product(data[1])


def _range(node: OnnxNode, data: Sequence[Array]) -> int:
    start, limit, delta = (float(array.reshape(-1)[0]) for array in data)
    count = (limit - start) / delta if delta else math.inf
    return max(0, math.ceil(count)) if math.isfinite(count) else MAX_FOLDED_ELEMENTS + 1


def _gathered(node: OnnxNode, data: Sequence[Array]) -> int:
    axis = node.whole("axis", 0)
    rows = data[0].shape[axis] if -data[0].ndim <= axis < data[0].ndim else 1
    return data[0].size // max(1, rows) * max(1, data[1].size)


def _indices(node: OnnxNode, data: Sequence[Array]) -> int:
    return data[1].size


def _matrix_work(node: OnnxNode, data: Sequence[Array]) -> int:
    # rows times inner times columns bounds the result and the time
    columns = data[1].shape[-1] if data[1].ndim else 1
    return data[0].size * max(1, columns)


def _one_hot(node: OnnxNode, data: Sequence[Array]) -> int:
    return max(1, data[0].size) * max(1, int(data[1].reshape(-1)[0]))


def _mel(node: OnnxNode, data: Sequence[Array]) -> int:
    bins, length = (max(1, int(array.reshape(-1)[0])) for array in data[:2])
    return bins * (length // 2 + 1)


# fmt: off
_SAME_SIZE = (
    "Abs", "Cast", "CastLike", "Ceil", "Cos", "CumSum", "Erf", "Exp", "EyeLike", "Flatten", "Floor",
    "Identity", "IsInf", "IsNaN", "Log", "Neg", "Not", "Reciprocal", "Relu", "Reshape", "Round",
    "ScatterElements", "ScatterND", "Sigmoid", "Sign", "Sin", "Slice", "Softmax", "Split", "Sqrt",
    "Squeeze", "Tanh", "Transpose", "Trilu", "Unsqueeze",
)
_REDUCING = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum")
_BROADCASTING = (
    "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min",
    "Mod", "Mul", "Or", "Pow", "Sub", "Where", "Xor",
)
# fmt: on

FOLDABLE: dict[str, Estimate] = {
    **dict.fromkeys(_SAME_SIZE, _largest),
    **dict.fromkeys(_REDUCING, _largest),
    **dict.fromkeys(_BROADCASTING, _broadcast),
    "Concat": _all,
    "ConstantOfShape": _wanted_shape,
    "Expand": _expanded,
    "Gather": _gathered,
    "GatherElements": _indices,
    "Gemm": _matrix_work,
    "MatMul": _matrix_work,
    "MelWeightMatrix": _mel,
    "OneHot": _one_hot,
    "Range": _range,
    "Tile": _tiled,
}


class Folder:
    """Evaluates constant nodes of one model within one budget of elements."""

    def __init__(self, tensors: TensorReader, opset: int) -> None:
        self._left = MAX_FOLDED_ELEMENTS
        self._carried_left = MAX_CARRIED_ELEMENTS
        self._tensors = tensors
        self._opset = opset

    def allow(self, stored: Array) -> None:
        """Let folding make two results of the size of a stored tensor (a cast and a transpose)."""
        self._left += 2 * stored.size

    def fold(self, proto: onnx.NodeProto, node: OnnxNode, data: Sequence[Array]) -> list[Array]:
        """Return the node's results; `data` holds its present inputs in order.

        Raises ModelError naming the node if the result would be too large or cannot be computed.
        """
        for name, value in node.attributes.items():
            if isinstance(value, onnx.TensorProto):  # the evaluator would trust its stated size
                self._tensors.read(value, f"{node.name}.{name}")
        self.spend(node, self._estimate(node, data))
        return self._evaluate(proto, node, data)

    def carry(
        self, proto: onnx.NodeProto, node: OnnxNode, data: Sequence[Array]
    ) -> list[Array] | None:
        """Return the node's results on the integers or scales of its inputs; None if they are too
        many to follow."""
        wanted = self._estimate(node, data)
        if wanted > self._carried_left:
            return None
        self._carried_left -= max(1, wanted)
        return self._evaluate(proto, node, data)

    def spend(self, node: OnnxNode, elements: int) -> None:
        """Take `elements` off what folding may still make, or refuse the node."""
        if elements > self._left:
            raise node.refusal(
                f"folding constants must make at most {self._left} elements, not {elements}"
            )
        self._left -= max(1, elements)

    def _estimate(self, node: OnnxNode, data: Sequence[Array]) -> int:
        try:
            return FOLDABLE[node.operator](node, data)
        except (IndexError, ValueError, OverflowError, TypeError):
            raise node.refusal("constant inputs must fit the operator") from None

    def _evaluate(
        self, proto: onnx.NodeProto, node: OnnxNode, data: Sequence[Array]
    ) -> list[Array]:
        from onnx.reference import ReferenceEvaluator  # slow to import, rarely needed

        feeds = dict(zip((name for name in proto.input if name), data, strict=False))
        try:
            model = self._one_node_model(proto, feeds)
            with np.errstate(all="ignore"):  # NaN and infinite constants are refused where used
                results = ReferenceEvaluator(model).run(None, feeds)
        except Exception as error:  # the evaluator raises whatever numpy or its own checks raise
            reason = type(error).__name__
            raise node.refusal(f"constant inputs must fit the operator ({reason})") from None
        return [np.asarray(result) for result in results]

    def _one_node_model(self, proto: onnx.NodeProto, feeds: dict[str, Array]) -> onnx.ModelProto:
        inputs = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in feeds.items()
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in proto.output if name]
        graph = helper.make_graph([proto], "fold", inputs, outputs)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self._opset)])
