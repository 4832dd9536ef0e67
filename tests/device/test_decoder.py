"""Gates of the weight decoder's window and pipeline, and its law against the loop it is defined by.

A RAW tile of 256 weights is 32 words of 64 bits and 16 beats of 128 bits: easy to count by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from bench import CHIP, FROM_DRAM, FROM_STORE, Bench, counter, stalls, tile_bytes
from hypothesis import given
from hypothesis import strategies as st

from azsim_kernels import isa, tile_errors
from azsim_kernels.clocked.command import Command
from azsim_kernels.clocked.decoder import WeightDecoder
from azsim_kernels.clocked.fifo import StreamFifo, StreamTile
from azsim_kernels.clocked.memory import Counters, Storage
from azsim_kernels.reference.decode import decode_tile_beats
from azsim_kernels.reference.decoder_cycles import decode_tile_cycles
from azsim_kernels.table_slots import empty_slots
from azsim_kernels.tile_format import MAX_BEATS, PROFILE_BITMAP

pytestmark = pytest.mark.small


class DecoderBench:
    """One decoder whose words become visible and whose commands start when the test says so."""

    def __init__(self, **fields: int) -> None:
        self.params = CHIP._replace(**fields)
        memory = np.zeros(8, np.uint8)
        self.wbuf = np.zeros((4, 512), np.int8)
        storage = Storage(memory, memory, memory, self.wbuf, np.zeros((1, 1), np.int32))
        counters = Counters(dict.fromkeys(isa.counter_names(1), 0))
        self.fifo = StreamFifo(1 << 10)
        self.decoder = WeightDecoder(0, self.params, storage, empty_slots(), self.fifo, counters)
        self.accepted: list[int] = []
        self.fired: list[int] = []
        self.freed: list[int] = []

    def run(
        self,
        tiles: list[np.ndarray],
        commands: dict[int, tuple[int, list[int]]],
        visible: Callable[[int], int] = lambda word: 0,
        cycles: int = 400,
    ) -> None:
        """Tick; `visible(word)` counts words over all tiles; `commands`: start -> opcode, arg.

        A command whose cycle has come starts when the decoder is free.
        """
        port_bytes = self.params.port_bits // 8
        words = [StreamTile(data) for data in tiles for _ in range(-(-data.size // port_bytes))]
        starts = sorted(commands.items())
        arrived = 0
        counts = self.decoder.counters.by_name
        for cycle in range(cycles):
            while arrived < len(words) and visible(arrived) <= cycle:
                self.fifo.push(words[arrived], 1)
                arrived += 1
            if self.decoder.running is not None and self.decoder.is_free(cycle):
                assert self.decoder.finish() is None
                self.decoder.release()
                self.freed.append(cycle)
            if self.decoder.running is None and starts and starts[0][0] <= cycle:
                opcode, arg = starts.pop(0)[1]
                command = Command(0, 0, opcode, (), (), tuple(arg))
                assert self.decoder.begin(command, cycle) is None
            before = dict(counts)
            self.decoder.tick(cycle)
            self.accepted += [cycle] * (
                counts["decode0_words_accepted"] - before["decode0_words_accepted"]
            )
            self.fired += [cycle] * (counts["decode0_beats_fired"] - before["decode0_beats_fired"])


RAW_TILE = np.arange(256).astype(np.uint8)
RAW = (isa.RAW, [0, 1, 0])
EMPTY_TILE = tile_bytes(np.zeros(256))
TILE = (isa.TILE, [1, 1, 0])


@pytest.mark.parametrize("port_bits", [64, 128])
def test_an_empty_tile_takes_two_cycles(port_bits: int) -> None:
    bench = DecoderBench(port_bits=port_bits)
    bench.run([EMPTY_TILE], {0: TILE})
    assert (bench.accepted, bench.fired, bench.freed) == ([0], [1], [5])


@pytest.mark.parametrize("pipeline", [0, 1, 4])
def test_the_pipeline_adds_its_length(pipeline: int) -> None:
    bench = DecoderBench(decoder_pipeline_cycles=pipeline)
    bench.run([EMPTY_TILE], {0: TILE})
    assert bench.freed == [1 + 1 + pipeline]


def test_the_first_beat_needs_256_bits() -> None:
    bench = DecoderBench()
    # Four words by cycle 3: fill is 192 before cycle 3, 256 before cycle 4.
    bench.run([RAW_TILE], {0: RAW}, lambda word: 0 if word < 4 else 1000)
    assert (bench.accepted, bench.fired) == ([0, 1, 2, 3], [4])


def test_a_wider_port_fills_the_window_sooner() -> None:
    bench = DecoderBench(port_bits=128)
    bench.run([RAW_TILE], {0: RAW}, lambda word: 0 if word < 2 else 1000)
    assert (bench.accepted, bench.fired) == ([0, 1], [2])


def test_a_beat_is_blocked_below_256_bits_and_goes_with_256() -> None:
    bench = DecoderBench()
    # After the beat of cycle 4 the window holds 128 bits. Words 4 and 5 come at 10 and 12: 192
    # bits before 12, 256 before 13.
    late = {4: 10, 5: 12}
    bench.run([RAW_TILE], {0: RAW}, lambda word: 0 if word < 4 else late.get(word, 1000))
    assert bench.fired == [4, 13]


def test_the_rest_of_a_tile_fires_below_256_bits() -> None:
    bench = DecoderBench()
    # All but the last word early. Port 64 bits, beats 128: with one word per cycle a beat fires
    # in every second cycle. After 31 words 14 beats have fired, 1984 - 1792 = 192 bits are left;
    # with word 31 at 100 the window is complete before 101: two beats, then nothing is left.
    bench.run([RAW_TILE], {0: RAW}, lambda word: 0 if word < 31 else 100)
    assert bench.fired[-3:] == [30, 101, 102]
    assert bench.freed == [102 + 1 + 3]


def test_the_window_holds_512_bits() -> None:
    bench = DecoderBench()
    # The command starts at 20. Words 0 to 7 fill the window in cycles 0 to 7.
    bench.run([RAW_TILE], {20: RAW}, cycles=23)
    # 20: beat, but fill was 512 before it: no word. 21: 384 bits: beat and word. 22: 320 bits.
    assert bench.accepted == [0, 1, 2, 3, 4, 5, 6, 7, 21, 22]
    assert bench.fired == [20, 21, 22]


def test_a_128_bit_port_needs_room_for_its_whole_word() -> None:
    bench = DecoderBench(port_bits=128)
    bench.run([RAW_TILE], {20: RAW}, cycles=23)
    # 21: fill 384, 384 + 128 fits exactly. 22: 384 - 128 + 128 = 384 again.
    assert bench.accepted == [0, 1, 2, 3, 21, 22]


def test_nothing_fires_before_the_command_starts() -> None:
    bench = DecoderBench()
    bench.run([EMPTY_TILE], {9: TILE})
    assert (bench.accepted, bench.fired) == ([0], [9])


def test_the_next_tile_enters_after_the_last_beat() -> None:
    bench = DecoderBench()
    bench.run([EMPTY_TILE, EMPTY_TILE], {0: TILE, 1: TILE})
    # Beat of the first at 1: the word of the second is blocked at 1, enters at 2; its command
    # starts when the first is free, at 1 + 1 + 3.
    assert (bench.accepted, bench.fired, bench.freed) == ([0, 2], [1, 5], [5, 9])


def test_the_unused_bits_of_a_tile_do_not_count_for_the_next() -> None:
    # One 3-bit weight: 64 + 4 x 64 + 3 bits in 6 words, 61 bits are not used.
    data = tile_bytes(np.eye(1, 256) * 3)
    assert data.size == 6 * 8
    bench = DecoderBench()
    bench.run([data, data], {0: TILE, 1: TILE})
    # First beat with 256 bits at 4; the header and three mask beats by 7; the tile is complete
    # before 6, so that the last mask beat and the value follow at 8 and 9.
    assert bench.accepted[:6] == [0, 1, 2, 3, 4, 5]
    assert bench.fired[:6] == [4, 5, 6, 7, 8, 9]
    # The second enters from 10 on; its command starts at 9 + 1 + 3 and has 192 bits then.
    assert bench.accepted[6:] == [10, 11, 12, 13, 14, 15]
    assert bench.fired[6:] == [14, 15, 16, 17, 18, 19]


def test_the_unused_bits_of_a_tile_take_no_room_from_the_next() -> None:
    data = tile_bytes(np.eye(1, 256) * 3)  # last beat at 9, as above
    bench = DecoderBench()
    bench.run([data, RAW_TILE], {0: TILE}, cycles=40)
    # The window takes eight words of a tile whose command does not come.
    assert bench.accepted[6:] == list(range(10, 18))


def test_a_credit_comes_back_in_the_cycle_after_the_word() -> None:
    fifo = StreamFifo(4)
    fifo.credits -= 1
    fifo.push(StreamTile(EMPTY_TILE), 1)
    fifo.pop()
    assert fifo.credits == 3
    fifo.give_back()
    assert fifo.credits == 4


def law(
    beats: list[int], length: int, port_bits: int, visible: Callable[[int], int], start: int
) -> tuple[list[int], list[int]]:
    """Return the cycles of words and beats by the loop that defines the decoder."""
    fill, rem, b, cycle, word = 0, 64 * length, 0, 0, 0
    accepted, fired = [], []
    while b < len(beats):
        fire = (fill >= 256 or rem == 0) and cycle >= start
        accept = rem > 0 and fill + port_bits <= 512 and visible(word) <= cycle
        if fire:
            fill -= beats[b]
            b += 1
            fired.append(cycle)
        if accept:
            taken = min(port_bits, rem)
            fill, rem, word = fill + taken, rem - taken, word + 1
            accepted.append(cycle)
        cycle += 1
    return accepted, fired


def random_weights(seed: int, groups: int, bits: int, percent: int) -> np.ndarray:
    """Return `groups` x 256 weights of `bits` bits, `percent` of them not 0."""
    rng = np.random.default_rng(seed)
    limit = 1 << (bits - 1)
    weights = rng.integers(-limit, limit, 256 * groups)
    return np.where(rng.integers(0, 100, weights.size) < percent, weights, 0).astype(np.int8)


tiles = st.builds(
    random_weights,
    st.integers(0, 999),
    st.integers(1, 2),
    st.integers(1, 8),
    st.sampled_from([0, 10, 50, 100]),
)


def beats_of(data: np.ndarray, weights: np.ndarray) -> list[int]:
    """Return the bits of each beat of a tile."""
    beats = np.zeros(MAX_BEATS, np.uint16)
    out = np.zeros_like(weights)
    groups = weights.size // 256
    words = data.view(np.uint64)
    status, n = decode_tile_beats(words, 0, groups, PROFILE_BITMAP, empty_slots(), out, beats)
    assert status == tile_errors.OK
    return [int(bits) for bits in beats[:n]]


@given(tiles, st.sampled_from([64, 128]))
def test_an_undisturbed_tile_takes_the_cycles_of_the_law(
    weights: np.ndarray, port_bits: int
) -> None:
    data = tile_bytes(weights)
    bench = DecoderBench(port_bits=port_bits)
    bench.run([data], {0: (isa.TILE, [2, weights.size // 256, 0])}, cycles=2000)
    beats = beats_of(data, weights)
    assert bench.fired[-1] + 1 == decode_tile_cycles(
        np.array(beats, np.uint16), data.size // 8, port_bits
    )
    assert bench.wbuf[2, : weights.size].tolist() == weights.tolist()


def running_sum(gaps: Iterable[int]) -> list[int]:
    """Return the running sums of `gaps`."""
    return np.cumsum(list(gaps)).tolist()


@given(
    tiles,
    st.sampled_from([64, 128]),
    st.lists(st.integers(0, 9), min_size=140, max_size=140),
    st.integers(0, 60),
)
def test_words_and_beats_follow_the_law_at_any_pace(
    weights: np.ndarray, port_bits: int, gaps: list[int], start: int
) -> None:
    data = tile_bytes(weights)
    arrivals = running_sum(gaps)
    bench = DecoderBench(port_bits=port_bits)
    commands = {start: (isa.TILE, [2, weights.size // 256, 0])}
    bench.run([data], commands, lambda word: arrivals[word], cycles=2000)
    expected = law(
        beats_of(data, weights), data.size // 8, port_bits, lambda word: arrivals[word], start
    )
    assert (bench.accepted, bench.fired) == expected


def decode(bench: Bench, data: np.ndarray, arg: list[int], opcode: int = isa.TILE) -> int:
    """Add FETCH (from the store) and DECODE of `data`; return the DECODE's number."""
    bench.store[: data.size] = data
    bench.add(isa.FETCH, [0, data.size, FROM_STORE])
    return bench.add(opcode, arg)


