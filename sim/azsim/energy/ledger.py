"""What was done and what each deed costs: one action per row, its counts spread over places.

Places are the layers of the program, `OUTSIDE` for what belongs to no layer, and `IDLE` for the
time between frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from azsim.counters import Counters
from azsim.energy.amounts import Amount, total
from azsim.energy.scaling import Rate
from azsim.errors import ConfigError

TIME_UNIT = "ps"
OUTSIDE, IDLE = "(no layer)", "(between frames)"


@dataclass(frozen=True)
class Action:
    """`counts[place]` times an action of a component, at `rate` each.

    `unit` says what is counted. `fj[place]` is rate x count, rounded to whole femtojoules there and
    nowhere else: every sum of them is exact.
    """

    component: str
    name: str
    unit: str
    rate: Rate
    counts: tuple[int, ...]

    @property
    def count(self) -> int:
        """Counts of all places."""
        return sum(self.counts)

    @property
    def fj(self) -> tuple[Amount, ...]:
        """Femtojoules by place."""
        return tuple(self.rate.aj.times(count).to_fj() for count in self.counts)

    @property
    def total_fj(self) -> Amount:
        """Femtojoules of all places."""
        return total(self.fj)


class Ledger:
    """Collects actions. Places: the layers of `counters`, then OUTSIDE, then IDLE."""

    def __init__(self, counters: Counters) -> None:
        self.places = (*(layer.name for layer in counters.layers), OUTSIDE, IDLE)
        self.actions: list[Action] = []

    def busy(
        self,
        action: tuple[str, str],
        unit: str,
        rate: Rate,
        count: int,
        weights: Sequence[int],
    ) -> None:
        """Add an action of component and name `action`, its count shared out to the layers by
        `weights`; what has no layer to go to goes to OUTSIDE."""
        _check_rate(action, rate)
        shares = apportion(count, weights)
        outside = count - sum(shares)
        self.actions.append(Action(*action, unit, rate, (*shares, outside, 0)))

    def idle(self, action: tuple[str, str], unit: str, rate: Rate, count: int) -> None:
        """Add an action of the time between frames."""
        _check_rate(action, rate)
        zeros = (0,) * (len(self.places) - 1)
        self.actions.append(Action(*action, unit, rate, (*zeros, count)))


def _check_rate(action: tuple[str, str], rate: Rate) -> None:
    """Nothing is done at no price: a rate that rounds to nothing is an error."""
    if rate.aj.nominal <= 0 or rate.aj.high < rate.aj.low:
        raise ConfigError(
            f"energy: {'.'.join(action)}: must cost at least 1 attojoule, not {rate.aj.nominal}"
        )


def apportion(count: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Share `count` out in whole numbers, in proportion to `weights`; the shares sum to it.

    If the weights sum to `count` the shares are the weights. Remainders go to the largest
    fractions, the earlier of equals first. Without any weight all shares are 0.
    """
    whole = sum(weights)
    if whole == 0:
        return (0,) * len(weights)
    shares = [count * weight // whole for weight in weights]
    left = count - sum(shares)
    order = sorted(range(len(weights)), key=lambda n: (-(count * weights[n] % whole), n))
    for place in order[:left]:
        shares[place] += 1
    return tuple(shares)


def layer_figures(counters: Counters, name: str) -> tuple[int, ...]:
    """Return a figure of `LayerCounters`, or of its traffic, of each layer."""
    return tuple(
        int(getattr(layer if hasattr(layer, name) else layer.traffic, name))
        for layer in counters.layers
    )


def vector_beats(counters: Counters, kind: str) -> tuple[int, ...]:
    """Return the beats of a VECTOR class of each layer."""
    beats: list[Mapping[str, int]] = [layer.vector_beats for layer in counters.layers]
    return tuple(layer.get(kind, 0) for layer in beats)
