"""The weight decoder of one unit (section 6 of the timing model): a 512-bit window between port
words and beats, and four table slots of which one stands in the registers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from azsim_kernels import isa, tile_errors
from azsim_kernels.clocked.command import BAD_OPERAND, Command, Fault
from azsim_kernels.clocked.engine import Engine
from azsim_kernels.clocked.fifo import StreamFifo, StreamTile
from azsim_kernels.clocked.memory import Counters, Storage
from azsim_kernels.reference.decode import decode_tile_beats
from azsim_kernels.reference.header import parse_header
from azsim_kernels.reference.table_record import load_table
from azsim_kernels.table_slots import TableSlots
from azsim_kernels.tile_format import (
    FIRE_BITS,
    GROUP_WEIGHTS,
    MAX_BEATS,
    PROFILE_ANS,
    PROFILE_BITMAP,
    SLOTS,
    TABLE_LOAD_CYCLES,
    TABLE_PALETTE_LOAD_CYCLES,
    WINDOW_BITS,
    WORD_BITS,
)

RAW_BEAT_BITS = 128  # 16 raw weights


class WeightDecoder(Engine):
    """Accepts at most one port word and fires at most one beat per cycle.

    The words come in the order of the tiles; the window holds words of one tile at a time.
    """

    def __init__(
        self,
        unit: int,
        params: isa.MachineParams,
        storage: Storage,
        slots: TableSlots,
        fifo: StreamFifo,
        counters: Counters,
    ) -> None:
        super().__init__()
        self.unit = unit
        self.params = params
        self.storage = storage
        self.slots = slots
        self.fifo = fifo
        self.counters = counters
        self.tile: StreamTile | None = None  # known from its first accepted word on
        self.fill = 0
        self.remaining_bits = 0
        self.beats: list[int] | None = None  # bits of the beats still to fire; None: not known yet
        self.drain_cycles = 0  # after the last beat: cycles until the pipeline is empty
        self.last_beat_fired = False
        self.weights: NDArray[np.int8] = np.zeros(0, np.int8)
        self.error = tile_errors.OK
        self.loaded_slot: int | None = None  # table slot whose content is in the registers
        self.hold_cycles = 0  # cycles to come in which the registers are loaded: no beat fires
        self.worked = False  # a beat, a word or a hold in this cycle

    def begin(self, command: Command, cycle: int) -> Fault | None:
        """Check the operands; from now on beats may fire."""
        self.running = command
        self.last_beat_fired = False
        self.beats = None
        if command.opcode == isa.TABLE:
            return None if 0 <= command.arg[0] < SLOTS else BAD_OPERAND
        slot, groups = command.arg[:2]
        fits = groups >= 1 and groups * GROUP_WEIGHTS <= self.params.slot_weights
        return None if fits and 0 <= slot < self.params.tile_slots else BAD_OPERAND

    def is_free(self, cycle: int) -> bool:
        """Free when the last beat has left the pipeline."""
        return self.last_beat_fired and self.drain_cycles == 0

    def finish(self) -> Fault | None:
        """Write the weights to the slot, or fail with the tile's error."""
        assert self.running is not None
        if self.error != tile_errors.OK:
            return Fault(isa.BAD_TILE, self.error)
        if self.running.opcode != isa.TABLE:
            self.storage.wbuf[self.running.arg[0], : self.weights.size] = self.weights
            self.storage.packed[self.running.arg[0], : self.weights.size] = False
        return None

    def count(self) -> None:
        """Count the tile."""
        if self.running is not None and self.running.opcode != isa.TABLE:
            self.counters.add(f"decode{self.unit}_tiles_decoded", 1)

    def tick(self, cycle: int) -> bool:
        """Fire a beat and accept a word, both judged by the window as it stood before this
        cycle.
        """
        if self.last_beat_fired and self.drain_cycles > 0:
            self.drain_cycles -= 1
        held = self.hold_cycles > 0
        fire = not held and self._may_fire()
        accept = self._may_accept()
        if held:
            self.hold_cycles -= 1
        if fire:
            self._fire()
        if accept:
            self._accept()
        if fire and not self.beats:
            self._end_tile()
        self.worked = fire or accept or held
        return self.worked

    def _may_fire(self) -> bool:
        if self.running is None or self.last_beat_fired or self.tile is None:
            return False
        return self.fill >= FIRE_BITS or self.remaining_bits == 0

    def _may_accept(self) -> bool:
        if not self.fifo.words:
            return False
        if self.tile is not None and self.remaining_bits == 0:
            return False  # the next word is of the next tile
        return self.fill + self.params.port_bits <= WINDOW_BITS

    def _fire(self) -> None:
        if self.beats is None:
            self.beats = self._decode()  # this is the first beat
            if self.error == tile_errors.OK:
                self._use_registers()
        self.fill -= self.beats.pop(0)
        self.counters.add(f"decode{self.unit}_beats_fired", 1)

    def _accept(self) -> None:
        tile = self.fifo.pop()
        if self.tile is None:
            self.tile = tile
            self.remaining_bits = 8 * tile.bytes.size
        taken = min(self.params.port_bits, self.remaining_bits)
        self.fill += taken
        self.remaining_bits -= taken
        self.counters.add(f"decode{self.unit}_words_accepted", 1)

    def _end_tile(self) -> None:
        """After the last beat the window is emptied for the next tile; the pipeline drains."""
        self.tile = None
        self.fill = 0
        self.last_beat_fired = True
        self.drain_cycles = self.params.decoder_pipeline_cycles

    def _decode(self) -> list[int]:
        """Decode the tile of the running command; return the bits each beat consumes."""
        assert self.running is not None
        assert self.tile is not None
        words = self.tile.bytes.view("<u8")
        if self.running.opcode == isa.TABLE:
            self.error = self._load_table(words)
            beats = [WORD_BITS] * words.size
        elif self.running.opcode == isa.RAW:
            beats = self._decode_raw(self.tile.bytes)
        else:
            beats = self._decode_tile(words)
        return beats if self.error == tile_errors.OK else [WORD_BITS] * words.size

    def _use_registers(self) -> None:
        """Hold the beats after the header if the tile's table must come from the table RAM first.

        The registers lose a table whose slot is written anew.
        """
        assert self.running is not None
        assert self.tile is not None
        if self.running.opcode == isa.RAW:
            return
        header = parse_header(int(self.tile.bytes[:8].view("<u8")[0]))
        if header.is_table and self.loaded_slot == header.slot:
            self.loaded_slot = None
        elif header.uses_table and self.loaded_slot != header.slot:
            self.loaded_slot = header.slot
            palette = bool(self.slots.has_palette[header.slot])
            self.hold_cycles = TABLE_PALETTE_LOAD_CYCLES if palette else TABLE_LOAD_CYCLES

    def _load_table(self, words: NDArray[np.uint64]) -> int:
        """Load a TABLE record into its slot, which must be the one of the command."""
        assert self.running is not None
        if self._profile() == PROFILE_BITMAP:
            return tile_errors.UNSUPPORTED  # no tables at all
        error = load_table(words.astype(np.uint64), PROFILE_ANS, self.slots)
        if error == tile_errors.OK and parse_header(int(words[0])).slot != self.running.arg[0]:
            return tile_errors.BAD_HEADER
        return error

    def _profile(self) -> int:
        has_tables = self.params.decoder_profile == isa.DECODER_ANS
        return PROFILE_ANS if has_tables else PROFILE_BITMAP

    def _decode_raw(self, raw: NDArray[np.uint8]) -> list[int]:
        assert self.running is not None
        fits = raw.size == self.running.arg[1] * GROUP_WEIGHTS
        self.error = tile_errors.OK if fits else tile_errors.LENGTH
        self.weights = raw.view(np.int8)
        return [RAW_BEAT_BITS] * (8 * raw.size // RAW_BEAT_BITS)

    def _decode_tile(self, words: NDArray[np.uint64]) -> list[int]:
        assert self.running is not None
        groups, tile_index = self.running.arg[1:3]
        self.weights = np.zeros(groups * GROUP_WEIGHTS, np.int8)
        beats = np.zeros(MAX_BEATS, np.uint16)
        self.error, fired = decode_tile_beats(
            words.astype(np.uint64),
            tile_index,
            groups,
            self._profile(),
            self.slots,
            self.weights,
            beats,
        )
        return [int(bits) for bits in beats[:fired]]

    def under_way(self) -> bool:
        """After the last beat the pipeline drains by itself (a hold counts as work)."""
        return self.running is not None and self.last_beat_fired
