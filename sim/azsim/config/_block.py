"""What the models of all files have in common: strict and frozen, and some types of values."""

from __future__ import annotations

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

from azsim.units import is_power_of_two


class Frozen(BaseModel):
    """Frozen, strict, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Block(Frozen):
    """Base of all sections of a chip file."""


def _power_of_two(value: int) -> int:
    if not is_power_of_two(value):
        raise PydanticCustomError("chip_value", "must be a power of two")
    return value


PowerOfTwo = AfterValidator(_power_of_two)
