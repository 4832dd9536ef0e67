"""Decoding tiles for the fast engine: weights, and the schedule that the decoder's time needs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from azsim_kernels import isa
from azsim_kernels.decode import decode_tile_beats
from azsim_kernels.machine_decode import schedule_words
from azsim_kernels.machine_tiles import mark_weights
from azsim_kernels.machine_types import Storage
from azsim_kernels.table_slots import empty_slots
from azsim_kernels.tile_errors import LENGTH, OK, UNSUPPORTED
from azsim_kernels.tile_format import MAX_BEATS, PROFILE_BITMAP, WORD_BITS

Bytes = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.int8]

RAW_BEAT_BITS = 128  # 16 raw weights


class TileDecoder:
    """Decodes tiles of a layout into the pool and gives each new content a version."""

    def __init__(self, storage: Storage, port_bits: int) -> None:
        self._storage = storage
        self._port_bits = port_bits
        self._tables = empty_slots()
        self._beats = np.zeros(MAX_BEATS, np.uint16)
        self._version = 0

    def prepare(self, tile: npt.NDArray[np.void], staging: int) -> None:
        """Decode one tile (a TILE record) to its place in the pool, or to `staging` if it is not
        kept, and time its beats.
        """
        pool = int(tile["pool"]) if tile["pool"] >= 0 else staging
        size = int(tile["size"])
        raw = self._bytes(tile)
        weights = self._storage.pool[pool : pool + size]
        status, n_beats, uniform_bits = self._decode(tile, raw, weights)
        if status != OK:  # whatever is wrong, the tile's beats count as its words
            n_beats, uniform_bits = raw.size // 8, WORD_BITS
        schedule_words(
            self._beats,
            n_beats,
            uniform_bits,
            raw.size // 8,
            self._port_bits,
            self._storage.schedule,
            int(tile["schedule"]),
        )
        mark_weights(weights, self._storage.mask, pool)
        self._version += 1
        tile["status"] = status
        tile["version"] = self._version
        tile["valid"] = int(tile["pool"] >= 0)

    def _bytes(self, tile: npt.NDArray[np.void]) -> Bytes:
        """Return an aligned copy of the bytes that the tile's FETCH moved."""
        begin, size = int(tile["address"]), int(tile["bytes"])
        if tile["capture"] >= 0:
            begin = int(tile["capture"])
            return self._storage.captured[begin : begin + size].copy()
        memory = self._storage.store if tile["source"] == 1 else self._storage.dram
        return memory[begin : begin + size].copy()

    def _decode(
        self, tile: npt.NDArray[np.void], raw: Bytes, weights: Weights
    ) -> tuple[int, int, int]:
        """Return (status, beats, bits of each beat: 0 if they differ and are noted)."""
        if tile["opcode"] == isa.TABLE:
            return UNSUPPORTED, 0, 0  # the profile `bitmap` has no tables
        if tile["opcode"] == isa.RAW:
            if raw.size != weights.size:
                return LENGTH, 0, 0
            weights[:] = raw.view(np.int8)
            return OK, raw.size * 8 // RAW_BEAT_BITS, RAW_BEAT_BITS
        status, n_beats = decode_tile_beats(
            raw.view(np.uint64),
            int(tile["index"]),
            int(tile["groups"]),
            PROFILE_BITMAP,
            self._tables,
            weights,
            self._beats,
        )
        return status, n_beats, 0
