"""What a stream consists of, and what a decoder needs for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from azsim.codec.container import PROFILES, Stream, tile_fault
from azsim.codec.decode import decode_tensor, load_tables
from azsim_kernels.decode import decode_tile_parts
from azsim_kernels.decoder_cycles import decode_tile_cycles
from azsim_kernels.header import header_field, uses_table
from azsim_kernels.table_slots import TableSlots
from azsim_kernels.tile_errors import OK
from azsim_kernels.tile_format import (
    CONTEXTS,
    GROUP_WEIGHTS,
    HEADER_BITS,
    MASK_CODED,
    MASK_SPECIAL,
    MAX_BEATS,
    PAL_BIT,
    SECTION_GROUPS,
    SLOT_SHIFT,
    STATE_BITS,
    SYMBOLS,
    TABLE_LOAD_CYCLES,
    TABLE_PALETTE_LOAD_CYCLES,
    VAL_BIT,
    WIDTH_SHIFT,
    WORD_BITS,
)

_MASK_NAMES = ("DENSE", "RAW", "CODED", "EMPTY")
_VALUE_NAMES = ("FIXED", "CODED")


@dataclass(frozen=True)
class TableInfo:
    """What a TABLE record says.

    classes  the values of each class in words, such as "0" or "±4..7" (of palette: indices)
    palette  weights of the palette, empty if there is none
    mask_bits, class_bits  entropy of each context's frequencies, in bits per symbol (4,)
    """

    slot: int
    classes: tuple[str, ...]
    palette: tuple[int, ...]
    mask_bits: tuple[float, ...]
    class_bits: tuple[float, ...]


@dataclass(frozen=True)
class StreamInfo:
    """Statistics of a stream.

    modes          tiles of each mode, such as "RAW+FIXED"
    widths         tiles with FIXED values of each width in bits
    table_bits, header_bits, state_bits, mask_bits, value_bits, padding_bits
                   the payload's parts, which sum to total_bits; state_bits are lane states and
                   contexts
    container_bytes  bytes around the payload: header, offsets, checksum
    entropy_bits_per_weight  zero-order entropy of the weights
    zero_share     zero weights of all weights
    counts         how often each weight -128..127 occurs
    cycles         decoder cycles of all TABLE records and tiles one after the other, by port
                   width in bits, words and output never waiting
    """

    rows: int
    columns: int
    profile: str
    tile_rows: int
    tile_columns: int
    tile_order: str
    tiles: int
    tables: tuple[TableInfo, ...]
    modes: dict[str, int]
    widths: dict[int, int]
    table_bits: int
    header_bits: int
    state_bits: int
    mask_bits: int
    value_bits: int
    padding_bits: int
    container_bytes: int
    entropy_bits_per_weight: float
    zero_share: float
    counts: tuple[int, ...]
    beats: int
    cycles: dict[int, int]

    @property
    def weights(self) -> int:
        """Weights of the tensor, padding not counted."""
        return self.rows * self.columns

    @property
    def parts(self) -> dict[str, int]:
        """Bits of each part of the payload by its name."""
        return {
            "tables": self.table_bits,
            "headers": self.header_bits,
            "states": self.state_bits,
            "masks": self.mask_bits,
            "values": self.value_bits,
            "padding": self.padding_bits,
        }

    @property
    def total_bits(self) -> int:
        """Bits of the payload."""
        return sum(self.parts.values())

    @property
    def bits_per_weight(self) -> float:
        """Payload bits per weight of the tensor."""
        return self.total_bits / self.weights

    def weights_per_cycle(self, port_bits: int) -> float:
        """Return the decoder's mean throughput at a port of `port_bits`."""
        return self.weights / self.cycles[port_bits]


def entropy_bits(weights: NDArray[np.int8]) -> float:
    """Return the zero-order entropy of `weights` in bits per weight."""
    return _entropy(np.bincount(weights.ravel().view(np.uint8), minlength=256))


def _entropy(counts: NDArray[np.int64]) -> float:
    """Return the entropy of `counts` in bits per symbol."""
    shares = counts[counts > 0] / counts.sum()
    return float(max(0.0, -(shares * np.log2(shares)).sum()))


def inspect_stream(stream: Stream, port_bits: tuple[int, ...] = (64, 128)) -> StreamInfo:
    """Decode a stream and return its statistics; StreamError names the first bad tile."""
    weights = decode_tensor(stream)
    slots = load_tables(stream)
    tally = _Tally(stream, slots, port_bits)
    for table in range(stream.table_count):
        tally.add_table(stream.table_words(table))
    for tile in range(stream.tile_count):
        tally.add_tile(tile)
    grid = stream.grid
    return StreamInfo(
        rows=grid.rows,
        columns=grid.columns,
        profile=stream.profile,
        tile_rows=grid.tile_rows,
        tile_columns=grid.tile_columns,
        tile_order=grid.order,
        tiles=stream.tile_count,
        tables=tuple(tally.tables),
        modes=dict(sorted(tally.modes.items())),
        widths=dict(sorted(tally.widths.items())),
        table_bits=tally.parts["table"],
        header_bits=tally.parts["header"],
        state_bits=tally.parts["state"],
        mask_bits=tally.parts["mask"],
        value_bits=tally.parts["value"],
        padding_bits=tally.parts["padding"],
        container_bytes=len(stream.to_bytes()) - stream.words.size * 8,
        entropy_bits_per_weight=entropy_bits(weights),
        zero_share=float((weights == 0).sum() / weights.size),
        counts=tuple(np.bincount(weights.ravel().astype(np.int64) + 128, minlength=256).tolist()),
        beats=tally.parts["beats"],
        cycles=tally.cycles,
    )


