"""Integers that go with constants: what moving operators make of a dequantized or 4-bit constant.

Exporters move weights about after dequantizing them (DequantizeLinear, Transpose, MatMul). The
numbers are folded as any constant; here the model's integers and scales follow, so that they are
used as they are and not found anew by rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.frontend.node import Array, OnnxNode, Operand, present
from azsim.graph import StoredIntegers

Floats = npt.NDArray[np.float64]
Fold = Callable[[Sequence[Array]], list[Array] | None]

RESHAPING = ("Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity")
CHOOSING = ("Slice", "Split", "Gather")
MOVING = (*RESHAPING, *CHOOSING, "Transpose", "Concat")


def carried(node: OnnxNode, results: Sequence[Array], fold: Fold) -> list[Operand]:
    """Return the results of a folded node as operands, with the integers they are made of.

    `fold` evaluates the node on other data of the same shapes; None where that goes too far.
    """
    operands = [
        Operand(name, data.shape, data) for name, data in zip(node.outputs, results, strict=True)
    ]
    if node.operator not in MOVING:
        return operands
    first = node.require(0)
    if first.element and node.operator != "Concat":
        return [replace(operand, element=first.element) for operand in operands]
    moved = _moved(node, results, fold)
    return [
        replace(operand, stored=stored) for operand, stored in zip(operands, moved, strict=True)
    ]


def _moved(node: OnnxNode, results: Sequence[Array], fold: Fold) -> Sequence[StoredIntegers | None]:
    sources = [operand.stored for operand in _data(node)]
    stored = [source for source in sources if source is not None]
    if not stored or len(stored) < len(sources):
        return [None] * len(results)
    first = stored[0]
    if node.operator in RESHAPING:
        return [_reshaped(first, results[0].shape)]
    if node.operator == "Transpose":
        perm = node.wholes("perm") or tuple(reversed(range(first.integers.ndim)))
        return [replace(first, integers=first.integers.transpose(perm),
                        scale=first.scale.transpose(perm))]  # fmt: skip
    return _chosen(node, stored, fold)


def _data(node: OnnxNode) -> list[Operand]:
    """The inputs that are moved; the others say how."""
    return present(node.inputs) if node.operator == "Concat" else [node.require(0)]


def _reshaped(source: StoredIntegers, shape: tuple[int, ...]) -> StoredIntegers | None:
    """Same integers in another shape, if its scales still lie along one of its dimensions."""
    integers = source.integers.reshape(shape)
    if source.scale.size == 1:
        return replace(source, integers=integers, scale=source.scale.reshape((1,) * len(shape)))
    before = source.scale.shape
    wide = [k for k, size in enumerate(before) if size != 1]
    if len(wide) > 1:
        same = integers.shape == source.integers.shape
        return replace(source, integers=integers) if same else None
    leading = int(np.prod(source.integers.shape[: wide[0]], dtype=np.int64))
    for begin in range(len(shape)):
        if int(np.prod(shape[:begin], dtype=np.int64)) != leading:
            continue
        for end in range(begin + 1, len(shape) + 1):  # an axis may become several, as directions do
            if int(np.prod(shape[begin:end], dtype=np.int64)) == before[wide[0]]:
                form = tuple(n if begin <= k < end else 1 for k, n in enumerate(shape))
                return replace(source, integers=integers, scale=source.scale.reshape(form))
    return None


def _chosen(
    node: OnnxNode, sources: Sequence[StoredIntegers], fold: Fold
) -> Sequence[StoredIntegers | None]:
    """Pick integers and scales as the node picks numbers."""
    rest = [operand.data for operand in present(node.inputs)[len(sources) :]]
    others = [data for data in rest if data is not None]
    spread = [np.broadcast_to(s.scale.astype(np.float32), s.integers.shape).copy() for s in sources]
    kind = np.result_type(*(source.integers for source in sources))
    integers = fold([*(source.integers.astype(kind) for source in sources), *others])
    scales = fold([*spread, *others])
    if integers is None or scales is None:
        raise node.refusal(
            "quantized constants must not go through so many nodes that choose from them"
        )
    bits = max(source.bits for source in sources)
    found: list[StoredIntegers | None] = []
    for picked, scale in zip(integers, scales, strict=True):
        narrow = _narrowed(np.asarray(scale, dtype=np.float64))
        kept: npt.NDArray[np.integer[Any]] = picked.astype(kind)
        found.append(None if narrow is None else StoredIntegers(kept, narrow, bits))
    return found


def _narrowed(scale: Floats) -> Floats | None:
    """Return the scales with each dimension along which they are equal cut to 1; None if they
    differ along more than one."""
    for axis in range(scale.ndim):
        if scale.shape[axis] > 1:
            first = scale.take([0], axis=axis)
            if bool((scale == first).all()):
                scale = first
    return scale if sum(size > 1 for size in scale.shape) <= 1 else None
