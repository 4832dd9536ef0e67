"""Axes of a plan: a name, and the values or the range that it runs over."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, ValidationError

from azsim.config._block import Block
from azsim.config.load import must_be
from azsim.errors import ConfigError
from azsim.sweep.expressions import Scalar

MAX_LEVELS = 100_000
_DIGITS = 9  # of a value between the ends of a range


class Range(Block):
    """`{from: 1, to: 64, factor: 2}` and the like; ends included."""

    from_: int | float = Field(alias="from", description="First value.")
    to: int | float = Field(description="Last value.")
    step: int | float | None = Field(default=None, description="Distance of two values.")
    steps: int | None = Field(default=None, ge=2, le=MAX_LEVELS, description="Number of values.")
    factor: int | float | None = Field(default=None, description="Quotient of two values.")
    scale: Literal["linear", "log"] = Field(
        default="linear", description="How values lie between the ends."
    )


@dataclass(frozen=True)
class Axis:
    """`levels`, in order; empty for a continuous range from `low` to `high`."""

    name: str
    levels: tuple[Scalar, ...]
    low: float = 0.0
    high: float = 0.0
    log: bool = False

    @property
    def is_ordered(self) -> bool:
        """True if the levels are numbers that rise or fall."""
        numbers = [v for v in self.levels if isinstance(v, int | float) and not isinstance(v, bool)]
        return len(numbers) == len(self.levels) and numbers in (
            sorted(numbers),
            sorted(numbers, reverse=True),
        )

    def at(self, share: float) -> Scalar:
        """The value at `share` (0 to below 1) of the way."""
        if self.levels:
            return self.levels[min(int(share * len(self.levels)), len(self.levels) - 1)]
        if self.log:
            return _tidy(math.exp(math.log(self.low) * (1 - share) + math.log(self.high) * share))
        return _tidy(self.low * (1 - share) + self.high * share)


def make_axis(name: str, what: Any) -> Axis:
    """Return the axis that a plan writes as a list of values or as a range.

    Raises:
        ConfigError: neither, no value, a value twice, or a range that holds none.
    """
    if isinstance(what, list):
        return Axis(name, _levels(what))
    if isinstance(what, dict):
        return _ranged(name, _range(what))
    raise ConfigError("must be a list of values, or a range with 'from' and 'to'")


def _levels(values: list[Any]) -> tuple[Scalar, ...]:
    if not values:
        raise ConfigError("must have at least one value")
    for value in values:
        if value is None or not isinstance(value, int | float | str):
            raise ConfigError("must have plain values: numbers, words, true or false")
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError("must have finite values")
    seen: set[str] = set()
    for value in values:
        if repr(value) in seen:
            raise ConfigError(f"must have each value once, not {value!r} again")
        seen.add(repr(value))
    return tuple(values)


def _range(what: dict[Any, Any]) -> Range:
    try:
        return Range.model_validate(what)
    except ValidationError as error:
        detail = error.errors()[0]
        key = ".".join(str(part) for part in detail["loc"][:1])
        if detail["type"] == "extra_forbidden":
            raise ConfigError(
                f"unknown key '{key}': must be from, to, step, steps, factor or scale"
            ) from None
        if detail["type"] == "missing":
            raise ConfigError(f"'{key}' must be present in a range") from None
        words = must_be(detail["type"], detail.get("ctx", {}), detail["msg"])
        raise ConfigError(f"'{key}' {words}") from None


def _ranged(name: str, spans: Range) -> Axis:
    low, high = spans.from_, spans.to
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"'from' must be below 'to', not {low} and {high}")
    if sum(way is not None for way in (spans.step, spans.steps, spans.factor)) > 1:
        raise ConfigError("must have one of step, steps and factor")
    if low <= 0 and (spans.scale == "log" or spans.factor is not None):
        raise ConfigError(f"'from' must be above 0 for a factor or scale log, not {low}")
    whole = isinstance(low, int) and isinstance(high, int)
    if spans.step is not None:
        return Axis(name, _stepped(low, high, spans.step))
    if spans.factor is not None:
        return Axis(name, _multiplied(low, high, spans.factor))
    if spans.steps is not None:
        return Axis(name, _divided(low, high, spans.steps, spans.scale == "log", whole))
    if whole and spans.scale == "linear":
        return Axis(name, _stepped(low, high, 1))
    return Axis(name, (), float(low), float(high), spans.scale == "log")


def _stepped(low: float, high: float, step: float) -> tuple[Scalar, ...]:
    if not (math.isfinite(step) and step > 0):
        raise ConfigError(f"'step' must be above 0, not {step}")
    count = math.floor((high - low) / step + 1e-9) + 1
    _check_count(count)
    return tuple(_tidy(low + number * step) for number in range(count))


def _multiplied(low: float, high: float, factor: float) -> tuple[Scalar, ...]:
    if not (math.isfinite(factor) and factor > 1):
        raise ConfigError(f"'factor' must be above 1, not {factor}")
    _check_count(math.floor(math.log(high / low) / math.log(factor)) + 1)
    levels: list[Scalar] = []
    value = low
    while value <= high * (1 + 1e-12):
        levels.append(_tidy(value))
        value *= factor
    return tuple(levels)


def _divided(low: float, high: float, steps: int, log: bool, whole: bool) -> tuple[Scalar, ...]:
    line = Axis("", (), float(low), float(high), log)
    values = [line.at(number / (steps - 1)) for number in range(steps)]
    rounded = [round(float(v)) if whole else v for v in values if isinstance(v, int | float)]
    return tuple(dict.fromkeys(rounded))


def _check_count(count: int) -> None:
    if count > MAX_LEVELS:
        raise ConfigError(f"must have at most {MAX_LEVELS} values, not {count}")


def _tidy(value: float) -> int | float:
    """Without the last digits, which are noise of the computation."""
    return value if isinstance(value, int) else float(f"{value:.{_DIGITS}g}")
