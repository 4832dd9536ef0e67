"""Counting semaphores (section 2 of the timing model)."""

from __future__ import annotations

from collections.abc import Sequence

from azsim_kernels.clocked.command import Command


class Semaphores:
    """Counts that commands take at their start and give when they are free."""

    def __init__(self, kinds: Sequence[int], initial: Sequence[int], maximum: int) -> None:
        self.kinds = [int(kind) for kind in kinds]
        self.counts = [int(count) for count in initial]
        self.maximum = maximum

    def missing_kinds(self, command: Command) -> set[int]:
        """Return the kinds of the semaphores that hold fewer counts than `command` takes in all."""
        needed: dict[int, int] = {}
        for semaphore, count in command.waits:
            needed[semaphore] = needed.get(semaphore, 0) + count
        return {self.kinds[s] for s, count in needed.items() if self.counts[s] < count}

    def take(self, command: Command) -> None:
        """Take what `command` waits for; all of it must be there."""
        for semaphore, count in command.waits:
            self.counts[semaphore] -= count

    def give(self, command: Command) -> int | None:
        """Give what `command` signals; return the first semaphore that goes above the maximum,
        else None.
        """
        for semaphore, count in command.signals:
            self.counts[semaphore] += count
            if self.counts[semaphore] > self.maximum:
                return semaphore
        return None
