"""Amounts of energy in whole numbers, so that sums are exact: rates in attojoules, sums in
femtojoules.

A rate is what one count of an action costs, in attojoules (1e-18 J, a millionth of a picojoule).
A power is a rate per picosecond: 1 microwatt x 1 picosecond = 1 attojoule.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

AJ_PER_PJ = 1_000_000
AJ_PER_FJ = 1000
FJ_PER_PJ = 1000
AJ_PER_PS_AND_MW = 1000


@dataclass(frozen=True, order=True)
class Amount:
    """A whole number of attojoules (a rate) or femtojoules (a sum): low <= nominal <= high."""

    nominal: int = 0
    low: int = 0
    high: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.nominal + other.nominal, self.low + other.low, self.high + other.high)

    def times(self, count: int) -> Amount:
        """Return `count` times this amount."""
        return Amount(self.nominal * count, self.low * count, self.high * count)

    def scaled(self, factor: float) -> Amount:
        """Return this amount times `factor`, rounded to whole numbers."""
        return Amount(
            round(self.nominal * factor), round(self.low * factor), round(self.high * factor)
        )

    def to_fj(self) -> Amount:
        """Return attojoules as femtojoules, each rounded half up."""
        return Amount(*(_fj(value) for value in (self.nominal, self.low, self.high)))

    def pj(self) -> dict[str, float]:
        """Return femtojoules as picojoules under the names of the three figures."""
        return {
            "nominal": self.nominal / FJ_PER_PJ,
            "low": self.low / FJ_PER_PJ,
            "high": self.high / FJ_PER_PJ,
        }


def _fj(value_aj: int) -> int:
    return (2 * value_aj + AJ_PER_FJ) // (2 * AJ_PER_FJ)


def total(amounts: Iterable[Amount]) -> Amount:
    """Return the sum of some amounts."""
    result = Amount()
    for amount in amounts:
        result = result + amount
    return result


def rate_aj(nominal_pj: float, low_pj: float, high_pj: float) -> Amount:
    """Return a rate of picojoules as whole attojoules."""
    return Amount(
        round(nominal_pj * AJ_PER_PJ), round(low_pj * AJ_PER_PJ), round(high_pj * AJ_PER_PJ)
    )
