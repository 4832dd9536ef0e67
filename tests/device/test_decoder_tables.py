"""Gates of the decoder's table registers: the hold after the header beat of a tile that needs
another table than the loaded one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from bench import FROM_STORE, Bench, counter, stalls
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from test_decoder import DecoderBench

from azsim.engine.fast_machine import FastMachine
from azsim_kernels import isa
from azsim_kernels.reference.crc import crc32c_tile

pytestmark = pytest.mark.small

Bytes = NDArray[np.uint8]
SPECIFICATION = Path(__file__).resolve().parents[2] / "docs" / "decoder.md"


def example(first: str) -> NDArray[np.uint64]:
    """Return the words of the last worked example of the specification, `table` or `words`."""
    lines = [line for line in SPECIFICATION.read_text().splitlines() if line.startswith(first)]
    return np.array([int(word, 16) for word in lines[-1].split()[1:]], np.uint64)


RECORD, CODED = example("table "), example("words ")
CODED_BEATS = [64, 256, 2, 16, 64, 48, 40, 72, 56, 16, 4]  # of CODED, as the example says


def sealed(words: list[int], start: int) -> NDArray[np.uint64]:
    """Return the words with the CRC field that belongs to the initial value `start`."""
    array = np.array(words, np.uint64)
    array[0] |= np.uint64(crc32c_tile(array, start) << 32)
    return array


def in_slot(slot: int) -> Bytes:
    """Return the example's record for `slot`."""
    words = RECORD.tolist()
    words[0] = int(words[0]) & 0xFFFFFFFF & ~(3 << 7) | slot << 7
    return sealed(words, 0xFFFFFFFF).view(np.uint8)


def with_palette() -> tuple[Bytes, Bytes]:
    """Return the example's record with a palette, and a tile of one weight out of it.

    The tile: RAW mask, one value of 5 bits, index 3, at place 0.
    """
    words = [int(word) for word in RECORD]
    words[0] = 3 | 1 << 2 | 1 << 3 | 25 << 18
    record = sealed([*words, 0x0807060504030201, 0, 0, 0], 0xFFFFFFFF)
    header = 1 | 1 << 3 | 4 << 4 | 6 << 18
    tile = sealed([header, 1, 0, 0, 0, 3], 0xFFFFFFFF ^ int(record[0]) >> 32)
    return record.view(np.uint8), tile.view(np.uint8)


TABLE = (isa.TABLE, [0])
TILE = (isa.TILE, [1, 1, 0])
RECORD_CYCLES = {64: 25, 128: 23}
FIRST = 100  # start of the command after the record


def bench(port_bits: int = 64) -> DecoderBench:
    return DecoderBench(port_bits=port_bits, decoder_profile=isa.DECODER_ANS)


@pytest.mark.parametrize("port_bits", [64, 128])
def test_a_record_is_beats_of_64_bits(port_bits: int) -> None:
    decoder = bench(port_bits)
    decoder.run([RECORD.view(np.uint8)], {0: TABLE})
    assert len(decoder.fired) == 21
    assert decoder.fired[-1] + 1 == RECORD_CYCLES[port_bits]
    assert decoder.freed == [RECORD_CYCLES[port_bits] + 3]


@pytest.mark.parametrize(("port_bits", "cycles"), [(64, 18), (128, 14)])
def test_no_beat_for_20_cycles_after_the_header(port_bits: int, cycles: int) -> None:
    decoder = bench(port_bits)
    tiles = [RECORD.view(np.uint8), CODED.view(np.uint8), CODED.view(np.uint8)]
    decoder.run(tiles, {0: TABLE, FIRST: TILE, 2 * FIRST: TILE})
    first, second = decoder.fired[21:32], decoder.fired[32:]
    # The window is full before the command: the header fires at once. Blocked in 101..120.
    assert first[:2] == [FIRST, FIRST + 21]
    # The table is loaded now: no hold.
    assert second[:2] == [2 * FIRST, 2 * FIRST + 1]
    # A tile whose words come when it starts takes the cycles of the specification after that.
    last = decoder.accepted[-1] + 1
    later = bench(port_bits)
    words = {64: 31, 128: 16}[port_bits]
    later.run(tiles, {0: TABLE, FIRST: TILE, 2 * FIRST: TILE}, arrivals(words, 2 * FIRST))
    assert later.fired[-1] + 1 - 2 * FIRST == cycles
    assert last <= 2 * FIRST + cycles


