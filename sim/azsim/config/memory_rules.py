"""Rules between the rows of a memory part: each is a function whose docstring is the rule.

A rule returns None, or the broken rule with the key path of the row its text speaks about.
"""

from __future__ import annotations

from collections.abc import Callable

from azsim.config._broken_rule import BrokenRule
from azsim.config.memory_keys import ConstraintRow, PartKeys

Rule = Callable[[PartKeys], BrokenRule | None]
_WIDER = {"bank": ("bank", "group", "channel"), "group": ("group", "channel")}

# Gates without which the model would send commands that no device takes: (scope, first, then).
_NEEDED = (
    ("bank", "ACT", "RD"),
    ("bank", "ACT", "WR"),
    ("bank", "ACT", "PRE"),
    ("bank", "ACT", "PREA"),
    ("bank", "ACT", "ACT"),
    ("bank", "PRE", "ACT"),
    ("bank", "PRE", "REFA"),
    ("bank", "PRE", "REFP"),
    ("bank", "PREA", "ACT"),
    ("bank", "PREA", "REFA"),
    ("bank", "RD", "PRE"),
    ("bank", "RD", "PREA"),
    ("bank", "WR", "PRE"),
    ("bank", "WR", "PREA"),
    ("channel", "ACT", "ACT"),
    ("channel", "RD", "RD"),
    ("channel", "WR", "WR"),
    ("channel", "RD", "WR"),
    ("channel", "WR", "RD"),
    ("channel", "REFA", "ACT"),
    ("channel", "REFA", "REFA"),
    ("bank", "REFP", "ACT"),
    ("bank", "REFP", "REFP"),
)


def longest_gap(
    part: PartKeys, scope: str, first: str, then: str
) -> tuple[int, ConstraintRow] | None:
    """Return the row (its number, and itself) that makes `then` wait longest after the last
    `first` to the same `scope`, or None if there is no such row.
    """
    rows = [
        (number, row)
        for number, row in enumerate(part.constraints)
        if row.count == 1
        and row.scope in _WIDER.get(scope, ("channel",))
        and first in row.first
        and then in row.then
    ]
    return max(rows, key=lambda entry: entry[1].clocks) if rows else None


def _broken_row(number: int, text: str, key: str = "clocks") -> BrokenRule:
    return BrokenRule(("constraints", str(number), key), text)


def names_once(part: PartKeys) -> BrokenRule | None:
    """Each row has a name of its own."""
    names: set[str] = set()
    for number, row in enumerate(part.constraints):
        if row.name in names:
            return _broken_row(number, "must be given to one row only", "name")
        names.add(row.name)
    return None


def gates_present(part: PartKeys) -> BrokenRule | None:
    """Every gate that a device needs has a row."""
    for scope, first, then in _NEEDED:
        if longest_gap(part, scope, first, then) is None:
            return BrokenRule(
                ("constraints",), f"must have a row from {first} to {then} of the same {scope}"
            )
    return None


def row_time_within_cycle(part: PartKeys) -> BrokenRule | None:
    """tRCD is at most tRAS, and tRAS at most tRC."""
    for shorter, longer in (
        (("ACT", "RD"), ("ACT", "PRE")),
        (("ACT", "WR"), ("ACT", "PRE")),
        (("ACT", "PRE"), ("ACT", "ACT")),
    ):
        low = longest_gap(part, "bank", *shorter)
        high = longest_gap(part, "bank", *longer)
        if low is not None and high is not None and low[1].clocks > high[1].clocks:
            return _broken_row(
                low[0],
                f"must be at most {high[1].name} ({high[1].clocks}), not {low[1].clocks}",
            )
    return None


def data_bus_is_free(part: PartKeys) -> BrokenRule | None:
    """Data of two bursts of a channel never overlap."""
    t = part.latency
    to_data = {"RD": t.read_clocks + t.strobe_clocks, "WR": t.write_clocks}
    for first, begin in to_data.items():
        for then, later in to_data.items():
            least = begin + t.burst_clocks - later
            found = longest_gap(part, "channel", first, then)
            if found is not None and found[1].clocks < least:
                return _broken_row(
                    found[0],
                    f"must be at least {least}, so that data of {first} and {then} "
                    f"do not overlap, not {found[1].clocks}",
                )
    return None


def refresh_leaves_time(part: PartKeys) -> BrokenRule | None:
    """A refresh is over long before the next one is due."""
    for command, key in (
        ("REFA", "all_bank_interval_clocks"),
        ("REFP", "per_bank_interval_clocks"),
    ):
        found = longest_gap(part, "bank", command, command)
        interval = getattr(part.refresh, key)
        if found is not None and found[1].clocks >= interval:
            return BrokenRule(
                ("refresh", key),
                f"must be more than {found[1].name} ({found[1].clocks}), not {interval}",
            )
    return None


def page_holds_bursts(part: PartKeys) -> BrokenRule | None:
    """An open row holds at least one burst."""
    if part.geometry.page_bytes >= part.burst_bytes:
        return None
    return BrokenRule(
        ("geometry", "page_bytes"),
        f"must be at least one burst ({part.burst_bytes} bytes), not {part.geometry.page_bytes}",
    )


RULES: tuple[Rule, ...] = (
    names_once,
    gates_present,
    row_time_within_cycle,
    data_bus_is_free,
    refresh_leaves_time,
    page_holds_bursts,
)


def check_part(part: PartKeys) -> BrokenRule | None:
    """Return the first broken rule of `part`, or None."""
    for rule in RULES:
        broken = rule(part)
        if broken is not None:
            return broken
    return None
