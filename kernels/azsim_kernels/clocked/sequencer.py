"""The sequencer: dispatches commands to the queues of their engines and starts them (phases 2
and 3).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from azsim_kernels.clocked.command import Command, Fault
from azsim_kernels.clocked.engine import Engine
from azsim_kernels.clocked.semaphores import Semaphores


class Sequencer:
    """Queues of commands per engine; notes the cycle of every dispatch and start (-1: never)."""

    def __init__(
        self,
        commands: Sequence[Command],
        engines: Sequence[Engine],
        semaphores: Semaphores,
        queue_depth: int,
    ) -> None:
        self.commands = commands
        self.engines = engines
        self.semaphores = semaphores
        self.queue_depth = queue_depth
        self.queues: list[deque[Command]] = [deque() for _ in engines]
        self.next_command = 0
        self.dispatched = [-1] * len(commands)
        self.started = [-1] * len(commands)
        self.not_started = [0] * len(engines)  # commands per engine
        for command in commands:
            self.not_started[command.engine] += 1
        self.missing: list[set[int]] = [
            set() for _ in engines
        ]  # kinds each head lacked in this cycle

    def dispatch(self, cycle: int) -> bool:
        """Phase 2: the next command enters its engine's queue if there is a place; say whether
        it did.
        """
        if self.next_command == len(self.commands):
            return False
        command = self.commands[self.next_command]
        if len(self.queues[command.engine]) >= self.queue_depth:
            return False
        self.queues[command.engine].append(command)
        self.dispatched[command.number] = cycle
        self.next_command += 1
        return True

    def start(self, cycle: int) -> tuple[bool, tuple[Command, Fault] | None]:
        """Phase 3: start what can start; return whether anything did, and the first command
        that failed.
        """
        any_started = False
        for number, engine in enumerate(self.engines):
            self.missing[number] = set()
            head = self._waiting_head(number, cycle)
            if head is None or engine.running is not None:
                continue
            self.missing[number] = self.semaphores.missing_kinds(head)
            if self.missing[number]:
                continue
            self.semaphores.take(head)
            self.queues[number].popleft()
            self.started[head.number] = cycle
            self.not_started[number] -= 1
            any_started = True
            fault = engine.begin(head, cycle)
            if fault is not None:
                return True, (head, fault)
        return any_started, None

    def _waiting_head(self, engine: int, cycle: int) -> Command | None:
        """Return the head of an engine's queue if it was dispatched before `cycle`."""
        queue = self.queues[engine]
        return queue[0] if queue and self.dispatched[queue[0].number] < cycle else None
