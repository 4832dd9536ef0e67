"""One weight matrix: pruned, then on a grid of few bits or on a codebook of 8-bit centroids.

Matrices are (rows, columns) float32, a row per output. Integers are int8 and symmetric: the real
weight is integer x scale of its row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.compiler.prune import prune_array
from azsim.compress.plan import LayerPlan

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

PERCENTILE = 99.99  # of magnitudes, for calibration "percentile"
SHRINKS = np.linspace(0.2, 1.0, 33)  # of the peak, tried by calibration "mse"
BINS_PER_STEP = 8  # resolution of the histogram that centroids are found on
CENTROID_LIMIT = 127
MAX_ROUNDS = 300  # of Lloyd's iteration; it has come to rest long before
ROWS_AT_ONCE = 256  # bounds temporary copies


@dataclass(frozen=True)
class IntegerRows:
    """`integers` int8 (rows, columns); `scales` float32, (rows,) or (1,); all positive."""

    integers: npt.NDArray[np.int8]
    scales: Floats

    @property
    def numbers(self) -> Floats:
        """The weights they stand for, as ONNX's DequantizeLinear computes them."""
        found: Floats = self.integers.astype(np.float32) * self.scales[:, None]
        return found


def compress_rows(
    rows: Floats, plan: LayerPlan, matrices: int = 1, scales: Floats | None = None
) -> IntegerRows:
    """Prune and quantize a matrix as `plan` says; `matrices`: so many below each other, each of
    which gets its zeros. `scales`: those of an earlier call, which are not looked for again."""
    pruned = np.concatenate([prune_rows(part, plan) for part in np.split(rows, matrices)])
    if plan.codebook:
        return codebook_rows(pruned, plan.codebook, plan.scales)
    most = 2 ** (plan.bits - 1) - 1
    if scales is None:
        scales = grid_scales(pruned, most, plan)
    return IntegerRows(_rounded(pruned, scales, most), scales)


def prune_rows(rows: Floats, plan: LayerPlan) -> Floats:
    """Return the matrix with at least round(sparsity x size) zeros."""
    if plan.sparsity == 0.0:
        return rows
    if plan.pruning == "magnitude":
        return np.asarray(prune_array(rows, plan.sparsity), np.float32)
    return _balanced(rows, plan.sparsity, plan.bank)


def _balanced(rows: Floats, share: float, bank: int) -> Floats:
    """Keep the largest (1 - share) of each bank of a row, a whole number rounded down.

    Bank-balanced sparsity: S. Cao et al., "Efficient and effective sparse LSTM on FPGA with
    bank-balanced sparsity", FPGA 2019. Of equal magnitudes the earlier stay.
    """
    result = rows.copy()
    for begin in range(0, rows.shape[1], bank):
        part = result[:, begin : begin + bank]
        keep = int((1.0 - share) * part.shape[1] + 1e-9)
        order = np.argsort(-np.abs(part), axis=1, kind="stable")
        np.put_along_axis(part, order[:, keep:], np.float32(0), axis=1)
    return result


# -- grids ----------------------------------------------------------------------------------------


def grid_scales(rows: Floats, most: int, plan: LayerPlan) -> Floats:
    """Return the scales, (rows,) or (1,), at which `most` is the largest integer."""
    matrix = rows if plan.scales == "row" else rows.reshape(1, -1)
    peaks = np.abs(matrix).max(axis=1).astype(np.float64)
    if plan.calibration == "percentile":
        peaks = _percentiles(matrix)
    scales = peaks / most
    if plan.calibration == "mse":
        scales *= _best_shrink(matrix, scales, most)
    tiny = np.finfo(np.float32).tiny
    return np.where(scales > tiny, scales, 1.0).astype(np.float32)


def _percentiles(matrix: Floats) -> Doubles:
    """Of the magnitudes of each row that are not zero; 0 for a row of zeros."""
    found = np.zeros(len(matrix))
    for number, row in enumerate(matrix):
        sizes = np.abs(row[row != 0]).astype(np.float64)
        if sizes.size:
            found[number] = np.percentile(sizes, PERCENTILE)
    return found


def _best_shrink(matrix: Floats, scales: Doubles, most: int) -> Doubles:
    """Which of `SHRINKS` of its scale gives each row the least squared error."""
    best = np.ones(len(matrix))
    tiny = np.finfo(np.float32).tiny
    for begin in range(0, len(matrix), ROWS_AT_ONCE):
        rows = slice(begin, begin + ROWS_AT_ONCE)
        # in units of the scale, whose squares a float32 holds
        part = matrix[rows] / np.maximum(scales[rows], tiny).astype(np.float32)[:, None]
        work = np.empty_like(part)
        least = np.full(len(part), np.inf)
        for shrink in SHRINKS[::-1]:  # of equals the widest
            np.divide(part, np.float32(shrink), out=work)
            np.rint(work, out=work)
            np.clip(work, -most, most, out=work)
            work *= np.float32(shrink)
            work -= part
            error = np.einsum("ij,ij->i", work, work)
            better = error < least
            best[rows][better] = shrink
            least = np.where(better, error, least)
    return best


