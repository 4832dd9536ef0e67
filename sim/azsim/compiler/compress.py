"""Pass 6, compress: each weight matrix becomes a stream of tiles with an address in DRAM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from azsim.codec import Stream, decode_tensor, encode_tensor
from azsim.codec.timing import tile_cycles
from azsim.compiler.tile import LinearTiling, padded_weights
from azsim.config import ChipConfig
from azsim.errors import CompileError
from azsim.graph.integer import IntegerGraph, Linear
from azsim.program import TILE_DTYPE

WORD_BYTES = 8


@dataclass(frozen=True)
class PlacedStream:
    """A stream and where it is. `first_tile`: its first row in the program's tile table."""

    stream: Stream
    address: int
    first_tile: int
    nonzeros: int
    entropy_bytes: int


@dataclass(frozen=True)
class CompressedWeights:
    """`streams` by id of the weight matrix; `tiles`: the program's tile table; DRAM used up to `end_bytes`."""

    streams: Mapping[int, PlacedStream]
    tiles: npt.NDArray[np.void]
    end_bytes: int


def compress_graph(
    graph: IntegerGraph, tilings: Mapping[str, LinearTiling], chip: ChipConfig
) -> CompressedWeights:
    """Encode each distinct weight matrix once, tile by tile, for the chip's decoder.

    Raises:
        CompileError: the chip's decoder profile cannot be served.
    """
    streams: dict[int, PlacedStream] = {}
    tables: list[npt.NDArray[np.void]] = []
    address, first = 0, 0
    for number, node in enumerate(n for n in graph.nodes if isinstance(n, Linear)):
        if id(node.weights) in streams:
            continue
        address = -(-address // chip.dma_w.burst_bytes) * chip.dma_w.burst_bytes
        stream = _encode(node, tilings[node.name], chip)
        table = _tile_table(stream, tilings[node.name], address, number)
        table["decode_cycles"] = tile_cycles(stream, chip.decoder.port_bits)
        streams[id(node.weights)] = PlacedStream(
            stream,
            address,
            first,
            int(np.count_nonzero(node.weights)),
            _entropy_bytes(node.weights),
        )
        tables.append(table)
        first += len(table)
        address += stream.words.size * WORD_BYTES
    tiles = np.concatenate(tables) if tables else np.zeros(0, TILE_DTYPE)
    return CompressedWeights(streams, tiles, address)


def _encode(node: Linear, tiling: LinearTiling, chip: ChipConfig) -> Stream:
    profile = chip.decoder.profile
    if profile == "none":
        raise CompileError(f"node '{node.name}': decoder.profile must be bitmap, not none")
    shape = (min(tiling.tile_rows, tiling.rows), tiling.tile_columns)
    return encode_tensor(node.weights, profile=profile, tile_shape=shape, name=node.name)


def _tile_table(
    stream: Stream, tiling: LinearTiling, address: int, layer: int
) -> npt.NDArray[np.void]:
    down, across = tiling.grid
    if stream.tile_count != down * across:
        raise CompileError(f"{stream.name}: must have {down * across} tiles")
    table = np.zeros(stream.tile_count, TILE_DTYPE)
    row, column = np.divmod(np.arange(stream.tile_count), across)
    table["rows"] = np.minimum(tiling.tile_rows, tiling.rows - row * tiling.tile_rows)
    table["columns"] = np.minimum(
        tiling.tile_columns, tiling.columns - column * tiling.tile_columns
    )
    table["address"] = address + WORD_BYTES * stream.offsets[:-1]
    table["words"] = np.diff(stream.offsets)
    table["weights"] = [
        padded_weights(int(r), int(c)) for r, c in zip(table["rows"], table["columns"], strict=True)
    ]
    table["index"] = np.arange(stream.tile_count)
    table["layer"] = layer
    return table


def _entropy_bytes(weights: npt.NDArray[np.generic]) -> int:
    """Zero-order entropy of the matrix, in whole bytes: the mark a codec is measured against."""
    counts = np.bincount(weights.reshape(-1).view(np.uint8), minlength=256)
    shares = counts[counts > 0] / weights.size
    return int(np.ceil(-(shares * np.log2(shares)).sum() * weights.size / 8))


def verify_streams(graph: IntegerGraph, compressed: CompressedWeights) -> None:
    """Decode every stream again and compare it with the weights (a check of the codec, bit for bit).

    Raises:
        CompileError: a stream that does not give back its weights.
    """
    for node in graph.nodes:
        if isinstance(node, Linear):
            stream = compressed.streams[id(node.weights)].stream
            if not np.array_equal(decode_tensor(stream), node.weights):
                raise CompileError(f"node '{node.name}': stream must decode to its weights")
