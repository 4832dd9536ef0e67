"""What every engine of the machine has in common: it runs one command at a time."""

from __future__ import annotations

from azsim_kernels.clocked.command import Command, Fault


class Engine:
    """An engine that takes a command at its start and gives it back when it is free.

    The machine calls, in each cycle: `arrive` (phase 1), `is_free` and `finish` (phase 1), `begin`
    (phase 3), `tick` (phase 4, or the body of the cycle for engines without memory requests).
    """

    def __init__(self) -> None:
        self.running: Command | None = None

    def begin(self, command: Command, cycle: int) -> Fault | None:
        """Start `command` in `cycle`."""
        self.running = command
        return None

    def arrive(self, cycle: int) -> bool:
        """Take what becomes visible in `cycle`; say whether anything did."""
        return False

    def is_free(self, cycle: int) -> bool:
        """Say whether the running command is free in `cycle` (asked in phase 1)."""
        raise NotImplementedError

    def finish(self) -> Fault | None:
        """Let the running command take effect."""
        raise NotImplementedError

    def count(self) -> None:
        """Count what the command did that just took effect."""

    def release(self) -> None:
        """Forget the command that is free."""
        self.running = None

    def tick(self, cycle: int) -> bool:
        """Do the work of `cycle`; say whether there was an event (section 1: request, word,
        beat).
        """
        return False

    def under_way(self) -> bool:
        """Say whether time alone brings the engine further."""
        return False
