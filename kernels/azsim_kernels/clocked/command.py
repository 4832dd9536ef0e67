"""One command of a program as plain Python values, and the fault that ends a run."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from azsim_kernels import isa


class Command(NamedTuple):
    """A record of `isa.COMMAND`: `waits` and `signals` are (semaphore, count) pairs in the
    record's order.
    """

    number: int
    engine: int  # engine number (isa.engine_number)
    opcode: int
    waits: tuple[tuple[int, int], ...]
    signals: tuple[tuple[int, int], ...]
    arg: tuple[int, ...]

    def operands(self) -> dict[str, int]:
        """Return the operands by their names."""
        return dict(zip(isa.OPCODE_ARGS[self.opcode], self.arg, strict=False))


class Fault(NamedTuple):
    """Why a run ends early: a status of `isa` and its code (section 11 of the timing model)."""

    status: int
    code: int


BAD_OPERAND = Fault(isa.BAD_OPERAND, 0)


def inside(address: int, size: int, memory: NDArray[Any]) -> bool:
    """Say whether [address, address + size) lies inside `memory` (bytes)."""
    return address >= 0 and size >= 0 and address + size <= memory.size


def read_commands(records: NDArray[np.void], units: int) -> list[Command]:
    """Return the commands of `records` (dtype `isa.COMMAND`) in program order."""
    commands = []
    for number, record in enumerate(records):
        engine = isa.engine_number(int(record["engine"]), int(record["unit"]), units)
        waits = zip(record["wait"].tolist(), record["wait_count"].tolist(), strict=True)
        signals = zip(record["signal"].tolist(), record["signal_count"].tolist(), strict=True)
        commands.append(
            Command(
                number,
                engine,
                int(record["opcode"]),
                tuple(waits)[: int(record["n_wait"])],
                tuple(signals)[: int(record["n_signal"])],
                tuple(record["arg"].tolist()),
            )
        )
    return commands