def arrivals(words: int, cycle: int) -> Callable[[int], int]:
    """All words at once but those after the first `words`, which come from `cycle` on."""
    return lambda word: 0 if word < words else cycle


def test_no_beat_for_24_cycles_with_a_palette() -> None:
    record, tile = with_palette()
    decoder = bench()
    decoder.run([record, tile, tile], {0: TABLE, FIRST: TILE, 2 * FIRST: TILE})
    beats = decoder.fired[25:]
    assert beats[:6] == [FIRST, *range(FIRST + 25, FIRST + 30)]
    assert beats[6:] == list(range(2 * FIRST, 2 * FIRST + 6))
    assert decoder.wbuf[1, :2].tolist() == [4, 0]  # P[3]


def test_words_are_accepted_during_the_hold() -> None:
    decoder = bench()
    # The tile's ten words come from 100 on, one per cycle; 320 bits are there after the header.
    tiles = [RECORD.view(np.uint8), CODED.view(np.uint8)]
    decoder.run(tiles, {0: TABLE, 50: TILE}, arrivals(21, FIRST))
    # Header at 104; with 512 bits (eight words after it) the window is full at 108.
    assert decoder.accepted[21:] == [*range(100, 109), 126]
    assert decoder.fired[21:23] == [104, 125]


def test_a_beat_needs_its_words_after_the_hold_too() -> None:
    decoder = bench()
    late = {4: 130}
    tiles = [RECORD.view(np.uint8), CODED.view(np.uint8)]
    decoder.run(
        tiles,
        {0: TABLE, 50: TILE},
        lambda word: 0 if word < 21 else max(FIRST, late.get(word - 21, 0)),
    )
    # Words 0 to 3 for the header at 104; the fifth only at 130, long after the hold.
    assert decoder.fired[21:23] == [104, 131]


def test_a_table_written_anew_is_loaded_anew() -> None:
    decoder = bench()
    record, tile = RECORD.view(np.uint8), CODED.view(np.uint8)
    other = in_slot(3)
    commands = {0: TABLE, 100: TILE, 200: (isa.TABLE, [3]), 300: TILE, 400: TABLE, 500: TILE}
    decoder.run([record, tile, other, tile, record, tile], commands, cycles=600)
    gaps = {
        cycle: decoder.fired[decoder.fired.index(cycle) + 1] - cycle for cycle in (100, 300, 500)
    }
    # Another slot's record does not touch the registers, that of the loaded one empties them.
    assert gaps == {100: 21, 300: 1, 500: 21}


def test_a_plain_tile_between_changes_nothing() -> None:
    decoder = bench()
    raw = np.arange(256).astype(np.uint8)
    record, tile = RECORD.view(np.uint8), CODED.view(np.uint8)
    commands = {0: TABLE, 100: TILE, 200: (isa.RAW, [0, 1, 0]), 300: TILE}
    decoder.run([record, tile, raw, tile], commands)
    assert decoder.fired[-len(CODED_BEATS) :][:2] == [300, 301]


