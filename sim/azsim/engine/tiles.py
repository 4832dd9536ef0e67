"""Decoding tiles for the fast engine: weights, and the schedule that the decoder's time needs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from azsim.engine.plan_tables import HEADER_BYTES, SEVERAL_RECORDS, table_slot_of
from azsim.errors import SimulationError
from azsim_kernels import isa
from azsim_kernels.decode import decode_tile_beats
from azsim_kernels.machine_decode import schedule_words
from azsim_kernels.machine_tiles import mark_weights
from azsim_kernels.machine_types import Storage
from azsim_kernels.table_record import load_table
from azsim_kernels.table_slots import empty_slots
from azsim_kernels.tile_errors import BAD_HEADER, LENGTH, OK, UNSUPPORTED
from azsim_kernels.tile_format import (
    MAX_BEATS,
    PROFILE_ANS,
    PROFILE_BITMAP,
    TABLE_LOAD_CYCLES,
    TABLE_PALETTE_LOAD_CYCLES,
    WORD_BITS,
)

Bytes = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.int8]

RAW_BEAT_BITS = 128  # 16 raw weights


class TileDecoder:
    """Decodes tiles of a layout into the pool and gives each new content a version."""

    def __init__(
        self, storage: Storage, tiles: npt.NDArray[np.void], params: isa.MachineParams
    ) -> None:
        self._storage = storage
        self._tiles = tiles  # of the program: TABLE records are among them
        self._port_bits = params.port_bits
        has_tables = params.decoder_profile == isa.DECODER_ANS
        self._profile = PROFILE_ANS if has_tables else PROFILE_BITMAP
        self._tables = empty_slots()
        self._record = b""  # the TABLE record that `_tables` holds, alone
        self._beats = np.zeros(MAX_BEATS, np.uint16)
        self._version = 0

    def prepare(self, tile: npt.NDArray[np.void], staging: int) -> None:
        """Decode one tile (a TILE record) to its place in the pool, or to `staging` if it is not
        kept, and time its beats.

        Raises:
            SimulationError: a tile came to use another table slot, and it is not known which table
                is there.
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
            return self._load(raw, int(tile["table_slot"]) - 1), raw.size // 8, WORD_BITS
        if tile["opcode"] == isa.RAW:
            if raw.size != weights.size:
                return LENGTH, 0, 0
            weights[:] = raw.view(np.int8)
            return OK, raw.size * 8 // RAW_BEAT_BITS, RAW_BEAT_BITS
        slot = -1
        if self._profile == PROFILE_ANS:
            slot = table_slot_of(int.from_bytes(raw[:HEADER_BYTES].tobytes(), "little"))
            if slot >= 0:
                self._find_table(tile, slot)
        tile["table_slot"] = slot + 1
        status, n_beats = decode_tile_beats(
            raw.view(np.uint64),
            int(tile["index"]),
            int(tile["groups"]),
            self._profile,
            self._tables,
            weights,
            self._beats,
        )
        if status != OK:
            tile["table_slot"] = 0
        elif slot >= 0:
            palette = self._tables.has_palette[slot] == 1
            tile["hold"] = TABLE_PALETTE_LOAD_CYCLES if palette else TABLE_LOAD_CYCLES
        return status, n_beats, 0

    def _load(self, raw: Bytes, slot: int) -> int:
        """Let the tables be those after the TABLE record `raw` for `slot`; return its status."""
        if self._profile != PROFILE_ANS:
            return UNSUPPORTED
        self._tables.written[:] = 0
        self._record = raw.tobytes()
        status = int(load_table(raw.view(np.uint64), PROFILE_ANS, self._tables))
        if status == OK and self._tables.written[slot] == 0:
            return BAD_HEADER  # the record is for another slot
        return status

    def _find_table(self, tile: npt.NDArray[np.void], slot: int) -> None:
        """Load the record that `slot` holds when `tile` is decoded."""
        number = int(tile["tables"][slot])
        if number == SEVERAL_RECORDS:
            where = "weight store" if tile["source"] == 1 else "DRAM"
            raise SimulationError(
                f"tile at {where} address {int(tile['address'])}: must not come to use table slot "
                f"{slot}, which holds different tables where the program uses the tile"
            )
        if number < 0:
            self._tables.written[:] = 0
            self._record = b""
            return
        raw = self._bytes(self._tiles[number])
        if raw.tobytes() != self._record:
            self._load(raw, slot)
