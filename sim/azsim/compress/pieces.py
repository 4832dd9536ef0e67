"""A compiled model in pieces that a device can keep or replace one by one, and put together again.

The pieces hold no addresses: the device places them, by the rules of the compiler, and writes
addresses and lengths into its commands. So a piece that grew changes no other piece.
docs/compression.md has the form of each kind.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from azsim.compiler.compress import WORD_BYTES, CompressedTensor
from azsim.compiler.emit.image import DramImage
from azsim.compiler.residency import Residency, place_weights
from azsim.compress.command_code import Reader, Writer, read_commands, write_commands
from azsim.config import ChipConfig
from azsim.errors import CompileError, ModelError
from azsim.program import Port, Program, Region

BLOCK_COMMANDS = 64  # of one piece
MAX_FETCHES = 1 << 20  # of a matrix in a step


class Kind(IntEnum):
    """What a piece is: its number in a record."""

    MATRICES = 0  # tiles, tables and fetches of each matrix
    TILE = 1  # words of one tile
    TABLE = 2  # words of one table of profile ans
    LAYOUT = 3  # sizes of what lies in DRAM
    DATA = 4  # parameters of rows, or a constant
    HOST = 5  # semaphores; scales and zero points of inputs and outputs
    PROGRAM = 6  # a block of commands


@dataclass(frozen=True, order=True)
class Key:
    """`matrix` of a tile or table, else 0; `number` among its like."""

    kind: Kind
    matrix: int = 0
    number: int = 0


Pieces = Mapping[Key, bytes]


@dataclass(frozen=True)
class Images:
    """What the chip works on: memory images (uint8) and `commands` of dtype COMMAND."""

    dram: npt.NDArray[np.uint8]
    store: npt.NDArray[np.uint8]
    commands: npt.NDArray[np.void]

    def to_json(self) -> dict[str, int | str]:
        """Sizes, and the CRC of each image."""
        arrays = {"dram": self.dram, "store": self.store, "commands": self.commands}
        checks = {
            f"{name}_crc32": f"{zlib.crc32(np.ascontiguousarray(array).tobytes()):08x}"
            for name, array in arrays.items()
        }
        sizes = {"dram_bytes": self.dram.size, "store_bytes": self.store.size}
        return {**sizes, "commands": len(self.commands), **checks}


@dataclass(frozen=True)
class _Places:
    """Addresses: of each tile and table as FETCH has them (address, bytes, source), of each region
    of DRAM, in the order of their numbers."""

    fetched: list[tuple[int, int, int]]
    regions: list[tuple[int, int]]  # address, bytes


# -- apart ----------------------------------------------------------------------------------------


def take_apart(
    program: Program, tensors: list[CompressedTensor], residency: Residency
) -> dict[Key, bytes]:
    """Return the pieces of a program whose weights are `tensors`, placed as `residency` says."""
    found: dict[Key, bytes] = {}
    matrices = Writer()
    for matrix, tensor in enumerate(tensors):
        for number in (tensor.tiles, len(tensor.tables), tensor.uses):
            matrices.whole(number)
        for number in range(tensor.tiles):
            words = tensor.words[tensor.offsets[number] : tensor.offsets[number + 1]]
            found[Key(Kind.TILE, matrix, number)] = words.tobytes()
        for number, table in enumerate(tensor.tables):
            found[Key(Kind.TABLE, matrix, number)] = table.tobytes()
    regions = dram_regions(program)
    layout = Writer()
    for number, region in enumerate(regions[1:], start=1):
        end = region.address + region.bytes
        content = program.dram[region.address : end]
        # zeros are not sent, but for the last that the image ends with
        is_data = end <= program.dram.size and (bool(content.any()) or end == program.dram.size)
        layout.whole(2 * region.bytes + is_data)
        if is_data:
            found[Key(Kind.DATA, number=number)] = content.tobytes()
    found[Key(Kind.MATRICES)] = matrices.content()
    found[Key(Kind.LAYOUT)] = layout.content()
    found[Key(Kind.HOST)] = _host(program)
    places = _Places(
        _fetched(tensors, residency), [(region.address, region.bytes) for region in regions]
    )
    commands = program.commands
    for number, begin in enumerate(range(0, len(commands), BLOCK_COMMANDS)):
        block = commands[begin : begin + BLOCK_COMMANDS]
        key = Key(Kind.PROGRAM, number=number)
        found[key] = write_commands(block, places.fetched, places.regions)
    return dict(sorted(found.items()))


def dram_regions(program: Program) -> list[Region]:
    """What lies in DRAM, the weights first, in the order in which it was placed."""
    return [region for region in program.regions if region.memory == "dram"]


def _fetched(tensors: list[CompressedTensor], residency: Residency) -> list[tuple[int, int, int]]:
    """(address, bytes, source) of every tile, then of every table."""
    rows = residency.tiles
    found = [
        (int(row["address"]), int(row["words"]) * WORD_BYTES, int(row["source"])) for row in rows
    ]
    for tensor, placed in zip(tensors, residency.placed.values(), strict=True):
        for table, address in zip(tensor.tables, placed.table_addresses, strict=True):
            found.append((address, table.nbytes, 0))
    return found


def _host(program: Program) -> bytes:
    """What is set up beside the memories before the first step."""
    made = Writer()
    made.whole(len(program.semaphore_kinds))
    for kind, count in zip(program.semaphore_kinds, program.semaphore_initial, strict=True):
        made.whole(int(kind))
        made.whole(int(count))
    ports: list[Port] = [*program.inputs, *program.outputs]
    for port in ports:
        made.real(port.scale)
        made.signed(port.zero_point)
    return made.content()


# -- together -------------------------------------------------------------------------------------


def put_together(pieces: Pieces, chip: ChipConfig) -> Images:
    """Place the pieces as the compiler does and return the images they make.

    Raises:
        ModelError: pieces that are missing, or do not make a program; CompileError where the chip
            has no room for them.
    """
    tensors = _tensors(pieces)
    residency = place_weights(dict(enumerate(tensors)), chip)
    capacity = chip.memory.capacity_mb * 2**20
    image = DramImage(capacity)
    image.place("weights", residency.dram)
    layout = Reader(_piece(pieces, Key(Kind.LAYOUT)), "layout")
    number = 0
    while layout.left:
        number += 1
        room, is_data = divmod(layout.whole(2 * capacity + 1), 2)
        if is_data:
            content = _piece(pieces, Key(Kind.DATA, number=number))
            if len(content) != room:
                raise ModelError(f"region {number} must have {room} bytes, not {len(content)}")
            image.place("", np.frombuffer(content, np.uint8))
        else:
            image.reserve("", room)
    places = _Places(
        _fetched(tensors, residency), [(region.address, region.bytes) for region in image.regions]
    )
    store = residency.store.view(np.uint8)
    return Images(image.bytes(), store, _commands(pieces, places))


def _piece(pieces: Pieces, key: Key) -> bytes:
    if key not in pieces:
        where = f" of matrix {key.matrix}" if key.kind in (Kind.TILE, Kind.TABLE) else ""
        raise ModelError(f"{key.kind.name.lower()} {key.number}{where} must be there")
    return pieces[key]


def _tensors(pieces: Pieces) -> list[CompressedTensor]:
    reader = Reader(_piece(pieces, Key(Kind.MATRICES)), "matrices")
    found: list[CompressedTensor] = []
    while reader.left:
        tiles, tables = reader.whole(len(pieces)), reader.whole(len(pieces))
        found.append(_tensor(pieces, len(found), tiles, tables, reader.whole(MAX_FETCHES)))
    return found


def _tensor(pieces: Pieces, matrix: int, tiles: int, tables: int, uses: int) -> CompressedTensor:
    """A matrix as far as its place goes: what it computes is in its words."""

    def words(kind: Kind, number: int) -> npt.NDArray[np.uint64]:
        content = _piece(pieces, Key(kind, matrix, number))
        if len(content) % WORD_BYTES:
            raise ModelError(f"{kind.name.lower()} {number} of matrix {matrix} must be whole words")
        return np.frombuffer(content, np.uint64)

    parts = [words(Kind.TILE, number) for number in range(tiles)]
    offsets = np.concatenate([[0], np.cumsum([part.size for part in parts], dtype=np.int64)])
    nothing = np.zeros(tiles, np.int64)
    return CompressedTensor(
        name="",
        words=np.concatenate(parts) if parts else np.zeros(0, np.uint64),
        offsets=offsets,
        tables=tuple(words(Kind.TABLE, number) for number in range(tables)),
        rows=nothing,
        columns=nothing,
        weights=nothing,
        decode_cycles=nothing,
        slot=0,
        uses=uses,
        nonzeros=0,
        entropy_bytes=0,
        stream=None,
    )


def _commands(pieces: Pieces, places: _Places) -> npt.NDArray[np.void]:
    blocks: list[npt.NDArray[np.void]] = []
    while (key := Key(Kind.PROGRAM, number=len(blocks))) in pieces:
        blocks.append(read_commands(pieces[key], places.fetched, places.regions, BLOCK_COMMANDS))
    if not blocks:
        raise ModelError("program 0 must be there")
    ends = np.cumsum([len(block) for block in blocks])
    made = np.zeros(int(ends[-1]), blocks[0].dtype)  # bytes between fields are 0 as well
    for block, end in zip(blocks, ends.tolist(), strict=True):
        made[end - len(block) : end] = block
    return made


def check_pieces(pieces: Pieces, program: Program, chip: ChipConfig) -> None:
    """Refuse pieces that do not make `program` again: an update of them would be wrong.

    Raises:
        CompileError: a program that these pieces cannot hold.
    """
    made = put_together(pieces, chip)
    for name in ("dram", "store", "commands"):
        if getattr(made, name).tobytes() != np.ascontiguousarray(getattr(program, name)).tobytes():
            raise CompileError(f"'{program.name}': {name} must be made of pieces")
