"""Weight matrices as integers: symmetric, one scale per output row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from azsim.errors import CompileError
from azsim_kernels.reference.arith import quantize_multipliers

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
