"""Weight matrices as integers: symmetric, one scale per output row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.compiler.context import LoweringContext
from azsim.compiler.plan import WEIGHT_BITS
from azsim.errors import CompileError
from azsim.graph import Node
from azsim_kernels.reference.arith import quantize_multipliers

Matrix = npt.NDArray[Any]

INT32_MAX = 2**31 - 1
BIAS_LIMIT = 2**30  # a bias in accumulator steps stays below half of int32
ROWS_AT_ONCE = 512  # bounds the temporary float copy


@dataclass(frozen=True)
class QuantizedWeights:
    """int8 (N, K) weights of `bits` bits, float64 scale per row: real = integer x scale[row]."""

    integers: npt.NDArray[np.int8]
    scales: npt.NDArray[np.float64]
    bits: int


def quantize_rows(weights: npt.NDArray[np.generic], bits: int) -> QuantizedWeights:
    """Quantize (N, K) float weights: the largest magnitude of a row becomes 2**(bits-1) - 1.

    Rounding is to nearest, ties to even, as ONNX QuantizeLinear. A row of zeros has scale 0.
    """
    most = 2 ** (bits - 1) - 1
    integers = np.empty(weights.shape, np.int8)
    scales = np.zeros(weights.shape[0])
    for begin in range(0, weights.shape[0], ROWS_AT_ONCE):
        rows = np.ascontiguousarray(weights[begin : begin + ROWS_AT_ONCE], np.float32)
        peak = np.maximum(rows.max(axis=1), -rows.min(axis=1)).astype(np.float64)
        scales[begin : begin + len(rows)] = peak / most
        inverse = np.where(peak > 0, most / np.where(peak > 0, peak, 1.0), 0.0)
        rows = rows * inverse.astype(np.float32)[:, None]
        integers[begin : begin + len(rows)] = np.rint(rows, out=rows)
    return QuantizedWeights(integers, scales, bits)


def stored_rows(
    integers: npt.NDArray[np.integer[Any]], scales: npt.NDArray[np.float64], bits: int
) -> QuantizedWeights:
    """Take a model's own (N, K) integers of -128..127 and scales (N,), or one (1,), as they are.

    The width is `bits` of the model's type (8 where that is wider), or what the integers need.
    """
    held = np.ascontiguousarray(integers, np.int8)
    low, high = int(held.min(initial=0)), int(held.max(initial=0))
    needed = max((-low - 1).bit_length(), high.bit_length()) + 1
    width = next(b for b in reversed(WEIGHT_BITS) if b >= max(needed, min(bits, 8)))
    return QuantizedWeights(held, np.broadcast_to(scales, (len(held),)).copy(), width)


def own_or_rounded(
    node: Node,
    context: LoweringContext,
    name: str,
    rows: Callable[[Matrix], Matrix],
    part: str = "",
) -> QuantizedWeights:
    """Weights of `node` from constant `name`; `rows` turns its array into (N, K), `part` names
    which rows those are if not all.

    A model's own integers are taken as they are unless the plan wants fewer bits than they need;
    where they need fewer than their type has, the plan's bits are their width.
    """
    wanted = context.plan.bits_of(node.name)

    def make() -> QuantizedWeights:
        value = context.pruned(name)
        data, stored = value.data, value.stored
        assert data is not None
        if stored is None:
            return quantize_rows(rows(data), wanted)
        kept = np.where(rows(data) == 0, 0, rows(stored.integers))  # pruned ones are zero
        scales = rows(np.broadcast_to(stored.scale, data.shape))[:, 0]
        own = stored_rows(kept, scales.astype(np.float64), min(stored.bits, wanted))
        if wanted >= own.bits:
            return own
        context.requantized[node.name] = f"{node.name}: {own.bits} to {wanted} bits"
        return quantize_rows(rows(data), wanted)

    made = context.cached_weights(name, node.operator + part, wanted, make)
    assert isinstance(made, QuantizedWeights)
    return made


def row_multipliers(
    where: str, weights: QuantizedWeights, factor: float
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int8]]:
    """Multiplier and shift per row for rescaling by scale[row] x `factor`."""
    try:
        return quantize_multipliers(weights.scales * factor)
    except ValueError as error:
        raise CompileError(f"{where}: {error}") from None


def check_accumulator(
    where: str, weights: QuantizedWeights, bias: npt.NDArray[np.int64] | None = None
) -> None:
    """Prove that no int8 input can overflow the int32 sum of any row, or refuse the node."""
    largest = 128 * np.abs(weights.integers.astype(np.int16)).sum(axis=1, dtype=np.int64)
    if bias is not None:
        largest = largest + np.abs(bias)
    if largest.size and int(largest.max()) > INT32_MAX:
        row = int(largest.argmax())
        raise CompileError(
            f"{where}: row {row}: sum of products must stay within int32,"
            f" not reach {int(largest.max())}"
        )
