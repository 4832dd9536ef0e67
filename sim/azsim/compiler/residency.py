"""Pass 9, residency: which tiles stay in the on-chip weight store, and where every tile lies.

The benefit of keeping a tile is the memory traffic it saves per step: its bytes times how often a
step fetches it. Per byte of store that is the number of fetches, so tensors with more fetches come
first. Among equals that do not all fit, tiles are taken evenly spread: memory and store then
deliver side by side all the time, instead of one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from azsim.compiler.compress import WORD_BYTES, CompressedTensor
from azsim.config import ChipConfig
from azsim.program import TILE_DTYPE

DRAM, STORE = 0, 1


@dataclass(frozen=True)
class PlacedTensor:
    """A tensor and its first row in the tile table; `table_addresses`: DRAM byte address of each
    TABLE record."""

    tensor: CompressedTensor
    first_tile: int
    table_addresses: tuple[int, ...]
    resident_bytes: int


@dataclass(frozen=True)
class Residency:
    """`placed` by id of the matrix; `tiles`: the program's tile table; the images of DRAM (weights
    only) and store."""

    placed: Mapping[int, PlacedTensor]
    tiles: npt.NDArray[np.void]
    dram: npt.NDArray[np.uint64]
    store: npt.NDArray[np.uint64]


def place_weights(tensors: Mapping[int, CompressedTensor], chip: ChipConfig) -> Residency:
    """Choose the resident tiles and give every tile and table an address."""
    chosen = choose_resident(list(tensors.values()), chip.weight_store.capacity_kb * 1024)
    dram, store = _Image(), _Image()
    placed: dict[int, PlacedTensor] = {}
    tables = []
    first = 0
    for (key, tensor), resident in zip(tensors.items(), chosen, strict=True):
        dram.align(chip.dma_w.burst_bytes)
        addresses = tuple(dram.add(table) for table in tensor.tables)
        tables.append(_tile_rows(tensor, resident, dram, store))
        resident_bytes = int(tensor.tile_bytes[resident].sum())
        placed[key] = PlacedTensor(tensor, first, addresses, resident_bytes)
        first += tensor.tiles
    tiles = np.concatenate(tables) if tables else np.zeros(0, TILE_DTYPE)
    return Residency(placed, tiles, dram.words(), store.words())


def choose_resident(
    tensors: list[CompressedTensor], capacity_bytes: int
) -> list[npt.NDArray[np.bool_]]:
    """Return a mask of resident tiles per tensor; their bytes together fit `capacity_bytes`."""
    masks = [np.zeros(tensor.tiles, np.bool_) for tensor in tensors]
    left = capacity_bytes
    for uses in sorted({tensor.uses for tensor in tensors}, reverse=True):
        equals = [k for k, tensor in enumerate(tensors) if tensor.uses == uses]
        total = sum(int(tensors[k].tile_bytes.sum()) for k in equals)
        share = min(1.0, left / total) if total else 0.0
        credit = 0.0
        for k in equals:
            for tile, size in enumerate(tensors[k].tile_bytes.tolist()):
                credit += share * size
                if size <= left and credit >= size - 1e-6:
                    masks[k][tile] = True
                    credit -= size
                    left -= size
    return masks


def _tile_rows(
    tensor: CompressedTensor, resident: npt.NDArray[np.bool_], dram: _Image, store: _Image
) -> npt.NDArray[np.void]:
    table = np.zeros(tensor.tiles, TILE_DTYPE)
    for tile in range(tensor.tiles):
        words = tensor.words[tensor.offsets[tile] : tensor.offsets[tile + 1]]
        image = store if resident[tile] else dram
        table["address"][tile] = image.add(words)
    table["source"] = np.where(resident, STORE, DRAM)
    table["words"] = np.diff(tensor.offsets)
    table["index"] = np.arange(tensor.tiles)
    for field in ("rows", "columns", "weights", "decode_cycles"):
        table[field] = getattr(tensor, field)
    return table


class _Image:
    """Words one after another."""

    def __init__(self) -> None:
        self._parts: list[npt.NDArray[np.uint64]] = []
        self._bytes = 0

    def align(self, alignment_bytes: int) -> None:
        """Go on at a multiple of `alignment_bytes` (a multiple of the word)."""
        missing = -self._bytes % max(alignment_bytes, WORD_BYTES)
        self.add(np.zeros(missing // WORD_BYTES, np.uint64))

    def add(self, words: npt.NDArray[np.uint64]) -> int:
        """Append words; return the byte address of the first."""
        address = self._bytes
        self._parts.append(words)
        self._bytes += words.size * WORD_BYTES
        return address

    def words(self) -> npt.NDArray[np.uint64]:
        """Return everything as one array."""
        return np.concatenate(self._parts) if self._parts else np.zeros(0, np.uint64)
