"""Cases from real weights: a tile of a stream or of a program, with the records it needs."""

from __future__ import annotations

from collections import defaultdict, deque

import numpy as np

from azsim.codec import Stream
from azsim.errors import ConfigError
from azsim.program import Program
from azsim.rtl_check.cases import Case
from azsim_kernels import isa


def stream_tile(stream: Stream, tile: int) -> list[Case]:
    """Return the TABLE records of `stream` and its tile number `tile`."""
    if not 0 <= tile < stream.tile_count:
        raise ConfigError(
            f"--tile: must be 0 to {stream.tile_count - 1} ({stream.name}), not {tile}"
        )
    cases = [
        Case(f"table {k} of {stream.name}", _words(stream.table_words(k)), table=True)
        for k in range(stream.table_count)
    ]
    groups = stream.grid.tile_groups(tile)
    name = f"tile {tile} of {stream.name}"
    return [*cases, Case(name, _words(stream.tile_words(tile)), tile, groups)]


def program_tile(program: Program, tile: int) -> list[Case]:
    """Return the `tile`-th tile that `program` decodes, after the records loaded before it on its
    unit.
    """
    fetched: dict[int, deque[tuple[int, ...]]] = defaultdict(deque)
    tables: dict[int, dict[int, Case]] = defaultdict(dict)
    count = 0
    for command in program.commands:
        unit, opcode = int(command["unit"]), int(command["opcode"])
        args = tuple(int(arg) for arg in command["arg"])
        if opcode == isa.FETCH:
            fetched[unit].append(args)
        elif opcode in (isa.TABLE, isa.TILE):
            words = _fetched_words(program, fetched[unit].popleft())
            if opcode == isa.TABLE:
                slot = words[0] >> 7 & 3
                tables[unit][slot] = Case(f"table slot {slot} of {program.name}", words, table=True)
            elif count == tile:
                name = f"tile {tile} of {program.name}"
                return [*tables[unit].values(), Case(name, words, args[2], args[1])]
            else:
                count += 1
        elif opcode == isa.RAW:
            fetched[unit].popleft()
    if count == 0:
        raise ConfigError(f"--tile: {program.name} must have compressed tiles, and has none")
    raise ConfigError(f"--tile: must be 0 to {count - 1} ({program.name}), not {tile}")


def _fetched_words(program: Program, fetch: tuple[int, ...]) -> tuple[int, ...]:
    """Return the words that a FETCH moves."""
    address, size, source = fetch[:3]
    memory = program.store if source else program.dram
    return _words(memory[address : address + size].copy().view("<u8"))


def _words(words: np.ndarray[tuple[int, ...], np.dtype[np.uint64]]) -> tuple[int, ...]:
    return tuple(int(word) for word in words)
