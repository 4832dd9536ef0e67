"""SPARSE_REPORT.csv: what the weights of each layer take, as bytes and as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from azsim.program import LayerInfo, Program
from azsim.report.access import SRAM_METADATA, bandwidth, layer_accesses
from azsim.report.record import RunRecord
from azsim.report.table import Row, quotient, write_table
from azsim.units import BITS_PER_BYTE
from azsim_kernels import isa
from azsim_kernels.tile_format import (
    GROUP_WEIGHTS,
    GROUPS_SHIFT,
    MASK_CODED,
    MASK_RAW,
    MASK_SPECIAL,
    VAL_BIT,
)

# Source: github.com/scalesim-project/SCALE-Sim, scalesim/simulator.py, generate_reports().
SPARSE_HEADER = (
    "LayerID, Sparsity Representation, Original Filter Storage, "
    "New Storage (Filter+Metadata), Filter Metadata Storage, Avg FILTER Metadata SRAM BW,"
)
OUR_COLUMNS = (
    "Name", "Operator", "Bits", "Weights", "Nonzeros", "Bits per Weight",
    "Entropy Bits per Weight", "Tiles", "Tiles with Mask", "Empty Tiles", "Weight Store Bytes",
)  # fmt: skip
HEADER_BYTES = 8
NO_DECODER = "none"
Place = tuple[int, int]  # source (0 DRAM, 1 weight store), byte address


@dataclass(frozen=True)
class LayerTiles:
    """The tiles of one layer, each counted once. `metadata_bytes` is None where masks or values are
    entropy-coded: their bits cannot be told apart without decoding them."""

    tiles: int = 0
    masked: int = 0
    empty: int = 0
    metadata_bytes: int | None = 0


def write_sparse_report(record: RunRecord, path: Path) -> None:
    """Write SPARSE_REPORT.csv to `path`. Raises ConfigError if it cannot be written."""
    write_table(path, SPARSE_HEADER, OUR_COLUMNS, _rows(record))


def _rows(record: RunRecord) -> Iterator[Row]:
    profile = record.chip.decoder.profile
    program = record.program
    layers = zip(program.layers, layer_tiles(program, profile), layer_accesses(record), strict=True)
    for number, (info, tiles, accesses) in enumerate(layers):
        metadata = "" if tiles.metadata_bytes is None else str(tiles.metadata_bytes)
        leading = (
            str(number),
            profile if info.weights else "",
            str(info.weights),  # one byte each, as a chip without decoder fetches them
            str(info.stream_bytes),
            metadata,
            bandwidth(accesses.of(SRAM_METADATA)),
        )
        yield leading, _ours(info, tiles)


def _ours(info: LayerInfo, tiles: LayerTiles) -> tuple[object, ...]:
    return (
        info.name, info.operator, info.bits, info.weights, info.nonzeros,
        quotient(BITS_PER_BYTE * info.stream_bytes, info.weights),
        quotient(BITS_PER_BYTE * info.entropy_bytes, info.weights),
        tiles.tiles, tiles.masked, tiles.empty, info.resident_bytes,
    )  # fmt: skip


def layer_tiles(program: Program, profile: str) -> tuple[LayerTiles, ...]:
    """Return for each layer what the headers of the tiles say that it fetches."""
    places = {(int(tile["source"]), int(tile["address"])) for tile in program.tiles}
    commands = program.commands
    fetches = commands[commands["opcode"] == isa.FETCH]
    return tuple(
        _layer_tiles(program, places, fetches["arg"][fetches["layer"] == layer], profile)
        for layer in range(len(program.layers))
    )


def _layer_tiles(
    program: Program, places: set[Place], fetches: npt.NDArray[np.int64], profile: str
) -> LayerTiles:
    sizes = {(int(source), int(at)): int(size) for at, size, source in fetches[:, :3]}
    tiles = [place for place in sizes if place in places]
    if profile == NO_DECODER:  # plain rows of weights, without headers
        return LayerTiles(len(tiles))
    tables_bytes = sum(size for place, size in sizes.items() if place not in places)
    return _described(
        np.array([_header(program, *place) for place in tiles], np.uint64), tables_bytes
    )


def _header(program: Program, source: int, address: int) -> np.uint64:
    """Word 0 of the tile at `address` of DRAM (source 0) or the weight store (1)."""
    image = program.store if source else program.dram
    word: np.uint64 = image[address : address + HEADER_BYTES].view("<u8")[0]
    return word


def _described(headers: npt.NDArray[np.uint64], tables_bytes: int) -> LayerTiles:
    mask, coded_value = headers & np.uint64(3), headers >> np.uint64(VAL_BIT) & np.uint64(1)
    special, raw = mask == MASK_SPECIAL, mask == MASK_RAW
    coded = (mask == MASK_CODED) | (~special & (coded_value == 1))
    groups = (headers >> np.uint64(GROUPS_SHIFT) & np.uint64(0xFF)).astype(np.int64) + 1
    mask_bytes = int(groups[raw].sum()) * (GROUP_WEIGHTS // BITS_PER_BYTE)
    known = HEADER_BYTES * len(headers) + mask_bytes + tables_bytes
    return LayerTiles(
        len(headers),
        int(np.count_nonzero(raw | (mask == MASK_CODED))),
        int(np.count_nonzero(special)),
        None if coded.any() else known,
    )
