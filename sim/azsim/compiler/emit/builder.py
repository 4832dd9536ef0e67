"""Commands under construction: records, memory-driven dependencies, semaphores.

Nobody places semaphores by hand for ABUF or accumulators: each command says which bytes it reads
and writes, and the builder makes it wait for the commands of other engines that touched them.
Engines work in order, so waiting for the youngest such command of an engine is enough, and one
counting semaphore per ordered pair of engines (and kind) carries all its dependencies: the k-th
wait meets the k-th signal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.errors import CompileError
from azsim_kernels import isa

GRANULE_BYTES = 16
ENGINES = (isa.DMA_A, isa.MAC, isa.VECTOR)  # engines whose order follows from memory


@dataclass
class Command:
    """One command being built; `waits` and `signals` are lists of semaphore numbers."""

    engine: int
    opcode: int
    arg: tuple[int, ...]
    layer: int = -1
    unit: int = 0
    waits: list[int] = field(default_factory=list)
    signals: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Access:
    """Bytes [begin, end) of ABUF, or accumulators [begin, end) of every lane."""

    memory: str  # "abuf" or "accumulators"
    begin: int
    end: int


class Semaphores:
    """Numbers semaphores as they are first used."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._numbers: dict[tuple[object, ...], int] = {}
        self.kinds: list[int] = []
        self.initial: list[int] = []

    def number(self, key: tuple[object, ...], kind: int, initial: int = 0) -> int:
        """Return the semaphore of `key`, made at first use."""
        if key not in self._numbers:
            if len(self.kinds) >= self._limit:
                raise CompileError(
                    f"sequencer.semaphores: needs more than the {self._limit} the chip has"
                )
            self._numbers[key] = len(self.kinds)
            self.kinds.append(kind)
            self.initial.append(initial)
        return self._numbers[key]


class ProgramBuilder:
    """Collects commands in program order and orders them by the memory they touch."""

    def __init__(self, semaphores: Semaphores, abuf_bytes: int, accumulators: int) -> None:
        self.semaphores = semaphores
        self.commands: list[Command] = []
        size = {"abuf": -(-abuf_bytes // GRANULE_BYTES), "accumulators": accumulators}
        self._granule = {"abuf": GRANULE_BYTES, "accumulators": 1}
        self._written = {m: _marks(n) for m, n in size.items()}
        self._read = {m: _marks(n) for m, n in size.items()}
        self._covered: dict[tuple[int, int], int] = {}

    def add(
        self,
        command: Command,
        reads: list[Access] | None = None,
        writes: list[Access] | None = None,
    ) -> int:
        """Append a command, with its waits for the commands whose data or room it needs; return its
        number."""
        number = len(self.commands)
        self.commands.append(command)
        for access in reads or []:
            self._depend(number, self._written, access, isa.DATA)
        for access in writes or []:
            self._depend(number, self._written, access, isa.SPACE)
            self._depend(number, self._read, access, isa.SPACE)
        for access in reads or []:
            self._range(self._read, access, command.engine)[:] = number
        for access in writes or []:
            self._range(self._written, access, command.engine)[:] = number
        return number

    def _range(
        self, marks: dict[str, dict[int, npt.NDArray[np.int64]]], access: Access, engine: int
    ) -> npt.NDArray[np.int64]:
        granule = self._granule[access.memory]
        last = -(-access.end // granule)
        return marks[access.memory][engine][access.begin // granule : last]

    def _depend(
        self,
        number: int,
        marks: dict[str, dict[int, npt.NDArray[np.int64]]],
        access: Access,
        kind: int,
    ) -> None:
        engine = self.commands[number].engine
        for other in ENGINES:
            if other != engine:
                youngest = int(self._range(marks, access, other).max(initial=-1))
                self._order(youngest, number, kind)

    def _order(self, producer: int, consumer: int, kind: int) -> None:
        """Make `consumer` wait for `producer`, unless an earlier wait of its engine covers that."""
        if producer < 0:
            return
        pair = (self.commands[producer].engine, self.commands[consumer].engine)
        if producer <= self._covered.get(pair, -1):
            return
        self._covered[pair] = producer
        semaphore = self.semaphores.number(("order", *pair, kind), kind)
        self.commands[producer].signals.append(semaphore)
        self.commands[consumer].waits.append(semaphore)

    def records(self) -> npt.NDArray[np.void]:
        """Return the commands as one array of `isa.COMMAND`."""
        records = np.zeros(len(self.commands), isa.COMMAND)
        for number, command in enumerate(self.commands):
            _fill(records, number, command)
        return records


def _marks(size: int) -> dict[int, npt.NDArray[np.int64]]:
    return {engine: np.full(size, -1, np.int64) for engine in ENGINES}


def _fill(records: npt.NDArray[Any], number: int, command: Command) -> None:
    record = records[number]
    record["engine"], record["opcode"] = command.engine, command.opcode
    record["unit"], record["layer"] = command.unit, command.layer
    record["arg"][: len(command.arg)] = command.arg
    _fill_semaphores(record, "wait", command.waits, isa.MAX_WAITS, number)
    _fill_semaphores(record, "signal", command.signals, isa.MAX_SIGNALS, number)


def _fill_semaphores(record: Any, name: str, numbers: list[int], most: int, command: int) -> None:
    counts: dict[int, int] = {}
    for number in numbers:
        counts[number] = counts.get(number, 0) + 1
    if len(counts) > most:
        raise CompileError(f"command {command}: needs {len(counts)} {name} semaphores, has {most}")
    record[f"n_{name}"] = len(counts)
    for place, (number, count) in enumerate(counts.items()):
        record[name][place] = number
        record[f"{name}_count"][place] = count
