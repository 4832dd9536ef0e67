"""The container of a tensor's stream (AZW1): header, tile offsets, checksum, tables, tiles.

All numbers are little-endian u32 unless said otherwise:

    0   magic "AZW1"
    4   version, rows, columns, tile rows, tile columns, tile order, profile, tables, tiles
    40  tiles + 1 offsets in 64-bit words from the start of the payload; the last is its length
    ..  CRC-32C of all bytes so far, then of the CRC field of each table and tile
    ..  zeros up to a multiple of 8 bytes
    ..  payload: the TABLE records, then the tiles
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from azsim.codec.files import read_rest, replace_file
from azsim.codec.geometry import ORDERS, TileGrid
from azsim.errors import StreamError
from azsim_kernels.crc import CRC_START, crc32c, crc32c_tile
from azsim_kernels.header import tile_length, uses_table
from azsim_kernels.tile_errors import BAD_CRC, MEANINGS, NAMES
from azsim_kernels.tile_format import (
    CRC_SHIFT,
    MAX_LENGTH_WORDS,
    SLOT_SHIFT,
    SLOTS,
    TABLE_PALETTE_WORDS,
    TABLE_WORDS,
)

MAGIC = b"AZW1"
VERSION = 1
PROFILES = ("bitmap", "ans")
"""Names of the profile field, indexed by its number."""

_HEADER = struct.Struct("<4s9I")
_WORD_BYTES = 8


@dataclass(frozen=True, eq=False)
class Stream:
    """The compressed weights of one tensor.

    grid           how the tensor is cut
    profile        "bitmap" or "ans": the least decoder that can read it
    words          (n,) uint64: the TABLE records, then the tiles
    offsets        (tiles + 1,) int64: first word of each tile, and the end
    table_offsets  (tables + 1,) int64: first word of each TABLE record, and the end
    name           what error messages call it
    """

    grid: TileGrid
    profile: str
    words: NDArray[np.uint64] = field(repr=False)
    offsets: NDArray[np.int64] = field(repr=False)
    table_offsets: NDArray[np.int64] = field(repr=False)
    name: str = "stream"

    @property
    def tile_count(self) -> int:
        """Number of tiles."""
        return self.offsets.size - 1

    @property
    def table_count(self) -> int:
        """Number of TABLE records."""
        return self.table_offsets.size - 1

    def tile_words(self, tile: int) -> NDArray[np.uint64]:
        """Return a view of the words of tile number `tile`."""
        return self.words[self.offsets[tile] : self.offsets[tile + 1]]

    def table_words(self, table: int) -> NDArray[np.uint64]:
        """Return a view of the words of TABLE record number `table`."""
        return self.words[self.table_offsets[table] : self.table_offsets[table + 1]]

    def to_bytes(self) -> bytes:
        """Return the container's bytes."""
        grid = self.grid
        header = _HEADER.pack(
            MAGIC,
            VERSION,
            grid.rows,
            grid.columns,
            grid.tile_rows,
            grid.tile_columns,
            ORDERS.index(grid.order),
            PROFILES.index(self.profile),
            self.table_count,
            self.tile_count,
        )
        head = header + self.offsets.astype("<u4").tobytes()
        head += struct.pack("<I", _container_crc(head, self))
        return head + bytes(-len(head) % _WORD_BYTES) + self.words.astype("<u8").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "stream") -> Stream:
        """Return the stream of a container's bytes; StreamError if it breaks a rule."""
        return _Parser(data, name).stream()


def tile_fault(name: str, tile: int, code: int, kind: str = "tile") -> StreamError:
    """Return the error of a tile, or table, that failed with the decoder's status code `code`."""
    return StreamError(f"{name}: {kind} {tile}: {NAMES[code]} ({MEANINGS[code]})")


def _container_crc(head: bytes, stream: Stream) -> int:
    """Return the container's CRC from its bytes before the CRC and the stream's CRC fields."""
    starts = np.concatenate([stream.table_offsets[:-1], stream.offsets[:-1]])
    fields = (stream.words[starts] >> np.uint64(CRC_SHIFT)).astype("<u4").tobytes()
    return int(crc32c(np.frombuffer(head + fields, np.uint8), CRC_START))


