"""Zero skipping on both sides, on the one multiplier of the chip file `eyeriss_v2_pe`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.config import load_chip
from azsim.engine.lanes_api import masked_cycles_of
from azsim.errors import ModelError

CHIP = "eyeriss_v2_pe"
MAX_VECTORS = 1 << 24
MAX_STEPS = 1 << 34  # words of 64 products


@dataclass(frozen=True)
class SkipRun:
    """A 1x1 layer on one PE.

    products                  those whose weight and activation are both not zero
    density_product_estimate  what the two densities alone would say, rounded to an integer
    """

    clock_mhz: int
    rows: int
    channels: int
    vectors: int
    cycles: int
    products: int
    dense_products: int
    weight_density: float
    activation_density: float

    @property
    def density_product_estimate(self) -> int:
        """Dense products times both densities."""
        return round(self.dense_products * self.weight_density * self.activation_density)

    def counters(self) -> dict[str, Any]:
        """Return everything under the names that the command prints."""
        return {
            **vars(self),
            "density_product_estimate": self.density_product_estimate,
            "time_us": self.cycles / self.clock_mhz,
        }


def run_skip(weights: npt.NDArray[Any], activations: npt.NDArray[Any]) -> SkipRun:
    """Return what the PE does with masks (or arrays, whose zeros count).

    weights      (rows, channels): [M][C]
    activations  (..., channels): channels last

    Raises:
        ModelError: shapes that do not fit each other or the chip, or a layer too large.
    """
    chip = load_chip(CHIP)
    _check_shapes(weights, activations, chip.mac_array.item_columns)
    rows, channels = weights.shape
    vectors = activations.reshape(-1, channels) != 0
    mask = weights != 0
    times = masked_cycles_of(mask, vectors, chip.mac_array)
    return SkipRun(
        clock_mhz=chip.core.clock_mhz,
        rows=rows,
        channels=channels,
        vectors=len(vectors),
        cycles=times.cycles,
        products=times.products,
        dense_products=rows * channels * len(vectors),
        weight_density=int(np.count_nonzero(mask)) / mask.size,
        activation_density=int(np.count_nonzero(vectors)) / vectors.size,
    )


def _check_shapes(
    weights: npt.NDArray[Any], activations: npt.NDArray[Any], most_channels: int
) -> None:
    if weights.ndim != 2 or 0 in weights.shape:
        raise ModelError(f"weights must be (rows, channels), not {_shape(weights)}")
    rows, channels = weights.shape
    if channels > most_channels:
        raise ModelError(f"weights must have at most {most_channels} channels, not {channels}")
    if activations.ndim < 1 or activations.shape[-1] != channels or 0 in activations.shape:
        raise ModelError(
            f"activations must have the {channels} channels of the weights last, "
            f"not {_shape(activations)}"
        )
    vectors = activations.size // channels
    if vectors > MAX_VECTORS:
        raise ModelError(f"activations must be at most {MAX_VECTORS} vectors, not {vectors}")
    steps = rows * vectors * -(-channels // 64)
    if steps > MAX_STEPS:
        raise ModelError(
            f"weights and activations must make at most {MAX_STEPS} words of 64 products, "
            f"not {steps}"
        )


def _shape(array: npt.NDArray[Any]) -> str:
    return " x ".join(map(str, array.shape)) or "a scalar"