def test_decode_in_the_machine() -> None:
    bench = Bench()
    number = decode(bench, EMPTY_TILE, [1, 1, 0])
    result, cycles = bench.trace()
    # Request at 1, one bus cycle, latency 2: visible and accepted at 4, beat at 5, free at 9.
    assert cycles["decode0_words_accepted"] == [4]
    assert cycles["decode0_beats_fired"] == [5]
    assert (result.start[number], result.free[number], result.cycles) == (2, 9, 9)
    assert counter(result, "decode0_tiles_decoded") == 1
    # Runs from 2: nothing in 2 and 3; word, beat, three cycles of pipeline.
    assert stalls(result, "decode0") == {"waiting": 2, "starved": 2, "busy": 5}


def test_a_decode_without_a_fetch_is_a_deadlock() -> None:
    bench = Bench()
    number = bench.add(isa.TILE, [0, 1, 0])
    result = bench.run()
    assert (result.status, result.cycles, result.error_command) == (isa.DEADLOCK, 2, number)


@pytest.mark.parametrize(
    ("opcode", "arg", "code"),
    [
        (isa.TILE, [0, 1, 1], tile_errors.BAD_CRC),  # another tile's index
        (isa.TILE, [0, 2, 0], tile_errors.LENGTH),  # another number of groups
        (isa.RAW, [0, 2, 0], tile_errors.LENGTH),
        (isa.TABLE, [0], tile_errors.UNSUPPORTED),
    ],
)
def test_a_bad_tile_ends_the_run_with_its_code(opcode: int, arg: list[int], code: int) -> None:
    bench = Bench()
    bench.params = bench.params._replace(fifo_words=64)
    weights = np.full(256, -1)
    number = decode(bench, tile_bytes(weights), arg, opcode)
    result, cycles = bench.trace()
    # 1 bit per weight: 5 words, taken as 5 beats of 64 bits. Requests at 1, 2, 3; words 0 to 4
    # visible at 5, 5, 7, 7, 8 and accepted at 5, 6, 7, 8, 9. 256 bits are there before 9.
    assert cycles["decode0_words_accepted"] == [5, 6, 7, 8, 9]
    assert cycles["decode0_beats_fired"] == [9, 10, 11, 12, 13]
    assert (result.status, result.error_command, result.error_code) == (
        isa.BAD_TILE,
        number,
        code,
    )
    assert (result.cycles, result.free[number]) == (13 + 1 + 3, -1)
    assert counter(result, "decode0_tiles_decoded") == 0