def law(visible: Callable[[int], int], start: int, hold: int) -> tuple[list[int], list[int]]:
    """Return the cycles of words and beats of CODED by the loop that defines the decoder."""
    fill, rem, b, cycle, word, held = 0, 64 * CODED.size, 0, 0, 0, 0
    accepted, fired = [], []
    while b < len(CODED_BEATS):
        fire = (fill >= 256 or rem == 0) and cycle >= start and held == 0
        accept = rem > 0 and fill + 64 <= 512 and visible(word) <= cycle
        held = max(0, held - 1)
        if fire:
            fill -= CODED_BEATS[b]
            held = hold if b == 0 else 0
            b += 1
            fired.append(cycle)
        if accept:
            fill, rem, word = fill + 64, rem - 64, word + 1
            accepted.append(cycle)
        cycle += 1
    return accepted, fired


@given(st.lists(st.integers(0, 30), min_size=10, max_size=10), st.integers(0, 80))
def test_words_and_beats_follow_the_law_at_any_pace(gaps: list[int], start: int) -> None:
    decoder = bench()
    times = (60 + np.cumsum(gaps)).tolist()
    tiles = [RECORD.view(np.uint8), CODED.view(np.uint8)]
    decoder.run(
        tiles,
        {0: TABLE, 50 + start: TILE},
        lambda word: 0 if word < 21 else times[word - 21],
        cycles=600,
    )
    expected = law(lambda word: times[word], 50 + start, 20)
    assert (decoder.accepted[21:], decoder.fired[21:]) == expected


def fetched(machine: Bench, data: Bytes, address: int, opcode: int, arg: list[int]) -> int:
    """Add FETCH from the store and DECODE of `data`."""
    machine.store[address : address + data.size] = data
    machine.add(isa.FETCH, [address, data.size, FROM_STORE])
    return machine.add(opcode, arg)


def test_every_cycle_of_a_hold_is_busy() -> None:
    machine = Bench(decoder_profile=isa.DECODER_ANS, fifo_words=64)
    record = fetched(machine, RECORD.view(np.uint8), 0, isa.TABLE, [0])
    tile = fetched(machine, CODED.view(np.uint8), 512, isa.TILE, [1, 1, 0])
    result, cycles = machine.trace()
    words, beats = cycles["decode0_words_accepted"], cycles["decode0_beats_fired"]
    assert beats[22] - beats[21] == 21
    assert counter(result, "decode0_tiles_decoded") == 1
    works = {*words, *beats, *range(beats[21], beats[22])}
    for last, command in ((beats[20], record), (beats[-1], tile)):
        works |= set(range(last, int(result.free[command])))
    running = {
        cycle
        for command in (record, tile)
        for cycle in range(int(result.start[command]), int(result.free[command]))
    }
    classes = stalls(result, "decode0")
    assert classes["busy"] == len(works & running)
    assert classes["starved"] == len(running - works)


def test_a_deadlock_waits_for_the_end_of_the_hold() -> None:
    """The FIFO has no room for the tile's second burst; its first gives the header beat only."""
    machine = Bench(decoder_profile=isa.DECODER_ANS, dma_w_burst_bytes=256, fifo_words=14)
    record, _ = with_palette()
    fetched(machine, record, 256 - 12 * 8, isa.TABLE, [0])
    mask = [(1 << 64) - 1] * 4
    header = 1 | 1 << 3 | 4 << 4 | 25 << 18
    tile = sealed([header, *mask, *[0] * 20], 0xFFFFFFFF ^ int(record.view("<u8")[0]) >> 32)
    fetched(machine, tile.view(np.uint8), 512 - 4 * 8, isa.TILE, [0, 1, 0])
    result, cycles = machine.trace()
    beats = cycles["decode0_beats_fired"]
    assert len(beats) == 25 + 1
    assert (result.status, result.cycles) == (isa.DEADLOCK, beats[-1] + 24 + 1)
    memories = {"dram": machine.dram, "store": machine.store, "abuf": machine.abuf}
    commands = np.array(machine.records, isa.COMMAND)
    fast = FastMachine(machine.params, commands, [], [], **memories).run_step()
    for want, got in zip(result, fast, strict=True):
        assert np.array_equal(want, got)
