"""A chip that notes which of its keys are read, so that a program is found again by those alone.

The compiler never looks at the clock, the memory's rate or latency. Two chips
that agree in every key that it did look at get the same program.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MethodType
from typing import Any, cast

from azsim.config import ChipConfig
from azsim.config._block import Block

WHOLE = "*"  # something looked at the chip as a whole
_STAMPS = ("name", "config_hash")  # written into a program, and replaced when it is found again


def recorded_chip(chip: ChipConfig) -> tuple[ChipConfig, dict[str, Any]]:
    """Return something that reads like `chip`, and the dictionary that its reads are noted in."""
    reads: dict[str, Any] = {}
    return cast(ChipConfig, _Recorded(chip, (), reads)), reads


def read_values(chip: ChipConfig, names: tuple[str, ...]) -> Mapping[str, Any] | None:
    """The values of `chip` for names that were read of another; None if it has no such key."""
    tree: Any = chip.model_dump(mode="json")
    values: dict[str, Any] = {}
    for name in names:
        if name == WHOLE:
            values[name] = chip.config_hash()
            continue
        part = tree
        for step in name.split("."):
            if not isinstance(part, dict) or step not in part:
                return None
            part = part[step]
        values[name] = part
    return values


class _Recorded:
    """One section of a chip."""

    def __init__(self, block: Block, path: tuple[str, ...], reads: dict[str, Any]) -> None:
        self._block, self._path, self._reads = block, path, reads

    def __getattr__(self, name: str) -> Any:
        kind = type(self._block)
        if not self._path and name in _STAMPS:
            return getattr(self._block, name)
        if name in kind.model_fields:
            value = getattr(self._block, name)
            path = (*self._path, name)
            if isinstance(value, Block):
                return _Recorded(value, path, self._reads)
            self._reads[".".join(path)] = value
            return value
        ours = kind.__dict__.get(name)
        if isinstance(ours, property) and ours.fget is not None:
            return ours.fget(self)
        if callable(ours):
            return MethodType(ours, self)
        self._reads[WHOLE] = None
        return getattr(self._block, name)
