"""Pass 8, compress: each weight matrix becomes a stream of tiles for the chip's decoder.

Profiles bitmap and ans are the weight streams of docs/decoder.md, one table slot per tensor,
round-robin. Profile none is raw int8, row-major inside the tile, padded with zeros.
"""

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
from azsim.graph.integer import IntegerGraph, Linear, WeightArray

WORD_BYTES = 8
RAW_BEAT_BYTES = 16  # the decoder passes 16 raw weights per beat (docs/timing_model.md, section 6)

Words = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CompressedTensor:
    """The tiles of one weight matrix.

    `words` (n,) uint64; tile k is words[offsets[k]:offsets[k+1]]; `tables`: TABLE records (none for
    most profiles). `rows`, `columns`, `weights`, `decode_cycles`: per tile; weights with padding.
    `slot`: table slot. `uses`: how often a step fetches each tile.
    """

    name: str
    words: Words
    offsets: Numbers
    tables: tuple[Words, ...]
    rows: Numbers
    columns: Numbers
    weights: Numbers
    decode_cycles: Numbers
    slot: int
    uses: int
    nonzeros: int
    entropy_bytes: int
    stream: Stream | None  # None for profile none

    @property
    def tiles(self) -> int:
        """Number of tiles."""
        return len(self.rows)

    @property
    def tile_bytes(self) -> Numbers:
        """Bytes of each tile."""
        sizes: Numbers = np.diff(self.offsets) * WORD_BYTES
        return sizes

    @property
    def total_bytes(self) -> int:
        """Bytes of all tiles and tables."""
        return int(self.tile_bytes.sum()) + WORD_BYTES * sum(t.size for t in self.tables)


def compress_graph(
    graph: IntegerGraph, tilings: Mapping[str, LinearTiling], chip: ChipConfig
) -> dict[int, CompressedTensor]:
    """Encode each distinct weight matrix once; the result is keyed by id of the matrix."""
    linears = [node for node in graph.nodes if isinstance(node, Linear)]
    uses: dict[int, int] = {}
    for node in linears:
        key = id(node.weights)
        uses[key] = uses.get(key, 0) + tilings[node.name].fetches
    tensors: dict[int, CompressedTensor] = {}
    for node in linears:
        key = id(node.weights)
        if key not in tensors:
            slot = len(tensors) % chip.decoder.table_slots
            tensors[key] = _compressed(node, tilings[node.name], chip, slot, uses[key])
    return tensors


def _compressed(
    node: Linear, tiling: LinearTiling, chip: ChipConfig, slot: int, uses: int
) -> CompressedTensor:
    rows, columns = _tile_boxes(tiling)
    weights = np.array([padded_weights(int(r), int(c)) for r, c in zip(rows, columns, strict=True)])
    stream, tables = None, tuple[Words, ...]()
    if chip.decoder.profile == "none":
        words, offsets = _raw_words(node.weights, tiling, weights)
        beats = weights // RAW_BEAT_BYTES
        port_words = -(-weights * 8 // chip.decoder.port_bits)
        cycles = np.maximum(beats + -(-256 // chip.decoder.port_bits), port_words + 1)
    else:
        shape = (min(tiling.tile_rows, tiling.rows), tiling.tile_columns)
        stream = encode_tensor(
            node.weights,
            profile=chip.decoder.profile,
            tile_shape=shape,
            slot=slot,
            name=node.name,
        )
        if stream.tile_count != len(rows):
            raise CompileError(f"{stream.name}: must have {len(rows)} tiles")
        words, offsets = stream.words, stream.offsets
        tables = tuple(stream.table_words(k) for k in range(stream.table_count))
        cycles = tile_cycles(stream, chip.decoder.port_bits)
    return CompressedTensor(
        node.name,
        words,
        offsets,
        tables,
        rows,
        columns,
        weights,
        cycles,
        slot,
        uses,
        int(np.count_nonzero(node.weights)),
        _entropy_bytes(node.weights),
        stream,
    )


def _tile_boxes(tiling: LinearTiling) -> tuple[Numbers, Numbers]:
    """Rows and columns of each tile, row-major over the grid."""
    down, across = tiling.grid
    row, column = np.divmod(np.arange(down * across), across)
    rows = np.minimum(tiling.tile_rows, tiling.rows - row * tiling.tile_rows)
    columns = np.minimum(tiling.tile_columns, tiling.columns - column * tiling.tile_columns)
    return rows, columns


def _raw_words(
    matrix: WeightArray, tiling: LinearTiling, weights: Numbers
) -> tuple[Words, Numbers]:
    """Raw int8 tiles as 64-bit words, and the first word of each."""
    offsets = np.concatenate([[0], np.cumsum(weights // WORD_BYTES)])
    raw = np.zeros(int(offsets[-1]) * WORD_BYTES, np.int8)
    _, across = tiling.grid
    for tile in range(len(weights)):
        row, column = divmod(tile, across)
        box = matrix[
            row * tiling.tile_rows : (row + 1) * tiling.tile_rows,
            column * tiling.tile_columns : (column + 1) * tiling.tile_columns,
        ]
        begin = int(offsets[tile]) * WORD_BYTES
        raw[begin : begin + box.size] = box.reshape(-1)
    return raw.view(np.uint64), offsets


def _entropy_bytes(weights: WeightArray) -> int:
    """Zero-order entropy of the matrix, in whole bytes: the mark a codec is measured against."""
    counts = np.bincount(weights.reshape(-1).view(np.uint8), minlength=256)
    shares = counts[counts > 0] / weights.size
    return int(np.ceil(-(shares * np.log2(shares)).sum() * weights.size / 8))


def verify_streams(graph: IntegerGraph, tensors: Mapping[int, CompressedTensor]) -> None:
    """Decode every stream again and compare it with its weights (a check of the codec, bit for
    bit).

    Raises:
        CompileError: a stream that does not give back its weights.
    """
    for node in graph.nodes:
        if isinstance(node, Linear):
            stream = tensors[id(node.weights)].stream
            if stream is not None and not np.array_equal(decode_tensor(stream), node.weights):
                raise CompileError(f"node '{node.name}': stream must decode to its weights")
