"""A published table beside what azsim simulates: rows, errors, tolerances, the verdict.

Nothing here is timing: errors and medians are for people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Context:
    """A further figure of a row, shown for comparison and without a tolerance."""

    label: str
    published: float
    simulated: float


@dataclass(frozen=True)
class Check:
    """One row: a published figure, the simulated one, and how far apart they may be.

    tolerance  largest relative error that passes, such as 0.12
    at_most    the simulated figure may be smaller by any amount
    difference both are shares, and the error is their difference: 0.08 is eight points
    """

    name: str
    published: float
    simulated: float
    tolerance: float
    context: tuple[Context, ...] = ()
    at_most: bool = False
    difference: bool = False

    @property
    def error(self) -> float:
        """Relative error of the simulated figure, or points; negative if it is too small."""
        if self.difference:
            return self.simulated - self.published
        return self.simulated / self.published - 1

    @property
    def passed(self) -> bool:
        """Tell whether the error is within the tolerance."""
        error = self.error if self.at_most else abs(self.error)
        return error <= self.tolerance


@dataclass(frozen=True)
class Table:
    """A published table with its rows simulated; at least one of them two-sided.

    name            of the chip file it runs on, and of the table
    quantity        what is compared, with its unit
    source          where the published figures come from, with its mark
    method          how the rows were simulated
    mean_tolerance  largest mean of the errors' magnitudes that passes; None: not asked for
    """

    name: str
    title: str
    quantity: str
    source: str
    method: str
    checks: tuple[Check, ...]
    mean_tolerance: float | None = None

    @property
    def mean_error(self) -> float:
        """Mean of the magnitudes of the two-sided rows' relative errors."""
        two_sided = [abs(check.error) for check in self.checks if not check.at_most]
        return sum(two_sided) / len(two_sided)

    @property
    def mean_passed(self) -> bool:
        """Tell whether the mean error is within its tolerance, if it has one."""
        return self.mean_tolerance is None or self.mean_error <= self.mean_tolerance

    @property
    def passed(self) -> bool:
        """Tell whether every row and the mean are within their tolerances."""
        return self.mean_passed and all(check.passed for check in self.checks)


def table_json(table: Table) -> dict[str, Any]:
    """Return `table` as plain data for JSON."""
    return {
        "table": table.name,
        "quantity": table.quantity,
        "source": table.source,
        "rows": [_check_json(check) for check in table.checks],
        "mean_error": table.mean_error,
        "mean_tolerance": table.mean_tolerance,
        "passed": table.passed,
    }


def _check_json(check: Check) -> dict[str, Any]:
    return {
        "name": check.name,
        "published": check.published,
        "simulated": check.simulated,
        "error": check.error,
        "tolerance": check.tolerance,
        "passed": check.passed,
        "context": {
            figure.label: {"published": figure.published, "simulated": figure.simulated}
            for figure in check.context
        },
    }
