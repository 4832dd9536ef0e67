"""Seeded weights that already lie on an n-bit grid, with statistics like those of trained nets.

Magnitudes are Laplace distributed with a scale that varies from row to row (log-normal), the
common picture of trained recurrent weights; no trained net was measured for it. The smallest
magnitudes of the whole tensor are zero, as magnitude pruning leaves them: rows differ in density.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from azsim.errors import ConfigError

Float32Array = npt.NDArray[np.float32]

ROW_SCALE_SIGMA = 0.25  # of the natural logarithm of a row's scale; our choice
LEAST_DRAW = np.float32(1e-30)  # one draw in ten million is 0, which would add a zero weight
MIN_BITS, MAX_BITS = 2, 8


def check_grid(bits: int, sparsity: float) -> None:
    """Raise ConfigError unless 2 <= bits <= 8 and 0 <= sparsity <= 0.95."""
    if not MIN_BITS <= bits <= MAX_BITS:
        raise ConfigError(f"bits must be from {MIN_BITS} to {MAX_BITS}, not {bits}")
    if not 0.0 <= sparsity <= 0.95:
        raise ConfigError(f"sparsity must be from 0 to 0.95, not {sparsity:g}")


def _zero_smallest(magnitudes: Float32Array, zeros: int) -> None:
    """Set the `zeros` smallest entries to zero, but never the largest of a row."""
    rows = np.arange(len(magnitudes))
    peaks = magnitudes.argmax(axis=1)
    kept = magnitudes[rows, peaks]
    magnitudes[rows, peaks] = np.inf
    flat = magnitudes.reshape(-1)
    limit = min(zeros, flat.size - len(rows))
    if limit:
        flat[np.argpartition(flat, limit - 1)[:limit]] = 0.0
    magnitudes[rows, peaks] = kept


def grid_weights(
    rng: np.random.Generator, rows: int, columns: int, deviation: float, bits: int, sparsity: float
) -> Float32Array:
    """Return weights (rows, columns) of standard deviation near `deviation`.

    Row r is q[r, :] * scale[r] with integer |q| <= Q = 2^(bits-1) - 1, reached in every row.
    Exactly round(sparsity * rows * columns) entries are zero (fewer only where a row would lose
    its last entry); every other entry is at least one step, so rounding adds no zeros.
    """
    check_grid(bits, sparsity)
    weights = rng.standard_exponential((rows, columns), dtype=np.float32)
    scales = np.exp(ROW_SCALE_SIGMA * rng.standard_normal((rows, 1))).astype(np.float32)
    np.maximum(weights, LEAST_DRAW, out=weights)
    weights *= scales
    _zero_smallest(weights, round(sparsity * rows * columns))
    top = np.float32((1 << (bits - 1)) - 1)
    steps = weights.max(axis=1, keepdims=True) / top
    nonzero = weights > 0
    weights /= steps
    np.rint(weights, out=weights)
    np.maximum(weights, nonzero, out=weights)
    signs = np.unpackbits(
        np.frombuffer(rng.bytes(-(-weights.size // 8)), dtype=np.uint8), count=weights.size
    ).reshape(weights.shape)
    np.negative(weights, out=weights, where=signs.astype(np.bool_))
    # the same factor for all rows keeps their scales' ratios
    factor = deviation / _deviation(weights, steps)
    weights *= steps * np.float32(factor)
    return weights


def grid_table(
    rng: np.random.Generator, rows: int, columns: int, deviation: float, bits: int
) -> Float32Array:
    """Return an embedding table (rows, columns) on one symmetric `bits`-bit grid.

    Elements are normal, of standard deviation near `deviation`. Every row reaches the end of the
    grid, so that whichever rows a calibration sees, it finds the scale of the whole table.
    """
    check_grid(bits, 0.0)
    table = rng.standard_normal((rows, columns), dtype=np.float32)
    top = np.float32((1 << (bits - 1)) - 1)
    table *= top / np.abs(table).max(axis=1, keepdims=True)
    np.rint(table, out=table)
    table *= np.float32(deviation / np.sqrt(np.square(table, dtype=np.float64).mean()))
    return table


def _deviation(counts: Float32Array, steps: Float32Array) -> float:
    """Return the root mean square of counts * steps without making the product."""
    squares = np.einsum("rc,rc->r", counts, counts) * np.square(steps[:, 0])
    return float(np.sqrt(squares.sum(dtype=np.float64) / counts.size))