def _rounded(rows: Floats, scales: Floats, most: int) -> npt.NDArray[np.int8]:
    found = np.empty(rows.shape, np.int8)
    steps = np.broadcast_to(scales, len(rows))
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(begin, begin + ROWS_AT_ONCE)
        found[part] = np.clip(np.rint(rows[part] / steps[part, None]), -most, most)
    return found


# -- codebooks ------------------------------------------------------------------------------------


def codebook_rows(rows: Floats, entries: int, scales: str) -> IntegerRows:
    """Return the matrix with at most `entries` different integers; 0 is one if `rows` has zeros.

    Centroids are Lloyd-Max: each is the mean of what is nearest to it, squared errors weighed by
    the square of their row's scale (S. Lloyd, "Least squares quantization in PCM", 1982). They are
    rounded to 8 bits at the end, the numbers the chip multiplies with.
    """
    steps = _shape_scales(rows, scales)
    wide = np.broadcast_to(steps, len(rows))
    centers, mass = _histogram(rows, wide)
    has_zeros = bool((rows == 0).any())
    centroids = _lloyd(centers, mass, entries - has_zeros)
    rounded = np.clip(np.rint(centroids), -CENTROID_LIMIT, CENTROID_LIMIT)
    values = np.unique(np.append(rounded, 0.0) if has_zeros else rounded)
    middles = (values[1:] + values[:-1]) / 2
    found = np.empty(rows.shape, np.int8)
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        part = slice(begin, begin + ROWS_AT_ONCE)
        found[part] = values[np.searchsorted(middles, rows[part] / wide[part, None])]
    found[rows == 0] = 0
    return IntegerRows(found, steps)


def _shape_scales(rows: Floats, scales: str) -> Floats:
    """Scales at which rows look alike, by their root mean square, and no weight is above the
    largest centroid: all rows share the codebook, and peaks say little of the weights between."""
    matrix = rows if scales == "row" else rows.reshape(1, -1)
    peaks = np.abs(matrix).max(axis=1).astype(np.float64)
    sizes = np.sqrt(np.mean(matrix.astype(np.float64) ** 2, axis=1))
    known = sizes > np.finfo(np.float32).tiny
    reach = float((peaks[known] / sizes[known]).max(initial=1.0))
    return np.where(known, sizes * (reach / CENTROID_LIMIT), 1.0).astype(np.float32)


def _histogram(rows: Floats, steps: Floats) -> tuple[Doubles, Doubles]:
    """Bins of the weights in steps of their scale, and their mass; zeros are left out."""
    reach = CENTROID_LIMIT * BINS_PER_STEP
    mass = np.zeros(2 * reach + 1)
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        part, scale = rows[begin : begin + ROWS_AT_ONCE], steps[begin : begin + ROWS_AT_ONCE]
        bins = np.rint(part / scale[:, None] * BINS_PER_STEP).astype(np.int64)
        power = np.broadcast_to((scale.astype(np.float64) ** 2)[:, None], part.shape)
        kept = part != 0
        places = np.clip(bins[kept] + reach, 0, 2 * reach)
        mass += np.bincount(places, weights=power[kept], minlength=mass.size)
    return np.arange(-reach, reach + 1) / BINS_PER_STEP, mass


def _lloyd(centers: Doubles, mass: Doubles, entries: int) -> Doubles:
    """Return at most `entries` centroids of the bins, ascending."""
    known = mass > 0
    centers, mass = centers[known], mass[known]
    if len(centers) <= entries:
        return centers
    sums = np.concatenate([[0.0], np.cumsum(mass)])
    moments = np.concatenate([[0.0], np.cumsum(mass * centers)])
    # the best centroids of a smooth density lie as its cube root does (Panter and Dite, 1951)
    density = np.cumsum(np.cbrt(mass))
    begin = np.searchsorted(density, (np.arange(entries) + 0.5) / entries * density[-1])
    found: Doubles = np.unique(centers[np.minimum(begin, len(centers) - 1)])
    for _ in range(MAX_ROUNDS):
        cuts = np.searchsorted(centers, (found[1:] + found[:-1]) / 2)
        edges = np.concatenate([[0], cuts, [len(centers)]])
        weight = np.diff(sums[edges])
        means: Any = np.diff(moments[edges]) / np.where(weight > 0, weight, 1.0)
        moved = np.unique(np.where(weight > 0, means, found))
        if len(moved) == len(found) and np.allclose(moved, found, rtol=0, atol=1e-6):
            break
        found = moved
    return found


def sqnr_of(exact: Floats, other: Floats) -> float:
    """Signal-to-quantization-noise ratio in dB; infinity where there is no noise."""
    signal = float(np.sum(exact.astype(np.float64) ** 2))
    noise = float(np.sum((exact.astype(np.float64) - other) ** 2))
    if noise == 0.0:
        return float("inf")
    return 10.0 * float(np.log10(signal / noise)) if signal else float("-inf")
