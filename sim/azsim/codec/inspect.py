"""What a stream consists of, and what a decoder needs for it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from azsim.codec.container import PROFILES, Stream, tile_fault
from azsim.codec.decode import decode_tensor, load_tables
from azsim_kernels.decoder_cycles import decode_tile_cycles, tile_beats
from azsim_kernels.header import header_field
from azsim_kernels.tile_errors import OK
from azsim_kernels.tile_format import (
    GROUP_WEIGHTS,
    HEADER_BITS,
    MASK_RAW,
    MASK_SPECIAL,
    MAX_BEATS,
    VAL_BIT,
    WIDTH_SHIFT,
    WORD_BITS,
)

_MASK_NAMES = ("DENSE", "RAW", "CODED", "EMPTY")
_VALUE_NAMES = ("FIXED", "CODED")


@dataclass(frozen=True)
class StreamInfo:
    """Statistics of a stream.

    modes          tiles of each mode, such as "RAW+FIXED"
    widths         tiles with FIXED values of each width in bits
    header_bits, mask_bits, value_bits, padding_bits  the payload's parts; they sum to total_bits
    container_bytes  bytes around the payload: header, offsets, checksum
    entropy_bits_per_weight  zero-order entropy of the weights
    zero_share     zero weights of all weights
    cycles         decoder cycles of all tiles one after the other, by port width in bits
    """

    rows: int
    columns: int
    profile: str
    tile_rows: int
    tile_columns: int
    tile_order: str
    tiles: int
    tables: int
    modes: dict[str, int]
    widths: dict[int, int]
    header_bits: int
    mask_bits: int
    value_bits: int
    padding_bits: int
    container_bytes: int
    entropy_bits_per_weight: float
    zero_share: float
    beats: int
    cycles: dict[int, int]

    @property
    def weights(self) -> int:
        """Weights of the tensor, padding not counted."""
        return self.rows * self.columns

    @property
    def total_bits(self) -> int:
        """Bits of the payload."""
        return self.header_bits + self.mask_bits + self.value_bits + self.padding_bits

    @property
    def bits_per_weight(self) -> float:
        """Payload bits per weight of the tensor."""
        return self.total_bits / self.weights

    def weights_per_cycle(self, port_bits: int) -> float:
        """Return the decoder's mean throughput at a port of `port_bits`."""
        return self.weights / self.cycles[port_bits]


def entropy_bits(weights: NDArray[np.int8]) -> float:
    """Return the zero-order entropy of `weights` in bits per weight."""
    counts = np.bincount(weights.ravel().view(np.uint8), minlength=256)
    shares = counts[counts > 0] / weights.size
    return float(max(0.0, -(shares * np.log2(shares)).sum()))


def inspect_stream(stream: Stream, port_bits: tuple[int, ...] = (64, 128)) -> StreamInfo:
    """Decode a stream and return its statistics; StreamError names the first bad tile."""
    weights = decode_tensor(stream)
    modes: Counter[str] = Counter()
    widths: Counter[int] = Counter()
    parts: Counter[str] = Counter()
    cycles = dict.fromkeys(port_bits, 0)
    slots = load_tables(stream)
    beats = np.zeros(MAX_BEATS, np.uint16)
    for tile in range(stream.tile_count):
        words = stream.tile_words(tile)
        groups = stream.grid.tile_groups(tile)
        profile = PROFILES.index(stream.profile)
        status, n_beats = tile_beats(words, tile, groups, profile, slots, beats)
        if status != OK:
            raise tile_fault(stream.name, tile, status)
        mode, width = tile_mode(words[0])
        modes[mode] += 1
        if width:
            widths[width] += 1
        used = int(beats[:n_beats].sum())
        raw = header_field(words[0], 0, 2) == MASK_RAW
        mask_bits = groups * GROUP_WEIGHTS if raw else 0
        parts["header"] += HEADER_BITS
        parts["mask"] += mask_bits
        parts["value"] += used - HEADER_BITS - mask_bits
        parts["padding"] += words.size * WORD_BITS - used
        parts["beats"] += n_beats
        for port in port_bits:
            cycles[port] += int(decode_tile_cycles(beats[:n_beats], words.size, port))
    grid = stream.grid
    return StreamInfo(
        rows=grid.rows,
        columns=grid.columns,
        profile=stream.profile,
        tile_rows=grid.tile_rows,
        tile_columns=grid.tile_columns,
        tile_order=grid.order,
        tiles=stream.tile_count,
        tables=stream.table_count,
        modes=dict(sorted(modes.items())),
        widths=dict(sorted(widths.items())),
        header_bits=parts["header"],
        mask_bits=parts["mask"],
        value_bits=parts["value"],
        padding_bits=parts["padding"],
        container_bytes=len(stream.to_bytes()) - stream.words.size * 8,
        entropy_bits_per_weight=entropy_bits(weights),
        zero_share=float((weights == 0).sum() / weights.size),
        beats=parts["beats"],
        cycles=cycles,
    )


def tile_mode(header: np.uint64) -> tuple[str, int]:
    """Return (mode, bits of FIXED values or 0) of word 0 of a tile."""
    mask = header_field(header, 0, 2)
    value = header_field(header, VAL_BIT, 1)
    if mask == MASK_SPECIAL:
        return ("TABLE", 0) if value else ("EMPTY", 0)
    width = 0 if value else header_field(header, WIDTH_SHIFT, 3) + 1
    return f"{_MASK_NAMES[mask]}+{_VALUE_NAMES[value]}", width