class _Tally:
    """Adds up the statistics of records and tiles in stream order."""

    def __init__(self, stream: Stream, slots: TableSlots, port_bits: tuple[int, ...]) -> None:
        self.stream = stream
        self.slots = slots
        self.modes: Counter[str] = Counter()
        self.widths: Counter[int] = Counter()
        self.parts: Counter[str] = Counter()
        self.cycles = dict.fromkeys(port_bits, 0)
        self.tables: list[TableInfo] = []
        self.loaded_slot = -1
        self.beats = np.zeros(MAX_BEATS, np.uint16)
        self.out = np.zeros(stream.grid.largest_tile_weights, np.int8)

    def add_cycles(self, beats: NDArray[np.uint16], words: int, load_cycles: int) -> None:
        """Add what the law says for one tile."""
        self.parts["beats"] += beats.size
        for port in self.cycles:
            self.cycles[port] += int(decode_tile_cycles(beats, words, port, load_cycles))

    def add_table(self, words: NDArray[np.uint64]) -> None:
        """Add a TABLE record."""
        self.parts["table"] += words.size * WORD_BITS
        self.add_cycles(np.full(words.size, WORD_BITS, np.uint16), words.size, 0)
        self.tables.append(describe_table(self.slots, header_field(words[0], SLOT_SHIFT, 2)))

    def add_tile(self, tile: int) -> None:
        """Add a tile; StreamError if it is bad."""
        words = self.stream.tile_words(tile)
        groups = self.stream.grid.tile_groups(tile)
        profile = PROFILES.index(self.stream.profile)
        out = self.out[: groups * GROUP_WEIGHTS]
        status, n_beats, mask_bits = decode_tile_parts(
            words, tile, groups, profile, self.slots, out, self.beats
        )
        if status != OK:
            raise tile_fault(self.stream.name, tile, status)
        beats = self.beats[:n_beats]
        mode, width = tile_mode(words[0])
        self.modes[mode] += 1
        if width:
            self.widths[width] += 1
        used = int(beats.sum())
        state_bits = _state_bits(words[0], groups)
        self.parts["header"] += HEADER_BITS
        self.parts["state"] += state_bits
        self.parts["mask"] += mask_bits
        self.parts["value"] += used - HEADER_BITS - state_bits - mask_bits
        self.parts["padding"] += words.size * WORD_BITS - used
        self.add_cycles(beats, words.size, self.load_cycles(words[0]))

    def load_cycles(self, header: np.uint64) -> int:
        """Return the cycles a tile waits for its table, which is then the loaded one."""
        slot = header_field(header, SLOT_SHIFT, 2)
        if not uses_table(header) or slot == self.loaded_slot:
            return 0
        self.loaded_slot = slot
        return TABLE_PALETTE_LOAD_CYCLES if self.slots.has_palette[slot] else TABLE_LOAD_CYCLES


def _state_bits(header: np.uint64, groups: int) -> int:
    """Return the bits of lane states and contexts of a tile."""
    coded = header_field(header, 0, 2) == MASK_CODED or header_field(header, VAL_BIT, 1) == 1
    return STATE_BITS + 2 * -(-groups // SECTION_GROUPS) if coded else 0


def tile_mode(header: np.uint64) -> tuple[str, int]:
    """Return (mode, bits of FIXED values or 0) of word 0 of a tile."""
    mask = header_field(header, 0, 2)
    value = header_field(header, VAL_BIT, 1)
    if mask == MASK_SPECIAL:
        return ("TABLE", 0) if value else ("EMPTY", 0)
    width = 0 if value else header_field(header, WIDTH_SHIFT, 3) + 1
    palette = "+PAL" if header_field(header, PAL_BIT, 1) else ""
    return f"{_MASK_NAMES[mask]}+{_VALUE_NAMES[value]}{palette}", width


def describe_table(slots: TableSlots, slot: int) -> TableInfo:
    """Return what the table in a slot says."""
    symbols = slots.steps[slot] & 0xFF
    frequencies = (symbols[..., None] == np.arange(SYMBOLS)).sum(axis=2)
    used = frequencies[1].max(axis=0) > 0
    palette = slots.palette[slot].view(np.int8).tolist() if slots.has_palette[slot] else []
    entropies = [[_entropy(frequencies[kind, c]) for c in range(CONTEXTS)] for kind in range(2)]
    return TableInfo(
        slot=slot,
        classes=tuple(class_text(slots, slot, k) for k in np.flatnonzero(used).tolist()),
        palette=tuple(palette),
        mask_bits=tuple(entropies[0]),
        class_bits=tuple(entropies[1]),
    )


def class_text(slots: TableSlots, slot: int, symbol: int) -> str:
    """Return the values of a class in words."""
    signed = int(slots.signed[slot, symbol])
    base = int(slots.base[slot, symbol])
    if not signed and base > 127:
        base -= 256
    last = base + (1 << (int(slots.extra_bits[slot, symbol]) - signed)) - 1
    sign = "±" if signed else ""
    return f"{sign}{base}" if last == base else f"{sign}{base}..{last}"
