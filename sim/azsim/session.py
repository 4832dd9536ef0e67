"""What several runs of one process share: work on the same graph and frames is done once.

A sweep runs one model on hundreds of chips. Its float pass, its batched graph and its integers are
the same each time; `Session` keeps the last few of them in memory, by the identity of the objects
they were made from.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")
KEPT_RESULTS = 3  # of each kind: integer graphs of large models take a byte per weight and more


class Session:
    """Remembers the last results of each kind. Not for several threads at once."""

    def __init__(self, kept: int = KEPT_RESULTS) -> None:
        self._kept = kept
        self._results: dict[str, OrderedDict[Hashable, tuple[Any, Any]]] = {}

    def once(
        self, kind: str, sources: tuple[object, ...], words: Hashable, make: Callable[[], T]
    ) -> T:
        """Return what `make` gave before for the same objects `sources` and equal `words`."""
        known = self._results.setdefault(kind, OrderedDict())
        key = (tuple(id(source) for source in sources), words)
        if key in known:
            known.move_to_end(key)
            result: T = known[key][1]
            return result
        result = make()
        known[key] = (sources, result)  # the sources too: their identity stays taken
        while len(known) > self._kept:
            known.popitem(last=False)
        return result
