"""Decoding of tiles without coded parts: DENSE or RAW mask, FIXED-width values.

`available` is the number of bits of the tile that are there; a beat that needs more is not fired
and ends decoding. `beats` receives the bits each beat consumed; of size 0 nothing is noted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from azsim_kernels._jit import kernel
from azsim_kernels.tile_format import (
    GROUP_WEIGHTS,
    LANES,
    MASK_BEAT_BITS,
    MASK_BEATS,
    WORD_BITS,
)


@kernel
def peek_bits(words: NDArray[np.uint64], position: int, width: int) -> np.uint64:
    """Return the `width` (1..64) bits from bit `position` on, 0 beyond the last word."""
    index = position // WORD_BITS
    shift = position % WORD_BITS
    value: np.uint64 = words[index] >> np.uint64(shift)
    if shift + width > WORD_BITS and index + 1 < words.size:
        value |= words[index + 1] << np.uint64(WORD_BITS - shift)
    return value & (np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(WORD_BITS - width))


@kernel
def signed_word(value: np.unsignedinteger[Any]) -> int:
    """Return `value` < 2**63 as int64, the type of all positions and counts."""
    return np.int64(value)  # type: ignore[return-value]


@kernel
def sign_extend(value: int, width: int) -> int:
    """Return the two's complement reading of the `width` low bits of `value` >= 0."""
    return value - ((value >> (width - 1)) << width)


@kernel
def note_value_beats(
    beats: NDArray[np.uint16], first: int, count: int, values: int, width: int
) -> None:
    """Note `count` value beats from number `first` on, of 16 values of `width` bits each, the
    last maybe fewer.
    """
    if beats.size > 0:
        for beat in range(count):
            beats[first + beat] = min(LANES, values - beat * LANES) * width


@kernel
def whole_value_beats(values: int, width: int, room: int) -> int:
    """Return how many beats of `values` values of `width` bits fit into `room` bits."""
    if values * width <= room:
        return (values + LANES - 1) // LANES
    return room // (LANES * width)


@kernel
def _unpack_values(
    words: NDArray[np.uint64], position: int, values: int, width: int, out: NDArray[np.int8]
) -> None:
    """Read `values` signed fields of `width` bits from bit `position` on into `out`."""
    for i in range(values):
        out[i] = sign_extend(signed_word(peek_bits(words, position, width)), width)
        position += width


@kernel
def decode_dense_fixed(
    words: NDArray[np.uint64],
    available: int,
    width: int,
    out: NDArray[np.int8],
    beats: NDArray[np.uint16],
) -> tuple[bool, int, int]:
    """Decode the body of a DENSE tile with FIXED values of `width` bits into `out` (N,).

    Returns (complete, bits consumed with the header, beats fired with the header beat).
    """
    position = WORD_BITS
    n_beats = 1
    for start in range(0, out.size, GROUP_WEIGHTS):
        fired = whole_value_beats(GROUP_WEIGHTS, width, available - position)
        note_value_beats(beats, n_beats, fired, GROUP_WEIGHTS, width)
        n_beats += fired
        if fired * LANES < GROUP_WEIGHTS:
            return False, position, n_beats
        _unpack_values(words, position, GROUP_WEIGHTS, width, out[start : start + GROUP_WEIGHTS])
        position += GROUP_WEIGHTS * width
    return True, position, n_beats


@kernel
def read_raw_mask(words: NDArray[np.uint64], position: int, mask: NDArray[np.uint8]) -> int:
    """Read a group's 256 mask bits from bit `position` on into `mask` (256,) as 0 or 1; return
    the number of ones.
    """
    ones = 0
    for quarter in range(MASK_BEATS):
        bits = peek_bits(words, position + quarter * MASK_BEAT_BITS, MASK_BEAT_BITS)
        for i in range(MASK_BEAT_BITS):
            bit = signed_word((bits >> np.uint64(i)) & np.uint64(1))
            mask[quarter * MASK_BEAT_BITS + i] = bit
            ones += bit
    return ones


@kernel
def expand_values(mask: NDArray[np.uint8], values: NDArray[np.int8], out: NDArray[np.int8]) -> None:
    """Put the packed `values` where `mask` (256,) is 1 and zero elsewhere into `out` (256,)."""
    k = 0
    for i in range(GROUP_WEIGHTS):
        bit = mask[i]
        # reads one value ahead at the end of a full group, hence one spare place in `values`
        out[i] = values[k] * np.int8(bit)
        k += int(bit)


@kernel
def decode_raw_fixed(
    words: NDArray[np.uint64],
    available: int,
    width: int,
    out: NDArray[np.int8],
    beats: NDArray[np.uint16],
) -> tuple[bool, int, int]:
    """Decode the body of a RAW tile with FIXED values of `width` bits into `out` (N,).

    Returns (complete, bits consumed with the header, beats fired with the header beat).
    """
    mask = np.zeros(GROUP_WEIGHTS, np.uint8)
    values = np.zeros(GROUP_WEIGHTS + 1, np.int8)
    position = WORD_BITS
    n_beats = 1
    for start in range(0, out.size, GROUP_WEIGHTS):
        mask_beats = min(MASK_BEATS, (available - position) // MASK_BEAT_BITS)
        if beats.size > 0:
            beats[n_beats : n_beats + mask_beats] = MASK_BEAT_BITS
        n_beats += mask_beats
        if mask_beats < MASK_BEATS:
            return False, position, n_beats
        non_zeros = read_raw_mask(words, position, mask)
        position += MASK_BEATS * MASK_BEAT_BITS
        fired = whole_value_beats(non_zeros, width, available - position)
        note_value_beats(beats, n_beats, fired, non_zeros, width)
        n_beats += fired
        if fired * LANES < non_zeros:
            return False, position, n_beats
        _unpack_values(words, position, non_zeros, width, values)
        expand_values(mask, values, out[start : start + GROUP_WEIGHTS])
        position += non_zeros * width
    return True, position, n_beats
