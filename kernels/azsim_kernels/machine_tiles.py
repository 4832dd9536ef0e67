"""Tiles and weight slots of the fast engine: decode once, then point at the result.

`Storage.pool` holds weights at three kinds of places: the slots' own buffers, a staging buffer
per unit, and kept tiles. A slot's first `size` weights stand at `pool`, the rest in its own
buffer. Only tiles that the program does not write itself are kept; the owner of the memories
clears `valid` (and moves the slots that point there) when he writes into a tile's bytes.
"""

from __future__ import annotations

import numpy as np

from azsim_kernels._jit import kernel
from azsim_kernels.decode import decode_tile_beats
from azsim_kernels.isa import RAW, TABLE
from azsim_kernels.lanes import mark_other
from azsim_kernels.machine_decode import schedule_words
from azsim_kernels.machine_types import Blocks, Records, Scratch, Storage
from azsim_kernels.tile_errors import LENGTH, OK, UNSUPPORTED
from azsim_kernels.tile_format import GROUP_WEIGHTS, PROFILE_BITMAP, WORD_BITS

RAW_BEAT_BITS = 128  # 16 raw weights


@kernel
def capture_tile(tile: Records, storage: Storage) -> None:
    """Keep the bytes that a FETCH moves, if the program may write them while they are used."""
    if tile["capture"] >= 0:
        _copy_tile_bytes(tile, storage, tile["capture"])


@kernel
def _copy_tile_bytes(tile: Records, storage: Storage, to: int) -> None:
    begin, size = tile["address"], tile["bytes"]
    source = storage.store if tile["source"] == 1 else storage.dram
    storage.captured[to : to + size] = source[begin : begin + size]


@kernel
def _load_words(tile: Records, storage: Storage, scratch: Scratch) -> int:
    """Put the tile's words into `scratch.words`; return how many."""
    size = tile["bytes"]
    room = scratch.words.view(np.uint8)
    if tile["capture"] >= 0:
        room[:size] = storage.captured[tile["capture"] : tile["capture"] + size]
    elif tile["source"] == 1:
        room[:size] = storage.store[tile["address"] : tile["address"] + size]
    else:
        room[:size] = storage.dram[tile["address"] : tile["address"] + size]
    return size // 8  # type: ignore[no-any-return]


@kernel
def _decode(tile: Records, words: int, pool: int, storage: Storage, scratch: Scratch) -> int:
    """Decode the words in scratch to `pool`; set the tile's status and return its beats, noted in
    scratch (or of equal size, see `_uniform_bits`).
    """
    if tile["opcode"] == TABLE:
        tile["status"] = UNSUPPORTED  # the profile `bitmap` has no tables
        return words
    size = tile["groups"] * GROUP_WEIGHTS
    weights = storage.pool[pool : pool + size]
    if tile["opcode"] == RAW:
        if 8 * words != size:
            tile["status"] = LENGTH
            return words
        weights[:] = scratch.words[:words].view(np.int8)
        tile["status"] = OK
        return size * 8 // RAW_BEAT_BITS  # type: ignore[no-any-return]
    status, beats = decode_tile_beats(
        scratch.words[:words],
        tile["index"],
        tile["groups"],
        PROFILE_BITMAP,
        scratch.tables,
        weights,
        scratch.beats,
    )
    tile["status"] = status
    return beats if status == OK else words  # type: ignore[no-any-return]


@kernel
def _uniform_bits(tile: Records) -> int:
    """Return the bits of each beat, 0 if they differ; a tile with an error has beats of 64 bits."""
    if tile["status"] != OK:
        return WORD_BITS
    return RAW_BEAT_BITS if tile["opcode"] == RAW else 0


@kernel
def header_crc(tile: Records, storage: Storage) -> int:
    """Return the CRC field of a TILE in memory (upper half of its first word)."""
    memory = storage.store if tile["source"] == 1 else storage.dram
    crc = 0
    for i in range(4):
        crc |= np.int64(memory[tile["address"] + 4 + i]) << (8 * i)
    return crc


@kernel
def prepare_tile(
    tile: Records, unit: Records, port_bits: int, blocks: Blocks, storage: Storage, scratch: Scratch
) -> None:
    """Have weights and schedule of `tile` ready and put what the decoder needs into `unit`."""
    kept = tile["pool"] >= 0
    if not (kept and tile["valid"] == 1 and tile["crc"] == header_crc(tile, storage)):
        pool = tile["pool"] if kept else unit["staging"]
        words = _load_words(tile, storage, scratch)
        beats = _decode(tile, words, pool, storage, scratch)
        schedule = tile["schedule"]
        run, need = storage.run[schedule:], storage.need[schedule:]
        schedule_words(scratch.beats, beats, _uniform_bits(tile), words, port_bits, run, need)
        size = max(tile["groups"], 0) * GROUP_WEIGHTS if tile["opcode"] != TABLE else 0
        if storage.mask.size > 0:
            mark_other(storage.pool[pool : pool + size], 0, storage.mask[pool >> 6 :])
        blocks.clock[0]["version"] += 1
        tile["version"] = blocks.clock[0]["version"]
        tile["beats"] = beats
        tile["crc"] = header_crc(tile, storage)
        tile["valid"] = 1 if kept else 0
    show_tile(tile, unit)


@kernel
def show_tile(tile: Records, unit: Records) -> None:
    """Put into `unit` where schedule and weights of a prepared tile are."""
    kept = tile["pool"] >= 0
    unit["schedule"] = tile["schedule"]
    unit["pool"] = tile["pool"] if kept else unit["staging"]
    unit["kept"] = 1 if kept else 0
    unit["size"] = tile["groups"] * GROUP_WEIGHTS
    unit["status"] = tile["status"]
    unit["version"] = tile["version"]


@kernel
def _copy_weights(storage: Storage, to: int, source: int, size: int) -> None:
    """Copy `size` weights and their mask within the pool; all three are multiples of 256."""
    storage.pool[to : to + size] = storage.pool[source : source + size]
    if storage.mask.size > 0:
        words = size >> 6
        a, b = to >> 6, source >> 6
        storage.mask[a : a + words] = storage.mask[b : b + words]


@kernel
def own_slot(slots: Records, number: int, slot_weights: int, storage: Storage) -> None:
    """Bring all weights of a slot into its own buffer."""
    slot = slots[number]
    if slot["size"] > 0:
        _copy_weights(storage, number * slot_weights, slot["pool"], slot["size"])
        slot["size"] = 0


@kernel
def fill_slot(
    slots: Records, number: int, slot_weights: int, unit: Records, storage: Storage
) -> None:
    """Let a slot hold the tile that `unit` has decoded; weights behind it stay as they were."""
    slot = slots[number]
    size = unit["size"]
    own = number * slot_weights
    if slot["size"] > size:
        _copy_weights(storage, own + size, slot["pool"] + size, slot["size"] - size)
    if unit["kept"] == 1:
        slot["pool"] = unit["pool"]
        slot["size"] = size
    else:
        _copy_weights(storage, own, unit["pool"], size)
        slot["size"] = 0
    slot["version"] = unit["version"]
    slot["covered"] = size


@kernel
def slot_weights_at(
    blocks: Blocks, number: int, weights: int, slot_weights: int, storage: Storage
) -> tuple[int, int]:
    """Return (place, size) in the pool of a slot's content, at least its first `weights`."""
    slot = blocks.slots[number]
    if slot["size"] >= weights:
        return slot["pool"], slot["size"]
    own_slot(blocks.slots, number, slot_weights, storage)
    return number * slot_weights, slot_weights
