"""Encoder of one tile of profile `ans`, by the book: a list of beats, walked backwards, then bits.

Division and remainder are those of the format's page; nothing is shared with the kernel but the
type of its tables.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from azsim_kernels.ans_types import EncoderTables, TileScratch
from azsim_kernels.reference.bitmap import field as bit_field
from azsim_kernels.reference.bitmap import seal, signed_width
from azsim_kernels.tile_format import GROUP_WEIGHTS, LANES


@dataclass
class Beat:
    """One beat after the header: coded symbols, one per lane, and the plain bits behind them."""

    kind: int
    section: int
    symbols: list[int] = field(default_factory=list)
    tail: list[NDArray[np.uint8]] = field(default_factory=list)
    pushed: dict[int, int] = field(default_factory=dict)

    def bits(self) -> list[NDArray[np.uint8]]:
        """Return the bits of the beat: the bytes in lane order, then the tail."""
        return [bit_field(self.pushed[lane], 8) for lane in sorted(self.pushed)] + self.tail


def _mask_beats(group: NDArray[np.int8], section: int, coded: bool) -> list[Beat]:
    """Return the four mask beats of a group."""
    beats = []
    for quarter in (group != 0).reshape(4, 64):
        if coded:
            nibbles = quarter.reshape(LANES, 4) @ np.array([1, 2, 4, 8])
            beats.append(Beat(0, section, symbols=nibbles.tolist()))
        else:
            beats.append(Beat(0, section, tail=[quarter.view(np.uint8)]))
    return beats


def _value_beats(
    values: list[int], section: int, width: int, palette: bool, tables: EncoderTables
) -> list[Beat]:
    """Return the value beats of a group; `width` 0 means CODED."""
    beats = []
    for first in range(0, len(values), LANES):
        part = [v & 255 for v in values[first : first + LANES]]
        beat = Beat(1, section)
        if width:
            codes = [int(tables.palette_index[v]) if palette else v for v in part]
            beat.tail = [bit_field(code, 8)[:width] for code in codes]
        else:
            beat.symbols = [int(tables.value_class[v]) for v in part]
            sizes = [int(tables.class_bits[k]) for k in beat.symbols]
            extras = [int(tables.value_extra[v]) for v in part]
            beat.tail = [bit_field(o, n) for o, n in zip(extras, sizes, strict=True)]
        beats.append(beat)
    return beats


def _contexts(beats: list[Beat], tables: EncoderTables) -> list[int]:
    """Return the cheapest context of each section."""
    chosen = []
    for section in range(1 + max(beat.section for beat in beats)):
        own = [beat for beat in beats if beat.section == section]
        costs = [
            sum(int(tables.cost_q16[b.kind, c, s]) for b in own for s in b.symbols)
            for c in range(4)
        ]
        chosen.append(costs.index(min(costs)))
    return chosen


def _push_all(beats: list[Beat], contexts: list[int], tables: EncoderTables) -> list[int]:
    """Push all symbols, last beat first, noting the bytes; return the states to start from."""
    states = [256] * LANES
    for beat in reversed(beats):
        context = contexts[beat.section]
        for lane, symbol in enumerate(beat.symbols):
            f = int(tables.frequency[beat.kind, context, symbol])
            below = int(tables.frequency[beat.kind, context, :symbol].sum())
            if states[lane] >= 256 * f:
                beat.pushed[lane] = states[lane] % 256
                states[lane] //= 256
            quotient, rest = divmod(states[lane], f)
            states[lane] = 256 * quotient + below + rest
    return states


def _fixed_width(weights: NDArray[np.int8], dense: bool, palette: bool, t: EncoderTables) -> int:
    """Return the bits of FIXED values."""
    if not palette:
        return signed_width(min(0, int(weights.min())), max(0, int(weights.max())))
    values = weights if dense else weights[weights != 0]
    return max(1, int(t.palette_index[values.view(np.uint8)].max()).bit_length())


def encode_ans_tile(
    weights: NDArray[np.int8],
    tile_index: int,
    header: int,
    tables: EncoderTables,
    slot: int,
    table_crc: int,
    scratch: TileScratch,
    out: NDArray[np.uint64],
) -> int:
    """Encode one tile in the mode of `header` bits 3:0 (not EMPTY); return its length in words."""
    mask, values_coded, palette = header & 3, bool(header & 4), bool(header & 8)
    width = 0
    if not values_coded:
        width = _fixed_width(weights, mask == 0, palette, tables)
        header |= (width - 1) << 4
    beats: list[Beat] = []
    for number, group in enumerate(weights.reshape(-1, GROUP_WEIGHTS)):
        if mask:
            beats += _mask_beats(group, number // 4, mask == 2)
        values = group.tolist() if mask == 0 else group[group != 0].tolist()
        beats += _value_beats(values, number // 4, width, palette, tables)
    coded = mask == 2 or values_coded
    bits: list[NDArray[np.uint8]] = []
    if coded:
        contexts = _contexts(beats, tables)
        bits += [bit_field(x, 16) for x in _push_all(beats, contexts, tables)]
        sections = -(-weights.size // 1024)
        contexts += [0] * (sections - len(contexts))
        bits += [bit_field(c, 2) for c in contexts]
    for beat in beats:
        bits += beat.bits()
    initial = 0xFFFFFFFF ^ tile_index
    if coded or palette:
        header |= slot << 7
        initial ^= table_crc
    words = seal(header, weights.size // GROUP_WEIGHTS, np.concatenate(bits), initial)
    out[: words.size] = words
    return int(words.size)
