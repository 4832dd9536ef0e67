"""Commands as bytes without addresses, for updates: numbers of 7 bits a byte, low ones first.

A command is its opcode, decoder unit, semaphores and operands. In the place of an address in DRAM
it names what lies there: FETCH the number of a tile or table, LOAD, STORE and GATHER the number of
a region and an offset.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from azsim.errors import CompileError, ModelError
from azsim_kernels import isa

Place = tuple[int, int]  # address, bytes
Fetched = tuple[int, int, int]  # address, bytes, source
MOVERS = (isa.LOAD, isa.STORE, isa.GATHER)
_WIDE = 1 << 64  # bound of an operand's code


class Writer:
    """Collects numbers."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def whole(self, number: int) -> None:
        """A number of 0 or more."""
        while number >= 128:
            self._bytes.append(number & 127 | 128)
            number >>= 7
        self._bytes.append(number)

    def signed(self, number: int) -> None:
        """Any whole number: 0, -1, 1, -2 as 0, 1, 2, 3."""
        self.whole(2 * number if number >= 0 else -2 * number - 1)

    def real(self, number: float) -> None:
        """A float64."""
        self._bytes += struct.pack("<d", number)

    def content(self) -> bytes:
        """Everything so far."""
        return bytes(self._bytes)


class Reader:
    """Gives the numbers back; `what` names the piece in refusals."""

    def __init__(self, content: bytes, what: str) -> None:
        self._content, self._at, self._what = content, 0, what

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._content) - self._at

    def whole(self, most: int) -> int:
        """The next number, at most `most`.

        Raises:
            ModelError: there is none, or it is larger.
        """
        value = 0
        for place in range(10):
            if self._at >= len(self._content):
                raise ModelError(f"{self._what} must not end within a number")
            byte = self._content[self._at]
            self._at += 1
            value |= (byte & 127) << (7 * place)
            if byte < 128:
                break
        if value > most:
            raise ModelError(f"{self._what}: number must be at most {most}, not {value}")
        return value

    def signed(self) -> int:
        """The next number as `Writer.signed` wrote it, of 64 bits."""
        code = self.whole(_WIDE - 1)
        return -(code // 2) - 1 if code & 1 else code // 2


# -- commands -------------------------------------------------------------------------------------


def write_commands(
    commands: npt.NDArray[np.void], fetched: Sequence[Fetched], regions: Sequence[Place]
) -> bytes:
    """Return commands as bytes; `fetched` and `regions` say what lies at their addresses.

    Raises:
        CompileError: an address at which nothing lies.
    """
    made = Writer()
    by_place = {place: number for number, place in enumerate(fetched)}
    begins = [address for address, _ in regions]
    fields = {name: commands[name].tolist() for name in isa.COMMAND.names or ()}
    for row in range(len(commands)):
        opcode = fields["opcode"][row]
        made.whole(opcode)
        made.whole(fields["unit"][row])
        for what in ("wait", "signal"):
            count = fields[f"n_{what}"][row]
            made.whole(count)
            for number in range(count):
                made.whole(fields[what][row][number])
                made.whole(fields[f"{what}_count"][row][number])
        made.whole(fields["layer"][row])
        arg = fields["arg"][row][: len(isa.OPCODE_ARGS[opcode])]
        if opcode == isa.FETCH:
            made.whole(_number_of(by_place, (arg[0], arg[1], arg[2])))
            continue
        if opcode in MOVERS:
            number = bisect_right(begins, arg[0]) - 1
            made.whole(number)
            arg[0] -= begins[number]
        for entry in arg:
            made.signed(entry)
    return made.content()


def _number_of(by_place: dict[Fetched, int], place: Fetched) -> int:
    if place not in by_place:
        raise CompileError(f"address {place[0]} must be that of a tile or table")
    return by_place[place]


def read_commands(
    content: bytes, fetched: Sequence[Fetched], regions: Sequence[Place], most: int
) -> npt.NDArray[np.void]:
    """Return the at most `most` commands of a piece, at the addresses that `fetched` and `regions`
    have now.

    Raises:
        ModelError: bytes that are no commands.
    """
    reader = Reader(content, "program")
    rows: list[dict[str, Any]] = []
    while reader.left:
        if len(rows) == most:
            raise ModelError(f"program must have at most {most} commands in a piece")
        rows.append(_read_command(reader, fetched, regions))
    made = np.zeros(len(rows), isa.COMMAND)
    for name in isa.COMMAND.names or ():
        if rows:
            made[name] = [row[name] for row in rows]
    return made


def _read_command(
    reader: Reader, fetched: Sequence[Fetched], regions: Sequence[Place]
) -> dict[str, Any]:
    opcode = reader.whole(len(isa.OPCODE_ARGS) - 1)
    command: dict[str, Any] = {"opcode": opcode, "engine": isa.OPCODE_ENGINE[opcode]}
    command["unit"] = reader.whole(255)
    for what, most in (("wait", isa.MAX_WAITS), ("signal", isa.MAX_SIGNALS)):
        count = command[f"n_{what}"] = reader.whole(most)
        pairs = [(reader.whole(255), reader.whole(255)) for _ in range(count)]
        pairs += [(0, 0)] * (most - count)
        command[what] = [semaphore for semaphore, _ in pairs]
        command[f"{what}_count"] = [times for _, times in pairs]
    command["layer"] = reader.whole(2**31 - 1)
    command["arg"] = _read_operands(reader, opcode, fetched, regions)
    return command


def _read_operands(
    reader: Reader, opcode: int, fetched: Sequence[Fetched], regions: Sequence[Place]
) -> list[int]:
    if opcode == isa.FETCH:
        arg = list(_chosen(reader, fetched))
    else:
        base = _chosen(reader, regions)[0] if opcode in MOVERS else 0
        arg = [reader.signed() for _ in isa.OPCODE_ARGS[opcode]]
        arg[0] += base
    if not all(-(2**63) <= entry < 2**63 for entry in arg):
        raise ModelError("program: operands must have 64 bits")
    return arg + [0] * (isa.N_ARGS - len(arg))


def _chosen(reader: Reader, places: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    if not places:
        raise ModelError("program: nothing lies in DRAM that it could name")
    return places[reader.whole(len(places) - 1)]
