"""The stand-alone weight decoder at its ports, cycle by cycle: what the RTL in rtl/decoder must do.

Ports and law: rtl/decoder/doc/interfaces.md and theory_of_operation.md. One call of `tick` is one
clock cycle: the outputs of the cycle stand in `in_ready` and `output` before it (they depend on no
input of the same cycle), the inputs are given to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from azsim_kernels import tile_errors
from azsim_kernels.clocked.decoder_beats import (
    KIND_NONE,
    Beat,
    Header,
    TileBeats,
    Window,
    empty_slots,
)
from azsim_kernels.tile_format import FIRE_BITS, STATE_LOW, WINDOW_BITS, WORD_BITS

PIPELINE_CYCLES = 3


def _crc_byte(crc: int) -> int:
    for _ in range(8):
        crc = (crc >> 1) ^ (0x82F63B78 * (crc & 1))
    return crc


_CRC_TABLE = [_crc_byte(byte) for byte in range(256)]


@dataclass(frozen=True)
class InputWord:
    """What stands at the input port: a word and what is said about it.

    half         with last: only 64 bits are filled (128-bit port)
    tile_index, groups, table  read with the first word of a tile only
    """

    data: int
    last: bool
    half: bool = False
    tile_index: int = 0
    groups: int = 1
    table: bool = False


@dataclass
class OutputBeat:
    """What stands at the output port."""

    kind: int
    data: int
    count: int
    last: bool
    error: int = tile_errors.OK


class DecoderRtl:
    """A decoder with a port of `port_bits` for one profile."""

    def __init__(self, port_bits: int, profile: int) -> None:
        self.port_bits = port_bits
        self.profile = profile
        self.reset()

    def reset(self) -> None:
        """Forget everything, as with rst_ni low."""
        self.state = "idle"
        self.slots = empty_slots()
        self.loaded: int | None = None
        self.window = Window()
        self.header = Header(0)
        self.tile: TileBeats | None = None
        self.beats: Iterator[Beat] = iter(())
        self.header_passed = False
        self.remaining_words = 0
        self.crc = 0
        self.seen_last = False
        self.short = False
        self.wrong_length = False
        self.extra_words = False
        self.error = tile_errors.OK
        self.hold_cycles = 0
        self.judging: OutputBeat | None = None
        self.pipeline: list[OutputBeat | None] = [None] * PIPELINE_CYCLES
        self.fired: Beat | None = None  # the beat of the cycle that `tick` did last
        self.header_fired_now = False  # that beat was the header

    @property
    def in_ready(self) -> bool:
        """Whether a word would be accepted in this cycle."""
        if self.state == "run":
            fits = self.window.fill + self.port_bits <= WINDOW_BITS
            return self.remaining_words > 0 and fits
        return self.state in ("idle", "drain")

    @property
    def output(self) -> OutputBeat | None:
        """What is at the output port in this cycle, if anything is."""
        return self.pipeline[-1]

    def tick(self, word: InputWord | None, out_ready: bool) -> None:
        """Do one cycle with `word` at the input port (None: nothing valid)."""
        accepted = word if self.in_ready else None
        moves = self.output is None or out_ready
        self.fired = None
        self.header_fired_now = False
        self._judge()
        token: OutputBeat | None = None
        was_idle = self.state == "idle"
        if self.state == "flush" and moves:
            token = self._end(OutputBeat(KIND_NONE, 0, 0, True))
        elif self.state == "run":
            token = self._run(moves, accepted)
        elif self.state == "drain" and accepted is not None:
            self._count_word(accepted)
            self.state = "flush" if accepted.last else "drain"
        if was_idle and accepted is not None:
            self._first_word(accepted)
        if moves:
            self.pipeline = [token, *self.pipeline[:-1]]

    # ---- words ----

    def _first_word(self, word: InputWord) -> None:
        self.state = "run"
        self.header = Header(word.data & ((1 << WORD_BITS) - 1))
        self.window = Window()
        self.tile = TileBeats(
            self.header, word.table, word.groups, self.profile, self.slots, self.window
        )
        self.beats = iter(self.tile)
        self.header_passed = False
        self.remaining_words = self.header.length
        self.crc = 0xFFFFFFFF
        if not word.table:
            self.crc ^= word.tile_index
            if self.header.uses_table:
                self.crc ^= self.slots[self.header.slot].crc
        self.seen_last = self.short = self.wrong_length = self.extra_words = False
        self.error = tile_errors.OK
        self.hold_cycles = 0
        self._accept(word, cleared=0xFFFFFFFF)

    def _accept(self, word: InputWord, cleared: int = (1 << 128) - 1) -> None:
        """Take a word into the window; `cleared` keeps the CRC field out of the CRC."""
        bits = self._count_word(word, cleared)
        self.window.put(word.data, bits)

    def _count_word(self, word: InputWord, cleared: int = (1 << 128) - 1) -> int:
        """Count a word's part of the tile and pass it through the CRC; return its bits."""
        words_in = 1 if word.last and word.half else self.port_bits // WORD_BITS
        taken = min(words_in, self.remaining_words)
        self.remaining_words -= taken
        low = word.data & (cleared | ~((1 << WORD_BITS) - 1))
        for byte in (low & ((1 << WORD_BITS * taken) - 1)).to_bytes(8 * taken, "little"):
            self.crc = self.crc >> 8 ^ _CRC_TABLE[(self.crc ^ byte) & 255]
        complete = self.remaining_words == 0
        if word.last:
            self.short = self.short or not complete
            self.wrong_length = self.wrong_length or not complete or taken < words_in
            self.remaining_words = 0
            self.seen_last = True
        elif complete:
            self.wrong_length = True
        return WORD_BITS * taken

    # ---- beats ----

    def _run(self, moves: bool, accepted: InputWord | None) -> OutputBeat | None:
        """Fire a beat if the window of before this cycle allows, accept a word; return what enters
        the pipeline.
        """
        has_bits = self.window.fill >= FIRE_BITS or self.remaining_words == 0
        fires = moves and has_bits and self.hold_cycles == 0
        if moves and self.hold_cycles > 0:
            self.hold_cycles -= 1
        words_left = self.remaining_words > 0
        beat = next(self.beats) if fires else None
        error = tile_errors.OK if beat is None else self._beat_error(beat)
        if beat is not None and error == tile_errors.OK:
            self._fire(beat)
        if accepted is not None:
            self._accept(accepted)
        if beat is None:
            return None
        if error != tile_errors.OK:
            self.error = error
            self.state = "flush" if self.seen_last else "drain"
            return None
        self.fired = beat
        return self._token(beat, words_left)

    def _beat_error(self, beat: Beat) -> int:
        if self.header_passed and self.window.fill < beat.bits:
            return tile_errors.LENGTH if self.short else tile_errors.OVERRUN
        return beat.error

    def _fire(self, beat: Beat) -> None:
        self.window.take(beat.bits)
        if not self.header_passed:
            self._header_fired()

    def _header_fired(self) -> None:
        self.header_passed = self.header_fired_now = True
        slot = self.slots[self.header.slot]
        if self.header.is_table:
            slot.written = slot.palette = False
            slot.crc = self.header.crc
            if self.loaded == self.header.slot:
                self.loaded = None
        elif self.header.uses_table and self.loaded != self.header.slot:
            self.loaded = self.header.slot
            self.hold_cycles = 24 if slot.palette else 20

    def _token(self, beat: Beat, words_left: bool) -> OutputBeat | None:
        """Return what the fired beat sends down the pipeline; end the tile if it is the last."""
        out = OutputBeat(beat.kind, beat.data, beat.count, False)
        if not beat.last:
            return out if beat.kind != KIND_NONE else None
        self.extra_words = words_left
        if self.seen_last:
            out.last = True
            return self._end(out)
        self.state = "drain"
        return out if beat.kind != KIND_NONE else None

    def _end(self, out: OutputBeat) -> OutputBeat:
        self.state = "idle"
        self.judging = out
        return out

    # ---- end of a tile ----

    def _judge(self) -> None:
        """In the cycle after a tile's end entered the pipeline: write its code into it."""
        if self.judging is None:
            return
        code = self._verdict()
        self.judging.error = code
        self.judging = None
        if self.header.is_table and code == tile_errors.OK:
            slot = self.slots[self.header.slot]
            slot.written = True
            slot.palette = self.header.palette

    def _verdict(self) -> int:
        if self.error != tile_errors.OK:
            return self.error
        if self.wrong_length:
            return tile_errors.LENGTH
        if self.crc ^ 0xFFFFFFFF != self.header.crc:
            return tile_errors.BAD_CRC
        assert self.tile is not None
        if self.header.coded and any(state != STATE_LOW for state in self.tile.states):
            return tile_errors.BAD_STATE
        if self.extra_words or self.window.fill >= WORD_BITS or self.window.value != 0:
            return tile_errors.TRAILING
        return tile_errors.OK
