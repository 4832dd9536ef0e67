"""Weights to streams."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from azsim.codec.ans import encode_ans
from azsim.codec.container import PROFILES, Stream
from azsim.codec.geometry import ORDERS, TileGrid
from azsim.errors import ConfigError
from azsim_kernels.ans_model import log2_q16
from azsim_kernels.bitmap import encode_bitmap_tile
from azsim_kernels.tensor import encode_bitmap_matrix
from azsim_kernels.tile_format import GROUP_WEIGHTS, MAX_TILE_WEIGHTS, SLOTS, max_tile_words

DEFAULT_TILE_WEIGHTS = 16384
SPARSE_TILE_WEIGHTS = 65536
SPARSE_SHARE = 0.75  # of zeros; above it a tile is so short that its header and states weigh
SHORT_BITS = 2.5  # entropy per weight; below it they weigh as much, whatever the zeros


def default_tile(weights: NDArray[np.int8], profile: str) -> int:
    """Return the tile size, in weights, for a matrix whose user names none.

    65,536 for profile "ans" from 75 % zeros on or up to an entropy of 2.5 bits per weight, where
    the 0.02 bits per weight that the header, states and selectors of a 16K tile take are 1 % of it
    and more; else 16,384.
    """
    if profile != "ans" or weights.size == 0:
        return DEFAULT_TILE_WEIGHTS
    counts = np.bincount(weights.reshape(-1).view(np.uint8), minlength=256)
    sparse = counts[0] >= SPARSE_SHARE * weights.size
    short = _information_q16(counts) <= int(SHORT_BITS * 65536) * weights.size
    return SPARSE_TILE_WEIGHTS if sparse or short else DEFAULT_TILE_WEIGHTS


def _information_q16(counts: NDArray[np.int64]) -> int:
    """Return bits times 2**16 of symbols that occur `counts` times, in integers: the same
    everywhere."""
    present = [int(count) for count in counts if count]
    total = sum(present)
    return total * log2_q16(total) - sum(count * log2_q16(count) for count in present)


def encode_tensor(
    weights: NDArray[np.int8],
    *,
    profile: str = "bitmap",
    tile: int | None = None,
    tile_shape: tuple[int, int] | None = None,
    tile_order: str = "row",
    slot: int = 0,
    prefer_speed: bool = True,
    name: str = "stream",
) -> Stream:
    """Encode `weights` (rows, columns) int8 into a stream.

    profile     the most a decoder supports, "bitmap" or "ans"; a stream of profile "ans" that
                needs no table is marked "bitmap"
    tile        weights per tile of the row-major flattened matrix, if `tile_shape` is None;
                None: `default_tile`
    tile_shape  (rows, columns) of a tile, smaller at the edges
    tile_order  "row" or "column": how the weights inside a shaped tile are numbered
    slot        table slot 0..3 of profile "ans"
    prefer_speed  take modes of fewer beats that are nearly as short (profile "ans")

    Raises ConfigError for sizes the format does not have.
    """
    _check_weights(weights, name)
    if profile not in PROFILES:
        raise ConfigError(f"{name}: profile must be one of {', '.join(PROFILES)}, not {profile}")
    if tile_order not in ORDERS[:2]:
        raise ConfigError(f"{name}: tile order must be row or column, not {tile_order}")
    if not 0 <= slot < SLOTS:
        raise ConfigError(f"{name}: table slot must be 0 to {SLOTS - 1}, not {slot}")
    rows, columns = weights.shape
    size = default_tile(weights, profile) if tile is None else tile
    grid = TileGrid(rows, columns, 1, size, "flat")
    if tile_shape is not None:
        grid = TileGrid(rows, columns, tile_shape[0], tile_shape[1], tile_order)
    problem = grid.problem()
    if problem:
        raise ConfigError(f"{name}: {problem}")
    matrix = np.ascontiguousarray(weights).reshape(grid.cut[:2])
    if profile == "bitmap":
        return _encode_bitmap(matrix, grid, name)
    words, offsets, table_offsets = encode_ans(matrix, grid, slot, prefer_speed)
    least = "ans" if table_offsets.size > 1 else "bitmap"
    return Stream(grid, least, words, offsets, table_offsets, name)


def _check_weights(weights: NDArray[np.int8], name: str) -> None:
    """Refuse what is not an int8 matrix."""
    if weights.dtype != np.int8 or weights.ndim != 2:
        raise ConfigError(
            f"{name}: weights must be a matrix of int8, not {weights.ndim}-D of {weights.dtype}"
        )


def _encode_bitmap(matrix: NDArray[np.int8], grid: TileGrid, name: str) -> Stream:
    """Encode a checked matrix, shaped as `grid.cut`, with profile `bitmap`."""
    out = np.empty(grid.tile_count * max_tile_words(grid.largest_tile_weights), np.uint64)
    offsets = np.zeros(grid.tile_count + 1, np.int64)
    end = encode_bitmap_matrix(matrix, *grid.tiling, out, offsets)
    return Stream(grid, "bitmap", out[:end].copy(), offsets, np.zeros(1, np.int64), name)


def encode_tiles(
    tiles: Iterable[NDArray[np.int8]],
) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Encode int8 vectors, each a multiple of 256 long, as bitmap tiles number 0, 1, ...

    Returns (words (n,) uint64 of all tiles, offsets (tiles + 1,) int64 of their first words).
    """
    parts: list[NDArray[np.uint64]] = []
    for number, weights in enumerate(tiles):
        size = weights.size
        if weights.dtype != np.int8 or size % GROUP_WEIGHTS or not 0 < size <= MAX_TILE_WEIGHTS:
            raise ConfigError(
                f"tile {number}: must be int8 of a multiple of {GROUP_WEIGHTS} up to "
                f"{MAX_TILE_WEIGHTS} weights, not {size} of {weights.dtype}"
            )
        out = np.empty(max_tile_words(size), np.uint64)
        parts.append(out[: encode_bitmap_tile(np.ascontiguousarray(weights.ravel()), number, out)])
    offsets = np.concatenate([[0], np.cumsum([part.size for part in parts], dtype=np.int64)])
    return np.concatenate([np.zeros(0, np.uint64), *parts]), offsets.astype(np.int64)