class _Parser:
    """Reads a container front to back and believes nothing it has not compared."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.name = name

    def fail(self, text: str) -> StreamError:
        """Return the error that `text` is wrong with this container."""
        return StreamError(f"{self.name}: {text}")

    def stream(self) -> Stream:
        """Return the stream; StreamError if the container breaks a rule."""
        grid, profile, tables, tiles = self.header()
        offsets_end = _HEADER.size + 4 * (tiles + 1)
        if len(self.data) < offsets_end + 4:
            raise self.fail(
                f"a container of {tiles} tiles must have at least {offsets_end + 4} bytes, "
                f"not {len(self.data)}"
            )
        offsets = np.frombuffer(self.data, "<u4", tiles + 1, _HEADER.size).astype(np.int64)
        words = self.payload(offsets_end + 4, int(offsets[-1]))
        self.check_offsets(offsets)
        table_offsets = self.tables(words[: offsets[0]], tables)
        stream = Stream(grid, profile, words, offsets, table_offsets, self.name)
        self.check_crc(stream, offsets_end)
        return stream

    def header(self) -> tuple[TileGrid, str, int, int]:
        """Return (grid, profile, tables, tiles) of the fixed header."""
        if self.data[:4] != MAGIC or len(self.data) < _HEADER.size:
            raise self.fail(
                f"must start with {MAGIC.decode()} and a header of {_HEADER.size} bytes"
            )
        _, version, rows, columns, tile_rows, tile_columns, order, profile, tables, tiles = (
            _HEADER.unpack_from(self.data)
        )
        if version != VERSION:
            raise self.fail(f"version must be {VERSION}, not {version}")
        if order >= len(ORDERS):
            raise self.fail(f"tile order must be below {len(ORDERS)}, not {order}")
        if profile >= len(PROFILES):
            raise self.fail(f"profile must be below {len(PROFILES)}, not {profile}")
        grid = TileGrid(rows, columns, tile_rows, tile_columns, ORDERS[order])
        problem = grid.problem()
        if problem:
            raise self.fail(problem)
        if tiles != grid.tile_count:
            raise self.fail(f"tile count must be {grid.tile_count}, not {tiles}")
        most = 0 if PROFILES[profile] == "bitmap" else SLOTS
        if tables > most:
            raise self.fail(f"table count must be at most {most}, not {tables}")
        return grid, PROFILES[profile], tables, tiles

    def payload(self, head_bytes: int, words: int) -> NDArray[np.uint64]:
        """Return the payload after a head of `head_bytes`; it must be exactly `words` long."""
        start = head_bytes + -head_bytes % _WORD_BYTES
        need = start + words * _WORD_BYTES
        if len(self.data) != need:
            raise self.fail(f"must be {need} bytes long, not {len(self.data)}")
        if any(self.data[head_bytes:start]):
            raise self.fail("bytes before the payload must be zero")
        return np.frombuffer(self.data, "<u8", words, start).astype(np.uint64, copy=False)

    def check_offsets(self, offsets: NDArray[np.int64]) -> None:
        """Check that each tile has 1..16383 words and starts where the one before it ends."""
        sizes = np.diff(offsets)
        wrong = np.flatnonzero((sizes < 1) | (sizes > MAX_LENGTH_WORDS))
        if wrong.size:
            tile = int(wrong[0])
            raise self.fail(
                f"tile {tile}: must have 1 to {MAX_LENGTH_WORDS} words, not {sizes[tile]}"
            )

    def tables(self, words: NDArray[np.uint64], tables: int) -> NDArray[np.int64]:
        """Return the offsets of the TABLE records, which must fill `words` exactly."""
        offsets = [0]
        for table in range(tables):
            length = int(tile_length(words[offsets[-1]])) if offsets[-1] < words.size else 0
            if length not in (TABLE_WORDS, TABLE_PALETTE_WORDS):
                raise self.fail(
                    f"table {table}: must have {TABLE_WORDS} or {TABLE_PALETTE_WORDS} words, "
                    f"not {length}"
                )
            offsets.append(offsets[-1] + length)
        if offsets[-1] != words.size:
            raise self.fail(f"tile 0: must start at word {offsets[-1]}, not {words.size}")
        return np.array(offsets, np.int64)

    def check_crc(self, stream: Stream, offsets_end: int) -> None:
        """Check the container's CRC; blame the first table or tile whose own is wrong."""
        (stored,) = struct.unpack_from("<I", self.data, offsets_end)
        found = _container_crc(self.data[:offsets_end], stream)
        if stored == found:
            return
        for table in range(stream.table_count):
            if not _crc_good(stream.table_words(table), CRC_START):
                raise tile_fault(self.name, table, BAD_CRC, "table")
        for tile in range(stream.tile_count):
            if not _tile_crc_good(stream, tile):
                raise tile_fault(self.name, tile, BAD_CRC)
        raise self.fail(f"header checksum must be {found:08x}, not {stored:08x}")


def _crc_good(words: NDArray[np.uint64], initial: int) -> bool:
    """Return whether the CRC field of a tile or table fits its words."""
    return bool(crc32c_tile(words, initial) == int(words[0]) >> CRC_SHIFT)


def _tile_crc_good(stream: Stream, tile: int) -> bool:
    """Return whether a tile's own CRC fits its words, its number and the table it uses."""
    words = stream.tile_words(tile)
    table_crc = 0
    if uses_table(words[0]):
        slot = int(words[0]) >> SLOT_SHIFT & (SLOTS - 1)
        for table in range(stream.table_count):
            header = int(stream.table_words(table)[0])
            if header >> SLOT_SHIFT & (SLOTS - 1) == slot:
                table_crc = header >> CRC_SHIFT
    return _crc_good(words, CRC_START ^ tile ^ table_crc)


def load_stream(path: str | Path) -> Stream:
    """Return the stream of a container file; StreamError if it cannot be read or is damaged."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER.size)
            _Parser(head, str(path)).header()
            data = head + read_rest(file)
    except OSError as error:
        raise StreamError(f"{path}: cannot be read: {error.strerror}") from error
    return Stream.from_bytes(data, str(path))


def save_stream(stream: Stream, path: str | Path) -> None:
    """Write a stream's container to `path`."""
    replace_file(Path(path), stream.to_bytes())
