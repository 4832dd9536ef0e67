"""What every run needs besides its simulation: plan, frame time, version, quality of outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.compiler import CompressionPlan
from azsim.errors import ConfigError
from azsim.frontend import read_frame_ms
from azsim.graph import Graph
from azsim.program import Program

IntegerArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.float32]

DEFAULT_FRAME_MS = 30.0


def azsim_version() -> str:
    """Version of the installed package."""
    try:
        return version("azsim")
    except PackageNotFoundError:  # a checkout on the path, not installed
        return "0+unknown"


@dataclass(frozen=True)
class PlanWishes:
    """What the user said of compression; None and empty leave it to the model's own plan."""

    bits: int | None = None
    sparsity: float | None = None
    layer_bits: Mapping[str, int] = field(default_factory=dict)
    layer_sparsity: Mapping[str, float] = field(default_factory=dict)

    def plan(self, graph: Graph) -> CompressionPlan:
        """The plan for `graph`: the model's own (`azsim.compression`) with the user's words on top.

        A width or share for the whole graph replaces the model's per-layer ones as well.

        Raises:
            ConfigError: a width or share that is not offered; it says if the model asks for it.
        """
        own = _own_plan(graph)
        layer_bits = own.layer_bits if self.bits is None else {}
        layer_sparsity = own.layer_sparsity if self.sparsity is None else {}
        return CompressionPlan(
            own.bits if self.bits is None else self.bits,
            own.sparsity if self.sparsity is None else self.sparsity,
            {**layer_bits, **self.layer_bits},
            {**layer_sparsity, **self.layer_sparsity},
        )


def _own_plan(graph: Graph) -> CompressionPlan:
    text = graph.metadata.get("azsim.compression")
    if text is None:
        return CompressionPlan()
    try:
        return CompressionPlan.from_json(text)
    except ConfigError as error:
        reason = str(error).removeprefix("property 'azsim.compression': ")
        raise ConfigError(f"model's property 'azsim.compression': {reason}") from None


def frame_time(graph: Graph, given: float | None) -> tuple[float, str]:
    if given is not None:
        if not (math.isfinite(given) and given > 0):
            raise ConfigError(f"--frame-ms: must be a positive number, not {given}")
        return given, "--frame-ms"
    stated = read_frame_ms(graph)
    if stated is not None:
        return stated, "the model's azsim.frame_ms"
    return DEFAULT_FRAME_MS, "the default"


def all_sqnr(
    program: Program,
    outputs: Mapping[str, IntegerArray],
    floats: Mapping[str, FloatArray] | None,
) -> dict[str, float | None]:
    if floats is None:
        return {}
    return {
        port.name: sqnr_db(
            floats[port.name],
            (outputs[port.name].astype(np.float64) - port.zero_point) * port.scale,
        )
        for port in program.outputs
        if port.name in outputs
    }


def sqnr_db(signal: npt.NDArray[Any], other: npt.NDArray[Any]) -> float | None:
    """Signal-to-quantization-noise ratio in dB; None if there is no signal or no noise."""
    exact = signal.astype(np.float64)
    power, noise = float(np.sum(exact**2)), float(np.sum((exact - other) ** 2))
    if power == 0.0 or noise == 0.0:
        return None
    return 10.0 * math.log10(power / noise)


def seeds_of(graph: Graph) -> dict[str, int]:
    text = graph.metadata.get("azsim.seed", "")
    return {"weights": int(text)} if text.lstrip("-").isdigit() else {}
