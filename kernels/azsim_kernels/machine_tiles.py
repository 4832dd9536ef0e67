"""Tiles and weight slots of the fast engine: decode once, then point at the result.

`Storage.pool` holds weights at three kinds of places: the slots' own buffers, a staging buffer
per unit, and kept tiles. A slot's first `size` weights stand at `pool`, the rest in its own
buffer. Only tiles that the program does not write itself are kept; the owner of the memories
clears `valid` (and moves the slots that point there) when he writes into a tile's bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.isa import TABLE
from azsim_kernels.lanes import mark_other
from azsim_kernels.machine_types import Ints, Records, Storage, typed

# Version of a slot whose first `covered` weights were packed: they all count as not zero, so that
# the times of all PRODUCT commands inside them are the same.
PACKED = typed(-2)


@kernel
def tile_memory(tile: Records, storage: Storage) -> Ints:
    """Return the memory (uint8) that a tile is fetched from."""
    return storage.store if tile["source"] == 1 else storage.dram  # type: ignore[return-value]


@kernel
def capture_tile(tile: Records, storage: Storage) -> None:
    """Keep the bytes that a FETCH moves, if the program may write them while they are used."""
    to, begin, size = tile["capture"], tile["address"], tile["bytes"]
    if to >= 0:
        memory = tile_memory(tile, storage)
        for i in range(size):
            storage.captured[to + i] = memory[begin + i]


@kernel
def show_tile(tile: Records, unit: Records) -> None:
    """Put into `unit` where schedule and weights of a prepared tile are, and whether its beats must
    wait for a table; called for each tile of the unit in its turn.
    """
    unit["schedule"] = tile["schedule"]
    unit["pool"] = tile["pool"] if tile["pool"] >= 0 else unit["staging"]
    unit["kept"] = 1 if tile["pool"] >= 0 else 0
    unit["size"] = tile["size"]
    unit["status"] = tile["status"]
    unit["version"] = tile["version"]
    unit["hold"] = 0
    slot = tile["table_slot"]
    if tile["opcode"] == TABLE:
        if unit["loaded"] == slot:
            unit["loaded"] = 0  # the registers hold what the slot has lost
    elif slot > 0 and unit["loaded"] != slot:
        unit["loaded"] = slot
        unit["hold"] = tile["hold"]


@kernel
def copy_weights(storage: Storage, to: int, source: int, size: int) -> None:
    """Copy `size` weights and their mask within the pool; all three are multiples of 256."""
    for i in range(size):
        storage.pool[to + i] = storage.pool[source + i]
    if storage.mask.size > 0:
        for i in range(size >> 6):
            storage.mask[(to >> 6) + i] = storage.mask[(source >> 6) + i]


@kernel
def own_slot(slots: Records, number: int, slot_weights: int, storage: Storage) -> None:
    """Bring all weights of a slot into its own buffer."""
    slot = slots[number]
    if slot["size"] > 0:
        copy_weights(storage, number * slot_weights, slot["pool"], slot["size"])
        slot["size"] = 0


@kernel
def point_slot(slot: Records, pool: int, size: int, version: int) -> None:
    """Let a slot hold a kept tile."""
    slot["pool"] = pool
    slot["size"] = size
    slot["version"] = version
    slot["covered"] = size


@kernel
def fill_slot(
    slots: Records,
    number: int,
    slot_weights: int,
    tile: tuple[int, int, int, int],
    storage: Storage,
) -> None:
    """Let a slot hold a tile; weights behind it stay as they were.

    tile  place in the pool, whether it is kept there, weights, version
    """
    pool, kept, size, version = tile
    slot = slots[number]
    own = number * slot_weights
    if slot["size"] > size:
        copy_weights(storage, own + size, slot["pool"] + size, slot["size"] - size)
    point_slot(slot, pool, size, version)
    if kept == 0:
        copy_weights(storage, own, pool, size)
        slot["size"] = 0


@kernel
def slot_place(
    slots: Records, number: int, weights: int, slot_weights: int, storage: Storage
) -> tuple[int, int]:
    """Return (place, size) in the pool of a slot's content, at least its first `weights`."""
    slot = slots[number]
    if slot["size"] >= weights:
        return slot["pool"], slot["size"]
    own_slot(slots, number, slot_weights, storage)
    return number * slot_weights, slot_weights


@kernel
def mark_weights(weights: NDArray[np.int8], mask: NDArray[np.uint64], place: int) -> None:
    """Set the mask of `weights`, which stand at `place` in the pool; none is kept if `mask` is
    empty.
    """
    if mask.size > 0:
        mark_other(weights.view(np.uint8), 0, mask, place >> 6)


@kernel
def cover_packed(
    slots: Records, number: int, count: int, slot_weights: int, storage: Storage
) -> None:
    """Let the mask of the first `count` weights of a slot be all ones, in the slot's own buffer."""
    own_slot(slots, number, slot_weights, storage)
    slot = slots[number]
    slot["version"] = PACKED
    slot["covered"] = count
    if storage.mask.size > 0:
        first = number * slot_weights  # a multiple of 256
        for i in range(count):
            storage.mask[(first + i) >> 6] |= np.uint64(1) << np.uint64((first + i) & 63)
