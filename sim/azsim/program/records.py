"""JSON values of a program file as the frozen records of `azsim.program.types`, each type checked.

The dataclasses would take anything: a name that is a number, a size that is a text. What is wrong
raises ValueError with the name of the field.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any, TypeVar

from azsim.program.types import LayerInfo, Port, Region

_Record = TypeVar("_Record", LayerInfo, Port, Region)

_MOST = 1 << 62  # so that sums of two sizes still fit 64 bits
_MOST_DIMENSIONS = 32  # numpy's arrays can have as many in every version


def read_records(kind: type[_Record], found: Any) -> Iterator[_Record]:
    """Yield each JSON object of a list as a `kind`."""
    if not isinstance(found, list):
        raise ValueError(f"{kind.__name__} records must be a list")
    for entry in found:
        if not isinstance(entry, dict) or set(entry) != {field.name for field in fields(kind)}:
            raise ValueError(f"a {kind.__name__} record must have the fields of its kind")
        yield kind(**{f.name: _READERS[str(f.type)](entry[f.name], f.name) for f in fields(kind)})


def read_text(value: Any, name: str) -> str:
    """Return a JSON string."""
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text")
    return value


def read_whole(value: Any, name: str) -> int:
    """Return a JSON integer from -2^62 to 2^62."""
    if type(value) is not int or not -_MOST <= value <= _MOST:
        raise ValueError(f"{name} must be an integer below 2^62")
    return value


def _number(value: Any, name: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number")
    return float(value)


def _shape(value: Any, name: str) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) > _MOST_DIMENSIONS:
        raise ValueError(f"{name} must be a list of at most {_MOST_DIMENSIONS} integers")
    return tuple(read_whole(size, name) for size in value)


_READERS: dict[str, Callable[[Any, str], Any]] = {
    "str": read_text,
    "int": read_whole,
    "float": _number,
    "tuple[int, ...]": _shape,
}
