"""Widths that make a model fit a budget of bytes, or of bandwidth, with the least noise.

Greedy: starting from the widest, the step that adds the least noise per byte saved is taken, of all
layers and all their narrower widths, until the encoder's own sizes fit; then what can be wider
again is. Noise of layers is taken to add up, which the scan measured one by one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from azsim.api import DEFAULT_FRAME_MS
from azsim.compiler import WEIGHT_BITS, CompressionPlan
from azsim.compress.material import Material
from azsim.compress.measure import LayerSize, layer_sizes, total, with_weights
from azsim.compress.plan import Calibration, LayerPlan
from azsim.compress.scan import ScanRow, scan_layers
from azsim.config import ChipConfig
from azsim.errors import ConfigError
from azsim.frontend import read_frame_ms

BYTES_PER_MB = 1e6


@dataclass(frozen=True)
class Budget:
    """Either `bytes` of weight streams, or `mb_per_s` (10^6 bytes per second) of them read from
    DRAM when each frame takes its frame period.

    Raises:
        ConfigError: both or none, or a number that is not positive.
    """

    bytes: int | None = None
    mb_per_s: float | None = None

    def __post_init__(self) -> None:
        if self.bytes is not None and self.mb_per_s is not None:
            raise ConfigError("--budget-bytes: must not be given beside --budget-mb-per-s")
        if self.bytes is not None and self.bytes < 1:
            raise ConfigError(f"--budget-bytes: must be 1 or more, not {self.bytes}")
        rate = self.mb_per_s
        if rate is not None and not (math.isfinite(rate) and rate > 0):
            raise ConfigError(f"--budget-mb-per-s: must be a positive number, not {rate:g}")

    def limit(self, frame_ms: float) -> int:
        """The budget in bytes: of all streams, or fetched per frame."""
        if self.bytes is not None:
            return self.bytes
        return int((self.mb_per_s or 0.0) * BYTES_PER_MB * frame_ms / 1000.0)

    def cost(self, size: LayerSize) -> int:
        """What a size takes of the budget."""
        return size.stream_bytes if self.bytes is not None else size.fetched_bytes

    def refusal(self, cost: int, frame_ms: float) -> ConfigError:
        """The error that not even `cost` fits."""
        hint = "with every layer at its fewest bits; --sparsity lowers it"
        if self.bytes is not None:
            return ConfigError(
                f"--budget-bytes: must be at least {cost}, the smallest reachable {hint},"
                f" not {self.bytes}"
            )
        rate = cost * 1000.0 / frame_ms / BYTES_PER_MB
        return ConfigError(
            f"--budget-mb-per-s: must be at least {math.ceil(rate * 1000) / 1000:g}, the smallest"
            f" reachable at {frame_ms:g} ms a frame {hint}, not {self.mb_per_s:g}"
        )


def fit_budget(
    material: Material,
    plans: Mapping[str, LayerPlan],
    budget: Budget,
    chip: ChipConfig,
    calibrations: Sequence[Calibration] | None = None,
) -> dict[str, LayerPlan]:
    """Return `plans` with widths that fit `budget`, at most as wide as they are in `plans`, and
    each with the one of `calibrations` that suits it (None: that of its plan).

    Raises:
        ConfigError: not even the narrowest fit; says what they take.
    """
    frame_ms = read_frame_ms(material.source.graph) or DEFAULT_FRAME_MS
    limit = budget.limit(frame_ms)
    rows = scan_layers(material, plans, chip, _widths(plans), calibrations)
    choice = _Choice(plans, rows, budget)
    least = _cost(material, choice.narrowest(), budget, chip)
    if least > limit:
        raise budget.refusal(least, frame_ms)
    aim = limit
    while True:
        choice.narrow_to(aim)
        cost = _cost(material, choice.plans(), budget, chip)
        if cost <= limit:
            break
        if not choice.can_narrow():
            return choice.narrowest()
        aim = min(aim, choice.cost()) - (cost - limit)
    return _widened(material, choice, budget, chip, limit)


def _widths(plans: Mapping[str, LayerPlan]) -> list[int]:
    most = max(plan.bits for plan in plans.values())
    return [width for width in WEIGHT_BITS if width <= most]


def _widened(
    material: Material, choice: _Choice, budget: Budget, chip: ChipConfig, limit: int
) -> dict[str, LayerPlan]:
    """Give back what the last steps saved too much, where the encoder agrees."""
    while True:
        wider = choice.best_wider(limit)
        if wider is None:
            return choice.plans()
        if _cost(material, wider, budget, chip) > limit:
            return choice.plans()
        choice.take(wider)


def _cost(
    material: Material, plans: Mapping[str, LayerPlan], budget: Budget, chip: ChipConfig
) -> int:
    """Of all layers together, by the encoder."""
    made = {name: material.integers(name, plan) for name, plan in plans.items()}
    graph = with_weights(material.unfolded, material.source, made)
    bits = material.source.by_node({name: plan.stream_bits for name, plan in plans.items()})
    sizes = layer_sizes(graph, material.ranges, CompressionPlan(layer_bits=bits), chip)
    return budget.cost(total(sizes))


class _Choice:
    """A row of the scan for each layer."""

    def __init__(self, plans: Mapping[str, LayerPlan], rows: list[ScanRow], budget: Budget) -> None:
        self._budget = budget
        self._options = {
            name: _useful([r for r in rows if r.layer == name and r.plan.bits <= plan.bits], budget)
            for name, plan in plans.items()
        }
        self._at = dict.fromkeys(plans, 0)

    def plans(self) -> dict[str, LayerPlan]:
        return {name: self._options[name][at].plan for name, at in self._at.items()}

    def narrowest(self) -> dict[str, LayerPlan]:
        return {name: options[-1].plan for name, options in self._options.items()}

    def take(self, plans: Mapping[str, LayerPlan]) -> None:
        for name, plan in plans.items():
            found = [row.plan for row in self._options[name]]
            self._at[name] = found.index(plan)

    def cost(self) -> int:
        """Of the rows, each measured among its like."""
        return sum(self._budget.cost(self._options[name][at].size) for name, at in self._at.items())

    def can_narrow(self) -> bool:
        return any(at + 1 < len(self._options[name]) for name, at in self._at.items())

    def narrow_to(self, limit: int) -> None:
        """Take the steps of least noise per byte until the cost is within `limit`."""
        while self.cost() > limit and self.can_narrow():
            steps = [
                (self._price(name, at, to), place, to, name)
                for place, (name, at) in enumerate(self._at.items())
                for to in range(at + 1, len(self._options[name]))
            ]
            _, _, to, name = min(steps)
            self._at[name] = to

    def _price(self, name: str, at: int, to: int) -> float:
        """Noise per byte of the step from option `at` to a later one; each saves something."""
        here, there = self._options[name][at], self._options[name][to]
        saved = self._budget.cost(here.size) - self._budget.cost(there.size)
        return (there.share - here.share) / max(saved, 1)

    def best_wider(self, limit: int) -> dict[str, LayerPlan] | None:
        """The plans with the step back that takes most noise away and fits by the rows' sizes."""
        best: tuple[float, str] | None = None
        for name, at in self._at.items():
            if at == 0:
                continue
            wide, here = self._options[name][at - 1], self._options[name][at]
            more = self._budget.cost(wide.size) - self._budget.cost(here.size)
            gain = here.share - wide.share
            if self.cost() + more <= limit and gain > 0 and (best is None or gain > best[0]):
                best = (gain, name)
        if best is None:
            return None
        name = best[1]
        return {**self.plans(), name: self._options[name][self._at[name] - 1].plan}


def _useful(rows: list[ScanRow], budget: Budget) -> list[ScanRow]:
    """Rows in order of cost, less those that another one beats in cost and noise."""
    kept: list[ScanRow] = []
    for row in sorted(rows, key=lambda row: (-budget.cost(row.size), -row.share)):
        while (
            kept
            and budget.cost(row.size) <= budget.cost(kept[-1].size)
            and (row.share <= kept[-1].share)
        ):
            kept.pop()
        if not kept or budget.cost(row.size) < budget.cost(kept[-1].size):
            kept.append(row)
    return kept