def test_a_bad_tile_writes_nothing() -> None:
    bench = Bench()
    data = tile_bytes(np.full(256, -1)).copy()
    data[20] ^= 4
    decode(bench, data, [1, 1, 0])
    machine = bench.machine()
    machine.wbuf[1, :] = 55
    assert machine.run_step().error_code == tile_errors.BAD_CRC
    assert (machine.wbuf[1] == 55).all()


def test_slots_keep_their_content() -> None:
    bench = Bench()
    weights = random_weights(1, 1, 8, 50)
    decode(bench, tile_bytes(weights), [3, 1, 0])
    machine = bench.machine()
    machine.wbuf[:] = 7
    machine.run_step()
    assert machine.wbuf[3, :256].tolist() == weights.tolist()
    assert (machine.wbuf[3, 256:] == 7).all()
    assert (machine.wbuf[:3] == 7).all()


def test_the_kth_decode_takes_the_kth_fetch() -> None:
    bench = Bench()
    first, second = random_weights(1, 1, 4, 50), random_weights(2, 1, 8, 90)
    for address, weights in ((0, first), (1024, second)):
        data = tile_bytes(weights, address)
        bench.dram[address : address + data.size] = data
        bench.add(isa.FETCH, [address, data.size, FROM_DRAM])
    bench.add(isa.TILE, [2, 1, 0])
    bench.add(isa.TILE, [0, 1, 1024])
    machine = bench.machine()
    assert machine.run_step().status == isa.DONE
    assert machine.wbuf[2, :256].tolist() == first.tolist()
    assert machine.wbuf[0, :256].tolist() == second.tolist()
